"""Who has an account, with which roles, in which state."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from data.access.roles import Permission
from queries.filters import Filters, filter_phrases, ignored_params
from queries.owners import overrides_by_account
from queries.users.accounts import (
    PAGE_SIZE,
    SORTS,
    count_accounts,
    integration_names,
    page_of_accounts,
    parse_sort,
)
from queries.users.detail import account_details
from queries.users.facets import drop_unknown_values
from server.authorize import authorize, store_connection
from server.session import current_principal
from widgets import account_panel, status
from widgets.address import address_params, requested_page, show_pagination, update_address
from widgets.filters import apply_filters, requested_filters, show_ignored_params, show_past_banner
from widgets.users.downloads import show_downloads
from widgets.users.filter_bar import show_filter_bar
from widgets.users.sentence import show_filter_summary, show_presets, suggest_fewer_filters
from widgets.users_table import Block, TableRow, users_table

MAX_SUGGESTIONS = 8  # ways out of an empty list

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

# An order by pseudonyms says nothing, and takes a million of them to be worked out.
default_sort = "-last_updated" if current_principal().uses_pseudonyms else ""
bar = st.container(key="bar")
show_past_banner(filters.as_of, lambda: apply_filters(replace(filters, as_of=None)))


@st.fragment(key="list")
def show_accounts(filters: Filters) -> None:
    """The rows come first; what is counted over all accounts follows."""
    sort, page = st.query_params.get("sort") or default_sort, requested_page()
    order, descending = parse_sort(sort)
    summary_area, table_area, pagination_area = (
        st.container(key="found"),
        st.container(),
        st.container(),
    )
    with store_connection(Permission.USERS) as con:

        def rows_of(page: int) -> list[TableRow]:
            table_area = page_of_accounts(
                con, filters, sort=order, descending=descending, page=page
            )
            overrides = overrides_by_account(
                con, [row.account_key for row in table_area], filters.as_of
            )
            return [
                account_panel.table_row(row, overrides.get(row.account_key)) for row in table_area
            ]

        rows = rows_of(page)
        if not rows and page > 1:
            page, rows = 1, rows_of(1)
        with table_area:
            show_table(rows, filters, order, descending=descending)
        count = count_accounts(con, filters)
        with summary_area:
            with st.container(horizontal=True, horizontal_alignment="distribute"):
                show_filter_summary(filters, count, count_accounts(con, filters.cleared()))
                show_downloads(filters, sort)
            show_ignored_params(
                [
                    *ignored_params(address_params(), filters),
                    *unknown_sort(sort),
                    *unknown_page(page),
                ]
            )
        with pagination_area:
            show_pagination(page, max(1, -(-count // PAGE_SIZE)))
            if not count:
                relaxed = [
                    (part, filters.without(part.name, part.value))
                    for part in filter_phrases(filters)
                ]
                counts = [
                    (part, count_accounts(con, left)) for part, left in relaxed[:MAX_SUGGESTIONS]
                ]
                suggest_fewer_filters(filters, counts)


@st.fragment
def show_table(rows: Sequence[TableRow], filters: Filters, order: str, *, descending: bool) -> None:
    """A fragment of its own, so that opening a row draws nothing else, and asks for no page."""
    authorize(Permission.USERS)

    def sort_by(key: str) -> None:
        update_address(sort=f"-{key}" if key == order and not descending else key, page=None)
        st.rerun("list")

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        with store_connection(Permission.USERS) as con:
            details = account_details(con, filters, [int(id_) for id_ in ids])
            overrides = overrides_by_account(con, list(details), filters.as_of)
        return {
            str(key): account_panel.panel(k, as_of=filters.as_of, override=overrides.get(key))
            for key, k in details.items()
        }

    users_table(
        rows,
        columns=account_panel.table_columns(
            several_integrations=len(filters.integration or integrations) > 1
        ),
        sort=order,
        descending=descending,
        details=panels,
        on_sort=sort_by,
        caption="Users",
        empty="No accounts match these filters. Remove one to see more.",
        key="users",
    )


def unknown_sort(sort: str) -> list[tuple[str, str]]:
    return [] if not sort or sort.removeprefix("-") in SORTS else [("sort", sort)]


def unknown_page(page: int) -> list[tuple[str, str]]:
    requested = st.query_params.get("page", "")
    return [] if requested in ("", str(page)) else [("page", requested)]


show_accounts(filters)
with bar:  # after the list, as what an open filter counts may take longer
    show_filter_bar(filters)
