"""How the rules find what takes more than one look at an account: pasts, others, what is usual.

Each answers with one row per account: [account_key, since, detail].
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    func,
    literal,
    select,
)

from data.history.since import operation_of
from data.schema import (
    account_profile,
    account_version,
    job_end,
    same_account,
    state_change,
    with_profile,
)
from data.states import LEAVING, WAITING, state_names
from data.store.dialect import has_role, in_three_digits, seconds, sorted_and_joined, to_the_minute
from queries.review.duration import Found, View, no_detail, reached_at, same_limit, unbroken
from queries.review.transitions import UNLAWFUL

FINISHED_IN = timedelta(days=90)
"""Jobs that began and ended in so many days up to the newest snapshot tell what is usual."""

USUAL = 0.95
"""Share of the finished jobs that took no longer."""

FEWEST_JOBS = 20
"""Finished jobs of an integration and operation; fewer tell nothing about what is usual."""

BEING_DELETED = ("Delete awaiting", "Delete ongoing", "Delete failed")

# ---- gone and come back --------------------------------------------------------------------------


def returned(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that were Deleted when they were last seen Deleted, then gone, and are back.

    Since the first snapshot of the present stay. Being Deleted again ends it.
    """
    now, v = view.accounts(), account_version.alias("v")
    went = state_change.alias("went")
    gone = select(went.c.taken_at).where(
        went.c.from_state == "Deleted", went.c.to_state.is_(None), view.known(went.c.taken_at)
    )
    ended = (
        select(v.c.account_key)
        .where(v.c.provisioning_state == "Deleted", v.c.valid_to.in_(gone))
        .distinct()
        .cte("ended")
    )
    keys = (
        select(ended.c.account_key)
        .join_from(ended, now, now.c.account_key == ended.c.account_key)
        .where(now.c.provisioning_state != "Deleted")
        .cte("back")
    )
    stay = unbroken(view, keys, lambda a: a.c.account_key.is_not(None))
    was = account_version.alias("was")
    deleted = (
        select(was.c.account_key, func.max(was.c.valid_to).label("until"))
        .where(
            was.c.account_key.in_(select(keys.c.account_key)),
            was.c.provisioning_state == "Deleted",
            view.known(was.c.valid_from),
        )
        .group_by(was.c.account_key)
        .subquery("deleted")
    )
    return (
        select(
            stay.c.account_key,
            stay.c.since,
            func.concat("Deleted until ", to_the_minute(deleted.c.until)).label("detail"),
        )
        .join_from(stay, deleted, deleted.c.account_key == stay.c.account_key)
        .where(deleted.c.until < stay.c.since)
    )


# ---- unlawful jumps ------------------------------------------------------------------------------


def jumped(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that are in a state since a move into it that is unlawful."""
    now = view.accounts()
    move = func.concat(now.c.state_before, ">", now.c.provisioning_state)
    return select(
        now.c.account_key,
        now.c.state_since.label("since"),
        func.concat("was ", now.c.state_before).label("detail"),
    ).where(now.c.state_before.is_not(None), move.in_(UNLAWFUL))


# ---- waiting longer than usual -------------------------------------------------------------------


def overdue(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts whose job has lasted longer than what is usual for it."""
    now, newest, usual = view.accounts(), view.newest(), _usual(view)
    same_kind = and_(
        usual.c.integration_id == now.c.integration_id,
        usual.c.operation == operation_of(now.c.provisioning_state),
    )
    late = (
        select(
            now.c.account_key,
            now.c.integration_id,
            now.c.attempt_since.label("began"),
            usual.c.span,
        )
        .join_from(now, newest, newest.c.integration_id == now.c.integration_id)
        .join(usual, same_kind)
        .where(
            now.c.provisioning_state.in_(WAITING),
            newest.c.at - now.c.attempt_since > usual.c.span,
        )
        .cte("late")
    )
    limit = late.c.began + late.c.span
    reached = reached_at(view, late, limit)
    detail = func.concat(
        "since ", to_the_minute(late.c.began), "; usually up to ", _in_words(late.c.span)
    )
    return select(
        late.c.account_key, reached.c.at.label("since"), detail.label("detail")
    ).join_from(late, reached, same_limit(reached, late, limit))


def _usual(view: View) -> FromClause:
    """One row per integration and operation: [integration_id, operation, span] of 95 % of its jobs.

    Of attempts that began and ended in the last 90 days, and failed or settled: from the first
    snapshot that shows them to the first that shows their end.
    """
    newest, ended = view.newest(), job_end.c
    spans = (
        select(
            ended.integration_id,
            ended.operation,
            (ended.taken_at - ended.attempt_began).label("span"),
            func.sum(ended.jobs).label("jobs"),
        )
        .join_from(job_end, newest, newest.c.integration_id == ended.integration_id)
        .where(
            ended.taken_at <= newest.c.at,
            ended.attempt_began >= newest.c.at - FINISHED_IN,
            ended.outcome.in_(("failed", "settled")),
        )
        .group_by(ended.integration_id, ended.operation, ended.taken_at - ended.attempt_began)
        .subquery("spans")
    )
    kind = (spans.c.integration_id, spans.c.operation)
    so_far = func.sum(spans.c.jobs).over(partition_by=kind, order_by=spans.c.span)
    all_of_it = func.sum(spans.c.jobs).over(partition_by=kind)
    counted = select(*kind, spans.c.span, so_far.label("so_far"), all_of_it.label("jobs")).subquery(
        "counted"
    )
    return (
        select(
            counted.c.integration_id, counted.c.operation, func.min(counted.c.span).label("span")
        )
        .where(counted.c.jobs >= FEWEST_JOBS, counted.c.so_far >= USUAL * counted.c.jobs)
        .group_by(counted.c.integration_id, counted.c.operation)
        .subquery("usual")
    )


def _in_words(span: ColumnElement[Any]) -> ColumnElement[Any]:
    """A span in words: `52 hours`, from three days on `4.5 days`."""
    hours = seconds(span) / 3600
    return case(
        (hours >= 72, func.concat(in_three_digits(hours / 24), " days")),
        else_=func.concat(in_three_digits(hours), " hours"),
    )


# ---- the last holder of a role -------------------------------------------------------------------


def last_holders(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts with a role that goes with them; since none that stays has it."""
    now = view.accounts()
    leaves = and_(now.c.active_in_app, now.c.provisioning_state.in_(BEING_DELETED))
    leaving = select(
        now.c.account_key, now.c.integration_id, func.unnest(now.c.roles).label("role")
    ).where(leaves)
    those = leaving.subquery("leaving")
    rest = view.accounts()
    stays = and_(rest.c.active_in_app, rest.c.provisioning_state.not_in(LEAVING))
    roles = select(rest.c.integration_id, func.unnest(rest.c.roles).label("role")).where(stays)
    held = select(roles.subquery("roles")).distinct().subquery("held")
    last = (
        select(those)
        .outerjoin(
            held,
            and_(held.c.integration_id == those.c.integration_id, held.c.role == those.c.role),
        )
        .where(held.c.role.is_(None))
        .cte("last")
    )
    own = _leaving_with(view, last)
    others = _held_until(view, last)
    since = func.greatest(own.c.since, func.coalesce(others.c.until, own.c.since))
    return (
        select(
            own.c.account_key,
            func.min(since).label("since"),
            sorted_and_joined(own.c.role, "; ").label("detail"),
        )
        .join_from(
            own,
            others,
            and_(others.c.integration_id == own.c.integration_id, others.c.role == own.c.role),
            isouter=True,
        )
        .group_by(own.c.account_key)
    )


def _leaving_with(view: View, last: FromClause) -> FromClause:
    """One row per account and role: [.., since] it has been leaving, active, with that role."""
    v = account_version
    leaving = (
        select(v, last.c.role)
        .join_from(v, last, same_account(last, v))
        .where(
            view.known(v.c.valid_from),
            v.c.active_in_app,
            v.c.provisioning_state.in_(BEING_DELETED),
        )
    )
    with_role = with_profile(leaving.subquery("leaving")).c
    named = (with_role.account_key, with_role.integration_id, with_role.role)
    mine: Any = {"partition_by": named, "order_by": with_role.valid_from}
    follows = func.lag(with_role.valid_to).over(**mine) == with_role.valid_from
    holding = (
        select(*named, with_role.valid_from, follows.is_not(True).label("begins"))
        .where(has_role(with_role.roles, with_role.role))
        .subquery("holding")
    )
    named = (holding.c.account_key, holding.c.integration_id, holding.c.role)
    return (
        select(*named, func.max(holding.c.valid_from).label("since"))
        .where(holding.c.begins)
        .group_by(*named)
        .subquery("own")
    )


def _held_until(view: View, last: FromClause) -> FromClause:
    """One row per integration and role: [.., until] an active account that stayed had it."""
    v, profile = account_version.c, account_profile
    roles = select(last.c.integration_id, last.c.role).distinct().subquery("roles")
    holders = (
        select(profile.c.account_key, profile.c.same_since, *roles.c)
        .join_from(profile, roles, roles.c.integration_id == profile.c.integration_id)
        .where(has_role(profile.c.roles, roles.c.role))
        .subquery("holders")
    )
    held = and_(same_account(holders, account_version), holders.c.same_since == v.same_since)
    named = (holders.c.integration_id, holders.c.role)
    return (
        select(*named, func.max(v.valid_to).label("until"))
        .join_from(account_version, holders, held)
        .where(
            view.known(v.valid_to),
            v.active_in_app,
            v.provisioning_state.not_in(LEAVING),
        )
        .group_by(*named)
        .subquery("held_until")
    )


# ---- one upstream ID on several accounts ---------------------------------------------------------


def sharing(view: View) -> Found:
    """Accounts with an upstream ID that another one has; since both have."""
    now = view.accounts()
    shared = (
        select(now.c.integration_id, now.c.upstream_user_id, func.count().label("accounts"))
        .where(now.c.upstream_user_id.is_not(None))
        .group_by(now.c.integration_id, now.c.upstream_user_id)
        .having(func.count() > 1)
        .subquery("shared")
    )
    one = view.accounts()
    found = select(one.c.account_key, *shared.c).join_from(one, shared, _same_id(one, shared))

    def told(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        those = found.cte("those")
        if among is not None:
            both = those.join(among, among.c.account_key == those.c.account_key)
            those = select(those).select_from(both).cte("those_among")
        held = _held_ids(view, those)
        own, together = _with_id_since(held, those), _together_since(view, held)
        return (
            select(
                own.c.account_key,
                func.greatest(own.c.since, together.c.since).label("since"),
                func.concat(those.c.accounts, " accounts: ", those.c.upstream_user_id).label(
                    "detail"
                ),
            )
            .join_from(own, those, those.c.account_key == own.c.account_key)
            .join(together, _same_id(together, those))
        )

    return Found(select(found.subquery("found").c.account_key), told)


def _same_id(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(
        one.c.integration_id == other.c.integration_id,
        one.c.upstream_user_id == other.c.upstream_user_id,
    )


def _held_ids(view: View, those: FromClause) -> FromClause:
    """One row per version with one of the IDs: whose, which, from when and until when."""
    ids = select(those.c.integration_id, those.c.upstream_user_id).distinct().subquery("ids")
    v = with_profile(account_version)
    return (
        select(v.c.account_key, *ids.c, v.c.valid_from, v.c.valid_to)
        .join_from(v, ids, _same_id(v, ids))
        .where(view.known(v.c.valid_from))
        .cte("held_ids")
    )


def _with_id_since(held: FromClause, those: FromClause) -> FromClause:
    """One row per account: [account_key, since] it has had the ID that it has."""
    before = func.lag(held.c.valid_to).over(
        partition_by=(held.c.integration_id, held.c.account_key), order_by=held.c.valid_from
    )
    begins = before.is_distinct_from(held.c.valid_from).label("begins")
    same = and_(held.c.account_key == those.c.account_key, _same_id(held, those))
    holding = (
        select(held.c.account_key, held.c.valid_from, begins)
        .join_from(held, those, same)
        .subquery("holding")
    )
    return (
        select(holding.c.account_key, func.max(holding.c.valid_from).label("since"))
        .where(holding.c.begins)
        .group_by(holding.c.account_key)
        .subquery("own")
    )


def _together_since(view: View, held: FromClause) -> FromClause:
    """One row per ID: [.., since] more than one account has had it without interruption.

    Each version with the ID adds one account at its beginning and takes one off at its end.
    """
    named = (held.c.integration_id, held.c.upstream_user_id)
    comes = select(*named, held.c.valid_from.label("at"), literal(1).label("change"))
    goes = select(*named, held.c.valid_to.label("at"), literal(-1).label("change")).where(
        view.known(held.c.valid_to)
    )
    changes = comes.union_all(goes).subquery("changes")
    of_one = (changes.c.integration_id, changes.c.upstream_user_id)
    moments = (
        select(*of_one, changes.c.at, func.sum(changes.c.change).label("change"))
        .group_by(*of_one, changes.c.at)
        .subquery("moments")
    )
    mine = (moments.c.integration_id, moments.c.upstream_user_id)
    running = func.sum(moments.c.change).over(partition_by=mine, order_by=moments.c.at)
    counted = select(*mine, moments.c.at, running.label("accounts")).subquery("counted")
    each = (counted.c.integration_id, counted.c.upstream_user_id)
    earlier = func.lag(counted.c.accounts).over(partition_by=each, order_by=counted.c.at)
    steps = select(
        *each, counted.c.at, counted.c.accounts, func.coalesce(earlier, 0).label("earlier")
    ).subquery("steps")
    return (
        select(
            steps.c.integration_id,
            steps.c.upstream_user_id,
            func.max(steps.c.at).label("since"),
        )
        .where(steps.c.accounts > 1, steps.c.earlier <= 1)
        .group_by(steps.c.integration_id, steps.c.upstream_user_id)
        .subquery("together")
    )


# ---- a job that changed nothing ------------------------------------------------------------------


def unchanged(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that are Onboarded since an update of late, and as they were before it."""
    now, newest = view.accounts(), view.newest()
    span = timedelta(days=view.limits.unchanged_days)
    return (
        select(now.c.account_key, now.c.state_since.label("since"), no_detail())
        .join_from(now, newest, newest.c.integration_id == now.c.integration_id)
        .where(
            now.c.provisioning_state == "Onboarded",
            now.c.state_before.in_(UPDATING),
            now.c.state_since >= newest.c.at - span,
            now.c.same_since < now.c.job_before,
        )
    )


UPDATING = state_names(phase="waiting", operation="update") + state_names(
    phase="working", operation="update"
)
