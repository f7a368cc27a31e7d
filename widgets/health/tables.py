"""The tables below the charts of Health."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.access.roles import Act
from queries.filters import Filters
from queries.health.durations import Durations
from queries.health.trends import Trends, stale
from queries.period import Scope, local
from server.session import principal
from widgets.figure_theme import in_words
from widgets.filters import open_users
from widgets.health import captions
from widgets.health.card import heading, numbers
from widgets.health.drill_down import meant_by


def durations_table(found: Mapping[str, Durations], before: Mapping[str, Durations]) -> Any:
    """One row per operation: how long its jobs take, and what that is known from."""

    def told(seconds: float | None, each: Durations) -> str:
        if not each.jobs:
            return "–"
        return f"> {in_words(each.observed)}" if seconds is None else in_words(seconds)

    return pd.DataFrame(
        {
            "Operation": name.capitalize(),
            "Median": told(each.median, each),
            "Median before": told(before[name].median, before[name]),
            "90% within": told(each.quantile(0.9), each),
            "Mean": f"{'' if each.ended == each.jobs else '≥ '}{told(each.mean, each)}",
            "Jobs": each.jobs,
            "Still open": each.jobs - each.ended,
        }
        for name, each in found.items()
    )


def reasons(found: pd.DataFrame, failed: int, scope: Scope) -> None:
    """The reasons that accounts fail for, as of `failure_reasons`; a row opens its accounts."""
    name = "Top failure reasons"
    with st.container(border=True, key="card_reasons"):
        heading(
            name,
            captions.of_reasons(found, failed),
            "What differs from account to account is left out, as “…”. First seen in all history; "
            "the change is that of the period. Select a row for its accounts.",
        )
        if found.empty:
            return
        table = pd.DataFrame(
            {
                "accounts": found["accounts"],
                "reason": [_reason(*each) for each in found[["reason", "words"]].to_numpy()],
                "trend": [_growth(now - then) for now, then in _pairs(found)],
                "first_seen": [local(at, scope.zone) for at in found["first_seen"]],
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
        numbers("reasons", name, table, shown=False)
    rows = event.selection.rows
    if rows:
        reason = str(found.iloc[rows[0]]["reason"])
        open_users(Filters(integration=scope.integrations, reason=(reason,), as_of=scope.at))


def _reason(reason: str, words: str | None) -> str:
    """The words of a code beside it, where it has some."""
    return reason if words in (None, reason) else f"{reason}: {words}"


def _pairs(found: pd.DataFrame) -> zip:
    return zip(found["accounts"], found["before"], strict=True)


def _growth(change: int) -> str:
    if not change:
        return "→ steady"
    return f"↑ growing, +{change:,}" if change > 0 else f"↓ shrinking, -{-change:,}"


def integrations(found: Trends, unloaded: pd.DataFrame, scope: Scope, now: datetime) -> None:
    """A row per integration; selecting one opens its accounts.

    How many of its files are held or refused is told where some are.
    """
    name, newest = "Integrations", found.newest
    lines = found.by_integration.groupby("integration")["failed"].apply(list).rename("trend")
    is_stale = stale(newest, now)
    shown = newest.merge(lines, on="integration", how="left")
    aside = shown["integration"].map(unloaded.groupby("integration")["files"].sum())
    shown = shown.assign(
        unloaded=aside.astype("Int64"),
        freshness=[_freshness(*row) for row in zip(shown["taken_at"], shown["rhythm"], is_stale,
                                                   [now] * len(shown), strict=True)],
        taken_at=[local(at, scope.zone) for at in shown["taken_at"]],
    ).drop(columns="rhythm")  # fmt: skip
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
    if not shown["unloaded"].any():
        del columns["unloaded"]
    with st.container(border=True, key="card_integrations"):
        heading(
            name,
            captions.of_integrations(len(shown), int(is_stale.sum())),
            "Each at its newest snapshot, stale by its own rhythm; select a row for its accounts.",
        )
        leads_on = Act.USERS in principal().acts
        event: Any = st.dataframe(
            shown,
            hide_index=True,
            key="integrations",
            on_select="rerun" if leads_on else "ignore",
            selection_mode="single-row",
            alt="One row per integration: how fresh it is, and its accounts",
            column_order=list(columns),
            column_config=columns,
        )
        numbers("integrations", name, shown.drop(columns="trend"), shown=False)
    rows = event.selection.rows if leads_on else []
    if rows:
        open_users(meant_by([[shown.iloc[rows[0]]["integration"]]], scope))


def _freshness(taken_at: datetime, rhythm: Any, is_stale: bool, now: datetime) -> str:
    age = in_words(max((now - taken_at).total_seconds(), 0))
    usual = "" if pd.isna(rhythm) else f", usually every {in_words(rhythm.total_seconds())}"
    return f"{'▲ stale' if is_stale else '● fresh'}: {age} old{usual}"


def failing_by_operation(failures: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: [day, operation, accounts] in the failed state."""
    return failures.rename(columns={"failing": "accounts"})[["day", "operation", "accounts"]]
