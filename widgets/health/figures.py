"""The charts of Health: each a function from a frame to a plotly figure, no Streamlit, no query.

Color means the phase of a state; operations have panels of their own. The `customdata` of a trace
holds a `Mark` per point: what a click opens.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from data.formatting import count_of, format_span
from data.states import OPERATIONS, STATE_BY_NAME, Phase, state_names
from queries.health.durations import Durations
from queries.health.trends import RATE_DAYS
from widgets.figure_theme import (
    DAY,
    INK,
    PATTERNS,
    PHASE_COLORS,
    account_count_text,
    count_axis,
    daily_figure,
    empty_figure,
    end_label,
    iso_days,
    line_trace,
    new_figure,
    pivot_by_day,
)
from widgets.health.marks import Mark, customdata

FEW_JOBS = 5
"""With fewer completed jobs, a failure rate is drawn hollow: one job more would change it a lot."""

OPEN_PHASES: tuple[Phase, ...] = ("ongoing", "awaiting")
DAY_SECONDS = 86_400


def failed_figure(daily: pd.DataFrame) -> go.Figure:
    """Failed accounts per day. One row per day and operation [day, operation, failed]."""
    if daily.empty:
        return empty_figure(daily)
    failed = pivot_by_day(daily, "operation", "failed", OPERATIONS)
    total = failed.sum(axis=1, min_count=1)
    parts = failed.apply(lambda column: column.map("{:,.0f} ".format) + str(column.name))
    hovertext = total.map(account_count_text) + " failed: " + parts.agg(", ".join, axis=1)
    line = line_trace(
        "Failed",
        PHASE_COLORS["failed"],
        total,
        customdata=customdata(Mark("failed", day=day) for day in iso_days(total.index)),
        hovertext=hovertext.tolist(),
        fill="tozeroy",
        fillcolor=f"{PHASE_COLORS['failed']}22",
    )
    figure = daily_figure([line], failed, yaxis=count_axis(total))
    return end_label(figure, total, "{:,.0f}")


def failure_rate_figure(rates: pd.DataFrame) -> go.Figure:
    """The failure rate of seven days, 0 to 1, beside that of the period before.

    One row per day [day, completed, rate, before]. NaN, where no job completed, is a gap in the
    line and not a day without a snapshot.
    """
    if rates.empty or rates["rate"].isna().all():
        return empty_figure(rates, "No job completed in this period.")
    days = rates.assign(day=pd.to_datetime(rates["day"])).set_index("day").sort_index()
    days = days.loc[days["rate"].first_valid_index() :]
    is_few = days["completed"] < FEW_JOBS
    before = line_trace("Period before", INK, days["before"], hovertext=_rates_text(days["before"]))
    now = line_trace(
        f"Failure rate, {RATE_DAYS} days",
        PHASE_COLORS["failed"],
        days["rate"],
        customdata=customdata(Mark("failed", day=day) for day in iso_days(days.index)),
        hovertext=[
            f"{rate} of {count_of(jobs, 'job')} failed"
            for rate, jobs in zip(_rates_text(days["rate"]), days["completed"], strict=True)
        ],
    )
    before.update(line={"dash": "dot", "width": 1.5}, mode="lines")
    hollow = {
        "symbol": ["circle-open" if few else "circle" for few in is_few],
        "size": [7 if few else 3 for few in is_few],
    }
    now.update(marker=hollow | {"line": {"width": 1.5, "color": PHASE_COLORS["failed"]}})
    axis = {"tickformat": ".0%", "rangemode": "tozero", "nticks": 6}
    figure = daily_figure([before, now], days[["rate"]], days.index[:0], yaxis=axis)
    return end_label(figure, days["rate"], "{:.0%}")


def _rates_text(rates: pd.Series) -> list[str]:
    return ["" if pd.isna(rate) else f"{rate:.1%}" for rate in rates]


def backlog_figure(backlog: pd.DataFrame) -> go.Figure:
    """Open jobs by age, a panel per operation. One row per open state and age.

    [state, age, accounts].
    """
    if not backlog["accounts"].any():
        return empty_figure(pd.DataFrame([0]), "No open jobs.")
    bars = [
        _age_bars(backlog[backlog["state"] == name], name, phase, panel)
        for panel, operation in enumerate(OPERATIONS, start=1)
        for phase in OPEN_PHASES
        for name in state_names(phase=phase, operation=operation)
    ]
    operations = backlog["state"].map(lambda name: STATE_BY_NAME[name].operation)
    totals = backlog.groupby([operations, "age"])["accounts"].sum()
    panels = _panel_axes(autotickangles=[0, 90])
    return new_figure(bars, bargap=0.2, yaxis=count_axis(totals), **panels)


def _age_bars(rows: pd.DataFrame, name: str, phase: Phase, panel: int) -> go.Bar:
    return go.Bar(
        name=phase.capitalize(),
        legendgroup=phase,
        showlegend=panel == 1,
        x=rows["age"].tolist(),
        y=rows["accounts"].astype(int).tolist(),
        xaxis=f"x{panel}",
        marker={"color": PHASE_COLORS[phase], "pattern": {"shape": PATTERNS.get(phase, "")}},
        customdata=customdata(Mark("state", name, cell=age) for age in rows["age"]),
        hovertext=[f"{account_count_text(count)}: {name}" for count in rows["accounts"]],
        hovertemplate="%{x}: %{hovertext}<extra></extra>",
    )


def _panel_axes(gap: float = 0.04, **axis: Any) -> dict[str, Any]:
    """The x axes of a panel per operation, side by side; all share one y axis."""
    width = (1 + gap) / len(OPERATIONS)
    return {
        f"xaxis{number + 1}": {
            "domain": [number * width, min((number + 1) * width - gap, 1)],
            "anchor": "y",
            "tickfont": {"size": 10},
            "title": {"text": operation.capitalize(), "standoff": 6},
        }
        | axis
        for number, operation in enumerate(OPERATIONS)
    }


def duration_trend_figure(trend: pd.DataFrame) -> go.Figure:
    """Median and 90th percentile of the time to complete, a panel per operation.

    One row per week and operation [week, operation, jobs, median, percentile_90], in seconds.
    """
    if trend.empty or trend[["median", "percentile_90"]].isna().all(axis=None):
        return empty_figure(trend, "No job completed in this period.")
    traces = [
        _duration_line(trend[trend["operation"] == operation], operation, measure, panel)
        for panel, operation in enumerate(OPERATIONS, start=1)
        for measure in ("median", "percentile_90")
    ]
    days = pd.to_datetime(trend["week"])
    margin = 4 * DAY
    edges = [days.min() - margin, days.max() + margin]
    panels = _panel_axes(range=edges, nticks=2, tickformat="%-d %b", tickangle=0)
    axis = {"rangemode": "tozero", "nticks": 5, "ticksuffix": " d"}
    return new_figure(traces, yaxis=axis, **panels)


def _duration_line(rows: pd.DataFrame, operation: str, measure: str, panel: int) -> go.Scatter:
    name = {"median": "Median", "percentile_90": "90th percentile"}[measure]
    return go.Scatter(
        name=name,
        legendgroup=measure,
        showlegend=panel == 1,
        mode="lines+markers",
        x=iso_days(pd.to_datetime(rows["week"])),
        y=[None if pd.isna(value) else value / DAY_SECONDS for value in rows[measure]],
        xaxis=f"x{panel}",
        line={"color": INK, "dash": "solid" if measure == "median" else "dot"},
        marker={"size": 5, "color": INK},
        customdata=customdata([Mark("unsettled", operation)] * len(rows)),
        hovertext=[
            "" if pd.isna(value) else f"{name} {format_span(value)}, {count_of(jobs, 'job')}"
            for value, jobs in zip(rows[measure], rows["jobs"], strict=True)
        ],
        hovertemplate="Week of %{x|%-d %b}: %{hovertext}<extra></extra>",
    )


def durations_figure(durations: Mapping[str, Durations]) -> go.Figure:
    """The estimated share of jobs that have ended after some time, a panel per operation."""
    if not any(d.jobs for d in durations.values()):
        return empty_figure(pd.DataFrame([0]), "No job started in this period.")
    lines = [
        _survival_line(name, durations[name], panel)
        for panel, name in enumerate(OPERATIONS, start=1)
    ]
    panels = _panel_axes(rangemode="tozero", nticks=4, ticksuffix=" d")
    axis = {"range": [0, 1.03], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 0.9]}
    line = {"color": PHASE_COLORS["settled"], "width": 1, "dash": "dash"}
    shapes = [
        {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": share, "y1": share, "line": line}
        for share in (0.5, 0.9)
    ]
    return new_figure(lines, showlegend=False, shapes=shapes, yaxis=axis, **panels)


def _survival_line(name: str, durations: Durations, panel: int) -> go.Scatter:
    """A click on any point opens the operation's unsettled accounts."""
    shares = [0.0, *(1 - step.share for step in durations.curve)]
    seconds = [0.0, *(step.seconds for step in durations.curve), durations.longest_observed]
    shares.append(shares[-1])
    return go.Scatter(
        name=name.capitalize(),
        mode="lines+markers",
        x=[value / DAY_SECONDS for value in seconds],
        y=shares,
        xaxis=f"x{panel}",
        line={"shape": "hv", "color": INK},
        marker={"size": 4, "color": INK},
        customdata=customdata([Mark("unsettled", name)] * len(seconds)),
        hovertext=[
            f"{share:.0%} of {name} jobs ended within {format_span(value)}"
            for value, share in zip(seconds, shares, strict=True)
        ],
    )
