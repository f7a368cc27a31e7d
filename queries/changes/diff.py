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
    CONTENT,
    account_version,
    held_at,
    is_unmatched,
    same_account,
    snapshot,
    with_profile,
)
from data.states import STATE_BY_NAME
from data.store.dialect import has_role
from queries.changes.window import Between, Params
from queries.lookup import Condition, few_versions
from queries.scope import of_integrations

# ---- the two sides -------------------------------------------------------------------------------


def compared(between: Between, account_keys: Sequence[int] | None = None) -> Subquery:
    """One row per account that has another version, or is, at only one of the moments.

    `was_…` are the earlier moment's values, `is_…` the later one's. A version that holds at both
    moments is never looked at; two versions can still say the same, where something changed and
    changed back. With account keys: of these few only.
    """
    then = _versions(
        between,
        account_keys,
        lambda rows: and_(held_at(rows, between.since), rows.c.valid_to <= between.until),
    )
    now = _versions(
        between,
        account_keys,
        lambda rows: and_(held_at(rows, between.until), rows.c.valid_from > between.since),
    )
    both = then.outerjoin(now, same_account(then, now), full=True)
    return (
        select(
            func.coalesce(then.c.account_key, now.c.account_key).label("account_key"),
            func.coalesce(then.c.integration_id, now.c.integration_id).label("integration_id"),
            *(
                side.c[n].label(f"{of}_{n}")
                for side, of in ((then, "was"), (now, "is"))
                for n in CONTENT
            ),
            *(fact.label(name) for name, fact in _facts(then, now).items()),
        )
        .select_from(both)
        .subquery("compared")
    )


def _facts(then: Subquery, now: Subquery) -> dict[str, ColumnElement[Any]]:
    """What all ways to change are told by; where an account is listed once only, all differs."""

    def holds_more(rows: Subquery, than: Subquery) -> ColumnElement[bool]:
        more = not_(than.c.roles.op("@>", is_comparison=True)(rows.c.roles))
        return case((then.c.roles.is_distinct_from(now.c.roles), more), else_=false())

    return {
        "was_there": then.c.account_key.is_not(None),
        "is_there": now.c.account_key.is_not(None),
        "was_unmatched": is_unmatched(then),
        "is_unmatched": is_unmatched(now),
        "gained": holds_more(now, then),
        "lost": holds_more(then, now),
        **{f"differs_{n}": then.c[n].is_distinct_from(now.c[n]) for n in CONTENT},
    }


def _versions(
    between: Between,
    account_keys: Sequence[int] | None,
    hold: Condition,
) -> Subquery:
    """The versions of integrations that were known at the earlier moment."""
    known = (
        select(snapshot.c.integration_id)
        .group_by(snapshot.c.integration_id)
        .having(func.min(snapshot.c.taken_at) <= between.since)
    )

    def of_known(rows: FromClause) -> ColumnElement[bool]:
        named = of_integrations(rows, between.integration)
        return and_(hold(rows), rows.c.integration_id.in_(known), named)

    if account_keys is not None:
        return few_versions(lambda rows: rows.c.account_key.in_(account_keys), of_known)
    held = select(account_version).where(of_known(account_version))
    return with_profile(held.subquery("held"))


def returned(between: Between) -> Select[Any]:
    """The keys of accounts that are there now, were not then, and had been before."""
    arrived = compared(between)
    before = account_version.alias("before")
    return (
        select(arrived.c.account_key)
        .join(before, same_account(before, arrived))
        .where(not_(arrived.c.was_there), before.c.valid_to <= between.since)
        .distinct()
    )


# ---- ways to change ------------------------------------------------------------------------------


# Each is asked of `compared`, or of the combinations of facts in it.


def stayed(c: Any, *facts: ColumnElement[bool]) -> ColumnElement[bool]:
    """Listed at both moments, and what else is asked."""
    return and_(c.was_there, c.is_there, *facts)


def _becomes_active(to: bool | None) -> Callable[[Any], ColumnElement[bool]]:
    return lambda c: stayed(c, c.differs_active_in_app, c.is_active_in_app.is_(to))


def _other(name: str, unless: str = "") -> Callable[[Any], ColumnElement[bool]]:
    """Another value, but not where it follows from what else differs."""
    excepted = [unless] if unless else []
    return lambda c: stayed(
        c, c[f"differs_{name}"], *(not_(c[f"differs_{other}"]) for other in excepted)
    )


def _another_person(c: Any) -> ColumnElement[bool]:
    is_matched = and_(not_(c.was_unmatched), not_(c.is_unmatched))
    return stayed(c, is_matched, or_(c.differs_user_name, c.differs_user_email))


def _only_touched(c: Any) -> ColumnElement[bool]:
    same = (not_(c[f"differs_{name}"]) for name in CONTENT if name != "last_updated")
    return stayed(c, c.differs_last_updated, *same)


TURNS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "matched": lambda c: stayed(c, c.was_unmatched, not_(c.is_unmatched)),
    "unmatched": lambda c: stayed(c, not_(c.was_unmatched), c.is_unmatched),
    "active": _becomes_active(True),
    "inactive": _becomes_active(False),
    "unknown": _becomes_active(None),
}
"""What an account can turn into."""


class Value(NamedTuple):
    """Something that an account says besides state, roles, match and activity."""

    label: str
    changed: Callable[[Any], ColumnElement[bool]]


VALUES: dict[str, Value] = {
    "user": Value("User", _another_person),
    "username_in_app": Value("Username in app", _other("username_in_app")),
    "upstream_user_id": Value("Upstream user ID", _other("upstream_user_id")),
    "state_source": Value(
        "How the same state is known", _other("state_source", unless="provisioning_state")
    ),
    "state_reason": Value(
        "Reason of the same state", _other("state_reason", unless="provisioning_state")
    ),
    "failure_code": Value(
        "Failure code of the same state", _other("failure_code", unless="provisioning_state")
    ),
    "role_details": Value("Details of the same roles", _other("role_details", unless="roles")),
    "attributes": Value("Further columns", _other("attributes")),
    "flags": Value("Values not understood", _other("flags")),
    "last_updated": Value("Only Last updated", _only_touched),
}
"""What else can change, as an address names it."""


class Kind(NamedTuple):
    """One way to change, of which there is a list."""

    label: str
    words: str  # which accounts they are
    by: tuple[str, ...] = ()  # what its list can be of besides


KINDS: dict[str, Kind] = {
    "joined": Kind(
        "Joined", "Listed at the later moment, and never up to the earlier one.", ("now",)
    ),
    "back": Kind(
        "Came back",
        "Listed at the later moment, not at the earlier one, but before that.",
        ("now",),
    ),
    "gone": Kind("Gone", "Listed at the earlier moment, not at the later one.", ("was",)),
    "moved": Kind("Changed state", "In another provisioning state than then.", ("was", "now")),
    "gained": Kind("Gained a role", "With a role that they did not have then.", ("role",)),
    "lost": Kind("Lost a role", "Without a role that they had then.", ("role",)),
    "match": Kind("Match changed", "With a user where none was known then, or without."),
    "activity": Kind("Activity changed", "Active, not active or unknown, and something else then."),
    "other": Kind(
        "Otherwise changed", "With another value than then, besides all these.", ("value",)
    ),
}
"""The lists, as an address names them. All but the first three are of accounts listed at both
moments."""


# ---- a list of accounts --------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """One list of accounts: how they changed, and of that only some states, a role or a value."""

    kind: str
    was: tuple[str, ...] = ()  # states
    now: tuple[str, ...] = ()
    role: str | None = None
    value: str | None = None  # one of VALUES

    @classmethod
    def from_params(cls, params: Params) -> Listed | None:
        """The list that an address names; what is not understood in it is not asked."""
        kind = next(iter(params.get("list", ())), "")
        if kind not in KINDS:
            return None
        was, now = (
            tuple(dict.fromkeys(s for s in params.get(name, ()) if s in STATE_BY_NAME))
            for name in ("was", "now")
        )
        role = next((r for r in params.get("role", ()) if r and "\0" not in r), None)
        value = next((v for v in params.get("value", ()) if v in VALUES), None)
        asked = cls(kind, was, now, role, value)
        return replace(
            asked, **{n: f.default for n, f in _FACETS.items() if n not in KINDS[kind].by}
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


_FACETS = {n: f for n, f in Listed.__dataclass_fields__.items() if n != "kind"}


def condition_of(between: Between, listed: Listed, c: Any) -> ColumnElement[bool]:
    """What a row of `compared` must fulfil to be in the list."""
    conditions: dict[str, Callable[[], ColumnElement[bool]]] = {
        "joined": lambda: and_(not_(c.was_there), c.account_key.not_in(returned(between))),
        "back": lambda: and_(not_(c.was_there), c.account_key.in_(returned(between))),
        "gone": lambda: not_(c.is_there),
        "moved": lambda: stayed(c, c.differs_provisioning_state),
        "gained": lambda: stayed(c, c.gained, *_of_role(listed.role, c.is_roles, c.was_roles)),
        "lost": lambda: stayed(c, c.lost, *_of_role(listed.role, c.was_roles, c.is_roles)),
        "match": lambda: or_(TURNS["matched"](c), TURNS["unmatched"](c)),
        "activity": lambda: stayed(c, c.differs_active_in_app),
        "other": lambda: any_value(c, [listed.value] if listed.value else list(VALUES)),
    }
    within = [conditions[listed.kind]()]
    if listed.was:
        within.append(c.was_provisioning_state.in_(listed.was))
    if listed.now:
        within.append(c.is_provisioning_state.in_(listed.now))
    return and_(*within)


def _of_role(role: str | None, having: Any, lacking: Any) -> list[ColumnElement[bool]]:
    return [] if role is None else [has_role(having, role), not_(has_role(lacking, role))]


def any_value(c: Any, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether any of these VALUES changed."""
    return or_(*(VALUES[name].changed(c) for name in names))
