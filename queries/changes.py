"""What changed between two moments: how many accounts in which way, and which ones.

The accounts at one moment are compared with those at the other; what came and went in between is
not told. An integration is as its last snapshot said until the next one. One that had no snapshot
yet at the earlier moment is new to Rollcall: its accounts are not compared, so none of them joined.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    Subquery,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from data.loading import moment_of
from data.states import FAILED, STATE_BY_NAME
from data.tables import CONTENT, account, account_version, integration, snapshot
from queries.about import slug
from queries.export import as_csv, neutralised, with_times_told
from queries.filters import MOST_VALUES
from queries.found_first import found_first
from queries.snapshots import newest_load
from queries.text import has_role

PAGE_SIZE = 50
"""Accounts of a page of a list."""

BATCH = 20_000
"""Rows that are made into text at a time."""

LONGEST_NAME = 80
"""Characters of a file's name that tell what it lists."""

Params = Mapping[str, Sequence[str]]


# ---- what is asked -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Between:
    """Two moments (naive UTC), the earlier one first, and of which integrations; none: of all."""

    since: datetime
    until: datetime
    integration: tuple[str, ...] = ()

    def params(self) -> list[tuple[str, str]]:
        """As an address names them."""
        named = [("integration", name) for name in self.integration]
        return [("from", moment_text(self.since)), ("to", moment_text(self.until)), *named]


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


def moment_text(moment: datetime) -> str:
    """`2026-11-23T06:00:00Z`."""
    return f"{moment.isoformat(timespec='seconds')}Z"


class Usual(NamedTuple):
    """The moments that a store offers (naive UTC)."""

    first: datetime  # snapshot
    before: datetime | None  # the newest, where there are several moments
    newest: datetime

    @property
    def since(self) -> datetime:
        """A day before the newest, where there was something to compare with."""
        return max(self.first, self.newest - timedelta(days=1))


def usual_moments(con: Connection, integrations: Sequence[str]) -> Usual | None:
    """Of the integrations, or of all where none is named; None without any snapshot."""
    taken, ours = snapshot.c.taken_at, _of(snapshot, integrations)
    first, newest = con.execute(select(func.min(taken), func.max(taken)).where(ours)).one()
    if first is None:
        return None
    return Usual(first, con.scalar(select(func.max(taken)).where(ours, taken < newest)), newest)


def asked_between(params: Params, usual: Usual) -> Between:
    """What an address asks to compare, the earlier moment first; else the usual."""
    since, until = (moment_of(next(iter(params.get(name, ())), "")) for name in ("from", "to"))
    until = until or usual.newest
    since = since or min(usual.since, until)
    names = tuple(dict.fromkeys(params.get("integration", ())[:MOST_VALUES]))
    return Between(min(since, until), max(since, until), names)


# ---- which snapshots are compared ----------------------------------------------------------------


def compared_snapshots(con: Connection, between: Between) -> pd.DataFrame:
    """One row per integration that had a snapshot until the later moment, by name.

    [integration, taken_then, accounts_then, taken_now, accounts_now]: what held at either moment;
    nothing then where the integration is new to Rollcall.
    """
    then, now = (_held_snapshot(moment) for moment in (between.since, between.until))
    found = con.execute(
        select(
            integration.c.name.label("integration"),
            then.c.taken_at.label("taken_then"),
            func.coalesce(then.c.accepted, 0).label("accounts_then"),
            now.c.taken_at.label("taken_now"),
            now.c.accepted.label("accounts_now"),
        )
        .join_from(integration, now, now.c.integration_id == integration.c.integration_id)
        .outerjoin(then, then.c.integration_id == integration.c.integration_id)
        .where(_of(integration, between.integration))
        .order_by(func.lower(integration.c.name))
    )
    return pd.DataFrame(found.all(), columns=list(found.keys()))


def _held_snapshot(moment: datetime) -> Subquery:
    """One row per integration: its last snapshot until the moment."""
    newest_first = func.row_number().over(
        partition_by=snapshot.c.integration_id, order_by=snapshot.c.taken_at.desc()
    )
    until = select(snapshot, newest_first.label("age")).where(snapshot.c.taken_at <= moment)
    ranked = until.subquery()
    return select(ranked).where(ranked.c.age == 1).subquery()


def _of(rows: FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    if not integrations:
        return true()
    named = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return rows.c.integration_id.in_(named)


# ---- the comparison ------------------------------------------------------------------------------


def _compared(between: Between, account_keys: Sequence[int] | None = None) -> Subquery:
    """One row per account that has another version, or is, at only one of the moments.

    `was_…` are the earlier moment's values, `is_…` the later one's. A version that holds at both
    moments is never looked at; two versions can still say the same, where something changed and
    changed back. With account keys: of these few only.
    """
    then = _versions(
        between,
        account_keys,
        lambda v: and_(
            v.valid_from <= between.since,
            v.valid_to > between.since,
            v.valid_to <= between.until,
        ),
    )
    now = _versions(
        between,
        account_keys,
        lambda v: and_(
            v.valid_from > between.since,
            v.valid_from <= between.until,
            v.valid_to > between.until,
        ),
    )
    both = then.outerjoin(now, then.c.account_key == now.c.account_key, full=True)
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

    def unmatched(rows: Subquery) -> ColumnElement[bool]:
        return and_(rows.c.user_name.is_(None), rows.c.user_email.is_(None))

    def holds_more(rows: Subquery, than: Subquery) -> ColumnElement[bool]:
        more = not_(than.c.roles.op("@>", is_comparison=True)(rows.c.roles))
        return case((then.c.roles.is_distinct_from(now.c.roles), more), else_=false())

    return {
        "was_there": then.c.account_key.is_not(None),
        "is_there": now.c.account_key.is_not(None),
        "was_unmatched": unmatched(then),
        "is_unmatched": unmatched(now),
        "gained": holds_more(now, then),
        "lost": holds_more(then, now),
        **{f"differs_{n}": then.c[n].is_distinct_from(now.c[n]) for n in CONTENT},
    }


def _versions(
    between: Between,
    account_keys: Sequence[int] | None,
    hold: Callable[[Any], ColumnElement[bool]],
) -> Subquery:
    """The versions of integrations that were known at the earlier moment."""
    known = (
        select(snapshot.c.integration_id)
        .group_by(snapshot.c.integration_id)
        .having(func.min(snapshot.c.taken_at) <= between.since)
    )
    held: ColumnElement[bool] = hold(account_version.c)
    if account_keys is not None:
        held = found_first(
            account_version, lambda rows: and_(rows.c.account_key.in_(account_keys), hold(rows.c))
        )
    return (
        select(account_version)
        .where(
            held,
            account_version.c.integration_id.in_(known),
            _of(account_version, between.integration),
        )
        .subquery()
    )


def _returned(between: Between) -> Select[Any]:
    """The keys of accounts that are there now, were not then, and had been before."""
    arrived = _compared(between)
    before = account_version.alias("before")
    return (
        select(arrived.c.account_key)
        .join(before, before.c.account_key == arrived.c.account_key)
        .where(not_(arrived.c.was_there), before.c.valid_to <= between.since)
        .distinct()
    )


# ---- ways to change ------------------------------------------------------------------------------


# Each is asked of `_compared`, or of the combinations of facts in it.


def _stayed(c: Any, *facts: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(c.was_there, c.is_there, *facts)


def _becomes_active(to: bool | None) -> Callable[[Any], ColumnElement[bool]]:
    return lambda c: _stayed(c, c.differs_active_in_app, c.is_active_in_app.is_(to))


def _other(name: str, unless: str = "") -> Callable[[Any], ColumnElement[bool]]:
    """Another value, but not where it follows from what else differs."""
    excepted = [unless] if unless else []
    return lambda c: _stayed(
        c, c[f"differs_{name}"], *(not_(c[f"differs_{other}"]) for other in excepted)
    )


def _another_person(c: Any) -> ColumnElement[bool]:
    is_matched = and_(not_(c.was_unmatched), not_(c.is_unmatched))
    return _stayed(c, is_matched, or_(c.differs_user_name, c.differs_user_email))


def _only_touched(c: Any) -> ColumnElement[bool]:
    same = (not_(c[f"differs_{name}"]) for name in CONTENT if name != "last_updated")
    return _stayed(c, c.differs_last_updated, *same)


TURNS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "matched": lambda c: _stayed(c, c.was_unmatched, not_(c.is_unmatched)),
    "unmatched": lambda c: _stayed(c, not_(c.was_unmatched), c.is_unmatched),
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


def _condition(between: Between, listed: Listed, c: Any) -> ColumnElement[bool]:
    conditions: dict[str, Callable[[], ColumnElement[bool]]] = {
        "joined": lambda: and_(not_(c.was_there), c.account_key.not_in(_returned(between))),
        "back": lambda: and_(not_(c.was_there), c.account_key.in_(_returned(between))),
        "gone": lambda: not_(c.is_there),
        "moved": lambda: _stayed(c, c.differs_provisioning_state),
        "gained": lambda: _stayed(c, c.gained, *_of_role(listed.role, c.is_roles, c.was_roles)),
        "lost": lambda: _stayed(c, c.lost, *_of_role(listed.role, c.was_roles, c.is_roles)),
        "match": lambda: or_(TURNS["matched"](c), TURNS["unmatched"](c)),
        "activity": lambda: _stayed(c, c.differs_active_in_app),
        "other": lambda: _any_value(c, [listed.value] if listed.value else list(VALUES)),
    }
    within = [conditions[listed.kind]()]
    if listed.was:
        within.append(c.was_provisioning_state.in_(listed.was))
    if listed.now:
        within.append(c.is_provisioning_state.in_(listed.now))
    return and_(*within)


def _of_role(role: str | None, having: Any, lacking: Any) -> list[ColumnElement[bool]]:
    return [] if role is None else [has_role(having, role), not_(has_role(lacking, role))]


def _any_value(c: Any, names: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(VALUES[name].changed(c) for name in names))


# ---- how many ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """How many accounts changed in which way. An account can have changed in several."""

    counts: Mapping[str, int]
    """Kind → accounts."""
    moves: pd.DataFrame
    """One row per pair of states: [was, now, accounts]."""
    turned: Mapping[str, int]
    """matched, unmatched, active, inactive, unknown → accounts that became so."""
    values: Mapping[str, int]
    """VALUES → accounts."""
    roles: pd.DataFrame = field(repr=False)
    """One row per role that any account gained or lost, most first: [role, gained, lost]."""

    @property
    def newly_failed(self) -> int:
        """Accounts that changed to a failed state, from whichever."""
        return int(self.moves.loc[self.moves["now"].isin(FAILED), "accounts"].sum())

    @property
    def is_nothing(self) -> bool:
        """Whether both moments say the same of every account."""
        return not any(self.counts.values())


def summary_of(con: Connection, between: Between) -> Summary:
    """How many changed; kept for as long as the store stays the same."""
    return _summary(con.engine, newest_load(con), between)


NO_ROLES = pd.DataFrame({"role": [], "gained": [], "lost": []})


@lru_cache(maxsize=32)
def _summary(engine: Engine, _loaded: object, between: Between) -> Summary:
    with engine.connect() as con:
        found = con.execute(_tally(between))
        tally = pd.DataFrame(found.all(), columns=list(found.keys()))
        arrived = tally["was"].isna()
        back = _count_returned(con, between) if arrived.any() else 0
        totals = {str(name): int(n) for name, n in tally.drop(columns=["was", "now"]).sum().items()}
        roles = _changed_roles(con, between) if totals["gained"] + totals["lost"] else NO_ROLES
    stayed = tally[tally["was"].notna() & tally["now"].notna()]
    moves = stayed.loc[stayed["was"] != stayed["now"], ["was", "now", "accounts"]]
    moves = moves.astype({"accounts": int}).reset_index(drop=True)
    gone = tally.loc[tally["now"].isna(), "accounts"].sum()
    came = int(tally.loc[arrived, "accounts"].sum())
    counts = {
        "joined": came - back,
        "back": back,
        "gone": int(gone),
        "moved": int(moves["accounts"].sum()),
        "gained": totals["gained"],
        "lost": totals["lost"],
        "match": totals["matched"] + totals["unmatched"],
        "activity": totals["active"] + totals["inactive"] + totals["unknown"],
        "other": totals["other"],
    }
    turned = {name: totals[name] for name in TURNS}
    values = {name: totals[f"value_{name}"] for name in VALUES}
    return Summary(counts, moves, turned, values, roles)


FACTS = (
    "was_provisioning_state",
    "is_provisioning_state",
    "is_active_in_app",
    "was_there",
    "is_there",
    "was_unmatched",
    "is_unmatched",
    "gained",
    "lost",
    *(f"differs_{name}" for name in CONTENT),
)


def _tally(between: Between) -> Select[*tuple[Any, ...]]:
    """One row per pair of states, NULL where not listed; how many, and how many in each way.

    The facts are counted by their combinations, which are few, before any way is asked of them:
    that takes a third of the time.
    """
    compared = _compared(between)
    facts = [compared.c[name] for name in FACTS]
    counted = select(*facts, func.count().label("accounts")).group_by(*facts)
    c = counted.subquery("combinations").c
    ways = {
        "gained": _stayed(c, c.gained),
        "lost": _stayed(c, c.lost),
        **{name: turned(c) for name, turned in TURNS.items()},
        "other": _any_value(c, list(VALUES)),
        **{f"value_{name}": value.changed(c) for name, value in VALUES.items()},
    }
    was, now = c.was_provisioning_state.label("was"), c.is_provisioning_state.label("now")
    accounts = func.sum(c.accounts)
    told = [func.coalesce(accounts.filter(way), 0).label(name) for name, way in ways.items()]
    return (
        select(was, now, accounts.label("accounts"), *told)
        .group_by(was, now)
        .order_by(accounts.desc(), was, now)
    )


def _count_returned(con: Connection, between: Between) -> int:
    return con.scalar(select(func.count()).select_from(_returned(between).subquery())) or 0


def _changed_roles(con: Connection, between: Between) -> pd.DataFrame:
    """One row per role that any account gained or lost: [role, gained, lost]."""
    c = _compared(between).c
    differs = _stayed(c, c.differs_roles)
    held = [
        select(c.account_key, func.unnest(roles).label("role"), literal(step).label("step")).where(
            differs
        )
        for roles, step in ((c.is_roles, 1), (c.was_roles, -1))
    ]
    each = held[0].union_all(held[1]).subquery("each")
    step = func.sum(each.c.step).label("step")  # 0 where the role is held then and now
    per_account = (
        select(each.c.role, step).group_by(each.c.account_key, each.c.role).subquery("per_account")
    )
    gained, lost = (func.count().filter(per_account.c.step == n) for n in (1, -1))
    found = con.execute(
        select(per_account.c.role, gained.label("gained"), lost.label("lost"))
        .where(per_account.c.step != 0)
        .group_by(per_account.c.role)
        .order_by(func.count().desc(), func.lower(per_account.c.role), per_account.c.role)
    )
    return pd.DataFrame(found.all(), columns=list(found.keys()))


# ---- which ones ----------------------------------------------------------------------------------


def count_changes(con: Connection, between: Between, listed: Listed) -> int:
    """How many accounts the list has."""
    c = _compared(between).c
    counted = select(func.count()).select_from(c.account_key.table)
    return con.scalar(counted.where(_condition(between, listed, c))) or 0


def page_of_changes(
    con: Connection, between: Between, listed: Listed, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), by username.

    [`was_…` and `is_…` of each column; `value_…` of each of VALUES: whether it changed]. Its place
    in the order is found by few columns; the others are read for these accounts only.
    """
    keys = list(
        con.scalars(_in_order(between, listed).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE))
    )
    rows = _compared(between, keys)
    shown = (
        select(
            rows,
            integration.c.name.label("integration"),
            *(value.changed(rows.c).label(f"value_{name}") for name, value in VALUES.items()),
        )
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key.in_(keys))
        .order_by(*_order(rows.c))
    )
    return con.execute(shown).all() if keys else []


def _in_order(between: Between, listed: Listed) -> Select[Any]:
    c = _compared(between).c
    return select(c.account_key).where(_condition(between, listed, c)).order_by(*_order(c))


def _order(c: Any) -> tuple[ColumnElement[Any], ...]:
    return func.lower(func.coalesce(c.is_username_in_app, c.was_username_in_app)), c.account_key


# ---- as a file -----------------------------------------------------------------------------------


def changes_csv(con: Connection, between: Between, listed: Listed) -> Generator[bytes, None, None]:
    """The whole list as CSV that is safe in a spreadsheet, a batch at a time."""
    yield "\ufeff".encode()
    yield from as_csv(neutralised(with_times_told(b)) for b in _batches(con, between, listed))


def _batches(con: Connection, between: Between, listed: Listed) -> Iterator[pa.RecordBatch]:
    c = _compared(between).c
    rows = (
        select(*(value.label(heading) for heading, value in _told(c).items()))
        .join_from(c.account_key.table, account, account.c.account_key == c.account_key)
        .join(integration, integration.c.integration_id == c.integration_id)
        .where(_condition(between, listed, c))
        .order_by(*_order(c))
    )
    found = con.execute(rows, execution_options={"duckdb_arrow": True})
    with found.batches(BATCH) as batches:  # type: ignore[attr-defined]
        yield pa.RecordBatch.from_pylist([], schema=batches.schema)
        yield from batches


def _told(c: Any) -> dict[str, ColumnElement[Any]]:
    """Heading → what the file says: of each account both sides of what can change."""
    told: dict[str, ColumnElement[Any]] = {
        "Integration": integration.c.name,
        "Account ID": account.c.account_id,
        "Username in app": func.coalesce(c.is_username_in_app, c.was_username_in_app),
    }
    pairs: dict[str, Callable[[str], ColumnElement[Any]]] = {
        "Provisioning state": lambda side: c[f"{side}_provisioning_state"],
        "Reason": lambda side: c[f"{side}_state_reason"],
        "User": lambda side: c[f"{side}_user_name"],
        "Email": lambda side: c[f"{side}_user_email"],
        "App access": lambda side: func.array_to_string(c[f"{side}_roles"], "; "),
        "Active in app": lambda side: _active_text(c, side),
        "Upstream user ID": lambda side: c[f"{side}_upstream_user_id"],
        "Last updated": lambda side: c[f"{side}_last_updated"],
    }
    for heading, value in pairs.items():
        told[f"{heading}, then"], told[f"{heading}, now"] = value("was"), value("is")
    return told


def _active_text(c: Any, side: str) -> ColumnElement[Any]:
    active, there = c[f"{side}_active_in_app"], c[f"{side}_there"]
    yes_or_no = case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="Unknown")
    return case((there, yes_or_no))


def file_name(between: Between, listed: Listed) -> str:
    """`changes-figma-moved-onboarded-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv`."""
    named = [*between.integration, *(value for _, value in listed.params())]
    words = slug("-".join(named))[:LONGEST_NAME].strip("-")
    moments = (f"{moment:%Y-%m-%dT%H-%M-%SZ}" for moment in (between.since, between.until))
    return "-".join(("changes", words, *moments)) + ".csv"
