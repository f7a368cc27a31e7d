"""The last sign-in of accounts: at a time, never, or unknown.

It is as of the newest snapshot of each integration, whatever moment a list shows.
"""

from collections.abc import Sequence
from datetime import date, datetime, time

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func, select

from data.schema import is_same_account, last_sign_in

NEVER = datetime(1, 1, 1)
"""The last sign-in of an account that never signed in, so that it sorts before all others."""

NEVER_TEXT = "Never"

SIGN_IN_TEXTS = {
    "never": "never signed in",
    "unknown": "last sign-in unknown",
    "before": "last sign-in before {}",
    "from": "last sign-in from {}",
}
"""Kind of a filter value → its text in a sentence."""


def with_sign_ins(rows: sa.FromClause) -> sa.FromClause:
    """The accounts with `last_sign_in`, naive UTC; NEVER, and NULL where it is unknown."""
    signed_in_at = func.coalesce(sa.cast(last_sign_in.c.signed_in_at, sa.DateTime), NEVER)
    reported = case((last_sign_in.c.account_key.is_not(None), signed_in_at))
    return (
        select(*rows.c, reported.label("last_sign_in"))
        .select_from(rows.outerjoin(last_sign_in, is_same_account(last_sign_in, rows)))
        .subquery("with_sign_in")
    )


def parse_sign_ins(values: Sequence[str]) -> tuple[str, ...]:
    """The valid ones of `never`, `unknown`, `before:2026-09-01` and `from:2026-09-01`, a UTC day.

    The first day of each kind counts.
    """
    parsed: dict[str, str] = {}
    for value in map(str.casefold, values):
        kind, _, day = value.partition(":")
        if kind in ("before", "from") and _is_day(day):
            parsed.setdefault(kind, value)
        elif value in ("never", "unknown"):
            parsed.setdefault(value, value)
    return tuple(parsed.values())


def sign_in_text(value: str) -> str:
    """A value of the filter in a sentence."""
    kind, _, day = value.partition(":")
    return SIGN_IN_TEXTS[kind].format(day)


def sign_in_day(values: Sequence[str], kind: str) -> date | None:
    """The day of `before` or `from` among the filter's values."""
    days = [value.partition(":")[2] for value in values if value.startswith(f"{kind}:")]
    return date.fromisoformat(days[0]) if days else None


def matches_sign_in(rows: sa.FromClause, values: Sequence[str]) -> ColumnElement[bool]:
    """Whether any value of the filter holds for an account."""
    signed_in_at = last_sign_in.c.signed_in_at
    conditions = {
        "never": signed_in_at.is_(None),
        "before": signed_in_at < _start_of_day(values, "before"),
        "from": signed_in_at >= _start_of_day(values, "from"),
    }
    kinds = [value.partition(":")[0] for value in values]
    reported = [_is_reported(rows, conditions[kind]) for kind in kinds if kind != "unknown"]
    return sa.or_(*reported, *[~_is_reported(rows)] * ("unknown" in kinds))


def sign_in_kind(rows: sa.FromClause) -> ColumnElement[str]:
    """`never`, `unknown`, or `known` for a time."""
    is_never = _is_reported(rows, last_sign_in.c.signed_in_at.is_(None))
    return case((is_never, "never"), (_is_reported(rows), "known"), else_="unknown")


def _is_reported(rows: sa.FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return sa.exists().where(is_same_account(last_sign_in, rows), *conditions)


def _start_of_day(values: Sequence[str], kind: str) -> datetime:
    return datetime.combine(sign_in_day(values, kind) or date.max, time.min)


def _is_day(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat() == text
    except ValueError:
        return False
