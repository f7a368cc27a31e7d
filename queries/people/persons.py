"""The people of the directories at a moment: their status, and since when.

Everything follows from the history of the directories' own accounts.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.schema import (
    OPEN_END,
    account,
    account_profile,
    account_version,
    integration,
    is_same_account,
    person,
)
from queries.scope import is_past, newest_snapshots

PersonStatus = Literal["active", "unknown", "disabled", "left"]
STATUSES: tuple[PersonStatus, ...] = get_args(PersonStatus)
"""The best first: of a person with several accounts, the best one counts."""

RANK = {status: rank for rank, status in enumerate(STATUSES)}
PROVIDER_RANK = len(STATUSES)
"""Added to the rank of an account that an identity provider lists: an HR list decides before it."""

PRESENT_RANKS = [RANK[s] + shift for shift in (0, PROVIDER_RANK) for s in ("active", "unknown")]

Grace = int | None
"""Days after which a disabled person counts as left; None: never."""


PersonKeys = sa.Select[*tuple[Any, ...]]
"""A select of the `person_key` of few people."""


def people_at(
    as_of: datetime | None, grace: Grace, people: PersonKeys | None = None
) -> sa.Select[*tuple[Any, ...]]:
    """One row per person whom a directory has listed by the moment (None: now), of all or of few.

    [person_key, status, since]; `since` is naive UTC. A person whom an HR list has ever named has
    the status of that list, others that of the identity providers.
    """
    entries = entries_at(as_of, grace, people).subquery("entries")
    rank = case(*((entries.c.status == status, number) for status, number in RANK.items()))
    list_rank = case((entries.c.is_from_provider, PROVIDER_RANK), else_=0)
    ranked = select(entries, (rank + list_rank).label("rank")).subquery("ranked")
    c = ranked.c
    # In one pass: PostgreSQL expects one row here, and would join each person with all others.
    placed = (
        select(
            c.person_key,
            func.min(c.rank).label("best"),
            *(func.min(c.since).filter(c.rank == n).label(f"first_{n}") for n in PRESENT_RANKS),
            func.max(c.since).filter(~c.is_from_provider).label("list_end"),
            func.max(c.since).filter(c.is_from_provider).label("provider_end"),
        )
        .group_by(c.person_key)
        .subquery("placed")
    )
    p = placed.c
    since = case(  # active since the first of the active accounts, gone since the last one is
        *((p.best == n, p[f"first_{n}"]) for n in PRESENT_RANKS),
        (p.best < PROVIDER_RANK, p.list_end),
        else_=p.provider_end,
    )
    status = case(*((p.best.in_([n, n + PROVIDER_RANK]), status) for status, n in RANK.items()))
    return select(p.person_key, status.label("status"), since.label("since"))


def entries_at(
    as_of: datetime | None, grace: Grace, people: PersonKeys | None = None
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account of a directory that was ever listed by the moment, and is a person.

    Of all people, or of few.

    [integration_id, account_key, person_key, is_from_provider, status, since]
    """
    v, newest = account_version.c, newest_snapshots(as_of)
    last = _last_versions(as_of, people)
    is_last = and_(is_same_account(account_version, last), v.valid_from == last.c.valid_from)
    is_listed = v.valid_to == OPEN_END if as_of is None else v.valid_to > as_of
    is_deleted = v.provisioning_state == "Deleted"
    # A deletion that was taken back is a new beginning, even if the activity stayed.
    began = func.greatest(v.active_since, func.coalesce(last.c.deleted_until, v.active_since))
    grace_ends = began + timedelta(days=grace or 0)
    is_over = sa.false() if grace is None else grace_ends <= newest.c.at
    statuses = (
        (is_deleted, "left", v.state_since),
        (~is_listed, "left", v.valid_to),
        (v.active_in_app, "active", began),
        (v.active_in_app.is_(None), "unknown", began),
        (is_over, "left", grace_ends),
        (sa.true(), "disabled", began),
    )
    return (
        select(
            *(last.c[column.name] for column in person.c),
            case(*((condition, status) for condition, status, _ in statuses)).label("status"),
            case(*((condition, since) for condition, _, since in statuses)).label("since"),
        )
        .join_from(last, account_version, is_last)
        .join(newest, newest.c.integration_id == last.c.integration_id)
    )


def with_profiles(
    entries: sa.FromClause, as_of: datetime | None, *columns: ColumnElement[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """One row per profile that an account of a directory had by then, the newest first.

    [*columns, integration, account_id, user_name, user_email, upstream_user_id]
    """
    profile = account_profile
    return (
        select(
            *columns,
            integration.c.name.label("integration"),
            account.c.account_id,
            *(profile.c[name] for name in ("user_name", "user_email", "upstream_user_id")),
        )
        .join_from(entries, profile, is_same_account(profile, entries))
        .join(account, is_same_account(account, entries))
        .join(integration, integration.c.integration_id == entries.c.integration_id)
        .where(is_past(profile.c.content_since, as_of))
        .order_by(profile.c.content_since.desc(), entries.c.account_key)
    )


def _last_versions(as_of: datetime | None, people: PersonKeys | None) -> sa.FromClause:
    """One row per account of `person`: [*person, valid_from, deleted_until] of its last version."""
    v = account_version.c
    deleted_until = func.max(v.valid_to).filter(v.provisioning_state == "Deleted")
    return (
        select(
            *person.c,
            func.max(v.valid_from).label("valid_from"),
            deleted_until.label("deleted_until"),
        )
        .join_from(person, account_version, is_same_account(person, account_version))
        .where(
            is_past(v.valid_from, as_of),
            sa.true() if people is None else person.c.person_key.in_(people),
        )
        .group_by(*person.c)
        .subquery("last")
    )
