"""How many accounts changed between two moments, and in which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, func, literal, select

from data.schema import CONTENT
from data.states import FAILED
from queries.cache import remembered
from queries.changes.diff import TURNS, VALUES, any_value, compared, returned, stayed
from queries.changes.window import Between


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


NO_ROLES = pd.DataFrame({"role": [], "gained": [], "lost": []})


@remembered(32)
def summary_of(con: Connection, between: Between) -> Summary:
    """How many changed."""
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
    rows = compared(between)
    facts = [rows.c[name] for name in FACTS]
    counted = select(*facts, func.count().label("accounts")).group_by(*facts)
    c = counted.subquery("combinations").c
    ways = {
        "gained": stayed(c, c.gained),
        "lost": stayed(c, c.lost),
        **{name: turned(c) for name, turned in TURNS.items()},
        "other": any_value(c, list(VALUES)),
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
    return con.scalar(select(func.count()).select_from(returned(between).subquery())) or 0


def _changed_roles(con: Connection, between: Between) -> pd.DataFrame:
    """One row per role that any account gained or lost: [role, gained, lost]."""
    c = compared(between).c
    differs = stayed(c, c.differs_roles)
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
