"""How long something has held of accounts, as the snapshots tell it: what every rule asks.

Spans are measured up to the newest snapshot of the account's integration, never up to the clock:
the same snapshots always give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    and_,
    cast,
    func,
    null,
    select,
)

from data.records.exceptions import Limits
from data.schema import account_current, snapshot
from queries.filters import Filters, conditions, delivered
from queries.lookup import Condition, few_versions


@dataclass(frozen=True)
class View:
    """Of which accounts, at which moment, and from where on."""

    integration: tuple[str, ...] = ()  # none: all
    at: datetime | None = None  # naive UTC; None is now
    limits: Limits = field(default_factory=Limits)
    asked_at: datetime = field(  # what people have said by then counts; naive UTC
        default_factory=lambda: datetime.now(UTC).replace(tzinfo=None)
    )

    def accounts(self) -> FromClause:
        """One row per account, as it is at the moment."""
        if self.at is None and not self.integration:
            return account_current.alias("now")
        rows = delivered(self.at)
        there = conditions(Filters(integration=self.integration), rows)
        return select(rows).where(*there).subquery("now")

    def known(self, moment: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a snapshot's moment had come."""
        return moment.is_not(None) if self.at is None else moment <= self.at

    def said_by(self) -> datetime:
        """Up to when it counts what people have said."""
        return self.at or self.asked_at

    def newest(self) -> FromClause:
        """One row per integration: [integration_id, at] of its newest snapshot."""
        taken = snapshot.c.taken_at
        return (
            select(snapshot.c.integration_id, func.max(taken).label("at"))
            .where(self.known(taken))
            .group_by(snapshot.c.integration_id)
            .subquery("newest")
        )


@dataclass(frozen=True)
class Found:
    """What a rule finds: the accounts quickly, and more slowly all that is to be said of them."""

    accounts: Select[*tuple[Any, ...]]
    """One row per account: [account_key]."""
    told: Callable[[FromClause | None], Select[*tuple[Any, ...]]]
    """One row per account, of all or of those among: [account_key, since, detail]."""


def that(view: View, holds: Condition, *since: str) -> Found:
    """Accounts that say something, since the latest of these stays began: see data.stays."""
    now = view.accounts()
    keys = select(now.c.account_key).where(holds(now))

    def told(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        those = _within(keys, among)
        return select(now.c.account_key, latest(now, since).label("since"), no_detail()).join_from(
            now, those, those.c.account_key == now.c.account_key
        )

    return Found(keys, told)


def that_in_history(view: View, holds: Condition) -> Found:
    """Accounts that say something, since the first version that has said so ever since."""
    now = view.accounts()
    keys = select(now.c.account_key).where(holds(now))

    def told(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        return select(unbroken(view, _within(keys, among), holds), no_detail())

    return Found(keys, told)


def that_lasts(
    view: View, holds: Condition, span: timedelta, lasts: Sequence[str], since: Sequence[str]
) -> Found:
    """Accounts that say something, and of it a part for longer than the span.

    `lasts` and `since`: the stays that the part, and all of it, last for.
    """
    now, newest = view.accounts(), view.newest()
    began = latest(now, lasts)
    late = (
        select(
            now.c.account_key,
            now.c.integration_id,
            began.label("began"),
            latest(now, since).label("held"),
        )
        .join_from(now, newest, newest.c.integration_id == now.c.integration_id)
        .where(holds(now), newest.c.at - span > began)
        .cte("late")
    )

    def told(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        limit = late.c.began + span
        reached = reached_at(view, late, limit)
        those = _within(select(late.c.account_key), among)
        return (
            select(
                late.c.account_key,
                func.greatest(late.c.held, reached.c.at).label("since"),
                no_detail(),
            )
            .join_from(late, those, those.c.account_key == late.c.account_key)
            .join(reached, same_limit(reached, late, limit))
        )

    return Found(select(late.c.account_key), told)


def latest(rows: FromClause, since: Sequence[str]) -> ColumnElement[Any]:
    """When the latest of these stays began."""
    columns = [rows.c[name] for name in since]
    return func.greatest(*columns) if columns[1:] else columns[0]


def whole(told: Select[*tuple[Any, ...]]) -> Found:
    """A rule that cannot find accounts without knowing since when."""
    found = told.subquery("whole")

    def among_those(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        all_of_it = select(found)
        if among is None:
            return all_of_it
        return all_of_it.where(found.c.account_key.in_(select(among.c.account_key)))

    return Found(select(found.c.account_key), among_those)


def _within(keys: Select[*tuple[Any, ...]], among: FromClause | None) -> FromClause:
    """The accounts, or those of them that are among others."""
    found = keys.subquery("found")
    if among is None:
        return found
    both = found.join(among, among.c.account_key == found.c.account_key)
    return select(found.c.account_key).select_from(both).subquery("within")


def no_detail() -> ColumnElement[Any]:
    """Where there is nothing more to say of a finding."""
    return cast(null(), String).label("detail")


def unbroken(view: View, keys: FromClause, holds: Condition) -> FromClause:
    """One row per account: [account_key, since] of the last stretch in which something held.

    A version that says otherwise, or a snapshot without the account, ends a stretch. It is asked of
    the versions of these accounts only, which are to be few.
    """
    v = _versions_of(keys)
    before = func.lag(v.c.valid_to).over(
        partition_by=(v.c.integration_id, v.c.account_key), order_by=v.c.valid_from
    )
    holding = (
        select(
            v.c.account_key, v.c.valid_from, before.is_distinct_from(v.c.valid_from).label("begins")
        )
        .where(view.known(v.c.valid_from), holds(v))
        .subquery("holding")
    )
    return (
        select(holding.c.account_key, func.max(holding.c.valid_from).label("since"))
        .where(holding.c.begins)
        .group_by(holding.c.account_key)
        .subquery("unbroken")
    )


def _versions_of(keys: FromClause) -> FromClause:
    """The versions of some accounts, found by their keys before more of them is read."""

    def theirs(rows: FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(select(keys.c.account_key))

    return few_versions(theirs)


def reached_at(view: View, late: FromClause, limit: ColumnElement[Any]) -> FromClause:
    """One row per integration and limit: the first snapshot beyond it, [.., after, at]."""
    limits = select(late.c.integration_id, limit.label("after")).distinct().subquery("limits")
    taken = snapshot.c.taken_at
    return (
        select(limits, func.min(taken).label("at"))
        .join_from(
            limits,
            snapshot,
            and_(
                snapshot.c.integration_id == limits.c.integration_id,
                taken > limits.c.after,
                view.known(taken),
            ),
        )
        .group_by(limits.c.integration_id, limits.c.after)
        .subquery("reached")
    )


def same_limit(
    reached: FromClause, late: FromClause, limit: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a row of `reached_at` is the one for a limit."""
    return and_(reached.c.integration_id == late.c.integration_id, reached.c.after == limit)
