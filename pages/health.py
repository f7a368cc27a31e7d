"""How provisioning goes: is it getting better?"""

from datetime import UTC, datetime

import streamlit as st

from data.access.roles import Act
from queries.health.backlog import backlog, waits
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.trends import trends, unloaded_days
from queries.users.accounts import integration_names
from widgets import clock, empty, findings, health
from widgets.charts import chart
from widgets.figures import (
    backlog_figure,
    durations_figure,
    failing_figure,
    failing_map_figure,
    failure_rate_figure,
    failure_trend_figure,
    marked,
    state_counts_figure,
    state_mix_figure,
    unloaded_in_words,
)
from widgets.filters import choose_integrations
from widgets.period import (
    choose_days,
    choose_period,
    nothing_until,
    scope_of,
    scrub,
)
from widgets.store import reading

st.title("Health")
zone = clock.zone()

with reading(Act.HEALTH) as con:
    integrations = integration_names(con)
    if not integrations:
        empty.no_snapshots()
        st.stop()

    picker, period, zones = st.columns([3, 3, 2], vertical_alignment="bottom")
    with picker:
        chosen = choose_integrations(integrations)
    scope = scope_of(con, chosen, zone)
    with period:
        choose_period(scope)
    with zones:
        clock.choose_zone()
    scrub(con, chosen, zone)
    if scope is None:
        nothing_until(zone)
        st.stop()
    choose_days(scope)
    found = trends(con, scope)
    now = scope.at or datetime.now(UTC).replace(tzinfo=None)
    unloaded = unloaded_days(con, chosen, scope.first, now.date())
    states, failures = found.states, found.failures
    compared = findings.compared(found, scope)
    not_counted, open_mark = unloaded_in_words(unloaded), health.opens(scope)
    open_cell = open_mark and (lambda mark, open_=open_mark: open_(health.in_cell(mark)))
    health.tiles(found, compared, scope, now)

    with st.grid(2, min_column_width=400, gap="small"):
        chart(
            "failing",
            "Failing at the end of the day",
            findings.of_failing(compared),
            "Accounts in a failed state: whether failures are cleared as fast as they come.",
            lambda: marked(failing_figure(health.failing_by_operation(failures)), unloaded),
            health.failing_by_operation(failures),
            open_mark,
            not_counted,
        )
        chart(
            "failure_rate",
            "Failure rate",
            findings.of_rate(failures),
            "Of the jobs that ended on the day, the share that failed: whether more goes wrong.",
            lambda: marked(failure_rate_figure(failures), unloaded),
            failures[["day", "operation", "new", "settled", "rate"]],
            open_mark,
            not_counted,
        )
        chart(
            "failure_trend",
            "New, carried over and cleared failures",
            findings.of_trend(failures),
            "What came into a failed state on the day, what had been there, and what left it.",
            lambda: marked(failure_trend_figure(failures), unloaded),
            failures[["day", "operation", "carried", "new", "cleared", "failing"]],
            open_mark,
            not_counted,
        )
        chart(
            "state_counts",
            "Accounts by provisioning state",
            findings.of_states(found.now),
            "Where every account stands"
            + ("; click a bar to see its accounts." if open_mark else "."),
            lambda: state_counts_figure(found.now),
            found.now,
            open_mark,
        )
        chart(
            "state_mix",
            "State mix over time",
            findings.of_mix(compared),
            "Settled accounts above; below them, those under way: a growing stack is a backlog.",
            lambda: marked(state_mix_figure(states), unloaded),
            states,
            open_mark,
            not_counted,
        )
        lasting, waiting, failing = st.container(), st.container(), st.container()

    chart(
        "failing_map",
        "Failing by integration and day",
        findings.of_map(found.by_integration),
        "The share of accounts that fail: where to look first, and since when. A triangle: a file "
        "was held or refused.",
        lambda: failing_map_figure(found.by_integration, unloaded),
        found.by_integration,
        open_cell,
        not_counted,
    )
    health.integrations(found, unloaded, scope, now)

    # What follows asks the history, which may take a moment the first time after a load.
    waited = waits(con, scope.integrations, scope.at)
    ages = backlog(waited, now)
    with waiting:
        chart(
            "backlog",
            "Backlog by age",
            findings.of_backlog(ages),
            "How long accounts have waited in their state: what is stuck, and what is only busy.",
            lambda: backlog_figure(ages),
            ages,
            open_mark,
        )
    lasted = durations(con, scope)
    with lasting:
        chart(
            "durations",
            "Time to provision, update and delete",
            findings.of_durations(lasted),
            "Jobs begun in the period, until they settled; those still open count as at least so "
            "long (Kaplan–Meier). Dotted: half of them, and 90%.",
            lambda: durations_figure(lasted),
            health.durations_table(lasted, durations(con, scope.before)),
            open_mark,
        )
    with failing:
        failed = int(found.now.loc[found.now["state"].isin(health.FAILED), "accounts"].sum())
        health.reasons(failure_reasons(con, scope), failed, scope)
