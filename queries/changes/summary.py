"""How many accounts changed between two moments, and in which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, func, literal, select

from data.schema import TRACKED_COLUMNS
from data.states import FAILED_STATES
from queries.cache import cached
from queries.changes.diff import (
    STATUS_CHANGES,
    VALUE_CHANGES,
    account_diff,
    any_value_changed,
    on_both_sides,
    returned_accounts,
)
from queries.changes.window import Window


@dataclass(frozen=True)
class ChangeSummary:
    """How many accounts changed in which way. An account can have changed in several."""

    counts: Mapping[str, int]
    """Kind → accounts."""
    transitions: pd.DataFrame
    """One row per pair of states: [was, now, accounts]."""
    status_changes: Mapping[str, int]
    """matched, unmatched, active, inactive, unknown → accounts that became so."""
    value_changes: Mapping[str, int]
    """VALUES → accounts."""
    roles: pd.DataFrame = field(repr=False)
    """One row per role that any account gained or lost, most first: [role, gained, lost]."""

    @property
    def newly_failed(self) -> int:
        """Accounts that changed to a failed state, from whichever."""
        return int(
            self.transitions.loc[self.transitions["now"].isin(FAILED_STATES), "accounts"].sum()
        )

    @property
    def is_empty(self) -> bool:
        """Whether both moments say the same of every account."""
        return not any(self.counts.values())


NO_ROLES = pd.DataFrame({"role": [], "gained": [], "lost": []})


@cached(32)
def summarize_changes(con: Connection, window: Window) -> ChangeSummary:
    """How many changed."""
    result = con.execute(_count_by_transition(window))
    tally = pd.DataFrame(result.all(), columns=list(result.keys()))
    is_added = tally["was"].isna()
    returned_count = _count_returned(con, window) if is_added.any() else 0
    totals = {str(name): int(n) for name, n in tally.drop(columns=["was", "now"]).sum().items()}
    roles = _changed_roles(con, window) if totals["gained"] + totals["lost"] else NO_ROLES
    remaining = tally[tally["was"].notna() & tally["now"].notna()]
    transitions = remaining.loc[remaining["was"] != remaining["now"], ["was", "now", "accounts"]]
    transitions = transitions.astype({"accounts": int}).reset_index(drop=True)
    removed = tally.loc[tally["now"].isna(), "accounts"].sum()
    added = int(tally.loc[is_added, "accounts"].sum())
    counts = {
        "joined": added - returned_count,
        "back": returned_count,
        "gone": int(removed),
        "moved": int(transitions["accounts"].sum()),
        "gained": totals["gained"],
        "lost": totals["lost"],
        "match": totals["matched"] + totals["unmatched"],
        "activity": totals["active"] + totals["inactive"] + totals["unknown"],
        "other": totals["other"],
    }
    status_changes = {name: totals[name] for name in STATUS_CHANGES}
    value_changes = {name: totals[f"value_{name}"] for name in VALUE_CHANGES}
    return ChangeSummary(counts, transitions, status_changes, value_changes, roles)


COUNTED_COLUMNS = (
    "was_provisioning_state",
    "is_provisioning_state",
    "is_active_in_app",
    "was_there",
    "is_there",
    "was_unmatched",
    "is_unmatched",
    "gained",
    "lost",
    *(f"differs_{name}" for name in TRACKED_COLUMNS),
)


def _count_by_transition(window: Window) -> Select[*tuple[Any, ...]]:
    """One row per pair of states, NULL where not listed; how many, and how many in each way.

    The facts are counted by their combinations, which are few, before any way is asked of them:
    that takes a third of the time.
    """
    rows = account_diff(window)
    columns = [rows.c[name] for name in COUNTED_COLUMNS]
    statement = select(*columns, func.count().label("accounts")).group_by(*columns)
    c = statement.subquery("combinations").c
    measures = {
        "gained": on_both_sides(c, c.gained),
        "lost": on_both_sides(c, c.lost),
        **{name: turned(c) for name, turned in STATUS_CHANGES.items()},
        "other": any_value_changed(c, list(VALUE_CHANGES)),
        **{f"value_{name}": value.condition(c) for name, value in VALUE_CHANGES.items()},
    }
    before, after = c.was_provisioning_state.label("was"), c.is_provisioning_state.label("now")
    accounts = func.sum(c.accounts)
    totals = [func.coalesce(accounts.filter(way), 0).label(name) for name, way in measures.items()]
    return (
        select(before, after, accounts.label("accounts"), *totals)
        .group_by(before, after)
        .order_by(accounts.desc(), before, after)
    )


def _count_returned(con: Connection, window: Window) -> int:
    return con.scalar(select(func.count()).select_from(returned_accounts(window).subquery())) or 0


def _changed_roles(con: Connection, window: Window) -> pd.DataFrame:
    """One row per role that any account gained or lost: [role, gained, lost]."""
    c = account_diff(window).c
    differs = on_both_sides(c, c.differs_roles)
    sides = [
        select(c.account_key, func.unnest(roles).label("role"), literal(step).label("step")).where(
            differs
        )
        for roles, step in ((c.is_roles, 1), (c.was_roles, -1))
    ]
    role_steps = sides[0].union_all(sides[1]).subquery("each")
    step = func.sum(role_steps.c.step).label("step")  # 0 where the role is held then and now
    per_account = (
        select(role_steps.c.role, step)
        .group_by(role_steps.c.account_key, role_steps.c.role)
        .subquery("per_account")
    )
    gained, lost = (func.count().filter(per_account.c.step == n) for n in (1, -1))
    result = con.execute(
        select(per_account.c.role, gained.label("gained"), lost.label("lost"))
        .where(per_account.c.step != 0)
        .group_by(per_account.c.role)
        .order_by(func.count().desc(), func.lower(per_account.c.role), per_account.c.role)
    )
    return pd.DataFrame(result.all(), columns=list(result.keys()))
