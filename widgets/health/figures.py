"""The charts of Health: each a function from a frame to a plotly figure, no Streamlit, no query.

For `st.plotly_chart(figure, theme="streamlit", config=PLOTLY_CONFIG)`: that theme fills what stays
open here (text, grid, hover) for light or dark. A mark's `customdata` says what a click means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from data.states import OPERATIONS, STATE_BY_NAME, STATES, state_names
from queries.health.durations import Durations
from widgets.figure_theme import (
    BASE_LAYOUT,
    DASHES,
    FAILURE_FLOWS,
    OPERATION_COLORS,
    PATTERNS,
    PHASE_COLORS,
    account_count_text,
    bar_trace,
    count_axis,
    daily_figure,
    empty_figure,
    format_span,
    line_trace,
    operation_traces,
    pivot_by_day,
)


def state_counts_figure(counts: pd.DataFrame) -> go.Figure:
    """Accounts by provisioning state. One row per state [state, accounts]; a click means [state].

    Onboarded is often fifty times the others: a plain axis makes slivers of them, a logarithmic one
    has no zero and draws 50 as half of 2,000. A square root keeps zero and lets small ones compare.
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
        unselected_marker_opacity=1,
        customdata=[[state.name] for state in states],
        hovertext=[
            f"{s}: {account_count_text(n)}, {n / total:.1%} of all" for s, n in accounts.items()
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure = go.Figure(bars, BASE_LAYOUT).update_layout(height=60 + 30 * len(rows))
    figure.update_xaxes(range=[0, longest * 1.2], tickvals=[])  # 0.2: room for the longest's count
    figure.update_xaxes(title={"text": "Bar length: square root of the count", "standoff": 4})
    figure.update_yaxes(range=[rows[-1] + 0.8, 0.8], tickvals=rows, ticktext=list(accounts.index))
    return figure.update_yaxes(showgrid=False)


def state_mix_figure(daily: pd.DataFrame) -> go.Figure:
    """State mix. One row per day and state [day, state, accounts]; a click means [day, state, …].
    In one stack Onboarded would flatten all else. So two panels: settled accounts as lines; those
    under way stacked by phase, failed at the bottom where the axis measures it, and in columns, as
    plotly closes the gaps of areas. Hover tells the whole day, but not unified: clicks need a mark.
    """
    if daily.empty:
        return empty_figure(daily)
    states = pivot_by_day(daily, "state", "accounts", list(STATE_BY_NAME))
    settled = {state.name: [state.name] for state in STATE_BY_NAME.values() if not state.operation}
    if not states["Unrecognised"].any():
        del settled["Unrecognised"]
    unsettled = {phase: state_names(phase=phase) for phase in ("awaiting", "ongoing", "failed")}
    groups = settled | unsettled
    mix = pd.DataFrame(
        {p: states[list(names)].sum(axis=1, min_count=1) for p, names in groups.items()}
    )
    texts = mix.apply(lambda group: group.map("{:,.0f} ".format) + str(group.name))
    day_texts = texts.agg("<br>".join, axis=1).tolist()
    traces = []
    for group, names in reversed(groups.items()):  # what is added first is at the bottom
        make_trace, y = (bar_trace, "y") if group in unsettled else (line_trace, "y2")
        color = PHASE_COLORS.get(group, PHASE_COLORS["settled"])
        traces.append(make_trace(group, color, mix[group], names, day_texts).update(yaxis=y))
    figure = daily_figure(traces, mix, height=420, legend_traceorder="reversed")
    title = "<b>%{fullData.name}, %{x|%-d %b %Y}</b>"
    figure.update_traces(hovertemplate=title + "<br>%{hovertext}<extra></extra>")
    lower = count_axis(mix[list(unsettled)].sum(axis=1), title="Under way", domain=[0, 0.6])
    upper = count_axis(mix[list(settled)].max(axis=1), title="Settled", domain=[0.68, 1])
    return figure.update_layout(yaxis=lower, yaxis2=upper | {"anchor": "x"})


def failure_trend_figure(daily: pd.DataFrame) -> go.Figure:
    """How failures come and go, a panel per operation. One row per day and operation
    [day, operation, carried, new, cleared]; a click means [day, operation], of what is new or
    cleared [day, operation, NEW or CLEARED].
    """
    if daily.empty or not daily[list(FAILURE_FLOWS)].to_numpy().any():
        return empty_figure(daily, "Nothing failed in this period.")
    traces, axes, panel_height = [], {}, 1 / len(OPERATIONS)
    for panel, operation in enumerate(OPERATIONS):
        flows = pivot_by_day(daily, "operation", "carried", OPERATIONS)[[]]
        for flow in FAILURE_FLOWS:
            flows[flow] = pivot_by_day(daily, "operation", flow, OPERATIONS)[operation]
        hover_texts = [_flow_text(day, operation) for day in flows.to_dict("records")]
        for flow, (color, meaning) in FAILURE_FLOWS.items():
            values = -flows[flow] if flow == "cleared" else flows[flow]
            bars = bar_trace(flow, color, values, [operation, *meaning], hover_texts)
            traces.append(
                bars.update(yaxis=f"y{panel + 1}", legendgroup=flow, showlegend=panel == 0)
            )
        top = 1 - panel * panel_height
        extent = pd.concat([flows["carried"] + flows["new"], flows["cleared"]])
        axis = count_axis(
            extent, title=operation.capitalize(), domain=[top - panel_height + 0.05, top]
        )
        axes[f"yaxis{panel + 1}"] = axis | {"nticks": 4, "zeroline": True, "anchor": "x"}
    days = pivot_by_day(daily, "operation", "carried", OPERATIONS)
    figure = daily_figure(traces, days, height=420, barmode="relative").update_layout(axes)
    return figure.update_xaxes(anchor=f"y{len(OPERATIONS)}")


def _flow_text(day: Mapping[Any, Any], operation: str) -> str:
    return (
        f"{day['new']:,.0f} newly failed to {operation}, {day['carried']:,.0f} carried over, "
        f"{day['cleared']:,.0f} cleared"
    )


def failed_figure(daily: pd.DataFrame) -> go.Figure:
    """Failing at day's end. One row per day, operation [day, operation, accounts]; clicks: both."""
    if daily.empty:
        return empty_figure(daily)
    failed = pivot_by_day(daily, "operation", "accounts", OPERATIONS)
    lines = operation_traces(
        line_trace, failed, lambda n, o: f"{account_count_text(n)} failing to {o}"
    )
    return daily_figure(lines, failed).update_layout(yaxis=count_axis(failed.max(axis=1)))


def failure_rate_figure(daily: pd.DataFrame) -> go.Figure:
    """Failed / (failed + settled): 0 to 1, or NaN, a gap, when there were none. One row per day and
    operation [day, operation, rate]; clicks mean both.
    """
    if daily.empty or daily["rate"].isna().all():
        return empty_figure(daily, "Nothing failed or settled in this period.")
    rates = pivot_by_day(daily, "operation", "rate", OPERATIONS)
    lines = operation_traces(line_trace, rates, lambda rate, o: f"{rate:.1%} of {o} jobs failed")
    gaps = rates.index.difference(pd.DatetimeIndex(pd.to_datetime(daily["day"])))
    return daily_figure(lines, rates, gaps).update_yaxes(
        tickformat=".0%", rangemode="tozero", nticks=6
    )


def durations_figure(durations: Mapping[str, Durations]) -> go.Figure:
    """The share of jobs that has ended after some time, as estimated. A click means the states of
    the operation's jobs that still run.
    """
    if not any(estimate.jobs for estimate in durations.values()):
        return empty_figure(pd.DataFrame([0]), "No job began in this period.")
    traces = []
    for name in OPERATIONS:
        estimate = durations[name]
        if not estimate.jobs:
            continue
        shares = [0.0, *(1 - step.share for step in estimate.curve)]
        times = [0.0, *(step.seconds for step in estimate.curve)]
        points = ([*times, estimate.longest_observed], [*shares, shares[-1]])
        hover_texts = [
            f"{done:.0%} of {name} jobs ended within {format_span(t)}"
            for t, done in zip(*points, strict=True)
        ]
        line = {"shape": "hv", "color": OPERATION_COLORS[name], "dash": DASHES.get(name, "solid")}
        open_states = [s.name for s in STATES if s.operation == name]
        traces.append(
            go.Scatter(
                name=name.capitalize(),
                x=[seconds / 86_400 for seconds in points[0]],
                y=points[1],
                mode="lines+markers",
                line=line,
                marker={"size": 5, "color": OPERATION_COLORS[name], "opacity": 1},
                customdata=[open_states] * len(hover_texts),
                hovertext=hover_texts,
                hovertemplate="%{hovertext}<extra></extra>",
                unselected={"marker": {"opacity": 1}},
            )
        )
    figure = go.Figure(traces, BASE_LAYOUT).update_layout(height=420)
    figure.update_xaxes(title={"text": "Days since the job began", "standoff": 4})
    figure.update_xaxes(rangemode="tozero", nticks=7)
    for shares in (0.5, 0.9):
        figure.add_hline(shares, line={"color": PHASE_COLORS["settled"], "width": 1, "dash": "dot"})
    return figure.update_yaxes(
        range=[0, 1.03], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 0.9]
    )


def backlog_figure(backlog: pd.DataFrame) -> go.Figure:
    """How long things wait now. One row per operation and age [operation, age, accounts]; a click
    means the operation's waiting states and the age.
    """
    if not backlog["accounts"].any():
        return empty_figure(pd.DataFrame([0]), "Nothing waits.")
    bars = []
    for name in OPERATIONS:
        rows = backlog[backlog["operation"] == name]
        open_states = [
            s.name for s in STATES if s.operation == name and s.phase in ("awaiting", "ongoing")
        ]
        pattern = {
            "shape": PATTERNS.get(name, ""),
            "size": 5,
            "solidity": 0.2,
            "fillmode": "overlay",
        }
        pattern |= {"fgcolor": "white", "fgopacity": 0.7}
        bars.append(
            go.Bar(
                name=name.capitalize(),
                x=rows["age"].tolist(),
                y=rows["accounts"].astype(int).tolist(),
                marker={"color": OPERATION_COLORS[name], "pattern": pattern},
                customdata=[[*open_states, age] for age in rows["age"]],
                hovertext=[f"{account_count_text(n)} wait to {name}" for n in rows["accounts"]],
                hovertemplate="%{x}: %{hovertext}<extra></extra>",
                unselected={"marker": {"opacity": 1}},
            )
        )
    totals = backlog.groupby("age")["accounts"].sum()
    return go.Figure(bars, BASE_LAYOUT).update_layout(yaxis=count_axis(totals), bargap=0.25)
