"""Files that need a decision: on hold, rejected, or failing to load."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.files.mapping import read_mapping
from data.files.naming import REPLACE_PREFIX, SnapshotFile, parse_file_moment
from data.history.confirmation import KEEP_HISTORY
from data.history.preview import Preview, preview
from data.home import Home
from data.inbox.actions import dismiss_file, requeue_file
from data.inbox.inbox import load_failures, put_into_inbox
from data.inbox.quarantine import MISPLACED_FOLDER, QuarantineStatus, find_quarantined_path
from data.inbox.reread import keep_history
from data.inbox.upload import printable_name
from data.records.audit_log import Event
from queries.snapshots import (
    FILES_PAGE_SIZE,
    FileFilter,
    count_quarantined,
    file_filter_from_params,
    quarantined_files,
)
from server.authorize import active_home, record_decision, store_connection, writable_store
from server.session import current_principal
from widgets import timezone
from widgets.address import address_params, show_narrowing
from widgets.confirmation import decide, show_confirmation
from widgets.snapshots import badges
from widgets.snapshots.preview import needs_confirmation, preview_or_error, show_preview

NOT_COUNTED = "Their accounts are not in any list or chart."
LOAD_EFFECT = (
    "Its accounts then appear in every list and chart. You can remove it again on this page."
)
KEEP_EFFECT = (
    "All files of {integration} are read again, and its accounts are identified by username. This "
    "also holds for its next files. Account IDs are kept as a further column."
)
DISMISS_EFFECT = "It is not loaded, and disappears from this list. It stays in {folder}."
ALREADY_HANDLED = "Someone else has already handled this file."


def show_quarantine() -> None:
    """One card per file; nothing if there are none."""
    chosen = file_filter_from_params(address_params())
    with store_connection(Permission.LOAD_FILES) as con:
        counts = count_quarantined(con, chosen)
        pages = -(-sum(counts.values()) // FILES_PAGE_SIZE)
        page = min(int(st.session_state.get("quarantine_page") or 1), max(1, pages))
        files = quarantined_files(con, page, chosen)
    failures = [
        failure
        for failure in ([] if chosen.status else list(load_failures.values()))
        if current_principal().is_allowed(Permission.LOAD_FILES, failure.path.parent.name)
    ]
    if not files and not failures and not chosen.status:
        return
    st.subheader("Needs a decision", anchor=False)
    labels = [
        f"{counts[status]:,} {status}" for status in ("on hold", "rejected") if status in counts
    ]
    if labels:
        st.caption(f"{', '.join(labels)}. {NOT_COUNTED}")
    if chosen.status:
        _show_choice(chosen)
    for failure in failures:
        with st.container(border=True):
            badges.RETRYING.show()
            st.text(failure.reason)
    for file in files:
        _show_card(file)
    if pages > 1:
        st.pagination(pages, key="quarantine_page")


def _show_choice(chosen: FileFilter) -> None:
    """Which of the files are listed, and a button that lists all."""
    of = f" of {', '.join(chosen.integrations)}" if chosen.integrations else ""
    show_narrowing(
        f"Only files{of} that are {chosen.status}.", "All files", "files", {"files": None}
    )


def _show_card(file: sa.Row[Any]) -> None:
    """Why the file is not loaded, what it would change, and what can be done."""
    identity = f"{file.status}/{file.integration}/{file.file_name}"
    key = hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:12]
    with st.container(border=True, key=f"quarantined_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges.OUTCOMES[file.status].show()
            st.text(_file_title(file))
            st.caption(timezone.format_with_zone(file.quarantined_at))
        st.text(file.reason)
        result = None
        if _is_placed(file):
            expander = st.expander("Preview changes", on_change="rerun", key=f"preview_{key}")
            if expander.open:
                with expander:
                    result = _show_preview(file, key)
        with st.container(horizontal=True):
            _show_actions(file, result, key)


def _is_placed(file: sa.Row[Any]) -> bool:
    """Whether the file's folder and name say which snapshot it is."""
    return bool(file.taken_at) and file.integration != MISPLACED_FOLDER


def _file_title(file: sa.Row[Any]) -> str:
    delivered = SnapshotFile(Path(file.file_name), file.integration, file.taken_at)
    name = printable_name(delivered.name)
    if not _is_placed(file):
        return name
    moment = timezone.format_with_zone(file.taken_at, seconds=True)
    return f"{file.integration} at {moment} · {name}"


def _show_preview(file: sa.Row[Any], key: str) -> Preview | None:
    """What loading the file would change, or why it cannot be loaded. The file does not move."""
    try:
        path = find_quarantined_path(active_home(), file.status, file.integration, file.file_name)
    except FileNotFoundError as error:
        st.text(str(error))
        return None
    snapshot_file = SnapshotFile(path, file.integration, file.taken_at)
    result = preview_or_error(
        f"{path} {path.stat().st_mtime_ns}",
        file.integration,
        partial(_preview, file=snapshot_file),
    )
    if isinstance(result, str):
        st.text(result)
        return None
    show_preview(result, key=key)
    return result


def _preview(engine: sa.Engine, file: SnapshotFile) -> Preview:
    mapping = read_mapping(active_home(), file.integration)
    return preview(engine, SnapshotFile(file.path, file.integration, file.taken_at, mapping))


# ---- what can be done with a file ----------------------------------------------------------------


def _show_actions(file: sa.Row[Any], result: Preview | None, key: str) -> None:
    """The buttons; a dialog comes before anything that changes the store."""
    replaced_file, can_load = "", file.status == "on hold"
    if result:
        replaced_file = "" if REPLACE_PREFIX in file.file_name else result.replaced_file
        can_load = can_load or needs_confirmation(result.load_report)
    label, icon = (
        ("Replace loaded file", "swap_horiz") if replaced_file else ("Load anyway", "check")
    )
    if (replaced_file or can_load) and st.button(
        label, icon=f":material/{icon}:", key=f"load_{key}"
    ):
        _ask_to_load(file, replaced_file)
    if KEEP_HISTORY in file.reason and st.button(
        "Keep history", icon=":material/history:", key=f"keep_{key}"
    ):
        _ask_to_keep_history(file)
    if file.status == "rejected" and _is_placed(file):
        st.button(
            "Try again",
            icon=":material/refresh:",
            key=f"retry_{key}",
            on_click=decide,
            args=(_run_action, partial(requeue_file, confirmed=False), file, "try again"),
        )
    if st.button("Dismiss", icon=":material/close:", key=f"dismiss_{key}"):
        _ask_to_dismiss(file)


@st.dialog("Load this file anyway?")
def _ask_to_load(file: sa.Row[Any], replaced_file: str) -> None:
    moment = timezone.format_with_zone(file.taken_at, seconds=True)
    st.text(f"{file.integration}, taken at {moment}.")
    st.text(file.reason)
    action, decision = partial(requeue_file, confirmed=True), "load anyway"
    if replaced_file:
        st.text(f"It replaces {replaced_file}, which moves to {active_home().removed}.")
        action, decision = _replace_loaded, f"replace {replaced_file}"
    st.text(LOAD_EFFECT)
    show_confirmation("Load file", "load", _run_action, (action, file, decision))


@st.dialog("Keep the history of these accounts?")
def _ask_to_keep_history(file: sa.Row[Any]) -> None:
    st.text(file.reason)
    st.text(KEEP_EFFECT.format(integration=file.integration))
    show_confirmation("Keep history", "keep", _run_action, (keep_history, file, "keep history"))


@st.dialog("Dismiss this file?")
def _ask_to_dismiss(file: sa.Row[Any]) -> None:
    st.text(_file_title(file))
    st.text(DISMISS_EFFECT.format(folder=active_home().removed))
    show_confirmation("Dismiss file", "dismiss", _run_action, (dismiss_file, file, "dismiss"))


def _run_action(action: Callable[..., None], file: sa.Row[Any], decision: str) -> str | None:
    """Move the file, unless someone else has done so in the meantime."""
    place = file.status, file.integration, file.file_name
    try:
        action(writable_store(Permission.LOAD_FILES, file.integration), active_home(), *place)
    except FileNotFoundError:
        return ALREADY_HANDLED
    details = {"integration": file.integration, "file": file.file_name, "status": file.status}
    record_decision(Event.FILE_DECIDED, decision=decision, **details)
    return None


def _replace_loaded(
    _: sa.Engine, home: Home, status: QuarantineStatus, integration: str, name: str
) -> None:
    """Put the file into the inbox to replace what is loaded; loading it clears the quarantine."""
    path = find_quarantined_path(home, status, integration, name)
    moment = parse_file_moment(name)
    if moment:
        file = SnapshotFile(path, integration, moment)
        put_into_inbox(home, file, replace=True, confirmed=True)
