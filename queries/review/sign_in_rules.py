"""Rules about accounts that nobody uses. The last sign-in is that of the newest snapshot.

Of the past, the rules find only what is certain: an account whose last sign-in of all is that old.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, func, select

from data.schema import account_version, is_same_account, last_sign_in
from data.store.dialect import format_minute
from queries.lookup import RowCondition
from queries.review.duration import (
    RuleResult,
    View,
    is_same_limit,
    limit_reached_at,
    precomputed,
    unbroken_since,
)


def idle_accounts(view: View, predicate: RowCondition) -> RuleResult:
    """Active accounts that meet a predicate, without a sign-in for the days of the setting."""
    signed_in_at = last_sign_in.c.signed_in_at
    detail = func.concat("Last sign-in ", format_minute(signed_in_at))
    accounts = view.accounts()
    rows = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            signed_in_at.label("began"),
            detail.label("detail"),
        )
        .join_from(accounts, last_sign_in, is_same_account(last_sign_in, accounts))
        .where(predicate(accounts), accounts.c.active_in_app)
    )
    return _late(view, rows, lambda rows: and_(predicate(rows), rows.c.active_in_app))


def never_used_accounts(view: View) -> RuleResult:
    """Active accounts without any sign-in that were first listed before the days of the setting."""
    v, accounts = account_version.c, view.accounts()
    first = func.min(v.valid_from)
    rows = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            first.label("began"),
            func.concat("First listed ", format_minute(first)).label("detail"),
        )
        .join_from(accounts, last_sign_in, is_same_account(last_sign_in, accounts))
        .join(account_version, is_same_account(account_version, accounts))
        .where(last_sign_in.c.signed_in_at.is_(None), accounts.c.active_in_app)
        .group_by(accounts.c.account_key, accounts.c.integration_id)
    )
    return _late(view, rows, lambda rows: rows.c.active_in_app)


def _late(view: View, rows: sa.Select[*tuple[Any, ...]], predicate: RowCondition) -> RuleResult:
    """The rows that began before the days, since they have been over and the predicate held."""
    begun, newest = rows.subquery("begun"), view.newest_snapshots()
    span = timedelta(days=view.limits.sign_in_days)
    late = (
        select(begun)
        .join_from(begun, newest, newest.c.integration_id == begun.c.integration_id)
        .where(newest.c.at - span > begun.c.began)
        .cte()
    )
    limit: ColumnElement[Any] = late.c.began + span
    reached = limit_reached_at(view, late, limit)
    held = unbroken_since(view, late, predicate)
    since = func.greatest(held.c.since, reached.c.at).label("since")
    return precomputed(
        select(late.c.account_key, since, late.c.detail)
        .join_from(late, reached, is_same_limit(reached, late, limit))
        .join(held, held.c.account_key == late.c.account_key)
    )
