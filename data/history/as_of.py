"""The accounts of an integration at a moment, and the span for which a snapshot holds."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func, select

from data.schema import (
    OPEN_END,
    TRACKED_COLUMNS,
    SnapshotTime,
    account,
    account_current,
    account_version,
    integration,
    is_unmatched,
    is_valid_at,
    join_profile,
    snapshot,
)

EARLIEST_MOMENT = datetime(1, 1, 1)
version = account_version


def accounts_at(
    integration_id: int | ColumnElement[int], moment: datetime | ColumnElement[datetime] | None
) -> sa.FromClause:
    """One row per account of the integration at a moment; None means now."""
    if moment is None:
        rows = select(account_current).where(account_current.c.integration_id == integration_id)
        return rows.subquery("accounts")
    versions = select(version).where(
        version.c.integration_id == integration_id, is_valid_at(version, moment)
    )
    return join_profile(versions.subquery("accounts"))


def is_matched(accounts: sa.FromClause) -> ColumnElement[bool]:
    """Whether an account has a user. Current accounts have a column for it, which is faster."""
    return accounts.c.is_matched if "is_matched" in accounts.c else ~is_unmatched(accounts)


class SpanKind(NamedTuple):
    """A span in a statement, where its values are parameters: `Span.execute`."""

    is_newest: bool
    had_snapshot: bool

    integration_id = sa.bindparam("span_integration_id", type_=sa.Integer)
    taken_at = sa.bindparam("span_taken_at", type_=SnapshotTime)
    until = sa.bindparam("span_until", type_=SnapshotTime)
    highest_key = sa.bindparam("span_highest_key", type_=sa.BigInteger)

    @property
    def is_append(self) -> bool:
        """As in Span."""
        return self.is_newest and not self.had_snapshot

    def accounts_in_store(self) -> sa.FromClause:
        """As in Span."""
        return accounts_at(self.integration_id, None if self.is_newest else self.taken_at)


class Span(NamedTuple):
    """The time for which a snapshot holds, or several that are removed: [taken_at, until)."""

    integration_id: int
    taken_at: datetime
    until: datetime  # when the next snapshot was taken; OPEN_END for the newest
    had_snapshot: bool  # whether the store already has a snapshot of `taken_at`
    highest_key: int  # of all accounts before the span is written; 0 without any

    @property
    def is_newest(self) -> bool:
        """Whether no snapshot of the integration was taken later."""
        return self.until == OPEN_END

    @property
    def is_append(self) -> bool:
        """Whether it extends the history, as nearly every snapshot does."""
        return self.is_newest and not self.had_snapshot

    @property
    def kind(self) -> SpanKind:
        """What the statements of the span are built from."""
        return SpanKind(self.is_newest, self.had_snapshot)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of what is built from its kind."""
        return {
            "span_integration_id": self.integration_id,
            "span_taken_at": self.taken_at,
            "span_until": self.until,
            "span_highest_key": self.highest_key,
        }

    def accounts_in_store(self) -> sa.FromClause:
        """One row per account of the integration, as the store has it at the span's start."""
        return accounts_at(self.integration_id, None if self.is_newest else self.taken_at)

    def execute(
        self,
        con: Connection,
        build: Callable[..., sa.Executable],
        *arguments: object,
        **parameters: object,
    ) -> sa.CursorResult[*tuple[Any, ...]]:
        """Execute what `build` makes of the kind of the span and the arguments.

        It is built once for all spans of a kind: a statement takes as long to build as to run on a
        short list. `parameters` are the values of further parameters in it.
        """
        return con.execute(_built(build, self.kind, *arguments), self.parameters | parameters)


@lru_cache(maxsize=64)
def _built(build: Callable[..., sa.Executable], *arguments: object) -> sa.Executable:
    return build(*arguments)


def find_snapshot(con: Connection, integration_name: str, taken_at: datetime) -> sa.Row[Any] | None:
    """The row of `snapshot`, if one is loaded for the moment."""
    return con.execute(
        select(snapshot)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == integration_name, snapshot.c.taken_at == taken_at)
    ).first()


def newest_moment(con: Connection, integration_name: str) -> datetime | None:
    """When the newest snapshot of the integration was taken (naive UTC); None without any."""
    return con.scalar(
        select(func.max(snapshot.c.taken_at))
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == integration_name)
    )


def find_span(
    con: Connection, integration_name: str, taken_at: datetime, *, had_snapshot: bool
) -> Span:
    """The span of a snapshot of the moment; a new integration gets the next ID."""
    integration_id = con.scalar(
        select(integration.c.integration_id).where(integration.c.name == integration_name)
    )
    highest_key = con.scalar(select(func.max(account.c.account_key))) or 0
    if integration_id is None:
        highest_id = con.scalar(select(func.max(integration.c.integration_id))) or 0
        return Span(highest_id + 1, taken_at, OPEN_END, had_snapshot, highest_key)
    next_taken_at = con.scalar(
        select(func.min(snapshot.c.taken_at)).where(
            snapshot.c.integration_id == integration_id, snapshot.c.taken_at > taken_at
        )
    )
    return Span(integration_id, taken_at, next_taken_at or OPEN_END, had_snapshot, highest_key)


def previous_accounts(con: Connection, span: Span) -> sa.Select[*tuple[Any, ...]]:
    """The accounts of the snapshot before the span's.

    Columns: integration_id, account_key, account_id, which is NULL, and TRACKED_COLUMNS.
    """
    taken_at = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(
            snapshot.c.integration_id == span.integration_id,
            snapshot.c.taken_at < span.taken_at,
        )
    )
    accounts = accounts_at(span.integration_id, taken_at or EARLIEST_MOMENT)
    return select(
        accounts.c.integration_id,
        accounts.c.account_key,
        sa.cast(sa.null(), sa.String).label("account_id"),
        *(accounts.c[name] for name in TRACKED_COLUMNS),
    )
