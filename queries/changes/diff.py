"""The accounts that differ between two moments, and the kinds of changes.

The comparison takes the last snapshot before each moment; changes in between are not shown. An
integration without a snapshot before the earlier moment is new to Rollcall: its accounts are not
compared, so they do not count as added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.files.text import username_key
from data.schema import (
    TRACKED_COLUMNS,
    account_profile,
    account_version,
    is_same_account,
    is_unmatched,
    is_valid_at,
    join_profile,
    snapshot,
)
from data.states import FAILED_STATES, STATE_BY_NAME
from data.store.dialect import has_role
from queries.changes.window import Window
from queries.lookup import RowCondition, lookup_versions
from queries.scope import Params, first_value, in_integrations

# ---- the two sides -------------------------------------------------------------------------------


def account_diff(window: Window, account_keys: Sequence[int] | None = None) -> sa.Subquery:
    """One row per account with another version after than before, or on one side only.

    [account_key, integration_id; `before_…` and `after_…` of each tracked column and the failure
    reason; the columns of `_diff_columns`]. A version that is valid at both moments is never read.
    Two versions can still hold equal values, where something changed and changed back. Account keys
    limit it to a few.
    """
    before = _versions(
        window,
        account_keys,
        lambda rows: and_(is_valid_at(rows, window.since), rows.c.valid_to <= window.until),
    )
    after = _versions(
        window,
        account_keys,
        lambda rows: and_(is_valid_at(rows, window.until), rows.c.valid_from > window.since),
    )
    keys = [
        func.coalesce(before.c[name], after.c[name]).label(name)
        for name in ("account_key", "integration_id")
    ]
    values = [
        side.c[name].label(f"{prefix}_{name}")
        for prefix, side in (("before", before), ("after", after))
        for name in (*TRACKED_COLUMNS, "failure_reason")
    ]
    flags = [flag.label(name) for name, flag in _diff_columns(before, after).items()]
    joined = before.outerjoin(after, is_same_account(before, after), full=True)
    return select(*keys, *values, *flags).select_from(joined).subquery("diff")


def _diff_columns(before: sa.Subquery, after: sa.Subquery) -> dict[str, ColumnElement[Any]]:
    """The flags that define all kinds of changes; everything differs on one side only."""

    def has_extra_roles(rows: sa.Subquery, than: sa.Subquery) -> ColumnElement[bool]:
        more = sa.not_(than.c.roles.op("@>", is_comparison=True)(rows.c.roles))
        return case((before.c.roles.is_distinct_from(after.c.roles), more), else_=sa.false())

    return {
        "in_before": before.c.account_key.is_not(None),
        "in_after": after.c.account_key.is_not(None),
        "unmatched_before": is_unmatched(before),
        "unmatched_after": is_unmatched(after),
        "gained": has_extra_roles(after, before),
        "lost": has_extra_roles(before, after),
        **{f"differs_{n}": before.c[n].is_distinct_from(after.c[n]) for n in TRACKED_COLUMNS},
    }


def _versions(
    window: Window, account_keys: Sequence[int] | None, condition: RowCondition
) -> sa.Subquery:
    """The versions of integrations that had a snapshot by the earlier moment."""
    known_integrations = (
        select(snapshot.c.integration_id)
        .group_by(snapshot.c.integration_id)
        .having(func.min(snapshot.c.taken_at) <= window.since)
    )

    def is_included(rows: sa.FromClause) -> ColumnElement[bool]:
        is_named = in_integrations(rows, window.integration)
        return and_(condition(rows), rows.c.integration_id.in_(known_integrations), is_named)

    if account_keys is not None:
        return lookup_versions(lambda rows: rows.c.account_key.in_(account_keys), is_included)
    versions = select(account_version).where(is_included(account_version))
    return join_profile(versions.subquery("versions"))


def returned_accounts(window: Window) -> sa.CompoundSelect[Any]:
    """The keys of accounts that are listed after, not before, and had been listed earlier.

    Under the same account ID; or under another one with the same username.
    """
    return sa.union(_listed_again(window), _recreated(window))


def _recreated(window: Window) -> sa.Select[Any]:
    diff, profile, v = account_diff(window), account_profile.c, account_version
    is_same_username = and_(
        profile.integration_id == diff.c.integration_id,
        username_key(profile.username_in_app) == username_key(diff.c.after_username_in_app),
    )
    is_listed = sa.or_(is_valid_at(v, window.since), is_valid_at(v, window.until))
    listed = select(v.c.account_key).where(is_listed)
    is_removed = and_(profile.content_since <= window.since, profile.account_key.not_in(listed))
    return (
        select(diff.c.account_key)
        .join_from(diff, account_profile, is_same_username)
        .where(sa.not_(diff.c.in_before), is_removed)
        .distinct()
    )


def _listed_again(window: Window) -> sa.Select[Any]:
    diff = account_diff(window)
    earlier = account_version.alias("earlier")
    return (
        select(diff.c.account_key)
        .join(earlier, is_same_account(earlier, diff))
        .where(sa.not_(diff.c.in_before), earlier.c.valid_to <= window.since)
        .distinct()
    )


# ---- changes of one account ----------------------------------------------------------------------

# Each takes the columns of `account_diff`, or of its combinations.

DiffCondition = Callable[[Any], ColumnElement[bool]]


def on_both_sides(c: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Listed at both moments, and these conditions."""
    return and_(c.in_before, c.in_after, *conditions)


def _becomes_active(active: bool | None) -> DiffCondition:
    return lambda c: on_both_sides(c, c.differs_active_in_app, c.after_active_in_app.is_(active))


def _value_differs(name: str, unless: str = "") -> DiffCondition:
    """Another value, but not where it follows from another difference."""

    def condition(c: Any) -> ColumnElement[bool]:
        follows = [sa.not_(c[f"differs_{unless}"])] if unless else []
        return on_both_sides(c, c[f"differs_{name}"], *follows)

    return condition


def _user_differs(c: Any) -> ColumnElement[bool]:
    both_matched = and_(sa.not_(c.unmatched_before), sa.not_(c.unmatched_after))
    return on_both_sides(c, both_matched, sa.or_(c.differs_user_name, c.differs_user_email))


def _only_last_updated_differs(c: Any) -> ColumnElement[bool]:
    unchanged = (
        sa.not_(c[f"differs_{name}"]) for name in TRACKED_COLUMNS if name != "last_updated"
    )
    return on_both_sides(c, c.differs_last_updated, *unchanged)


STATUS_CHANGES: dict[str, DiffCondition] = {
    "matched": lambda c: on_both_sides(c, c.unmatched_before, sa.not_(c.unmatched_after)),
    "unmatched": lambda c: on_both_sides(c, sa.not_(c.unmatched_before), c.unmatched_after),
    "active": _becomes_active(True),
    "inactive": _becomes_active(False),
    "unknown": _becomes_active(None),
}
"""The match or activity that an account has after, and did not have before."""


class ValueChange(NamedTuple):
    """A change of something other than state, roles, match and activity."""

    label: str
    condition: DiffCondition


VALUE_CHANGES: dict[str, ValueChange] = {
    "user": ValueChange("User", _user_differs),
    "username_in_app": ValueChange("Username in app", _value_differs("username_in_app")),
    "upstream_user_id": ValueChange("Upstream user ID", _value_differs("upstream_user_id")),
    "state_source": ValueChange(
        "Source of the same state", _value_differs("state_source", unless="provisioning_state")
    ),
    "state_reason": ValueChange(
        "Reason of the same state", _value_differs("state_reason", unless="provisioning_state")
    ),
    "failure_code": ValueChange(
        "Failure code of the same state",
        _value_differs("failure_code", unless="provisioning_state"),
    ),
    "role_details": ValueChange(
        "Details of the same roles", _value_differs("role_details", unless="roles")
    ),
    "attributes": ValueChange("Further columns", _value_differs("attributes")),
    "flags": ValueChange("Unreadable values", _value_differs("flags")),
    "last_updated": ValueChange("Only Last updated", _only_last_updated_differs),
}
"""The values of the parameter `value` of an address."""


def any_value_changed(c: Any, names: Sequence[str] = tuple(VALUE_CHANGES)) -> ColumnElement[bool]:
    """Whether any of these values changed."""
    return sa.or_(*(VALUE_CHANGES[name].condition(c) for name in names))


# ---- lists of accounts ---------------------------------------------------------------------------

STATE_FIELDS = {"was": "before", "now": "after"}
"""Parameter of an address → the side whose states it names."""


@dataclass(frozen=True)
class ChangeFilter:
    """One list: the accounts with one kind of change, narrowed by states, a role or a value."""

    kind: str
    before: tuple[str, ...] = ()  # states
    after: tuple[str, ...] = ()
    role: str | None = None
    value: str | None = None  # one of VALUE_CHANGES

    @classmethod
    def from_params(cls, params: Params) -> ChangeFilter | None:
        """The list in an address; filters that are not valid, or not of its kind, are left out."""
        kind = first_value(params, "list")
        if kind not in CHANGE_KINDS:
            return None
        states = {
            side: tuple(dict.fromkeys(s for s in params.get(name, ()) if s in STATE_BY_NAME))
            for name, side in STATE_FIELDS.items()
        }
        role = next((r for r in params.get("role", ()) if r and "\0" not in r), None)
        value = next((v for v in params.get("value", ()) if v in VALUE_CHANGES), None)
        filters = {**states, "role": role, "value": value}
        return cls(kind, **{name: filters[name] for name in CHANGE_KINDS[kind].filter_names})

    def params(self) -> list[tuple[str, str]]:
        """The list as parameters of an address."""
        single = [("role", self.role), ("value", self.value)]
        return [
            ("list", self.kind),
            *((name, s) for name, side in STATE_FIELDS.items() for s in getattr(self, side)),
            *((name, value) for name, value in single if value),
        ]


class ChangeKind(NamedTuple):
    """One kind of change, which has a list."""

    label: str
    description: str
    condition: Callable[[Any, ChangeFilter, Window], ColumnElement[bool]]
    filter_names: tuple[str, ...] = ()
    """The fields of ChangeFilter that narrow its list."""


def _is_added(*, returned: bool) -> Callable[[Any, ChangeFilter, Window], ColumnElement[bool]]:
    def condition(c: Any, _: ChangeFilter, window: Window) -> ColumnElement[bool]:
        was_listed = c.account_key.in_(returned_accounts(window))
        return and_(sa.not_(c.in_before), was_listed if returned else sa.not_(was_listed))

    return condition


def _failed_only(side: str, other: str) -> Callable[..., ColumnElement[bool]]:
    """In a failed state on one side and not on the other, where it may not be listed at all."""

    def has_failed(c: Any, side: str) -> ColumnElement[bool]:
        return func.coalesce(c[f"{side}_provisioning_state"].in_(FAILED_STATES), sa.false())

    return lambda c, *_: and_(has_failed(c, side), sa.not_(has_failed(c, other)))


def _role_differs(role: str | None, with_role: Any, without_role: Any) -> list[ColumnElement[bool]]:
    return (
        [] if role is None else [has_role(with_role, role), sa.not_(has_role(without_role, role))]
    )


CHANGE_KINDS: dict[str, ChangeKind] = {
    "joined": ChangeKind(
        "Added",
        "Listed at the later moment, and never before.",
        _is_added(returned=False),
        ("after",),
    ),
    "back": ChangeKind(
        "Returned",
        "Listed at the later moment, not at the earlier one, but before that; "
        "perhaps under another ID.",
        _is_added(returned=True),
        ("after",),
    ),
    "gone": ChangeKind(
        "Removed",
        "Listed at the earlier moment, not at the later one.",
        lambda c, *_: sa.not_(c.in_after),
        ("before",),
    ),
    "moved": ChangeKind(
        "Changed state",
        "State differs between the two dates.",
        lambda c, *_: on_both_sides(c, c.differs_provisioning_state),
        ("before", "after"),
    ),
    "failed": ChangeKind(
        "Newly failed",
        "In a failed state at the later moment, and at the earlier one not, or not listed.",
        _failed_only("after", "before"),
        ("before", "after"),
    ),
    "resolved": ChangeKind(
        "No longer failed",
        "In a failed state at the earlier moment, and at the later one not, or not listed.",
        _failed_only("before", "after"),
        ("before", "after"),
    ),
    "gained": ChangeKind(
        "Gained a role",
        "Has a role that it did not have before.",
        lambda c, filter_, _: on_both_sides(
            c, c.gained, *_role_differs(filter_.role, c.after_roles, c.before_roles)
        ),
        ("role",),
    ),
    "lost": ChangeKind(
        "Lost a role",
        "No longer has a role that it had before.",
        lambda c, filter_, _: on_both_sides(
            c, c.lost, *_role_differs(filter_.role, c.before_roles, c.after_roles)
        ),
        ("role",),
    ),
    "match": ChangeKind(
        "Match changed",
        "Matched with a user, or no longer matched.",
        lambda c, *_: sa.or_(STATUS_CHANGES["matched"](c), STATUS_CHANGES["unmatched"](c)),
    ),
    "activity": ChangeKind(
        "Activity changed",
        "Active in app differs between the two dates.",
        lambda c, *_: on_both_sides(c, c.differs_active_in_app),
    ),
    "other": ChangeKind(
        "Other changes",
        "Another value differs between the two dates.",
        lambda c, filter_, _: any_value_changed(
            c, [filter_.value] if filter_.value else list(VALUE_CHANGES)
        ),
        ("value",),
    ),
}
"""The lists, by the parameter `list` of an address. From “Gained a role” on, they hold accounts
that are listed at both moments."""


def condition_of(window: Window, change_filter: ChangeFilter, c: Any) -> ColumnElement[bool]:
    """Whether a row of `account_diff` is in the list."""
    clauses = [CHANGE_KINDS[change_filter.kind].condition(c, change_filter, window)]
    if change_filter.before:
        clauses.append(c.before_provisioning_state.in_(change_filter.before))
    if change_filter.after:
        clauses.append(c.after_provisioning_state.in_(change_filter.after))
    return and_(*clauses)
