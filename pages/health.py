"""How provisioning goes: is it getting better?"""

from datetime import UTC, datetime

import streamlit as st

from data.access.roles import Act
from queries.health.backlog import backlog, waits
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.trends import trends, unloaded_days
from queries.users.accounts import integration_names
from server.authorize import reading
from widgets import status, timezone
from widgets.filters import choose_integrations
from widgets.health import captions, drill_down, tables, tiles
from widgets.health.annotations import marked, unloaded_in_words
from widgets.health.card import chart
from widgets.health.figures import (
    backlog_figure,
    durations_figure,
    failing_figure,
    failure_rate_figure,
    failure_trend_figure,
    state_counts_figure,
    state_mix_figure,
)
from widgets.health.heatmap import failing_map_figure
from widgets.health.period import choose_days, choose_period, nothing_until, scope_of, scrub

st.title("Health")
zone = timezone.zone()

with reading(Act.HEALTH) as con:
    integrations = integration_names(con)
    if not integrations:
        status.no_snapshots()
        st.stop()

    picker, period, zones = st.columns([3, 3, 2], vertical_alignment="bottom")
    with picker:
        chosen = choose_integrations(integrations)
    scope = scope_of(con, chosen, zone)
    with period:
        choose_period(scope)
    with zones:
        timezone.choose_zone()
    scrub(con, chosen, zone)
    if scope is None:
        nothing_until(zone)
        st.stop()
    choose_days(scope)
    found = trends(con, scope)
    now = scope.at or datetime.now(UTC).replace(tzinfo=None)
    unloaded = unloaded_days(con, chosen, scope.first, now.date())
    states, failures = found.states, found.failures
    compared = captions.compared(found, scope)
    not_counted, open_mark = unloaded_in_words(unloaded), drill_down.opens(scope)
    open_cell = open_mark and (lambda mark, open_=open_mark: open_(drill_down.in_cell(mark)))
    tiles.tiles(found, compared, scope, now)

    with st.grid(2, min_column_width=400, gap="small"):
        chart(
            "failing",
            "Failing at the end of the day",
            captions.of_failing(compared),
            "Accounts in a failed state: whether failures are cleared as fast as they come.",
            lambda: marked(failing_figure(tables.failing_by_operation(failures)), unloaded),
            tables.failing_by_operation(failures),
            open_mark,
            not_counted,
        )
        chart(
            "failure_rate",
            "Failure rate",
            captions.of_rate(failures),
            "Of the jobs that ended on the day, the share that failed: whether more goes wrong.",
            lambda: marked(failure_rate_figure(failures), unloaded),
            failures[["day", "operation", "new", "settled", "rate"]],
            open_mark,
            not_counted,
        )
        chart(
            "failure_trend",
            "New, carried over and cleared failures",
            captions.of_trend(failures),
            "What came into a failed state on the day, what had been there, and what left it.",
            lambda: marked(failure_trend_figure(failures), unloaded),
            failures[["day", "operation", "carried", "new", "cleared", "failing"]],
            open_mark,
            not_counted,
        )
        chart(
            "state_counts",
            "Accounts by provisioning state",
            captions.of_states(found.now),
            "Where every account stands"
            + ("; click a bar to see its accounts." if open_mark else "."),
            lambda: state_counts_figure(found.now),
            found.now,
            open_mark,
        )
        chart(
            "state_mix",
            "State mix over time",
            captions.of_mix(compared),
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
        captions.of_map(found.by_integration),
        "The share of accounts that fail: where to look first, and since when. A triangle: a file "
        "was held or refused.",
        lambda: failing_map_figure(found.by_integration, unloaded),
        found.by_integration,
        open_cell,
        not_counted,
    )
    tables.integrations(found, unloaded, scope, now)

    # What follows asks the history, which may take a moment the first time after a load.
    waited = waits(con, scope.integrations, scope.at)
    ages = backlog(waited, now)
    with waiting:
        chart(
            "backlog",
            "Backlog by age",
            captions.of_backlog(ages),
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
            captions.of_durations(lasted),
            "Jobs begun in the period, until they settled; those still open count as at least so "
            "long (Kaplan–Meier). Dotted: half of them, and 90%.",
            lambda: durations_figure(lasted),
            tables.durations_table(lasted, durations(con, scope.before)),
            open_mark,
        )
    with failing:
        failed = int(found.now.loc[found.now["state"].isin(tiles.FAILED), "accounts"].sum())
        tables.reasons(failure_reasons(con, scope), failed, scope)
