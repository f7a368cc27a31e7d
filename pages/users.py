"""Who has an account, with which roles, in which state."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from data.access.roles import Act
from queries.filters import Filters, ignored, in_words
from queries.owners import decided_for
from queries.users.accounts import (
    PAGE_SIZE,
    SORTS,
    count_accounts,
    integration_names,
    order_of,
    page_of_accounts,
)
from queries.users.detail import known_of
from queries.users.facets import heard_of
from server.authorize import allowed, reading
from server.session import principal
from widgets import account_panel, status
from widgets.address import address, go, page_asked, turn_pages
from widgets.filters import asked, mark_past, show, tell_ignored
from widgets.users.downloads import offer_users
from widgets.users.filter_bar import filter_bar
from widgets.users.sentence import offer_less, offer_presets, say_what_is_shown
from widgets.users_table import Block, Row, users_table

MOST_OFFERED = 8  # ways out of an empty list

with reading(Act.USERS) as con:
    integrations = integration_names(con)
    filters = heard_of(con, asked())

with st.container(horizontal=True, vertical_alignment="center", key="head"):
    st.title("Users", width="content")
    if integrations:
        offer_presets(filters)

if not integrations:
    status.no_snapshots()
    st.stop()

# An order by pseudonyms says nothing, and takes a million of them to be worked out.
usual = "-last_updated" if principal().pseudonyms else ""
bar = st.container(key="bar")
mark_past(filters.as_of, lambda: show(replace(filters, as_of=None)))


@st.fragment(key="list")
def list_of_accounts(filters: Filters) -> None:
    """The rows come first; what is counted over all accounts follows."""
    sort, page = st.query_params.get("sort") or usual, page_asked()
    order, descending = order_of(sort)
    above, listed, below = st.container(key="found"), st.container(), st.container()
    with reading(Act.USERS) as con:

        def rows_of(page: int) -> list[Row]:
            listed = page_of_accounts(con, filters, sort=order, descending=descending, page=page)
            decided = decided_for(con, [each.account_key for each in listed], filters.as_of)
            return [account_panel.table_row(each, decided.get(each.account_key)) for each in listed]

        rows = rows_of(page)
        if not rows and page > 1:
            page, rows = 1, rows_of(1)
        with listed:
            draw_table(rows, filters, order, descending=descending)
        found = count_accounts(con, filters)
        with above:
            with st.container(horizontal=True, horizontal_alignment="distribute"):
                say_what_is_shown(filters, found, count_accounts(con, filters.without_any()))
                offer_users(filters, sort)
            tell_ignored([*ignored(address(), filters), *no_order(sort), *no_page(page)])
        with below:
            turn_pages(page, max(1, -(-found // PAGE_SIZE)))
            if not found:
                without = [
                    (part, filters.without(part.name, part.value)) for part in in_words(filters)
                ]
                counts = [
                    (part, count_accounts(con, left)) for part, left in without[:MOST_OFFERED]
                ]
                offer_less(filters, counts)


@st.fragment
def draw_table(rows: Sequence[Row], filters: Filters, order: str, *, descending: bool) -> None:
    """A fragment of its own, so that opening a row draws nothing else, and asks for no page."""
    allowed(Act.USERS)

    def sort_by(key: str) -> None:
        go(sort=f"-{key}" if key == order and not descending else key, page=None)
        st.rerun("list")

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        with reading(Act.USERS) as con:
            known = known_of(con, filters, [int(id_) for id_ in ids])
            decided = decided_for(con, list(known), filters.as_of)
        return {
            str(key): account_panel.panel(k, as_of=filters.as_of, decided=decided.get(key))
            for key, k in known.items()
        }

    users_table(
        rows,
        columns=account_panel.columns(
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


def no_order(sort: str) -> list[tuple[str, str]]:
    return [] if not sort or sort.removeprefix("-") in SORTS else [("sort", sort)]


def no_page(page: int) -> list[tuple[str, str]]:
    named = st.query_params.get("page", "")
    return [] if named in ("", str(page)) else [("page", named)]


list_of_accounts(filters)
with bar:  # after the list, as what an open filter counts may take longer
    filter_bar(filters)
