"""What became of the decisions of a round: only a snapshot after the decision proves anything.

Nothing of it is stored. A snapshot that arrives late, is replaced or removed changes the outcomes
as if it had always been so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.files.text import username_key
from data.records.decisions import REVIEW_DECISIONS
from data.records.rounds import ItemKey
from data.records.tables import review_decision, review_item, review_round
from data.schema import (
    OPEN_END,
    SnapshotTime,
    account,
    account_version,
    integration,
    is_same_account,
    join_profile,
    snapshot,
)
from data.store.dialect import has_role, is_part_of
from queries.rounds.lists import Round

DAY = timedelta(days=1)
LAST_MOMENT = OPEN_END - timedelta(seconds=1)
"""Open versions hold at it."""

OUTCOMES = {
    "undecided": "Nobody has decided yet.",
    "unsure": "Somebody could not decide.",
    "kept": "Kept, with no role that the round did not show.",
    "changed": "Kept, but the account has a role now that the round did not show.",
    "open": "Revoked, and no later snapshot shows it gone.",
    "late": "Revoked, and the newest snapshot still shows it after the days that the round allows.",
    "came back": "Revoked, gone in a later snapshot, and back in the newest.",
    "done": "Revoked, and gone in the newest snapshot: not listed, deleted, not active, or without "
    "the role.",
}
"""Outcome → what it means, in the order in which pages show them."""


KEY = ("round_id", *ItemKey._fields)
"""The columns that name an item."""


def item_outcomes(rounds: Sequence[Round], as_of: datetime | None = None) -> sa.FromClause:
    """One row per item of these rounds: its columns, its decision, and what became of it.

    [*review_item, decision, note, decided_by, decided_at, outcome, proved_at, account_key].
    `proved_at` is when the snapshot was taken that proves that it is done, late, changed or came
    back. `as_of` (naive UTC): by the decisions and snapshots of then; None: of now.
    """
    moment = sa.literal(as_of or LAST_MOMENT, SnapshotTime)
    items = _decided_items(rounds, as_of)
    presence = _presence(_revoked_accounts(items, moment), moment).subquery("presence")
    tests = _snapshots_since(items, moment).subquery("tests")
    roles_now = _roles_at(items, moment).subquery("now")
    outcome, proved_at = _outcome(items, presence, tests, roles_now)
    return (
        select(*items.c, outcome.label("outcome"), proved_at.label("proved_at"))
        .select_from(
            items.outerjoin(presence, _is_same_item(items, presence))
            .outerjoin(tests, _is_same_item(items, tests))
            .outerjoin(roles_now, roles_now.c.account_key == items.c.account_key)
        )
        .subquery("outcomes")
    )


def _decided_items(rounds: Sequence[Round], as_of: datetime | None) -> sa.FromClause:
    """One row per item, with its account in this store and the decision in force."""
    decision = review_decision.c
    is_decided = and_(
        _is_same_item(review_decision, review_item), REVIEW_DECISIONS.is_in_force(as_of)
    )
    is_its_account = and_(
        account.c.integration_id == integration.c.integration_id,
        account.c.account_id == review_item.c.account_id,
    )
    return (
        select(
            *review_item.c,
            *(decision[name] for name in ("decision", "note", "decided_by", "decided_at")),
            integration.c.integration_id,
            account.c.account_key,
            review_round.c.frozen_at,
            (decision.decided_at + review_round.c.late_days * sa.literal(DAY)).label("late_at"),
        )
        .select_from(
            review_item.join(review_round, review_round.c.round_id == review_item.c.round_id)
            .outerjoin(integration, integration.c.name == review_item.c.integration)
            .outerjoin(account, is_its_account)
            .outerjoin(review_decision, is_decided)
        )
        .where(review_item.c.round_id.in_(each.round_id for each in rounds))
        .cte("items")
    )


def _is_same_item(left: sa.FromClause, right: sa.FromClause) -> ColumnElement[bool]:
    return and_(*(left.c[name] == right.c[name] for name in KEY))


def _key(rows: sa.FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in KEY]


def _revoked_accounts(items: sa.FromClause, moment: ColumnElement[Any]) -> sa.FromClause:
    """One row per revoked item and account: [*key, integration_id, account_key].

    Its own account, and each later one of the same username: with another account ID, access that
    was revoked would come back unseen.
    """
    version, earlier = join_profile(account_version), account_version.alias("earlier").c
    was_listed = select(earlier.account_key).where(
        earlier.integration_id == version.c.integration_id,
        earlier.account_key == version.c.account_key,
        earlier.valid_from <= items.c.frozen_at,
    )
    is_later = and_(
        version.c.integration_id == items.c.integration_id,
        username_key(version.c.username_in_app) == username_key(items.c.username_in_app),
        version.c.valid_from > items.c.frozen_at,
        version.c.valid_from <= moment,
    )
    columns = [*_key(items), items.c.integration_id]
    is_revoked = items.c.decision == "revoke"
    later = (
        select(*columns, version.c.account_key)
        .join_from(items, version, is_later)
        .where(is_revoked, ~was_listed.exists())
    )
    own = select(*columns, items.c.account_key).where(is_revoked)
    return sa.union(own, later).subquery("revoked")


def _presence(items: sa.FromClause, moment: ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    """One row per revoked item that was ever there: [*key, began, ended], of its last stretch.

    An account is there while it is listed, not deleted and not inactive; a role, while its account
    is there and has it. A stretch that holds at the moment ends at OPEN_END.
    """
    versions = join_profile(account_version)
    is_there = and_(
        versions.c.valid_from <= moment,
        versions.c.provisioning_state != "Deleted",
        versions.c.active_in_app.is_distinct_from(False),
        sa.or_(items.c.role == "", has_role(versions.c.roles, items.c.role)),
    )
    end = case((versions.c.valid_to > moment, OPEN_END), else_=versions.c.valid_to)
    key = _key(items)
    before = func.lag(end).over(
        partition_by=[versions.c.integration_id, *key], order_by=versions.c.valid_from
    )
    there = (
        select(
            *key,
            versions.c.valid_from,
            end.label("ended"),
            before.is_distinct_from(versions.c.valid_from).label("is_start"),
        )
        .join_from(items, versions, is_same_account(items, versions))
        .where(is_there)
        .subquery("there")
    )
    t, key = there.c, _key(there)
    return select(
        *key,
        func.max(t.valid_from).filter(t.is_start).label("began"),
        func.max(t.ended).label("ended"),
    ).group_by(*key)


def _snapshots_since(
    items: sa.FromClause, moment: ColumnElement[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """One row per item: [*key, first, overdue] of the snapshots taken after its decision.

    `overdue` is the first one that finds late what is still there.
    """
    key = _key(items)
    is_later = and_(
        snapshot.c.integration_id == items.c.integration_id,
        snapshot.c.taken_at > items.c.decided_at,
        snapshot.c.taken_at <= moment,
    )
    taken_at = snapshot.c.taken_at
    overdue = func.min(taken_at).filter(taken_at >= items.c.late_at).label("overdue")
    return (
        select(*key, func.min(taken_at).label("first"), overdue)
        .join_from(items, snapshot, is_later)
        .group_by(*key)
    )


def _roles_at(items: sa.FromClause, moment: ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    """One row per kept account that is listed at the moment: [account_key, roles, since]."""
    versions = join_profile(account_version)
    accounts = select(items.c.account_key).where(items.c.decision == "keep")
    since = versions.c.valid_from.label("since")
    return select(versions.c.account_key, versions.c.roles, since).where(
        versions.c.account_key.in_(accounts),
        versions.c.valid_from <= moment,
        versions.c.valid_to > moment,
    )


def _outcome(
    items: sa.FromClause,
    presence: sa.FromClause,
    tests: sa.FromClause,
    roles_now: sa.FromClause,
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The outcome of an item, and when the snapshot was taken that proves it."""
    first, began = tests.c.first, presence.c.began
    is_there = func.coalesce(presence.c.ended == OPEN_END, sa.false())
    has_new_role = ~is_part_of(roles_now.c.roles, items.c.roles)
    outcome = case(
        (items.c.decision.is_(None), "undecided"),
        (items.c.decision == "unsure", "unsure"),
        (and_(items.c.decision == "keep", func.coalesce(has_new_role, sa.false())), "changed"),
        (items.c.decision == "keep", "kept"),
        (first.is_(None), "open"),
        (and_(is_there, began > first), "came back"),
        (and_(is_there, tests.c.overdue.is_not(None)), "late"),
        (is_there, "open"),
        else_="done",
    )
    ended = presence.c.ended
    gone_at = case((ended > first, ended), else_=first)
    proved_at = case(
        (outcome == "done", gone_at),
        (outcome == "late", tests.c.overdue),
        (outcome == "came back", began),
        (outcome == "changed", roles_now.c.since),
    )
    return outcome, proved_at
