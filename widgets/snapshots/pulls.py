"""Pulls: source, schedule, result of the last pull, and a button to pull now."""

from datetime import datetime

import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.inbox.pull import configured_pulls, latest_taken_at
from data.inbox.schedule import PullStatus, next_pull_time, pull_statuses, requested_pulls
from data.records.audit_log import Event
from data.sources.http import PullFailed
from data.sources.settings import PullConfig
from server.authorize import authorize, record_action
from server.session import current_principal
from widgets import timezone
from widgets.snapshots.badges import Badge

SETTINGS_UNREADABLE = "The pull settings cannot be read."

REFRESH_SECONDS = 2
"""Seconds between two updates while a pull runs."""


def show_pulls() -> None:
    """One card per pull that the reader can start; nothing if there are none."""
    principal = current_principal()
    try:
        configured = [
            pull
            for pull in configured_pulls()
            if principal.is_allowed(Permission.LOAD_FILES, pull.integration)
        ]
    except PullFailed as error:
        can_see_settings = principal.is_allowed_everywhere(Permission.LOAD_FILES)
        st.subheader("Pulls", anchor=False)
        st.text(str(error) if can_see_settings else SETTINGS_UNREADABLE)
        return
    if not configured:
        return
    st.subheader("Pulls", anchor=False)
    is_running = any(map(_is_running, configured))
    st.fragment(_show_list, run_every=REFRESH_SECONDS if is_running else None)(
        configured, was_running=is_running
    )


def _show_list(configured: list[PullConfig], *, was_running: bool) -> None:
    authorize(Permission.LOAD_FILES)
    for pull in configured:
        _show_card(pull)
    if any(map(_is_running, configured)) != was_running:
        st.rerun()


def _show_card(pull: PullConfig) -> None:
    name = pull.integration
    run = pull_statuses.get(name)
    with st.container(border=True, key=f"pull_{name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            _status_badge(pull, run).show()
            st.text(f"{name} · {pull.source}")
            st.text(_schedule_text(pull))
            st.button(
                "Pull now",
                icon=":material/download:",
                key=f"pull_now_{name}",
                disabled=_is_running(pull),
                on_click=_pull_now,
                args=(name,),
            )
        if run:
            st.text(run.message)


def _pull_now(integration: str) -> None:
    authorize(Permission.LOAD_FILES, integration)
    requested_pulls.add(integration)
    record_action(Event.PULL_REQUESTED, integration=integration)


def _is_running(pull: PullConfig) -> bool:
    run = pull_statuses.get(pull.integration)
    return pull.integration in requested_pulls or bool(run and run.is_running)


def _status_badge(pull: PullConfig, run: PullStatus | None) -> Badge:
    if pull.integration in requested_pulls:
        return Badge("About to start", "hourglass_top", "blue")
    if run is None:
        return Badge("Not pulled since the start", "schedule", "gray")
    if run.is_running:
        return Badge("Pulling", "hourglass_top", "blue")
    if run.has_failed:
        return Badge("Failed", "sync_problem", "orange")
    return Badge("Pulled", "check", "green")


def _schedule_text(pull: PullConfig) -> str:
    last = latest_taken_at(current_home(), pull.integration)
    due = next_pull_time(current_home(), pull)
    parts = [f"latest snapshot {timezone.format_with_zone(last)}" if last else "no snapshot yet"]
    if due and due > datetime.min:  # noqa: DTZ901 - the earliest moment means now
        parts.append(f"next pull {timezone.format_with_zone(due)}")
    if not pull.interval:
        parts.append("only on request")
    return " · ".join(parts)
