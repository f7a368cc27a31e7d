"""What loading a file would change, shown before it is loaded."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
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
from server.authorize import (
    real_connection,
    store_connection,
    writable_real_store,
    writable_store,
)
from widgets import timezone
from widgets.frame_table import frame_table

ACTIVITY = {True: "Yes", False: "No", None: ""}

SHOWN: dict[str, Callable[[Any], str]] = {
    "user_name": lambda text: text or "",
    "user_email": lambda text: text or "",
    "username_in_app": str,
    "roles": "; ".join,
    "active_in_app": ACTIVITY.__getitem__,
    "provisioning_state": str,
    "last_updated": lambda moment: timezone.format_moment(moment) if moment else "",
    "upstream_user_id": lambda text: text or "",
}
"""Column of the first accounts → its value as a text."""

SnapshotKey = tuple[str, datetime]
"""Which integration a file lists, and when it was taken (naive UTC)."""


@st.cache_data(scope="session", max_entries=50, show_spinner="Reading the file …")
def _cached_preview(
    cache_key: str,  # noqa: ARG001 - the file and its mapping, for the cache
    integration: str,
    revision: Any,  # noqa: ARG001 - of the store, for the cache
    _preview: Callable[[sa.Engine], Preview],
    *,
    is_upload: bool,
) -> Preview | str:
    open_store = writable_real_store if is_upload else writable_store
    try:
        return _preview(open_store(Permission.LOAD_FILES, integration))
    except SnapshotRejected as error:
        return str(error)


def preview_or_error(
    cache_key: str,
    integration: str,
    preview: Callable[[sa.Engine], Preview],
    *,
    is_upload: bool = False,
) -> Preview | str:
    """What loading a file would change, or why it cannot be loaded.

    The answer is kept until something else is loaded. `cache_key` identifies the file and the way
    to read it. An upload replaces the sample, so it is compared with real data only.
    """
    connection = real_connection if is_upload else store_connection
    try:
        with connection(Permission.LOAD_FILES) as con:
            revision = store_revision(con), deletion_limits(con).get(integration)
        return _cached_preview(cache_key, integration, revision, preview, is_upload=is_upload)
    except (StoreError, OSError) as error:
        return f"The preview is not available. {error}"


def needs_confirmation(report: LoadReport) -> bool:
    """Whether the file is only loaded if a person confirms it."""
    is_emptied = not report.accepted and report.previous is not None and report.previous.accounts
    return bool(report.confirmation_reason or is_emptied)


def show_preview(result: Preview, *, key: str, except_for: str = "") -> None:
    """Counts, warnings, the first accounts and the states; without the sentence `except_for`."""
    report = result.load_report
    st.text(_counts_text(report))
    for sentence in report.warnings():
        _show_sentence(sentence, ":material/warning:", "orange")
    for sentence in report.remarks():
        if sentence != except_for:
            _show_sentence(sentence, ":material/info:", "gray")
    deletions, tables = report.removed + report.being_deleted, dict[str, Callable[[], None]]()
    tables["First accounts"] = partial(_show_accounts, result.rows, key)
    if report.previous:
        tables["States before and after"] = partial(_show_states, report, key)
    if deletions:
        tables[f"Removed at once ({deletions:,})"] = partial(
            _show_first, _deletions(result), deletions, f"deletions_{key}"
        )
    if report.listed_rows:
        tables[f"Rejected rows ({report.listed_rows:,})"] = partial(
            _show_first, _rejected(result), report.listed_rows, f"rejected_{key}"
        )
    for tab, show in zip(st.tabs([*tables], key=f"tabs_{key}"), tables.values(), strict=True):
        with tab:
            show()


def _deletions(result: Preview) -> pd.DataFrame:
    columns = ["Username in app", "User", "Before", "After"]
    return pd.DataFrame(result.deletions, columns=columns)


def _rejected(result: Preview) -> pd.DataFrame:
    position = result.load_report.row_noun.capitalize()
    frame = pd.DataFrame(result.rejected, columns=[position, "Text", "Reason"])
    return frame[[position, "Reason", "Text"]]


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
    frame_table(pd.DataFrame(rows), caption, f"states_{key}")


def _show_accounts(accounts: Sequence[Mapping[str, Any]], key: str) -> None:
    """The columns that have a value, as they would be on Users; the others by name."""
    rows = [{name: show(row[name]) for name, show in SHOWN.items()} for row in accounts]
    frame = pd.DataFrame(rows, columns=[*SHOWN])
    empty = [name for name in SHOWN if not any(row[name] for row in rows)]
    frame = frame.drop(columns=empty).rename(columns=column_title)
    frame_table(frame, "The first accounts", f"rows_{key}")
    if empty and rows:
        st.caption(f"No values for {', '.join(map(column_title, empty))}.")


def _show_first(frame: pd.DataFrame, total: int, key: str) -> None:
    """The first rows of a total."""
    frame_table(frame, f"The first {len(frame):,} of {total:,} rows", key)
    if len(frame) < total:
        st.text(f"The first {len(frame):,} of {total:,}.")
