"""How long accounts stay as they are: in a state, in a job, active, with a user, and unchanged.

Kept with the versions, so that no question has to go through the history for it. A stay is
unbroken: a version that says otherwise, or a snapshot without the account, ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    String,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    update,
)

from data.schema import SLOW_CHANGING_COLUMNS, account_version, is_same_account
from data.staging import stage_version
from data.states import FAILED_STATES, STATES
from data.store.dialect import digest_of

version = account_version

HASHED_COLUMNS = (*SLOW_CHANGING_COLUMNS, "active_in_app")
"""What a job may be there to change."""


def content_hash(accounts: FromClause) -> ColumnElement[int]:
    """A number that is another one where anything of SUBSTANCE is.

    To compare it spares a load from reading long texts of all accounts, and lists above all.
    """
    columns = accounts.c
    texts: dict[str, ColumnElement[Any]] = {name: columns[name] for name in HASHED_COLUMNS}
    texts["roles"] = func.array_to_string(columns.roles, ROLE_SEPARATOR)
    texts["active_in_app"] = cast(columns.active_in_app, String)
    nonnull_texts = (func.coalesce(text, NULL_MARK) for text in texts.values())
    return digest_of(func.concat_ws(FIELD_SEPARATOR, *nonnull_texts))


def hash_or_columns(columns: Any) -> list[ColumnElement[Any]]:
    """What to compare of SUBSTANCE: the one number, where it is told."""
    return (
        [columns.content_hash]
        if "content_hash" in columns
        else [columns[n] for n in HASHED_COLUMNS]
    )


FIELD_SEPARATOR, ROLE_SEPARATOR, NULL_MARK = "\x1d", "\x1e", "\x1f"
"""ASCII's own characters for parting texts, which those of people and roles do not use."""


def state_operation(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The operation that a state is of; NULL for the settled ones."""
    return case(*((state == s.name, s.operation) for s in STATES if s.operation))


def job_key(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """What tells the states of an operation, or a settled state, from all others: the first word.

    It is a tenth of the SQL that their names would be, which a small load mostly waits for.
    """
    return func.split_part(state, " ", 1)


def attempt_key(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same of the states in which a job waits or works; a failed one is by itself."""
    return case((state.in_(FAILED_STATES), state), else_=job_key(state))


SINCE_COLUMNS: dict[str, Callable[[Any], Sequence[ColumnElement[Any]]]] = {
    "state_since": lambda c: [c.provisioning_state],
    "attempt_since": lambda c: [attempt_key(c.provisioning_state)],
    "job_since": lambda c: [job_key(c.provisioning_state)],
    "active_since": lambda c: [c.active_in_app],
    "user_since": lambda c: [c.user_name, c.user_email],
    "content_since": hash_or_columns,
}
"""Column → what stays the same for as long as it says."""

PREVIOUS_COLUMNS = {
    "previous_state": ("state_since", "provisioning_state"),
    "previous_job_since": ("job_since",) * 2,
}
"""Column → the stay that it is of, and what it tells of the version right before that."""


# ---- of what a snapshot says ---------------------------------------------------------------------


def since_columns(after: FromClause, before: FromClause, moment: Any) -> list[ColumnElement[Any]]:
    """STAYS and BEFORE of accounts as a snapshot shows them, by how the one before showed them."""

    def is_continued(name: str) -> ColumnElement[bool]:
        pairs = zip(SINCE_COLUMNS[name](after.c), SINCE_COLUMNS[name](before.c), strict=True)
        is_same = (new_value.is_not_distinct_from(old_value) for new_value, old_value in pairs)
        return and_(before.c.account_key.is_not(None), *is_same)

    since = [case((is_continued(name), before.c[name]), else_=moment) for name in SINCE_COLUMNS]
    previous = [
        case((is_continued(since_name), before.c[name]), else_=before.c[source_name])
        for name, (since_name, source_name) in PREVIOUS_COLUMNS.items()
    ]
    return [*since, *previous]


def recompute_since_columns(con: Connection, integration_id: int) -> None:
    """Work out the stays of the versions in `stage_version`, which has all of its accounts."""
    recomputed, rows = _version_since_columns(integration_id), stage_version
    con.execute(
        update(rows)
        .values({name: recomputed.c[name] for name in (*SINCE_COLUMNS, *PREVIOUS_COLUMNS)})
        .where(
            rows.c.integration_id == integration_id,
            is_same_account(rows, recomputed),
            rows.c.valid_from == recomputed.c.valid_from,
            or_(
                *(
                    rows.c[name].is_distinct_from(recomputed.c[name])
                    for name in (*SINCE_COLUMNS, *PREVIOUS_COLUMNS)
                )
            ),
        )
    )


def _version_since_columns(integration_id: int) -> FromClause:
    """One row per version: [integration_id, account_key, valid_from, *STAYS, *BEFORE]."""

    def previous_versions(rows: FromClause) -> dict[str, Any]:
        account_columns = (rows.c.integration_id, rows.c.account_key)
        return {"partition_by": account_columns, "order_by": rows.c.valid_from}

    versions = stage_version.c
    is_adjacent = (
        func.lag(versions.valid_to).over(**previous_versions(stage_version)) == versions.valid_from
    )
    starts = {
        name: or_(
            is_adjacent.is_not(True),
            *(
                func.lag(value).over(**previous_versions(stage_version)).is_distinct_from(value)
                for value in tracked_values(versions)
            ),
        )
        for name, tracked_values in SINCE_COLUMNS.items()
    }
    marked = (
        select(
            versions.integration_id,
            versions.account_key,
            versions.valid_from,
            versions.provisioning_state,
            is_adjacent.label("follows"),
            *(
                case((is_start, versions.valid_from)).label(name)
                for name, is_start in starts.items()
            ),
        )
        .where(versions.integration_id == integration_id)
        .subquery("told")
    )
    since_values = [
        func.max(marked.c[name]).over(**previous_versions(marked)).label(name)
        for name in SINCE_COLUMNS
    ]
    since = select(
        marked.c.integration_id,
        marked.c.account_key,
        marked.c.valid_from,
        marked.c.provisioning_state,
        marked.c.follows,
        *since_values,
    ).subquery("since")
    previous_values = [
        case((since.c.follows, func.lag(since.c[value]).over(**previous_versions(since)))).label(
            name
        )
        for name, (_, value) in PREVIOUS_COLUMNS.items()
    ]
    dated = select(since, *previous_values).subquery("dated")
    key = [dated.c[name] for name in ("integration_id", "account_key", "valid_from")]
    first_previous = [
        func.max(case((dated.c.valid_from == dated.c[since_name], dated.c[name])))
        .over(partition_by=(*key[:2], dated.c[since_name]))
        .label(name)
        for name, (since_name, _) in PREVIOUS_COLUMNS.items()
    ]
    return select(*key, *(dated.c[name] for name in SINCE_COLUMNS), *first_previous).subquery(
        "stays"
    )


# ---- of what has ended ---------------------------------------------------------------------------
