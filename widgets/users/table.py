"""The table of accounts, and the notes around it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from data.access.roles import Permission
from data.records.decisions import MATCH_OVERRIDES, NOTES, decisions_by_account
from queries.filter_sentence import excluded_params, filter_phrases, ignored_params
from queries.filters import Filters, wanted_roles
from queries.users.accounts import PAGE_SIZES, SORTS, AccountPage, count_accounts, parse_sort
from queries.users.detail import account_details
from server.authorize import authorize, store_connection
from widgets import account_panel
from widgets.account_row import SIGN_INS_ARE_NOW, Account, table_columns, table_row
from widgets.address import address_params, update_address
from widgets.filters import apply_filters, show_ignored_params, show_past_banner
from widgets.users.columns import Columns
from widgets.users.marked import account_marks
from widgets.users.notes import can_write_notes, note_blocks, note_dialog, note_text
from widgets.users.presets import suggest_fewer_filters
from widgets.users_table import Block, TableRow, users_table

MAX_SUGGESTIONS = 8
"""Filters that an empty list offers to remove."""

NO_MATCHES = "No accounts match. Remove a filter:"
NO_ACCOUNTS = "No accounts."


@st.fragment
def show_table(
    page: AccountPage,
    filters: Filters,
    columns: Columns,
    sort: str,
) -> None:
    """One page of accounts. A fragment: opening a row draws nothing else."""
    authorize(Permission.USERS)
    order, descending = parse_sort(sort)

    def sort_by(key: str) -> None:
        update_address(sort=f"-{key}" if key == order and not descending else key, page=None)
        st.rerun("list")

    def act(_: str, id_: str) -> None:
        note_dialog((int(id_),))

    users_table(
        _table_rows(page, filters, columns.shown),
        columns=table_columns(columns.shown, is_chosen=bool(columns.chosen)),
        sort=order,
        descending=descending,
        details=partial(_panels, filters),
        on_sort=sort_by,
        on_action=act,
        caption="Users",
        empty=NO_ACCOUNTS if filters == filters.cleared() else NO_MATCHES,
        key="users",
        marks=account_marks(page, filters, sort, columns),
        address="open",
        page=str(page.page),
    )


def _panels(filters: Filters, ids: Sequence[str]) -> dict[str, list[Block]]:
    """The details of the open rows."""
    with store_connection(Permission.USERS) as con:
        details = account_details(con, filters, [int(id_) for id_ in ids])
        owners, notes = (
            decisions_by_account(con, kind, list(details), filters.moment)
            for kind in (MATCH_OVERRIDES, NOTES)
        )
    can_write = filters.moment is None and can_write_notes()
    return {
        str(key): [
            *account_panel.panel(account, as_of=filters.moment, override=owners.get(key)),
            *note_blocks(notes.get(key), can_write=can_write),
        ]
        for key, account in details.items()
    }


def _table_rows(page: AccountPage, filters: Filters, names: Sequence[str]) -> list[TableRow]:
    rows = [
        table_row(
            Account(
                row,
                page.overrides.get(row.account_key),
                wanted_roles(filters, row.roles),
                page.account_ids.get(row.account_key),
                page.notes.get(row.account_key),
                page.stretches.get(row.account_key, ()),
            ),
            names,
        )
        for row in page.rows
    ]
    for key, note in page.notes.items():
        next(row for row in rows if row["id"] == str(key))["hint"] = note_text(note)
    return rows


def show_ignored(filters: Filters, columns: Columns, sort: str, page: int) -> None:
    """A note on parameters of the address that have no effect."""
    ignored = ignored_params(address_params(), filters)
    if sort and sort.removeprefix("-") not in SORTS:
        ignored.append(("sort", sort))
    requested = st.query_params.get("page", "")
    if requested not in ("", str(page)):
        ignored.append(("page", requested))
    size = st.query_params.get("rows", "")
    if size and size not in map(str, PAGE_SIZES):
        ignored.append(("rows", size))
    shows_all = filters == filters.cleared()
    show_ignored_params(ignored, shown="Showing all accounts." if shows_all else "")
    if excluded := excluded_params(address_params(), filters):
        with st.container(key="ignored_by_period"):
            st.markdown(f"A period has no one moment, so it excludes {' and '.join(excluded)}.")
    show_ignored_params([("columns", name) for name in columns.ignored], kind="column")


def show_moment(filters: Filters, columns: Columns, order: str) -> None:
    """For a view of the past: its moment, the way back to now, and what is as of now even so."""
    shows_sign_ins = "last_sign_in" in (order, *columns.shown) or filters.last_sign_in
    note = SIGN_INS_ARE_NOW if shows_sign_ins else ""
    show_past_banner(filters.as_of, lambda: apply_filters(replace(filters, as_of=None)), note)
    if filters.during and note:
        st.text(note)


def show_suggestions(filters: Filters) -> None:
    """For an empty list: the filters to remove, with the number of accounts without each."""
    with store_connection(Permission.USERS) as con:
        counts = [
            (phrase, count_accounts(con, filters.without(phrase.name, phrase.value)))
            for phrase in filter_phrases(filters)[:MAX_SUGGESTIONS]
        ]
    suggest_fewer_filters(filters, counts)
