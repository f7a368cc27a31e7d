"""The share of failed accounts per integration and day."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.formatting import count_of
from widgets.figure_theme import (
    DAY,
    DAY_TICKS,
    HEATMAP_SCALE,
    account_count_text,
    display_name,
    empty_figure,
    iso_days,
    new_figure,
)
from widgets.health.annotations import quarantine_trace
from widgets.health.marks import Mark, customdata

MAX_DAY_COLUMNS = 45
"""Days that a map shows one by one. Above, a column is a week: two pixels cannot be clicked."""

MAX_MAP_ROWS = 100
"""Integrations that a map shows. With more, nobody would reach what follows it."""

FULL_SHARE = 0.2
"""The share of failed accounts from which a cell has the full color, in every map."""

SHARE_TICKS = ["0%", "5%", "10%", "15%", "20%+"]
COLOR_BAR = {"thickness": 10, "len": 1, "x": 1.01}


class _Grid(NamedTuple):
    """The cells of a map, and where their rows and columns are."""

    cells: pd.DataFrame
    """One row per cell: [integration, day, last, failed, accounts, share]; `day` is the column."""
    names: list[str]
    """Integrations from the bottom: the worst is on top."""
    columns: pd.DatetimeIndex
    is_weekly: bool

    def y(self, integrations: pd.Series) -> pd.Series:
        return integrations.map({name: index for index, name in enumerate(self.names)})


def failure_map_figure(cells: pd.DataFrame, files: pd.DataFrame) -> go.Figure:
    """The share of failed accounts, integration by day.

    One row of `cells` per integration and day [integration, day, failed, accounts]; one of `files`
    per file that is missing [day, integration, status, files]. Long periods have a column per week,
    for its last day. Of many integrations, the map shows those that fail most now.
    """
    if cells.empty:
        return empty_figure(cells)
    grid = _grid(cells)
    files = files[files["integration"].isin(grid.names)]
    files = files.assign(last=pd.to_datetime(files["day"]))
    files = files.assign(day=_weeks(files["last"]) if grid.is_weekly else files["last"])
    first, last = grid.columns[0], max([grid.columns[-1], *files["day"]])
    half = pd.Timedelta(days=3.5 if grid.is_weekly else 0.5)
    labels = [display_name(name) for name in grid.names]
    rows = {"tickvals": list(range(len(labels))), "ticktext": labels, "tickfont": {"size": 11}}
    return new_figure(
        [_heat(grid), _cell_marks(grid), *([_file_marks(grid, files)] if len(files) else [])],
        height=70 + 17 * max(len(labels), 5),
        xaxis={"range": [first - half, last + half]} | DAY_TICKS | _few_day_ticks(last - first),
        yaxis=rows | {"showgrid": False, "range": [-0.5, len(labels) - 0.5]},
    )


def _few_day_ticks(span: pd.Timedelta) -> dict[str, int]:
    """A tick per day, where plotly would have some at noon, with the same day below each."""
    return {"dtick": round(DAY / pd.Timedelta(milliseconds=1))} if span < 6 * DAY else {}


def _grid(cells: pd.DataFrame) -> _Grid:
    rows = cells.assign(last=pd.to_datetime(cells["day"]))
    is_weekly = (rows["last"].max() - rows["last"].min()).days >= MAX_DAY_COLUMNS
    rows["day"] = _weeks(rows["last"]) if is_weekly else rows["last"]
    rows = (
        rows.sort_values(["integration", "last"])
        .groupby(["integration", "day"], sort=False)
        .last()
        .reset_index()
    )
    rows["share"] = rows["failed"] / rows["accounts"].where(rows["accounts"] > 0)
    newest = rows.groupby("integration", sort=True)["share"].last().fillna(0)
    worst = newest.sort_values(kind="stable").index[-MAX_MAP_ROWS:]
    frequency = "7D" if is_weekly else "D"
    columns = pd.date_range(rows["day"].min(), rows["day"].max(), freq=frequency)
    return _Grid(rows[rows["integration"].isin(worst)], list(worst), columns, is_weekly)


def _weeks(days: pd.Series) -> pd.Series:
    return days.dt.to_period("W").dt.start_time


def _heat(grid: _Grid) -> go.Heatmap:
    shares = grid.cells.pivot(index="integration", columns="day", values="share")
    shares = shares.reindex(index=grid.names, columns=grid.columns)
    return go.Heatmap(
        x=grid.columns,
        y=list(range(len(grid.names))),
        z=shares.to_numpy(dtype="float32"),
        zmin=0,
        zmax=FULL_SHARE,
        colorscale=HEATMAP_SCALE,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"tickvals": [0, 0.05, 0.1, 0.15, 0.2], "ticktext": SHARE_TICKS} | COLOR_BAR,
    )


def _cell_marks(grid: _Grid) -> go.Scatter:
    """Invisible points over the cells: plotly reports no clicks on a heatmap."""
    cells = grid.cells
    return go.Scatter(
        x=cells["day"].to_numpy(),
        y=grid.y(cells["integration"]).to_numpy(),
        mode="markers",
        marker={"symbol": "square", "size": 14, "color": "rgba(0, 0, 0, 0)"},
        customdata=customdata(_marks(cells, "failed")),
        hovertext=np.array(_cell_texts(cells)),
        showlegend=False,
    )


def _file_marks(grid: _Grid, files: pd.DataFrame) -> go.Scatter:
    rows = files[["integration", "last", "files", "status"]].values
    return quarantine_trace(
        _marks(files, "quarantined"),
        x=list(files["day"]),
        y=list(grid.y(files["integration"])),
        hovertext=[
            f"{display_name(name)}, {day:%-d %b %Y}: {count_of(count, 'file')} {status}"
            for name, day, count, status in rows
        ],
        showlegend=False,
    )


def _marks(rows: pd.DataFrame, kind: Any) -> list[Mark]:
    days = iso_days(rows["last"])
    return [
        Mark(kind, day=day, cell=name) for day, name in zip(days, rows["integration"], strict=True)
    ]


def _cell_texts(cells: pd.DataFrame) -> list[str]:
    """`slack, 23 Nov 2026: 3 of 40 accounts failed (7.5%)`; a name and a day are in many cells."""
    names = {name: display_name(name) for name in cells["integration"].unique()}
    days = {day: f"{day:%-d %b %Y}" for day in cells["last"].unique()}
    return [
        f"{names[name]}, {days[day]}: {failed:,} of {account_count_text(accounts)} failed"
        + (f" ({failed / accounts:.1%})" if accounts else "")
        for name, day, failed, accounts in zip(
            *(cells[column] for column in ("integration", "last", "failed", "accounts")),
            strict=True,
        )
    ]
