"""The tables of Health."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from queries.filters import Filters
from queries.health.durations import Durations
from queries.health.integrations import stale_integrations
from queries.period import to_local
from widgets.figure_theme import format_span
from widgets.filters import open_users
from widgets.health import captions
from widgets.health.card import data_controls, heading
from widgets.health.drill_down import can_open_marks
from widgets.health.health_data import HealthData

REASONS_CAPTION = "“…” stands for details that differ. Change is over the selected period."
INTEGRATIONS_CAPTION = (
    "Latest snapshot per integration. “Stale” = later than twice its usual interval."
)
ROW_HINT = "Click a row to see its accounts."
INTERVAL_WORDS = {1: "hourly", 24: "daily", 168: "weekly"}

text_column, count_column = st.column_config.TextColumn, st.column_config.NumberColumn
time_column = st.column_config.DatetimeColumn


def durations_table(
    durations: Mapping[str, Durations], previous: Mapping[str, Durations]
) -> pd.DataFrame:
    """One row per operation: how long its jobs take, from how many jobs."""
    return pd.DataFrame(
        {
            "Operation": name.capitalize(),
            "Median": _duration_text(jobs.median, jobs),
            "Median before": _duration_text(previous[name].median, previous[name]),
            "90th percentile": _duration_text(jobs.quantile(0.9), jobs),
            "Mean": ("≥ " if jobs.ended < jobs.jobs else "") + _duration_text(jobs.mean, jobs),
            "Jobs": jobs.jobs,
            "Not settled": jobs.jobs - jobs.ended,
        }
        for name, jobs in durations.items()
    )


def _duration_text(seconds: float | None, durations: Durations) -> str:
    if not durations.jobs:
        return "–"
    if seconds is None:
        return f"> {format_span(durations.longest_observed)}"
    return format_span(seconds)


def failure_reasons_card(data: HealthData) -> None:
    """The most frequent failure reasons; a row opens its accounts."""
    reasons, title = data.reasons, "Top failure reasons"
    headline = captions.reasons_headline(reasons, data.failed_count)
    with st.container(border=True, key="card_reasons"):
        heading(title, headline, _with_row_hint(REASONS_CAPTION))
        if reasons.empty:
            return
        columns = {
            "accounts": count_column("Accounts", format="localized", width="small"),
            "reason": text_column("Reason", width="large"),
            "change": text_column("Change"),
            "first_seen": time_column("First seen", format="YYYY-MM-DD"),
        }
        table = _reasons_table(reasons, data.scope.zone)
        alt = "Failure reasons: accounts, change, and first snapshot"
        row = _selectable_table("reasons", table, columns, alt)
        data_controls("reasons", title, table, has_table=False)
    if row is not None:
        scope, reason = data.scope, str(reasons.iloc[row]["reason"])
        open_users(Filters(integration=scope.integration, reason=(reason,), as_of=scope.as_of))


def _reasons_table(reasons: pd.DataFrame, zone: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "accounts": row["accounts"],
            "reason": _reason_text(row["reason"], row["template"]),
            "change": _change_text(row["accounts"] - row["before"]),
            "first_seen": to_local(row["first_seen"], zone),
        }
        for row in reasons.to_dict("records")
    )


def _reason_text(reason: str, template: str | None) -> str:
    """A failure code with its text, if it has one."""
    return reason if template in (None, reason) else f"{reason}: {template}"


def _change_text(change: int) -> str:
    if not change:
        return "→ steady"
    return f"↑ growing, +{change:,}" if change > 0 else f"↓ shrinking, {change:,}"


def integrations_card(data: HealthData) -> None:
    """A row per integration, which opens its accounts."""
    integrations, title = data.trends.integrations, "Integrations"
    is_stale = stale_integrations(integrations, data.now)
    headline = captions.integrations_headline(len(integrations), int(is_stale.sum()))
    table = _integrations_table(data, is_stale)
    columns = _integration_columns(data.scope.zone)
    if not table["quarantined"].any():
        del columns["quarantined"]
    with st.container(border=True, key="card_integrations"):
        heading(title, headline, _with_row_hint(INTEGRATIONS_CAPTION))
        alt = "One row per integration: its newest snapshot and its accounts"
        row = _selectable_table("integrations", table, columns, alt)
        data_controls("integrations", title, table.drop(columns="trend"), has_table=False)
    if row is not None:
        name = str(table.iloc[row]["integration"])
        open_users(Filters(integration=(name,), as_of=data.scope.as_of))


def _integrations_table(data: HealthData, is_stale: pd.Series) -> pd.DataFrame:
    failed = data.trends.failed_by_integration.groupby("integration")["failed"].apply(list)
    table = data.trends.integrations.merge(failed.rename("trend"), on="integration", how="left")
    files = table["integration"].map(data.files.groupby("integration")["files"].sum())
    ages = data.now - pd.to_datetime(table["taken_at"])
    intervals = table["usual_interval"]
    freshness = map(_freshness_text, ages, intervals, is_stale)
    return table.assign(
        quarantined=files.astype("Int64"),
        freshness=list(freshness),
        taken_at=[to_local(moment, data.scope.zone) for moment in table["taken_at"]],
    ).drop(columns="usual_interval")


def _integration_columns(zone: str) -> dict[str, Any]:
    return {
        "integration": text_column("Integration", pinned=True),
        "freshness": text_column("Freshness", width="medium"),
        "failed": count_column("Failed", format="localized"),
        "trend": st.column_config.AreaChartColumn("Failed per day", y_min=0),
        "open": count_column("Open jobs", format="localized"),
        "accounts": count_column("Accounts", format="localized"),
        "active": count_column("Active", format="localized"),
        "unmatched": count_column("Unmatched", format="localized"),
        "taken_at": time_column(f"Latest snapshot ({zone})", format="YYYY-MM-DD HH:mm"),
        "quarantined": count_column("Files on hold or rejected"),
    }


def _freshness_text(age: Any, usual_interval: Any, is_stale: bool) -> str:
    """`Up to date · 5 h ago (daily)`."""
    age_text = format_span(max(age.total_seconds(), 0), units=1)
    interval_text = ""
    if not pd.isna(usual_interval):
        seconds = usual_interval.total_seconds()
        every = INTERVAL_WORDS.get(round(seconds / 3600)) or f"every {format_span(seconds)}"
        interval_text = f" ({every})"
    return f"{'Stale' if is_stale else 'Up to date'} · {age_text} ago{interval_text}"


def _with_row_hint(caption: str) -> str:
    return f"{caption} {ROW_HINT}" if can_open_marks() else caption


def _selectable_table(key: str, table: pd.DataFrame, columns: Any, alt: str) -> int | None:
    """A table; the row that a reader who may see Users has selected."""
    can_open = can_open_marks()
    event: Any = st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select="rerun" if can_open else "ignore",
        selection_mode="single-row",
        alt=alt,
        column_order=list(columns),
        column_config=columns,
    )
    return next(iter(event.selection.rows), None) if can_open else None
