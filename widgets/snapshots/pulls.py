"""What is pulled: from where, how often, how the last try went, and a button for now."""

from __future__ import annotations

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

REFRESH_SECONDS = 2
"""Seconds between two looks, while a pull is under way."""


def show_pulls() -> None:
    """Nothing where nothing can be pulled."""
    try:
        configured = configured_pulls()
    except PullFailed as error:
        st.subheader("Pulls", anchor=False)
        st.text(
            str(error)
            if current_principal().is_allowed_everywhere(Permission.LOAD_FILES)
            else "Their settings cannot be read."
        )
        return
    principal = current_principal()
    configured = [
        pull for pull in configured if principal.is_allowed(Permission.LOAD_FILES, pull.integration)
    ]
    if not configured:
        return
    st.subheader("Pulls", anchor=False)
    is_running = any(_is_running(pull) for pull in configured)
    st.fragment(_show_list, run_every=REFRESH_SECONDS if is_running else None)(
        configured, was_running=is_running
    )


def _show_list(configured: list[PullConfig], *, was_running: bool) -> None:
    authorize(Permission.LOAD_FILES)
    for pull in configured:
        _show_card(pull)
    if any(_is_running(pull) for pull in configured) != was_running:
        st.rerun()


def _show_card(pull: PullConfig) -> None:
    name = pull.integration
    run = pull_statuses.get(name)
    with st.container(border=True, key=f"pull_{name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            label, icon, color = _status_badge(pull, run)
            st.badge(label, icon=icon, color=color)  # type: ignore[arg-type]
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


def _status_badge(pull: PullConfig, run: PullStatus | None) -> tuple[str, str, str]:
    if pull.integration in requested_pulls:
        return "About to start", ":material/hourglass_top:", "blue"
    if run is None:
        return "Not pulled since the start", ":material/schedule:", "gray"
    if run.is_running:
        return "Is being pulled", ":material/hourglass_top:", "blue"
    if run.has_failed:
        return "Failed", ":material/sync_problem:", "orange"
    return "Pulled", ":material/check:", "green"


def _schedule_text(pull: PullConfig) -> str:
    last, due = (
        latest_taken_at(current_home(), pull.integration),
        next_pull_time(current_home(), pull),
    )
    parts = [f"newest snapshot {timezone.format_with_zone(last)}" if last else "no snapshot yet"]
    parts.append(f"next {timezone.format_with_zone(due)}" if due and due > datetime.min else "")  # noqa: DTZ901
    parts.append("" if pull.interval else "only when asked for")
    return " · ".join(filter(None, parts))
