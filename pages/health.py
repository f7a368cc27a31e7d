"""How provisioning goes: is it getting better?"""

from datetime import UTC, datetime

import streamlit as st

from data.access.roles import Permission
from queries.health.backlog import backlog, open_jobs_by_start
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.trends import quarantined_files_by_day, trends
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import status, timezone
from widgets.filters import choose_integrations
from widgets.health import captions, drill_down, tables, tiles
from widgets.health.annotations import mark_quarantined, quarantined_text
from widgets.health.card import chart
from widgets.health.figures import (
    backlog_figure,
    durations_figure,
    failed_figure,
    failure_rate_figure,
    failure_trend_figure,
    state_counts_figure,
    state_mix_figure,
)
from widgets.health.heatmap import failure_map_figure
from widgets.health.period import (
    no_snapshots_note,
    period_days_picker,
    period_picker,
    scope_from_address,
    snapshot_scrubber,
)

st.title("Health")
zone = timezone.current_zone()

with store_connection(Permission.HEALTH) as con:
    integrations = integration_names(con)
    if not integrations:
        status.show_no_snapshots()
        st.stop()

    integration_area, period_area, zone_area = st.columns([3, 3, 2], vertical_alignment="bottom")
    with integration_area:
        chosen = choose_integrations(integrations)
    scope = scope_from_address(con, chosen, zone)
    with period_area:
        period_picker(scope)
    with zone_area:
        timezone.choose_zone()
    snapshot_scrubber(con, chosen, zone)
    if scope is None:
        no_snapshots_note(zone)
        st.stop()
    period_days_picker(scope)
    health_trends = trends(con, scope)
    now = scope.as_of or datetime.now(UTC).replace(tzinfo=None)
    quarantined = quarantined_files_by_day(con, chosen, scope.first, now.date())
    states, failures = health_trends.states, health_trends.failures
    comparison = captions.compare_states(health_trends, scope)
    quarantine_note, open_mark = quarantined_text(quarantined), drill_down.mark_opener(scope)
    open_cell = open_mark and (lambda mark, open_=open_mark: open_(drill_down.cell_mark(mark)))
    tiles.tiles(health_trends, comparison, scope, now)

    with st.grid(2, min_column_width=400, gap="small"):
        chart(
            "failing",
            "Failing at the end of the day",
            captions.failed_headline(comparison),
            "Accounts in a failed state: whether failures are cleared as fast as they come.",
            lambda: mark_quarantined(
                failed_figure(tables.failed_by_operation(failures)), quarantined
            ),
            tables.failed_by_operation(failures),
            open_mark,
            quarantine_note,
        )
        chart(
            "failure_rate",
            "Failure rate",
            captions.rate_headline(failures),
            "Of the jobs that ended on the day, the share that failed: whether more goes wrong.",
            lambda: mark_quarantined(failure_rate_figure(failures), quarantined),
            failures[["day", "operation", "new", "settled", "rate"]],
            open_mark,
            quarantine_note,
        )
        chart(
            "failure_trend",
            "New, carried over and cleared failures",
            captions.trend_headline(failures),
            "What came into a failed state on the day, what had been there, and what left it.",
            lambda: mark_quarantined(failure_trend_figure(failures), quarantined),
            failures[["day", "operation", "carried", "new", "cleared", "failing"]],
            open_mark,
            quarantine_note,
        )
        chart(
            "state_counts",
            "Accounts by provisioning state",
            captions.states_headline(health_trends.current_states),
            "Where every account stands"
            + ("; click a bar to see its accounts." if open_mark else "."),
            lambda: state_counts_figure(health_trends.current_states),
            health_trends.current_states,
            open_mark,
        )
        chart(
            "state_mix",
            "State mix over time",
            captions.mix_headline(comparison),
            "Settled accounts above; below them, those under way: a growing stack is a backlog.",
            lambda: mark_quarantined(state_mix_figure(states), quarantined),
            states,
            open_mark,
            quarantine_note,
        )
        durations_area, backlog_area, reasons_area = st.container(), st.container(), st.container()

    chart(
        "failing_map",
        "Failing by integration and day",
        captions.map_headline(health_trends.failed_by_integration),
        "The share of accounts that fail: where to look first, and since when. A triangle: a file "
        "was held or refused.",
        lambda: failure_map_figure(health_trends.failed_by_integration, quarantined),
        health_trends.failed_by_integration,
        open_cell,
        quarantine_note,
    )
    tables.integrations_card(health_trends, quarantined, scope, now)

    # What follows asks the history, which may take a moment the first time after a load.
    open_jobs = open_jobs_by_start(con, scope.integration, scope.as_of)
    ages = backlog(open_jobs, now)
    with backlog_area:
        chart(
            "backlog",
            "Backlog by age",
            captions.backlog_headline(ages),
            "How long accounts have waited in their state: what is stuck, and what is only busy.",
            lambda: backlog_figure(ages),
            ages,
            open_mark,
        )
    job_durations = durations(con, scope)
    with durations_area:
        chart(
            "durations",
            "Time to provision, update and delete",
            captions.durations_headline(job_durations),
            "Jobs begun in the period, until they settled; those still open count as at least so "
            "long (Kaplan–Meier). Dotted: half of them, and 90%.",
            lambda: durations_figure(job_durations),
            tables.durations_table(job_durations, durations(con, scope.previous)),
            open_mark,
        )
    with reasons_area:
        failed_count = int(
            health_trends.current_states.loc[
                health_trends.current_states["state"].isin(tiles.FAILED_STATES), "accounts"
            ].sum()
        )
        tables.failure_reasons_card(failure_reasons(con, scope), failed_count, scope)
