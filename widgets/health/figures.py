"""The charts of Health: each a function from a frame to a plotly figure, no Streamlit, no query.

The `customdata` of a trace holds a `Mark` per point: what a click opens.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from data.formatting import count_of
from data.states import OPERATIONS, STATE_BY_NAME, STATES, UNRECOGNIZED, Phase, state_names
from queries.health.durations import Durations
from widgets.figure_theme import (
    DASHES,
    OPERATION_COLORS,
    PATTERNS,
    PHASE_COLORS,
    account_count_text,
    bar_trace,
    count_axis,
    daily_figure,
    empty_figure,
    format_span,
    iso_days,
    line_trace,
    new_figure,
    pivot_by_day,
)
from widgets.health.marks import Mark, MarkKind, customdata

FLOWS: dict[str, tuple[str, MarkKind]] = {
    "existing": (PHASE_COLORS["settled"], "failed"),
    "new": (PHASE_COLORS["failed"], "new"),
    "resolved": (OPERATION_COLORS["provision"], "resolved"),
}
"""Existing, new and resolved failures: their color, and what a click opens."""

UNSETTLED_PHASES: tuple[Phase, ...] = ("awaiting", "ongoing", "failed")


def state_counts_figure(counts: pd.DataFrame) -> go.Figure:
    """Accounts by provisioning state. One row per state [state, accounts].

    Onboarded is often fifty times the others: a plain axis makes slivers of them, and a logarithmic
    one has no zero. A square root keeps zero and lets small ones compare.
    """
    if counts.empty:
        return empty_figure(counts)
    by_state = counts.set_index("state")["accounts"].astype(int)
    states = [s for s in STATE_BY_NAME.values() if s in STATES or by_state.get(s.name, 0)]
    accounts = by_state.reindex([state.name for state in states], fill_value=0)
    total, longest = max(accounts.sum(), 1), max(accounts.max(), 1) ** 0.5
    group = pd.Series([state.operation or state.name for state in states])
    rows = (1 + 0.4 * (group != group.shift())).cumsum().tolist()
    bars = go.Bar(
        orientation="h",
        x=(accounts**0.5).tolist(),
        y=rows,
        width=0.74,
        text=[f"{count:,}" for count in accounts],
        textposition="outside",
        cliponaxis=False,
        marker_color=[PHASE_COLORS[state.phase] for state in states],
        customdata=customdata(Mark("state", state.name) for state in states),
        hovertext=[
            f"{s}: {account_count_text(n)}, {n / total:.1%} of all" for s, n in accounts.items()
        ],
    )
    figure = new_figure(bars, height=60 + 30 * len(rows))
    figure.update_xaxes(range=[0, longest * 1.2], tickvals=[])  # 0.2: room for the longest's count
    figure.update_xaxes(title={"text": "Bars not to scale (√)", "standoff": 4})
    figure.update_yaxes(range=[rows[-1] + 0.8, 0.8], tickvals=rows, ticktext=list(accounts.index))
    return figure.update_yaxes(showgrid=False)


def state_mix_figure(daily: pd.DataFrame) -> go.Figure:
    """State mix. One row per day and state [day, state, accounts].

    Two panels, as Onboarded would flatten all else in one: settled accounts as lines; unsettled
    ones stacked by phase, failed at the bottom where the axis measures it, and in columns, as
    plotly closes the gaps of areas. Hover shows the whole day, not unified: clicks need a mark.
    """
    if daily.empty:
        return empty_figure(daily)
    mix = _state_mix(daily)
    texts = mix.apply(lambda group: group.map("{:,.0f} ".format) + str(group.name).capitalize())
    hovertext, days = texts.agg("<br>".join, axis=1).tolist(), iso_days(mix.index)
    traces, names = [], list[Any](mix)
    for name in reversed(names):  # the first is at the bottom
        is_phase = name in UNSETTLED_PHASES
        make_trace, axis = (bar_trace, "y") if is_phase else (line_trace, "y2")
        color = PHASE_COLORS.get(name, PHASE_COLORS["settled"])
        marks = [Mark(name, day=day) if is_phase else Mark("state", name, day) for day in days]
        traces.append(make_trace(name, color, mix[name], customdata=customdata(marks), yaxis=axis))
    figure = daily_figure(traces, mix, height=420, barmode="stack", legend_traceorder="reversed")
    template = "<b>%{fullData.name}, %{x|%-d %b %Y}</b><br>%{hovertext}<extra></extra>"
    figure.update_traces(hovertext=hovertext, hovertemplate=template)
    unsettled, settled = mix[list(UNSETTLED_PHASES)], mix.drop(columns=list(UNSETTLED_PHASES))
    lower = count_axis(unsettled.sum(axis=1), title="Unsettled", domain=[0, 0.6])
    upper = count_axis(settled.max(axis=1), title="Settled", domain=[0.68, 1])
    return figure.update_layout(yaxis=lower, yaxis2=upper | {"anchor": "x"})


def _state_mix(daily: pd.DataFrame) -> pd.DataFrame:
    """One row per day: the settled states, then the unsettled phases."""
    states = pivot_by_day(daily, "state", "accounts", list(STATE_BY_NAME))
    settled = [state.name for state in STATE_BY_NAME.values() if not state.operation]
    if not states[UNRECOGNIZED.name].any():
        settled.remove(UNRECOGNIZED.name)
    mix = states[settled].copy()
    for phase in UNSETTLED_PHASES:
        mix[phase] = states[list(state_names(phase=phase))].sum(axis=1, min_count=1)
    return mix


def failure_trend_figure(daily: pd.DataFrame) -> go.Figure:
    """New, existing and resolved failures, a panel per operation.

    One row per day and operation [day, operation, existing, new, resolved].
    """
    if daily.empty or not daily[list(FLOWS)].to_numpy().any():
        return empty_figure(daily, "No failures in this period.")
    flows = {name: pivot_by_day(daily, "operation", name, OPERATIONS) for name in FLOWS}
    traces, axes, height = [], {}, 1 / len(OPERATIONS)
    for panel, operation in enumerate(OPERATIONS):
        days = pd.DataFrame({name: flow[operation] for name, flow in flows.items()})
        traces += _flow_traces(days, operation, yaxis=f"y{panel + 1}", showlegend=panel == 0)
        top, extent = 1 - panel * height, (days["existing"] + days["new"], days["resolved"])
        domain = [top - height + 0.05, top]
        axis = count_axis(pd.concat(extent), title=operation.capitalize(), domain=domain)
        axes[f"yaxis{panel + 1}"] = axis | {"nticks": 4, "zeroline": True, "anchor": "x"}
    figure = daily_figure(traces, flows["existing"], height=420, barmode="relative")
    return figure.update_layout(axes).update_xaxes(anchor=f"y{len(OPERATIONS)}")


def _flow_traces(days: pd.DataFrame, operation: str, **trace: Any) -> list[go.Bar]:
    """Resolved failures go below the axis."""
    hovertext = [
        f"{operation.capitalize()}: {day['new']:,.0f} new, {day['existing']:,.0f} existing, "
        f"{day['resolved']:,.0f} resolved failures"
        for day in days.to_dict("records")
    ]
    return [
        bar_trace(
            name,
            color,
            -days[name] if name == "resolved" else days[name],
            customdata=customdata(Mark(kind, operation, day) for day in iso_days(days.index)),
            hovertext=hovertext,
            legendgroup=name,
            **trace,
        )
        for name, (color, kind) in FLOWS.items()
    ]


def failed_figure(daily: pd.DataFrame) -> go.Figure:
    """Failed accounts per day. One row per day and operation [day, operation, failed]."""
    if daily.empty:
        return empty_figure(daily)
    failed = pivot_by_day(daily, "operation", "failed", OPERATIONS)
    lines = _operation_lines(failed, lambda n, o: f"{account_count_text(n)} failed to {o}")
    return daily_figure(lines, failed, yaxis=count_axis(failed.max(axis=1)))


def failure_rate_figure(daily: pd.DataFrame) -> go.Figure:
    """Failure rate per day, 0 to 1. One row per day and operation [day, operation, rate].

    NaN, where no job completed, is a gap in the line and not a day without a snapshot.
    """
    if daily.empty or daily["rate"].isna().all():
        return empty_figure(daily, "No job completed in this period.")
    rates = pivot_by_day(daily, "operation", "rate", OPERATIONS)
    lines = _operation_lines(rates, lambda rate, o: f"{rate:.1%} of {o} jobs failed")
    gaps = rates.index.difference(pd.DatetimeIndex(pd.to_datetime(daily["day"])))
    axis = {"tickformat": ".0%", "rangemode": "tozero", "nticks": 6}
    return daily_figure(lines, rates, gaps, yaxis=axis)


def _operation_lines(
    daily: pd.DataFrame, hover_text: Callable[[float, str], str]
) -> list[go.Scatter]:
    """A line per operation; a point opens the accounts that had failed at the end of its day."""
    days = iso_days(daily.index)
    return [
        line_trace(
            name,
            OPERATION_COLORS[name],
            daily[name],
            customdata=customdata(Mark("failed", name, day) for day in days),
            hovertext=[hover_text(value, name) for value in daily[name]],
        )
        for name in OPERATIONS
    ]


def durations_figure(durations: Mapping[str, Durations]) -> go.Figure:
    """The estimated share of jobs that have ended after some time, per operation."""
    lines = [_duration_line(name, d) for name, d in durations.items() if d.jobs]
    if not lines:
        return empty_figure(pd.DataFrame([0]), "No job started in this period.")
    figure = new_figure(lines, height=420)
    figure.update_xaxes(title={"text": "Days since the job started", "standoff": 4})
    figure.update_xaxes(rangemode="tozero", nticks=7)
    for share in (0.5, 0.9):
        line = {"color": PHASE_COLORS["settled"], "width": 1, "dash": "dash"}
        figure.add_hline(share, line=line)
    ticks = [0, 0.25, 0.5, 0.75, 0.9]
    return figure.update_yaxes(range=[0, 1.03], tickformat=".0%", tickvals=ticks)


def _duration_line(name: str, durations: Durations) -> go.Scatter:
    """A click on any point opens the operation's unsettled accounts."""
    shares = [0.0, *(1 - step.share for step in durations.curve)]
    seconds = [0.0, *(step.seconds for step in durations.curve), durations.longest_observed]
    shares.append(shares[-1])
    return go.Scatter(
        name=name.capitalize(),
        mode="lines+markers",
        x=[value / 86_400 for value in seconds],
        y=shares,
        line={"shape": "hv", "color": OPERATION_COLORS[name], "dash": DASHES.get(name, "solid")},
        marker={"size": 5, "color": OPERATION_COLORS[name]},
        customdata=customdata([Mark("unsettled", name)] * len(seconds)),
        hovertext=[
            f"{share:.0%} of {name} jobs ended within {format_span(value)}"
            for value, share in zip(seconds, shares, strict=True)
        ],
    )


def backlog_figure(backlog: pd.DataFrame) -> go.Figure:
    """Open jobs by age. One row per operation and age [operation, age, accounts]."""
    if not backlog["accounts"].any():
        return empty_figure(pd.DataFrame([0]), "No open jobs.")
    bars = [
        go.Bar(
            name=str(name).capitalize(),
            x=rows["age"].tolist(),
            y=rows["accounts"].astype(int).tolist(),
            marker={
                "color": OPERATION_COLORS[str(name)],
                "pattern": {"shape": PATTERNS.get(str(name), "")},
            },
            customdata=customdata(Mark("open", str(name), cell=age) for age in rows["age"]),
            hovertext=[count_of(n, f"open {name} job") for n in rows["accounts"]],
            hovertemplate="%{x}: %{hovertext}<extra></extra>",
        )
        for name, rows in backlog.groupby("operation", sort=False)
    ]
    totals = backlog.groupby("age")["accounts"].sum()
    return new_figure(bars, yaxis=count_axis(totals), bargap=0.25)
