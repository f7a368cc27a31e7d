"""Uploads: what each file would change, the button that loads it, and what happened to it.

The page only moves files into the inbox. The keeper loads them from there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import streamlit as st

from data.access.roles import Permission
from data.files.encoding import COMPRESSIONS
from data.files.errors import OtherContentLoaded, SnapshotRejected
from data.files.formats import READERS
from data.files.mapping import ColumnMapping
from data.files.naming import names_zone, parse_moment, strip_prefixes
from data.files.proposal import Proposal
from data.formatting import file_stamp, iso_z, utc_now
from data.history.preview import Preview
from data.home import current_home, printable, safe_name
from data.inbox.delivered import inbox_files
from data.inbox.inbox import load_failures
from data.inbox.upload import (
    ConfirmedUpload,
    DeliveredUpload,
    IdentifiedUpload,
    Upload,
    deliver_upload,
    parse_file_name,
    preview_upload,
    printable_name,
    propose_upload,
)
from data.records.audit_log import Event
from data.store.errors import StoreError
from queries.snapshots import FileOutcome, find_outcome
from server.authorize import authorize, real_connection, record_action
from server.session import current_principal
from widgets import timezone
from widgets.labels import escape_label
from widgets.snapshots import badges
from widgets.snapshots.mapping import choose_mapping, saved_mapping
from widgets.snapshots.preview import (
    SnapshotKey,
    needs_confirmation,
    preview_or_error,
    show_preview,
)

FORMATS = "Excel, CSV, JSON or an export from Okta, Entra ID, SCIM … Up to {limit:,} MB."
CAPTION = f"{FORMATS} You can check everything before it is loaded."
ALL_FORMATS = (
    f"Files that end in {', '.join(READERS)}, and exports of Okta, Entra ID, SCIM and others. Text "
    f"can be compressed ({', '.join(COMPRESSIONS)}). Several pages of one list can be one ZIP "
    "archive. Up to {limit:,} MB per file; the server’s maxUploadSize changes this limit."
)
FILE_WAITS = "Another file for this moment is still in the inbox. Try again in a few seconds."
WRONG_MOMENT = "Enter a date and time, e.g. 2026-11-23 06:00."
FUTURE_MOMENT = "This is in the future."


def show_uploads(integrations: Sequence[str], *, replaced: SnapshotKey | None = None) -> None:
    """Take files, show what each would change, and load those that a person confirms.

    `replaced` is the snapshot that the file replaces.
    """
    files = _choose_files(is_replacement=replaced is not None)
    delivered_ids = {item.upload_id for item in _delivered_uploads()}
    pending = [file for file in files if file.file_id not in delivered_ids]
    if files and not pending:
        st.session_state["_uploads"] += 1  # an empty uploader releases the files that it holds
        st.rerun()
    uploads = [Upload(file.file_id, file.name, file.getvalue()) for file in pending]
    ready = [item for upload in uploads if (item := _show_card(upload, integrations, replaced))]
    if len(ready) > 1 and st.button(
        f"Load all {len(ready):,}", type="primary", icon=":material/done_all:", key="load_all"
    ):
        for item in ready:
            _deliver(item)
        st.rerun()


def _choose_files(*, is_replacement: bool) -> list[Any]:
    number = st.session_state.setdefault("_uploads", 0)
    limit = int(st.get_option("server.maxUploadSize"))
    files = st.file_uploader(
        "Replacement file" if is_replacement else "Upload account lists",
        accept_multiple_files=True,
        key=f"upload_{number}_{'one' if is_replacement else 'many'}",
        help=ALL_FORMATS.format(limit=limit),
    )
    st.caption(CAPTION.format(limit=limit))
    return files


def _show_card(
    upload: Upload, integrations: Sequence[str], replaced: SnapshotKey | None
) -> ConfirmedUpload | None:
    """Draw the steps of one upload as far as they go; returns it once it can be loaded."""
    with st.container(border=True, key=f"card_{upload.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge_area = st.empty()
            st.text(printable_name(upload.name))
        try:
            identified = _identify(upload, integrations, replaced)
        except SnapshotRejected as error:
            return _stop(badge_area, badges.REJECTED, str(error))
        if identified is None:
            return _stop(badge_area, badges.NEEDS_DETAILS)
        name = identified.integration
        if not current_principal().is_allowed(Permission.LOAD_FILES, name):
            return _stop(badge_area, badges.REJECTED, f"You cannot load files of {name}.")
        saved = saved_mapping(name)
        proposal = _propose(f"{upload.id} {saved.as_toml()}", upload, saved)
        mapping, is_saved = choose_mapping(proposal, saved, name, upload.key)
        preview = preview_or_error(
            f"{upload.id} {name} {identified.taken_at} {mapping}",
            name,
            partial(preview_upload, home=current_home(), identified=identified, mapping=mapping),
        )
        if isinstance(preview, str):
            return _stop(badge_area, badges.REJECTED, preview)
        _status_badge(preview).show(badge_area)
        if preview.already_loaded:
            return None
        show_preview(preview, key=upload.key)
        if not is_saved:  # files are loaded with the saved mapping
            return None
        return _confirm(identified, preview, is_replacement=replaced is not None)


def _stop(badge_area: Any, badge: badges.Badge, message: str = "") -> None:
    """Show why an upload cannot be loaded yet."""
    badge.show(badge_area)
    if message:
        st.text(message)


def _status_badge(preview: Preview) -> badges.Badge:
    """What a person should know first about an upload."""
    if preview.already_loaded:
        return badges.ALREADY_LOADED
    if needs_confirmation(preview.load_report):
        return badges.NEEDS_CONFIRMATION
    if preview.replaced_file:
        return badges.REPLACES_FILE
    return badges.OK if preview.load_report.quality == "ok" else badges.CHECK


# ---- step 1: identify ----------------------------------------------------------------------------


def _identify(
    upload: Upload, integrations: Sequence[str], replaced: SnapshotKey | None
) -> IdentifiedUpload | None:
    """Integration and moment, from the file name or a person; None while one is missing.

    Raises UnknownFormat, or UnknownSnapshot where the integration cannot be a folder's name.
    """
    _ = upload.base_name
    if replaced:
        return IdentifiedUpload(upload, *replaced)
    suggested, moment = parse_file_name(upload.name)
    left, right = st.columns(2)
    names = sorted({*integrations, *filter(None, [suggested])}, key=str.casefold)
    integration = left.selectbox(
        "Integration",
        names,
        index=names.index(suggested) if suggested else None,
        placeholder="Choose or type a name",
        accept_new_options=True,
        key=f"integration_{upload.key}",
    )
    taken_at = _ask_moment(right, moment, upload.key)
    if not integration or not taken_at:
        return None
    return IdentifiedUpload(upload, safe_name(integration.strip()), taken_at)


def _ask_moment(area: Any, suggested: datetime | None, key: str) -> datetime | None:
    """When the file was taken (naive UTC), as the reader's clocks show it; `…Z` is UTC."""
    zone = timezone.current_zone()
    suggestion = timezone.format_moment(suggested, seconds=True) if suggested else ""
    typed = area.text_input(
        f"Taken at ({zone})",
        suggestion,
        placeholder="2026-11-23 06:00",
        key=f"taken_at_{key}_{zone}",  # text for one time zone is wrong in another
        max_chars=40,
    ).strip()
    if typed == suggestion:  # clocks show some hours twice, and the file name says which one
        taken_at = suggested
    else:
        taken_at = parse_moment(typed)
        if taken_at and not names_zone(typed):
            taken_at = timezone.from_reader_time(taken_at)
    if typed and not taken_at:
        st.text(WRONG_MOMENT)
    if taken_at and taken_at > utc_now() + timedelta(days=1):
        st.text(FUTURE_MOMENT)
        return None
    return taken_at


# ---- step 2: preview -----------------------------------------------------------------------------


@st.cache_data(scope="session", max_entries=50, show_spinner=False)
def _propose(upload_id: str, _upload: Upload, _saved: ColumnMapping) -> Proposal | None:  # noqa: ARG001 - for the cache
    """None for a file that cannot be read, and for one of a known product."""
    try:
        return propose_upload(current_home(), _upload, _saved)
    except (SnapshotRejected, StoreError):
        return None


# ---- step 3: deliver -----------------------------------------------------------------------------


def _confirm(
    identified: IdentifiedUpload, preview: Preview, *, is_replacement: bool
) -> ConfirmedUpload | None:
    """Ask what has to be confirmed, and offer to load; None until all of it is confirmed."""
    key, integration = identified.upload.key, identified.integration
    replace, confirmed = is_replacement, False
    if preview.replaced_file and not is_replacement:
        st.text(
            f"{integration} already has a snapshot of this moment with other content: "
            f"{preview.replaced_file}."
        )
        replace = st.checkbox("Replace the loaded file", key=f"replace_{key}")
    must_confirm = needs_confirmation(preview.load_report)
    if must_confirm:
        confirmed = st.checkbox("I confirm that these accounts were removed", key=f"confirm_{key}")
    is_ready = (replace or not preview.replaced_file) and (confirmed or not must_confirm)
    replace = replace and bool(preview.replaced_file)
    ready = ConfirmedUpload(identified, replace, confirmed) if is_ready else None
    if st.button("Load", type="primary", key=f"load_{key}", disabled=ready is None) and ready:
        _deliver(ready)
        st.rerun()
    return ready


def _deliver(upload: ConfirmedUpload) -> None:
    """Put an upload into the inbox, and remember it to show what happens to it."""
    authorize(Permission.LOAD_FILES, upload.identified.integration)
    try:
        delivered = deliver_upload(current_home(), upload)
    except OtherContentLoaded:
        st.toast(FILE_WAITS)
        return
    except (SnapshotRejected, OSError) as error:
        st.toast(f"The file could not be put into the inbox. {escape_label(str(error))}")
        return
    record_action(
        Event.FILE_DELIVERED,
        integration=delivered.integration,
        taken_at=iso_z(delivered.taken_at),
        replaced=upload.replace,
        confirmed=upload.confirmed,
        sha256=delivered.sha256,
    )
    _delivered_uploads().append(delivered)


def _delivered_uploads() -> list[DeliveredUpload]:
    return st.session_state.setdefault("_delivered", [])


# ---- what happened to them -----------------------------------------------------------------------


class UploadProgress(NamedTuple):
    """Names of the files in the inbox, and the outcome of each upload."""

    queued_files: list[str]
    outcomes: list[tuple[DeliveredUpload, FileOutcome]]


def show_progress() -> None:
    """Which files wait to be loaded, and what happened to the uploads."""
    progress = _upload_progress()
    queued_files, outcomes = progress
    if not (queued_files or outcomes):
        return
    is_pending = queued_files or any(outcome.state == "not yet" for _, outcome in outcomes)
    st.fragment(_show_outcomes, run_every=1 if is_pending else None)(progress)
    if not is_pending:
        st.button("Done", key="uploads_done", on_click=_delivered_uploads().clear)


def _upload_progress() -> UploadProgress:
    uploads = _delivered_uploads()
    with real_connection(Permission.LOAD_FILES) as con:
        outcomes = [
            find_outcome(con, u.integration, u.taken_at, u.sha256, since=u.delivered_at)
            for u in uploads
        ]
    queued_files = [
        printable(f"{path.parent.name}/{strip_prefixes(path.name)}")
        for path in inbox_files(current_home())
        if path not in load_failures
        and current_principal().is_allowed(Permission.LOAD_FILES, path.parent.name)
    ]
    return UploadProgress(queued_files, [*zip(uploads, outcomes, strict=True)])


def _show_outcomes(progress: UploadProgress) -> None:
    if _upload_progress() != progress:
        st.rerun()
    with st.container(border=True, key="upload_progress"):
        for item, outcome in progress.outcomes:
            moment = timezone.format_with_zone(item.taken_at, seconds=True)
            with st.container(horizontal=True, vertical_alignment="center"):
                badges.OUTCOMES[outcome.state].show()
                st.text(f"{item.integration} at {moment}")
                st.text(outcome.message or printable_name(item.name))
        own_files = {f"{i.integration}/{file_stamp(i.taken_at)}" for i, _ in progress.outcomes}
        others = [name for name in progress.queued_files if name.split(".", 1)[0] not in own_files]
        if others:
            more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
            st.text(f"Waiting in the inbox: {', '.join(others[:3])}{more}.")
