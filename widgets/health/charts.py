"""The charts of Health, in the order of the page, and how one is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from data.access.roles import Permission
from queries.export.manifest import slug
from server.authorize import authorize
from widgets.figure_theme import PLOTLY_CONFIG
from widgets.health import captions, figures, tables
from widgets.health.annotations import mark_quarantined, quarantined_text
from widgets.health.card import data_controls, heading
from widgets.health.drill_down import can_open_marks, open_mark
from widgets.health.health_data import HealthData
from widgets.health.heatmap import failure_map_figure
from widgets.health.marks import mark_from


@dataclass(frozen=True)
class Chart:
    """A chart on a card."""

    key: str
    title: str
    caption: str
    """How to read it."""
    headline: Callable[[HealthData], str]
    """The finding in one sentence."""
    figure: Callable[[HealthData], go.Figure]
    frame: Callable[[HealthData], pd.DataFrame]
    """The numbers behind it, for the table and the download."""
    shows_files: bool = False
    """Whether it marks the files that are on hold or rejected."""


CHARTS = (
    Chart(
        "failing",
        "Failed accounts per day",
        "Accounts in a failed state at the end of each day.",
        headline=lambda data: captions.failed_headline(data.comparison),
        figure=lambda data: _daily(figures.failed_figure, data.trends.failures, data),
        frame=lambda data: data.trends.failures[["day", "operation", "failed"]],
        shows_files=True,
    ),
    Chart(
        "failure_rate",
        "Failure rate",
        "Share of each day's completed jobs that failed.",
        headline=lambda data: captions.rate_headline(data.trends.failures),
        figure=lambda data: _daily(figures.failure_rate_figure, data.trends.failures, data),
        frame=lambda data: data.trends.failures[["day", "operation", "new", "settled", "rate"]],
        shows_files=True,
    ),
    Chart(
        "failure_trend",
        "New, existing and resolved failures",
        "New, existing and resolved failures per day.",
        headline=lambda data: captions.trend_headline(data.trends.failures),
        figure=lambda data: _daily(figures.failure_trend_figure, data.trends.failures, data),
        frame=lambda data: data.trends.failures[
            ["day", "operation", "existing", "new", "resolved", "failed"]
        ],
        shows_files=True,
    ),
    Chart(
        "state_counts",
        "Accounts by provisioning state",
        "All accounts, by their current state.",
        headline=lambda data: captions.states_headline(data.trends.current_states),
        figure=lambda data: figures.state_counts_figure(data.trends.current_states),
        frame=lambda data: data.trends.current_states,
    ),
    Chart(
        "state_mix",
        "State mix over time",
        "Top: settled accounts. Bottom: unsettled accounts; growth means a backlog.",
        headline=lambda data: captions.mix_headline(data.comparison),
        figure=lambda data: _daily(figures.state_mix_figure, data.trends.states, data),
        frame=lambda data: data.trends.states,
        shows_files=True,
    ),
)

HISTORY_CHARTS = (
    Chart(
        "durations",
        "Time to provision, update and delete",
        "Time from start to completion; open jobs included (Kaplan–Meier). Dashed: median and 90th "
        "percentile.",
        headline=lambda data: captions.durations_headline(data.durations),
        figure=lambda data: figures.durations_figure(data.durations),
        frame=lambda data: tables.durations_table(data.durations, data.previous_durations),
    ),
    Chart(
        "backlog",
        "Backlog by age",
        "Age of open jobs.",
        headline=lambda data: captions.backlog_headline(data.backlog),
        figure=lambda data: figures.backlog_figure(data.backlog),
        frame=lambda data: data.backlog,
    ),
)
"""These read the history, which can take a moment after a load: the page draws them last."""

FAILURE_MAP = Chart(
    "failing_map",
    "Failures by integration and day",
    "Share of failed accounts per day. ▼ = file on hold or rejected.",
    headline=lambda data: captions.map_headline(data.trends.failed_by_integration),
    figure=lambda data: failure_map_figure(data.trends.failed_by_integration, data.files),
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
        event: Any = st.plotly_chart(
            chart.figure(data),
            key=chart.key,
            theme="streamlit",
            config=PLOTLY_CONFIG | {"toImageButtonOptions": image},
            on_select="rerun" if can_open else "ignore",
            selection_mode="points",
            alt=alt.strip(),
        )
        data_controls(chart.key, chart.title, chart.frame(data))
    points = event.selection.points if can_open else []
    if points and points[0].get("customdata"):
        open_mark(mark_from(points[0]["customdata"]), data.scope)
