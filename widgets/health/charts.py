"""The charts of Health, in the order of the page, and how one is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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

Figure = Callable[[HealthData], go.Figure]


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
    "Time in the current state.",
    headline=lambda data: captions.backlog_headline(data.backlog),
    figures={"Age": lambda data: figures.backlog_figure(data.backlog)},
    frame=lambda data: data.backlog,
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


def _daily(
    figure: Callable[[pd.DataFrame], go.Figure], frame: pd.DataFrame, data: HealthData
) -> go.Figure:
    return mark_quarantined(figure(frame), data.files)


@st.fragment
def draw(chart: Chart, data: HealthData) -> None:
    """The chart on its card; a click on a mark opens what it counts, if the reader may see it.

    A fragment: opening the table draws no other card.
    """
    authorize(Permission.HEALTH)
    headline = chart.headline(data)
    files_text = quarantined_text(data.files) if chart.shows_files else ""
    alt = f"{chart.title}. {headline}. {chart.caption} {files_text}"
    image = {"format": "png", "scale": 2, "filename": f"rollcall-{slug(chart.title)}"}
    can_open = can_open_marks()
    with st.container(border=True, key=f"card_{chart.key}"):
        heading(chart.title, headline, chart.caption)
        chosen = st.session_state.get(_choice_key(chart)) or next(iter(chart.figures))
        event: Any = st.plotly_chart(
            chart.figures[chosen](data),
            key=f"{chart.key}_{slug(chosen)}",
            theme="streamlit",
            config=PLOTLY_CONFIG | {"toImageButtonOptions": image},
            on_select="rerun" if can_open else "ignore",
            selection_mode="points",
            alt=alt.strip(),
        )
        data_controls(
            chart.key, chart.title, chart.frame(data), choose=partial(_choose_figure, chart, chosen)
        )
    points = event.selection.points if can_open else []
    if points and points[0].get("customdata"):
        open_mark(mark_from(points[0]["customdata"]), data.scope)


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
