"""Files that wait for a person: held, refused, or in trouble."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.files.mapping import mapping_of
from data.files.naming import REPLACING, SnapshotFile, moment_of, unmarked
from data.history.preview import Preview
from data.home import Home, here
from data.inbox.inbox import put_into_inbox, troubles
from data.inbox.quarantine import MISPLACED, Verdict, deliver_again, dismiss, file_aside
from data.records.audit_log import Event
from data.store.restricted_views import UNTOLD
from queries.snapshots import (
    FILES_SHOWN,
    count_unloaded,
    unloaded_files,
)
from server.authorize import changing, delivered, noted
from server.session import principal
from widgets import timezone
from widgets.snapshots.preview import OUTCOMES, Known, look_at, needs_word, show_preview, shown_name


def needs_a_person() -> None:
    """Files that were held or refused, and those that cannot be loaded; quiet without any."""
    with delivered(Act.LOAD).connect() as con:
        counts = count_unloaded(con)
        pages = -(-sum(counts.values()) // FILES_SHOWN)
        page = min(int(st.session_state.get("aside_page") or 1), max(1, pages))
        files = unloaded_files(con, page)
    stuck = [
        trouble
        for trouble in list(troubles.values())
        if principal().may(Act.LOAD, trouble.path.parent.name)
    ]
    if not files and not stuck:
        return
    st.subheader("To be decided", anchor=False)
    told = [
        f"{counts[verdict]:,} {verdict}" for verdict in ("held", "refused") if verdict in counts
    ]
    if told:
        st.caption(f"{' and '.join(told)}. Nothing of these files is in any list or chart.")
    for trouble in stuck:
        with st.container(border=True):
            st.badge("Cannot be loaded now", icon=":material/sync_problem:", color="orange")
            st.text(_as_may_be_told(trouble.reason))
    for file in files:
        _aside_card(file)
    if pages > 1:
        st.pagination(pages, key="aside_page")


def _aside_card(file: Row[Any]) -> None:
    """One held or refused file: why, what would happen, and what can be done."""
    named = f"{file.verdict}/{file.integration}/{file.file_name}"
    key = hashlib.sha256(named.encode(errors="replace")).hexdigest()[:12]
    words, icon, color = OUTCOMES[file.verdict]
    with st.container(border=True, key=f"aside_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(words, icon=icon, color=color)
            st.text(_what_it_is(file))
            st.caption(timezone.named(file.found_at))
        st.text(_as_may_be_told(file.reason))
        seen = None
        if file.taken_at and file.integration != MISPLACED:
            box = st.expander("See what would happen", on_change="rerun", key=f"see_{key}")
            if box.open:
                with box:
                    seen = _preview_of(file)
                    if isinstance(seen, str):
                        st.text(_as_may_be_told(seen))
                    else:
                        show_preview(seen, key=key)
        with st.container(horizontal=True):
            _offer(file, seen, key)


def _as_may_be_told(why: str) -> str:
    """Why a file is not loaded, which can quote it."""
    return UNTOLD if principal().pseudonyms else why


def _what_it_is(file: Row[Any]) -> str:
    name = shown_name(unmarked(file.file_name))
    if not file.taken_at or file.integration == MISPLACED:
        return name
    return f"{file.integration} at {timezone.named(file.taken_at, seconds=True)} · {name}"


def _preview_of(file: Row[Any]) -> Preview | str:
    """Of a file that lies aside. It stays where it is."""

    @contextmanager
    def open_(known: Known) -> Iterator[SnapshotFile]:
        yield SnapshotFile(path, *known, mapping_of(here(), known[0]))

    try:
        path = file_aside(here(), file.verdict, file.integration, file.file_name)
    except FileNotFoundError as fault:
        return str(fault)
    known = file.integration, file.taken_at
    what = f"{path} {path.stat().st_mtime_ns}"
    return look_at(what, known, open_)


def _offer(file: Row[Any], seen: Preview | str | None, key: str) -> None:
    """The buttons; what changes the store is asked about first."""
    replaces, needs = "", file.verdict == "held"
    if isinstance(seen, Preview):
        replaces = "" if REPLACING in file.file_name else seen.replaces
        needs = needs or needs_word(seen.passport)
    words, icon = ("in its place", "swap_horiz") if replaces else ("all the same", "check")
    if (replaces or needs) and st.button(
        f"Load it {words}", icon=f":material/{icon}:", key=f"load_{key}"
    ):
        _ask_to_load(file, replaces)
    if file.verdict == "refused" and file.taken_at and file.integration != MISPLACED:
        again = partial(deliver_again, confirmed=False)
        st.button(
            "Try again",
            icon=":material/refresh:",
            key=f"again_{key}",
            on_click=_do,
            args=(again, file, "try again"),
        )
    label, icon = ("Refuse", "block") if file.verdict == "held" else ("Dismiss", "close")
    if st.button(label, icon=f":material/{icon}:", key=f"dismiss_{key}"):
        _ask_to_dismiss(file)


@st.dialog("Load this file all the same?")
def _ask_to_load(file: Row[Any], instead_of: str) -> None:
    st.text(f"{file.integration}, taken at {timezone.named(file.taken_at, seconds=True)}.")
    st.text(file.reason)
    if instead_of:
        st.text(f"It takes the place of {instead_of}, which is kept in {here().removed}.")
    st.text("Every list and chart shows it from then on. It can be removed again on this page.")
    with st.container(horizontal=True):
        act = _put_in_place if instead_of else partial(deliver_again, confirmed=True)
        words = f"load it in place of {instead_of}" if instead_of else "load it all the same"
        act_on = (act, file, words)
        sure = st.button("Load it", type="primary", key="load_sure", on_click=_do, args=act_on)
        if sure or st.button("Cancel", key="load_not"):
            st.rerun()


@st.dialog("Leave this file out?")
def _ask_to_dismiss(file: Row[Any]) -> None:
    st.text(_what_it_is(file))
    st.text(f"It is not loaded, and not shown here any more. It is kept, in {here().removed}.")
    with st.container(horizontal=True):
        sure = st.button(
            "Leave it out",
            type="primary",
            key="dismiss_sure",
            on_click=_do,
            args=(dismiss, file, "leave it out"),
        )
        if sure or st.button("Cancel", key="dismiss_not"):
            st.rerun()


def _do(act: Callable[..., None], file: Row[Any], decision: str) -> None:
    """Move a file that lies aside; somebody else may have done so meanwhile."""
    try:
        act(
            changing(Act.LOAD, file.integration),
            here(),
            file.verdict,
            file.integration,
            file.file_name,
        )
    except FileNotFoundError:
        st.toast("Somebody has dealt with this file meanwhile.")
        return
    named = {"integration": file.integration, "file": file.file_name, "verdict": file.verdict}
    noted(Event.DECIDED, decision=decision, **named)


def _put_in_place(_: Any, home: Home, verdict: Verdict, integration: str, name: str) -> None:
    """Into the inbox, to replace what is loaded; filed away from here when that is done."""
    path = file_aside(home, verdict, integration, name)
    moment = moment_of(unmarked(name).split(".", 1)[0])
    if moment:
        file = SnapshotFile(path, integration, moment)
        put_into_inbox(home, file, replace=True, confirmed=True)
