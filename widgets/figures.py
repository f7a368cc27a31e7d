"""The charts of Health: each a function from a frame to a plotly figure, no Streamlit, no query.

For `st.plotly_chart(figure, theme="streamlit", config=PLOTLY_CONFIG)`: that theme fills what stays
open here (text, grid, hover) for light or dark. A mark's `customdata` says what a click means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.states import OPERATIONS, STATE_BY_NAME, STATES, state_names
from queries.health.durations import Durations

# At least 3:1 against Streamlit's light and dark background: the server cannot know the theme.
TONES = {"failed": "#D4471C", "working": "#3F86D0", "waiting": "#B08000", "settled": "#808790"}
OPERATION_COLOURS = {"provision": "#0B9550", "update": "#7757F7", "delete": "#B0588D"}
PATTERNS = {
    "working": ".",
    "waiting": "/",
    "update": "/",
    "delete": "x",
    "new": "/",
    "cleared": "x",
}
NEW, CLEARED = "new", "cleared"
"""In the meaning of a mark: only the accounts that came, or went, on the day."""
FLOWS: dict[str, tuple[str, list[str]]] = {
    "carried": (TONES["settled"], []),
    "new": (TONES["failed"], [NEW]),
    "cleared": (OPERATION_COLOURS["provision"], [CLEARED]),
}
HEAT = [[0, "#80808022"], [0.001, "#F0B49C"], [0.35, "#DC6A42"], [1, "#8F1D00"]]
"""From nothing, which is as quiet as the page, to the most."""
MOST_COLUMNS = 45
"""Days that a map shows one by one."""
MOST_ROWS = 100
"""Integrations that a map shows: with more, nobody would reach what comes after it."""
QUIET = "#A8791B"  # of what is not in a trend
DASHES = {"update": "dash", "delete": "dot", "Deleted": "dash", "Unrecognised": "dot"}
NO_SNAPSHOT = {"name": "No snapshot", "fillcolor": "#80808030", "line_width": 0, "layer": "below"}
# The only thing to do with a picture is to take it along: nothing here is zoomed or drawn on.
PLOTLY_CONFIG: dict[str, Any] = {
    "displayModeBar": True,
    "modeBarButtons": [["toImage"]],
    "responsive": True,
    "doubleClick": False,
    "locale": "en",
}
AXIS: dict[str, Any] = {
    "fixedrange": True,
    "zeroline": False,
    "automargin": True,
    "ticklabeloverflow": "allow",  # all fit; or each label is measured at every draw
}
LOOK: dict[str, Any] = {
    "template": "none",
    "height": 280,
    "barmode": "stack",
    "paper_bgcolor": "rgba(0, 0, 0, 0)",
    "plot_bgcolor": "rgba(0, 0, 0, 0)",
    "margin": {"l": 0, "r": 8, "t": 26, "b": 8, "pad": 4},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": "#80879080", "activecolor": "#808790"},
    "xaxis": AXIS | {"showgrid": False},
    "yaxis": AXIS,
}
UNLOADED = "unloaded"
"""In the meaning of a mark: files of the day that were held or refused."""
DAY = pd.Timedelta(days=1)


def state_counts_figure(counts: pd.DataFrame) -> go.Figure:
    """Accounts by provisioning state. One row per state [state, accounts]; a click means [state].

    Onboarded is often fifty times the others: a plain axis makes slivers of them, a logarithmic one
    has no zero and draws 50 as half of 2,000. A square root keeps zero and lets small ones compare.
    """
    if counts.empty:
        return _empty_figure(counts)
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
        marker_color=[TONES[state.phase] for state in states],
        unselected_marker_opacity=1,
        customdata=[[state.name] for state in states],
        hovertext=[f"{s}: {_accounts(n)}, {n / total:.1%} of all" for s, n in accounts.items()],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure = go.Figure(bars, LOOK).update_layout(height=60 + 30 * len(rows))
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
        return _empty_figure(daily)
    states = _per_day(daily, "state", "accounts", list(STATE_BY_NAME))
    settled = {state.name: [state.name] for state in STATE_BY_NAME.values() if not state.operation}
    if not states["Unrecognised"].any():
        del settled["Unrecognised"]
    under_way = {phase: state_names(phase=phase) for phase in ("waiting", "working", "failed")}
    parts = settled | under_way
    mix = pd.DataFrame({p: states[list(of)].sum(axis=1, min_count=1) for p, of in parts.items()})
    texts = mix.apply(lambda part: part.map("{:,.0f} ".format) + str(part.name))
    whole_days = texts.agg("<br>".join, axis=1).tolist()
    traces = []
    for part, of in reversed(parts.items()):  # what is added first is at the bottom
        draw, y = (_columns, "y") if part in under_way else (_line, "y2")
        colour = TONES.get(part, TONES["settled"])
        traces.append(draw(part, colour, mix[part], of, whole_days).update(yaxis=y))
    figure = _figure(traces, mix, height=420, legend_traceorder="reversed")
    title = "<b>%{fullData.name}, %{x|%-d %b %Y}</b>"
    figure.update_traces(hovertemplate=title + "<br>%{hovertext}<extra></extra>")
    lower = _count_axis(mix[list(under_way)].sum(axis=1), title="Under way", domain=[0, 0.6])
    upper = _count_axis(mix[list(settled)].max(axis=1), title="Settled", domain=[0.68, 1])
    return figure.update_layout(yaxis=lower, yaxis2=upper | {"anchor": "x"})


def failure_trend_figure(daily: pd.DataFrame) -> go.Figure:
    """How failures come and go, a panel per operation. One row per day and operation
    [day, operation, carried, new, cleared]; a click means [day, operation], of what is new or
    cleared [day, operation, NEW or CLEARED].
    """
    if daily.empty or not daily[list(FLOWS)].to_numpy().any():
        return _empty_figure(daily, "Nothing failed in this period.")
    traces, axes, room = [], {}, 1 / len(OPERATIONS)
    for nth, operation in enumerate(OPERATIONS):
        mine = _per_day(daily, "operation", "carried", OPERATIONS)[[]]
        for part in FLOWS:
            mine[part] = _per_day(daily, "operation", part, OPERATIONS)[operation]
        says = [_flow_words(day, operation) for day in mine.to_dict("records")]
        for part, (colour, meaning) in FLOWS.items():
            values = -mine[part] if part == "cleared" else mine[part]
            bars = _columns(part, colour, values, [operation, *meaning], says)
            traces.append(bars.update(yaxis=f"y{nth + 1}", legendgroup=part, showlegend=nth == 0))
        top = 1 - nth * room
        reach = pd.concat([mine["carried"] + mine["new"], mine["cleared"]])
        axis = _count_axis(reach, title=operation.capitalize(), domain=[top - room + 0.05, top])
        axes[f"yaxis{nth + 1}"] = axis | {"nticks": 4, "zeroline": True, "anchor": "x"}
    days = _per_day(daily, "operation", "carried", OPERATIONS)
    figure = _figure(traces, days, height=420, barmode="relative").update_layout(axes)
    return figure.update_xaxes(anchor=f"y{len(OPERATIONS)}")


def _flow_words(day: Mapping[Any, Any], operation: str) -> str:
    return (
        f"{day['new']:,.0f} newly failed to {operation}, {day['carried']:,.0f} carried over, "
        f"{day['cleared']:,.0f} cleared"
    )


def failing_figure(daily: pd.DataFrame) -> go.Figure:
    """Failing at day's end. One row per day, operation [day, operation, accounts]; clicks: both."""
    if daily.empty:
        return _empty_figure(daily)
    failing = _per_day(daily, "operation", "accounts", OPERATIONS)
    lines = _per_operation(_line, failing, lambda n, o: f"{_accounts(n)} failing to {o}")
    return _figure(lines, failing).update_layout(yaxis=_count_axis(failing.max(axis=1)))


def failure_rate_figure(daily: pd.DataFrame) -> go.Figure:
    """Failed / (failed + settled): 0 to 1, or NaN, a gap, when there were none. One row per day and
    operation [day, operation, rate]; clicks mean both.
    """
    if daily.empty or daily["rate"].isna().all():
        return _empty_figure(daily, "Nothing failed or settled in this period.")
    rates = _per_day(daily, "operation", "rate", OPERATIONS)
    lines = _per_operation(_line, rates, lambda rate, o: f"{rate:.1%} of {o} jobs failed")
    gaps = rates.index.difference(pd.DatetimeIndex(pd.to_datetime(daily["day"])))
    return _figure(lines, rates, gaps).update_yaxes(tickformat=".0%", rangemode="tozero", nticks=6)


def durations_figure(durations: Mapping[str, Durations]) -> go.Figure:
    """The share of jobs that has ended after some time, as estimated. A click means the states of
    the operation's jobs that still run.
    """
    if not any(each.jobs for each in durations.values()):
        return _empty_figure(pd.DataFrame([0]), "No job began in this period.")
    traces = []
    for name in OPERATIONS:
        each = durations[name]
        if not each.jobs:
            continue
        share = [0.0, *(1 - step.share for step in each.curve)]
        after = [0.0, *(step.seconds for step in each.curve)]
        known = ([*after, each.observed], [*share, share[-1]])
        words = [
            f"{done:.0%} of {name} jobs ended within {in_words(t)}"
            for t, done in zip(*known, strict=True)
        ]
        line = {"shape": "hv", "color": OPERATION_COLOURS[name], "dash": DASHES.get(name, "solid")}
        running = [s.name for s in STATES if s.operation == name]
        traces.append(
            go.Scatter(
                name=name.capitalize(),
                x=[seconds / 86_400 for seconds in known[0]],
                y=known[1],
                mode="lines+markers",
                line=line,
                marker={"size": 5, "color": OPERATION_COLOURS[name], "opacity": 1},
                customdata=[running] * len(words),
                hovertext=words,
                hovertemplate="%{hovertext}<extra></extra>",
                unselected={"marker": {"opacity": 1}},
            )
        )
    figure = go.Figure(traces, LOOK).update_layout(height=420)
    figure.update_xaxes(title={"text": "Days since the job began", "standoff": 4})
    figure.update_xaxes(rangemode="tozero", nticks=7)
    for share in (0.5, 0.9):
        figure.add_hline(share, line={"color": TONES["settled"], "width": 1, "dash": "dot"})
    return figure.update_yaxes(
        range=[0, 1.03], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 0.9]
    )


def backlog_figure(backlog: pd.DataFrame) -> go.Figure:
    """How long things wait now. One row per operation and age [operation, age, accounts]; a click
    means the operation's waiting states and the age.
    """
    if not backlog["accounts"].any():
        return _empty_figure(pd.DataFrame([0]), "Nothing waits.")
    bars = []
    for name in OPERATIONS:
        mine = backlog[backlog["operation"] == name]
        waiting = [
            s.name for s in STATES if s.operation == name and s.phase in ("waiting", "working")
        ]
        hatch = {"shape": PATTERNS.get(name, ""), "size": 5, "solidity": 0.2, "fillmode": "overlay"}
        hatch |= {"fgcolor": "white", "fgopacity": 0.7}
        bars.append(
            go.Bar(
                name=name.capitalize(),
                x=mine["age"].tolist(),
                y=mine["accounts"].astype(int).tolist(),
                marker={"color": OPERATION_COLOURS[name], "pattern": hatch},
                customdata=[[*waiting, age] for age in mine["age"]],
                hovertext=[f"{_accounts(n)} wait to {name}" for n in mine["accounts"]],
                hovertemplate="%{x}: %{hovertext}<extra></extra>",
                unselected={"marker": {"opacity": 1}},
            )
        )
    totals = backlog.groupby("age")["accounts"].sum()
    return go.Figure(bars, LOOK).update_layout(yaxis=_count_axis(totals), bargap=0.25)


def failing_map_figure(cells: pd.DataFrame, unloaded: pd.DataFrame) -> go.Figure:
    """Where it fails: the share of accounts that fail, integration by day. One row per integration
    and day [integration, day, failed, accounts]; a click means [day, integration]. Where a file was
    held or refused there is a mark, as of `marked`, that means [day, UNLOADED, integration].

    Long periods have a cell per week, as its last day: cells of two pixels tell and take no click.
    Of many integrations those have a row that fail most now.
    """
    if cells.empty:
        return _empty_figure(cells)
    rows = cells.assign(day=pd.to_datetime(cells["day"]))
    span = (rows["day"].max() - rows["day"].min()).days + 1
    is_weekly = span > MOST_COLUMNS
    if is_weekly:
        rows = rows.assign(day=rows["day"].dt.to_period("W").dt.start_time, last=rows["day"])
        rows = rows.sort_values("last").groupby(["integration", "day"], sort=False).last()
        rows = rows.reset_index()
    else:
        rows = rows.assign(last=rows["day"])
    rows = rows.assign(share=rows["failed"] / rows["accounts"].where(rows["accounts"] > 0))
    every = pd.date_range(rows["day"].min(), rows["day"].max(), freq="7D" if is_weekly else "D")
    newest = rows.sort_values("day").groupby("integration")["share"].last().fillna(0)
    worst = newest.sort_values(kind="stable").index[-MOST_ROWS:]
    rows = rows[rows["integration"].isin(worst)]
    shares = rows.pivot(index="integration", columns="day", values="share")
    shares = shares.reindex(index=worst, columns=every)
    names = [_short(name) for name in shares.index]
    places = {name: place for place, name in enumerate(shares.index)}
    said = [
        _cell_words(*cell) for cell in rows[["integration", "last", "failed", "accounts"]].values
    ]
    heat = go.Heatmap(
        x=every,
        y=list(range(len(names))),
        z=shares.to_numpy(dtype="float32"),
        zmin=0,
        zmax=max(0.05, float(rows["share"].max() or 0)),
        colorscale=HEAT,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"tickformat": ".0%", "thickness": 10, "len": 1, "nticks": 5, "x": 1.01},
    )
    meanings = pd.DataFrame(
        {"day": rows["last"].dt.strftime("%Y-%m-%d"), "name": rows["integration"]}
    )
    marks = go.Scatter(  # arrays: of lists, plotly looks at every cell
        x=rows["day"].to_numpy(),
        y=rows["integration"].map(places).to_numpy(),
        mode="markers",
        marker={"symbol": "square", "size": 14, "color": "rgba(0, 0, 0, 0)", "opacity": 1},
        customdata=meanings.to_numpy(dtype=object),
        hovertext=np.array(said, dtype=object),
        hovertemplate="%{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )
    figure = go.Figure([heat, marks], LOOK).update_layout(height=70 + 17 * max(len(names), 5))
    aside = unloaded[unloaded["integration"].isin(list(places))]
    aside = aside.assign(last=pd.to_datetime(aside["day"]))
    weeks = aside["last"].dt.to_period("W").dt.start_time
    aside = aside.assign(day=weeks if is_weekly else aside["last"])
    if len(aside):
        figure.add_trace(_unloaded_cells(aside, places))
    half, last = pd.Timedelta(days=3.5 if is_weekly else 0.5), max([every[-1], *aside["day"]])
    figure.update_xaxes(range=[every[0] - half, last + half], nticks=6, tickangle=0)
    figure.update_xaxes(tickformat="%-d %b\n%Y")
    return figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, showgrid=False, tickfont={"size": 11},
        range=[-0.5, len(names) - 0.5],
    )  # fmt: skip


def _unloaded_cells(aside: pd.DataFrame, places: Mapping[str, int]) -> go.Scatter:
    """A mark per row [day, last, integration, verdict, files]."""
    rows = aside[["last", "integration", "verdict", "files"]].to_dict("records")
    return go.Scatter(
        x=list(aside["day"]),
        y=[places[row["integration"]] for row in rows],
        mode="markers",
        marker={"symbol": "triangle-down", "size": 9, "color": QUIET, "opacity": 1},
        customdata=[[f"{row['last']:%Y-%m-%d}", UNLOADED, row["integration"]] for row in rows],
        hovertext=[
            f"{_short(row['integration'])}, {row['last']:%-d %b %Y}: {row['files']:,} "
            f"{'file' if row['files'] == 1 else 'files'} {row['verdict']}"
            for row in rows
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )


def _cell_words(name: str, day: pd.Timestamp, failed: int, accounts: int) -> str:
    share = f" ({failed / accounts:.1%})" if accounts else ""
    return f"{_short(name)}, {day:%-d %b %Y}: {failed:,} of {_accounts(accounts)} failing{share}"


def _short(name: str, most: int = 24) -> str:
    """A name from the data as an axis or a bubble shows it: as text."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return escape(line if len(line) <= most else f"{line[:most]}…", quote=False)


def in_words(seconds: float, *, digits: int = 3) -> str:
    """A time span in its largest sensible unit: `36 h`, `2.5 days`."""
    units = ((60, "min", 60), (3600, "h", 48), (86_400, "days", math.inf))
    size, unit, _ = next(each for each in units if seconds < each[0] * each[2])
    amount = seconds / size
    return (
        f"{amount:,.0f} {unit}" if amount >= 100 or unit == "min" else f"{amount:.{digits}g} {unit}"
    )


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


def _per_day(daily: pd.DataFrame, column: str, value: str, names: Sequence[str]) -> pd.DataFrame:
    """One row per calendar day, one column per name; all NaN on a day without any row, a gap. A day
    with some was counted whole: a row that it lacks is zero accounts.
    """
    rows = daily.assign(day=pd.to_datetime(daily["day"])).set_index(["day", column])[value]
    days = rows.astype(float).unstack().reindex(columns=list(names))
    days = days.fillna(0) if value == "accounts" else days
    return days.reindex(pd.date_range(days.index.min(), days.index.max(), freq="D"))


def _per_operation(draw: Callable[..., Any], daily: pd.DataFrame, say: Callable[..., str]):
    says = {o: [say(value, o) for value in daily[o]] for o in OPERATIONS}
    return [draw(o, OPERATION_COLOURS[o], daily[o], [o], says[o]) for o in OPERATIONS]


def _columns(name: str, colour: str, *rest: Any) -> go.Bar:
    hatch = {"shape": PATTERNS.get(name, ""), "size": 5, "solidity": 0.2, "fillmode": "overlay"}
    marker = {"color": colour, "pattern": hatch | {"fgcolor": "white", "fgopacity": 0.7}}
    return go.Bar(marker=marker, width=DAY / pd.Timedelta(1, "ms"), **_marks(name, *rest))


def _line(name: str, colour: str, values: pd.Series, *rest: Any) -> go.Scatter:
    alone = values.shift().isna() & values.shift(-1).isna()  # else size 0: clicked, but not seen
    sizes = (7 * alone).tolist() if alone.any() else 0  # a list is looked at point by point
    marker = {"color": colour, "size": sizes, "opacity": 1, "line": {"width": 0}}
    line = {"color": colour, "width": 2, "dash": DASHES.get(name, "solid")}
    return go.Scatter(mode="lines+markers", marker=marker, line=line, **_marks(name, values, *rest))


def _marks(name: str, values: pd.Series, meaning: Sequence[str], sentences: list[str]):
    days = [f"{day:%Y-%m-%d}" for day in values.index]
    return {
        "name": name.capitalize(),
        "x": days,
        "y": [None if pd.isna(value) else value for value in values],
        "customdata": [[day, *meaning] for day in days],
        "hovertext": sentences,
        "hovertemplate": "%{x|%-d %b %Y}: %{hovertext}<extra></extra>",
        "unselected": {"marker": {"opacity": 1}},  # a click opens Users, it highlights nothing
    }


def _count_axis(counts: pd.Series, **more: Any) -> dict[str, Any]:
    whole = {"dtick": 1} if counts.max() < 5 else {"nticks": 5}
    return LOOK["yaxis"] | {"tickformat": ",d", "rangemode": "tozero"} | whole | more


def _figure(
    traces: list[Any], daily: pd.DataFrame, gaps: pd.Index | None = None, **layout: Any
) -> go.Figure:
    """Traces over days; `gaps` are those without a snapshot, else the days without a number."""
    figure = go.Figure(traces, LOOK).update_layout(**layout)
    start = min(daily.index[0], daily.index[-1] - 6 * DAY)  # a week: one day's column is no wall
    span = [start - DAY / 2, daily.index[-1] + DAY / 2]  # below, \n: the year only as it changes
    figure.update_xaxes(range=span, tickangle=0, nticks=6, tickformat="%-d %b\n%Y")
    last = {"legendrank": 1 if "legend_traceorder" in layout else 2000}
    gaps = daily.index[daily.isna().all(axis=1)] if gaps is None else gaps
    for nth, day in enumerate(gaps):
        where = {"x0": day - DAY / 2, "x1": day + DAY / 2, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(**NO_SNAPSHOT, **where, **last, showlegend=nth == 0)
    return figure


def _empty_figure(frame: pd.DataFrame, quiet: str = "") -> go.Figure:
    sentence = "No snapshots in this period." if frame.empty else quiet
    note = {"text": sentence, "showarrow": False, "xref": "paper", "yref": "paper"}
    hidden = {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    return go.Figure(None, LOOK | hidden | {"height": 160, "annotations": [note]})


def _accounts(count: float) -> str:
    return f"{count:,.0f} account{'' if count == 1 else 's'}"


def state_moves_figure(moves: pd.DataFrame) -> go.Figure:
    """State moves between two moments, as flows. One row per pair of states [was, now, accounts].

    No mark can be clicked, as plotly tells nobody of clicks on flows: a table beside it can.
    """
    if moves.empty:
        return _empty_figure(moves).update_layout(
            annotations=[{"text": "No account changed state.", "showarrow": False}]
        )
    was, now = (
        [state for state in STATE_BY_NAME.values() if state.name in set(moves[side])]
        for side in ("was", "now")
    )
    place_was = {state.name: n for n, state in enumerate(was)}
    place_now = {state.name: n for n, state in enumerate(now, len(was))}
    flows = go.Sankey(
        arrangement="fixed",
        domain={"x": [0.01, 0.99], "y": [0.02, 0.98]},
        textfont={"shadow": "none"},
        node={
            "label": [state.name for state in (*was, *now)],
            "color": [TONES[state.phase] for state in (*was, *now)],
            "line": {"width": 0},
            "pad": 14,
            "thickness": 12,
            "hovertemplate": "%{label}: %{value:,.0f}<extra></extra>",
        },
        link={
            "source": [place_was[name] for name in moves["was"]],
            "target": [place_now[name] for name in moves["now"]],
            "value": moves["accounts"].tolist(),
            "color": [f"{TONES[STATE_BY_NAME[name].phase]}48" for name in moves["now"]],
            "customdata": [_accounts(count) for count in moves["accounts"]],
            "hovertemplate": "%{source.label} → %{target.label}: %{customdata}<extra></extra>",
        },
    )
    return go.Figure(flows, LOOK).update_layout(height=120 + 34 * max(len(was), len(now)))
