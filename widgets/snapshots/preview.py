"""What loading a file would change, shown before it is loaded."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.files.errors import SnapshotRejected
from data.files.headers import column_title
from data.history.load_report import LoadReport
from data.history.preview import Preview
from data.states import STATE_BY_NAME
from data.store.errors import StoreError
from queries.cache import store_revision
from queries.snapshots import deletion_limits
from server.authorize import real_connection, writable_store
from widgets import timezone

NO_DELETIONS = "No accounts would disappear or move to a Delete state."
NO_REJECTED_ROWS = "Every row is an account."

SnapshotKey = tuple[str, datetime]
"""Which integration a file lists, and when it was taken (naive UTC)."""


@st.cache_data(scope="session", max_entries=50, show_spinner="Reading the file …")
def _cached_preview(
    cache_key: str,  # noqa: ARG001 - the file and its mapping, for the cache
    integration: str,
    revision: Any,  # noqa: ARG001 - of the store, for the cache
    _preview: Callable[[sa.Engine], Preview],
) -> Preview | str:
    try:
        return _preview(writable_store(Permission.LOAD_FILES, integration))
    except SnapshotRejected as error:
        return str(error)


def preview_or_error(
    cache_key: str, integration: str, preview: Callable[[sa.Engine], Preview]
) -> Preview | str:
    """What loading a file would change, or why it cannot be loaded.

    The answer is kept until something else is loaded. `cache_key` identifies the file and the way
    to read it.
    """
    try:
        with real_connection(Permission.LOAD_FILES) as con:
            revision = store_revision(con), deletion_limits(con).get(integration)
        return _cached_preview(cache_key, integration, revision, preview)
    except (StoreError, OSError) as error:
        return f"The preview is not available. {error}"


def needs_confirmation(report: LoadReport) -> bool:
    """Whether the file is only loaded if a person confirms it."""
    is_emptied = not report.accepted and report.previous is not None and report.previous.accounts
    return bool(report.confirmation_reason or is_emptied)


def show_preview(result: Preview, *, key: str) -> None:
    """Counts, warnings, the mix of states, and rows as they were read."""
    report = result.load_report
    st.text(_counts_text(report))
    for sentence in report.warnings():
        _show_sentence(sentence, ":material/warning:", "orange")
    for sentence in report.remarks():
        _show_sentence(sentence, ":material/info:", "gray")
    deletions = report.removed + report.being_deleted
    rows_tab, states_tab, deletions_tab, rejected_tab = st.tabs(
        [
            "First rows",
            "States before and after",
            f"Removed at once ({deletions:,})",
            f"Rejected rows ({report.listed_rows:,})",
        ],
        key=f"tabs_{key}",
    )
    with rows_tab:
        frame = pd.DataFrame(map(_readable_row, result.rows)).fillna("")
        _show_frame(frame, f"rows_{key}", "The first rows, by column")
    with states_tab:
        _show_states(report, key)
    with deletions_tab:
        columns = ["Username in app", "User", "Before", "After"]
        frame = pd.DataFrame(result.deletions, columns=columns)
        _show_first(frame, deletions, f"deletions_{key}", NO_DELETIONS)
    with rejected_tab:
        position = report.row_noun.capitalize()
        frame = pd.DataFrame(result.rejected, columns=[position, "Text", "Reason"])
        frame = frame[[position, "Reason", "Text"]]
        _show_first(frame, report.listed_rows, f"rejected_{key}", NO_REJECTED_ROWS)


def _counts_text(report: LoadReport) -> str:
    accounts = f"{report.accepted:,} of {report.rows_read:,} rows are accounts."
    if not report.previous:
        return f"{accounts} There is no earlier snapshot to compare with."
    before = timezone.format_with_zone(report.previous.taken_at)
    return (
        f"{accounts} Compared with {before}: {report.added:,} added, {report.changed:,} changed, "
        f"{report.removed:,} removed, {report.being_deleted:,} now being deleted."
    )


def _show_sentence(sentence: str, icon: str, color: Any) -> None:
    with st.container(horizontal=True, wrap=False, gap="xsmall"):
        st.badge("", icon=icon, color=color)
        st.text(sentence, width="stretch")


def _show_states(report: LoadReport, key: str) -> None:
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
    caption = "Accounts by provisioning state, before and after"
    _show_frame(pd.DataFrame(rows), f"states_{key}", caption)


def _readable_row(row: dict[str, str]) -> dict[str, str]:
    """A row as it was delivered, by heading; of roles with details, only the names."""
    return {
        column_title(name): _role_names(text) if name == "roles" else text
        for name, text in row.items()
    }


def _role_names(text: str) -> str:
    try:
        roles = json.loads(text)
    except ValueError:
        return text
    if not isinstance(roles, list):
        return text
    return "; ".join(str(r.get("name", r) if isinstance(r, dict) else r) for r in roles)


def _show_first(frame: pd.DataFrame, total: int, key: str, empty: str) -> None:
    """The first rows of a total, or a sentence if there are none."""
    if frame.empty:
        st.text(empty)
        return
    _show_frame(frame, key, f"The first {len(frame):,} of {total:,} rows")
    if len(frame) < total:
        st.text(f"The first {len(frame):,} of {total:,}.")


def _show_frame(frame: pd.DataFrame, key: str, alt: str) -> None:
    st.dataframe(frame, hide_index=True, key=key, alt=alt, height="auto")
