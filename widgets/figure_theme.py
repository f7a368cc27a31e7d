"""How figures look: colors, axes, traces, and the plotly template that they share."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

from data.formatting import count_of

# At least 3:1 against Streamlit's light and dark backgrounds: the server cannot know the theme.
PHASE_COLORS = {
    "failed": "#D4471C",
    "ongoing": "#3F86D0",
    "awaiting": "#B08000",
    "settled": "#808790",
}
INK = "#808790"
"""Of lines that count no accounts in a state, such as times."""
QUARANTINE_COLOR = "#A8791B"
HEATMAP_SCALE = [[0, "rgba(212, 71, 28, 0)"], [1, "rgba(212, 71, 28, 1)"]]
"""The page shows through, light or dark: nothing failed is the background, more is stronger."""

# Color is never the only difference.
PATTERNS = {"ongoing": ".", "awaiting": "/"}

DAY = pd.Timedelta(days=1)
NO_SNAPSHOT = {"name": "No snapshot", "fillcolor": "#80808030", "line_width": 0, "layer": "below"}
DAY_TICKS = {"tickformat": "%-d %b\n%Y", "tickangle": 0, "nticks": 6}  # the year once below
DAY_HOVER = "%{x|%-d %b %Y}: %{hovertext}<extra></extra>"

# The picture can be downloaded; there is nothing to zoom or to draw. Streamlit alone decides the
# size. With Plotly's `responsive`, both would, and a slow browser would show charts without height.
PLOTLY_CONFIG: dict[str, Any] = {
    "displayModeBar": True,
    "modeBarButtons": [["toImage"]],
    "doubleClick": False,
    "locale": "en",
}

CROSSHAIR = {"showspikes": True, "spikemode": "across", "spikesnap": "hovered data"} | {
    "spikethickness": 1,
    "spikecolor": "#80879080",
    "spikedash": "solid",
}
AXIS = {
    "fixedrange": True,
    "zeroline": False,
    "automargin": True,
    "ticklabeloverflow": "allow",  # all labels fit; plotly need not measure each at every draw
}
# A click opens a page: the other marks need not fade.
MARKS = {"unselected": {"marker": {"opacity": 1}}, "hovertemplate": "%{hovertext}<extra></extra>"}
HATCH = {"size": 5, "solidity": 0.2, "fillmode": "overlay", "fgcolor": "white", "fgopacity": 0.7}

pio.templates["rollcall"] = go.layout.Template(
    layout={
        "barmode": "stack",
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": "#80879080", "activecolor": "#808790"},
        "xaxis": AXIS | CROSSHAIR | {"showgrid": False},
        "yaxis": AXIS,
    },
    data={
        "bar": [go.Bar(MARKS | {"marker": {"pattern": HATCH}})],
        "scatter": [go.Scatter(MARKS | {"marker": {"opacity": 1}, "line": {"width": 2}})],
    },
)
"""Streamlit's theme adds text, grid and hover colors, for light or dark."""

CHART_HEIGHT = 200  # pixels; cards side by side end at one line

FIGURE = {
    "template": "rollcall",
    "height": CHART_HEIGHT,
    # Streamlit's theme would override these in a template.
    "paper_bgcolor": "rgba(0, 0, 0, 0)",
    "plot_bgcolor": "rgba(0, 0, 0, 0)",
    "margin": {"l": 0, "r": 8, "t": 26, "b": 8, "pad": 4},
}


def new_figure(traces: Any = None, **layout: Any) -> go.Figure:
    """A figure in the template of Rollcall."""
    return go.Figure(traces, FIGURE | layout)


def empty_figure(frame: pd.DataFrame, message: str = "") -> go.Figure:
    """A message in place of a figure: about the period where the frame is empty."""
    text = "No snapshots in this period." if frame.empty else message
    note = {"text": text, "showarrow": False, "xref": "paper", "yref": "paper"}
    hidden = {"visible": False}
    return new_figure(annotations=[note], xaxis=hidden, yaxis=hidden)


# ---- text ----------------------------------------------------------------------------------------


def display_name(name: str, most: int = 24) -> str:
    """A name from the data as plain text for an axis or a tooltip, cut to a length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return escape(line if len(line) <= most else f"{line[:most]}…", quote=False)


def account_count_text(count: float) -> str:
    """`1 account`, `2,000 accounts`."""
    return count_of(count, "account")


# ---- per day -------------------------------------------------------------------------------------


def pivot_by_day(
    daily: pd.DataFrame, column: str, value: str, names: Sequence[str]
) -> pd.DataFrame:
    """One row per calendar day, one column per name.

    A day without any row is a gap: all NaN. On other days a count without a row is zero.
    """
    rows = daily.assign(day=pd.to_datetime(daily["day"])).set_index(["day", column])[value]
    days = rows.astype(float).unstack().reindex(columns=list(names))
    days = days if value == "rate" else days.fillna(0)
    return days.reindex(pd.date_range(days.index.min(), days.index.max(), freq="D"))


def iso_days(days: Any) -> list[str]:
    """The days as `2026-11-23`, which plotly reads as dates."""
    return [f"{day:%Y-%m-%d}" for day in days]


def line_trace(name: str, color: str, values: pd.Series, **trace: Any) -> go.Scatter:
    """A line over days; a day between two gaps is a visible point."""
    is_alone = values.shift().isna() & values.shift(-1).isna()
    sizes = (7 * is_alone).tolist() if is_alone.any() else 0  # a list costs a look at each point
    return go.Scatter(
        mode="lines+markers",
        marker={"color": color, "size": sizes, "line": {"width": 0}},
        line={"color": color},
        **_daily_trace(name, values, trace),
    )


def _daily_trace(name: str, values: pd.Series, trace: dict[str, Any]) -> dict[str, Any]:
    y = [None if pd.isna(value) else value for value in values]
    days = {"x": iso_days(values.index), "y": y, "hovertemplate": DAY_HOVER}
    return {"name": name.capitalize()} | days | trace


def count_axis(counts: pd.Series, **axis: Any) -> dict[str, Any]:
    """A y axis of counts, in whole steps from zero."""
    ticks = {"dtick": 1} if counts.max() < 5 else {"nticks": 5}
    return {"tickformat": ",d", "rangemode": "tozero"} | ticks | axis


def end_label(figure: go.Figure, values: pd.Series, number_format: str) -> go.Figure:
    """The figure with the newest number at the end of its line."""
    newest = values.dropna()
    text = f"<b>{number_format.format(newest.iloc[-1])}</b>"
    place = {"x": newest.index[-1], "y": newest.iloc[-1], "xanchor": "left", "xshift": 6}
    figure.update_layout(margin_r=44)
    return figure.add_annotation(text=text, showarrow=False, **place)


def daily_figure(
    traces: list[Any], daily: pd.DataFrame, gaps: pd.Index | None = None, **layout: Any
) -> go.Figure:
    """Traces over days. Days without a snapshot are shaded: `gaps`, or those without any value."""
    first, last = daily.index[0], daily.index[-1]
    start = min(first, last - 6 * DAY)  # a week at least: one day's column is no wall
    gaps = daily.index[daily.isna().all(axis=1)] if gaps is None else gaps
    shapes = [
        NO_SNAPSHOT
        | {"x0": day - DAY / 2, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
        | {"legendrank": 2000, "showlegend": index == 0}
        for index, day in enumerate(gaps)
    ]
    axis = {"range": [start - DAY / 2, last + DAY / 2]} | DAY_TICKS
    return new_figure(traces, shapes=shapes, xaxis=axis, **layout)
