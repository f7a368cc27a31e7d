"""One account as a row of a table: a declaration per column."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from data.store.search_text import NAME_ATTRIBUTES
from queries.account_links import account_link
from queries.export.columns import attribute_of, column_of
from queries.sign_ins import NEVER, NEVER_TEXT
from queries.users.accounts import SORTS
from widgets import timezone
from widgets import users_table as ut
from widgets.account_history import json_text, parse_json
from widgets.state_marks import tone_and_icon

DELETED_BUT_ACTIVE = "Deleted but still active"

SIGN_INS_ARE_NOW = "Last sign-ins are as of the newest snapshot."

MAX_ATTRIBUTE_LENGTH = 300
"""Characters of an attribute in a row; the panel has all."""

COPIED_TEXTS = {
    "username_in_app": "Usernames",
    "user_email": "Emails",
    "account_id": "Account IDs",
}
"""The columns whose texts can be copied from marked rows."""

SORT_KEYS = {"user_name": "user"}
"""Column → its key in the table and in `sort=`, where that is not its name."""


class Account(NamedTuple):
    """What the cells of a row are made from."""

    row: sa.Row[Any]
    override: sa.Row[Any] | None = None
    """The owner that a person assigned."""
    wanted_roles: Collection[str] = ()
    """They come first and are marked."""
    account_id: str | None = None
    note: sa.Row[Any] | None = None
    stretches: Sequence[tuple[datetime, datetime | None]] = ()
    """When it met the filters in their period."""

    @property
    def is_contradiction(self) -> bool:
        """A row that contradicts itself looks like a warning."""
        return self.row.provisioning_state == "Deleted" and bool(self.row.active_in_app)


class AccountColumn(NamedTuple):
    """How a column of the list looks in the table."""

    cell: Callable[[Account], ut.Cell]
    width: float = 1
    place: ut.Place | None = None
    numeric: bool = False
    is_time: bool = False


def active_cell(active: bool | None, *, is_contradiction: bool = False) -> ut.Cell:
    """Yes, No or Unknown."""
    if active is None:
        return ut.quiet("Unknown")
    if is_contradiction:
        return ut.mark("Yes", "warn", "alert", title=DELETED_BUT_ACTIVE)
    return ut.mark("Yes", "good", "check") if active else ut.mark("No", "quiet", "dash")


def _state_cell(account: Account) -> ut.Cell:
    """The state; its reason is a tooltip, and on a phone a second line."""
    if account.is_contradiction:
        return ut.mark(
            "Deleted", "warn", "alert", title=DELETED_BUT_ACTIVE, note=DELETED_BUT_ACTIVE
        )
    row = account.row
    tone, icon = tone_and_icon(row.provisioning_state)
    reasons = (row.failure_code, row.state_reason) if tone == "bad" else ()
    reason = " · ".join(filter(None, reasons))
    return ut.mark(row.provisioning_state, tone, icon, title=reason, note=reason)


def _user_cell(account: Account, *, with_email: bool = True) -> ut.Cell:
    """The name, or the email of a person without one; else the email stands beside the name.

    Without a user, the name that the app has for the account.
    """
    row, override = account.row, account.override
    name, email = row.user_name, row.user_email
    owner = override and override.person_integration and (override.user_name, override.user_email)
    if override and owner == (name, email):
        return ut.person(name or email, f"matched by {override.decided_by}")
    if not name and not email:
        attributes = parse_json(row.attributes, dict)
        named = (json_text(attributes[key]) for key in NAME_ATTRIBUTES if attributes.get(key))
        return ut.quiet("Unmatched", subtitle=next(named, ""))
    return ut.person(name or email, email if name and email and with_email else "")


def sign_in_cell(moment: datetime | None) -> ut.Cell:
    """The time, Never, or a dash where it is unknown."""
    return ut.text(NEVER_TEXT) if moment == NEVER else ut.time(moment)


def _stretches_cell(account: Account) -> ut.Cell:
    """The times in the period; the last one can last beyond it."""
    days = timezone.format_day
    texts = [
        f"{days(start)} – {days(end)}" if end else f"from {days(start)}"
        for start, end in account.stretches
    ]
    return ut.text(", ".join(texts))


def _attribute_cell(name: str, account: Account) -> ut.Cell:
    """A list as chips, anything else as text."""
    text = json_text(parse_json(account.row.attributes, dict).get(name))
    items = parse_json(text, list) if text.startswith("[") else []
    if items and not any(isinstance(item, list | dict) for item in items):
        return ut.tags([json_text(item) for item in items])
    is_cut = len(text) > MAX_ATTRIBUTE_LENGTH
    return ut.text(text[:MAX_ATTRIBUTE_LENGTH] + "…" * is_cut)


def _text(name: str) -> Callable[[Account], ut.Cell]:
    return lambda account: ut.text(getattr(account.row, name))


def _time(name: str) -> Callable[[Account], ut.Cell]:
    return lambda account: ut.time(getattr(account.row, name))


def _open_since_cell(account: Account) -> ut.Cell:
    is_open = tone_and_icon(account.row.provisioning_state)[0] in ("awaiting", "ongoing")
    return ut.time(account.row.attempt_since if is_open else None)


COLUMNS: dict[str, AccountColumn] = {
    "user_name": AccountColumn(_user_cell, 1.9, "title"),
    "username_in_app": AccountColumn(lambda a: ut.identifier(a.row.username_in_app), 1.5, "name"),
    "integration": AccountColumn(_text("integration"), 0.95, "app"),
    "roles": AccountColumn(lambda a: ut.tags(a.row.roles, marked=a.wanted_roles), 1.8),
    "active_in_app": AccountColumn(
        lambda a: active_cell(a.row.active_in_app, is_contradiction=a.is_contradiction),
        0.85,
    ),
    "upstream_user_id": AccountColumn(
        lambda a: ut.identifier(a.row.upstream_user_id, is_code=True), 1.05
    ),
    "provisioning_state": AccountColumn(_state_cell, 1.35, "state"),
    "last_updated": AccountColumn(_time("last_updated"), 1.2, is_time=True),
    "last_sign_in": AccountColumn(lambda a: sign_in_cell(a.row.last_sign_in), 1.2, is_time=True),
    "stretches": AccountColumn(_stretches_cell, 1.6, "fact"),
    "user_email": AccountColumn(lambda a: ut.identifier(a.row.user_email), 1.5),
    "state_reason": AccountColumn(_text("state_reason"), 2),
    "failure_code": AccountColumn(lambda a: ut.identifier(a.row.failure_code, is_code=True)),
    "state_source": AccountColumn(lambda a: ut.text(a.row.state_source or "reported"), 0.9),
    "state_since": AccountColumn(_time("state_since"), 1.2, is_time=True),
    "open_since": AccountColumn(_open_since_cell, 1.2, is_time=True),
    "role_count": AccountColumn(lambda a: ut.number(len(a.row.roles)), 0.8, numeric=True),
    "account_id": AccountColumn(lambda a: ut.identifier(a.account_id, is_code=True), 1.2),
    "note": AccountColumn(lambda a: ut.text(a.note and a.note.text), 2),
}
"""The columns of the list that the table can show, beside one for each attribute."""

DEFAULT_COLUMNS = tuple(COLUMNS)[:8]


def default_columns(*, several_integrations: bool, in_period: bool = False) -> tuple[str, ...]:
    """The columns without a choice; Integration only if there are several."""
    names = (n for n in DEFAULT_COLUMNS if several_integrations or n != "integration")
    return (*names, "stretches") if in_period else tuple(names)


def table_columns(names: Sequence[str], *, is_chosen: bool = False) -> list[ut.TableColumn]:
    """The table's columns of these names. On a phone, chosen ones are further lines of a row."""
    place_of_others: ut.Place | None = "fact" if is_chosen else None
    columns: list[ut.TableColumn] = []
    for name in names:
        column, key = _column(name), SORT_KEYS.get(name, name)
        columns.append(
            ut.column(
                key,
                column_of(name).heading,
                sortable=key in SORTS,
                width=column.width,
                numeric=column.numeric,
                suffix=timezone.current_zone() if column.is_time else "",
                place=column.place or place_of_others,
            )
        )
    return columns


def table_row(account: Account, names: Sequence[str]) -> ut.TableRow:
    """One row of the table, with a cell per name. With the account ID, an address can name it."""
    cells = {SORT_KEYS.get(name, name): _column(name).cell(account) for name in names}
    if "user_name" in names and "user_email" in names:
        cells["user"] = _user_cell(account, with_email=False)
    row = ut.row(str(account.row.account_key), account.row.username_in_app, **cells)
    if account.account_id is not None:
        row["link"] = account_link(account.row.integration, account.account_id)
    known = {"account_id": account.account_id}
    row["texts"] = {n: known.get(n) or getattr(account.row, n, None) for n in COPIED_TEXTS}
    return row


def _column(name: str) -> AccountColumn:
    attribute = attribute_of(name)
    if attribute is None:
        return COLUMNS[name]
    return AccountColumn(partial(_attribute_cell, attribute))
