"""Uploads: what each file would change, the button that loads it, and what happened to it.

The page only moves files into the inbox. The keeper loads them from there.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlencode

import streamlit as st

from data.access.roles import Permission
from data.files.encoding import COMPRESSIONS
from data.files.errors import (
    InvalidMapping,
    NotAListOfAccounts,
    OtherContentLoaded,
    SnapshotRejected,
)
from data.files.formats import READERS
from data.files.mapping import NO_MAPPING, ColumnMapping, read_mapping
from data.files.naming import strip_prefixes
from data.formatting import count_of, file_stamp, iso_z, utc_now
from data.history.confirmation import KEEP_HISTORY
from data.history.preview import Preview
from data.home import current_home, printable, safe_name
from data.inbox.upload import (
    ConfirmedUpload,
    DeliveredUpload,
    IdentifiedUpload,
    Upload,
    deliver_upload,
    inspect_upload,
    parse_file_name,
    preview_upload,
    printable_name,
    suggest_integration,
)
from data.records.audit_log import Event
from data.sources import source_choices
from data.sources.delivery import Inspection
from queries.snapshots import FileOutcome, find_outcome
from server.authorize import authorize, is_sample, queued_files, real_connection, record_action
from server.session import current_principal
from widgets import timezone
from widgets.labels import escape_label
from widgets.snapshots import badges
from widgets.snapshots.mapping import Words, choose_mapping, is_same_reading
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
INTEGRATION_NEEDED = "Enter the app that this file lists under “Integration”."
CHOICES_SAVED = "Your choices are saved for the next files of {integration}."
SAMPLE_REPLACED = "Loading it replaces the sample data."
KEEP = "Keep their history: identify accounts by username"
OTHER_ACCOUNTS = "They are other accounts: remove the old ones and add these"
VIEW_ACCOUNTS = (
    '<nav class="downloads" aria-label="Loaded accounts">'
    '<a href="{href}" target="_self">View accounts</a></nav>'
)
NEW_INTEGRATION = "this file"
"""In place of an integration that has no name yet."""


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
    if is_sample():  # it goes as soon as the first file is loaded
        integrations = ()
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
    """Draw one upload as far as it can be read; returns it once it can be loaded."""
    with st.container(border=True, key=f"card_{upload.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge_area = st.empty()
            st.text(printable_name(upload.name))
        try:
            found = _inspect(upload, NO_MAPPING)
            sentence_area, details_area = st.empty(), st.container()
            details = _ask_details(details_area, upload, found, integrations, replaced)
            sentence_area.text(details.found.recognition.sentence)
            reading = _choose_reading(details)
        except SnapshotRejected as error:
            return _stop(badge_area, badges.REJECTED, str(error))
        if not reading:
            return _stop(badge_area, badges.NEEDS_DETAILS)
        return _show_outcome(details, reading, badge_area, is_replacement=replaced is not None)


def _show_outcome(
    details: "Details", mapping: ColumnMapping, badge_area: Any, *, is_replacement: bool
) -> ConfirmedUpload | None:
    """What loading an upload would change, and the button that loads it."""
    identified, name = details.identified, details.identified.integration
    preview = preview_or_error(
        f"{identified.upload.id} {name} {identified.taken_at} {mapping}",
        name,
        partial(preview_upload, home=current_home(), identified=identified, mapping=mapping),
        is_upload=True,
    )
    if isinstance(preview, str):
        return _stop(badge_area, badges.REJECTED, preview)
    badge = _status_badge(preview, details) if details.is_named else badges.NEEDS_DETAILS
    badge.show(badge_area)
    if preview.already_loaded:
        return None
    with details.preview_area:
        show_preview(
            preview, key=identified.upload.key, except_for=details.found.recognition.sentence
        )
    return _confirm(details, mapping, preview, is_replacement=is_replacement)


def _stop(badge_area: Any, badge: badges.Badge, message: str = "") -> None:
    """Show why an upload cannot be loaded yet."""
    badge.show(badge_area)
    if message:
        st.text(message)


def _status_badge(preview: Preview, details: "Details") -> badges.Badge:
    """What a person should know first about an upload."""
    if preview.already_loaded:
        return badges.ALREADY_LOADED
    if needs_confirmation(preview.load_report):
        return badges.NEEDS_CONFIRMATION
    if preview.replaced_file:
        return badges.REPLACES_FILE
    is_unsure = details.found.proposal and details.found.proposal.unsure
    return badges.CHECK if is_unsure or preview.load_report.quality == "check" else badges.OK


# ---- what a person decides -----------------------------------------------------------------------


class Details(NamedTuple):
    """An upload with what a person has chosen."""

    identified: IdentifiedUpload
    saved: ColumnMapping  # of the integration
    chosen: ColumnMapping  # the saved one, with the product and the sheet that are chosen
    found: Inspection  # of the file, read so
    preview_area: Any

    @property
    def is_named(self) -> bool:
        """Whether the integration is known."""
        return self.identified.integration != NEW_INTEGRATION


@st.cache_data(scope="session", max_entries=50, show_spinner="Reading the file …")
def _cached_inspection(cache_key: str, _upload: Upload, _mapping: ColumnMapping) -> Inspection:  # noqa: ARG001
    return inspect_upload(current_home(), _upload, _mapping)


def _inspect(upload: Upload, mapping: ColumnMapping) -> Inspection:
    """What the upload is. Raises SnapshotRejected where it cannot be read."""
    _ = upload.base_name
    return _cached_inspection(f"{upload.id} {mapping.as_toml()}", upload, mapping)


def _ask_details(
    area: Any,
    upload: Upload,
    found: Inspection,
    integrations: Sequence[str],
    replaced: SnapshotKey | None,
) -> Details:
    """Integration, moment, product and sheet; all are proposed. Raises SnapshotRejected."""
    has_sheets = len(found.sheets) > 1
    with area:
        areas = iter(st.columns(1 + 2 * (not replaced) + has_sheets))
    if replaced:
        integration, taken_at = replaced
    elif found.error:  # there is nothing to load yet
        integration, taken_at = "", utc_now()
    else:
        integration = _ask_integration(next(areas), upload, found, integrations)
        taken_at = _ask_moment(next(areas), upload)
    saved = _saved_mapping(integration)
    key, source = f"{upload.key}_{integration}", found.recognition.key
    names = source_choices()
    read_as = next(areas).selectbox(
        "Read as",
        [*names],
        [*names].index(saved.read_as or source),
        format_func=lambda name: names[name][0].upper() + names[name][1:],
        key=f"read_as_{key}",
    )
    sheet = found.sheet
    if has_sheets:
        first = found.sheets.index(saved.sheet if saved.sheet in found.sheets else found.sheet)
        sheet = next(areas).selectbox("Sheet", found.sheets, first, key=f"sheet_{key}")
    chosen = replace(
        saved,
        read_as="" if read_as == source else read_as,
        sheet="" if sheet == found.sheet else sheet,
    )
    identified = IdentifiedUpload(upload, safe_name(integration or NEW_INTEGRATION), taken_at)
    return Details(identified, saved, chosen, _inspect(upload, chosen), st.container())


def _ask_integration(
    area: Any, upload: Upload, found: Inspection, integrations: Sequence[str]
) -> str:
    suggested = suggest_integration(upload, found.recognition, integrations)
    names = sorted({*integrations, *filter(None, [suggested])}, key=str.casefold)
    chosen = area.selectbox(
        "Integration",
        names,
        index=names.index(suggested) if suggested else None,
        placeholder="Choose or type a name",
        accept_new_options=True,
        key=f"integration_{upload.key}",
    )
    return (chosen or "").strip()


def _ask_moment(area: Any, upload: Upload) -> datetime:
    """When the file was taken (naive UTC): proposed is the date in its name, else now."""
    first_seen = st.session_state.setdefault("_first_seen", {})
    now = first_seen.setdefault(upload.key, utc_now().replace(second=0, microsecond=0))
    latest, (_, named) = now + timedelta(days=1), parse_file_name(upload.name)
    suggested = named if named and named <= latest else now
    zone, shown = timezone.current_zone(), timezone.to_reader_time(suggested)
    chosen = area.datetime_input(
        f"Taken at ({zone})",
        shown,
        min_value=min(shown, datetime(2000, 1, 1)),
        max_value=timezone.to_reader_time(latest),
        step=timedelta(minutes=1),
        format="YYYY-MM-DD",
        key=f"taken_at_{upload.key}_{zone}",  # a time in one zone is wrong in another
    )
    # Clocks show some hours twice, and show no seconds; the file name says which moment it is.
    is_suggested = chosen in (shown, shown.replace(second=0, microsecond=0))
    return suggested if is_suggested else timezone.from_reader_time(chosen)


def _saved_mapping(integration: str) -> ColumnMapping:
    """The integration's mapping; shows why it cannot be read."""
    try:
        return read_mapping(current_home(), integration) or NO_MAPPING
    except InvalidMapping as error:
        st.text(str(error))
        return NO_MAPPING


def _choose_reading(details: Details) -> ColumnMapping | None:
    """The mapping to read the upload with; None until it can be read.

    Raises SnapshotRejected where it cannot.
    """
    upload, found = details.identified.upload, details.found
    if found.error:
        raise NotAListOfAccounts(found.error)
    name = details.identified.integration
    if not current_principal().is_allowed(Permission.LOAD_FILES, name):
        if details.is_named:
            raise NotAListOfAccounts(f"You cannot load files of {name}.")
        return None
    if not (proposal := found.proposal):
        return details.chosen

    def count_words(mapping: ColumnMapping) -> Words:
        chosen = _inspect(upload, mapping).proposal
        return chosen.words if chosen else {}

    key = f"{upload.key}_{found.recognition.key}_{found.sheet}_{name}"
    mapping = choose_mapping(proposal, key, count_words)
    is_proposed = mapping and not proposal.unsure and is_same_reading(mapping, proposal.mapping)
    return details.chosen if is_proposed else mapping


# ---- load ----------------------------------------------------------------------------------------


def _confirm(
    details: Details, mapping: ColumnMapping, preview: Preview, *, is_replacement: bool
) -> ConfirmedUpload | None:
    """Ask what has to be confirmed, and offer to load; None until all of it is confirmed."""
    identified, report = details.identified, preview.load_report
    key, integration = identified.upload.key, identified.integration
    replaces, confirmed = is_replacement, False
    if preview.replaced_file and not is_replacement:
        st.text(
            f"{integration} already has a snapshot of this moment with other content: "
            f"{preview.replaced_file}."
        )
        replaces = st.checkbox("Replace the loaded file", key=f"replace_{key}")
    must_confirm = needs_confirmation(report)
    if report.has_other_ids and not report.incomplete_reason:
        answer = st.radio(KEEP_HISTORY, [KEEP, OTHER_ACCOUNTS], index=None, key=f"ids_{key}")
        confirmed, must_confirm = answer == OTHER_ACCOUNTS, answer is None
        mapping = mapping.ignoring_ids() if answer == KEEP else mapping
    elif must_confirm:
        confirmed = st.checkbox("I confirm that these accounts were removed", key=f"confirm_{key}")
        must_confirm = not confirmed
    to_save = None if is_same_reading(mapping, details.saved) else mapping
    is_ready = details.is_named and (replaces or not preview.replaced_file) and not must_confirm
    replaces = replaces and bool(preview.replaced_file)
    ready = ConfirmedUpload(identified, replaces, confirmed, to_save) if is_ready else None
    with st.container(horizontal=True, vertical_alignment="center"):
        label = f"Load {count_of(report.accepted, 'account')}"
        if st.button(label, type="primary", key=f"load_{key}", disabled=ready is None) and ready:
            _deliver(ready)
            st.rerun()
        hints = [SAMPLE_REPLACED] * is_sample()
        hints += [CHOICES_SAVED.format(integration=escape_label(integration))] * bool(to_save)
        st.caption(" ".join(hints) if details.is_named else INTEGRATION_NEEDED)
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
    if upload.mapping:
        setting = {"setting": "Column mapping", "integration": delivered.integration}
        record_action(Event.SETTING_CHANGED, **setting)
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
    names = [
        printable(f"{path.parent.name}/{strip_prefixes(path.name)}")
        for path in queued_files(Permission.LOAD_FILES)
    ]
    return UploadProgress(names, [*zip(uploads, outcomes, strict=True)])


def _show_outcomes(progress: UploadProgress) -> None:
    if _upload_progress() != progress:
        st.rerun()
    with st.container(border=True, key="upload_progress"):
        for item, outcome in progress.outcomes:
            moment = timezone.format_with_zone(item.taken_at, seconds=True)
            with st.container(horizontal=True, vertical_alignment="center"):
                badges.OUTCOMES[outcome.state].show()
                st.text(f"{printable_name(item.name)} → {item.integration} at {moment}")
                st.text(outcome.message)
                if outcome.state == "loaded":
                    params = timezone.with_zone({"integration": [item.integration]})
                    href = escape(f"users?{urlencode(params, doseq=True)}")
                    st.html(VIEW_ACCOUNTS.format(href=href), width="content")
        own_files = {f"{i.integration}/{file_stamp(i.taken_at)}" for i, _ in progress.outcomes}
        others = [name for name in progress.queued_files if name.split(".", 1)[0] not in own_files]
        if others:
            more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
            st.text(f"Waiting in the inbox: {', '.join(others[:3])}{more}.")
