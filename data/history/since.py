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

from data.schema import PROFILE, account_version, same_account
from data.staging import load_version
from data.states import FAILED, STATES
from data.store.dialect import digest_of

version = account_version

SUBSTANCE = (*PROFILE, "active_in_app")
"""What a job may be there to change."""


def substance_of(accounts: FromClause) -> ColumnElement[int]:
    """A number that is another one where anything of SUBSTANCE is.

    To compare it spares a load from reading long texts of all accounts, and lists above all.
    """
    of = accounts.c
    texts: dict[str, ColumnElement[Any]] = {name: of[name] for name in SUBSTANCE}
    texts["roles"] = func.array_to_string(of.roles, BETWEEN_ROLES)
    texts["active_in_app"] = cast(of.active_in_app, String)
    told = (func.coalesce(text, NOTHING) for text in texts.values())
    return digest_of(func.concat_ws(BETWEEN, *told))


def substance_in(columns: Any) -> list[ColumnElement[Any]]:
    """What to compare of SUBSTANCE: the one number, where it is told."""
    return [columns.substance] if "substance" in columns else [columns[n] for n in SUBSTANCE]


BETWEEN, BETWEEN_ROLES, NOTHING = "\x1d", "\x1e", "\x1f"
"""ASCII's own characters for parting texts, which those of people and roles do not use."""


def operation_of(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The operation that a state is of; NULL for the settled ones."""
    return case(*((state == s.name, s.operation) for s in STATES if s.operation))


def job_of(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """What tells the states of an operation, or a settled state, from all others: the first word.

    It is a tenth of the SQL that their names would be, which a small load mostly waits for.
    """
    return func.split_part(state, " ", 1)


def attempt_of(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same of the states in which a job waits or works; a failed one is by itself."""
    return case((state.in_(FAILED), state), else_=job_of(state))


STAYS: dict[str, Callable[[Any], Sequence[ColumnElement[Any]]]] = {
    "state_since": lambda c: [c.provisioning_state],
    "attempt_since": lambda c: [attempt_of(c.provisioning_state)],
    "job_since": lambda c: [job_of(c.provisioning_state)],
    "active_since": lambda c: [c.active_in_app],
    "user_since": lambda c: [c.user_name, c.user_email],
    "same_since": substance_in,
}
"""Column → what stays the same for as long as it says."""

BEFORE = {"state_before": ("state_since", "provisioning_state"), "job_before": ("job_since",) * 2}
"""Column → the stay that it is of, and what it tells of the version right before that."""


# ---- of what a snapshot says ---------------------------------------------------------------------


def stays_of(now: FromClause, before: FromClause, moment: Any) -> list[ColumnElement[Any]]:
    """STAYS and BEFORE of accounts as a snapshot shows them, by how the one before showed them."""

    def goes_on(name: str) -> ColumnElement[bool]:
        pairs = zip(STAYS[name](now.c), STAYS[name](before.c), strict=True)
        same = (one.is_not_distinct_from(other) for one, other in pairs)
        return and_(before.c.account_key.is_not(None), *same)

    since = [case((goes_on(name), before.c[name]), else_=moment) for name in STAYS]
    led = [
        case((goes_on(stay), before.c[name]), else_=before.c[told])
        for name, (stay, told) in BEFORE.items()
    ]
    return [*since, *led]


def tell_stays_anew(con: Connection, integration_id: int) -> None:
    """Work out the stays of the versions in `load_version`, which has all of its accounts."""
    stays, rows = _stays_of_versions(integration_id), load_version
    con.execute(
        update(rows)
        .values({name: stays.c[name] for name in (*STAYS, *BEFORE)})
        .where(
            rows.c.integration_id == integration_id,
            same_account(rows, stays),
            rows.c.valid_from == stays.c.valid_from,
            or_(*(rows.c[name].is_distinct_from(stays.c[name]) for name in (*STAYS, *BEFORE))),
        )
    )


def _stays_of_versions(integration_id: int) -> FromClause:
    """One row per version: [integration_id, account_key, valid_from, *STAYS, *BEFORE]."""

    def earlier(rows: FromClause) -> dict[str, Any]:
        whose = (rows.c.integration_id, rows.c.account_key)
        return {"partition_by": whose, "order_by": rows.c.valid_from}

    v = load_version.c
    follows = func.lag(v.valid_to).over(**earlier(load_version)) == v.valid_from
    begins = {
        name: or_(
            follows.is_not(True),
            *(func.lag(of).over(**earlier(load_version)).is_distinct_from(of) for of in says(v)),
        )
        for name, says in STAYS.items()
    }
    told = (
        select(
            v.integration_id,
            v.account_key,
            v.valid_from,
            v.provisioning_state,
            follows.label("follows"),
            *(case((is_so, v.valid_from)).label(name) for name, is_so in begins.items()),
        )
        .where(v.integration_id == integration_id)
        .subquery("told")
    )
    so_far = [func.max(told.c[name]).over(**earlier(told)).label(name) for name in STAYS]
    since = select(
        told.c.integration_id,
        told.c.account_key,
        told.c.valid_from,
        told.c.provisioning_state,
        told.c.follows,
        *so_far,
    ).subquery("since")
    before = [
        case((since.c.follows, func.lag(since.c[of]).over(**earlier(since)))).label(name)
        for name, (_, of) in BEFORE.items()
    ]
    dated = select(since, *before).subquery("dated")
    key = [dated.c[name] for name in ("integration_id", "account_key", "valid_from")]
    led = [
        func.max(case((dated.c.valid_from == dated.c[stay], dated.c[name])))
        .over(partition_by=(*key[:2], dated.c[stay]))
        .label(name)
        for name, (stay, _) in BEFORE.items()
    ]
    return select(*key, *(dated.c[name] for name in STAYS), *led).subquery("stays")


# ---- of what has ended ---------------------------------------------------------------------------
