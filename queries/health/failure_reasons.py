"""Why accounts fail; reasons that differ only in names and numbers count as one."""

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.schema import account_version, failure_reason, is_valid_at
from queries.cache import cached
from queries.filters import Filters, conditions
from queries.frames import read_frame
from queries.period import Period
from queries.scope import accounts_as_of


@cached(16)
def failure_reasons(con: Connection, scope: Period, *, limit: int = 8) -> pd.DataFrame:
    """One row per failure reason at the moment, the most frequent first.

    [reason, template, accounts, before, first_seen]: `reason` is the failure code or, without one,
    the template of the text; `template` is that of one of its texts, or the reason where there is
    none or the reader may not see it; neither names an account of the integration; `before` are
    the accounts that failed for it just before the scope; `first_seen` is the first snapshot of
    the history with it (naive UTC).
    """
    top, history = _top_reasons(scope, limit), _reason_history(scope)
    return read_frame(
        con,
        select(top.c.reason, top.c.template, top.c.accounts, history.c.before, history.c.first_seen)
        .join_from(top, history, history.c.reason == top.c.reason)
        .order_by(top.c.accounts.desc(), top.c.reason),
    )


def _top_reasons(scope: Period, limit: int) -> sa.FromClause:
    """One row per reason at the moment of the scope: [reason, template, accounts]."""
    current = accounts_as_of(scope.as_of, all_columns=False)
    reason, accounts = current.c.failure_reason, func.count()
    in_scope = conditions(Filters(integration=scope.integration), current)
    is_its_text = sa.and_(
        failure_reason.c.integration_id == current.c.integration_id,
        failure_reason.c.failure_text == current.c.failure_text,
    )
    return (
        select(
            reason.label("reason"),
            func.coalesce(func.min(failure_reason.c.template), reason).label("template"),
            accounts.label("accounts"),
        )
        .select_from(current.outerjoin(failure_reason, is_its_text))
        .where(reason.is_not(None), *in_scope)
        .group_by(reason)
        .order_by(accounts.desc(), reason)
        .limit(limit)
        .subquery("top")
    )


def _reason_history(scope: Period) -> sa.FromClause:
    """One row per reason in the history: [reason, before, first_seen]."""
    version = account_version.c
    was_valid = is_valid_at(account_version, scope.previous.end)
    return (
        select(
            version.failure_reason.label("reason"),
            func.count().filter(was_valid).label("before"),
            func.min(version.valid_from).label("first_seen"),
        )
        .where(
            version.failure_reason.is_not(None),
            scope.includes(account_version),
            scope.is_past(version.valid_from),
        )
        .group_by(version.failure_reason)
        .subquery("history")
    )
