"""The time axis of a person: when she was active, and the state of each account."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import plotly.graph_objects as go

from data.states import STATE_BY_NAME, UNRECOGNIZED
from queries.people.dossier import Dossier, Stretch
from queries.review.findings import FoundOn
from widgets import timezone
from widgets.figure_theme import DAY_TICKS, PATTERNS, PHASE_COLORS, display_name, new_figure

PERSON_COLOR = "#2F8F5B"
ROW_HEIGHT, EDGES = 26, 100  # pixels
MAX_ROWS = 60
"""Accounts that are drawn; the table has the others."""


class Bar(NamedTuple):
    """A stretch on a row, and what it counts as in the legend."""

    row: int
    kind: str
    text: str
    start: datetime
    end: datetime | None


class Mark(NamedTuple):
    """Something on a row that happened at a moment."""

    row: int
    kind: str
    text: str
    at: datetime


MARK_STYLES = {
    "Role gained": ("#2B6CB0", "triangle-up"),
    "Role lost": ("#6B7280", "triangle-down"),
    "Finding": ("#B4232C", "diamond"),
}
"""Kind of mark → its color and symbol."""

MAX_MARK_TEXT = 80

STYLES: dict[str, tuple[str, str]] = {
    "Person active": (PERSON_COLOR, ""),
    "Onboarded": ("#808790", ""),
    "Awaiting": (PHASE_COLORS["awaiting"], PATTERNS["awaiting"]),
    "Ongoing": (PHASE_COLORS["ongoing"], PATTERNS["ongoing"]),
    "Failed": (PHASE_COLORS["failed"], ""),
    "Deleted": ("#80879050", ""),
    UNRECOGNIZED.name: ("#80879050", "x"),
}
"""Kind of bar → its color and pattern."""


def timeline_figure(dossier: Dossier, found: Sequence[FoundOn], until: datetime) -> go.Figure:
    """A row for the person's active times, and one per account; open stretches end at `until`.

    Marks on the rows show changes of roles, and since when each finding has held.
    """
    labels, bars = _rows(dossier)
    traces: list[go.Bar | go.Scatter] = [
        _trace(kind, [bar for bar in bars if bar.kind == kind], until)
        for kind in STYLES
        if any(bar.kind == kind for bar in bars)
    ]
    marks = [*_role_marks(dossier), *_finding_marks(dossier, found)]
    traces += [
        _mark_trace(kind, [mark for mark in marks if mark.kind == kind])
        for kind in MARK_STYLES
        if any(mark.kind == kind for mark in marks)
    ]
    ticks = {"tickvals": [*range(len(labels))], "ticktext": labels}
    axis = {"range": [len(labels) - 0.5, -0.5], "showgrid": False}
    return new_figure(
        traces,
        barmode="overlay",
        hovermode="closest",
        height=EDGES + ROW_HEIGHT * len(labels),
        bargap=0.3,
        yaxis=ticks | axis,
        xaxis={"type": "date", "showspikes": False, "range": _range(dossier)} | DAY_TICKS,
    )


def _range(dossier: Dossier) -> list[str] | None:
    """The ends of the axis in a period; else whatever is drawn."""
    during = dossier.filters.during
    if during is None:
        return None
    return [timezone.to_reader_time(at).isoformat() for at in (during.start, during.end)]


def _first_row(dossier: Dossier) -> int:
    """The row of the first account."""
    return 1 if dossier.entries else 0


def _role_marks(dossier: Dossier) -> Iterator[Mark]:
    for row, owned in enumerate(dossier.accounts[: MAX_ROWS - 1], _first_row(dossier)):
        for change in owned.role_changes:
            for kind, roles in (("Role gained", change.gained), ("Role lost", change.lost)):
                if roles:
                    yield Mark(row, kind, f"{kind}: {', '.join(roles)}", change.at)


def _finding_marks(dossier: Dossier, found: Sequence[FoundOn]) -> Iterator[Mark]:
    row_of = {
        owned.account.account_key: row
        for row, owned in enumerate(dossier.accounts[: MAX_ROWS - 1], _first_row(dossier))
    }
    for finding in found:
        if finding.account_key in row_of:
            row = row_of[finding.account_key]
            yield Mark(row, "Finding", f"Found: {finding.title}", finding.since)


def _mark_trace(kind: str, marks: Sequence[Mark]) -> go.Scatter:
    color, symbol = MARK_STYLES[kind]
    days = [timezone.format_day(mark.at) for mark in marks]
    return go.Scatter(
        name=kind,
        mode="markers",
        x=[timezone.to_reader_time(mark.at).isoformat() for mark in marks],
        y=[mark.row for mark in marks],
        hovertext=[
            f"{display_name(mark.text, MAX_MARK_TEXT)}, {day}"
            for mark, day in zip(marks, days, strict=True)
        ],
        hoverinfo="text",
        marker={
            "color": color,
            "symbol": symbol,
            "size": 10,
            "line": {"width": 1, "color": "white"},
        },
    )


def _rows(dossier: Dossier) -> tuple[list[str], list[Bar]]:
    """The labels of the rows, the first on top, and their bars."""
    labels: list[str] = []
    bars: list[Bar] = []

    def add(label: str, stretches: Sequence[Stretch], kind: str = "") -> None:
        row = len(labels)
        labels.append(display_name(label, 32))
        for s in stretches:
            state = s.state + ", not active" * (s.active is False)
            bars.append(Bar(row, kind or _kind(s.state), kind or state, s.start, s.end))

    if dossier.entries:
        add("Person", dossier.active_stretches, "Person active")
    for label, stretches in _accounts(dossier):
        if len(labels) < MAX_ROWS:
            add(label, stretches)
    return labels, bars


def _accounts(dossier: Dossier) -> Iterator[tuple[str, Sequence[Stretch]]]:
    """Every listed account, and those that only a directory listed before."""
    listed = {owned.account.account_key for owned in dossier.accounts}
    for owned in dossier.accounts:
        yield f"{owned.account.integration} · {owned.account.username_in_app}", owned.stretches
    for entry in dossier.entries:
        if entry.listed.account_key not in listed:
            yield f"{entry.listed.integration} · {entry.listed.account_id}", entry.stretches


def _kind(state: str) -> str:
    """Settled states by their name, others by their phase."""
    known = STATE_BY_NAME[state]
    return state if known.phase == "settled" else known.phase.capitalize()


def _trace(kind: str, bars: Sequence[Bar], until: datetime) -> go.Bar:
    color, pattern = STYLES[kind]
    starts = [timezone.to_reader_time(bar.start) for bar in bars]
    ends = [timezone.to_reader_time(bar.end or until) for bar in bars]
    return go.Bar(
        name=kind,
        orientation="h",
        width=0.7,
        y=[bar.row for bar in bars],
        base=[start.isoformat() for start in starts],
        x=[(end - start).total_seconds() * 1000 for start, end in zip(starts, ends, strict=True)],
        hovertext=[f"{bar.text}: {stretch_text(bar.start, bar.end)}" for bar in bars],
        marker={"color": color, "pattern": {"shape": pattern}},
    )


def stretch_text(start: datetime, end: datetime | None) -> str:
    """`since 5 Jan 2026`, or `5 Jan 2026 – 2 Mar 2026`."""
    first = timezone.format_day(start)
    return f"{first} – {timezone.format_day(end)}" if end else f"since {first}"
