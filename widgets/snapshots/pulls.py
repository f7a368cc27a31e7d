"""What is pulled: from where, how often, how the last try went, and a button for now."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from data.access.roles import Act
from data.home import here
from data.inbox.pull import known_pulls, last_pulled
from data.inbox.schedule import Course, courses, next_pull, wanted
from data.records.audit_log import Event
from data.sources.http import PullFailed
from data.sources.settings import Pull
from server.authorize import allowed, noted
from server.session import principal
from widgets import timezone

LOOKED_AT_EVERY = 2
"""Seconds between two looks, while a pull is under way."""


def pulls() -> None:
    """Nothing where nothing can be pulled."""
    try:
        known = known_pulls()
    except PullFailed as fault:
        st.subheader("Pulls", anchor=False)
        st.text(
            str(fault) if principal().may_for_all(Act.LOAD) else "Their settings cannot be read."
        )
        return
    who = principal()
    known = [asked for asked in known if who.may(Act.LOAD, asked.integration)]
    if not known:
        return
    st.subheader("Pulls", anchor=False)
    busy = any(_is_busy(asked) for asked in known)
    st.fragment(_list, run_every=LOOKED_AT_EVERY if busy else None)(known, was_busy=busy)


def _list(known: list[Pull], *, was_busy: bool) -> None:
    allowed(Act.LOAD)
    for asked in known:
        _card(asked)
    if any(_is_busy(asked) for asked in known) != was_busy:
        st.rerun()


def _card(asked: Pull) -> None:
    name = asked.integration
    course = courses.get(name)
    with st.container(border=True, key=f"pull_{name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            words, icon, color = _verdict(asked, course)
            st.badge(words, icon=icon, color=color)  # type: ignore[arg-type]
            st.text(f"{name} · {asked.source}")
            st.text(_when(asked))
            st.button(
                "Pull now",
                icon=":material/download:",
                key=f"pull_now_{name}",
                disabled=_is_busy(asked),
                on_click=_pull_now,
                args=(name,),
            )
        if course:
            st.text(course.words)


def _pull_now(integration: str) -> None:
    allowed(Act.LOAD, integration)
    wanted.add(integration)
    noted(Event.PULLED, integration=integration)


def _is_busy(asked: Pull) -> bool:
    course = courses.get(asked.integration)
    return asked.integration in wanted or bool(course and course.under_way)


def _verdict(asked: Pull, course: Course | None) -> tuple[str, str, str]:
    if asked.integration in wanted:
        return "About to start", ":material/hourglass_top:", "blue"
    if course is None:
        return "Not pulled since the start", ":material/schedule:", "gray"
    if course.under_way:
        return "Is being pulled", ":material/hourglass_top:", "blue"
    if course.failed:
        return "Failed", ":material/sync_problem:", "orange"
    return "Pulled", ":material/check:", "green"


def _when(asked: Pull) -> str:
    last, due = last_pulled(here(), asked.integration), next_pull(here(), asked)
    parts = [f"newest snapshot {timezone.named(last)}" if last else "no snapshot yet"]
    parts.append(f"next {timezone.named(due)}" if due and due > datetime.min else "")  # noqa: DTZ901
    parts.append("" if asked.every else "only when asked for")
    return " · ".join(filter(None, parts))
