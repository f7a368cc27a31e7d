"""Marks on charts: files that were not loaded, and what the reader hovers over."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from widgets.figure_theme import DAY, NO_SNAPSHOT, QUIET, UNLOADED


def marked(figure: go.Figure, unloaded: pd.DataFrame) -> go.Figure:
    """The figure with a quiet mark on each day of which a file was held or refused, so that the
    day is not taken for what it seems. One row per day, integration and verdict
    [day, integration, verdict]; a click means [day, UNLOADED].
    """
    if unloaded.empty:
        return figure
    if not figure.data:
        words = escape(unloaded_in_words(unloaded), quote=False)
        return figure.for_each_annotation(lambda note: note.update(text=f"{note.text}<br>{words}"))
    days = pd.to_datetime(pd.Series(sorted(set(unloaded["day"]))))
    _reach(figure, days.iloc[-1])
    last = 0 if figure.layout.legend.traceorder == "reversed" else 3000
    figure.add_trace(_unloaded_marks(unloaded, days).update(legendrank=last))
    over = "y2" if "yaxis2" in figure.layout else "y"
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis9={"overlaying": over, **hidden})
    for day in days:
        where = {"x0": day, "x1": day, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
        figure.add_shape(type="line", line={"color": QUIET, "width": 1, "dash": "dot"}, **where)
    return figure


def unloaded_in_words(unloaded: pd.DataFrame, *, most: int = 5) -> str:
    """Which files are not in a trend: the newest days, as text."""
    days = sorted(set(unloaded["day"]), reverse=True)
    told = [
        f"{day:%-d %b %Y} ({', '.join(_verdicts(unloaded[unloaded['day'] == day]))})"
        for day in days
    ]
    more = f" and {len(told) - most:,} more days" if len(told) > most else ""
    return f"Held or refused, and not counted: {', '.join(told[:most])}{more}." if told else ""


def _unloaded_marks(unloaded: pd.DataFrame, days: pd.Series) -> go.Scatter:
    when = pd.to_datetime(unloaded["day"])
    by_day = {day: _verdicts(unloaded[when == day]) for day in days}
    names = [f"{day:%Y-%m-%d}" for day in days]
    return go.Scatter(
        name="Held or refused",
        mode="markers",
        x=names,
        y=[0.97] * len(names),
        yaxis="y9",
        marker={"symbol": "triangle-down", "size": 9, "color": QUIET, "opacity": 1},
        customdata=[[name, UNLOADED] for name in names],
        hovertext=[escape("; ".join(by_day[day]), quote=False) for day in days],
        hovertemplate="%{x|%-d %b %Y}: %{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        cliponaxis=False,
    )


def _verdicts(rows: pd.DataFrame, most: int = 6) -> list[str]:
    """`figma held`, one per integration and verdict of a day; of many, the first."""
    told = [f"{name} {verdict}" for name, verdict in rows[["integration", "verdict"]].values]
    return told[:most] + ([f"{len(told) - most:,} more"] if len(told) > most else [])


def _reach(figure: go.Figure, day: pd.Timestamp) -> None:
    """Let the days go on to this one; what is added has no snapshot."""
    start, end = (pd.Timestamp(edge) for edge in figure.layout.xaxis.range)
    known = any(shape.name == NO_SNAPSHOT["name"] for shape in figure.layout.shapes)
    if day + DAY / 2 > end:
        where = {"x0": end, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(**NO_SNAPSHOT, **where, legendrank=2000, showlegend=not known)
        figure.update_xaxes(range=[start, day + DAY / 2])
