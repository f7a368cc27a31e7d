"""Marks on charts: files that were not loaded, and what the reader hovers over."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from widgets.figure_theme import DAY, NO_SNAPSHOT, QUARANTINE_COLOR, QUARANTINED


def mark_quarantined(figure: go.Figure, quarantined_files: pd.DataFrame) -> go.Figure:
    """The figure with a quiet mark on each day of which a file is on hold or rejected, so that the
    day is not taken for what it seems. One row per day, integration and status
    [day, integration, status]; a click means [day, UNLOADED].
    """
    if quarantined_files.empty:
        return figure
    if not figure.data:
        text = escape(quarantined_text(quarantined_files), quote=False)
        return figure.for_each_annotation(lambda note: note.update(text=f"{note.text}<br>{text}"))
    days = pd.to_datetime(pd.Series(sorted(set(quarantined_files["day"]))))
    _extend_to(figure, days.iloc[-1])
    last = 0 if figure.layout.legend.traceorder == "reversed" else 3000
    figure.add_trace(_quarantine_day_marks(quarantined_files, days).update(legendrank=last))
    overlaid_axis = "y2" if "yaxis2" in figure.layout else "y"
    hidden = {"range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis9={"overlaying": overlaid_axis, **hidden})
    for day in days:
        position = {"x0": day, "x1": day, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
        figure.add_shape(
            type="line", line={"color": QUARANTINE_COLOR, "width": 1, "dash": "dot"}, **position
        )
    return figure


def quarantined_text(quarantined_files: pd.DataFrame, *, max_days: int = 5) -> str:
    """Which files are not in a trend: the newest days, as text."""
    days = sorted(set(quarantined_files["day"]), reverse=True)
    day_texts = [
        f"{day:%-d %b %Y} "
        f"({', '.join(_status_texts(quarantined_files[quarantined_files['day'] == day]))})"
        for day in days
    ]
    more = f" and {len(day_texts) - max_days:,} more days" if len(day_texts) > max_days else ""
    return (
        f"On hold or rejected, and not counted: {', '.join(day_texts[:max_days])}{more}."
        if day_texts
        else ""
    )


def _quarantine_day_marks(quarantined_files: pd.DataFrame, days: pd.Series) -> go.Scatter:
    file_days = pd.to_datetime(quarantined_files["day"])
    by_day = {day: _status_texts(quarantined_files[file_days == day]) for day in days}
    names = [f"{day:%Y-%m-%d}" for day in days]
    return go.Scatter(
        name="On hold or rejected",
        mode="markers",
        x=names,
        y=[0.97] * len(names),
        yaxis="y9",
        marker={"symbol": "triangle-down", "size": 9, "color": QUARANTINE_COLOR, "opacity": 1},
        customdata=[[name, QUARANTINED] for name in names],
        hovertext=[escape("; ".join(by_day[day]), quote=False) for day in days],
        hovertemplate="%{x|%-d %b %Y}: %{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        cliponaxis=False,
    )


def _status_texts(rows: pd.DataFrame, max_texts: int = 6) -> list[str]:
    """`figma on hold`, one per integration and status of a day; of many, the first."""
    texts = [f"{name} {status}" for name, status in rows[["integration", "status"]].values]
    return texts[:max_texts] + (
        [f"{len(texts) - max_texts:,} more"] if len(texts) > max_texts else []
    )


def _extend_to(figure: go.Figure, day: pd.Timestamp) -> None:
    """Let the days go on to this one; what is added has no snapshot."""
    start, end = (pd.Timestamp(edge) for edge in figure.layout.xaxis.range)
    has_legend = any(shape.name == NO_SNAPSHOT["name"] for shape in figure.layout.shapes)
    if day + DAY / 2 > end:
        position = {"x0": end, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(**NO_SNAPSHOT, **position, legendrank=2000, showlegend=not has_legend)
        figure.update_xaxes(range=[start, day + DAY / 2])
