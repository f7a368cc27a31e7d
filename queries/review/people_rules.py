"""Rules about people: who left or is disabled, and still has access.

Each returns one row per account: [account_key, since, detail].
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.schema import OPEN_END
from data.store.dialect import format_minute, interval_seconds, join_sorted
from queries.lookup import lookup_versions
from queries.people.accounts import Owner, owned_accounts
from queries.review.duration import View, starts_after_break

Findings = sa.Select[*tuple[Any, ...]]
ROLE_KEYS = ("integration_id", "account_key", "role")


def active_accounts_of(view: View, status: Owner) -> Findings:
    """Active accounts of people with the status: `Left 2026-11-02 06:00; active 21 days later`.

    Since both have held. A directory can be newer than the account's snapshot, which then is the
    first to show the finding.
    """
    owned, newest = _owned(view), view.newest_snapshots()
    detail = func.concat(
        f"{status.capitalize()} ",
        format_minute(owned.c.person_since),
        "; active ",
        _days_between(owned.c.person_since, newest.c.at),
        " days later",
    )
    since = func.least(owned.c.since, newest.c.at)
    return (
        select(owned.c.account_key, since.label("since"), detail.label("detail"))
        .join_from(owned, newest, newest.c.integration_id == owned.c.integration_id)
        .where(owned.c.status == status, owned.c.account_status == "active")
    )


def roles_gained_after_leave(view: View) -> Findings:
    """Accounts that hold a role which they gained after their person left; since the first."""
    owned = _owned(view)
    left = select(owned).where(owned.c.status == "left").cte()
    versions = lookup_versions(lambda rows: rows.c.account_key.in_(select(left.c.account_key)))
    v = versions.c
    roles = select(
        *(v[name] for name in ("integration_id", "account_key", "valid_from", "valid_to")),
        func.unnest(v.roles).label("role"),
    ).where(view.is_past(v.valid_from))
    roles = roles.subquery("roles")
    held = select(roles, starts_after_break(roles, *ROLE_KEYS)).subquery("held")
    is_held = held.c.valid_to == OPEN_END if view.as_of is None else held.c.valid_to > view.as_of
    keys = [held.c[name] for name in ROLE_KEYS]
    gained = (
        select(*keys, func.max(case((held.c.starts, held.c.valid_from))).label("since"))
        .group_by(*keys)
        .having(func.bool_or(is_held))
        .subquery("gained")
    )
    since = func.min(gained.c.since)
    detail = func.concat(
        "Left ",
        format_minute(left.c.person_since),
        "; after ",
        _days_between(left.c.person_since, since),
        " days gained ",
        join_sorted(gained.c.role, ", "),
    )
    is_same = and_(
        gained.c.integration_id == left.c.integration_id,
        gained.c.account_key == left.c.account_key,
    )
    return (
        select(left.c.account_key, since.label("since"), detail.label("detail"))
        .join_from(left, gained, is_same)
        .where(gained.c.since > left.c.person_since)
        .group_by(left.c.account_key, left.c.person_since)
    )


def _owned(view: View) -> sa.FromClause:
    owned = owned_accounts(view.as_of, view.limits.grace_days).subquery("owned")
    return select(owned).where(view.includes(owned)).subquery("owned_here")


def _days_between(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[str]:
    days = func.floor(func.greatest(interval_seconds(end - start), 0) / 86_400)
    return sa.cast(sa.cast(days, sa.Integer), sa.String)
