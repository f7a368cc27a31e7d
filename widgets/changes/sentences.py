"""What changed between two moments, as plain sentences for a ticket or a chat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from queries.changes.diff import VALUES
from queries.changes.summary import Summary
from queries.changes.window import Between
from widgets import timezone

MOST_ROLES = 3
"""Roles that the words name; of more they say how many."""

MOST_NAMED = 5
"""Integrations that the words name."""


def in_words(between: Between, summary: Summary, compared: pd.DataFrame) -> str:
    """The changes, the totals, and what could not be compared: a line each."""
    told = [_who(between, compared) + f": {_changes_in_words(summary)}."]
    known = compared[compared["taken_then"].notna()]
    if len(known):
        then, now = int(known["accounts_then"].sum()), int(known["accounts_now"].sum())
        told.append(f"{number_of(then, 'account')} then, {now:,} now.")
    new = compared[compared["taken_then"].isna()]
    if len(new):
        names = _listed(
            [f"{r.integration} ({number_of(r.accounts_now)})" for r in new.itertuples()]
        )
        told.append(f"New to Rollcall, and not counted as joined: {names}.")
    still = known[known["taken_then"] == known["taken_now"]]
    if len(still) and between.since != between.until:
        told.append(f"No snapshot in between: {_listed(list(still['integration']))}.")
    return "\n".join(told)


def _who(between: Between, compared: pd.DataFrame) -> str:
    names = list(between.integration or compared["integration"])
    who = _listed(names, 3) if between.integration or len(names) == 1 else "All integrations"
    moments = f"{moment_in_words(between.since)} → {moment_in_words(between.until)}"
    return f"{who}, {moments} {timezone.zone()}"


def moment_in_words(moment: datetime) -> str:
    """`23 Nov 2026 06:00`, on the reader's clock."""
    return f"{timezone.here(moment):%-d %b %Y %H:%M}"


def _changes_in_words(summary: Summary) -> str:
    counts, turned = summary.counts, summary.turned
    failed = f" ({summary.newly_failed:,} newly failed)" if summary.newly_failed else ""
    values = ", ".join(f"{VALUES[name].label} {n:,}" for name, n in summary.values.items() if n)
    told = [
        (counts["joined"], "joined"),
        (counts["back"], "came back"),
        (counts["gone"], "gone"),
        (counts["moved"], f"changed state{failed}"),
        *_roles_in_words(summary),
        (turned["matched"], "now matched with a user"),
        (turned["unmatched"], "now unmatched"),
        (turned["active"], "now active"),
        (turned["inactive"], "now not active"),
        (turned["unknown"], "now of unknown activity"),
        (counts["other"], f"otherwise changed ({values})"),
    ]
    said = [(count, words) for count, words in told if count]
    if not said:
        return "nothing changed"
    first, *others = said
    return ", ".join([f"{number_of(first[0])} {first[1]}", *(f"{n:,} {w}" for n, w in others)])


def _roles_in_words(summary: Summary) -> Iterator[tuple[int, str]]:
    """Role by role where they are few; the accounts and the foremost roles where they are many."""
    each = summary.roles
    if len(each) > MOST_ROLES:
        gained, lost, first = (
            summary.counts["gained"],
            summary.counts["lost"],
            each.head(MOST_ROLES),
        )
        named = [
            role + "".join(f" {n:+,}" for n in (up, -down) if n) for role, up, down in _rows(first)
        ]
        roles = f"{', '.join(named)} and {len(each) - MOST_ROLES:,} more"
        yield _gained_and_lost(gained, lost, f"roles ({roles})")
    else:
        for role, gained, lost in _rows(each):
            yield _gained_and_lost(gained, lost, f"the role {role}")


def _rows(roles: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    return zip(roles["role"], roles["gained"].map(int), roles["lost"].map(int), strict=True)


def _gained_and_lost(gained: int, lost: int, what: str) -> tuple[int, str]:
    if gained and lost:
        return gained, f"gained and {lost:,} lost {what}"
    return (gained, f"gained {what}") if gained else (lost, f"lost {what}")


def number_of(count: Any, noun: str = "account") -> str:
    """`1 account`, `2 accounts`."""
    return f"{int(count):,} {noun}{'' if count == 1 else 's'}"


def _listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
