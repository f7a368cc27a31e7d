"""How provisioning goes: is it getting better?"""

from datetime import timedelta

import streamlit as st

from queries.health import (
    daily_failing,
    daily_outcomes,
    daily_states,
    failure_reasons,
    integrations_now,
    newest_day,
    oldest_wait,
)
from queries.snapshots import unloaded_days
from queries.users import integration_names
from widgets import empty, health
from widgets.figures import (
    failing_figure,
    failure_rate_figure,
    marked,
    newly_failed_figure,
    state_counts_figure,
    state_mix_figure,
    unloaded_in_words,
)
from widgets.filters import choose_integrations
from widgets.store import reading

PERIODS = (7, 30, 90)  # days; as the address names them

st.title("Health")

with reading() as con:
    integrations = integration_names(con)
    if not integrations:
        empty.no_snapshots()
        st.stop()

    picker, period = st.columns([3, 1], vertical_alignment="bottom")
    with picker:
        chosen = choose_integrations(integrations)
    days = period.segmented_control(
        "Days shown",
        PERIODS,
        default=30,
        required=True,
        key="days",
        bind="query-params",
    )
    today = newest_day(con, chosen)
    if today is None:
        empty.no_snapshots()
        st.stop()
    since = today - timedelta(days=days - 1)
    states = daily_states(con, chosen, since)
    outcomes = daily_outcomes(con, chosen, since)
    failing = daily_failing(con, chosen, since)
    newest = integrations_now(con, chosen)
    reasons = failure_reasons(con, chosen)
    wait = oldest_wait(con, chosen)
    unloaded = unloaded_days(con, chosen, since, today + timedelta(days=days))

not_counted = unloaded_in_words(unloaded)

health.tiles(states, newest, wait, days)

with st.grid(2, min_column_width=400, gap="small"):
    health.chart(
        "Accounts by provisioning state",
        "Where every account stands now; click a bar to see its accounts.",
        state_counts_figure(states[states["day"] == states["day"].max()]),
        key="state_counts",
    )
    health.chart(
        "State mix over time",
        "Settled accounts above; below them, those under way: a growing stack is a backlog.",
        marked(state_mix_figure(states), unloaded),
        key="state_mix",
        besides=not_counted,
    )
    health.chart(
        "Newly failed per day",
        "Accounts that came into a failed state on the day: whether something is going wrong now.",
        marked(newly_failed_figure(outcomes.rename(columns={"failed": "accounts"})), unloaded),
        key="newly_failed",
        besides=not_counted,
    )
    health.chart(
        "Failing at the end of the day",
        "Accounts in a failed state: whether failures are cleared as fast as they come.",
        marked(failing_figure(health.failing_by_operation(states)), unloaded),
        key="failing",
        besides=not_counted,
    )
    health.chart(
        "Failure rate",
        "Of the jobs that ended on the day, the share that failed: failed / (failed + settled).",
        marked(failure_rate_figure(outcomes), unloaded),
        key="failure_rate",
        besides=not_counted,
    )
    health.reasons(reasons)

health.integrations(newest, failing, unloaded)
