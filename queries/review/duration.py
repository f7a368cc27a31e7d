"""How long a condition has held for accounts, by their snapshots: what every rule asks.

Durations run up to the newest snapshot of the account's integration, not up to the clock: the same
snapshots always give the same findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, func, select

from data.formatting import utc_now
from data.records.exceptions import RuleSettings
from data.schema import account_current, snapshot
from queries.lookup import RowCondition, lookup_versions
from queries.scope import Scope, accounts_as_of, newest_snapshots


@dataclass(frozen=True)
class View(Scope):
    """The accounts that rules look at, with the settings of the rules."""

    limits: RuleSettings = field(default_factory=RuleSettings)
    evaluated_at: datetime = field(default_factory=utc_now)
    """Exceptions added or withdrawn by then count (naive UTC), unless `as_of` is set."""
    found_after: datetime | None = None
    """Only findings since a later moment; rules and their summaries do not read this."""
    gone_by: datetime | None = None
    """Only findings that the rule does not find at this later moment."""

    @property
    def is_narrowed(self) -> bool:
        """Whether some of the findings are left out."""
        return bool(self.found_after or self.gone_by)

    def accounts(self) -> sa.FromClause:
        """One row per account."""
        if self.as_of is None and not self.integration:
            return account_current.alias("accounts")
        rows = accounts_as_of(self.as_of)
        return select(rows).where(self.includes(rows)).subquery("accounts")

    def records_until(self) -> datetime:
        """Up to when exceptions count (naive UTC)."""
        return self.as_of or self.evaluated_at

    def newest_snapshots(self) -> sa.FromClause:
        """One row per integration: [integration_id, at] of its newest snapshot."""
        return newest_snapshots(self.as_of)


@dataclass(frozen=True)
class RuleResult:
    """The findings of a rule: their accounts, which is fast, and their details, which is slower."""

    accounts: sa.Select[*tuple[Any, ...]]
    """One row per account: [account_key]."""
    details: Callable[[sa.FromClause | None], sa.Select[*tuple[Any, ...]]]
    """One row per account, of all or of these: [account_key, since, detail]."""


def condition(view: View, predicate: RowCondition, *since_columns: str) -> RuleResult:
    """Accounts that meet a predicate, since the latest of these since-columns."""
    accounts = view.accounts()
    keys = select(accounts.c.account_key).where(predicate(accounts))

    def details(among: sa.FromClause | None) -> sa.Select[*tuple[Any, ...]]:
        selected = _restrict(keys, among)
        since = latest_of(accounts, since_columns).label("since")
        return select(accounts.c.account_key, since, no_detail()).join_from(
            accounts, selected, selected.c.account_key == accounts.c.account_key
        )

    return RuleResult(keys, details)


def history_condition(view: View, predicate: RowCondition) -> RuleResult:
    """Accounts that meet a predicate, since the first version from which all have met it."""
    accounts = view.accounts()
    keys = select(accounts.c.account_key).where(predicate(accounts))

    def details(among: sa.FromClause | None) -> sa.Select[*tuple[Any, ...]]:
        return select(unbroken_since(view, _restrict(keys, among), predicate), no_detail())

    return RuleResult(keys, details)


def lasting_condition(
    view: View,
    predicate: RowCondition,
    span: timedelta,
    span_columns: Sequence[str],
    since_columns: Sequence[str],
) -> RuleResult:
    """Accounts that meet a predicate, and have met a part of it for longer than the span.

    The part has held since the latest of `span_columns`, all of it since the latest of
    `since_columns`.
    """
    accounts, newest = view.accounts(), view.newest_snapshots()
    began = latest_of(accounts, span_columns)
    late = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            began.label("began"),
            latest_of(accounts, since_columns).label("held_since"),
        )
        .join_from(accounts, newest, newest.c.integration_id == accounts.c.integration_id)
        .where(predicate(accounts), newest.c.at - span > began)
        .cte()
    )

    def details(among: sa.FromClause | None) -> sa.Select[*tuple[Any, ...]]:
        limit = late.c.began + span
        reached = limit_reached_at(view, late, limit)
        selected = _restrict(select(late.c.account_key), among)
        since = func.greatest(late.c.held_since, reached.c.at).label("since")
        return (
            select(late.c.account_key, since, no_detail())
            .join_from(late, selected, selected.c.account_key == late.c.account_key)
            .join(reached, is_same_limit(reached, late, limit))
        )

    return RuleResult(select(late.c.account_key), details)


def precomputed(findings: sa.Select[*tuple[Any, ...]]) -> RuleResult:
    """The result of a rule that finds accounts and since when in one query."""
    rows = findings.subquery("precomputed")

    def details(among: sa.FromClause | None) -> sa.Select[*tuple[Any, ...]]:
        query = select(rows)
        if among is None:
            return query
        return query.where(rows.c.account_key.in_(select(among.c.account_key)))

    return RuleResult(select(rows.c.account_key), details)


def latest_of(rows: sa.FromClause, columns: Sequence[str]) -> ColumnElement[Any]:
    """The latest of some moments of a row."""
    moments = [rows.c[name] for name in columns]
    return func.greatest(*moments) if moments[1:] else moments[0]


def _restrict(keys: sa.Select[*tuple[Any, ...]], among: sa.FromClause | None) -> sa.FromClause:
    """The accounts, or those of them that are among others."""
    accounts = keys.subquery("matching")
    if among is None:
        return accounts
    joined = accounts.join(among, among.c.account_key == accounts.c.account_key)
    return select(accounts.c.account_key).select_from(joined).subquery("restricted")


def no_detail() -> ColumnElement[Any]:
    """The detail of a rule that has none."""
    return sa.cast(sa.null(), sa.String).label("detail")


def unbroken_since(view: View, keys: sa.FromClause, predicate: RowCondition) -> sa.FromClause:
    """One row per account: [account_key, since] its versions have met a predicate without a break.

    Another version, or a snapshot without the account, is a break. The keys have to be few: all
    their versions are read.
    """
    versions = lookup_versions(lambda rows: rows.c.account_key.in_(select(keys.c.account_key)))
    holding = (
        select(
            *(versions.c[name] for name in ("integration_id", "account_key", "valid_from")),
            starts_after_break(versions, "integration_id", "account_key"),
        )
        .where(view.is_past(versions.c.valid_from), predicate(versions))
        .subquery("holding")
    )
    return latest_start(holding, "account_key")


def starts_after_break(rows: sa.FromClause, *keys: str) -> ColumnElement[bool]:
    """`starts`: whether the row of the same keys before this one did not reach up to it."""
    previous_end = func.lag(rows.c.valid_to).over(
        partition_by=[rows.c[name] for name in keys], order_by=rows.c.valid_from
    )
    return previous_end.is_distinct_from(rows.c.valid_from).label("starts")


def latest_start(rows: sa.FromClause, *keys: str) -> sa.FromClause:
    """One row per keys: [*keys, since] the last of its rows that `starts`."""
    columns = [rows.c[name] for name in keys]
    return (
        select(*columns, func.max(rows.c.valid_from).label("since"))
        .where(rows.c.starts)
        .group_by(*columns)
        .subquery()
    )


def limit_reached_at(view: View, late: sa.FromClause, limit: ColumnElement[Any]) -> sa.FromClause:
    """One row per integration and limit: [.., after, at] of the first snapshot beyond it."""
    limits = select(late.c.integration_id, limit.label("after")).distinct().subquery("limits")
    taken_at = snapshot.c.taken_at
    is_beyond = and_(
        snapshot.c.integration_id == limits.c.integration_id,
        taken_at > limits.c.after,
        view.is_past(taken_at),
    )
    return (
        select(limits, func.min(taken_at).label("at"))
        .join_from(limits, snapshot, is_beyond)
        .group_by(limits.c.integration_id, limits.c.after)
        .subquery("reached")
    )


def is_same_limit(
    reached: sa.FromClause, late: sa.FromClause, limit: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a row of `limit_reached_at` belongs to a limit."""
    return and_(reached.c.integration_id == late.c.integration_id, reached.c.after == limit)
