"""The parts of the Health page: tiles, charts that open Users, and two small tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from data.states import FAILED, OPERATIONS, STATE_BY_NAME, WAITING
from queries.filters import Filters
from widgets.figures import PLOTLY_CONFIG, UNLOADED
from widgets.filters import open_users


def tiles(
    states: pd.DataFrame, newest: pd.DataFrame, waits_since: datetime | None, days: int
) -> None:
    """What counts now, each with its change over the period. `states` as of `daily_states`."""
    failed, waiting = states["state"].isin(FAILED), states["state"].isin(WAITING)
    daily = pd.DataFrame(
        {
            "Accounts": states.groupby("day")["accounts"].sum(),
            "Active": states.groupby("day")["active"].sum(),
            "Unmatched": states.groupby("day")["unmatched"].sum(),
            "Failed": states[failed].groupby("day")["accounts"].sum(),
            "Waiting": states[waiting].groupby("day")["accounts"].sum(),
        }
    ).fillna(0)
    with st.grid(min_column_width=150, gap="small"):
        for label, numbers in daily.items():
            before, after = (int(numbers.iloc[i]) if len(numbers) else 0 for i in (0, -1))
            change = after - before
            st.metric(
                str(label),
                f"{after:,}",
                f"{change:+,}" if change else "±0",
                delta_color=_good_or_bad(str(label), change),
                delta_arrow="auto" if change else "off",
                delta_description=f"in {days} days",
                chart_data=numbers.tolist(),
                border=True,
                help=MEANINGS[str(label)],
            )
        ages = {"Oldest wait": waits_since, "Newest snapshot": newest["taken_at"].max()}
        for label, since in ages.items():
            st.metric(label, _age(since), border=True, height="stretch", help=MEANINGS[label])


MEANINGS = {
    "Accounts": "All accounts of the integrations shown, deleted ones included.",
    "Active": "Accounts that the app calls active, whatever their provisioning state.",
    "Unmatched": "Accounts without a user: neither a name nor an email is known.",
    "Failed": "Accounts whose provisioning, update or deletion failed.",
    "Waiting": "Accounts whose job is queued or in progress.",
    "Oldest wait": "How long the longest waiting account has been in its state.",
    "Newest snapshot": "How long ago the newest snapshot was taken.",
}


def _good_or_bad(label: str, change: int) -> Any:
    return "inverse" if change and label in ("Unmatched", "Failed", "Waiting") else "off"


def _age(since: datetime | None) -> str:
    if since is None or pd.isna(since):
        return "–"
    minutes = int((datetime.now(UTC).replace(tzinfo=None) - since).total_seconds() // 60)
    if minutes < 60:
        return f"{max(minutes, 0)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440:,} days"


def chart(title: str, words: str, figure: go.Figure, *, key: str, besides: str = "") -> None:
    """A figure under its title and one sentence; a click on a mark opens its accounts.

    `besides` is said to those who do not see it.
    """
    with st.container(border=True, key=f"card_{key}"):
        st.subheader(title, anchor=False)
        st.caption(words)
        event = st.plotly_chart(
            figure,
            key=key,
            theme="streamlit",
            config=PLOTLY_CONFIG,
            on_select="rerun",
            selection_mode="points",
            alt=f"{title}. {words} {besides}".strip(),
        )
    points = event.selection.points
    if points and UNLOADED in points[0]["customdata"]:
        st.switch_page("snapshots.py")
    if points:
        open_users(meant_by(points[0]["customdata"]))


def meant_by(mark: Sequence[str]) -> Filters:
    """The accounts that a mark stands for: of some states, or of a day and states or operation."""
    day = mark[0] if mark[0] not in STATE_BY_NAME else None
    states = [
        state.name
        for state in STATE_BY_NAME.values()
        if state.name in mark or (state.phase == "failed" and state.operation in mark)
    ]
    return Filters.from_params(
        {
            "integration": st.session_state.get("integration") or [],
            "state": states,
            "as_of": [f"{day[:10]}T23:59:59Z"] if day else [],
        }
    )


def failing_by_operation(states: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: [day, operation, accounts] in the failed state."""
    operation = {name: STATE_BY_NAME[name].operation for name in FAILED}
    return (
        states[states["state"].isin(FAILED)]
        .assign(operation=lambda f: f["state"].map(operation))
        .loc[:, ["day", "operation", "accounts"]]
        .set_index(["day", "operation"])
        .reindex(
            pd.MultiIndex.from_product(
                [states["day"].unique(), OPERATIONS], names=["day", "operation"]
            ),
            fill_value=0,
        )
        .reset_index()
    )


def reasons(found: pd.DataFrame) -> None:
    """The reasons that accounts fail for now; `found` as of `failure_reasons`."""
    with st.container(border=True, key="card_reasons"):
        st.subheader("Top failure reasons", anchor=False)
        st.caption("Why accounts fail now, the reason with the most accounts first.")
        if found.empty:
            st.text("Nothing fails.")
            return
        st.dataframe(
            found,
            hide_index=True,
            key="reasons",
            alt="Failure reasons with an example and the number of accounts",
            column_config={
                "reason": st.column_config.TextColumn("Reason", width="medium"),
                "example": st.column_config.TextColumn("For example", width="large"),
                "accounts": st.column_config.ProgressColumn(
                    "Accounts", format="%d", min_value=0, max_value=int(found["accounts"].max())
                ),
            },
        )


def integrations(newest: pd.DataFrame, failing: pd.DataFrame, unloaded: pd.DataFrame) -> None:
    """A row per integration; selecting one opens its accounts.

    How many of its files are held or refused is told where some are.
    """
    lines = failing.groupby("integration")["failed"].apply(list).rename("trend")
    shown = newest.merge(lines, on="integration", how="left")
    aside = shown["integration"].map(unloaded.groupby("integration")["files"].sum())
    shown = shown.assign(unloaded=aside.astype("Int64"))
    with st.container(border=True, key="card_integrations"):
        st.subheader("Integrations", anchor=False)
        st.caption("Each at its newest snapshot; select a row to see its accounts.")
        event = st.dataframe(
            shown,
            hide_index=True,
            key="integrations",
            on_select="rerun",
            selection_mode="single-row",
            alt="One row per integration: accounts, active, unmatched, failed, waiting",
            column_order=[
                "integration",
                "accounts",
                "active",
                "unmatched",
                "failed",
                "waiting",
                "trend",
                "taken_at",
                *(["unloaded"] if shown["unloaded"].any() else []),
            ],
            column_config={
                "integration": st.column_config.TextColumn("Integration", pinned=True),
                "accounts": st.column_config.NumberColumn("Accounts", format="localized"),
                "active": st.column_config.NumberColumn("Active", format="localized"),
                "unmatched": st.column_config.NumberColumn("Unmatched", format="localized"),
                "failed": st.column_config.NumberColumn("Failed", format="localized"),
                "waiting": st.column_config.NumberColumn("Waiting", format="localized"),
                "trend": st.column_config.AreaChartColumn("Failing per day", y_min=0),
                "unloaded": st.column_config.NumberColumn("Held or refused files"),
                "taken_at": st.column_config.DatetimeColumn(
                    "Newest snapshot (UTC)", format="YYYY-MM-DD HH:mm"
                ),
            },
        )
    rows = event.selection.rows
    if rows:
        open_users(Filters(integration=(shown.iloc[rows[0]]["integration"],)))
