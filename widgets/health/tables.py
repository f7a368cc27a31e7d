"""The tables of Health: states, failure reasons, integrations. A row opens its accounts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from data.access.roles import Permission
from data.formatting import format_span, signed
from data.states import STATE_BY_NAME, STATES, UNRECOGNIZED
from queries.filters import Filters
from queries.health.durations import Durations
from queries.health.integrations import stale_integrations
from queries.period import to_local
from server.authorize import authorize
from widgets import users_table as ut
from widgets.filters import open_users
from widgets.health import captions
from widgets.health.card import data_controls, heading
from widgets.health.drill_down import can_open_marks
from widgets.health.health_data import HealthData
from widgets.state_marks import state_mark, tone_and_icon

STATES_CAPTION = "All accounts by their current state. Bars compare unsettled accounts."
REASONS_CAPTION = "“…” stands for details that differ. Change is over the selected period."
INTEGRATIONS_CAPTION = (
    "Latest snapshot per integration, the most failed accounts first. “Stale” = later than twice "
    "its usual interval."
)
ROW_HINT = "Click a row to see its accounts."
INTERVAL_WORDS = {1: "hourly", 24: "daily", 168: "weekly"}


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


# ---- states --------------------------------------------------------------------------------------


def states_card(data: HealthData) -> None:
    """A row per state, with a bar for the unsettled ones."""
    counts, title = data.trends.current_states, "Accounts by provisioning state"
    scope = data.scope
    _card(
        "state_counts",
        title,
        captions.states_headline(counts),
        STATES_CAPTION,
        columns=[
            ut.column("state", "Provisioning state", width=2, sortable=False),
            ut.column("accounts", "Accounts", numeric=True, sortable=False),
            ut.column("bar", "", width=3, sortable=False),
        ],
        rows=_state_rows(counts),
        open_row=lambda name: open_users(
            Filters(state=(name,), integration=scope.integration, as_of=scope.as_of)
        ),
        frame=counts[["state", "accounts"]],
    )


def _state_rows(counts: pd.DataFrame) -> list[ut.TableRow]:
    by_state = counts.set_index("state")["accounts"].astype(int)
    states = [s for s in STATE_BY_NAME.values() if s in STATES or by_state.get(s.name, 0)]
    unsettled = [by_state.get(s.name, 0) for s in states if s.operation]
    largest = max([1, *unsettled])
    return [
        ut.row(
            state.name,
            state.name,
            state=state_mark(state.name),
            accounts=ut.number(by_state.get(state.name, 0)),
            bar=ut.bar(by_state.get(state.name, 0) / largest, tone_and_icon(state.name)[0])
            if state.operation and by_state.get(state.name, 0)
            else ut.quiet(""),
        )
        for state in states
        if state in STATES or state is UNRECOGNIZED
    ]


# ---- failure reasons -----------------------------------------------------------------------------


def failure_reasons_card(data: HealthData) -> None:
    """The most frequent failure reasons."""
    reasons, scope = data.reasons, data.scope
    _card(
        "reasons",
        "Top failure reasons",
        captions.reasons_headline(reasons, data.failed_count, has_trends=data.has_trends),
        REASONS_CAPTION,
        columns=[
            ut.column("reason", "Reason", width=4, sortable=False),
            ut.column("accounts", "Accounts", numeric=True, sortable=False),
            ut.column("change", "Change", numeric=True, sortable=False),
            ut.column("first_seen", "First seen", width=1.5, sortable=False),
        ],
        rows=[
            ut.row(
                row["reason"],
                row["reason"],
                reason=ut.text(captions.reason_text(row["reason"], row["template"])),
                accounts=ut.number(row["accounts"]),
                change=_change_cell(row["accounts"] - row["before"])
                if data.has_trends
                else ut.quiet(),
                first_seen=ut.time(
                    row["first_seen"], f"{to_local(row['first_seen'], scope.zone):%Y-%m-%d}"
                ),
            )
            for row in reasons.to_dict("records")
        ],
        open_row=lambda reason: open_users(
            Filters(integration=scope.integration, reason=(reason,), as_of=scope.as_of)
        ),
        frame=reasons,
    )


def _change_cell(change: int) -> ut.Cell:
    return ut.text(signed(change)) if change else ut.quiet(signed(change))


# ---- integrations --------------------------------------------------------------------------------


def integrations_card(data: HealthData) -> None:
    """A row per integration, the most failed accounts first."""
    integrations = data.trends.integrations
    is_stale = stale_integrations(integrations, data.now)
    table = _integrations_table(data, is_stale)
    has_files = bool(table["quarantined"].any())
    _card(
        "integrations",
        "Integrations",
        captions.integrations_headline(
            len(integrations),
            int(is_stale.sum()),
            int(integrations["integration"].isin(data.directories).sum()),
        ),
        INTEGRATIONS_CAPTION,
        columns=_integration_columns(data.scope.zone, has_files=has_files),
        rows=[_integration_row(row) for row in table.to_dict("records")],
        open_row=lambda name: open_users(Filters(integration=(name,), as_of=data.scope.as_of)),
        frame=table.drop(columns=["trend", "moment"]),
    )


def _integrations_table(data: HealthData, is_stale: pd.Series) -> pd.DataFrame:
    failed = data.trends.failed_by_integration.groupby("integration")["failed"].apply(list)
    table = data.trends.integrations.merge(failed.rename("trend"), on="integration", how="left")
    files = table["integration"].map(data.files.groupby("integration")["files"].sum())
    ages = data.now - pd.to_datetime(table["taken_at"])
    intervals = table["usual_interval"]
    freshness = map(_freshness_text, ages, intervals, is_stale)
    total = max(int(table["failed"].sum()), 1)
    table = table.assign(
        quarantined=files.astype("Int64"),
        freshness=list(freshness),
        share=table["failed"] / total,
        moment=table["taken_at"],
        taken_at=[to_local(moment, data.scope.zone) for moment in table["taken_at"]],
    ).drop(columns="usual_interval")
    return table.sort_values("failed", ascending=False, kind="stable")


def _integration_columns(zone: str, *, has_files: bool) -> list[ut.TableColumn]:
    numbers = {
        "failed": "Failed",
        "share": "Share of failed",
        "open": "Open jobs",
        "accounts": "Accounts",
        "active": "Active",
        "unmatched": "Unmatched",
    } | ({"quarantined": "Files on hold or rejected"} if has_files else {})
    return [
        ut.column("integration", "Integration", width=1.7, sortable=False),
        *(
            ut.column(key, label, width=1.1, numeric=True, sortable=False)
            for key, label in numbers.items()
        ),
        ut.column("trend", "Failed per day", width=1.5, sortable=False),
        ut.column("freshness", "Age", width=1.9, sortable=False),
        ut.column("moment", f"Latest snapshot ({zone})", width=1.8, sortable=False),
    ]


def _integration_row(row: Mapping[Any, Any]) -> ut.TableRow:
    name, trend = row["integration"], row["trend"] if isinstance(row["trend"], list) else []
    files = row["quarantined"]
    return ut.row(
        name,
        name,
        integration=ut.text(name),
        failed=ut.number(row["failed"]),
        share=ut.text(f"{row['share']:.0%}") if row["failed"] else ut.quiet(),
        open=ut.number(row["open"]),
        accounts=ut.number(row["accounts"]),
        active=ut.number(row["active"]),
        unmatched=ut.number(row["unmatched"]),
        quarantined=ut.quiet() if pd.isna(files) else ut.number(files),
        trend=ut.course(trend, f"{row['failed']:,} failed now"),
        freshness=ut.text(row["freshness"]),
        moment=ut.time(row["moment"]),
    )


def _freshness_text(age: Any, usual_interval: Any, is_stale: bool) -> str:
    """`5 h ago (daily)`, or `Stale · 3 days ago (daily)`."""
    age_text = format_span(max(age.total_seconds(), 0), units=1)
    interval_text = ""
    if not pd.isna(usual_interval):
        seconds = usual_interval.total_seconds()
        every = INTERVAL_WORDS.get(round(seconds / 3600)) or f"every {format_span(seconds)}"
        interval_text = f" ({every})"
    return f"{'Stale · ' if is_stale else ''}{age_text} ago{interval_text}"


# ---- drawing -------------------------------------------------------------------------------------


@st.fragment
def _card(
    key: str,
    title: str,
    headline: str,
    caption: str,
    *,
    columns: Sequence[ut.TableColumn],
    rows: Sequence[ut.TableRow],
    open_row: Callable[[str], None],
    frame: pd.DataFrame,
) -> None:
    """A table on its card; a row opens its accounts, if the reader may see them."""
    authorize(Permission.HEALTH)
    can_open = can_open_marks() and bool(rows)
    with st.container(border=True, key=f"card_{key}"):
        heading(title, headline, f"{caption} {ROW_HINT}" if can_open else caption)
        if not rows:
            return
        ut.users_table(
            rows,
            columns=columns,
            caption=title,
            empty="",
            key=key,
            on_row=open_row if can_open else None,
        )
        data_controls(key, title, frame, has_table=False)
