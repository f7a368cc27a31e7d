"""Files that wait for a person: held, refused, or in trouble."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.files.mapping import read_mapping
from data.files.naming import REPLACE_PREFIX, SnapshotFile, parse_moment, strip_prefixes
from data.history.preview import Preview
from data.home import Home, current_home
from data.inbox.inbox import load_failures, put_into_inbox
from data.inbox.quarantine import (
    MISPLACED_FOLDER,
    QuarantineStatus,
    dismiss_file,
    find_quarantined_path,
    requeue_file,
)
from data.records.audit_log import Event
from data.store.restricted_views import REASON_NOT_SHOWN
from queries.snapshots import (
    FILES_PAGE_SIZE,
    count_quarantined,
    quarantined_files,
)
from server.authorize import real_store, record_action, writable_store
from server.session import current_principal
from widgets import timezone
from widgets.snapshots.preview import (
    OUTCOME_BADGES,
    SnapshotKey,
    display_name,
    needs_confirmation,
    preview_or_error,
    show_preview,
)


def show_quarantine() -> None:
    """Files that were held or refused, and those that cannot be loaded; quiet without any."""
    with real_store(Permission.LOAD_FILES).connect() as con:
        counts = count_quarantined(con)
        pages = -(-sum(counts.values()) // FILES_PAGE_SIZE)
        page = min(int(st.session_state.get("aside_page") or 1), max(1, pages))
        files = quarantined_files(con, page)
    visible_troubles = [
        trouble
        for trouble in list(load_failures.values())
        if current_principal().is_allowed(Permission.LOAD_FILES, trouble.path.parent.name)
    ]
    if not files and not visible_troubles:
        return
    st.subheader("To be decided", anchor=False)
    labels = [
        f"{counts[status]:,} {status}" for status in ("on hold", "rejected") if status in counts
    ]
    if labels:
        st.caption(f"{' and '.join(labels)}. Nothing of these files is in any list or chart.")
    for trouble in visible_troubles:
        with st.container(border=True):
            st.badge("Cannot be loaded now", icon=":material/sync_problem:", color="orange")
            st.text(_visible_reason(trouble.reason))
    for file in files:
        _show_card(file)
    if pages > 1:
        st.pagination(pages, key="aside_page")


def _show_card(file: Row[Any]) -> None:
    """One held or refused file: why, what would happen, and what can be done."""
    identity = f"{file.status}/{file.integration}/{file.file_name}"
    key = hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:12]
    label, icon, color = OUTCOME_BADGES[file.status]
    with st.container(border=True, key=f"aside_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(label, icon=icon, color=color)
            st.text(_file_title(file))
            st.caption(timezone.format_with_zone(file.quarantined_at))
        st.text(_visible_reason(file.reason))
        result = None
        if file.taken_at and file.integration != MISPLACED_FOLDER:
            expander = st.expander("See what would happen", on_change="rerun", key=f"see_{key}")
            if expander.open:
                with expander:
                    result = _preview_or_error(file)
                    if isinstance(result, str):
                        st.text(_visible_reason(result))
                    else:
                        show_preview(result, key=key)
        with st.container(horizontal=True):
            _show_actions(file, result, key)


def _visible_reason(reason: str) -> str:
    """Why a file is not loaded, which can quote it."""
    return REASON_NOT_SHOWN if current_principal().uses_pseudonyms else reason


def _file_title(file: Row[Any]) -> str:
    name = display_name(strip_prefixes(file.file_name))
    if not file.taken_at or file.integration == MISPLACED_FOLDER:
        return name
    return (
        f"{file.integration} at {timezone.format_with_zone(file.taken_at, seconds=True)} · {name}"
    )


def _preview_or_error(file: Row[Any]) -> Preview | str:
    """Of a file that lies aside. It stays where it is."""

    @contextmanager
    def open_file(snapshot_key: SnapshotKey) -> Iterator[SnapshotFile]:
        yield SnapshotFile(path, *snapshot_key, read_mapping(current_home(), snapshot_key[0]))

    try:
        path = find_quarantined_path(current_home(), file.status, file.integration, file.file_name)
    except FileNotFoundError as error:
        return str(error)
    known = file.integration, file.taken_at
    cache_key = f"{path} {path.stat().st_mtime_ns}"
    return preview_or_error(cache_key, known, open_file)


def _show_actions(file: Row[Any], result: Preview | str | None, key: str) -> None:
    """The buttons; what changes the store is asked about first."""
    replaced_file, must_confirm = "", file.status == "on hold"
    if isinstance(result, Preview):
        replaced_file = "" if REPLACE_PREFIX in file.file_name else result.replaced_file
        must_confirm = must_confirm or needs_confirmation(result.load_report)
    label_suffix, icon = (
        ("in its place", "swap_horiz") if replaced_file else ("all the same", "check")
    )
    if (replaced_file or must_confirm) and st.button(
        f"Load it {label_suffix}", icon=f":material/{icon}:", key=f"load_{key}"
    ):
        _ask_to_load(file, replaced_file)
    if file.status == "rejected" and file.taken_at and file.integration != MISPLACED_FOLDER:
        retry = partial(requeue_file, confirmed=False)
        st.button(
            "Try again",
            icon=":material/refresh:",
            key=f"again_{key}",
            on_click=_run_action,
            args=(retry, file, "try again"),
        )
    label, icon = ("Refuse", "block") if file.status == "on hold" else ("Dismiss", "close")
    if st.button(label, icon=f":material/{icon}:", key=f"dismiss_{key}"):
        _ask_to_dismiss(file)


@st.dialog("Load this file all the same?")
def _ask_to_load(file: Row[Any], replaced_file: str) -> None:
    st.text(
        f"{file.integration}, taken at {timezone.format_with_zone(file.taken_at, seconds=True)}."
    )
    st.text(file.reason)
    if replaced_file:
        st.text(
            f"It takes the place of {replaced_file}, which is kept in {current_home().removed}."
        )
    st.text("Every list and chart shows it from then on. It can be removed again on this page.")
    with st.container(horizontal=True):
        action = _replace_loaded if replaced_file else partial(requeue_file, confirmed=True)
        decision = (
            f"load it in place of {replaced_file}" if replaced_file else "load it all the same"
        )
        action_args = (action, file, decision)
        is_confirmed = st.button(
            "Load it", type="primary", key="load_sure", on_click=_run_action, args=action_args
        )
        if is_confirmed or st.button("Cancel", key="load_not"):
            st.rerun()


@st.dialog("Leave this file out?")
def _ask_to_dismiss(file: Row[Any]) -> None:
    st.text(_file_title(file))
    st.text(
        f"It is not loaded, and not shown here any more. It is kept, in {current_home().removed}."
    )
    with st.container(horizontal=True):
        is_confirmed = st.button(
            "Leave it out",
            type="primary",
            key="dismiss_sure",
            on_click=_run_action,
            args=(dismiss_file, file, "leave it out"),
        )
        if is_confirmed or st.button("Cancel", key="dismiss_not"):
            st.rerun()


def _run_action(action: Callable[..., None], file: Row[Any], decision: str) -> None:
    """Move a file that lies aside; somebody else may have done so meanwhile."""
    try:
        action(
            writable_store(Permission.LOAD_FILES, file.integration),
            current_home(),
            file.status,
            file.integration,
            file.file_name,
        )
    except FileNotFoundError:
        st.toast("Somebody has dealt with this file meanwhile.")
        return
    details = {"integration": file.integration, "file": file.file_name, "status": file.status}
    record_action(Event.FILE_DECIDED, decision=decision, **details)


def _replace_loaded(
    _: Any, home: Home, status: QuarantineStatus, integration: str, name: str
) -> None:
    """Into the inbox, to replace what is loaded; filed away from here when that is done."""
    path = find_quarantined_path(home, status, integration, name)
    moment = parse_moment(strip_prefixes(name).split(".", 1)[0])
    if moment:
        file = SnapshotFile(path, integration, moment)
        put_into_inbox(home, file, replace=True, confirmed=True)
