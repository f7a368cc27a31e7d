"""What all figures look like: colors, axes, traces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from data.states import OPERATIONS

# At least 3:1 against Streamlit's light and dark background: the server cannot know the theme.
PHASE_COLORS = {
    "failed": "#D4471C",
    "ongoing": "#3F86D0",
    "awaiting": "#B08000",
    "settled": "#808790",
}


OPERATION_COLORS = {"provision": "#0B9550", "update": "#7757F7", "delete": "#B0588D"}


PATTERNS = {
    "ongoing": ".",
    "awaiting": "/",
    "update": "/",
    "delete": "x",
    "new": "/",
    "cleared": "x",
}


NEW, RESOLVED = "new", "cleared"
"""In the meaning of a mark: only the accounts that came, or went, on the day."""


FAILURE_FLOWS: dict[str, tuple[str, list[str]]] = {
    "carried": (PHASE_COLORS["settled"], []),
    "new": (PHASE_COLORS["failed"], [NEW]),
    "cleared": (OPERATION_COLORS["provision"], [RESOLVED]),
}


HEATMAP_SCALE = [[0, "#80808022"], [0.001, "#F0B49C"], [0.35, "#DC6A42"], [1, "#8F1D00"]]
"""From nothing, which is as quiet as the page, to the most."""


QUARANTINE_COLOR = "#A8791B"  # of what is not in a trend


DASHES = {"update": "dash", "delete": "dot", "Deleted": "dash", "Unrecognised": "dot"}


NO_SNAPSHOT = {"name": "No snapshot", "fillcolor": "#80808030", "line_width": 0, "layer": "below"}


# The only thing to do with a picture is to take it along: nothing here is zoomed or drawn on.
PLOTLY_CONFIG: dict[str, Any] = {
    "displayModeBar": True,
    "modeBarButtons": [["toImage"]],
    "responsive": True,
    "doubleClick": False,
    "locale": "en",
}


AXIS: dict[str, Any] = {
    "fixedrange": True,
    "zeroline": False,
    "automargin": True,
    "ticklabeloverflow": "allow",  # all fit; or each label is measured at every draw
}


BASE_LAYOUT: dict[str, Any] = {
    "template": "none",
    "height": 280,
    "barmode": "stack",
    "paper_bgcolor": "rgba(0, 0, 0, 0)",
    "plot_bgcolor": "rgba(0, 0, 0, 0)",
    "margin": {"l": 0, "r": 8, "t": 26, "b": 8, "pad": 4},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": "#80879080", "activecolor": "#808790"},
    "xaxis": AXIS | {"showgrid": False},
    "yaxis": AXIS,
}


QUARANTINED = "unloaded"
"""In the meaning of a mark: files of the day that were held or refused."""


DAY = pd.Timedelta(days=1)


def display_name(name: str, most: int = 24) -> str:
    """A name from the data as an axis or a bubble shows it: as text."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return escape(line if len(line) <= most else f"{line[:most]}…", quote=False)


def format_span(seconds: float, *, digits: int = 3) -> str:
    """A time span in its largest sensible unit: `36 h`, `2.5 days`."""
    units = ((60, "min", 60), (3600, "h", 48), (86_400, "days", math.inf))
    size, unit, _ = next(entry for entry in units if seconds < entry[0] * entry[2])
    amount = seconds / size
    return (
        f"{amount:,.0f} {unit}" if amount >= 100 or unit == "min" else f"{amount:.{digits}g} {unit}"
    )


def pivot_by_day(
    daily: pd.DataFrame, column: str, value: str, names: Sequence[str]
) -> pd.DataFrame:
    """One row per calendar day, one column per name; all NaN on a day without any row, a gap. A day
    with some was counted whole: a row that it lacks is zero accounts.
    """
    rows = daily.assign(day=pd.to_datetime(daily["day"])).set_index(["day", column])[value]
    days = rows.astype(float).unstack().reindex(columns=list(names))
    days = days.fillna(0) if value == "accounts" else days
    return days.reindex(pd.date_range(days.index.min(), days.index.max(), freq="D"))


def operation_traces(
    make_trace: Callable[..., Any], daily: pd.DataFrame, text_of: Callable[..., str]
):
    hover_texts = {o: [text_of(value, o) for value in daily[o]] for o in OPERATIONS}
    return [make_trace(o, OPERATION_COLORS[o], daily[o], [o], hover_texts[o]) for o in OPERATIONS]


def bar_trace(name: str, colour: str, *rest: Any) -> go.Bar:
    hatch = {"shape": PATTERNS.get(name, ""), "size": 5, "solidity": 0.2, "fillmode": "overlay"}
    marker = {"color": colour, "pattern": hatch | {"fgcolor": "white", "fgopacity": 0.7}}
    return go.Bar(marker=marker, width=DAY / pd.Timedelta(1, "ms"), **_trace_options(name, *rest))


def line_trace(name: str, colour: str, values: pd.Series, *rest: Any) -> go.Scatter:
    alone = values.shift().isna() & values.shift(-1).isna()  # else size 0: clicked, but not seen
    sizes = (7 * alone).tolist() if alone.any() else 0  # a list is looked at point by point
    marker = {"color": colour, "size": sizes, "opacity": 1, "line": {"width": 0}}
    line = {"color": colour, "width": 2, "dash": DASHES.get(name, "solid")}
    return go.Scatter(
        mode="lines+markers", marker=marker, line=line, **_trace_options(name, values, *rest)
    )


def _trace_options(name: str, values: pd.Series, meaning: Sequence[str], hover_texts: list[str]):
    days = [f"{day:%Y-%m-%d}" for day in values.index]
    return {
        "name": name.capitalize(),
        "x": days,
        "y": [None if pd.isna(value) else value for value in values],
        "customdata": [[day, *meaning] for day in days],
        "hovertext": hover_texts,
        "hovertemplate": "%{x|%-d %b %Y}: %{hovertext}<extra></extra>",
        "unselected": {"marker": {"opacity": 1}},  # a click opens Users, it highlights nothing
    }


def count_axis(counts: pd.Series, **options: Any) -> dict[str, Any]:
    ticks = {"dtick": 1} if counts.max() < 5 else {"nticks": 5}
    return BASE_LAYOUT["yaxis"] | {"tickformat": ",d", "rangemode": "tozero"} | ticks | options


def daily_figure(
    traces: list[Any], daily: pd.DataFrame, gaps: pd.Index | None = None, **layout: Any
) -> go.Figure:
    """Traces over days; `gaps` are those without a snapshot, else the days without a number."""
    figure = go.Figure(traces, BASE_LAYOUT).update_layout(**layout)
    start = min(daily.index[0], daily.index[-1] - 6 * DAY)  # a week: one day's column is no wall
    span = [start - DAY / 2, daily.index[-1] + DAY / 2]  # below, \n: the year only as it changes
    figure.update_xaxes(range=span, tickangle=0, nticks=6, tickformat="%-d %b\n%Y")
    last = {"legendrank": 1 if "legend_traceorder" in layout else 2000}
    gaps = daily.index[daily.isna().all(axis=1)] if gaps is None else gaps
    for nth, day in enumerate(gaps):
        where = {"x0": day - DAY / 2, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(**NO_SNAPSHOT, **where, **last, showlegend=nth == 0)
    return figure


def empty_figure(frame: pd.DataFrame, message: str = "") -> go.Figure:
    text = "No snapshots in this period." if frame.empty else message
    note = {"text": text, "showarrow": False, "xref": "paper", "yref": "paper"}
    hidden = {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    return go.Figure(None, BASE_LAYOUT | hidden | {"height": 160, "annotations": [note]})


def account_count_text(count: float) -> str:
    return f"{count:,.0f} account{'' if count == 1 else 's'}"
