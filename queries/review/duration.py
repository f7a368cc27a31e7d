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

from data.records.exceptions import RuleSettings
from data.schema import account_current, snapshot
from queries.filters import Filters, accounts_as_of, conditions
from queries.lookup import RowCondition, lookup_versions


@dataclass(frozen=True)
class View:
    """Of which accounts, at which moment, and from where on."""

    integration: tuple[str, ...] = ()  # none: all
    as_of: datetime | None = None  # naive UTC; None is now
    limits: RuleSettings = field(default_factory=RuleSettings)
    evaluated_at: datetime = field(  # what people have said by then counts; naive UTC
        default_factory=lambda: datetime.now(UTC).replace(tzinfo=None)
    )

    def accounts(self) -> FromClause:
        """One row per account, as it is at the moment."""
        if self.as_of is None and not self.integration:
            return account_current.alias("now")
        rows = accounts_as_of(self.as_of)
        matches_filters = conditions(Filters(integration=self.integration), rows)
        return select(rows).where(*matches_filters).subquery("now")

    def is_past(self, moment: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a snapshot's moment had come."""
        return moment.is_not(None) if self.as_of is None else moment <= self.as_of

    def records_until(self) -> datetime:
        """Up to when it counts what people have said."""
        return self.as_of or self.evaluated_at

    def newest_snapshots(self) -> FromClause:
        """One row per integration: [integration_id, at] of its newest snapshot."""
        taken_at = snapshot.c.taken_at
        return (
            select(snapshot.c.integration_id, func.max(taken_at).label("at"))
            .where(self.is_past(taken_at))
            .group_by(snapshot.c.integration_id)
            .subquery("newest")
        )


@dataclass(frozen=True)
class RuleResult:
    """What a rule finds: the accounts quickly, and more slowly all that is to be said of them."""

    accounts: Select[*tuple[Any, ...]]
    """One row per account: [account_key]."""
    details: Callable[[FromClause | None], Select[*tuple[Any, ...]]]
    """One row per account, of all or of those among: [account_key, since, detail]."""


def condition(view: View, predicate: RowCondition, *since_columns: str) -> RuleResult:
    """Accounts that say something, since the latest of these stays began: see data.stays."""
    accounts = view.accounts()
    keys = select(accounts.c.account_key).where(predicate(accounts))

    def details(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        selected = _restrict(keys, among)
        return select(
            accounts.c.account_key, latest_of(accounts, since_columns).label("since"), no_detail()
        ).join_from(accounts, selected, selected.c.account_key == accounts.c.account_key)

    return RuleResult(keys, details)


def history_condition(view: View, predicate: RowCondition) -> RuleResult:
    """Accounts that say something, since the first version that has said so ever since."""
    accounts = view.accounts()
    keys = select(accounts.c.account_key).where(predicate(accounts))

    def details(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        return select(unbroken_since(view, _restrict(keys, among), predicate), no_detail())

    return RuleResult(keys, details)


def lasting_condition(
    view: View,
    predicate: RowCondition,
    span: timedelta,
    span_columns: Sequence[str],
    since_columns: Sequence[str],
) -> RuleResult:
    """Accounts that say something, and of it a part for longer than the span.

    `lasts` and `since`: the stays that the part, and all of it, last for.
    """
    accounts, newest = view.accounts(), view.newest_snapshots()
    began = latest_of(accounts, span_columns)
    late = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            began.label("began"),
            latest_of(accounts, since_columns).label("held"),
        )
        .join_from(accounts, newest, newest.c.integration_id == accounts.c.integration_id)
        .where(predicate(accounts), newest.c.at - span > began)
        .cte("late")
    )

    def details(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        limit = late.c.began + span
        reached = limit_reached_at(view, late, limit)
        selected = _restrict(select(late.c.account_key), among)
        return (
            select(
                late.c.account_key,
                func.greatest(late.c.held, reached.c.at).label("since"),
                no_detail(),
            )
            .join_from(late, selected, selected.c.account_key == late.c.account_key)
            .join(reached, is_same_limit(reached, late, limit))
        )

    return RuleResult(select(late.c.account_key), details)


def latest_of(rows: FromClause, since_columns: Sequence[str]) -> ColumnElement[Any]:
    """When the latest of these stays began."""
    columns = [rows.c[name] for name in since_columns]
    return func.greatest(*columns) if columns[1:] else columns[0]


def precomputed(findings: Select[*tuple[Any, ...]]) -> RuleResult:
    """A rule that cannot find accounts without knowing since when."""
    rows = findings.subquery("whole")

    def details(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        statement = select(rows)
        if among is None:
            return statement
        return statement.where(rows.c.account_key.in_(select(among.c.account_key)))

    return RuleResult(select(rows.c.account_key), details)


def _restrict(keys: Select[*tuple[Any, ...]], among: FromClause | None) -> FromClause:
    """The accounts, or those of them that are among others."""
    accounts = keys.subquery("found")
    if among is None:
        return accounts
    joined = accounts.join(among, among.c.account_key == accounts.c.account_key)
    return select(accounts.c.account_key).select_from(joined).subquery("within")


def no_detail() -> ColumnElement[Any]:
    """Where there is nothing more to say of a finding."""
    return cast(null(), String).label("detail")


def unbroken_since(view: View, keys: FromClause, predicate: RowCondition) -> FromClause:
    """One row per account: [account_key, since] of the last stretch in which something held.

    A version that says otherwise, or a snapshot without the account, ends a stretch. It is asked of
    the versions of these accounts only, which are to be few.
    """
    v = _versions_of(keys)
    previous_end = func.lag(v.c.valid_to).over(
        partition_by=(v.c.integration_id, v.c.account_key), order_by=v.c.valid_from
    )
    periods = (
        select(
            v.c.account_key,
            v.c.valid_from,
            previous_end.is_distinct_from(v.c.valid_from).label("begins"),
        )
        .where(view.is_past(v.c.valid_from), predicate(v))
        .subquery("holding")
    )
    return (
        select(periods.c.account_key, func.max(periods.c.valid_from).label("since"))
        .where(periods.c.begins)
        .group_by(periods.c.account_key)
        .subquery("unbroken")
    )


def _versions_of(keys: FromClause) -> FromClause:
    """The versions of some accounts, found by their keys before more of them is read."""

    def is_selected(rows: FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(select(keys.c.account_key))

    return lookup_versions(is_selected)


def limit_reached_at(view: View, late: FromClause, limit: ColumnElement[Any]) -> FromClause:
    """One row per integration and limit: the first snapshot beyond it, [.., after, at]."""
    limits = select(late.c.integration_id, limit.label("after")).distinct().subquery("limits")
    taken_at = snapshot.c.taken_at
    return (
        select(limits, func.min(taken_at).label("at"))
        .join_from(
            limits,
            snapshot,
            and_(
                snapshot.c.integration_id == limits.c.integration_id,
                taken_at > limits.c.after,
                view.is_past(taken_at),
            ),
        )
        .group_by(limits.c.integration_id, limits.c.after)
        .subquery("reached")
    )


def is_same_limit(
    reached: FromClause, late: FromClause, limit: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a row of `reached_at` is the one for a limit."""
    return and_(reached.c.integration_id == late.c.integration_id, reached.c.after == limit)
