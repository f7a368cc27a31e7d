"""Counts of the accounts that changed between two moments, by kind of change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

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
from queries.frames import read_frame


@dataclass(frozen=True)
class ChangeSummary:
    """Accounts by kind of change. An account can have several."""

    counts: Mapping[str, int]
    """CHANGE_KINDS → accounts."""
    transitions: pd.DataFrame
    """One row per pair of states: [before, after, accounts]."""
    status_changes: Mapping[str, int]
    """STATUS_CHANGES → accounts."""
    value_changes: Mapping[str, int]
    """VALUE_CHANGES → accounts."""
    roles: pd.DataFrame = field(repr=False)
    """One row per role that any account gained or lost, most first: [role, gained, lost]."""

    @property
    def is_empty(self) -> bool:
        """Whether no account differs."""
        return not any(self.counts.values())


NO_ROLES = pd.DataFrame({"role": [], "gained": [], "lost": []})


@cached(32)
def summarize_changes(con: Connection, window: Window) -> ChangeSummary:
    """The counts of all kinds of changes in the window."""
    tally = read_frame(con, _count_by_transition(window))
    is_added, is_removed = tally["before"].isna(), tally["after"].isna()
    added = _sum(tally, is_added)
    returned = _count_returned(con, window) if added else 0
    totals = {
        str(name): int(n) for name, n in tally.drop(columns=["before", "after"]).sum().items()
    }
    has_failed = {side: tally[side].isin(FAILED_STATES) for side in ("before", "after")}
    is_moved = ~is_added & ~is_removed & (tally["before"] != tally["after"])
    transitions = tally.loc[is_moved, ["before", "after", "accounts"]]
    transitions = transitions.astype({"accounts": int}).reset_index(drop=True)
    counts = {
        "joined": added - returned,
        "back": returned,
        "gone": _sum(tally, is_removed),
        "moved": int(transitions["accounts"].sum()),
        "failed": _sum(tally, has_failed["after"] & ~has_failed["before"]),
        "resolved": _sum(tally, has_failed["before"] & ~has_failed["after"]),
        "gained": totals["gained"],
        "lost": totals["lost"],
        "match": totals["matched"] + totals["unmatched"],
        "activity": totals["active"] + totals["inactive"] + totals["unknown"],
        "other": totals["other"],
    }
    return ChangeSummary(
        counts,
        transitions,
        {name: totals[name] for name in STATUS_CHANGES},
        {name: totals[f"value_{name}"] for name in VALUE_CHANGES},
        _changed_roles(con, window) if totals["gained"] + totals["lost"] else NO_ROLES,
    )


def _sum(tally: pd.DataFrame, condition: pd.Series) -> int:
    return int(tally.loc[condition, "accounts"].sum())


COUNTED_COLUMNS = (
    "before_provisioning_state",
    "after_provisioning_state",
    "after_active_in_app",
    "in_before",
    "in_after",
    "unmatched_before",
    "unmatched_after",
    "gained",
    "lost",
    *(f"differs_{name}" for name in TRACKED_COLUMNS),
)


def _count_by_transition(window: Window) -> sa.Select[*tuple[Any, ...]]:
    """One row per pair of states, NULL where not listed: [before, after, accounts, *counts].

    The flags are counted by their combinations, which are few, before the kinds of changes are
    derived from them: that takes a third of the time.
    """
    rows = account_diff(window)
    columns = [rows.c[name] for name in COUNTED_COLUMNS]
    query = select(*columns, func.count().label("accounts")).group_by(*columns)
    c = query.subquery("combinations").c
    measures = {
        "gained": on_both_sides(c, c.gained),
        "lost": on_both_sides(c, c.lost),
        **{name: condition(c) for name, condition in STATUS_CHANGES.items()},
        "other": any_value_changed(c),
        **{f"value_{name}": value.condition(c) for name, value in VALUE_CHANGES.items()},
    }
    before = c.before_provisioning_state.label("before")
    after = c.after_provisioning_state.label("after")
    accounts = func.sum(c.accounts)
    totals = [
        func.coalesce(accounts.filter(condition), 0).label(name)
        for name, condition in measures.items()
    ]
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
    after, before = (
        select(
            c.account_key, func.unnest(roles).label("role"), sa.literal(step).label("step")
        ).where(differs)
        for roles, step in ((c.after_roles, 1), (c.before_roles, -1))
    )
    role_steps = after.union_all(before).subquery("role_steps")
    step = func.sum(role_steps.c.step).label("step")  # 0 for a role on both sides
    per_account = (
        select(role_steps.c.role, step)
        .group_by(role_steps.c.account_key, role_steps.c.role)
        .subquery("per_account")
    )
    gained, lost = (func.count().filter(per_account.c.step == n) for n in (1, -1))
    return read_frame(
        con,
        select(per_account.c.role, gained.label("gained"), lost.label("lost"))
        .where(per_account.c.step != 0)
        .group_by(per_account.c.role)
        .order_by(func.count().desc(), func.lower(per_account.c.role), per_account.c.role),
    )
