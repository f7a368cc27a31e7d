"""A list of accounts that changed: its table, what a row opens, and its download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.states import STATE_BY_NAME
from queries.changes.accounts import PAGE_SIZE, count_changes, page_of_changes
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.window import Window
from queries.filters import Filters
from queries.users.detail import account_details
from server.authorize import store_connection
from server.session import current_principal
from widgets import account_panel, state_marks
from widgets import users_table as ut
from widgets.address import requested_page, show_pagination
from widgets.changes.sentences import count_text
from widgets.users.downloads import format_links


class ListColumn(NamedTuple):
    """One column that a list has besides who it is."""

    label: str
    cell: Callable[[Any], ut.Cell]


def _state_cell(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name = getattr(row, f"{side}_provisioning_state")
        if name is None:
            return ut.quiet("Not listed")
        return ut.mark(
            name,
            *(
                state_marks.STATE_MARKS.get(name)
                or state_marks.STATE_MARKS[STATE_BY_NAME[name].phase]
            ),
        )

    return cell


def _activity_cell(side: str) -> Callable[[Any], ut.Cell]:
    marks = {True: ut.mark("Yes", "good", "check"), False: ut.mark("No", "quiet", "dash")}
    return lambda row: marks.get(getattr(row, f"{side}_active_in_app"), ut.quiet("Unknown"))


def _person_cell(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name, email = getattr(row, f"{side}_user_name"), getattr(row, f"{side}_user_email")
        if not name and not email:
            return ut.quiet("Unmatched")
        return ut.person(name or email, email if name and email else "")

    return cell


def _roles_cell(side: str, max_shown: int = 2) -> Callable[[Any], ut.Cell]:
    return lambda row: ut.tags(getattr(row, f"{side}_roles") or [], limit=max_shown)


def _extra_roles_cell(side: str, other_side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        other_roles = set(getattr(row, f"{other_side}_roles"))
        return ut.tags([r for r in getattr(row, f"{side}_roles") if r not in other_roles], limit=6)

    return cell


def _values_cell(row: Any) -> ut.Cell:
    names = [name for name in VALUE_CHANGES if getattr(row, f"value_{name}")]
    return ut.tags([VALUE_CHANGES[name].label for name in names], limit=6)


STATE_COLUMNS = [
    ListColumn("State then", _state_cell("was")),
    ListColumn("State now", _state_cell("is")),
]
ROLE_COLUMNS = [
    ListColumn("Gained", _extra_roles_cell("is", "was")),
    ListColumn("Lost", _extra_roles_cell("was", "is")),
]
COLUMNS_BY_KIND: dict[str, list[ListColumn]] = {
    "joined": [
        ListColumn("State now", _state_cell("is")),
        ListColumn("App access", _roles_cell("is")),
    ],
    "back": [
        ListColumn("State now", _state_cell("is")),
        ListColumn("App access", _roles_cell("is")),
    ],
    "gone": [
        ListColumn("State then", _state_cell("was")),
        ListColumn("App access then", _roles_cell("was")),
    ],
    "moved": [*STATE_COLUMNS, ListColumn("Reason now", lambda row: ut.text(row.is_state_reason))],
    "gained": ROLE_COLUMNS,
    "lost": ROLE_COLUMNS,
    "match": [
        ListColumn("User then", _person_cell("was")),
        ListColumn("User now", _person_cell("is")),
    ],
    "activity": [
        ListColumn("Active then", _activity_cell("was")),
        ListColumn("Active now", _activity_cell("is")),
    ],
    "other": [ListColumn("Changed", _values_cell)],
}
"""Kind → what its list shows besides who an account is."""


def list_title(change_filter: ChangeFilter) -> str:
    """`Changed state, from Onboarded, to Update failed`."""
    parts = [CHANGE_KINDS[change_filter.kind].label]
    parts += [f"from {' or '.join(change_filter.was)}"] if change_filter.was else []
    parts += [f"to {' or '.join(change_filter.now)}"] if change_filter.now else []
    parts += [f"role {change_filter.role}"] if change_filter.role else []
    parts += [VALUE_CHANGES[change_filter.value].label] if change_filter.value else []
    return ", ".join(parts)


@st.fragment
def changed_accounts_table(
    window: Window, change_filter: ChangeFilter, *, several_integrations: bool
) -> None:
    """The accounts of a list, a page at a time; each opens what differs and its history."""
    with store_connection(Permission.CHANGES) as con:
        total = count_changes(con, window, change_filter)
        pages = max(1, -(-total // PAGE_SIZE))
        page = min(requested_page(), pages)
        rows = page_of_changes(con, window, change_filter, page)

    def panels(ids: Sequence[str]) -> Mapping[str, list[ut.Block]]:
        return _account_panels(window, [row for row in rows if str(row.account_key) in ids])

    with st.container(horizontal=True, horizontal_alignment="distribute", key="list_head"):
        st.text(f"{count_text(total)} · {list_title(change_filter)}", width="content")
        if current_principal().is_allowed(Permission.DOWNLOAD):
            params = [*window.params(), *change_filter.params()]
            st.html(format_links("changes", params), width="content")
    st.caption(CHANGE_KINDS[change_filter.kind].description)
    ut.users_table(
        [_table_row(row, change_filter) for row in rows],
        columns=_table_columns(change_filter, several_integrations),
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption=CHANGE_KINDS[change_filter.kind].label,
        empty="No accounts changed in this way.",
        key="changed",
    )
    show_pagination(page, pages)


def _table_columns(change_filter: ChangeFilter, several_integrations: bool) -> list[ut.TableColumn]:
    identity = [
        ut.column("user", "User", sortable=False, width=1.6),
        ut.column("username", "Username in app", sortable=False, width=1.4),
    ]
    integration = [ut.column("integration", "Integration", sortable=False)] * several_integrations
    kind_columns = [
        ut.column(f"c{n}", list_column.label, sortable=False, width=1.5)
        for n, list_column in enumerate(COLUMNS_BY_KIND[change_filter.kind])
    ]
    return [*identity, *integration, *kind_columns]


def _table_row(row: Row[Any], change_filter: ChangeFilter) -> ut.TableRow:
    username = row.is_username_in_app or row.was_username_in_app
    kind_cells = {
        f"c{n}": list_column.cell(row)
        for n, list_column in enumerate(COLUMNS_BY_KIND[change_filter.kind])
    }
    return ut.row(
        str(row.account_key),
        username,
        user=_person_cell("is" if row.is_there else "was")(row),
        username=ut.text(username),
        integration=ut.text(row.integration),
        **kind_cells,
    )


def _account_panels(window: Window, rows: Sequence[Row[Any]]) -> dict[str, list[ut.Block]]:
    """What differs, and then all that is known of the account where it is listed."""
    panels: dict[str, list[ut.Block]] = {}
    for moment, is_there in ((window.until, True), (window.since, False)):
        keys = [row.account_key for row in rows if row.is_there is is_there]
        with store_connection(Permission.CHANGES) as con:
            details = account_details(con, Filters(as_of=moment), keys) if keys else {}
        for key, detail in details.items():
            # without other accounts: what leads to them is an address of Users
            panels[str(key)] = account_panel.panel(detail._replace(others=[]), as_of=moment)
    differences = {str(row.account_key): _differences(row) for row in rows}
    return {key: [differences[key], *blocks] for key, blocks in panels.items()}


def _differences(row: Row[Any]) -> ut.Block:
    cell_makers = {
        "User": _person_cell,
        "Provisioning state": _state_cell,
        "App access": lambda side: _roles_cell(side, max_shown=30),
        "Active in app": _activity_cell,
        "Username in app": _text_cell("username_in_app"),
        "Upstream user ID": _text_cell("upstream_user_id"),
        "Reason": _text_cell("state_reason"),
        "Failure code": _text_cell("failure_code"),
        "Last updated": _time_cell("last_updated"),
    }
    absent = ut.quiet("Not listed")
    sides = {
        label: [
            cell(side)(row) if is_listed else absent
            for side, is_listed in (("was", row.was_there), ("is", row.is_there))
        ]
        for label, cell in cell_makers.items()
    }
    rows = [[label, *cells] for label, cells in sides.items() if cells[0] != cells[1]]
    return ut.table("What differs", ["", "Then", "Now"], rows)


def _text_cell(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.text(getattr(row, f"{side}_{name}"))


def _time_cell(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.time(getattr(row, f"{side}_{name}"))


# ---- the downloads -------------------------------------------------------------------------------
