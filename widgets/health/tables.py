"""The tables below the charts of Health."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.access.roles import Permission
from queries.filters import Filters
from queries.health.durations import Durations
from queries.health.trends import Trends, stale_integrations
from queries.period import Period, to_local
from server.session import current_principal
from widgets.figure_theme import format_span
from widgets.filters import open_users
from widgets.health import captions
from widgets.health.card import data_controls, heading
from widgets.health.drill_down import mark_filters


def durations_table(durations: Mapping[str, Durations], previous: Mapping[str, Durations]) -> Any:
    """One row per operation: how long its jobs take, and what that is known from."""

    def duration_text(seconds: float | None, estimate: Durations) -> str:
        if not estimate.jobs:
            return "–"
        return (
            f"> {format_span(estimate.longest_observed)}"
            if seconds is None
            else format_span(seconds)
        )

    return pd.DataFrame(
        {
            "Operation": name.capitalize(),
            "Median": duration_text(estimate.median, estimate),
            "Median before": duration_text(previous[name].median, previous[name]),
            "90% within": duration_text(estimate.quantile(0.9), estimate),
            "Mean": ("" if estimate.ended == estimate.jobs else "≥ ")
            + duration_text(estimate.mean, estimate),
            "Jobs": estimate.jobs,
            "Still open": estimate.jobs - estimate.ended,
        }
        for name, estimate in durations.items()
    )


def failure_reasons_card(top_reasons: pd.DataFrame, failed: int, scope: Period) -> None:
    """The reasons that accounts fail for, as of `failure_reasons`; a row opens its accounts."""
    name = "Top failure reasons"
    with st.container(border=True, key="card_reasons"):
        heading(
            name,
            captions.reasons_headline(top_reasons, failed),
            "What differs from account to account is left out, as “…”. First seen in all history; "
            "the change is that of the period. Select a row for its accounts.",
        )
        if top_reasons.empty:
            return
        table = pd.DataFrame(
            {
                "accounts": top_reasons["accounts"],
                "reason": [
                    _reason_text(*each) for each in top_reasons[["reason", "words"]].to_numpy()
                ],
                "trend": [
                    _trend_text(current - previous)
                    for current, previous in _current_and_previous(top_reasons)
                ],
                "first_seen": [
                    to_local(first_seen, scope.zone) for first_seen in top_reasons["first_seen"]
                ],
            }
        )
        event = st.dataframe(
            table,
            hide_index=True,
            key="reasons",
            on_select="rerun",
            selection_mode="single-row",
            alt="Failure reasons with their accounts, whether they grow, and since when",
            column_config={
                "accounts": st.column_config.NumberColumn(
                    "Accounts", format="localized", width="small"
                ),
                "reason": st.column_config.TextColumn("Reason", width="large"),
                "trend": st.column_config.TextColumn("In the period"),
                "first_seen": st.column_config.DatetimeColumn("First seen", format="YYYY-MM-DD"),
            },
        )
        data_controls("reasons", name, table, has_table=False)
    rows = event.selection.rows
    if rows:
        reason = str(top_reasons.iloc[rows[0]]["reason"])
        open_users(Filters(integration=scope.integration, reason=(reason,), as_of=scope.as_of))


def _reason_text(reason: str, text: str | None) -> str:
    """The words of a code beside it, where it has some."""
    return reason if text in (None, reason) else f"{reason}: {text}"


def _current_and_previous(top_reasons: pd.DataFrame) -> zip:
    return zip(top_reasons["accounts"], top_reasons["before"], strict=True)


def _trend_text(change: int) -> str:
    if not change:
        return "→ steady"
    return f"↑ growing, +{change:,}" if change > 0 else f"↓ shrinking, -{-change:,}"


def integrations_card(
    trends: Trends, quarantined_files: pd.DataFrame, scope: Period, now: datetime
) -> None:
    """A row per integration; selecting one opens its accounts.

    How many of its files are held or refused is told where some are.
    """
    name, newest = "Integrations", trends.integrations
    daily_failed = (
        trends.failed_by_integration.groupby("integration")["failed"].apply(list).rename("trend")
    )
    is_stale = stale_integrations(newest, now)
    table = newest.merge(daily_failed, on="integration", how="left")
    file_counts = table["integration"].map(quarantined_files.groupby("integration")["files"].sum())
    table = table.assign(
        unloaded=file_counts.astype("Int64"),
        freshness=[
            _freshness_text(taken_at, rhythm, stale, now)
            for taken_at, rhythm, stale in zip(
                table["taken_at"], table["rhythm"], is_stale, strict=True
            )
        ],
        taken_at=[to_local(taken_at, scope.zone) for taken_at in table["taken_at"]],
    ).drop(columns="rhythm")
    columns = {
        "integration": st.column_config.TextColumn("Integration", pinned=True),
        "freshness": st.column_config.TextColumn("Freshness", width="medium"),
        "failed": st.column_config.NumberColumn("Failed", format="localized"),
        "trend": st.column_config.AreaChartColumn("Failing per day", y_min=0),
        "waiting": st.column_config.NumberColumn("Waiting", format="localized"),
        "accounts": st.column_config.NumberColumn("Accounts", format="localized"),
        "active": st.column_config.NumberColumn("Active", format="localized"),
        "unmatched": st.column_config.NumberColumn("Unmatched", format="localized"),
        "taken_at": st.column_config.DatetimeColumn(
            f"Newest snapshot ({scope.zone})", format="YYYY-MM-DD HH:mm"
        ),
        "unloaded": st.column_config.NumberColumn("Held or refused files"),
    }
    if not table["unloaded"].any():
        del columns["unloaded"]
    with st.container(border=True, key="card_integrations"):
        heading(
            name,
            captions.integrations_headline(len(table), int(is_stale.sum())),
            "Each at its newest snapshot, stale by its own rhythm; select a row for its accounts.",
        )
        can_open_users = Permission.USERS in current_principal().permissions
        event: Any = st.dataframe(
            table,
            hide_index=True,
            key="integrations",
            on_select="rerun" if can_open_users else "ignore",
            selection_mode="single-row",
            alt="One row per integration: how fresh it is, and its accounts",
            column_order=list(columns),
            column_config=columns,
        )
        data_controls("integrations", name, table.drop(columns="trend"), has_table=False)
    rows = event.selection.rows if can_open_users else []
    if rows:
        open_users(mark_filters([[table.iloc[rows[0]]["integration"]]], scope))


def _freshness_text(taken_at: datetime, usual_interval: Any, is_stale: bool, now: datetime) -> str:
    age = format_span(max((now - taken_at).total_seconds(), 0))
    interval_text = (
        ""
        if pd.isna(usual_interval)
        else f", usually every {format_span(usual_interval.total_seconds())}"
    )
    return f"{'▲ stale' if is_stale else '● fresh'}: {age} old{interval_text}"


def failed_by_operation(failures: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: [day, operation, accounts] in the failed state."""
    return failures.rename(columns={"failing": "accounts"})[["day", "operation", "accounts"]]
