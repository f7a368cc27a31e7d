"""Why accounts fail: their reasons, those that differ in names and numbers only taken as one."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.history.failure_reasons import template
from data.schema import account_version, integration
from queries.cache import remembered
from queries.filters import Filters, conditions, delivered
from queries.period import Scope


@remembered(16)
def failure_reasons(con: Connection, scope: Scope, *, limit: int = 8) -> pd.DataFrame:
    """One row per reason that accounts fail for at the moment, the most accounts first.

    [reason, words, accounts, before, first_seen]: `words` is the template of one of its texts, NULL
    where there is none; `before` are the accounts that failed for it just before the scope,
    `first_seen` is the first snapshot that tells of it, ever. Accounts with a failure code are one
    reason by the code, the others by the template of their text.
    """
    asked = Filters(integration=scope.integrations)
    now = delivered(scope.at, whole=False)
    most = (
        select(
            now.c.failure_reason.label("reason"),
            func.min(now.c.state_reason).label("text"),
            func.count().label("accounts"),
        )
        .where(now.c.failure_reason.is_not(None), *conditions(asked, now))
        .group_by(now.c.failure_reason)
        .order_by(func.count().desc(), now.c.failure_reason)
        .limit(limit)
        .subquery("most")
    )
    then = account_version.c
    earlier = and_(then.valid_from <= scope.before.at, then.valid_to > scope.before.at)
    told = (
        select(
            then.failure_reason.label("reason"),
            func.count().filter(earlier).label("before"),
            func.min(then.valid_from).label("first_seen"),
        )
        .where(then.failure_reason.is_not(None), *_known(scope))
        .group_by(then.failure_reason)
        .subquery("told")
    )
    rows = con.execute(
        select(
            most.c.reason,
            template(most.c.text).label("words"),
            most.c.accounts,
            told.c.before,
            told.c.first_seen,
        )
        .join_from(most, told, told.c.reason == most.c.reason)
        .order_by(most.c.accounts.desc(), most.c.reason)
    )
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def _known(scope: Scope) -> list[ColumnElement[bool]]:
    """Versions of the integrations, all where none is named, that were known at the moment."""
    version, named = account_version.c, integration.c.name.in_(scope.integrations)
    chosen = select(integration.c.integration_id).where(named)
    return [
        *([version.integration_id.in_(chosen)] if scope.integrations else []),
        *([version.valid_from <= scope.at] if scope.at is not None else []),
    ]
