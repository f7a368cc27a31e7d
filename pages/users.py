"""Who has an account, with which roles, in which state."""

import streamlit as st

from data.access.roles import Permission
from queries.filters import Filters
from queries.users.accounts import account_page, integration_names, parse_sort
from queries.users.facets import drop_unknown_values
from server.authorize import store_connection
from server.session import current_principal
from widgets import status
from widgets.address import requested_page
from widgets.filters import requested_filters
from widgets.report import print_header
from widgets.users.columns import Columns, requested_columns, show_columns_menu
from widgets.users.export_menu import show_export_menu
from widgets.users.filter_bar import show_filter_bar, show_search
from widgets.users.pager import requested_page_size, show_count, show_pages
from widgets.users.presets import filter_facts, preset_counts, show_presets
from widgets.users.table import show_ignored, show_moment, show_suggestions, show_table
from widgets.users.views import show_views_menu

with store_connection(Permission.USERS) as con:
    integrations = integration_names(con)
    filters = drop_unknown_values(con, requested_filters())
    several_integrations = len(filters.integration or integrations) > 1
    columns = requested_columns(con, filters, several_integrations=several_integrations)
    counts = preset_counts(con, filters)

# Pseudonyms have no meaningful order, and computing a million of them is slow.
default_sort = "-last_updated" if current_principal().uses_pseudonyms else ""

with st.container(horizontal=True, vertical_alignment="center", key="head"):
    st.title("Users", width="content", anchor=False)
    if integrations:
        show_presets(filters, counts)
        show_views_menu(filters)
        show_search(filters)
        show_columns_menu(filters, columns)
        show_export_menu(filters, st.query_params.get("sort") or default_sort, columns)

if not integrations:
    status.show_no_snapshots()
    st.stop()


@st.fragment(key="list")
def show_accounts(filters: Filters, columns: Columns) -> None:
    sort, size = st.query_params.get("sort") or default_sort, requested_page_size()
    order, descending = parse_sort(sort)
    bar = st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="top", key="bar"
    )
    notes = st.container(key="notes")
    with store_connection(Permission.USERS) as con:
        page = account_page(
            con, filters, sort=order, descending=descending, page=requested_page(), size=size
        )
        # before the counts, which can take longer than the rows
        show_table(page, filters, columns, sort)
        with notes:
            show_ignored(filters, columns, sort, page.page)
        with bar:
            print_header("Users", filter_facts(filters, page.count, page.total))
            filter_area = st.container(key="filter_area", width="stretch")
            show_count(page, filters, size)
    show_pages(page, size)
    if not page.count:
        show_suggestions(filters)
    with filter_area:
        show_moment(filters, columns, order)
        show_filter_bar(filters)  # last: the counts of an open filter can take longer


show_accounts(filters, columns)
