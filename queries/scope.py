"""The integrations that a question covers, its moment, and the accounts then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func, select

from data.files.naming import parse_moment
from data.formatting import iso_z
from data.schema import (
    account_current,
    account_version,
    integration,
    is_valid_at,
    join_profile,
    snapshot,
)
from data.values.durations import duration_key, parse_duration

Params = Mapping[str, Sequence[str]]
"""The parameters of an address: name → values."""

MAX_VALUES_PER_PARAM = 50
"""Values of one parameter that the address of a request can give; the rest is ignored.

What Rollcall has written itself, such as the list that a round froze, can have more."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Integrations (none named: all), as of a moment (naive UTC; None: now).

    Filters, the view of Review and the period of Health are scopes with more to them.
    """

    integration: tuple[str, ...] = ()
    as_of: datetime | None = None

    @classmethod
    def from_params(cls, params: Params) -> Scope:
        """The scope in an address; values that are not valid are left out."""
        return Scope(
            integration=parse_texts(params.get("integration", ())),
            as_of=moment_param(params, "as_of"),
        )

    def params(self) -> list[tuple[str, str]]:
        """The scope as parameters of an address."""
        moment = [("as_of", iso_z(self.as_of))] if self.as_of else []
        return [*(("integration", name) for name in self.integration), *moment]

    def includes(self, rows: sa.FromClause) -> ColumnElement[bool]:
        """Whether a row belongs to these integrations."""
        return in_integrations(rows, self.integration)

    def is_past(self, moment: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a moment had come by the moment of the scope."""
        return is_past(moment, self.as_of)


def in_integrations(rows: sa.FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row belongs to these integrations; true where none is named.

    A row names its integration by `integration_id`; in tables of what people decided, by name.
    """
    if not integrations:
        return sa.true()
    if "integration_id" not in rows.c:
        return rows.c.integration.in_(integrations)
    ids = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return rows.c.integration_id.in_(ids)


def is_past(moment: ColumnElement[Any], as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a moment had come by then; always true for now."""
    return sa.true() if as_of is None else moment <= as_of


def newest_snapshots(as_of: datetime | None) -> sa.FromClause:
    """One row per integration: [integration_id, at] of its newest snapshot by then (None: now)."""
    taken_at = snapshot.c.taken_at
    return (
        select(snapshot.c.integration_id, func.max(taken_at).label("at"))
        .where(is_past(taken_at, as_of))
        .group_by(snapshot.c.integration_id)
        .subquery("newest")
    )


def first_value(params: Params, name: str) -> str:
    """The first value of a parameter; empty without one."""
    return next(iter(params.get(name, ())), "")


def moment_param(params: Params, name: str) -> datetime | None:
    """The moment (naive UTC) that a parameter gives; None without a valid one."""
    return parse_moment(first_value(params, name))


def parse_texts(values: Sequence[str]) -> tuple[str, ...]:
    """The values that are not blank, each once."""
    return tuple(dict.fromkeys(v for v in values if v.strip() and "\0" not in v))


def _parse_duration(values: Sequence[str]) -> timedelta | None:
    return parse_duration(next(iter(values), ""))


def _serialize_duration(duration: timedelta | None) -> list[str]:
    return [duration_key(duration)] if duration else []


DURATION = _parse_duration, _serialize_duration
"""How an address gives a duration, and how it is written."""


def now_or_newest(con: Connection, now: datetime) -> datetime:
    """The moment of a list without one: no snapshot is later (naive UTC)."""
    newest = con.scalar(select(func.max(snapshot.c.taken_at)))
    return max(now, newest or now)


def accounts_as_of(as_of: datetime | None, *, all_columns: bool = True) -> sa.FromClause:
    """One row per account at the moment (None: now), as the snapshots have it."""
    if as_of is None:
        return account_current
    rows = select(account_version).where(is_valid_at(account_version, as_of)).subquery("accounts")
    return join_profile(rows) if all_columns else rows
