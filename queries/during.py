"""A period instead of a moment: the accounts that were listed at any time in it.

An account counts where one of its versions in the period meets all filters. It is shown as the
latest of these versions, and has stretches: the times in the period for which it meets the filters
without interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.files.naming import parse_moment
from data.formatting import iso_z
from data.schema import SnapshotTime, is_same_account
from data.store.dialect import join_sorted

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

EXPECTED_DURING = "FROM/TO, such as 2026-03-01/2026-03-31"

EXCLUDED_BY_PERIOD = {
    "as_of": "As of",
    "waiting": "Open longer than",
    "waiting_upto": "Open up to",
    "unsettled_for": "Unsettled for",
    "failing_for": "Failing for",
    "left_for": "Left for",
    "person": "Person",
}
"""The parameters that need one moment → their labels."""


class During(NamedTuple):
    """A period, both ends included; naive UTC, to the second, as snapshots are."""

    start: datetime
    end: datetime

    @property
    def has_whole_days(self) -> bool:
        """Whether it lasts from midnight to the end of a UTC day."""
        ends = (self.start, self.end + SECOND)
        return all(moment.time() == datetime.min.time() for moment in ends)

    def param(self) -> str:
        """The period as a parameter of an address: `2026-03-01/2026-03-31`."""
        if self.has_whole_days:
            return f"{self.start:%Y-%m-%d}/{self.end:%Y-%m-%d}"
        return f"{iso_z(self.start)}/{iso_z(self.end)}"

    def text(self) -> str:
        """The period in a sentence."""
        if self.has_whole_days:
            return f"from {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"
        return f"from {self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC"

    def overlaps(self, versions: sa.FromClause) -> ColumnElement[bool]:
        """Whether a version holds at any time in the period."""
        return and_(versions.c.valid_from <= self.end, versions.c.valid_to > self.start)

    def is_first(
        self, versions: sa.FromClause, changes: Sequence[tuple[str, ...] | None]
    ) -> ColumnElement[bool]:
        """Whether a version can be the first in the period that meets conditions.

        Not if the version before is in the period, and meets them too, as nothing that they read
        has changed. `changes` has, for each condition, the since-columns of what it reads; None if
        it reads more.
        """
        if None in changes:
            return sa.true()
        c = versions.c
        names = {name for columns in changes for name in columns or ()}
        changed = [c[name] == c.valid_from for name in sorted(names)]
        was_listed = sa.or_(c.previous_state.is_not(None), c.state_since < c.valid_from)
        return sa.or_(c.valid_from <= self.start, *changed or [~was_listed])


def parse_during(values: Sequence[str]) -> During | None:
    """The period in `FROM/TO`: UTC days, or ISO times. None for any other text."""
    start_text, separator, end_text = next(iter(values), "").partition("/")
    start, end = parse_moment(start_text), parse_moment(end_text)
    if not separator or start is None or end is None:
        return None
    is_day = len(end_text.strip()) <= len("2026-03-31")
    if is_day and end < datetime(9999, 12, 31):
        end += DAY - SECOND
    return During(start, end) if start <= end else None


def latest_versions(
    during: During, times: sa.FromClause, versions: Callable[[ColumnElement[bool]], sa.FromClause]
) -> sa.FromClause:
    """One row per account: the latest of its versions in the period that meet the filters.

    `versions` gives the versions that meet the filters and a condition on `times`. Most accounts
    have one at the end of the period, which needs no comparison with others.
    """
    holds_at_end = and_(times.c.valid_from <= during.end, times.c.valid_to > during.end)
    has_ended = and_(times.c.valid_to > during.start, times.c.valid_to <= during.end)
    at_end, ended = versions(holds_at_end), versions(has_ended)
    has_later = sa.exists().where(is_same_account(at_end.alias("later"), ended))
    return sa.union_all(select(at_end), latest_of_each(ended, ~has_later)).subquery("accounts")


def latest_of_each(
    versions: sa.FromClause, *conditions: ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account: the latest of its versions that meet the conditions.

    By rank, as no two begin at one moment: DuckDB turns a row number that is compared with 1 into
    an aggregate, and then fails with an internal error where a note and a search narrow the rows.
    """
    position = func.rank().over(
        partition_by=(versions.c.integration_id, versions.c.account_key),
        order_by=versions.c.valid_from.desc(),
    )
    ranked = select(versions, position.label("position")).where(*conditions).subquery("ranked")
    return select(*(ranked.c[c.name] for c in versions.c)).where(ranked.c.position == 1)


def stretches(during: During, versions: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """One row per stretch: [integration_id, account_key, start, end], in order.

    Both are cut at the ends of the period; without an end, it lasts beyond the period.
    """
    c = versions.c
    per_account = {"partition_by": (c.integration_id, c.account_key), "order_by": c.valid_from}
    follows = func.lag(c.valid_to).over(**per_account) == c.valid_from
    marked = select(
        c.integration_id,
        c.account_key,
        c.valid_from,
        c.valid_to,
        case((follows, 0), else_=1).label("starts"),
    ).subquery("marked")
    m = marked.c
    number = func.sum(m.starts).over(
        partition_by=(m.integration_id, m.account_key), order_by=m.valid_from
    )
    numbered = select(*m, number.label("number")).subquery("numbered")
    n = numbered.c
    start, end = func.min(n.valid_from), func.max(n.valid_to)
    period_start = sa.literal(during.start, SnapshotTime)
    return (
        select(
            n.integration_id,
            n.account_key,
            case((start > period_start, start), else_=period_start).label("start"),
            case((end <= during.end, end)).label("end"),
        )
        .group_by(n.integration_id, n.account_key, n.number)
        .order_by(n.account_key, start)
    )


def with_stretches(during: During, rows: sa.FromClause, versions: sa.FromClause) -> sa.FromClause:
    """The accounts with `stretches`, as `start/end; start/`: without an end, beyond the period."""
    each = stretches(during, versions).order_by(None).subquery("stretch")
    text = _iso(each.c.start).concat("/").concat(func.coalesce(_iso(each.c.end), ""))
    lists = (
        select(
            each.c.integration_id, each.c.account_key, join_sorted(text, "; ").label("stretches")
        )
        .group_by(each.c.integration_id, each.c.account_key)
        .subquery("stretches_of")
    )
    joined = rows.outerjoin(lists, is_same_account(lists, rows))
    return select(*rows.c, lists.c.stretches).select_from(joined).subquery("with_stretches")


def _iso(moment: ColumnElement[Any]) -> ColumnElement[str]:
    return func.replace(sa.cast(moment, sa.String), " ", "T", type_=sa.String).concat("Z")
