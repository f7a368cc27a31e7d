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

from data.access.roles import Act
from data.files.errors import OtherContentKnown, SnapshotRefused
from data.files.formats import reader_of
from data.files.mapping import Columns, mapping_of
from data.files.naming import SnapshotFile, moment_of, unmarked
from data.history.preview import Preview
from data.home import here
from data.inbox.inbox import put_into_inbox, troubles, waiting_files
from data.inbox.quarantine import place
from data.records.audit_log import Event
from data.sources.delivery import headings_of
from data.store.errors import StoreFault
from queries.snapshots import (
    Outcome,
    outcome_of,
)
from server.authorize import allowed, delivered, noted, nothing_loaded
from server.session import principal
from widgets import timezone
from widgets.labels import plain_label
from widgets.snapshots.mapping import ask_for_columns
from widgets.snapshots.preview import OUTCOMES, Known, look_at, needs_word, show_preview, shown_name

NAMED = re.compile(r"(?P<integration>[^/\\]*?)[\s_~-]*(?P<moment>\d{4}-?\d\d-?\d\d[-T_ :.\d]*Z?)")
"""`figma 2026-11-23T06-00-00Z`: how people name a file that lies in no folder."""

FORMATS = (
    "CSV, TSV, JSON, NDJSON or Parquet, all but Parquet also as .gz or .zst; or what SCIM, Okta, "
    "Entra and others give, several pages as one ZIP archive"
)


class Delivered(NamedTuple):
    """An upload that was put into the inbox."""

    upload: str  # Streamlit's id of the uploaded file
    name: str
    integration: str
    taken_at: datetime
    sha256: str
    at: datetime  # naive UTC


@dataclass(frozen=True)
class Ready:
    """An upload that can be loaded, and how."""

    upload: Any
    known: Known
    replace: bool
    confirmed: bool


def upload(integrations: Sequence[str], *, of: Known | None = None) -> None:
    """Take files, show what each would change, and load those that a person says.

    `of`: the snapshot in whose place the file comes.
    """
    number = st.session_state.setdefault("_uploads", 0)
    most = int(st.get_option("server.maxUploadSize"))
    files = st.file_uploader(
        "Drop snapshot files here, or choose them" if not of else "The file to put in its place",
        accept_multiple_files=True,
        key=f"upload_{number}_{'one' if of else 'many'}",
        help=f"{FORMATS}. Up to {most:,} MB each; the server’s maxUploadSize sets another limit.",
    )
    st.caption(f"{FORMATS}, up to {most:,} MB each. Nothing is loaded before you say so.")
    delivered = {each.upload for each in _delivered()}
    waiting = [file for file in files if file.file_id not in delivered]
    if files and not waiting:
        st.session_state["_uploads"] += 1  # an empty uploader lets go of what it holds
        st.rerun()
    ready = [r for file in waiting if (r := _card(file, integrations, of))]
    if len(ready) > 1 and st.button(
        f"Load all {len(ready):,}", type="primary", icon=":material/done_all:", key="load_all"
    ):
        for each in ready:
            _deliver(each)
        st.rerun()


def _card(file: Any, integrations: Sequence[str], of: Known | None) -> Ready | None:
    """One uploaded file; answers with how to load it where that can be."""
    key = hashlib.sha256(file.file_id.encode()).hexdigest()[:12]
    with st.container(border=True, key=f"card_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge = st.empty()
            st.text(shown_name(file.name))
        if why := _unknown_format(file):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(why)
            return None
        known = of or _ask_what_it_is(file, integrations, key)
        if known is None:
            badge.badge("To be completed", icon=":material/edit:", color="blue")
            return None
        if not principal().may(Act.LOAD, known[0]):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(f"Your role does not load files of {known[0]}.")
            return None
        headings = _headings_of(file.file_id, file)
        columns = ask_for_columns(headings, known[0], key)
        what = f"{file.file_id} {columns}"
        seen = look_at(what, known, partial(as_file, file, columns=columns))
        if isinstance(seen, str):
            badge.badge("Refused", icon=":material/block:", color="red")
            st.text(seen)
            return None
        words, icon, color = _verdict(seen)
        badge.badge(words, icon=icon, color=color)
        if seen.already:
            st.text("This very file is loaded already: loading it again changes nothing.")
            return None
        show_preview(seen, key=key)
        if columns != _saved_mapping(known[0]):
            return None  # what is loaded is read as is saved; the button for that is above
        ready = _decide(file, known, seen, key, replacing=of is not None)
        if st.button("Load", type="primary", key=f"load_{key}", disabled=ready is None) and ready:
            _deliver(ready)
            st.rerun()
        return ready


def _verdict(seen: Preview) -> tuple[str, str, Any]:
    """What is to be said of a file first: words, icon and colour."""
    if seen.already:
        return "Loaded already", ":material/done_all:", "gray"
    if needs_word(seen.passport):
        return "Would be held", ":material/pan_tool:", "orange"
    if seen.replaces:
        return "Another file is loaded", ":material/swap_horiz:", "orange"
    if seen.passport.grade != "good":
        return "Look at it", ":material/warning:", "orange"
    return "Good", ":material/check:", "green"


def _decide(file: Any, known: Known, seen: Preview, key: str, *, replacing: bool) -> Ready | None:
    """What a person has to say first: that it may replace a file, that it is to be believed."""
    replace, confirmed = replacing, False
    if seen.replaces and not replacing:
        st.text(
            f"{known[0]} has a snapshot of this moment already, from {seen.replaces}, with other "
            "content."
        )
        replace = st.checkbox("Put this file in its place", key=f"replace_{key}")
    if needs_word(seen.passport):
        confirmed = st.checkbox(
            "I have checked it: these accounts really leave", key=f"confirm_{key}"
        )
    lacks = (seen.replaces and not replace) or (needs_word(seen.passport) and not confirmed)
    return None if lacks else Ready(file, known, bool(replace and seen.replaces), confirmed)


def _ask_what_it_is(file: Any, integrations: Sequence[str], key: str) -> Known | None:
    """The integration and the moment: as the name says, or as a person does."""
    name, moment = what_name_says(file.name)
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
    named = timezone.told(moment, seconds=True) if moment else ""
    written = right.text_input(
        f"Taken at ({timezone.zone()})",
        named,
        placeholder="2026-11-23 06:00",
        key=f"taken_at_{key}_{timezone.zone()}",  # typed for one zone, wrong in another
        max_chars=30,
    ).strip()
    shown = moment_of(written)
    # Unless it was written anew: the clocks show some hours twice, and a name says which is meant.
    taken_at = moment if written == named else shown and _meant(written, shown)
    if written and not taken_at:
        st.text("Write the moment as 2026-11-23 06:00.")
    elif taken_at and taken_at > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1):
        st.text("This moment is still to come.")
        return None
    return (integration.strip(), taken_at) if integration and taken_at else None


def _meant(written: str, shown: datetime) -> datetime:
    """The moment at which the reader's clocks show this; `…Z` is UTC whatever they show."""
    return shown if written.endswith("Z") else timezone.there(shown)


def what_name_says(name: str) -> tuple[str, datetime | None]:
    """Integration and moment from `figma/2026-11-23T06-00-00Z.csv` and its relatives.

    Only a name for a person to look at: no path is ever made of it.
    """
    *folders, last = re.split(r"[/\\]", name)
    stem = last.split(".", 1)[0]
    if found := NAMED.fullmatch(stem):
        moment = moment_of(found["moment"])
        integration = found["integration"].strip() or next(iter(folders[-1:]), "")
        return ("" if integration.startswith(".") else integration), moment
    return "", None


def _last_part(uploaded: Any) -> Path:
    return Path(shown_name(re.split(r"[/\\]", uploaded.name)[-1]))


def _unknown_format(uploaded: Any) -> str:
    """Why its name tells that it cannot be read; empty where it may be."""
    try:
        reader_of(_last_part(uploaded))
    except SnapshotRefused as refusal:
        return str(refusal)
    return ""


@st.cache_data(scope="session", max_entries=50, show_spinner=False)
def _headings_of(upload: str, _file: Any) -> tuple[str, ...]:  # noqa: ARG001 - for the cache
    """Of a file of somebody's own columns; none of any other, or of one that cannot be read."""
    try:
        with (
            as_file(_file, ("headings", datetime.min)) as file,  # noqa: DTZ901 - of no moment
            nothing_loaded().connect() as con,
        ):
            return headings_of(con, file.path)
    except (SnapshotRefused, StoreFault):
        return ()


def _saved_mapping(integration: str) -> Columns | None:
    try:
        return mapping_of(here(), integration)
    except SnapshotRefused:
        return None


@contextmanager
def as_file(uploaded: Any, known: Known, columns: Columns | None = None) -> Iterator[SnapshotFile]:
    """The upload as a file in the home, under a name of our own, for the length of the block.

    Of its own name only an ending that we know is used. Raises UnknownFormat, or NotPlaced for an
    integration that cannot be the name of a folder.
    """
    named = _last_part(uploaded)
    reader_of(named)
    with TemporaryDirectory(prefix=".upload-", dir=here().root) as folder:
        path = Path(folder) / place(here().inbox, SnapshotFile(named, *known)).name
        path.write_bytes(uploaded.getbuffer())
        yield SnapshotFile(path, *known, columns)


def _deliver(ready: Ready) -> None:
    """Put an upload into the inbox, and remember it, to tell what becomes of it."""
    uploaded, (integration, taken_at) = ready.upload, ready.known
    allowed(Act.LOAD, integration)
    try:
        with as_file(uploaded, ready.known) as file:
            put_into_inbox(here(), file, replace=ready.replace, confirmed=ready.confirmed)
    except OtherContentKnown:
        st.toast("Another file of this moment waits to be loaded. Try again in some seconds.")
        return
    except (SnapshotRefused, OSError) as fault:
        st.toast(f"It could not be put into the inbox. {plain_label(str(fault))}")
        return
    sha256 = hashlib.sha256(uploaded.getbuffer()).hexdigest()
    how = {"replaced": ready.replace, "confirmed": ready.confirmed, "sha256": sha256}
    noted(Event.DELIVERED, integration=integration, taken_at=f"{taken_at.isoformat()}Z", **how)
    _delivered().append(
        Delivered(
            uploaded.file_id,
            shown_name(uploaded.name),
            integration,
            taken_at,
            sha256,
            datetime.now(UTC).replace(tzinfo=None),
        )
    )


def _delivered() -> list[Delivered]:
    return st.session_state.setdefault("_delivered", [])


# ---- what becomes of them ------------------------------------------------------------------------


def follow() -> None:
    """What waits to be loaded, and what became of the uploads; drawn anew until all is done."""
    seen = _on_the_way()
    if not (seen.waiting or seen.outcomes):
        return
    st.fragment(_tell, run_every=1 if seen.is_under_way else None)(seen)
    if seen.outcomes and not seen.is_under_way:
        st.button("Done", key="uploads_done", on_click=_delivered().clear)


class OnTheWay(NamedTuple):
    """Files of the inbox that wait, by name, and the outcome of each upload."""

    waiting: tuple[str, ...]
    outcomes: tuple[tuple[Delivered, Outcome], ...]

    @property
    def is_under_way(self) -> bool:
        return bool(self.waiting) or any(o.state == "not yet" for _, o in self.outcomes)


def _on_the_way() -> OnTheWay:
    home = here()
    stuck = set(troubles)
    waiting = [
        f"{path.parent.name}/{unmarked(path.name)}"
        for path in waiting_files(home)
        if path not in stuck and principal().may(Act.LOAD, path.parent.name)
    ]
    with delivered(Act.LOAD).connect() as con:
        outcomes = [
            (each, outcome_of(con, each.integration, each.taken_at, each.sha256, since=each.at))
            for each in _delivered()
        ]
    return OnTheWay(tuple(waiting), tuple(outcomes))


def _tell(drawn: OnTheWay) -> None:
    if _on_the_way() != drawn:
        st.rerun()
    with st.container(border=True, key="under_way"):
        for each, outcome in drawn.outcomes:
            words, icon, color = OUTCOMES[outcome.state]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(words, icon=icon, color=color)
                st.text(f"{each.integration} at {timezone.named(each.taken_at, seconds=True)}")
                st.text(outcome.words or each.name)
        own = {f"{e.integration}/{e.taken_at:%Y-%m-%dT%H-%M-%SZ}" for e, _ in drawn.outcomes}
        others = [name for name in drawn.waiting if name.split(".", 1)[0] not in own]
        if others:
            more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
            st.text(f"In the inbox, to be loaded within seconds: {', '.join(others[:3])}{more}.")
