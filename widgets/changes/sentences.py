"""The changes between two moments in plain sentences, for a ticket or a chat."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pandas as pd

from data.formatting import count_of, plural, signed
from queries.changes.diff import VALUE_CHANGES
from queries.changes.summary import ChangeSummary
from queries.changes.window import Window
from widgets import timezone
from widgets.labels import MARKDOWN_CHARACTERS

MAX_ROLES = 3
"""Roles that the text names; for more it gives their number."""

MAX_INTEGRATIONS = 5
"""Integrations that the text names."""


BOLD_START, BOLD_END = "\x02", "\x03"
"""Around a number that stands out."""


def changes_text(window: Window, summary: ChangeSummary, snapshots: pd.DataFrame) -> str:
    """The changes, the totals, and the integrations that were not compared: one line each."""
    marked = _marked_text(window, summary, snapshots)
    return marked.replace(BOLD_START, "").replace(BOLD_END, "")


def changes_markdown(window: Window, summary: ChangeSummary, snapshots: pd.DataFrame) -> str:
    """The same with bold numbers; no other markup is active."""
    lines = _marked_text(window, summary, snapshots).split("\n")
    escaped = "  \n".join(MARKDOWN_CHARACTERS.sub(r"\\\g<0>", line) for line in lines)
    return escaped.replace(BOLD_START, "**").replace(BOLD_END, "**")


def _marked_text(window: Window, summary: ChangeSummary, snapshots: pd.DataFrame) -> str:
    lines = [window_text(window, snapshots) + f": {_summary_text(summary)}."]
    comparable = snapshots[snapshots["taken_before"].notna()]
    if len(comparable):
        before, after = comparable["accounts_before"].sum(), comparable["accounts_after"].sum()
        noun = plural(before, "account")
        lines.append(f"{_bold(before)} {noun} before, {_bold(after)} after.")
    new = snapshots[snapshots["taken_before"].isna()]
    if len(new):
        names = [
            f"{name} ({count_of(count, 'account')})"
            for name, count in zip(new["integration"], new["accounts_after"].map(int), strict=True)
        ]
        lines.append(f"New to Rollcall, not counted as added: {_join_names(names)}.")
    unchanged = comparable[comparable["taken_before"] == comparable["taken_after"]]
    if len(unchanged) and window.since != window.until:
        lines.append(f"No snapshot in between: {_join_names(list(unchanged['integration']))}.")
    return "\n".join(lines)


def window_text(window: Window, snapshots: pd.DataFrame) -> str:
    """`Figma, 1 Nov 2026 06:00 → 23 Nov 2026 06:00 UTC`."""
    names = list(window.integration or snapshots["integration"])
    subject = _join_names(names, 3) if window.integration or len(names) == 1 else "All integrations"
    moments = f"{moment_text(window.since)} → {moment_text(window.until)}"
    return f"{subject}, {moments} {timezone.current_zone()}"


def moment_text(moment: datetime) -> str:
    """`23 Nov 2026 06:00` in the reader's time zone."""
    return f"{timezone.to_reader_time(moment):%-d %b %Y %H:%M}"


def _summary_text(summary: ChangeSummary) -> str:
    counts, status_changes = summary.counts, summary.status_changes
    values = ", ".join(
        f"{VALUE_CHANGES[name].label}: {n:,}" for name, n in summary.value_changes.items() if n
    )
    parts = [
        (counts["joined"], "added"),
        (counts["back"], "returned"),
        (counts["gone"], "removed"),
        (counts["moved"], "changed state"),
        (counts["failed"], "newly failed"),
        (counts["resolved"], "no longer failed"),
        *_role_parts(summary),
        (status_changes["matched"], "matched with a user"),
        (status_changes["unmatched"], "no longer matched"),
        (status_changes["active"], "activated"),
        (status_changes["inactive"], "deactivated"),
        (status_changes["unknown"], "with activity now unknown"),
        (counts["other"], f"with other changes ({values})"),
    ]
    nonzero = [(count, text) for count, text in parts if count]
    if not nonzero:
        return "nothing changed"
    (count, text), *rest = nonzero
    first = f"{_bold(count)} {plural(count, 'account')} {text}"
    return ", ".join([first, *(f"{_bold(n)} {t}" for n, t in rest)])


def _bold(count: float) -> str:
    return f"{BOLD_START}{count:,.0f}{BOLD_END}"


def _role_parts(summary: ChangeSummary) -> Iterator[tuple[int, str]]:
    """A few roles one by one; of many, the accounts and the roles that changed most."""
    roles = summary.roles
    if len(roles) <= MAX_ROLES:
        for role, gained, lost in _role_rows(roles):
            yield _role_part(gained, lost, f"the role {role}")
        return
    names = ", ".join(
        role + "".join(f" {signed(n)}" for n in (gained, -lost) if n)
        for role, gained, lost in _role_rows(roles.head(MAX_ROLES))
    )
    text = f"roles ({names} and {len(roles) - MAX_ROLES:,} more)"
    yield _role_part(summary.counts["gained"], summary.counts["lost"], text)


def _role_rows(roles: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    return zip(roles["role"], roles["gained"].map(int), roles["lost"].map(int), strict=True)


def _role_part(gained: int, lost: int, roles: str) -> tuple[int, str]:
    if gained and lost:
        return gained, f"gained and {_bold(lost)} lost {roles}"
    return (gained, f"gained {roles}") if gained else (lost, f"lost {roles}")


def _join_names(names: Sequence[str], max_names: int = MAX_INTEGRATIONS) -> str:
    more = f" and {len(names) - max_names:,} more" if len(names) > max_names else ""
    return ", ".join(names[:max_names]) + more
