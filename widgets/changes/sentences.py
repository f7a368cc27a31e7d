"""What changed between two moments, as plain sentences for a ticket or a chat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from queries.changes.diff import VALUE_CHANGES
from queries.changes.summary import ChangeSummary
from queries.changes.window import Window
from widgets import timezone

MAX_ROLES = 3
"""Roles that the words name; of more they say how many."""

MAX_INTEGRATIONS = 5
"""Integrations that the words name."""


def changes_text(window: Window, summary: ChangeSummary, snapshots: pd.DataFrame) -> str:
    """The changes, the totals, and what could not be compared: a line each."""
    lines = [_window_text(window, snapshots) + f": {_summary_text(summary)}."]
    comparable = snapshots[snapshots["taken_then"].notna()]
    if len(comparable):
        before, after = (
            int(comparable["accounts_then"].sum()),
            int(comparable["accounts_now"].sum()),
        )
        lines.append(f"{count_text(before, 'account')} then, {after:,} now.")
    new = snapshots[snapshots["taken_then"].isna()]
    if len(new):
        names = _join_names(
            [f"{r.integration} ({count_text(r.accounts_now)})" for r in new.itertuples()]
        )
        lines.append(f"New to Rollcall, and not counted as joined: {names}.")
    unchanged = comparable[comparable["taken_then"] == comparable["taken_now"]]
    if len(unchanged) and window.since != window.until:
        lines.append(f"No snapshot in between: {_join_names(list(unchanged['integration']))}.")
    return "\n".join(lines)


def _window_text(window: Window, snapshots: pd.DataFrame) -> str:
    names = list(window.integration or snapshots["integration"])
    subject = _join_names(names, 3) if window.integration or len(names) == 1 else "All integrations"
    moments = f"{moment_text(window.since)} → {moment_text(window.until)}"
    return f"{subject}, {moments} {timezone.current_zone()}"


def moment_text(moment: datetime) -> str:
    """`23 Nov 2026 06:00`, on the reader's clock."""
    return f"{timezone.to_reader_time(moment):%-d %b %Y %H:%M}"


def _summary_text(summary: ChangeSummary) -> str:
    counts, status_changes = summary.counts, summary.status_changes
    failed = f" ({summary.newly_failed:,} newly failed)" if summary.newly_failed else ""
    values = ", ".join(
        f"{VALUE_CHANGES[name].label} {n:,}" for name, n in summary.value_changes.items() if n
    )
    parts = [
        (counts["joined"], "joined"),
        (counts["back"], "came back"),
        (counts["gone"], "gone"),
        (counts["moved"], f"changed state{failed}"),
        *_role_parts(summary),
        (status_changes["matched"], "now matched with a user"),
        (status_changes["unmatched"], "now unmatched"),
        (status_changes["active"], "now active"),
        (status_changes["inactive"], "now not active"),
        (status_changes["unknown"], "now of unknown activity"),
        (counts["other"], f"otherwise changed ({values})"),
    ]
    nonzero = [(count, text) for count, text in parts if count]
    if not nonzero:
        return "nothing changed"
    first, *rest = nonzero
    return ", ".join([f"{count_text(first[0])} {first[1]}", *(f"{n:,} {w}" for n, w in rest)])


def _role_parts(summary: ChangeSummary) -> Iterator[tuple[int, str]]:
    """Role by role where they are few; the accounts and the foremost roles where they are many."""
    role_changes = summary.roles
    if len(role_changes) > MAX_ROLES:
        gained, lost, top_roles = (
            summary.counts["gained"],
            summary.counts["lost"],
            role_changes.head(MAX_ROLES),
        )
        role_texts = [
            role + "".join(f" {n:+,}" for n in (up, -down) if n)
            for role, up, down in _role_rows(top_roles)
        ]
        roles = f"{', '.join(role_texts)} and {len(role_changes) - MAX_ROLES:,} more"
        yield _role_part(gained, lost, f"roles ({roles})")
    else:
        for role, gained, lost in _role_rows(role_changes):
            yield _role_part(gained, lost, f"the role {role}")


def _role_rows(roles: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    return zip(roles["role"], roles["gained"].map(int), roles["lost"].map(int), strict=True)


def _role_part(gained: int, lost: int, object_text: str) -> tuple[int, str]:
    if gained and lost:
        return gained, f"gained and {lost:,} lost {object_text}"
    return (gained, f"gained {object_text}") if gained else (lost, f"lost {object_text}")


def count_text(count: Any, noun: str = "account") -> str:
    """`1 account`, `2 accounts`."""
    return f"{int(count):,} {noun}{'' if count == 1 else 's'}"


def _join_names(names: Sequence[str], max_names: int = MAX_INTEGRATIONS) -> str:
    more = f" and {len(names) - max_names:,} more" if len(names) > max_names else ""
    return ", ".join(names[:max_names]) + more
