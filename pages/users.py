"""Who has an account, with which roles, in which state."""

from dataclasses import replace

import streamlit as st

from data.access.roles import Permission
from queries.filters import Filters
from queries.users.accounts import PAGE_SIZE, account_page, integration_names, parse_sort
from queries.users.facets import drop_unknown_values
from server.authorize import store_connection
from server.session import current_principal
from widgets import status
from widgets.address import requested_page, show_pagination
from widgets.filters import apply_filters, requested_filters, show_past_banner
from widgets.report import print_header, report_button
from widgets.users.downloads import show_downloads
from widgets.users.filter_bar import show_filter_bar
from widgets.users.sentence import filter_facts, show_filter_summary, show_presets
from widgets.users.table import show_ignored, show_suggestions, show_table

with store_connection(Permission.USERS) as con:
    integrations = integration_names(con)
    filters = drop_unknown_values(con, requested_filters())

with st.container(horizontal=True, vertical_alignment="center", key="head"):
    st.title("Users", width="content")
    if integrations:
        show_presets(filters)

if not integrations:
    status.show_no_snapshots()
    st.stop()

# Pseudonyms have no meaningful order, and computing a million of them is slow.
default_sort = "-last_updated" if current_principal().uses_pseudonyms else ""
bar = st.container(key="bar")
show_past_banner(filters.as_of, lambda: apply_filters(replace(filters, as_of=None)))


@st.fragment(key="list")
def show_accounts(filters: Filters) -> None:
    sort = st.query_params.get("sort") or default_sort
    order, descending = parse_sort(sort)
    summary = st.container(key="summary")
    with store_connection(Permission.USERS) as con:
        page = account_page(con, filters, sort=order, descending=descending, page=requested_page())
        show_table(  # before the counts, which can take longer than the rows
            page.rows,
            page.overrides,
            filters,
            order,
            descending=descending,
            several_integrations=len(filters.integration or integrations) > 1,
        )
        with summary:
            print_header("Users", filter_facts(filters, page.count, page.total))
            with st.container(horizontal=True, horizontal_alignment="distribute"):
                show_filter_summary(filters, page.count, page.total)
                show_downloads(filters, sort)
                report_button()
            show_ignored(filters, sort, page.page)
    show_pagination(page.page, page.count, PAGE_SIZE)
    if not page.count:
        show_suggestions(filters)


show_accounts(filters)
with bar:  # after the list: the counts of an open filter can take longer
    show_filter_bar(filters)
