"""Why accounts fail: their reasons, those that differ in names and numbers only taken as one."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.history.failure_reasons import reason_template
from data.schema import account_version, integration
from queries.cache import cached
from queries.filters import Filters, accounts_as_of, conditions
from queries.period import Period


@cached(16)
def failure_reasons(con: Connection, scope: Period, *, limit: int = 8) -> pd.DataFrame:
    """One row per reason that accounts fail for at the moment, the most accounts first.

    [reason, words, accounts, before, first_seen]: `words` is the template of one of its texts, NULL
    where there is none; `before` are the accounts that failed for it just before the scope,
    `first_seen` is the first snapshot that tells of it, ever. Accounts with a failure code are one
    reason by the code, the others by the template of their text.
    """
    filters = Filters(integration=scope.integration)
    current = accounts_as_of(scope.as_of, all_columns=False)
    top = (
        select(
            current.c.failure_reason.label("reason"),
            func.min(current.c.state_reason).label("text"),
            func.count().label("accounts"),
        )
        .where(current.c.failure_reason.is_not(None), *conditions(filters, current))
        .group_by(current.c.failure_reason)
        .order_by(func.count().desc(), current.c.failure_reason)
        .limit(limit)
        .subquery("most")
    )
    version = account_version.c
    held_before = and_(
        version.valid_from <= scope.previous.as_of, version.valid_to > scope.previous.as_of
    )
    history = (
        select(
            version.failure_reason.label("reason"),
            func.count().filter(held_before).label("before"),
            func.min(version.valid_from).label("first_seen"),
        )
        .where(version.failure_reason.is_not(None), *_versions_until(scope))
        .group_by(version.failure_reason)
        .subquery("told")
    )
    rows = con.execute(
        select(
            top.c.reason,
            reason_template(top.c.text).label("words"),
            top.c.accounts,
            history.c.before,
            history.c.first_seen,
        )
        .join_from(top, history, history.c.reason == top.c.reason)
        .order_by(top.c.accounts.desc(), top.c.reason)
    )
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def _versions_until(scope: Period) -> list[ColumnElement[bool]]:
    """Versions of the integrations, all where none is named, that were known at the moment."""
    version, is_named = account_version.c, integration.c.name.in_(scope.integration)
    ids = select(integration.c.integration_id).where(is_named)
    return [
        *([version.integration_id.in_(ids)] if scope.integration else []),
        *([version.valid_from <= scope.as_of] if scope.as_of is not None else []),
    ]
