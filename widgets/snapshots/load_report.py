"""A loaded snapshot: its row in the list, its load report, and its actions."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.files.naming import parse_moment
from data.history.load_report import DEFAULT_DELETION_LIMIT, LoadReport, set_deletion_limit
from data.home import current_home
from data.inbox.actions import withdraw_snapshot
from data.records.audit_log import Event
from data.states import STATE_BY_NAME
from queries.rejected_rows import rejected_rows
from queries.snapshots import deletion_limits, snapshot_params
from server.authorize import record_action, store_connection, writable_store
from server.session import current_principal
from widgets import timezone
from widgets import users_table as ut
from widgets.address import address_params
from widgets.confirmation import show_confirmation
from widgets.state_marks import state_mark

MAX_REJECTED_SHOWN = 100
"""Rejected rows that a load report lists; the download has all of them."""

COLUMN_WIDTHS = {
    "integration": 1.4, "taken_at": 1.25, "quality": 1.05, "accounts": 0.85, "added": 0.75,
    "changed": 0.85, "removed": 0.85, "rejected": 0.85, "flagged": 0.75, "file": 2.1,
    "loaded_at": 1.25,
}  # fmt: skip
"""Columns of the list, with their relative widths."""
COUNTS = ("added", "changed", "removed", "rejected", "flagged")

NO_ACTION_NEEDED = "No action needed."
REMOVE_TEXT = (
    "{integration}, taken at {moment}, with {accounts:,} accounts, is removed from the history of "
    "its accounts and from every chart, as if it had never been loaded."
)
REMOVED_FILE_TEXT = "Its file moves to {folder}. To load it again, put it into the inbox."
LIMIT_TEXT = (
    "A file that removes more than this share of an integration’s accounts is put on hold until "
    "someone confirms it. Accounts that move to a Delete state count as removed."
)


def requested_snapshot() -> tuple[str, datetime] | None:
    """The snapshot that the address names."""
    params = address_params()
    names, moments = params.get("integration", []), params.get("taken_at", [])
    taken_at = parse_moment(next(iter(moments), ""))
    return (names[0], taken_at) if names and taken_at else None


# ---- the list ------------------------------------------------------------------------------------


def row_id(report: LoadReport) -> str:
    """Identifies the row of a snapshot."""
    return f"{report.taken_at.isoformat()} {report.integration}"


def show_table(reports: Sequence[LoadReport], *, key: str) -> None:
    """One row per snapshot; each opens its load report."""

    def panels(ids: Sequence[str]) -> dict[str, list[ut.Block]]:
        with store_connection(Permission.SNAPSHOTS) as con:
            return {
                row_id(r): _panel(
                    r, rejected_rows(con, r.integration, r.taken_at, limit=MAX_REJECTED_SHOWN)
                )
                for r in reports
                if row_id(r) in ids
            }

    ut.users_table(
        [_table_row(report) for report in reports],
        columns=_table_columns(),
        details=panels,
        caption="Snapshots",
        empty="No snapshots of these integrations.",
        key=key,
    )


def _table_columns() -> list[ut.TableColumn]:
    """Times are in the reader's time zone."""
    zone = timezone.current_zone()
    labels = {"taken_at": f"Taken at ({zone})", "loaded_at": f"Loaded at ({zone})"}
    return [
        ut.column(
            key,
            labels.get(key, key.capitalize()),
            sortable=False,
            width=width,
            numeric=key in ("accounts", *COUNTS),
        )
        for key, width in COLUMN_WIDTHS.items()
    ]


def _table_row(report: LoadReport) -> ut.TableRow:
    """One snapshot of the list; its moment links to its own address."""
    moment = timezone.format_moment(report.taken_at)
    query = urlencode(snapshot_params(report.integration, report.taken_at))
    counts = {name: _count_cell(getattr(report, name)) for name in COUNTS}
    if not report.previous:
        counts["added"] = ut.quiet("first")
    return ut.row(
        row_id(report),
        f"{report.integration} at {moment}",
        integration=ut.text(report.integration),
        taken_at=ut.link(moment, f"?{query}"),
        quality=_quality_mark(report),
        accounts=ut.text(f"{report.accepted:,}"),
        file=ut.text(report.file_name),
        loaded_at=ut.time(report.loaded_at),
        **counts,
    )


def _quality_mark(report: LoadReport) -> ut.Cell:
    """The quality as a word, a color and a shape."""
    if report.quality == "ok":
        return ut.mark("OK", "good", "check")
    return ut.mark("Check", "awaiting", "alert")


def _count_cell(number: int) -> ut.Cell:
    return ut.text(f"{number:,}") if number else ut.quiet()


# ---- the load report -----------------------------------------------------------------------------


def _panel(report: LoadReport, rejected: Sequence[sa.Row[Any]]) -> list[ut.Block]:
    """The whole load report; `rejected` are the first of its rejected rows."""
    compared, headings = "", ["State", "Accounts", "Share"]
    if report.previous:
        compared = ", compared with the previous snapshot"
        headings += ["Before", "Change"]
    warnings = [ut.note(sentence, "warn") for sentence in report.warnings()]
    return [
        *(warnings or [ut.note(NO_ACTION_NEEDED, "good")]),
        *(ut.note(sentence) for sentence in report.remarks()),
        ut.facts(_facts(report)),
        ut.table(f"Provisioning states{compared}", headings, list(_state_rows(report))),
        *_rejected_blocks(report, rejected),
    ]


def _facts(report: LoadReport) -> list[tuple[str, ut.Cell]]:
    columns = {
        "Columns": report.headings,
        "Missing columns": report.missing_headings,
        "New columns": report.new_headings,
    }
    return [
        ("Rows in the file", ut.text(f"{report.rows_read:,}")),
        ("Accounts", ut.text(f"{report.accepted:,}")),
        ("Rejected rows", ut.text(f"{report.rejected:,}")),
        ("Flagged accounts", ut.text(f"{report.flagged:,}")),
        ("Merged rows", ut.text(f"{report.merged:,}")),
        ("Times without a time zone", ut.text(f"{report.without_offset:,}")),
        *_comparison_facts(report),
        ("File", ut.code(report.file_name)),
        ("SHA-256", ut.code(report.sha256)),
        ("Loaded at", ut.time(report.loaded_at)),
        *(
            (label, ut.tags(names, limit=30))
            for label, names in columns.items()
            if names or label == "Columns"
        ),
    ]


def _comparison_facts(report: LoadReport) -> list[tuple[str, ut.Cell]]:
    if not report.previous:
        return [("Compared with", ut.quiet("first snapshot"))]
    limit = f"{report.deletion_share:.1%} (limit {report.deletion_limit:.0%})"
    return [
        ("Compared with", ut.time(report.previous.taken_at)),
        ("Added", ut.text(f"{report.added:,}")),
        ("Changed", ut.text(f"{report.changed:,}")),
        ("Removed", ut.text(f"{report.removed:,}")),
        ("Now being deleted", ut.text(f"{report.being_deleted:,}")),
        ("Removed at once", ut.text(limit)),
        ("States moved", ut.text(f"{report.state_shift:.1%} of the accounts")),
    ]


def _state_rows(report: LoadReport) -> Iterator[list[ut.Cell | str]]:
    """One row per state that has accounts, or had some in the previous snapshot."""
    before = report.previous
    for name in STATE_BY_NAME:
        count = report.states.get(name, 0)
        count_before = before.states.get(name, 0) if before else 0
        if not count and not count_before:
            continue
        share = report.state_share(name)
        row = [state_mark(name), f"{count:,}", f"{share:.1%}"]
        if before:
            points = 100 * (share - before.state_share(name))
            row += [
                f"{count_before:,} · {before.state_share(name):.1%}",
                f"{points:+.1f} points" if round(points, 1) else "±0",
            ]
        yield row


def _rejected_blocks(report: LoadReport, rejected: Sequence[sa.Row[Any]]) -> list[ut.Block]:
    if not rejected:
        return []
    count = f" (first {len(rejected):,})" if len(rejected) < report.listed_rows else ""
    columns = [report.row_noun.capitalize(), "Reason", "Text"]
    rows = [[f"{row.line:,}", ut.text(row.reason), ut.code(row.text)] for row in rejected]
    title = "Rows to check" if report.conflicting else "Rejected rows"
    return [ut.table(f"{title}{count}", columns, rows, searchable=len(rows) > 10)]


# ---- actions -------------------------------------------------------------------------------------


def show_actions(report: LoadReport, *, is_sample: bool) -> None:
    """Links to the accounts and the rejected rows of a snapshot, and the button to remove it."""
    with st.container(horizontal=True, vertical_alignment="center", key="snapshot_actions"):
        params = snapshot_params(report.integration, report.taken_at)
        accounts = {"as_of": params["taken_at"], "integration": report.integration}
        links = [("View accounts", f"users?{urlencode(accounts)}", "")]
        if report.listed_rows:
            href = f"export/rejected.csv?{urlencode(params)}"
            links.append(("Download rejected rows (CSV)", href, " download"))
        items = "".join(
            f'<a href="{escape(href)}" target="_self"{attributes}>{label}</a>'
            for label, href, attributes in links
        )
        nav = f'<nav class="downloads" aria-label="This snapshot">{items}</nav>'
        st.html(nav, width="content")
        can_remove = not is_sample and current_principal().is_allowed(
            Permission.REMOVE_SNAPSHOTS, report.integration
        )
        if can_remove and st.button("Remove snapshot", icon=":material/delete:", key="remove"):
            _ask_to_remove(report)


@st.dialog("Remove this snapshot?")
def _ask_to_remove(report: LoadReport) -> None:
    moment = timezone.format_with_zone(report.taken_at, seconds=True)
    st.text(
        REMOVE_TEXT.format(integration=report.integration, moment=moment, accounts=report.accepted)
    )
    st.text(REMOVED_FILE_TEXT.format(folder=current_home().removed))
    show_confirmation("Remove", "remove", _remove_snapshot, (report,))


def _remove_snapshot(report: LoadReport) -> str:
    store = writable_store(Permission.REMOVE_SNAPSHOTS, report.integration)
    withdraw_snapshot(store, current_home(), report.integration, report.taken_at)
    params = snapshot_params(report.integration, report.taken_at)
    record_action(Event.REMOVED, **params, sha256=report.sha256, accounts=report.accepted)
    st.query_params.clear()
    return "The snapshot was removed."


def show_deletion_limits(chosen: Sequence[str]) -> None:
    """The share of an integration's accounts above which a file is put on hold."""
    with store_connection(Permission.SNAPSHOTS) as con:
        limits = deletion_limits(con)
    with st.expander("Safety limit", key="limits"):
        st.text(LIMIT_TEXT)
        names = list(limits)
        first = names.index(chosen[0]) if chosen and chosen[0] in limits else 0
        left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
        name = left.selectbox("Integration", names, index=first, key="limit_of")
        percent = middle.number_input(
            "Hold files that remove more than (%)",
            0,
            100,
            round(100 * limits.get(name, DEFAULT_DELETION_LIMIT)),
            key=f"limit_{names.index(name)}",
        )
        if right.button("Save", key="limit_save", width="stretch"):
            _save_deletion_limit(name, percent)
        custom = ", ".join(
            f"{name} {share:.0%}"
            for name, share in limits.items()
            if round(share, 4) != DEFAULT_DELETION_LIMIT
        )
        default = f"Default: {DEFAULT_DELETION_LIMIT:.0%}."
        st.text(f"{default} Custom: {custom}." if custom else default)


def _save_deletion_limit(name: str, percent: int) -> None:
    set_deletion_limit(writable_store(Permission.CHANGE_SETTINGS, name), name, percent / 100)
    details = {"integration": name, "percent": percent}
    record_action(Event.SETTING_CHANGED, setting="Safety limit", **details)
    st.toast("Saved. The limit applies to the next file.")
    st.rerun()
