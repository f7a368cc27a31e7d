"""One list of changed accounts: its table, its panels and its download links."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from queries.changes.accounts import PAGE_SIZE, count_changes, page_of_changes
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.window import Window
from queries.filters import Filters
from queries.users.detail import account_details
from server.authorize import store_connection
from server.session import current_principal
from widgets import account_panel
from widgets import users_table as ut
from widgets.address import requested_page, show_pagination
from widgets.state_marks import state_mark
from widgets.users.export_menu import format_links

RowCell = Callable[[Any], ut.Cell]
"""A row of the list → one cell."""

SIDES = ("before", "after")

NO_CHANGES = "No accounts changed in this way."

# ---- cells ---------------------------------------------------------------------------------------


def _value_of(row: Any, side: str, name: str) -> Any:
    return getattr(row, f"{side}_{name}")


def _state_cell(side: str) -> RowCell:
    def cell(row: Any) -> ut.Cell:
        name = _value_of(row, side, "provisioning_state")
        return state_mark(name) if name else ut.quiet("Not listed")

    return cell


def _activity_cell(side: str) -> RowCell:
    marks = {True: ut.mark("Yes", "good", "check"), False: ut.mark("No", "quiet", "dash")}
    return lambda row: marks.get(_value_of(row, side, "active_in_app"), ut.quiet("Unknown"))


def _person_cell(side: str) -> RowCell:
    def cell(row: Any) -> ut.Cell:
        name, email = _value_of(row, side, "user_name"), _value_of(row, side, "user_email")
        if not name and not email:
            return ut.quiet("Unmatched")
        return ut.person(name or email, email if name and email else "")

    return cell


def _roles_cell(side: str, limit: int = 2) -> RowCell:
    return lambda row: ut.tags(_value_of(row, side, "roles") or [], limit=limit)


def _extra_roles_cell(side: str, other_side: str) -> RowCell:
    def cell(row: Any) -> ut.Cell:
        other_roles = set(_value_of(row, other_side, "roles"))
        roles = [role for role in _value_of(row, side, "roles") if role not in other_roles]
        return ut.tags(roles, limit=6)

    return cell


def _values_cell(row: Any) -> ut.Cell:
    names = [name for name in VALUE_CHANGES if getattr(row, f"value_{name}")]
    return ut.tags([VALUE_CHANGES[name].label for name in names], limit=6)


def _text_cell(name: str) -> Callable[[str], RowCell]:
    return lambda side: lambda row: ut.text(_value_of(row, side, name))


ROLE_COLUMNS = {
    "Gained": _extra_roles_cell("after", "before"),
    "Lost": _extra_roles_cell("before", "after"),
}
STATE_COLUMNS = {"State before": _state_cell("before"), "State after": _state_cell("after")}
COLUMNS_BY_KIND: dict[str, dict[str, RowCell]] = {
    "joined": {"State after": _state_cell("after"), "App access after": _roles_cell("after")},
    "back": {"State after": _state_cell("after"), "App access after": _roles_cell("after")},
    "gone": {"State before": _state_cell("before"), "App access before": _roles_cell("before")},
    "moved": STATE_COLUMNS | {"Reason after": lambda row: ut.text(row.after_state_reason)},
    "failed": STATE_COLUMNS | {"Reason after": lambda row: ut.text(row.after_state_reason)},
    "resolved": STATE_COLUMNS | {"Reason before": lambda row: ut.text(row.before_state_reason)},
    "gained": ROLE_COLUMNS,
    "lost": ROLE_COLUMNS,
    "match": {"User before": _person_cell("before"), "User after": _person_cell("after")},
    "activity": {
        "Active before": _activity_cell("before"),
        "Active after": _activity_cell("after"),
    },
    "other": {"Changed": _values_cell},
}
"""Kind → the columns of its list beside the account: label → cell."""

COMPARED_CELLS: dict[str, Callable[[str], RowCell]] = {
    "User": _person_cell,
    "Provisioning state": _state_cell,
    "App access": lambda side: _roles_cell(side, limit=30),
    "Active in app": _activity_cell,
    "Username in app": _text_cell("username_in_app"),
    "Upstream user ID": _text_cell("upstream_user_id"),
    "Reason": _text_cell("state_reason"),
    "Failure code": _text_cell("failure_code"),
    "Last updated": lambda side: lambda row: ut.time(_value_of(row, side, "last_updated")),
}
"""The rows of the table of differences in a panel: label → cell of a side."""


# ---- the list ------------------------------------------------------------------------------------


def list_title(change_filter: ChangeFilter) -> str:
    """`Changed state, from Onboarded, to Update failed`."""
    parts = [CHANGE_KINDS[change_filter.kind].label]
    parts += [f"from {' or '.join(change_filter.before)}"] if change_filter.before else []
    parts += [f"to {' or '.join(change_filter.after)}"] if change_filter.after else []
    parts += [f"role {change_filter.role}"] if change_filter.role else []
    parts += [VALUE_CHANGES[change_filter.value].label] if change_filter.value else []
    return ", ".join(parts)


@st.fragment
def changed_accounts_table(
    window: Window, change_filter: ChangeFilter, *, several_integrations: bool
) -> None:
    """One page of the list; an open row shows the differences and the account's history."""
    with store_connection(Permission.CHANGES) as con:
        total = count_changes(con, window, change_filter)
        page = requested_page(total, PAGE_SIZE)
        rows = page_of_changes(con, window, change_filter, page)

    def panels(ids: Sequence[str]) -> Mapping[str, list[ut.Block]]:
        return _account_panels(window, [row for row in rows if str(row.account_key) in ids])

    kind = CHANGE_KINDS[change_filter.kind]
    with st.container(horizontal=True, horizontal_alignment="distribute", key="list_head"):
        st.text(f"{count_of(total, 'account')} · {list_title(change_filter)}", width="content")
        if current_principal().is_allowed(Permission.DOWNLOAD):
            params = [*window.params(), *change_filter.params()]
            st.html(format_links("changes", params), width="content")
    st.caption(kind.description)
    ut.users_table(
        [_table_row(row, change_filter) for row in rows],
        columns=_table_columns(change_filter, several_integrations),
        details=panels,
        caption=kind.label,
        empty=NO_CHANGES,
        key="changed",
    )
    show_pagination(page, total, PAGE_SIZE)


def _table_columns(change_filter: ChangeFilter, several_integrations: bool) -> list[ut.TableColumn]:
    return [
        ut.column("user", "User", sortable=False, width=1.6),
        ut.column("username", "Username in app", sortable=False, width=1.4),
        *[ut.column("integration", "Integration", sortable=False)] * several_integrations,
        *(
            ut.column(f"c{n}", label, sortable=False, width=1.5)
            for n, label in enumerate(COLUMNS_BY_KIND[change_filter.kind])
        ),
    ]


def _table_row(row: sa.Row[Any], change_filter: ChangeFilter) -> ut.TableRow:
    side = "after" if row.in_after else "before"
    username = _value_of(row, side, "username_in_app")
    cells = COLUMNS_BY_KIND[change_filter.kind].values()
    return ut.row(
        str(row.account_key),
        username,
        user=_person_cell(side)(row),
        username=ut.text(username),
        integration=ut.text(row.integration),
        **{f"c{n}": cell(row) for n, cell in enumerate(cells)},
    )


def _account_panels(window: Window, rows: Sequence[sa.Row[Any]]) -> dict[str, list[ut.Block]]:
    """The differences, then the account at the later moment that lists it."""
    panels: dict[str, list[ut.Block]] = {}
    for moment, in_after in ((window.until, True), (window.since, False)):
        keys = [row.account_key for row in rows if row.in_after is in_after]
        with store_connection(Permission.CHANGES) as con:
            details = account_details(con, Filters(as_of=moment), keys) if keys else {}
        for key, account in details.items():
            # without other accounts: their links lead to the Users page
            panels[str(key)] = account_panel.panel(
                account._replace(other_accounts=[]), as_of=moment
            )
    differences = {str(row.account_key): _differences(row) for row in rows}
    return {key: [differences[key], *blocks] for key, blocks in panels.items()}


def _differences(row: sa.Row[Any]) -> ut.Block:
    is_listed = {"before": row.in_before, "after": row.in_after}
    sides = {
        label: [cell(side)(row) if is_listed[side] else ut.quiet("Not listed") for side in SIDES]
        for label, cell in COMPARED_CELLS.items()
    }
    rows = [[label, *cells] for label, cells in sides.items() if cells[0] != cells[1]]
    return ut.table("What differs", ["", "Before", "After"], rows)
