"""Since when an account has been as it is: in its state, in its job, active, with its user.

These since-columns are stored with each version, so that no query has to walk the history. A
period ends with a version that differs, or with a snapshot that does not list the account.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.schema import SLOW_CHANGING_COLUMNS, is_same_account
from data.staging import stage_version
from data.states import FAILED_STATES, STATES
from data.store.dialect import digest_of

HASHED_COLUMNS = (*SLOW_CHANGING_COLUMNS, "active_in_app")
"""The columns that a job can change."""

FIELD_SEPARATOR, ROLE_SEPARATOR, NULL_MARK = "\x1d", "\x1e", "\x1f"
"""ASCII's control characters for separating texts. Names and roles do not contain them."""


def content_hash(accounts: sa.FromClause) -> ColumnElement[int]:
    """A number that changes when any of HASHED_COLUMNS does.

    Comparing it spares a load from reading long texts, and lists above all, of all accounts.
    """
    columns = accounts.c
    texts: dict[str, ColumnElement[Any]] = {name: columns[name] for name in HASHED_COLUMNS}
    texts["roles"] = func.array_to_string(columns.roles, ROLE_SEPARATOR)
    texts["active_in_app"] = sa.cast(columns.active_in_app, sa.String)
    nonnull_texts = (func.coalesce(text, NULL_MARK) for text in texts.values())
    return digest_of(func.concat_ws(FIELD_SEPARATOR, *nonnull_texts))


def hash_or_columns(columns: Any) -> list[ColumnElement[Any]]:
    """The content hash, if the rows have it; else the columns that it is made of."""
    if "content_hash" in columns:
        return [columns.content_hash]
    return [columns[name] for name in HASHED_COLUMNS]


def state_operation(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The operation of a state; NULL for the settled ones."""
    return case(*((state == s.name, s.operation) for s in STATES if s.operation))


def job_key(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The first word of a state: equal for the states of one operation, unique for the others.

    It takes a tenth of the SQL that the names of the states would, which speeds up small loads.
    """
    return func.split_part(state, " ", 1)


def attempt_key(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """Like `job_key`, but a failed state differs from the open ones of its operation."""
    return case((state.in_(FAILED_STATES), state), else_=job_key(state))


SINCE_COLUMNS: dict[str, Callable[[Any], Sequence[ColumnElement[Any]]]] = {
    "state_since": lambda c: [c.provisioning_state],
    "attempt_since": lambda c: [attempt_key(c.provisioning_state)],
    "job_since": lambda c: [job_key(c.provisioning_state)],
    "active_since": lambda c: [c.active_in_app],
    "user_since": lambda c: [c.user_name, c.user_email],
    "content_since": hash_or_columns,
}
"""Column → the values that have not changed since."""

PREVIOUS_COLUMNS = {
    "previous_state": ("state_since", "provisioning_state"),
    "previous_job_since": ("job_since", "job_since"),
}
"""Column → the since-column of its period, and the column it takes from the version before that."""


def _is_continued(
    was_there: ColumnElement[bool],
    values: Iterable[ColumnElement[Any]],
    previous: Iterable[ColumnElement[Any]],
) -> ColumnElement[bool]:
    pairs = zip(values, previous, strict=True)
    return and_(was_there, *(value.is_not_distinct_from(before) for value, before in pairs))


def since_columns(
    after: sa.FromClause, before: sa.FromClause, moment: Any
) -> list[ColumnElement[Any]]:
    """SINCE_COLUMNS and PREVIOUS_COLUMNS of accounts in a snapshot of the moment.

    `before`: the same accounts in the snapshot before; its rows are outer-joined.
    """
    was_there = before.c.account_key.is_not(None)
    continued = {
        name: _is_continued(was_there, values(after.c), values(before.c))
        for name, values in SINCE_COLUMNS.items()
    }
    since = [case((continued[name], before.c[name]), else_=moment) for name in SINCE_COLUMNS]
    previous = [
        case((continued[since_name], before.c[name]), else_=before.c[source])
        for name, (since_name, source) in PREVIOUS_COLUMNS.items()
    ]
    return [*since, *previous]


def recompute_since_columns(con: Connection, integration_id: int) -> None:
    """Update the since-columns of `stage_version`, which has all versions of its accounts."""
    recomputed, rows = _version_since_columns(integration_id), stage_version.c
    names = (*SINCE_COLUMNS, *PREVIOUS_COLUMNS)
    con.execute(
        sa.update(stage_version)
        .values({name: recomputed.c[name] for name in names})
        .where(
            rows.integration_id == integration_id,
            is_same_account(stage_version, recomputed),
            rows.valid_from == recomputed.c.valid_from,
            sa.or_(*(rows[name].is_distinct_from(recomputed.c[name]) for name in names)),
        )
    )


VERSION_KEY = ("integration_id", "account_key", "valid_from")


def _version_since_columns(integration_id: int) -> sa.FromClause:
    """One row per version: [*VERSION_KEY, *SINCE_COLUMNS, *PREVIOUS_COLUMNS]."""
    starts = _period_starts(integration_id)
    since = select(
        *(c for c in starts.c if c.name not in SINCE_COLUMNS),
        *(_over_time(func.max(starts.c[name]), starts).label(name) for name in SINCE_COLUMNS),
    ).subquery("since")
    previous = [
        case((since.c.is_adjacent, _over_time(func.lag(since.c[source]), since))).label(name)
        for name, (_, source) in PREVIOUS_COLUMNS.items()
    ]
    dated = select(since, *previous).subquery("dated")
    first_of_period = [
        func.max(case((dated.c.valid_from == dated.c[since_name], dated.c[name])))
        .over(partition_by=(dated.c.integration_id, dated.c.account_key, dated.c[since_name]))
        .label(name)
        for name, (since_name, _) in PREVIOUS_COLUMNS.items()
    ]
    columns = [dated.c[name] for name in (*VERSION_KEY, *SINCE_COLUMNS)]
    return select(*columns, *first_of_period).subquery("recomputed")


def _period_starts(integration_id: int) -> sa.FromClause:
    """One row per version: each since-column is `valid_from` where a period starts, else NULL."""
    rows = stage_version.c
    is_adjacent = _over_time(func.lag(rows.valid_to), stage_version) == rows.valid_from
    starts = []
    for name, tracked_values in SINCE_COLUMNS.items():
        values = tracked_values(rows)
        previous = (_over_time(func.lag(value), stage_version) for value in values)
        is_continued = _is_continued(is_adjacent, values, previous)
        starts.append(case((is_continued, sa.null()), else_=rows.valid_from).label(name))
    keys = (rows[name] for name in (*VERSION_KEY, "provisioning_state"))
    return (
        select(*keys, is_adjacent.label("is_adjacent"), *starts)
        .where(rows.integration_id == integration_id)
        .subquery("starts")
    )


def _over_time(function: Any, versions: sa.FromClause) -> ColumnElement[Any]:
    """A window function over an account's versions, oldest first."""
    account = (versions.c.integration_id, versions.c.account_key)
    return function.over(partition_by=account, order_by=versions.c.valid_from)
