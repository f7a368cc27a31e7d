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

from data.history.since import state_operation
from data.schema import (
    account_profile,
    account_version,
    is_same_account,
    job_end,
    join_profile,
    state_change,
)
from data.states import DELETE_STATES, OPEN_STATES, state_names
from data.store.dialect import (
    format_minute,
    format_three_digits,
    has_role,
    interval_seconds,
    join_sorted,
)
from queries.review.duration import (
    RuleResult,
    View,
    is_same_limit,
    limit_reached_at,
    no_detail,
    unbroken_since,
)
from queries.review.transitions import DISALLOWED_TRANSITIONS

BASELINE_PERIOD = timedelta(days=90)
"""Jobs that began and ended in so many days up to the newest snapshot tell what is usual."""

USUAL_QUANTILE = 0.95
"""Share of the finished jobs that took no longer."""

MIN_BASELINE_JOBS = 20
"""Finished jobs of an integration and operation; fewer tell nothing about what is usual."""

BEING_DELETED = ("Delete awaiting", "Delete ongoing", "Delete failed")

# ---- gone and come back --------------------------------------------------------------------------


def returned_after_deletion(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that were Deleted when they were last seen Deleted, then gone, and are back.

    Since the first snapshot of the present stay. Being Deleted again ends it.
    """
    accounts, v = view.accounts(), account_version.alias("v")
    removal = state_change.alias("went")
    removal_times = select(removal.c.taken_at).where(
        removal.c.from_state == "Deleted",
        removal.c.to_state.is_(None),
        view.is_past(removal.c.taken_at),
    )
    removed_accounts = (
        select(v.c.account_key)
        .where(v.c.provisioning_state == "Deleted", v.c.valid_to.in_(removal_times))
        .distinct()
        .cte("ended")
    )
    keys = (
        select(removed_accounts.c.account_key)
        .join_from(
            removed_accounts, accounts, accounts.c.account_key == removed_accounts.c.account_key
        )
        .where(accounts.c.provisioning_state != "Deleted")
        .cte("back")
    )
    presence = unbroken_since(view, keys, lambda a: a.c.account_key.is_not(None))
    deleted_version = account_version.alias("was")
    deleted = (
        select(deleted_version.c.account_key, func.max(deleted_version.c.valid_to).label("until"))
        .where(
            deleted_version.c.account_key.in_(select(keys.c.account_key)),
            deleted_version.c.provisioning_state == "Deleted",
            view.is_past(deleted_version.c.valid_from),
        )
        .group_by(deleted_version.c.account_key)
        .subquery("deleted")
    )
    return (
        select(
            presence.c.account_key,
            presence.c.since,
            func.concat("Deleted until ", format_minute(deleted.c.until)).label("detail"),
        )
        .join_from(presence, deleted, deleted.c.account_key == presence.c.account_key)
        .where(deleted.c.until < presence.c.since)
    )


# ---- unlawful jumps ------------------------------------------------------------------------------


def unexplained_transitions(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that are in a state since a move into it that is unlawful."""
    accounts = view.accounts()
    transition = func.concat(accounts.c.previous_state, ">", accounts.c.provisioning_state)
    return select(
        accounts.c.account_key,
        accounts.c.state_since.label("since"),
        func.concat("was ", accounts.c.previous_state).label("detail"),
    ).where(accounts.c.previous_state.is_not(None), transition.in_(DISALLOWED_TRANSITIONS))


# ---- waiting longer than usual -------------------------------------------------------------------


def overdue_jobs(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts whose job has lasted longer than what is usual for it."""
    accounts, newest, usual_spans = view.accounts(), view.newest_snapshots(), _usual_spans(view)
    same_kind = and_(
        usual_spans.c.integration_id == accounts.c.integration_id,
        usual_spans.c.operation == state_operation(accounts.c.provisioning_state),
    )
    late = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            accounts.c.attempt_since.label("began"),
            usual_spans.c.span,
        )
        .join_from(accounts, newest, newest.c.integration_id == accounts.c.integration_id)
        .join(usual_spans, same_kind)
        .where(
            accounts.c.provisioning_state.in_(OPEN_STATES),
            newest.c.at - accounts.c.attempt_since > usual_spans.c.span,
        )
        .cte("late")
    )
    limit = late.c.began + late.c.span
    reached = limit_reached_at(view, late, limit)
    detail = func.concat(
        "since ", format_minute(late.c.began), "; usually up to ", _span_text(late.c.span)
    )
    return select(
        late.c.account_key, reached.c.at.label("since"), detail.label("detail")
    ).join_from(late, reached, is_same_limit(reached, late, limit))


def _usual_spans(view: View) -> FromClause:
    """One row per integration and operation: [integration_id, operation, span] of 95 % of its jobs.

    Of attempts that began and ended in the last 90 days, and failed or settled: from the first
    snapshot that shows them to the first that shows their end.
    """
    newest, ended = view.newest_snapshots(), job_end.c
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
            ended.attempt_began >= newest.c.at - BASELINE_PERIOD,
            ended.outcome.in_(("failed", "settled")),
        )
        .group_by(ended.integration_id, ended.operation, ended.taken_at - ended.attempt_began)
        .subquery("spans")
    )
    group = (spans.c.integration_id, spans.c.operation)
    cumulative = func.sum(spans.c.jobs).over(partition_by=group, order_by=spans.c.span)
    total = func.sum(spans.c.jobs).over(partition_by=group)
    distribution = select(
        *group, spans.c.span, cumulative.label("so_far"), total.label("jobs")
    ).subquery("counted")
    return (
        select(
            distribution.c.integration_id,
            distribution.c.operation,
            func.min(distribution.c.span).label("span"),
        )
        .where(
            distribution.c.jobs >= MIN_BASELINE_JOBS,
            distribution.c.so_far >= USUAL_QUANTILE * distribution.c.jobs,
        )
        .group_by(distribution.c.integration_id, distribution.c.operation)
        .subquery("usual")
    )


def _span_text(span: ColumnElement[Any]) -> ColumnElement[Any]:
    """A span in words: `52 hours`, from three days on `4.5 days`."""
    hours = interval_seconds(span) / 3600
    return case(
        (hours >= 72, func.concat(format_three_digits(hours / 24), " days")),
        else_=func.concat(format_three_digits(hours), " hours"),
    )


# ---- the last holder of a role -------------------------------------------------------------------


def last_holders(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts with a role that goes with them; since none that stays has it."""
    accounts = view.accounts()
    is_leaving = and_(accounts.c.active_in_app, accounts.c.provisioning_state.in_(BEING_DELETED))
    leaving = select(
        accounts.c.account_key,
        accounts.c.integration_id,
        func.unnest(accounts.c.roles).label("role"),
    ).where(is_leaving)
    leaving_roles = leaving.subquery("leaving")
    remaining = view.accounts()
    is_remaining = and_(
        remaining.c.active_in_app, remaining.c.provisioning_state.not_in(DELETE_STATES)
    )
    roles = select(remaining.c.integration_id, func.unnest(remaining.c.roles).label("role")).where(
        is_remaining
    )
    remaining_roles = select(roles.subquery("roles")).distinct().subquery("held")
    last_roles = (
        select(leaving_roles)
        .outerjoin(
            remaining_roles,
            and_(
                remaining_roles.c.integration_id == leaving_roles.c.integration_id,
                remaining_roles.c.role == leaving_roles.c.role,
            ),
        )
        .where(remaining_roles.c.role.is_(None))
        .cte("last")
    )
    leaving_since = _leaving_role_since(view, last_roles)
    held_until = _role_held_until(view, last_roles)
    since = func.greatest(
        leaving_since.c.since, func.coalesce(held_until.c.until, leaving_since.c.since)
    )
    return (
        select(
            leaving_since.c.account_key,
            func.min(since).label("since"),
            join_sorted(leaving_since.c.role, "; ").label("detail"),
        )
        .join_from(
            leaving_since,
            held_until,
            and_(
                held_until.c.integration_id == leaving_since.c.integration_id,
                held_until.c.role == leaving_since.c.role,
            ),
            isouter=True,
        )
        .group_by(leaving_since.c.account_key)
    )


def _leaving_role_since(view: View, last_roles: FromClause) -> FromClause:
    """One row per account and role: [.., since] it has been leaving, active, with that role."""
    v = account_version
    leaving = (
        select(v, last_roles.c.role)
        .join_from(v, last_roles, is_same_account(last_roles, v))
        .where(
            view.is_past(v.c.valid_from),
            v.c.active_in_app,
            v.c.provisioning_state.in_(BEING_DELETED),
        )
    )
    with_role = join_profile(leaving.subquery("leaving")).c
    keys = (with_role.account_key, with_role.integration_id, with_role.role)
    partition: Any = {"partition_by": keys, "order_by": with_role.valid_from}
    is_contiguous = func.lag(with_role.valid_to).over(**partition) == with_role.valid_from
    periods = (
        select(*keys, with_role.valid_from, is_contiguous.is_not(True).label("begins"))
        .where(has_role(with_role.roles, with_role.role))
        .subquery("holding")
    )
    keys = (periods.c.account_key, periods.c.integration_id, periods.c.role)
    return (
        select(*keys, func.max(periods.c.valid_from).label("since"))
        .where(periods.c.begins)
        .group_by(*keys)
        .subquery("own")
    )


def _role_held_until(view: View, last_roles: FromClause) -> FromClause:
    """One row per integration and role: [.., until] an active account that stayed had it."""
    v, profile = account_version.c, account_profile
    roles = select(last_roles.c.integration_id, last_roles.c.role).distinct().subquery("roles")
    holders = (
        select(profile.c.account_key, profile.c.content_since, *roles.c)
        .join_from(profile, roles, roles.c.integration_id == profile.c.integration_id)
        .where(has_role(profile.c.roles, roles.c.role))
        .subquery("holders")
    )
    same_profile = and_(
        is_same_account(holders, account_version), holders.c.content_since == v.content_since
    )
    keys = (holders.c.integration_id, holders.c.role)
    return (
        select(*keys, func.max(v.valid_to).label("until"))
        .join_from(account_version, holders, same_profile)
        .where(
            view.is_past(v.valid_to),
            v.active_in_app,
            v.provisioning_state.not_in(DELETE_STATES),
        )
        .group_by(*keys)
        .subquery("held_until")
    )


# ---- one upstream ID on several accounts ---------------------------------------------------------


def shared_upstream_ids(view: View) -> RuleResult:
    """Accounts with an upstream ID that another one has; since both have."""
    accounts = view.accounts()
    shared = (
        select(
            accounts.c.integration_id, accounts.c.upstream_user_id, func.count().label("accounts")
        )
        .where(accounts.c.upstream_user_id.is_not(None))
        .group_by(accounts.c.integration_id, accounts.c.upstream_user_id)
        .having(func.count() > 1)
        .subquery("shared")
    )
    candidates = view.accounts()
    matching = select(candidates.c.account_key, *shared.c).join_from(
        candidates, shared, _is_same_id(candidates, shared)
    )

    def details(among: FromClause | None) -> Select[*tuple[Any, ...]]:
        selected = matching.cte("those")
        if among is not None:
            joined = selected.join(among, among.c.account_key == selected.c.account_key)
            selected = select(selected).select_from(joined).cte("those_among")
        id_versions = _id_versions(view, selected)
        held_since, shared_since = (
            _id_held_since(id_versions, selected),
            _id_shared_since(view, id_versions),
        )
        return (
            select(
                held_since.c.account_key,
                func.greatest(held_since.c.since, shared_since.c.since).label("since"),
                func.concat(selected.c.accounts, " accounts: ", selected.c.upstream_user_id).label(
                    "detail"
                ),
            )
            .join_from(held_since, selected, selected.c.account_key == held_since.c.account_key)
            .join(shared_since, _is_same_id(shared_since, selected))
        )

    return RuleResult(select(matching.subquery("found").c.account_key), details)


def _is_same_id(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    return and_(
        left.c.integration_id == right.c.integration_id,
        left.c.upstream_user_id == right.c.upstream_user_id,
    )


def _id_versions(view: View, accounts: FromClause) -> FromClause:
    """One row per version with one of the IDs: whose, which, from when and until when."""
    ids = select(accounts.c.integration_id, accounts.c.upstream_user_id).distinct().subquery("ids")
    v = join_profile(account_version)
    return (
        select(v.c.account_key, *ids.c, v.c.valid_from, v.c.valid_to)
        .join_from(v, ids, _is_same_id(v, ids))
        .where(view.is_past(v.c.valid_from))
        .cte("held_ids")
    )


def _id_held_since(id_versions: FromClause, accounts: FromClause) -> FromClause:
    """One row per account: [account_key, since] it has had the ID that it has."""
    previous_end = func.lag(id_versions.c.valid_to).over(
        partition_by=(id_versions.c.integration_id, id_versions.c.account_key),
        order_by=id_versions.c.valid_from,
    )
    is_start = previous_end.is_distinct_from(id_versions.c.valid_from).label("begins")
    is_current_id = and_(
        id_versions.c.account_key == accounts.c.account_key, _is_same_id(id_versions, accounts)
    )
    periods = (
        select(id_versions.c.account_key, id_versions.c.valid_from, is_start)
        .join_from(id_versions, accounts, is_current_id)
        .subquery("holding")
    )
    return (
        select(periods.c.account_key, func.max(periods.c.valid_from).label("since"))
        .where(periods.c.begins)
        .group_by(periods.c.account_key)
        .subquery("own")
    )


def _id_shared_since(view: View, id_versions: FromClause) -> FromClause:
    """One row per ID: [.., since] more than one account has had it without interruption.

    Each version with the ID adds one account at its beginning and takes one off at its end.
    """
    version_keys = (id_versions.c.integration_id, id_versions.c.upstream_user_id)
    starts = select(*version_keys, id_versions.c.valid_from.label("at"), literal(1).label("change"))
    ends = select(
        *version_keys, id_versions.c.valid_to.label("at"), literal(-1).label("change")
    ).where(view.is_past(id_versions.c.valid_to))
    changes = starts.union_all(ends).subquery("changes")
    change_keys = (changes.c.integration_id, changes.c.upstream_user_id)
    moments = (
        select(*change_keys, changes.c.at, func.sum(changes.c.change).label("change"))
        .group_by(*change_keys, changes.c.at)
        .subquery("moments")
    )
    moment_keys = (moments.c.integration_id, moments.c.upstream_user_id)
    running_count = func.sum(moments.c.change).over(partition_by=moment_keys, order_by=moments.c.at)
    id_counts = select(*moment_keys, moments.c.at, running_count.label("accounts")).subquery(
        "counted"
    )
    count_keys = (id_counts.c.integration_id, id_counts.c.upstream_user_id)
    previous = func.lag(id_counts.c.accounts).over(partition_by=count_keys, order_by=id_counts.c.at)
    steps = select(
        *count_keys,
        id_counts.c.at,
        id_counts.c.accounts,
        func.coalesce(previous, 0).label("earlier"),
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


def unchanged_by_update(view: View) -> Select[*tuple[Any, ...]]:
    """Accounts that are Onboarded since an update of late, and as they were before it."""
    accounts, newest = view.accounts(), view.newest_snapshots()
    span = timedelta(days=view.limits.unchanged_days)
    return (
        select(accounts.c.account_key, accounts.c.state_since.label("since"), no_detail())
        .join_from(accounts, newest, newest.c.integration_id == accounts.c.integration_id)
        .where(
            accounts.c.provisioning_state == "Onboarded",
            accounts.c.previous_state.in_(UPDATING_STATES),
            accounts.c.state_since >= newest.c.at - span,
            accounts.c.content_since < accounts.c.previous_job_since,
        )
    )


UPDATING_STATES = state_names(phase="awaiting", operation="update") + state_names(
    phase="ongoing", operation="update"
)
