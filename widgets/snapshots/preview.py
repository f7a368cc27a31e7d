"""What a file would change, told before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.access.roles import Permission
from data.files.errors import SnapshotRejected
from data.files.formats import row_noun
from data.history.load_report import LoadReport
from data.history.preview import Preview, preview
from data.states import STATE_BY_NAME
from data.store.errors import StoreError
from queries.cache import store_revision
from queries.snapshots import deletion_limits
from server.authorize import real_store, writable_store
from server.session import current_principal
from widgets import timezone

COLUMN_HEADINGS = {"user_text": "User", "upstream_user_id": "Upstream user ID"}
"""Column of a row as delivered → its heading, where that is not the name itself."""

SnapshotKey = tuple[str, datetime]
"""Which integration a file lists, and when it was taken (naive UTC)."""

OUTCOME_BADGES: dict[str, tuple[str, str, Any]] = {
    "loaded": ("Loaded", ":material/check:", "green"),
    "on hold": ("On hold", ":material/pan_tool:", "orange"),
    "rejected": ("Rejected", ":material/block:", "red"),
    "not yet": ("Is being loaded", ":material/hourglass_top:", "blue"),
}
"""What became of an upload → words, icon and colour."""


@st.cache_data(scope="session", max_entries=50, show_spinner="Looking at the file …")
def cached_preview(
    cache_key: str,  # noqa: ARG001 - what the answer depends on, for the cache
    snapshot_key: SnapshotKey,
    version: Any,  # noqa: ARG001 - likewise
    _open: Callable[..., Any],
) -> Preview | str:
    """What loading a file would give, or why it is refused.

    It is computed again where `store` says that something was loaded since.
    """
    try:
        with _open(snapshot_key) as file:
            return preview(writable_store(Permission.LOAD_FILES, snapshot_key[0]), file)
    except SnapshotRejected as error:
        return str(error)


def preview_or_error(
    cache_key: str, snapshot_key: SnapshotKey, open_file: Callable[..., Any]
) -> Preview | str:
    """What loading the file that `what` names would give, or why that cannot be."""
    try:
        return cached_preview(cache_key, snapshot_key, store_version(snapshot_key[0]), open_file)
    except (StoreError, OSError) as error:
        return f"It cannot be looked at now. {error}"


def store_version(integration: str) -> Any:
    with real_store(Permission.LOAD_FILES).connect() as con:
        return store_revision(con), deletion_limits(con).get(integration)


def needs_confirmation(report: LoadReport) -> bool:
    """Whether the file is loaded only where a person confirms it."""
    is_emptied = not report.accepted and report.previous is not None and report.previous.accounts
    return bool(report.confirmation_reason or is_emptied)


def show_preview(result: Preview, *, key: str) -> None:
    """What loading would give: counts, findings, the mix of states, rows as understood."""
    report = result.load_report
    st.text(_counts_text(report))
    for sentence in report.warnings():
        _show_sentence(sentence, ":material/warning:", "orange")
    for sentence in report.remarks():
        _show_sentence(sentence, ":material/info:", "gray")
    if current_principal().uses_pseudonyms:  # the file itself has names
        _show_frame(
            _state_mix(report), f"states_{key}", "Accounts by provisioning state, before and after"
        )
        return
    leaving_count, position = (
        report.removed + report.being_deleted,
        row_noun(report.file_name).capitalize(),
    )
    rows, states, leaving, rejected = st.tabs(
        [
            "First rows",
            "States before and after",
            f"Leaving ({leaving_count:,})",
            f"Rejected rows ({report.rejected:,})",
        ],
        key=f"tabs_{key}",
    )
    with rows:
        records = [
            {_heading(name): _display_value(name, row[name]) for name in row} for row in result.rows
        ]
        frame = pd.DataFrame(records).fillna("")
        _show_frame(frame, f"rows_{key}", "The first rows, by the columns that were understood")
    with states:
        _show_frame(
            _state_mix(report), f"states_{key}", "Accounts by provisioning state, before and after"
        )
    with leaving:
        if result.deletions:
            frame = pd.DataFrame(
                result.deletions, columns=["Username in app", "User", "Now", "Then"]
            )
            _show_frame(frame, f"leaving_{key}", "The accounts that would go, or be deleted")
            if len(result.deletions) < leaving_count:
                st.text(f"The first {len(result.deletions):,} of {leaving_count:,}.")
        else:
            st.text("None: nobody goes, or falls into a Delete state.")
    with rejected:
        if result.rejected:
            frame = pd.DataFrame(result.rejected, columns=[position, "Text", "Reason"])
            _show_frame(frame[[position, "Reason", "Text"]], f"rejected_{key}", "The rejected rows")
            if len(result.rejected) < report.rejected:
                st.text(f"The first {len(result.rejected):,} of {report.rejected:,}.")
        else:
            st.text("None: every row is an account.")


def _counts_text(report: LoadReport) -> str:
    accounts = f"{report.accepted:,} of {report.rows_read:,} rows are accounts."
    if not report.previous:
        return f"{accounts} There is no earlier snapshot to compare with."
    counts = {
        "joined": report.added,
        "changed": report.changed,
        "gone": report.removed,
        "fallen into a Delete state": report.being_deleted,
    }
    changes = ", ".join(f"{number:,} {word}" for word, number in counts.items())
    return f"{accounts} Against {timezone.format_with_zone(report.previous.taken_at)}: {changes}."


def _show_sentence(sentence: str, icon: str, color: Any) -> None:
    with st.container(horizontal=True, wrap=False, gap="xsmall"):
        st.badge("", icon=icon, color=color)
        st.text(sentence, width="stretch")


def _state_mix(report: LoadReport) -> pd.DataFrame:
    before = report.previous
    rows = [
        {
            "State": name,
            "Before": before.states.get(name, 0) if before else 0,
            "After": report.states.get(name, 0),
            "Change of share (points)": round(
                100 * (report.state_share(name) - (before.state_share(name) if before else 0)), 1
            ),
        }
        for name in STATE_BY_NAME
        if report.states.get(name) or (before and before.states.get(name))
    ]
    return pd.DataFrame(rows)


def _display_value(name: str, text: str) -> str:
    """A value as delivered; of roles with details the names only."""
    try:
        roles = json.loads(text) if name == "roles" else None
    except ValueError:
        roles = None
    if not isinstance(roles, list):
        return text
    return "; ".join(str(r.get("name", r) if isinstance(r, dict) else r) for r in roles)


def _heading(name: str) -> str:
    return COLUMN_HEADINGS.get(name) or name.replace("_", " ").capitalize()


def _show_frame(frame: pd.DataFrame, key: str, alt: str) -> None:
    st.dataframe(frame, hide_index=True, key=key, alt=alt, height="auto")


def display_name(name: str) -> str:
    """An uploaded file's name as one line of text."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return line if len(line) <= 120 else f"{line[:120]}…"
