"""Marks on charts for files that are on hold or rejected, so that their days are not misread."""

from collections.abc import Iterable
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from widgets.figure_theme import DAY, DAY_HOVER, NO_SNAPSHOT, QUARANTINE_COLOR, iso_days
from widgets.health.marks import Mark, customdata

QUARANTINED = "On hold or rejected"


def mark_quarantined(figure: go.Figure, files: pd.DataFrame) -> go.Figure:
    """The figure with a mark on each day that misses a file.

    One row of `files` per day, integration and status [day, integration, status]. A figure without
    data names the files in its message.
    """
    if files.empty:
        return figure
    if not figure.data:
        text = escape(quarantined_text(files), quote=False)
        return figure.for_each_annotation(lambda note: note.update(text=f"{note.text}<br>{text}"))
    days = pd.to_datetime(pd.Series(sorted(set(files["day"]))))
    _extend_to(figure, days.iloc[-1])
    figure.add_trace(_day_marks(files, days).update(legendrank=3000))
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis9={"overlaying": "y", **hidden})
    line = {"color": QUARANTINE_COLOR, "width": 1, "dash": "dot"}
    for day in days:
        position = {"x0": day, "x1": day, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
        figure.add_shape(type="line", line=line, **position)
    return figure


def quarantined_text(files: pd.DataFrame, *, max_days: int = 5) -> str:
    """The files that the charts do not count, of the newest days; empty without any."""
    if files.empty:
        return ""
    days = sorted(set(files["day"]), reverse=True)
    day_texts = [
        f"{day:%-d %b %Y} ({', '.join(_file_texts(files[files['day'] == day]))})" for day in days
    ]
    more = f" and {len(days) - max_days:,} more days" if len(days) > max_days else ""
    return f"{QUARANTINED}, and not counted: {', '.join(day_texts[:max_days])}{more}."


def quarantine_trace(marks: Iterable[Mark], **trace: Any) -> go.Scatter:
    """A triangle per mark."""
    marker = {"symbol": "triangle-down", "size": 9, "color": QUARANTINE_COLOR}
    return go.Scatter(mode="markers", marker=marker, customdata=customdata(marks), **trace)


def _day_marks(files: pd.DataFrame, days: pd.Series) -> go.Scatter:
    file_days, names = pd.to_datetime(files["day"]), iso_days(days)
    texts = ["; ".join(_file_texts(files[file_days == day])) for day in days]
    return quarantine_trace(
        [Mark("quarantined", day=name) for name in names],
        name=QUARANTINED,
        x=names,
        y=[0.97] * len(names),
        yaxis="y9",
        hovertext=[escape(text, quote=False) for text in texts],
        hovertemplate=DAY_HOVER,
        cliponaxis=False,
    )


def _file_texts(files: pd.DataFrame, most: int = 6) -> list[str]:
    """`figma on hold`, one per integration and status of a day; the first of many."""
    texts = [f"{name} {status}" for name, status in files[["integration", "status"]].values]
    return texts[:most] + ([f"{len(texts) - most:,} more"] if len(texts) > most else [])


def _extend_to(figure: go.Figure, day: pd.Timestamp) -> None:
    """Let the axis reach this day; the days between have no snapshot."""
    start, end = (pd.Timestamp(edge) for edge in figure.layout.xaxis.range)
    if day + DAY / 2 <= end:
        return
    has_legend = any(shape.name == NO_SNAPSHOT["name"] for shape in figure.layout.shapes)
    position = {"x0": end, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
    figure.add_shape(**NO_SNAPSHOT, **position, legendrank=2000, showlegend=not has_legend)
    figure.update_xaxes(range=[start, day + DAY / 2])
