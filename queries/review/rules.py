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

from data.records.exceptions import Finding, Limits, in_force
from data.schema import accepted, account, integration, is_unmatched, same_account
from data.store.dialect import matches
from queries.cache import remembered
from queries.filters import Filters
from queries.review.duration import Found, View, that, that_in_history, that_lasts, whole
from queries.review.history_rules import jumped, last_holders, overdue, returned, sharing, unchanged
from queries.users.accounts import accounts_with

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
    sentences: str  # with the names of limits in braces
    find: Callable[[View], Found]
    users: Filters | None = None  # which show the same accounts on the Users page

    def in_words(self, limits: Limits) -> str:
        """The rule with its limits."""
        named = asdict(limits) | {"privileged": ", ".join(limits.privileged) or "no pattern"}
        return self.sentences.format(**named)


def rule(
    title: str, severity: Severity, users: Filters | None = None
) -> Callable[[Callable[[View], Found]], Rule]:
    """Make a rule of a function that finds accounts; its docstring is the rule in words."""

    def made(find: Callable[[View], Found]) -> Rule:
        words = " ".join(inspect.cleandoc(find.__doc__ or "").split())
        return Rule(find.__name__, title, severity, words, find, users)

    return made


# ---- the rules -----------------------------------------------------------------------------------


@rule("Deleted but active", "high", Filters(state=("Deleted",), active="yes"))
def deleted_but_active(view: View) -> Found:
    """The account is Deleted, and the app says that it is active."""
    return _active_in(view, "Deleted")


@rule("Delete failed, still active", "high", Filters(state=("Delete failed",), active="yes"))
def delete_failed_but_active(view: View) -> Found:
    """The deletion failed, and the app says that the account is active."""
    return _active_in(view, "Delete failed")


@rule("Deletion does not begin, still active", "high")
def delete_awaiting_but_active(view: View) -> Found:
    """In Delete awaiting for more than {delete_awaiting_days} days, and active in the app."""

    def holds(a: FromClause) -> ColumnElement[bool]:
        return and_(a.c.provisioning_state == "Delete awaiting", a.c.active_in_app)

    span = timedelta(days=view.limits.delete_awaiting_days)
    return that_lasts(view, holds, span, ("state_since",), ("state_since", "active_since"))


@rule("Came back after it was Deleted", "high")
def came_back(view: View) -> Found:
    """Deleted, then gone from the app’s list, and now there again in another state."""
    return whole(returned(view))


@rule("Unmatched with a privileged role", "high")
def unmatched_and_privileged(view: View) -> Found:
    """No user is known for the account, and one of its roles matches: {privileged}."""

    def holds(a: FromClause) -> ColumnElement[bool]:
        return and_(is_unmatched(a), _has_any_like(a, view.limits.privileged))

    return that_in_history(view, holds)


@rule("Active and unmatched", "medium", Filters(active="yes", match="unmatched"))
def active_and_unmatched(view: View) -> Found:
    """The app says that the account is active, and no user is known for it."""
    return that(
        view, lambda a: and_(a.c.active_in_app, is_unmatched(a)), "active_since", "user_since"
    )


@rule("Last holder of a role is being deleted", "medium")
def last_holder(view: View) -> Found:
    """Active, in Delete awaiting, ongoing or failed, and the last to hold a role.

    No other active account of the integration has that role, but for those that are Deleted or
    being deleted themselves.
    """
    return whole(last_holders(view))


@rule("One upstream ID on several accounts", "medium")
def shared_upstream_id(view: View) -> Found:
    """Another account of the same integration has the same upstream user ID, in any state."""
    return sharing(view)


@rule("Onboarded, but not active", "low")
def onboarded_but_inactive(view: View) -> Found:
    """Onboarded, and not active in the app, for more than {inactive_days} days on end.

    Activity that is unknown does not count.
    """

    def idle(a: FromClause) -> ColumnElement[bool]:
        return and_(a.c.provisioning_state == "Onboarded", a.c.active_in_app.is_(False))

    stays, span = ("state_since", "active_since"), timedelta(days=view.limits.inactive_days)
    return that_lasts(view, idle, span, stays, stays)


@rule("State that no job explains", "low")
def unlawful_jump(view: View) -> Found:
    """Still in a state that it reached between two snapshots, and no job explains how.

    Steps may go unseen, but at most one job may begin between two snapshots, and one succeed.
    """
    return whole(jumped(view))


@rule("Waiting longer than usual", "low")
def waiting_longer_than_usual(view: View) -> Found:
    """The job has been awaiting or ongoing longer than 95 % of its kind.

    Its kind are the jobs of the same integration and operation that began and ended, failed or
    settled, in the 90 days up to the newest snapshot; where fewer than 20 did, nothing is found.
    """
    return whole(overdue(view))


@rule("Job succeeded, nothing changed", "low")
def nothing_changed(view: View) -> Found:
    """Onboarded after an update within {unchanged_days} days that left the account as it was.

    From before the update until now nothing in it changed but its state, the reason for it and
    the time of its last update.
    """
    return whole(unchanged(view))


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


class Count(NamedTuple):
    """How many accounts a rule finds: those that count, and those that a person has accepted."""

    open: int
    accepted: int


def count_findings(con: Connection, view: View, rule: Rule) -> Count:
    """How many findings there are; since when is asked only of those that somebody accepted."""
    asked = replace(view, asked_at=datetime(1, 1, 1))  # what people say changes no rule
    every = _count_every(con, asked, rule)
    if not every or not _accepts_any(con, view, rule):
        return Count(every, 0)
    agreed = _agreed(view, rule).subquery("agreed")
    is_accepted = con.scalar(select(func.count()).select_from(agreed)) or 0
    return Count(every - is_accepted, is_accepted)


@remembered(256)
def _count_every(con: Connection, view: View, rule: Rule) -> int:
    """How many accounts a rule finds, accepted or not."""
    found = rule.find(view).accounts.subquery("found")
    return con.scalar(select(func.count()).select_from(found)) or 0


def page_of_findings(
    con: Connection, view: View, rule: Rule, page: int, *, accepted: bool = False
) -> Sequence[Row[Any]]:
    """One row per finding of the page (from 1) that counts, or that is accepted; oldest first.

    The page is cut out before it is asked what its accounts are like: that is for a few to tell.
    """
    dated = _dated(view, rule)
    wanted = dated.c.reason.is_not(None) if accepted else dated.c.reason.is_(None)
    shown = con.execute(
        select(dated)
        .where(wanted)
        .order_by(dated.c.since, dated.c.account_key)
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    ).all()
    keys = [row.account_key for row in shown]
    rows = values(*(column(c.name, c.type) for c in dated.c), name="shown").data(
        [tuple(row) for row in shown]
    )
    if not keys:
        return []
    now = accounts_with(Filters(as_of=view.at), keys)
    listed = _named(view, rows, now)
    return con.execute(select(listed).order_by(listed.c.since, listed.c.account_key)).all()


MOST_AT_ONCE = 10_000
"""Findings that a person can accept with one word."""


def findings_to_accept(con: Connection, view: View, rule: Rule) -> list[tuple[Finding, datetime]]:
    """The findings that count, each with the snapshot that shows it; at most MOST_AT_ONCE."""
    every = findings(view, rule)
    counts = select(every.c.integration, every.c.account_id, every.c.held_at).where(
        every.c.reason.is_(None)
    )
    return [
        (Finding(rule.name, row.integration, row.account_id), row.held_at)
        for row in con.execute(counts.limit(MOST_AT_ONCE))
    ]


def all_findings(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per finding, accepted or not, in an order that no account key decides."""
    listed = findings(view, rule)
    return select(listed).order_by(listed.c.integration, listed.c.account_id)


FINDING = (
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

ACCEPTANCE = ("reason", "accepted_by", "accepted_at", "until")


def findings(view: View, rule: Rule) -> FromClause:
    """One row per finding: the account, since when, and where it is accepted, why.

    [account_key, integration, account_id, held_at, since, detail, *FINDING, *ACCEPTANCE]
    """
    return _named(view, _dated(view, rule), view.accounts())


def _named(view: View, dated: FromClause, now: FromClause) -> FromClause:
    """The findings with what their accounts are like."""
    newest = view.newest()
    return (
        select(
            now.c.account_key,
            integration.c.name.label("integration"),
            account.c.account_id,
            newest.c.at.label("held_at"),
            dated.c.since,
            dated.c.detail,
            *(now.c[name] for name in FINDING),
            *(dated.c[name] for name in ACCEPTANCE),
        )
        .join_from(dated, now, now.c.account_key == dated.c.account_key)
        .join(account, same_account(account, now))
        .join(integration, integration.c.integration_id == now.c.integration_id)
        .join(newest, newest.c.integration_id == now.c.integration_id)
        .subquery("findings")
    )


def _dated(view: View, rule: Rule) -> FromClause:
    """One row per finding: [account_key, since, detail, *ACCEPTANCE].

    An acceptance is of the finding that held when it was given, not of one that began later.
    """
    told, said = rule.find(view).told(None).subquery("told"), _said(view, rule).subquery("said")
    agreed = and_(said.c.account_key == told.c.account_key, said.c.held_at >= told.c.since)
    return (
        select(told.c.account_key, told.c.since, told.c.detail, *(said.c[n] for n in ACCEPTANCE))
        .join_from(told, said, agreed, isouter=True)
        .subquery("dated")
    )


def _said(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per account of which a person has accepted the finding, and in force."""
    said = accepted.c
    return (
        select(account.c.account_key, said.held_at, *(said[name] for name in ACCEPTANCE))
        .join_from(accepted, integration, integration.c.name == said.integration)
        .join(
            account,
            and_(
                account.c.integration_id == integration.c.integration_id,
                account.c.account_id == said.account_id,
            ),
        )
        .where(said.rule == rule.name, in_force(view.said_by()))
    )


def _accepts_any(con: Connection, view: View, rule: Rule) -> bool:
    there = select(exists().where(accepted.c.rule == rule.name, in_force(view.said_by())))
    return bool(con.scalar(there))


def _agreed(view: View, rule: Rule) -> Select[*tuple[Any, ...]]:
    """One row per finding that is accepted: it has held since before the person looked at it."""
    said = _said(view, rule).subquery("said")
    told = rule.find(view).told(select(said.c.account_key).subquery("among")).subquery("told")
    return select(told.c.account_key).join_from(
        told, said, and_(said.c.account_key == told.c.account_key, said.c.held_at >= told.c.since)
    )


# ---- what an account says ------------------------------------------------------------------------


def _active_in(view: View, state: str) -> Found:
    """In the state, and active."""
    return that(
        view,
        lambda a: and_(a.c.provisioning_state == state, a.c.active_in_app),
        "state_since",
        "active_since",
    )


def _has_any_like(a: FromClause, patterns: Sequence[str]) -> ColumnElement[bool]:
    """Whether a role matches one of the patterns, whatever case either is written in."""
    if not patterns:
        return false()
    one_of = "|".join(_globbed(each) for each in patterns)
    listed = func.concat(BETWEEN, func.array_to_string(a.c.roles, BETWEEN), BETWEEN)
    return matches(func.lower(listed), f"(?s){BETWEEN}(?:{one_of.lower()}){BETWEEN}")


BETWEEN = "\x1f"
"""What parts roles in one text: no role has it in its name."""


def _globbed(pattern: str) -> str:
    """A pattern as a regular expression that stays within one role."""
    anything = {"*": f"[^{BETWEEN}]*", "?": f"[^{BETWEEN}]"}
    return "".join(anything.get(c) or re.escape(c) for c in pattern)
