"""The share of failing accounts per integration and day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from widgets.figure_theme import (
    BASE_LAYOUT,
    HEATMAP_SCALE,
    QUARANTINE_COLOR,
    QUARANTINED,
    account_count_text,
    display_name,
    empty_figure,
)

MAX_DAY_COLUMNS = 45
"""Days that a map shows one by one."""


MAX_MAP_ROWS = 100
"""Integrations that a map shows: with more, nobody would reach what comes after it."""


def failure_map_figure(cells: pd.DataFrame, quarantined_files: pd.DataFrame) -> go.Figure:
    """Where it fails: the share of accounts that fail, integration by day. One row per integration
    and day [integration, day, failed, accounts]; a click means [day, integration]. Where a file was
    held or refused there is a mark, as of `marked`, that means [day, UNLOADED, integration].

    Long periods have a cell per week, as its last day: cells of two pixels tell and take no click.
    Of many integrations those have a row that fail most now.
    """
    if cells.empty:
        return empty_figure(cells)
    rows = cells.assign(day=pd.to_datetime(cells["day"]))
    span = (rows["day"].max() - rows["day"].min()).days + 1
    is_weekly = span > MAX_DAY_COLUMNS
    if is_weekly:
        rows = rows.assign(day=rows["day"].dt.to_period("W").dt.start_time, last=rows["day"])
        rows = rows.sort_values("last").groupby(["integration", "day"], sort=False).last()
        rows = rows.reset_index()
    else:
        rows = rows.assign(last=rows["day"])
    rows = rows.assign(share=rows["failed"] / rows["accounts"].where(rows["accounts"] > 0))
    days = pd.date_range(rows["day"].min(), rows["day"].max(), freq="7D" if is_weekly else "D")
    newest = rows.sort_values("day").groupby("integration")["share"].last().fillna(0)
    worst = newest.sort_values(kind="stable").index[-MAX_MAP_ROWS:]
    rows = rows[rows["integration"].isin(worst)]
    shares = rows.pivot(index="integration", columns="day", values="share")
    shares = shares.reindex(index=worst, columns=days)
    labels = [display_name(name) for name in shares.index]
    row_positions = {name: place for place, name in enumerate(shares.index)}
    hover_texts = [
        _cell_text(*cell) for cell in rows[["integration", "last", "failed", "accounts"]].values
    ]
    heat = go.Heatmap(
        x=days,
        y=list(range(len(labels))),
        z=shares.to_numpy(dtype="float32"),
        zmin=0,
        zmax=max(0.05, float(rows["share"].max() or 0)),
        colorscale=HEATMAP_SCALE,
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
        y=rows["integration"].map(row_positions).to_numpy(),
        mode="markers",
        marker={"symbol": "square", "size": 14, "color": "rgba(0, 0, 0, 0)", "opacity": 1},
        customdata=meanings.to_numpy(dtype=object),
        hovertext=np.array(hover_texts, dtype=object),
        hovertemplate="%{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )
    figure = go.Figure([heat, marks], BASE_LAYOUT).update_layout(
        height=70 + 17 * max(len(labels), 5)
    )
    shown_files = quarantined_files[quarantined_files["integration"].isin(list(row_positions))]
    shown_files = shown_files.assign(last=pd.to_datetime(shown_files["day"]))
    weeks = shown_files["last"].dt.to_period("W").dt.start_time
    shown_files = shown_files.assign(day=weeks if is_weekly else shown_files["last"])
    if len(shown_files):
        figure.add_trace(_quarantine_cell_marks(shown_files, row_positions))
    half_width, last = (
        pd.Timedelta(days=3.5 if is_weekly else 0.5),
        max([days[-1], *shown_files["day"]]),
    )
    figure.update_xaxes(range=[days[0] - half_width, last + half_width], nticks=6, tickangle=0)
    figure.update_xaxes(tickformat="%-d %b\n%Y")
    return figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, showgrid=False, tickfont={"size": 11},
        range=[-0.5, len(labels) - 0.5],
    )  # fmt: skip


def _quarantine_cell_marks(files: pd.DataFrame, row_positions: Mapping[str, int]) -> go.Scatter:
    """A mark per row [day, last, integration, status, files]."""
    rows = files[["last", "integration", "status", "files"]].to_dict("records")
    return go.Scatter(
        x=list(files["day"]),
        y=[row_positions[row["integration"]] for row in rows],
        mode="markers",
        marker={"symbol": "triangle-down", "size": 9, "color": QUARANTINE_COLOR, "opacity": 1},
        customdata=[[f"{row['last']:%Y-%m-%d}", QUARANTINED, row["integration"]] for row in rows],
        hovertext=[
            f"{display_name(row['integration'])}, {row['last']:%-d %b %Y}: {row['files']:,} "
            f"{'file' if row['files'] == 1 else 'files'} {row['status']}"
            for row in rows
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )


def _cell_text(name: str, day: pd.Timestamp, failed: int, accounts: int) -> str:
    share = f" ({failed / accounts:.1%})" if accounts else ""
    of_all = account_count_text(accounts)
    return f"{display_name(name)}, {day:%-d %b %Y}: {failed:,} of {of_all} failing{share}"
