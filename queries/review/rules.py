"""The review: who still has access who should not? One small function per rule; RULES lists them.

A rule finds accounts at a moment, and since when it has found each: the first snapshot from which
it has held without interruption. Its docstring is the rule in words.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    column,
    exists,
    false,
    func,
    select,
    values,
)

from data.records.exceptions import FindingKey, RuleSettings, is_in_force
from data.schema import account, exception, integration, is_same_account, is_unmatched
from data.store.dialect import regex_matches
from queries.cache import cached
from queries.filters import Filters
from queries.review.duration import (
    RuleResult,
    View,
    condition,
    history_condition,
    lasting_condition,
    precomputed,
)
from queries.review.history_rules import (
    last_holders,
    overdue_jobs,
    returned_after_deletion,
    shared_upstream_ids,
    unchanged_by_update,
    unexplained_transitions,
)
from queries.users.accounts import snapshot_accounts_by_key

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

PAGE_SIZE = 50
"""Findings on one page."""


@dataclass(frozen=True)
class Rule:
    """One rule, in words for those who read the findings."""

    name: str  # in addresses and in the evidence
    title: str
    severity: Severity
    description: str  # with the names of limits in braces
    find: Callable[[View], RuleResult]
    users: Filters | None = None  # which show the same accounts on the Users page

    def describe(self, limits: RuleSettings) -> str:
        """The rule with its limits."""
        placeholders = asdict(limits) | {"privileged": ", ".join(limits.privileged) or "no pattern"}
        return self.description.format(**placeholders)


def rule(
    title: str, severity: Severity, users: Filters | None = None
) -> Callable[[Callable[[View], RuleResult]], Rule]:
    """Make a rule of a function that finds accounts; its docstring is the rule in words."""

    def decorate(find: Callable[[View], RuleResult]) -> Rule:
        description = " ".join(inspect.cleandoc(find.__doc__ or "").split())
        return Rule(find.__name__, title, severity, description, find, users)

    return decorate


# ---- the rules -----------------------------------------------------------------------------------


@rule("Deleted but active", "high", Filters(state=("Deleted",), active="yes"))
def deleted_but_active(view: View) -> RuleResult:
    """The account is Deleted, and the app says that it is active."""
    return _active_in_state(view, "Deleted")


@rule("Delete failed, still active", "high", Filters(state=("Delete failed",), active="yes"))
def delete_failed_but_active(view: View) -> RuleResult:
    """The deletion failed, and the app says that the account is active."""
    return _active_in_state(view, "Delete failed")


@rule("Deletion does not begin, still active", "high")
def delete_awaiting_but_active(view: View) -> RuleResult:
    """In Delete awaiting for more than {delete_awaiting_days} days, and active in the app."""

    def predicate(a: FromClause) -> ColumnElement[bool]:
        return and_(a.c.provisioning_state == "Delete awaiting", a.c.active_in_app)

    span = timedelta(days=view.limits.delete_awaiting_days)
    return lasting_condition(
        view, predicate, span, ("state_since",), ("state_since", "active_since")
    )


@rule("Came back after it was Deleted", "high")
def came_back(view: View) -> RuleResult:
    """Deleted, then gone from the app’s list, and now there again in another state."""
    return precomputed(returned_after_deletion(view))


@rule("Unmatched with a privileged role", "high")
def unmatched_and_privileged(view: View) -> RuleResult:
    """No user is known for the account, and one of its roles matches: {privileged}."""

    def predicate(a: FromClause) -> ColumnElement[bool]:
        return and_(is_unmatched(a), _has_role_like(a, view.limits.privileged))

    return history_condition(view, predicate)


@rule("Active and unmatched", "medium", Filters(active="yes", match="unmatched"))
def active_and_unmatched(view: View) -> RuleResult:
    """The app says that the account is active, and no user is known for it."""
    return condition(
        view, lambda a: and_(a.c.active_in_app, is_unmatched(a)), "active_since", "user_since"
    )


@rule("Last holder of a role is being deleted", "medium")
def last_holder(view: View) -> RuleResult:
    """Active, in Delete awaiting, ongoing or failed, and the last to hold a role.

    No other active account of the integration has that role, but for those that are Deleted or
    being deleted themselves.
    """
    return precomputed(last_holders(view))


@rule("One upstream ID on several accounts", "medium")
def shared_upstream_id(view: View) -> RuleResult:
    """Another account of the same integration has the same upstream user ID, in any state."""
    return shared_upstream_ids(view)


@rule("Onboarded, but not active", "low")
def onboarded_but_inactive(view: View) -> RuleResult:
    """Onboarded, and not active in the app, for more than {inactive_days} days on end.

    Activity that is unknown does not count.
    """

    def predicate(a: FromClause) -> ColumnElement[bool]:
        return and_(a.c.provisioning_state == "Onboarded", a.c.active_in_app.is_(False))

    since_columns, span = ("state_since", "active_since"), timedelta(days=view.limits.inactive_days)
    return lasting_condition(view, predicate, span, since_columns, since_columns)


@rule("State that no job explains", "low")
def unlawful_jump(view: View) -> RuleResult:
    """Still in a state that it reached between two snapshots, and no job explains how.

    Steps may go unseen, but at most one job may begin between two snapshots, and one succeed.
    """
    return precomputed(unexplained_transitions(view))


@rule("Waiting longer than usual", "low")
def waiting_longer_than_usual(view: View) -> RuleResult:
    """The job has been awaiting or ongoing longer than 95 % of its kind.

    Its kind are the jobs of the same integration and operation that began and ended, failed or
    settled, in the 90 days up to the newest snapshot; where fewer than 20 did, nothing is found.
    """
    return precomputed(overdue_jobs(view))


@rule("Job succeeded, nothing changed", "low")
def nothing_changed(view: View) -> RuleResult:
    """Onboarded after an update within {unchanged_days} days that left the account as it was.

    From before the update until now nothing in it changed but its state, the reason for it and
    the time of its last update.
    """
    return precomputed(unchanged_by_update(view))


RULES: tuple[Rule, ...] = (
    deleted_but_active,
    delete_failed_but_active,
    delete_awaiting_but_active,
    came_back,
    unmatched_and_privileged,
    active_and_unmatched,
    last_holder,
    shared_upstream_id,
    onboarded_but_inactive,
    unlawful_jump,
    waiting_longer_than_usual,
    nothing_changed,
)
"""Every rule, the severest first."""

RULE_BY_NAME = {each.name: each for each in RULES}


# ---- what is found -------------------------------------------------------------------------------


class FindingCount(NamedTuple):
    """How many accounts a rule finds: those that count, and those that a person has accepted."""

    open: int
    exceptions: int


def count_findings(con: Connection, view: View, rule: Rule) -> FindingCount:
    """How many findings there are; since when is asked only of those that somebody accepted."""
    undated_view = replace(view, evaluated_at=datetime(1, 1, 1))  # what people say changes no rule
    total = _count_all(con, undated_view, rule)
    if not total or not _has_exceptions(con, view, rule):
        return FindingCount(total, 0)
    excepted = _excepted_accounts(view, rule).subquery("agreed")
    exceptions = con.scalar(select(func.count()).select_from(excepted)) or 0
    return FindingCount(total - exceptions, exceptions)


@cached(256)
def _count_all(con: Connection, view: View, rule: Rule) -> int:
    """How many accounts a rule finds, accepted or not."""
    accounts = rule.find(view).accounts.subquery("found")
    return con.scalar(select(func.count()).select_from(accounts)) or 0


def page_of_findings(
    con: Connection, view: View, rule: Rule, page: int, *, with_exception: bool = False
) -> Sequence[Row[Any]]:
    """One row per finding of the page (from 1) that counts, or that is accepted; oldest first.

    The page is cut out before it is asked what its accounts are like: that is for a few to tell.
    """
    dated = _dated_findings(view, rule)
    is_wanted = dated.c.reason.is_not(None) if with_exception else dated.c.reason.is_(None)
    page_rows = con.execute(
        select(dated)
        .where(is_wanted)
        .order_by(dated.c.since, dated.c.account_key)
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    ).all()
    keys = [row.account_key for row in page_rows]
    page_values = values(*(column(c.name, c.type) for c in dated.c), name="shown").data(
        [tuple(row) for row in page_rows]
    )
    if not keys:
        return []
    accounts = snapshot_accounts_by_key(Filters(as_of=view.as_of), keys)
    detailed = _with_account_columns(view, page_values, accounts)
    return con.execute(select(detailed).order_by(detailed.c.since, detailed.c.account_key)).all()


MAX_EXCEPTIONS_AT_ONCE = 10_000
"""Findings that a person can accept with one word."""


def open_findings(con: Connection, view: View, rule: Rule) -> list[tuple[FindingKey, datetime]]:
    """The findings that count, each with the snapshot that shows it; at most MOST_AT_ONCE."""
    rows = finding_rows(view, rule)
    open_rows = select(rows.c.integration, rows.c.account_id, rows.c.snapshot_taken_at).where(
        rows.c.reason.is_(None)
    )
    return [
        (FindingKey(rule.name, row.integration, row.account_id), row.snapshot_taken_at)
        for row in con.execute(open_rows.limit(MAX_EXCEPTIONS_AT_ONCE))
    ]


def all_findings(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per finding, accepted or not, in an order that no account key decides."""
    rows = finding_rows(view, rule)
    return select(rows).order_by(rows.c.integration, rows.c.account_id)


ACCOUNT_COLUMNS = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "last_updated",
)
"""What is said of the account of a finding, as it is at the moment."""

EXCEPTION_COLUMNS = ("reason", "accepted_by", "accepted_at", "until")


def finding_rows(view: View, rule: Rule) -> FromClause:
    """One row per finding: the account, since when, and where it is accepted, why.

    [account_key, integration, account_id, snapshot_taken_at, since, detail, *FINDING, *ACCEPTANCE]
    """
    return _with_account_columns(view, _dated_findings(view, rule), view.accounts())


def _with_account_columns(view: View, dated: FromClause, accounts: FromClause) -> FromClause:
    """The findings with what their accounts are like."""
    newest = view.newest_snapshots()
    return (
        select(
            accounts.c.account_key,
            integration.c.name.label("integration"),
            account.c.account_id,
            newest.c.at.label("snapshot_taken_at"),
            dated.c.since,
            dated.c.detail,
            *(accounts.c[name] for name in ACCOUNT_COLUMNS),
            *(dated.c[name] for name in EXCEPTION_COLUMNS),
        )
        .join_from(dated, accounts, accounts.c.account_key == dated.c.account_key)
        .join(account, is_same_account(account, accounts))
        .join(integration, integration.c.integration_id == accounts.c.integration_id)
        .join(newest, newest.c.integration_id == accounts.c.integration_id)
        .subquery("findings")
    )


def _dated_findings(view: View, rule: Rule) -> FromClause:
    """One row per finding: [account_key, since, detail, *ACCEPTANCE].

    An acceptance is of the finding that held when it was given, not of one that began later.
    """
    results, exceptions = (
        rule.find(view).details(None).subquery("told"),
        _exceptions_in_force(view, rule).subquery("said"),
    )
    is_covered = and_(
        exceptions.c.account_key == results.c.account_key,
        exceptions.c.snapshot_taken_at >= results.c.since,
    )
    return (
        select(
            results.c.account_key,
            results.c.since,
            results.c.detail,
            *(exceptions.c[n] for n in EXCEPTION_COLUMNS),
        )
        .join_from(results, exceptions, is_covered, isouter=True)
        .subquery("dated")
    )


def _exceptions_in_force(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per account of which a person has accepted the finding, and in force."""
    columns = exception.c
    return (
        select(
            account.c.account_key,
            columns.snapshot_taken_at,
            *(columns[name] for name in EXCEPTION_COLUMNS),
        )
        .join_from(exception, integration, integration.c.name == columns.integration)
        .join(
            account,
            and_(
                account.c.integration_id == integration.c.integration_id,
                account.c.account_id == columns.account_id,
            ),
        )
        .where(columns.rule == rule.name, is_in_force(view.records_until()))
    )


def _has_exceptions(con: Connection, view: View, rule: Rule) -> bool:
    statement = select(
        exists().where(exception.c.rule == rule.name, is_in_force(view.records_until()))
    )
    return bool(con.scalar(statement))


def _excepted_accounts(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per finding that is accepted: it has held since before the person looked at it."""
    exceptions = _exceptions_in_force(view, rule).subquery("said")
    results = (
        rule.find(view).details(select(exceptions.c.account_key).subquery("among")).subquery("told")
    )
    return select(results.c.account_key).join_from(
        results,
        exceptions,
        and_(
            exceptions.c.account_key == results.c.account_key,
            exceptions.c.snapshot_taken_at >= results.c.since,
        ),
    )


# ---- what an account says ------------------------------------------------------------------------


def _active_in_state(view: View, state: str) -> RuleResult:
    """In the state, and active."""
    return condition(
        view,
        lambda a: and_(a.c.provisioning_state == state, a.c.active_in_app),
        "state_since",
        "active_since",
    )


def _has_role_like(a: FromClause, patterns: Sequence[str]) -> ColumnElement[bool]:
    """Whether a role matches one of the patterns, whatever case either is written in."""
    if not patterns:
        return false()
    alternatives = "|".join(_glob_to_regex(pattern) for pattern in patterns)
    joined_roles = func.concat(
        ROLE_SEPARATOR, func.array_to_string(a.c.roles, ROLE_SEPARATOR), ROLE_SEPARATOR
    )
    return regex_matches(
        func.lower(joined_roles), f"(?s){ROLE_SEPARATOR}(?:{alternatives.lower()}){ROLE_SEPARATOR}"
    )


ROLE_SEPARATOR = "\x1f"
"""What parts roles in one text: no role has it in its name."""


def _glob_to_regex(pattern: str) -> str:
    """A pattern as a regular expression that stays within one role."""
    wildcards = {"*": f"[^{ROLE_SEPARATOR}]*", "?": f"[^{ROLE_SEPARATOR}]"}
    return "".join(wildcards.get(c) or re.escape(c) for c in pattern)
