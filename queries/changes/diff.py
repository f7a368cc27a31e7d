"""How accounts can differ between two moments, and what an address calls it.

The accounts at one moment are compared with those at the other; what came and went in between is
not told. An integration is as its last snapshot said until the next one. One that had no snapshot
yet at the earlier moment is new to Rollcall: its accounts are not compared, so none of them joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    and_,
    case,
    false,
    func,
    not_,
    or_,
    select,
)

from data.schema import (
    TRACKED_COLUMNS,
    account_version,
    is_same_account,
    is_unmatched,
    is_valid_at,
    join_profile,
    snapshot,
)
from data.states import STATE_BY_NAME
from data.store.dialect import has_role
from queries.changes.window import Params, Window
from queries.lookup import RowCondition, lookup_versions
from queries.scope import in_integrations

# ---- the two sides -------------------------------------------------------------------------------


def account_diff(window: Window, account_keys: Sequence[int] | None = None) -> Subquery:
    """One row per account that has another version, or is, at only one of the moments.

    `was_…` are the earlier moment's values, `is_…` the later one's. A version that holds at both
    moments is never looked at; two versions can still say the same, where something changed and
    changed back. With account keys: of these few only.
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
    joined = before.outerjoin(after, is_same_account(before, after), full=True)
    return (
        select(
            func.coalesce(before.c.account_key, after.c.account_key).label("account_key"),
            func.coalesce(before.c.integration_id, after.c.integration_id).label("integration_id"),
            *(
                side.c[n].label(f"{prefix}_{n}")
                for side, prefix in ((before, "was"), (after, "is"))
                for n in TRACKED_COLUMNS
            ),
            *(fact.label(name) for name, fact in _diff_columns(before, after).items()),
        )
        .select_from(joined)
        .subquery("compared")
    )


def _diff_columns(before: Subquery, after: Subquery) -> dict[str, ColumnElement[Any]]:
    """What all ways to change are told by; where an account is listed once only, all differs."""

    def has_extra_roles(rows: Subquery, than: Subquery) -> ColumnElement[bool]:
        more = not_(than.c.roles.op("@>", is_comparison=True)(rows.c.roles))
        return case((before.c.roles.is_distinct_from(after.c.roles), more), else_=false())

    return {
        "was_there": before.c.account_key.is_not(None),
        "is_there": after.c.account_key.is_not(None),
        "was_unmatched": is_unmatched(before),
        "is_unmatched": is_unmatched(after),
        "gained": has_extra_roles(after, before),
        "lost": has_extra_roles(before, after),
        **{f"differs_{n}": before.c[n].is_distinct_from(after.c[n]) for n in TRACKED_COLUMNS},
    }


def _versions(
    window: Window,
    account_keys: Sequence[int] | None,
    condition: RowCondition,
) -> Subquery:
    """The versions of integrations that were known at the earlier moment."""
    known_integrations = (
        select(snapshot.c.integration_id)
        .group_by(snapshot.c.integration_id)
        .having(func.min(snapshot.c.taken_at) <= window.since)
    )

    def is_included(rows: FromClause) -> ColumnElement[bool]:
        is_named = in_integrations(rows, window.integration)
        return and_(condition(rows), rows.c.integration_id.in_(known_integrations), is_named)

    if account_keys is not None:
        return lookup_versions(lambda rows: rows.c.account_key.in_(account_keys), is_included)
    versions = select(account_version).where(is_included(account_version))
    return join_profile(versions.subquery("held"))


def returned_accounts(window: Window) -> Select[Any]:
    """The keys of accounts that are there now, were not then, and had been before."""
    added = account_diff(window)
    earlier = account_version.alias("before")
    return (
        select(added.c.account_key)
        .join(earlier, is_same_account(earlier, added))
        .where(not_(added.c.was_there), earlier.c.valid_to <= window.since)
        .distinct()
    )


# ---- ways to change ------------------------------------------------------------------------------


# Each is asked of `compared`, or of the combinations of facts in it.


def on_both_sides(c: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Listed at both moments, and what else is asked."""
    return and_(c.was_there, c.is_there, *conditions)


def _becomes_active(active: bool | None) -> Callable[[Any], ColumnElement[bool]]:
    return lambda c: on_both_sides(c, c.differs_active_in_app, c.is_active_in_app.is_(active))


def _value_differs(name: str, unless: str = "") -> Callable[[Any], ColumnElement[bool]]:
    """Another value, but not where it follows from what else differs."""
    exceptions = [unless] if unless else []
    return lambda c: on_both_sides(
        c,
        c[f"differs_{name}"],
        *(not_(c[f"differs_{excepted_name}"]) for excepted_name in exceptions),
    )


def _user_differs(c: Any) -> ColumnElement[bool]:
    both_matched = and_(not_(c.was_unmatched), not_(c.is_unmatched))
    return on_both_sides(c, both_matched, or_(c.differs_user_name, c.differs_user_email))


def _only_last_updated_differs(c: Any) -> ColumnElement[bool]:
    unchanged = (not_(c[f"differs_{name}"]) for name in TRACKED_COLUMNS if name != "last_updated")
    return on_both_sides(c, c.differs_last_updated, *unchanged)


STATUS_CHANGES: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "matched": lambda c: on_both_sides(c, c.was_unmatched, not_(c.is_unmatched)),
    "unmatched": lambda c: on_both_sides(c, not_(c.was_unmatched), c.is_unmatched),
    "active": _becomes_active(True),
    "inactive": _becomes_active(False),
    "unknown": _becomes_active(None),
}
"""What an account can turn into."""


class ValueChange(NamedTuple):
    """Something that an account says besides state, roles, match and activity."""

    label: str
    condition: Callable[[Any], ColumnElement[bool]]


VALUE_CHANGES: dict[str, ValueChange] = {
    "user": ValueChange("User", _user_differs),
    "username_in_app": ValueChange("Username in app", _value_differs("username_in_app")),
    "upstream_user_id": ValueChange("Upstream user ID", _value_differs("upstream_user_id")),
    "state_source": ValueChange(
        "How the same state is known", _value_differs("state_source", unless="provisioning_state")
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
    "flags": ValueChange("Values not understood", _value_differs("flags")),
    "last_updated": ValueChange("Only Last updated", _only_last_updated_differs),
}
"""What else can change, as an address names it."""


class ChangeKind(NamedTuple):
    """One way to change, of which there is a list."""

    label: str
    description: str  # which accounts they are
    filter_names: tuple[str, ...] = ()  # what its list can be of besides


CHANGE_KINDS: dict[str, ChangeKind] = {
    "joined": ChangeKind(
        "Joined", "Listed at the later moment, and never up to the earlier one.", ("now",)
    ),
    "back": ChangeKind(
        "Came back",
        "Listed at the later moment, not at the earlier one, but before that.",
        ("now",),
    ),
    "gone": ChangeKind("Gone", "Listed at the earlier moment, not at the later one.", ("was",)),
    "moved": ChangeKind(
        "Changed state", "In another provisioning state than then.", ("was", "now")
    ),
    "gained": ChangeKind("Gained a role", "With a role that they did not have then.", ("role",)),
    "lost": ChangeKind("Lost a role", "Without a role that they had then.", ("role",)),
    "match": ChangeKind("Match changed", "With a user where none was known then, or without."),
    "activity": ChangeKind(
        "Activity changed", "Active, not active or unknown, and something else then."
    ),
    "other": ChangeKind(
        "Otherwise changed", "With another value than then, besides all these.", ("value",)
    ),
}
"""The lists, as an address names them. All but the first three are of accounts listed at both
moments."""


# ---- a list of accounts --------------------------------------------------------------------------


@dataclass(frozen=True)
class ChangeFilter:
    """One list of accounts: how they changed, and of that only some states, a role or a value."""

    kind: str
    was: tuple[str, ...] = ()  # states
    now: tuple[str, ...] = ()
    role: str | None = None
    value: str | None = None  # one of VALUES

    @classmethod
    def from_params(cls, params: Params) -> ChangeFilter | None:
        """The list that an address names; what is not understood in it is not asked."""
        kind = next(iter(params.get("list", ())), "")
        if kind not in CHANGE_KINDS:
            return None
        was, now = (
            tuple(dict.fromkeys(s for s in params.get(name, ()) if s in STATE_BY_NAME))
            for name in ("was", "now")
        )
        role = next((r for r in params.get("role", ()) if r and "\0" not in r), None)
        value = next((v for v in params.get("value", ()) if v in VALUE_CHANGES), None)
        parsed = cls(kind, was, now, role, value)
        return replace(
            parsed,
            **{
                n: f.default
                for n, f in _FILTER_FIELDS.items()
                if n not in CHANGE_KINDS[kind].filter_names
            },
        )

    def params(self) -> list[tuple[str, str]]:
        """As an address names it."""
        single = [("role", self.role), ("value", self.value)]
        return [
            ("list", self.kind),
            *(("was", state) for state in self.was),
            *(("now", state) for state in self.now),
            *((name, value) for name, value in single if value),
        ]


_FILTER_FIELDS = {n: f for n, f in ChangeFilter.__dataclass_fields__.items() if n != "kind"}


def condition_of(window: Window, change_filter: ChangeFilter, c: Any) -> ColumnElement[bool]:
    """What a row of `compared` must fulfil to be in the list."""
    conditions: dict[str, Callable[[], ColumnElement[bool]]] = {
        "joined": lambda: and_(not_(c.was_there), c.account_key.not_in(returned_accounts(window))),
        "back": lambda: and_(not_(c.was_there), c.account_key.in_(returned_accounts(window))),
        "gone": lambda: not_(c.is_there),
        "moved": lambda: on_both_sides(c, c.differs_provisioning_state),
        "gained": lambda: on_both_sides(
            c, c.gained, *_role_differs(change_filter.role, c.is_roles, c.was_roles)
        ),
        "lost": lambda: on_both_sides(
            c, c.lost, *_role_differs(change_filter.role, c.was_roles, c.is_roles)
        ),
        "match": lambda: or_(STATUS_CHANGES["matched"](c), STATUS_CHANGES["unmatched"](c)),
        "activity": lambda: on_both_sides(c, c.differs_active_in_app),
        "other": lambda: any_value_changed(
            c, [change_filter.value] if change_filter.value else list(VALUE_CHANGES)
        ),
    }
    clauses = [conditions[change_filter.kind]()]
    if change_filter.was:
        clauses.append(c.was_provisioning_state.in_(change_filter.was))
    if change_filter.now:
        clauses.append(c.is_provisioning_state.in_(change_filter.now))
    return and_(*clauses)


def _role_differs(role: str | None, with_role: Any, without_role: Any) -> list[ColumnElement[bool]]:
    return [] if role is None else [has_role(with_role, role), not_(has_role(without_role, role))]


def any_value_changed(c: Any, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether any of these VALUES changed."""
    return or_(*(VALUE_CHANGES[name].condition(c) for name in names))
