"""The rules of the review, one function each: who still has access but should not?

A rule finds accounts, and the first snapshot since which each has met it without a break. Its
docstring describes it to readers. To add a rule, add a function with `@rule` here.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, func

from data.formatting import count_of
from data.records.exceptions import RuleSettings
from data.schema import is_unmatched
from data.store.dialect import regex_matches
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
from queries.review.people_rules import active_accounts_of, roles_gained_after_leave
from queries.review.recreated import recreated_accounts
from queries.review.sign_in_rules import idle_accounts, never_used_accounts

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Rule:
    """One rule, and its texts for readers of its findings."""

    name: str  # in addresses and in evidence packs
    title: str
    severity: Severity
    description: str  # with the names of settings in braces
    find: Callable[[View], RuleResult]
    users: Filters | None = None
    """Filters that show the same accounts on the Users page."""
    reads_people: bool = False
    """Whether the findings depend on the people of the directories."""

    def describe(self, settings: RuleSettings) -> str:
        """The description with the settings in it."""
        days = settings.grace_days
        texts = {
            "privileged": ", ".join(settings.privileged) or "no pattern",
            "grace_text": "Disabled people do not count as left."
            if days is None
            else f"Disabled people count as left after {count_of(days, 'day')}.",
        }
        return self.description.format(**asdict(settings) | texts)


RULE_BY_NAME: dict[str, Rule] = {}


def rule(
    title: str,
    severity: Severity,
    users: Filters | None = None,
    *,
    reads_people: bool = False,
) -> Callable[[Callable[[View], RuleResult]], Callable[[View], RuleResult]]:
    """Register a function as a rule; its docstring is the description."""

    def register(find: Callable[[View], RuleResult]) -> Callable[[View], RuleResult]:
        description = " ".join(inspect.cleandoc(find.__doc__ or "").split())
        name = find.__name__
        RULE_BY_NAME[name] = Rule(name, title, severity, description, find, users, reads_people)
        return find

    return register


# ---- the rules, the severest first ---------------------------------------------------------------


@rule("Deleted but still active", "high", Filters(state=("Deleted",), active="yes"))
def deleted_but_active(view: View) -> RuleResult:
    """Marked Deleted, but still active in the app."""
    return _active_in_state(view, "Deleted")


@rule("Delete failed, still active", "high", Filters(state=("Delete failed",), active="yes"))
def delete_failed_but_active(view: View) -> RuleResult:
    """The deletion failed, and the account is still active in the app."""
    return _active_in_state(view, "Delete failed")


@rule("Deletion overdue", "high")
def delete_awaiting_but_active(view: View) -> RuleResult:
    """In Delete awaiting for more than {delete_awaiting_days} days, and still active in the app."""
    span = timedelta(days=view.limits.delete_awaiting_days)
    since_columns = ("state_since", "active_since")
    is_found = _is_active_in_state("Delete awaiting")
    return lasting_condition(view, is_found, span, ("state_since",), since_columns)


@rule(
    "Person left, account active",
    "high",
    Filters(person="left", account="active"),
    reads_people=True,
)
def person_left(view: View) -> RuleResult:
    """The person left: no directory lists them, or all call them Deleted. The account is active.

    {grace_text}
    """
    return precomputed(active_accounts_of(view, "left"))


@rule("Left, and a role gained since", "high", reads_people=True)
def gained_after_leave(view: View) -> RuleResult:
    """The account gained a role after its person left, and still has it."""
    return precomputed(roles_gained_after_leave(view))


@rule(
    "Person disabled, account active",
    "medium",
    Filters(person="disabled", account="active"),
    reads_people=True,
)
def person_disabled(view: View) -> RuleResult:
    """A directory lists the person as not active, and the account is active."""
    return precomputed(active_accounts_of(view, "disabled"))


@rule("No sign-in, with a privileged role", "medium")
def idle_and_privileged(view: View) -> RuleResult:
    """No sign-in for {sign_in_days} days, active, and a privileged role ({privileged})."""
    return idle_accounts(view, lambda rows: _has_role_like(rows, view.limits.privileged))


@rule("Never signed in", "low")
def never_signed_in(view: View) -> RuleResult:
    """Active, listed for more than {sign_in_days} days, and nobody has ever signed in."""
    return never_used_accounts(view)


@rule("Reappeared after deletion", "high")
def came_back(view: View) -> RuleResult:
    """Deleted, then missing from the app’s list, and now listed again in another state."""
    return precomputed(returned_after_deletion(view))


@rule("Recreated under another ID", "medium")
def recreated(view: View) -> RuleResult:
    """Listed for the first time after an account with the same username was removed."""
    return precomputed(recreated_accounts(view))


@rule("Unmatched with a privileged role", "high")
def unmatched_and_privileged(view: View) -> RuleResult:
    """No known owner, and a privileged role ({privileged})."""
    patterns = view.limits.privileged
    return history_condition(
        view, lambda rows: and_(is_unmatched(rows), _has_role_like(rows, patterns))
    )


@rule("Active and unmatched", "medium", Filters(active="yes", match="unmatched"))
def active_and_unmatched(view: View) -> RuleResult:
    """Active in the app, with no known owner."""
    return condition(
        view,
        lambda rows: and_(rows.c.active_in_app, is_unmatched(rows)),
        "active_since",
        "user_since",
    )


@rule("Last holder of a role is being deleted", "medium")
def last_holder(view: View) -> RuleResult:
    """Active, being deleted, and the last holder of a role.

    No other active account of the integration has that role, except for accounts that are Deleted
    or being deleted.
    """
    return precomputed(last_holders(view))


@rule("One upstream ID on several accounts", "medium")
def shared_upstream_id(view: View) -> RuleResult:
    """Another account of the same integration has the same upstream user ID, in any state."""
    return shared_upstream_ids(view)


@rule("Onboarded but inactive", "low")
def onboarded_but_inactive(view: View) -> RuleResult:
    """Onboarded but inactive for over {inactive_days} days. Unknown activity does not count."""
    columns, span = ("state_since", "active_since"), timedelta(days=view.limits.inactive_days)

    def is_found(rows: sa.FromClause) -> ColumnElement[bool]:
        return and_(rows.c.provisioning_state == "Onboarded", rows.c.active_in_app.is_(False))

    return lasting_condition(view, is_found, span, columns, columns)


@rule("Unexplained state change", "low")
def unlawful_jump(view: View) -> RuleResult:
    """The state changed in a way no single job explains, and has stayed so since."""
    return precomputed(unexplained_transitions(view))


@rule("Open longer than usual", "low")
def waiting_longer_than_usual(view: View) -> RuleResult:
    """Open longer than 95% of similar jobs (same app and operation, last 90 days, at least 20)."""
    return precomputed(overdue_jobs(view))


@rule("Job succeeded, nothing changed", "low")
def nothing_changed(view: View) -> RuleResult:
    """Onboarded after an update in the last {unchanged_days} days that changed nothing.

    Only the state, its reason and Last updated differ from before the update.
    """
    return precomputed(unchanged_by_update(view))


RULES = tuple(sorted(RULE_BY_NAME.values(), key=lambda each: SEVERITIES.index(each.severity)))
"""Every rule, the severest first."""

# ---- conditions ----------------------------------------------------------------------------------


def _is_active_in_state(state: str) -> Callable[[sa.FromClause], ColumnElement[bool]]:
    return lambda rows: and_(rows.c.provisioning_state == state, rows.c.active_in_app)


def _active_in_state(view: View, state: str) -> RuleResult:
    return condition(view, _is_active_in_state(state), "state_since", "active_since")


def _has_role_like(rows: sa.FromClause, patterns: Sequence[str]) -> ColumnElement[bool]:
    """Whether a role matches one of the patterns, in any case."""
    if not patterns:
        return sa.false()
    alternatives = "|".join(_glob_to_regex(pattern) for pattern in patterns)
    joined_roles = func.concat(
        ROLE_SEPARATOR, func.array_to_string(rows.c.roles, ROLE_SEPARATOR), ROLE_SEPARATOR
    )
    return regex_matches(
        func.lower(joined_roles), f"(?s){ROLE_SEPARATOR}(?:{alternatives.lower()}){ROLE_SEPARATOR}"
    )


ROLE_SEPARATOR = "\x1f"
"""Separates roles in one text: no name of a role contains it."""


def _glob_to_regex(pattern: str) -> str:
    """A pattern as a regular expression that stays within one role."""
    wildcards = {"*": f"[^{ROLE_SEPARATOR}]*", "?": f"[^{ROLE_SEPARATOR}]"}
    return "".join(wildcards.get(c) or re.escape(c) for c in pattern)
