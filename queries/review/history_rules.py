"""Rules that need more than the account as it is: its history, other accounts, usual durations.

Each returns one row per account: [account_key, since, detail].
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.history.since import state_operation
from data.people.clues import id_clue
from data.schema import (
    account_profile,
    account_version,
    is_its_profile,
    is_same_account,
    job_end,
    join_profile,
    state_change,
)
from data.states import DELETE_STATES, OPEN_STATES, STATES
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
    latest_start,
    limit_reached_at,
    no_detail,
    starts_after_break,
    unbroken_since,
)
from queries.review.transitions import DISALLOWED_TRANSITIONS

BASELINE_PERIOD = timedelta(days=90)
"""Jobs that began and ended in this period before the newest snapshot define what is usual."""

USUAL_QUANTILE = 0.95
"""Share of those jobs that took no longer."""

MIN_BASELINE_JOBS = 20
"""Jobs of an integration and operation that it takes to define what is usual."""

BEING_DELETED = ("Delete awaiting", "Delete ongoing", "Delete failed")
UPDATING_STATES = tuple(
    state.name for state in STATES if state.operation == "update" and state.name in OPEN_STATES
)

Findings = sa.Select[*tuple[Any, ...]]

# ---- reappeared after deletion -------------------------------------------------------------------


def returned_after_deletion(view: View) -> Findings:
    """Accounts that were last Deleted, then not listed, and are listed again in another state.

    Since the first snapshot that lists them again. Another deletion ends the finding.
    """
    keys = _returned_keys(view)
    presence = unbroken_since(view, keys, lambda rows: rows.c.account_key.is_not(None))
    v = account_version.c
    deleted = (
        select(v.account_key, func.max(v.valid_to).label("until"))
        .where(
            v.account_key.in_(select(keys.c.account_key)),
            v.provisioning_state == "Deleted",
            view.is_past(v.valid_from),
        )
        .group_by(v.account_key)
        .subquery("deleted")
    )
    detail = func.concat("Deleted until ", format_minute(deleted.c.until)).label("detail")
    return (
        select(presence.c.account_key, presence.c.since, detail)
        .join_from(presence, deleted, deleted.c.account_key == presence.c.account_key)
        .where(deleted.c.until < presence.c.since)
    )


def _returned_keys(view: View) -> sa.FromClause:
    """One row per account that was removed while Deleted, and is listed in another state."""
    accounts, v, removal = view.accounts(), account_version.c, state_change.c
    removal_times = select(removal.taken_at).where(
        removal.from_state == "Deleted", removal.to_state.is_(None), view.is_past(removal.taken_at)
    )
    removed = (
        select(v.account_key)
        .where(v.provisioning_state == "Deleted", v.valid_to.in_(removal_times))
        .distinct()
        .cte()
    )
    return (
        select(removed.c.account_key)
        .join_from(removed, accounts, accounts.c.account_key == removed.c.account_key)
        .where(accounts.c.provisioning_state != "Deleted")
        .cte()
    )


# ---- unexplained state changes -------------------------------------------------------------------


def unexplained_transitions(view: View) -> Findings:
    """Accounts that are still in a state which no single job explains."""
    accounts = view.accounts()
    transition = func.concat(accounts.c.previous_state, ">", accounts.c.provisioning_state)
    return select(
        accounts.c.account_key,
        accounts.c.state_since.label("since"),
        func.concat("was ", accounts.c.previous_state).label("detail"),
    ).where(accounts.c.previous_state.is_not(None), transition.in_(DISALLOWED_TRANSITIONS))


# ---- open longer than usual ----------------------------------------------------------------------


def overdue_jobs(view: View) -> Findings:
    """Accounts with a job that is open for longer than usual."""
    accounts, newest, usual = view.accounts(), view.newest_snapshots(), _usual_spans(view)
    is_same_kind = and_(
        usual.c.integration_id == accounts.c.integration_id,
        usual.c.operation == state_operation(accounts.c.provisioning_state),
    )
    late = (
        select(
            accounts.c.account_key,
            accounts.c.integration_id,
            accounts.c.attempt_since.label("began"),
            usual.c.span,
        )
        .join_from(accounts, newest, newest.c.integration_id == accounts.c.integration_id)
        .join(usual, is_same_kind)
        .where(
            accounts.c.provisioning_state.in_(OPEN_STATES),
            newest.c.at - accounts.c.attempt_since > usual.c.span,
        )
        .cte()
    )
    limit = late.c.began + late.c.span
    reached = limit_reached_at(view, late, limit)
    detail = func.concat(
        "since ", format_minute(late.c.began), "; usually up to ", _span_text(late.c.span)
    )
    return select(
        late.c.account_key, reached.c.at.label("since"), detail.label("detail")
    ).join_from(late, reached, is_same_limit(reached, late, limit))


def _usual_spans(view: View) -> sa.FromClause:
    """One row per integration and operation: [integration_id, operation, span] of 95% of its jobs.

    A job takes from the first snapshot that shows it to the first that shows its end.
    """
    newest, ended = view.newest_snapshots(), job_end.c
    span = ended.taken_at - ended.attempt_began
    keys = (ended.integration_id, ended.operation)
    spans = (
        select(*keys, span.label("span"), func.sum(ended.jobs).label("jobs"))
        .join_from(job_end, newest, newest.c.integration_id == ended.integration_id)
        .where(
            ended.taken_at <= newest.c.at,
            ended.attempt_began >= newest.c.at - BASELINE_PERIOD,
            ended.outcome.in_(("failed", "settled")),
        )
        .group_by(*keys, span)
        .subquery("spans")
    )
    keys = (spans.c.integration_id, spans.c.operation)
    up_to_span = func.sum(spans.c.jobs).over(partition_by=keys, order_by=spans.c.span)
    total = func.sum(spans.c.jobs).over(partition_by=keys)
    counted = select(
        *keys, spans.c.span, up_to_span.label("up_to_span"), total.label("total")
    ).subquery("counted")
    keys = (counted.c.integration_id, counted.c.operation)
    return (
        select(*keys, func.min(counted.c.span).label("span"))
        .where(
            counted.c.total >= MIN_BASELINE_JOBS,
            counted.c.up_to_span >= USUAL_QUANTILE * counted.c.total,
        )
        .group_by(*keys)
        .subquery("usual")
    )


def _span_text(span: ColumnElement[Any]) -> ColumnElement[Any]:
    """A duration as text: `52 hours`, from three days on `4.5 days`."""
    hours = interval_seconds(span) / 3600
    return case(
        (hours >= 72, func.concat(format_three_digits(hours / 24), " days")),
        else_=func.concat(format_three_digits(hours), " hours"),
    )


# ---- the last holder of a role -------------------------------------------------------------------


def last_holders(view: View) -> Findings:
    """Accounts being deleted with a role that nobody else keeps; since nobody else has it."""
    last_roles = _last_roles(view)
    leaving = _leaving_role_since(view, last_roles)
    held = _role_held_until(view, last_roles)
    is_same_role = and_(
        held.c.integration_id == leaving.c.integration_id, held.c.role == leaving.c.role
    )
    since = func.greatest(leaving.c.since, func.coalesce(held.c.until, leaving.c.since))
    return (
        select(
            leaving.c.account_key,
            func.min(since).label("since"),
            join_sorted(leaving.c.role, "; ").label("detail"),
        )
        .select_from(leaving.outerjoin(held, is_same_role))
        .group_by(leaving.c.account_key)
    )


def _last_roles(view: View) -> sa.FromClause:
    """One row per account and role that goes with it: [account_key, integration_id, role]."""
    leaving, remaining = view.accounts(), view.accounts()
    is_leaving = and_(leaving.c.active_in_app, leaving.c.provisioning_state.in_(BEING_DELETED))
    leaving_roles = (
        select(
            leaving.c.account_key,
            leaving.c.integration_id,
            func.unnest(leaving.c.roles).label("role"),
        )
        .where(is_leaving)
        .subquery("leaving")
    )
    is_remaining = and_(
        remaining.c.active_in_app, remaining.c.provisioning_state.not_in(DELETE_STATES)
    )
    roles = select(remaining.c.integration_id, func.unnest(remaining.c.roles).label("role"))
    roles = roles.where(is_remaining).subquery("roles")
    remaining_roles = select(roles).distinct().subquery("remaining")
    is_same_role = and_(
        remaining_roles.c.integration_id == leaving_roles.c.integration_id,
        remaining_roles.c.role == leaving_roles.c.role,
    )
    return (
        select(leaving_roles)
        .outerjoin(remaining_roles, is_same_role)
        .where(remaining_roles.c.role.is_(None))
        .cte()
    )


def _leaving_role_since(view: View, last_roles: sa.FromClause) -> sa.FromClause:
    """One row per account and role: [.., since] it has been active, leaving, with the role."""
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
    rows = join_profile(leaving.subquery("leaving"))
    keys = ("account_key", "integration_id", "role")
    holding = (
        select(*(rows.c[name] for name in (*keys, "valid_from")), starts_after_break(rows, *keys))
        .where(has_role(rows.c.roles, rows.c.role))
        .subquery("holding")
    )
    return latest_start(holding, *keys)


def _role_held_until(view: View, last_roles: sa.FromClause) -> sa.FromClause:
    """One row per integration and role: [.., until] another active account kept it."""
    v, profile = account_version.c, account_profile
    roles = select(last_roles.c.integration_id, last_roles.c.role).distinct().subquery("roles")
    holders = (
        select(profile.c.account_key, profile.c.content_since, *roles.c)
        .join_from(profile, roles, roles.c.integration_id == profile.c.integration_id)
        .where(has_role(profile.c.roles, roles.c.role))
        .subquery("holders")
    )
    keys = (holders.c.integration_id, holders.c.role)
    return (
        select(*keys, func.max(v.valid_to).label("until"))
        .join_from(account_version, holders, is_its_profile(holders, account_version))
        .where(
            view.is_past(v.valid_to), v.active_in_app, v.provisioning_state.not_in(DELETE_STATES)
        )
        .group_by(*keys)
        .subquery("held_until")
    )


# ---- one upstream ID on several accounts ---------------------------------------------------------

ID_KEYS = ("integration_id", "id_clue")
"""The clue is the same for a GUID in any case, with and without braces."""


def shared_upstream_ids(view: View) -> RuleResult:
    """Accounts with an upstream ID that another one has; since both have it."""
    accounts, candidates = _with_clue(view.accounts()), _with_clue(view.accounts())
    keys = _columns(accounts, ID_KEYS)
    shared = (
        select(*keys, func.count().label("accounts"))
        .where(accounts.c.id_clue.is_not(None))
        .group_by(*keys)
        .having(func.count() > 1)
        .subquery("shared")
    )
    columns = (candidates.c.account_key, candidates.c.upstream_user_id, *shared.c)
    matching = select(*columns).join_from(candidates, shared, _is_same_id(candidates, shared))

    def details(among: sa.FromClause | None) -> Findings:
        selected = matching.cte()
        if among is not None:
            joined = selected.join(among, among.c.account_key == selected.c.account_key)
            selected = select(selected).select_from(joined).cte()
        versions = _id_versions(view, selected)
        held, shared = _id_held_since(versions, selected), _id_shared_since(view, versions)
        detail = func.concat(selected.c.accounts, " accounts: ", selected.c.upstream_user_id)
        since = func.greatest(held.c.since, shared.c.since)
        return (
            select(held.c.account_key, since.label("since"), detail.label("detail"))
            .join_from(held, selected, selected.c.account_key == held.c.account_key)
            .join(shared, _is_same_id(shared, selected))
        )

    return RuleResult(select(matching.subquery().c.account_key), details)


def _with_clue(rows: sa.FromClause) -> sa.FromClause:
    """The rows with `id_clue`. Rows of the past lack it."""
    clue = id_clue(rows).label("id_clue")
    return rows if "id_clue" in rows.c else select(rows, clue).subquery("with_clue")


def _columns(rows: sa.FromClause, names: tuple[str, ...]) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in names]


def _is_same_id(left: sa.FromClause, right: sa.FromClause) -> ColumnElement[bool]:
    return and_(*(left.c[name] == right.c[name] for name in ID_KEYS))


def _id_versions(view: View, accounts: sa.FromClause) -> sa.FromClause:
    """One row per version with one of the IDs: [account_key, *ID_KEYS, valid_from, valid_to]."""
    ids = select(*_columns(accounts, ID_KEYS)).distinct().subquery("ids")
    p, v = account_profile, account_version
    return (
        select(v.c.account_key, *ids.c, v.c.valid_from, v.c.valid_to)
        .join_from(v, p, is_its_profile(p, v))
        .join(ids, _is_same_id(p, ids))
        .where(view.is_past(v.c.valid_from))
        .cte()
    )


def _id_held_since(versions: sa.FromClause, accounts: sa.FromClause) -> sa.FromClause:
    """One row per account: [account_key, since] it has had its ID without a break."""
    is_current_id = and_(
        versions.c.account_key == accounts.c.account_key, _is_same_id(versions, accounts)
    )
    starts = starts_after_break(versions, "integration_id", "account_key")
    holding = (
        select(versions.c.account_key, versions.c.valid_from, starts)
        .join_from(versions, accounts, is_current_id)
        .subquery("holding")
    )
    return latest_start(holding, "account_key")


def _id_shared_since(view: View, versions: sa.FromClause) -> sa.FromClause:
    """One row per ID: [*ID_KEYS, since] more than one account has had it without a break.

    Each version with the ID adds one account at its start and takes one off at its end.
    """
    v, keys = versions.c, _columns(versions, ID_KEYS)
    starts = select(*keys, v.valid_from.label("at"), sa.literal(1).label("change"))
    ends = select(*keys, v.valid_to.label("at"), sa.literal(-1).label("change"))
    changes = starts.union_all(ends.where(view.is_past(v.valid_to))).subquery("changes")
    keys = _columns(changes, ID_KEYS)
    moments = (
        select(*keys, changes.c.at, func.sum(changes.c.change).label("change"))
        .group_by(*keys, changes.c.at)
        .subquery("moments")
    )
    keys = _columns(moments, ID_KEYS)
    total = func.sum(moments.c.change).over(partition_by=keys, order_by=moments.c.at)
    counts = select(*keys, moments.c.at, total.label("accounts")).subquery("counts")
    keys = _columns(counts, ID_KEYS)
    previous = func.lag(counts.c.accounts).over(partition_by=keys, order_by=counts.c.at)
    steps = select(counts, func.coalesce(previous, 0).label("previous")).subquery("steps")
    keys = _columns(steps, ID_KEYS)
    return (
        select(*keys, func.max(steps.c.at).label("since"))
        .where(steps.c.accounts > 1, steps.c.previous <= 1)
        .group_by(*keys)
        .subquery("shared_since")
    )


# ---- updates that changed nothing ----------------------------------------------------------------


def unchanged_by_update(view: View) -> Findings:
    """Accounts that a recent update left Onboarded and otherwise unchanged."""
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
