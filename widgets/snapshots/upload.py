"""Uploads: what each file would change, the way into the inbox, and what became of it there.

A page only moves files. The one thread that keeps the store loads what lies in the inbox.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import streamlit as st

from data.access.roles import Permission
from data.files.errors import OtherContentLoaded, SnapshotRejected
from data.files.formats import find_reader
from data.files.mapping import ColumnMapping, read_mapping
from data.files.naming import SnapshotFile, parse_moment, strip_prefixes
from data.history.preview import Preview
from data.home import current_home
from data.inbox.inbox import inbox_files, load_failures, put_into_inbox
from data.inbox.quarantine import target_path
from data.records.audit_log import Event
from data.sources.delivery import read_headings
from data.store.errors import StoreError
from queries.snapshots import (
    FileOutcome,
    find_outcome,
)
from server.authorize import authorize, empty_store, real_store, record_action
from server.session import current_principal
from widgets import timezone
from widgets.labels import escape_label
from widgets.snapshots.mapping import choose_mapping
from widgets.snapshots.preview import (
    OUTCOME_BADGES,
    SnapshotKey,
    display_name,
    needs_confirmation,
    preview_or_error,
    show_preview,
)

FILE_NAME = re.compile(
    r"(?P<integration>[^/\\]*?)[\s_~-]*(?P<moment>\d{4}-?\d\d-?\d\d[-T_ :.\d]*Z?)"
)
"""`figma 2026-11-23T06-00-00Z`: how people name a file that lies in no folder."""

FORMATS_TEXT = (
    "CSV, TSV, JSON, NDJSON or Parquet, all but Parquet also as .gz or .zst; or what SCIM, Okta, "
    "Entra and others give, several pages as one ZIP archive"
)


class DeliveredUpload(NamedTuple):
    """An upload that was put into the inbox."""

    upload_id: str  # Streamlit's id of the uploaded file
    name: str
    integration: str
    taken_at: datetime
    sha256: str
    delivered_at: datetime  # naive UTC


@dataclass(frozen=True)
class ReadyUpload:
    """An upload that can be loaded, and how."""

    upload: Any
    snapshot_key: SnapshotKey
    replace: bool
    confirmed: bool


def show_uploads(integrations: Sequence[str], *, replaced: SnapshotKey | None = None) -> None:
    """Take files, show what each would change, and load those that a person says.

    `of`: the snapshot in whose place the file comes.
    """
    number = st.session_state.setdefault("_uploads", 0)
    limit_mb = int(st.get_option("server.maxUploadSize"))
    files = st.file_uploader(
        "Drop snapshot files here, or choose them"
        if not replaced
        else "The file to put in its place",
        accept_multiple_files=True,
        key=f"upload_{number}_{'one' if replaced else 'many'}",
        help=f"{FORMATS_TEXT}. Up to {limit_mb:,} MB each; "
        "the server’s maxUploadSize sets another limit.",
    )
    st.caption(f"{FORMATS_TEXT}, up to {limit_mb:,} MB each. Nothing is loaded before you say so.")
    delivered_ids = {item.upload_id for item in _delivered_uploads()}
    pending = [file for file in files if file.file_id not in delivered_ids]
    if files and not pending:
        st.session_state["_uploads"] += 1  # an empty uploader lets go of what it holds
        st.rerun()
    ready = [r for file in pending if (r := _show_card(file, integrations, replaced))]
    if len(ready) > 1 and st.button(
        f"Load all {len(ready):,}", type="primary", icon=":material/done_all:", key="load_all"
    ):
        for item in ready:
            _deliver(item)
        st.rerun()


def _show_card(
    file: Any, integrations: Sequence[str], replaced: SnapshotKey | None
) -> ReadyUpload | None:
    """One uploaded file; answers with how to load it where that can be."""
    key = hashlib.sha256(file.file_id.encode()).hexdigest()[:12]
    with st.container(border=True, key=f"card_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge = st.empty()
            st.text(display_name(file.name))
        if reason := _format_error(file):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(reason)
            return None
        snapshot_key = replaced or _ask_snapshot_key(file, integrations, key)
        if snapshot_key is None:
            badge.badge("To be completed", icon=":material/edit:", color="blue")
            return None
        if not current_principal().is_allowed(Permission.LOAD_FILES, snapshot_key[0]):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(f"Your role does not load files of {snapshot_key[0]}.")
            return None
        headings = _headings_of(file.file_id, file)
        columns = choose_mapping(headings, snapshot_key[0], key)
        cache_key = f"{file.file_id} {columns}"
        result = preview_or_error(
            cache_key, snapshot_key, partial(temporary_file, file, columns=columns)
        )
        if isinstance(result, str):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(result)
            return None
        label, icon, color = _status_badge(result)
        badge.badge(label, icon=icon, color=color)
        if result.already_loaded:
            st.text("This very file is loaded already: loading it again changes nothing.")
            return None
        show_preview(result, key=key)
        if columns != _saved_mapping(snapshot_key[0]):
            return None  # what is loaded is read as is saved; the button for that is above
        ready = _ask_confirmation(
            file, snapshot_key, result, key, is_replacement=replaced is not None
        )
        if st.button("Load", type="primary", key=f"load_{key}", disabled=ready is None) and ready:
            _deliver(ready)
            st.rerun()
        return ready


def _status_badge(result: Preview) -> tuple[str, str, Any]:
    """What is to be said of a file first: words, icon and colour."""
    if result.already_loaded:
        return "Loaded already", ":material/done_all:", "gray"
    if needs_confirmation(result.load_report):
        return "Would be held", ":material/pan_tool:", "orange"
    if result.replaced_file:
        return "Another file is loaded", ":material/swap_horiz:", "orange"
    if result.load_report.quality != "ok":
        return "Check", ":material/warning:", "orange"
    return "OK", ":material/check:", "green"


def _ask_confirmation(
    file: Any, snapshot_key: SnapshotKey, result: Preview, key: str, *, is_replacement: bool
) -> ReadyUpload | None:
    """What a person has to say first: that it may replace a file, that it is to be believed."""
    replace, confirmed = is_replacement, False
    if result.replaced_file and not is_replacement:
        st.text(
            f"{snapshot_key[0]} has a snapshot of this moment already, from "
            f"{result.replaced_file}, with other "
            "content."
        )
        replace = st.checkbox("Put this file in its place", key=f"replace_{key}")
    if needs_confirmation(result.load_report):
        confirmed = st.checkbox(
            "I have checked it: these accounts really leave", key=f"confirm_{key}"
        )
    is_incomplete = (result.replaced_file and not replace) or (
        needs_confirmation(result.load_report) and not confirmed
    )
    return (
        None
        if is_incomplete
        else ReadyUpload(file, snapshot_key, bool(replace and result.replaced_file), confirmed)
    )


def _ask_snapshot_key(file: Any, integrations: Sequence[str], key: str) -> SnapshotKey | None:
    """The integration and the moment: as the name says, or as a person does."""
    name, moment = parse_file_name(file.name)
    left, right = st.columns(2)
    names = sorted({*integrations, *filter(None, [name])}, key=str.casefold)
    integration = left.selectbox(
        "Integration",
        names,
        index=names.index(name) if name else None,
        placeholder="Choose one, or type a new name",
        accept_new_options=True,
        key=f"integration_{key}",
    )
    moment_text = timezone.format_moment(moment, seconds=True) if moment else ""
    typed = right.text_input(
        f"Taken at ({timezone.current_zone()})",
        moment_text,
        placeholder="2026-11-23 06:00",
        key=f"taken_at_{key}_{timezone.current_zone()}",  # typed for one zone, wrong in another
        max_chars=30,
    ).strip()
    reader_time = parse_moment(typed)
    # Unless it was written anew: the clocks show some hours twice, and a name says which is meant.
    taken_at = moment if typed == moment_text else reader_time and _typed_moment(typed, reader_time)
    if typed and not taken_at:
        st.text("Write the moment as 2026-11-23 06:00.")
    elif taken_at and taken_at > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1):
        st.text("This moment is still to come.")
        return None
    return (integration.strip(), taken_at) if integration and taken_at else None


def _typed_moment(typed: str, reader_time: datetime) -> datetime:
    """The moment at which the reader's clocks show this; `…Z` is UTC whatever they show."""
    return reader_time if typed.endswith("Z") else timezone.from_reader_time(reader_time)


def parse_file_name(name: str) -> tuple[str, datetime | None]:
    """Integration and moment from `figma/2026-11-23T06-00-00Z.csv` and its relatives.

    Only a name for a person to look at: no path is ever made of it.
    """
    *folders, base_name = re.split(r"[/\\]", name)
    stem = base_name.split(".", 1)[0]
    if match := FILE_NAME.fullmatch(stem):
        moment = parse_moment(match["moment"])
        integration = match["integration"].strip() or next(iter(folders[-1:]), "")
        return ("" if integration.startswith(".") else integration), moment
    return "", None


def _base_name(uploaded: Any) -> Path:
    return Path(display_name(re.split(r"[/\\]", uploaded.name)[-1]))


def _format_error(uploaded: Any) -> str:
    """Why its name tells that it cannot be read; empty where it may be."""
    try:
        find_reader(_base_name(uploaded))
    except SnapshotRejected as error:
        return str(error)
    return ""


@st.cache_data(scope="session", max_entries=50, show_spinner=False)
def _headings_of(upload_id: str, _file: Any) -> tuple[str, ...]:  # noqa: ARG001 - for the cache
    """Of a file of somebody's own columns; none of any other, or of one that cannot be read."""
    try:
        with (
            temporary_file(_file, ("headings", datetime.min)) as file,  # noqa: DTZ901 - of no moment
            empty_store().connect() as con,
        ):
            return read_headings(con, file.path)
    except (SnapshotRejected, StoreError):
        return ()


def _saved_mapping(integration: str) -> ColumnMapping | None:
    try:
        return read_mapping(current_home(), integration)
    except SnapshotRejected:
        return None


@contextmanager
def temporary_file(
    uploaded: Any, snapshot_key: SnapshotKey, columns: ColumnMapping | None = None
) -> Iterator[SnapshotFile]:
    """The upload as a file in the home, under a name of our own, for the length of the block.

    Of its own name only an ending that we know is used. Raises UnknownFormat, or NotPlaced for an
    integration that cannot be the name of a folder.
    """
    base_name = _base_name(uploaded)
    find_reader(base_name)
    with TemporaryDirectory(prefix=".upload-", dir=current_home().root) as folder:
        path = (
            Path(folder)
            / target_path(current_home().inbox, SnapshotFile(base_name, *snapshot_key)).name
        )
        path.write_bytes(uploaded.getbuffer())
        yield SnapshotFile(path, *snapshot_key, columns, given_name=base_name.name)


def _deliver(ready: ReadyUpload) -> None:
    """Put an upload into the inbox, and remember it, to tell what becomes of it."""
    uploaded, (integration, taken_at) = ready.upload, ready.snapshot_key
    authorize(Permission.LOAD_FILES, integration)
    try:
        with temporary_file(uploaded, ready.snapshot_key) as file:
            put_into_inbox(current_home(), file, replace=ready.replace, confirmed=ready.confirmed)
    except OtherContentLoaded:
        st.toast("Another file of this moment waits to be loaded. Try again in some seconds.")
        return
    except (SnapshotRejected, OSError) as error:
        st.toast(f"It could not be put into the inbox. {escape_label(str(error))}")
        return
    sha256 = hashlib.sha256(uploaded.getbuffer()).hexdigest()
    details = {"replaced": ready.replace, "confirmed": ready.confirmed, "sha256": sha256}
    record_action(
        Event.FILE_DELIVERED,
        integration=integration,
        taken_at=f"{taken_at.isoformat()}Z",
        **details,
    )
    _delivered_uploads().append(
        DeliveredUpload(
            uploaded.file_id,
            display_name(uploaded.name),
            integration,
            taken_at,
            sha256,
            datetime.now(UTC).replace(tzinfo=None),
        )
    )


def _delivered_uploads() -> list[DeliveredUpload]:
    return st.session_state.setdefault("_delivered", [])


# ---- what becomes of them ------------------------------------------------------------------------


def show_progress() -> None:
    """What waits to be loaded, and what became of the uploads; drawn anew until all is done."""
    progress = _upload_progress()
    if not (progress.queued_files or progress.outcomes):
        return
    st.fragment(_show_outcomes, run_every=1 if progress.is_pending else None)(progress)
    if progress.outcomes and not progress.is_pending:
        st.button("Done", key="uploads_done", on_click=_delivered_uploads().clear)


class UploadProgress(NamedTuple):
    """Files of the inbox that wait, by name, and the outcome of each upload."""

    queued_files: tuple[str, ...]
    outcomes: tuple[tuple[DeliveredUpload, FileOutcome], ...]

    @property
    def is_pending(self) -> bool:
        return bool(self.queued_files) or any(o.state == "not yet" for _, o in self.outcomes)


def _upload_progress() -> UploadProgress:
    home = current_home()
    stuck_paths = set(load_failures)
    queued_files = [
        f"{path.parent.name}/{strip_prefixes(path.name)}"
        for path in inbox_files(home)
        if path not in stuck_paths
        and current_principal().is_allowed(Permission.LOAD_FILES, path.parent.name)
    ]
    with real_store(Permission.LOAD_FILES).connect() as con:
        outcomes = [
            (
                item,
                find_outcome(
                    con, item.integration, item.taken_at, item.sha256, since=item.delivered_at
                ),
            )
            for item in _delivered_uploads()
        ]
    return UploadProgress(tuple(queued_files), tuple(outcomes))


def _show_outcomes(progress: UploadProgress) -> None:
    if _upload_progress() != progress:
        st.rerun()
    with st.container(border=True, key="under_way"):
        for item, outcome in progress.outcomes:
            label, icon, color = OUTCOME_BADGES[outcome.state]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(label, icon=icon, color=color)
                st.text(
                    f"{item.integration} at "
                    f"{timezone.format_with_zone(item.taken_at, seconds=True)}"
                )
                st.text(outcome.message or item.name)
        own_files = {
            f"{e.integration}/{e.taken_at:%Y-%m-%dT%H-%M-%SZ}" for e, _ in progress.outcomes
        }
        other_files = [
            name for name in progress.queued_files if name.split(".", 1)[0] not in own_files
        ]
        if other_files:
            more = f" and {len(other_files) - 3:,} more" if len(other_files) > 3 else ""
            st.text(
                f"In the inbox, to be loaded within seconds: {', '.join(other_files[:3])}{more}."
            )
