"""A list of accounts that changed: its table, what a row opens, and its download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.states import STATE_BY_NAME
from queries.changes.accounts import PAGE_SIZE, count_changes, page_of_changes
from queries.changes.diff import KINDS, VALUES, Listed
from queries.changes.window import Between
from queries.filters import Filters
from queries.users.detail import known_of
from server.authorize import reading
from server.session import principal
from widgets import account_panel, state_marks
from widgets import users_table as ut
from widgets.address import page_asked, turn_pages
from widgets.changes.sentences import number_of
from widgets.users.downloads import format_links


class Shown(NamedTuple):
    """One column that a list has besides who it is."""

    label: str
    cell: Callable[[Any], ut.Cell]


def _state(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name = getattr(row, f"{side}_provisioning_state")
        if name is None:
            return ut.quiet("Not listed")
        return ut.mark(
            name, *(state_marks.MARKS.get(name) or state_marks.MARKS[STATE_BY_NAME[name].phase])
        )

    return cell


def _activity(side: str) -> Callable[[Any], ut.Cell]:
    marks = {True: ut.mark("Yes", "good", "check"), False: ut.mark("No", "quiet", "dash")}
    return lambda row: marks.get(getattr(row, f"{side}_active_in_app"), ut.quiet("Unknown"))


def _person(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name, email = getattr(row, f"{side}_user_name"), getattr(row, f"{side}_user_email")
        if not name and not email:
            return ut.quiet("Unmatched")
        return ut.person(name or email, email if name and email else "")

    return cell


def _roles_of(side: str, shown: int = 2) -> Callable[[Any], ut.Cell]:
    return lambda row: ut.tags(getattr(row, f"{side}_roles") or [], shown=shown)


def _roles_only(side: str, other: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        without = set(getattr(row, f"{other}_roles"))
        return ut.tags([r for r in getattr(row, f"{side}_roles") if r not in without], shown=6)

    return cell


def _values_of(row: Any) -> ut.Cell:
    names = [name for name in VALUES if getattr(row, f"value_{name}")]
    return ut.tags([VALUES[name].label for name in names], shown=6)


STATES = [Shown("State then", _state("was")), Shown("State now", _state("is"))]
ROLES = [Shown("Gained", _roles_only("is", "was")), Shown("Lost", _roles_only("was", "is"))]
COLUMNS: dict[str, list[Shown]] = {
    "joined": [Shown("State now", _state("is")), Shown("App access", _roles_of("is"))],
    "back": [Shown("State now", _state("is")), Shown("App access", _roles_of("is"))],
    "gone": [Shown("State then", _state("was")), Shown("App access then", _roles_of("was"))],
    "moved": [*STATES, Shown("Reason now", lambda row: ut.text(row.is_state_reason))],
    "gained": ROLES,
    "lost": ROLES,
    "match": [Shown("User then", _person("was")), Shown("User now", _person("is"))],
    "activity": [Shown("Active then", _activity("was")), Shown("Active now", _activity("is"))],
    "other": [Shown("Changed", _values_of)],
}
"""Kind → what its list shows besides who an account is."""


def list_in_words(listed: Listed) -> str:
    """`Changed state, from Onboarded, to Update failed`."""
    parts = [KINDS[listed.kind].label]
    parts += [f"from {' or '.join(listed.was)}"] if listed.was else []
    parts += [f"to {' or '.join(listed.now)}"] if listed.now else []
    parts += [f"role {listed.role}"] if listed.role else []
    parts += [VALUES[listed.value].label] if listed.value else []
    return ", ".join(parts)


@st.fragment
def accounts(between: Between, listed: Listed, *, several_integrations: bool) -> None:
    """The accounts of a list, a page at a time; each opens what differs and its history."""
    with reading(Act.CHANGES) as con:
        found = count_changes(con, between, listed)
        pages = max(1, -(-found // PAGE_SIZE))
        page = min(page_asked(), pages)
        rows = page_of_changes(con, between, listed, page)

    def panels(ids: Sequence[str]) -> Mapping[str, list[ut.Block]]:
        return _panels(between, [row for row in rows if str(row.account_key) in ids])

    with st.container(horizontal=True, horizontal_alignment="distribute", key="list_head"):
        st.text(f"{number_of(found)} · {list_in_words(listed)}", width="content")
        if principal().may(Act.DOWNLOAD):
            params = [*between.params(), *listed.params()]
            st.html(format_links("changes", params), width="content")
    st.caption(KINDS[listed.kind].words)
    ut.users_table(
        [_row(row, listed) for row in rows],
        columns=_columns(listed, several_integrations),
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption=KINDS[listed.kind].label,
        empty="No accounts changed in this way.",
        key="changed",
    )
    turn_pages(page, pages)


def _columns(listed: Listed, several_integrations: bool) -> list[ut.Column]:
    who = [
        ut.column("user", "User", sortable=False, width=1.6),
        ut.column("username", "Username in app", sortable=False, width=1.4),
    ]
    where = [ut.column("integration", "Integration", sortable=False)] * several_integrations
    own = [
        ut.column(f"c{n}", shown.label, sortable=False, width=1.5)
        for n, shown in enumerate(COLUMNS[listed.kind])
    ]
    return [*who, *where, *own]


def _row(row: Row[Any], listed: Listed) -> ut.Row:
    username = row.is_username_in_app or row.was_username_in_app
    own = {f"c{n}": shown.cell(row) for n, shown in enumerate(COLUMNS[listed.kind])}
    return ut.row(
        str(row.account_key),
        username,
        user=_person("is" if row.is_there else "was")(row),
        username=ut.text(username),
        integration=ut.text(row.integration),
        **own,
    )


def _panels(between: Between, rows: Sequence[Row[Any]]) -> dict[str, list[ut.Block]]:
    """What differs, and then all that is known of the account where it is listed."""
    found: dict[str, list[ut.Block]] = {}
    for moment, is_there in ((between.until, True), (between.since, False)):
        keys = [row.account_key for row in rows if row.is_there is is_there]
        with reading(Act.CHANGES) as con:
            known = known_of(con, Filters(as_of=moment), keys) if keys else {}
        for key, one in known.items():
            # without other accounts: what leads to them is an address of Users
            found[str(key)] = account_panel.panel(one._replace(others=[]), as_of=moment)
    differences = {str(row.account_key): _differences(row) for row in rows}
    return {key: [differences[key], *blocks] for key, blocks in found.items()}


def _differences(row: Row[Any]) -> ut.Block:
    pairs = {
        "User": _person,
        "Provisioning state": _state,
        "App access": lambda side: _roles_of(side, shown=30),
        "Active in app": _activity,
        "Username in app": _text("username_in_app"),
        "Upstream user ID": _text("upstream_user_id"),
        "Reason": _text("state_reason"),
        "Failure code": _text("failure_code"),
        "Last updated": _time("last_updated"),
    }
    absent = ut.quiet("Not listed")
    sides = {
        label: [
            cell(side)(row) if there else absent
            for side, there in (("was", row.was_there), ("is", row.is_there))
        ]
        for label, cell in pairs.items()
    }
    rows = [[label, *cells] for label, cells in sides.items() if cells[0] != cells[1]]
    return ut.table("What differs", ["", "Then", "Now"], rows)


def _text(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.text(getattr(row, f"{side}_{name}"))


def _time(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.time(getattr(row, f"{side}_{name}"))


# ---- the downloads -------------------------------------------------------------------------------
