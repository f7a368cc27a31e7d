"""The charts of Health, in the order of the page, and how one is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from data.access.roles import Permission
from queries.export.manifest import slug
from queries.health.trends import RATE_DAYS
from server.authorize import authorize
from widgets.figure_theme import PLOTLY_CONFIG
from widgets.health import captions, figures, tables
from widgets.health.annotations import mark_quarantined, quarantined_text
from widgets.health.card import data_controls, heading
from widgets.health.drill_down import can_open_marks, open_mark
from widgets.health.health_data import HealthData
from widgets.health.heatmap import failure_map_figure
from widgets.health.marks import mark_from
from widgets.health.period import scope_facts

Figure = Callable[[HealthData], go.Figure]

TITLE_HEIGHT = 52
"""Pixels of the title of a picture, as in input.js."""


@dataclass(frozen=True)
class Chart:
    """A chart on a card."""

    key: str
    title: str
    caption: str
    """How to read it."""
    headline: Callable[[HealthData], str]
    """The finding in one sentence."""
    figures: dict[str, Figure]
    """Label → figure: the first is shown, the others by choice."""
    frame: Callable[[HealthData], pd.DataFrame]
    """The numbers behind it, for the table and the download."""
    shows_files: bool = False
    """Whether it marks the files that are on hold or rejected."""
    is_trend: bool = True
    """Whether it needs two days with snapshots."""
    reads_history: bool = False
    """Whether its numbers can take a moment after a load: it is drawn after the others."""


FAILED = Chart(
    "failing",
    "Failed accounts per day",
    "Accounts in a failed state at the end of each day.",
    headline=lambda data: captions.failed_headline(data.verdict, data.failed_count),
    figures={"Failed": lambda d: _daily(figures.failed_figure, d.trends.failures, d)},
    frame=lambda data: data.trends.failures,
    shows_files=True,
)
FAILURE_RATE = Chart(
    "failure_rate",
    "Failure rate",
    f"Share of the jobs completed in {RATE_DAYS} days that failed. Dotted: the period before. "
    "Hollow: few jobs.",
    headline=lambda data: captions.rate_headline(data.trends.failures),
    figures={"Rate": lambda d: _daily(figures.failure_rate_figure, d.trends.rates, d)},
    frame=lambda data: data.trends.rates,
    shows_files=True,
)
BACKLOG = Chart(
    "backlog",
    "Age of open jobs",
    "Time since the job opened, awaiting and ongoing together.",
    headline=lambda data: captions.backlog_headline(data.backlog),
    figures={"Age": lambda data: figures.backlog_figure(data.backlog)},
    frame=lambda data: data.backlog,
    is_trend=False,
    reads_history=True,
)
DURATIONS = Chart(
    "durations",
    "Time to complete",
    "By the week in which jobs started; open jobs included (Kaplan–Meier).",
    headline=lambda data: captions.durations_headline(data.durations),
    figures={
        "By week": lambda data: figures.duration_trend_figure(data.duration_trend),
        "Curve": lambda data: figures.durations_figure(data.durations),
    },
    frame=lambda data: tables.durations_table(data.durations, data.previous_durations),
    reads_history=True,
)
FAILURE_MAP = Chart(
    "failing_map",
    "Failures by integration and day",
    "Share of failed accounts per day. ▼ = file on hold or rejected.",
    headline=lambda data: captions.map_headline(data.trends.failed_by_integration),
    figures={"Map": lambda data: failure_map_figure(data.trends.failed_by_integration, data.files)},
    frame=lambda data: data.trends.failed_by_integration,
    shows_files=True,
)
CHARTS = (FAILED, FAILURE_RATE, BACKLOG, DURATIONS)
"""Side by side, in this order; the map has a row of its own."""


def _daily(
    figure: Callable[[pd.DataFrame], go.Figure], frame: pd.DataFrame, data: HealthData
) -> go.Figure:
    return mark_quarantined(figure(frame), data.files)


def draw_charts(data: HealthData) -> Callable[[], None]:
    """The charts side by side; returns what draws those that read the history."""
    shown = [chart for chart in CHARTS if data.has_trends or not chart.is_trend]
    places = [(chart, st.container()) for chart in shown]

    def draw_in_place(*, reads_history: bool) -> None:
        for chart, place in places:
            if chart.reads_history is reads_history:
                with place:
                    draw(chart, data)

    draw_in_place(reads_history=False)
    return partial(draw_in_place, reads_history=True)


@st.fragment
def draw(chart: Chart, data: HealthData) -> None:
    """The chart on its card; a click on a mark opens what it counts, if the reader may see it.

    A fragment: opening the table draws no other card.
    """
    authorize(Permission.HEALTH)
    headline = chart.headline(data)
    files_text = quarantined_text(data.files) if chart.shows_files else ""
    alt = f"{chart.title}. {headline}. {chart.caption} {files_text}"
    can_open = can_open_marks()
    with st.container(border=True, key=f"card_{chart.key}"):
        heading(chart.title, headline, chart.caption)
        chosen = st.session_state.get(_choice_key(chart)) or next(iter(chart.figures))
        figure = chart.figures[chosen](data)
        event: Any = st.plotly_chart(
            figure.update_layout(meta=_picture_text(chart, data)),
            key=f"{chart.key}_{slug(chosen)}",
            height=figure.layout.height,  # the place of a chart that is not drawn yet
            theme="streamlit",
            config=PLOTLY_CONFIG | {"toImageButtonOptions": _picture(chart, figure)},
            on_select="rerun" if can_open else "ignore",
            selection_mode="points",
            alt=alt.strip(),
        )
        data_controls(
            chart.key, chart.title, chart.frame(data), choose=partial(_choose_figure, chart, chosen)
        )
    points = event.selection.points if can_open else []
    if points and points[0].get("customdata"):
        open_mark(mark_from(points[0]["customdata"]), data)


def _picture_text(chart: Chart, data: HealthData) -> dict[str, str]:
    """What stands over the downloaded picture; input.js puts it there."""
    facts = " · ".join(filter(None, scope_facts(data)))
    return {"title": chart.title, "subtitle": escape(facts, quote=False)}


def _picture(chart: Chart, figure: go.Figure) -> dict[str, Any]:
    size = {"scale": 2, "height": figure.layout.height + TITLE_HEIGHT}
    return {"format": "png", "filename": f"rollcall-{slug(chart.title)}", **size}


def _choice_key(chart: Chart) -> str:
    return f"figure_{chart.key}"


def _choose_figure(chart: Chart, chosen: str) -> None:
    """A choice of the figure, where the chart has several."""
    if len(chart.figures) > 1:
        key = _choice_key(chart)
        st.session_state[key] = chosen
        st.segmented_control(
            "View", list(chart.figures), required=True, key=key, label_visibility="collapsed"
        )
