"""The matrix of people and accounts: one table per integration; a count opens its accounts."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from queries.filters import Filters
from queries.people.accounts import ACCOUNT_STATUSES, ACCOUNT_TEXTS, OWNERS, PERSON_TEXTS
from queries.people.cells import MatrixCell
from queries.scope import Scope
from server.session import current_principal
from widgets import timezone

NO_DIRECTORY = (
    "No directory, so no people are known. Load the users of Okta, Microsoft Entra ID or Google "
    "Workspace, or choose on Matching which integrations list people."
)
TONES = {("left", "active"): "bad", ("disabled", "active"): "warn", ("left", "deleting"): "warn"}
"""Cells that need somebody → their tone."""


def people_sentence(people: dict[str, int]) -> str:
    """The people of all directories: `1,240 people: 1,180 active, 12 disabled, 48 left`."""
    parts = [
        f"{people[status]:,} {PERSON_TEXTS[status].lower()}"
        for status in OWNERS
        if people.get(status)
    ]
    count = sum(people.values())
    return f"{count_of(count, 'person', 'people')}: {', '.join(parts)}." if parts else NO_DIRECTORY


def headline(cells: Sequence[MatrixCell]) -> str:
    """The number of active accounts of people who left, and the oldest."""
    found = [cell for cell in cells if (cell.person, cell.account) == ("left", "active")]
    if not found:
        return "No active accounts of people who left"
    accounts = count_of(sum(cell.accounts for cell in found), "active account")
    oldest = timezone.format_day(min(cell.since for cell in found))
    return f"{accounts} of people who left, the oldest since {oldest}"


def show_matrices(cells: Sequence[MatrixCell], scope: Scope) -> None:
    """A card per integration."""
    with st.grid(2, min_column_width=400, gap="small", key="matrices"):
        for name, own in groupby(cells, lambda cell: cell.integration):
            with st.container(border=True):
                st.html(_matrix(name, [*own], scope))


def _matrix(name: str, cells: Sequence[MatrixCell], scope: Scope) -> str:
    """A table with a row per status of the person and a column per status of the account."""
    by_place = {(cell.person, cell.account): cell for cell in cells}
    people = [p for p in OWNERS if p != "unknown" or any(c.person == p for c in cells)]
    heads = "".join(
        f'<th scope="col">{ACCOUNT_TEXTS[account]}</th>' for account in ACCOUNT_STATUSES
    )
    rows = "".join(
        f'<tr><th scope="row">{PERSON_TEXTS[person]}</th>'
        + "".join(
            _cell_html(by_place.get((person, account)), scope) for account in ACCOUNT_STATUSES
        )
        + "</tr>"
        for person in people
    )
    count = count_of(sum(cell.accounts for cell in cells), "account")
    return (
        f'<table class="people-matrix"><caption>{escape(name)} <span>{count}</span></caption>'
        f'<thead><tr><th scope="col">Person ↓ Account →</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _cell_html(cell: MatrixCell | None, scope: Scope) -> str:
    if cell is None:
        return '<td class="none">0</td>'
    tone = TONES.get((cell.person, cell.account), "")
    number = f"{cell.accounts:,}"
    if current_principal().is_allowed(Permission.USERS):
        filters = Filters(
            integration=(cell.integration,),
            person=cell.person,
            account=cell.account,
            as_of=scope.as_of,
        )
        query = timezone.query_with_zone(filters.params())
        number = f'<a href="users?{escape(query)}" target="_self">{number}</a>'
    since = timezone.format_day(cell.since)
    return f'<td class="{tone}">{number}<small>since {since}</small></td>'
