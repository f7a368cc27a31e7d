"""A loaded snapshot in words and marks: a row of the list, its passport, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.files.formats import row_noun
from data.files.naming import parse_moment
from data.history.load_report import DEFAULT_DELETION_LIMIT, LoadReport, set_deletion_limit
from data.home import current_home
from data.inbox.quarantine import withdraw_snapshot
from data.records.audit_log import Event
from data.states import STATE_BY_NAME
from queries.snapshots import snapshot_params
from server.authorize import record_action, writable_store
from server.session import current_principal
from widgets import timezone
from widgets import users_table as ut
from widgets.address import address_params
from widgets.state_marks import STATE_MARKS

MAX_REJECTED_SHOWN = 100
"""Rejected rows that a passport lists; the download has them all."""


def table_columns() -> list[ut.TableColumn]:
    """The columns of the list; times are those of the reader's clock."""
    zone = timezone.current_zone()
    return [
        ut.column("integration", "Integration", sortable=False, width=1.4),
        ut.column("taken_at", f"Taken at ({zone})", sortable=False, width=1.25),
        ut.column("grade", "Grade", sortable=False, width=1.05),
        ut.column("accounts", "Accounts", sortable=False, width=0.85),
        ut.column("joined", "Joined", sortable=False, width=0.75),
        ut.column("changed", "Changed", sortable=False, width=0.85),
        ut.column("gone", "Gone", sortable=False, width=0.65),
        ut.column("rejected", "Rejected", sortable=False, width=0.85),
        ut.column("flagged", "Flagged", sortable=False, width=0.75),
        ut.column("file", "File", sortable=False, width=2.1),
        ut.column("loaded_at", f"Loaded at ({zone})", sortable=False, width=1.25),
    ]


def requested_snapshot() -> tuple[str, datetime] | None:
    """The one snapshot that the address names."""
    names = address_params().get("integration", [])
    taken_at = parse_moment(next(iter(address_params().get("taken_at", [])), ""))
    return (names[0], taken_at) if names and taken_at else None


# ---- the list ------------------------------------------------------------------------------------


def row_id(report: LoadReport) -> str:
    """What tells the row of a snapshot from all others."""
    return f"{report.taken_at.isoformat()} {report.integration}"


def table_row(report: LoadReport) -> ut.TableRow:
    """One snapshot of the list; its moment leads to its own address."""
    moment_text = timezone.format_moment(report.taken_at)
    query = urlencode(snapshot_params(report.integration, report.taken_at))
    has_before = report.previous is not None
    return ut.row(
        row_id(report),
        f"{report.integration} at {moment_text}",
        integration=ut.text(report.integration),
        taken_at=ut.link(moment_text, f"?{query}"),
        grade=quality_mark(report),
        accounts=ut.text(f"{report.accepted:,}"),
        joined=_count_cell(report.added) if has_before else ut.quiet("first"),
        changed=_count_cell(report.changed),
        gone=_count_cell(report.removed),
        rejected=_count_cell(report.rejected),
        flagged=_count_cell(report.flagged),
        file=ut.text(report.file_name),
        loaded_at=ut.time(report.loaded_at),
    )


def quality_mark(report: LoadReport) -> ut.Cell:
    """The grade as a word, a colour and a shape."""
    if report.quality == "ok":
        return ut.mark("OK", "good", "check")
    return ut.mark("Check", "wait", "alert")


def _count_cell(number: int) -> ut.Cell:
    return ut.text(f"{number:,}") if number else ut.quiet()


# ---- the passport --------------------------------------------------------------------------------


def panel(report: LoadReport, rejected: Sequence[Row[Any]]) -> list[ut.Block]:
    """All that a passport says; `rejected` are the first of its rejected rows."""
    return [
        *(ut.note(sentence, "warn") for sentence in report.warnings()),
        *([] if report.warnings() else [ut.note("Nothing here needs a person.", "good")]),
        *(ut.note(sentence) for sentence in report.remarks()),
        ut.facts(_report_facts(report)),
        ut.table(
            "Provisioning states" + (", against the snapshot before" if report.previous else ""),
            ["State", "Accounts", "Share", *(["Before", "Change"] if report.previous else [])],
            list(_state_rows(report)),
        ),
        *_rejected_blocks(report, rejected),
    ]


def _report_facts(report: LoadReport) -> list[tuple[str, ut.Cell]]:
    before = report.previous
    comparison = [
        ("Compared with", ut.time(before and before.taken_at)),
        ("Joined", ut.text(f"{report.added:,}")),
        ("Changed", ut.text(f"{report.changed:,}")),
        ("Gone", ut.text(f"{report.removed:,}")),
        ("Fallen into a Delete state", ut.text(f"{report.being_deleted:,}")),
        ("Left at once", ut.text(f"{report.deletion_share:.1%}, {report.deletion_limit:.0%} may")),
        ("Moved to other states", ut.text(f"{report.state_shift:.1%} of the accounts")),
    ]
    return [
        ("Rows in the file", ut.text(f"{report.rows_read:,}")),
        ("Accounts", ut.text(f"{report.accepted:,}")),
        ("Rejected rows", ut.text(f"{report.rejected:,}")),
        ("Accounts with a flagged value", ut.text(f"{report.flagged:,}")),
        ("Rows that repeat an account", ut.text(f"{report.duplicates:,}")),
        ("Times without an offset", ut.text(f"{report.without_offset:,}")),
        *(comparison if before else [("Compared with", ut.quiet("nothing: the first one"))]),
        ("File", ut.code(report.file_name)),
        ("SHA-256", ut.code(report.sha256)),
        ("Loaded at", ut.time(report.loaded_at)),
        ("Columns", ut.tags(list(report.headings), limit=30)),
        *(
            [("Columns missing", ut.tags(report.missing_headings, limit=30))]
            if report.missing_headings
            else []
        ),
        *([("Columns new", ut.tags(report.new_headings, limit=30))] if report.new_headings else []),
    ]


def _state_rows(report: LoadReport) -> Iterator[list[ut.Cell | str]]:
    """One row per state that has accounts, or had some before."""
    before = report.previous
    for state in STATE_BY_NAME.values():
        count, count_before = (
            report.states.get(state.name, 0),
            before and before.states.get(state.name, 0),
        )
        if not count and not count_before:
            continue
        mark = ut.mark(state.name, *(STATE_MARKS.get(state.name) or STATE_MARKS[state.phase]))
        share = report.state_share(state.name)
        row = [mark, f"{count:,}", f"{share:.1%}"]
        if before:
            points = 100 * (share - before.state_share(state.name))
            row += [
                f"{count_before:,} · {before.state_share(state.name):.1%}",
                f"{points:+.1f} points" if round(points, 1) else "±0",
            ]
        yield row


def _rejected_blocks(report: LoadReport, rejected: Sequence[Row[Any]]) -> list[ut.Block]:
    if not rejected:
        return []
    more = f": the first {len(rejected):,}" if len(rejected) < report.rejected else ""
    rows = [[f"{row.line:,}", ut.text(row.reason), ut.code(row.text)] for row in rejected]
    caption = f"Rejected rows{more}"
    position = row_noun(report.file_name).capitalize()
    return [ut.table(caption, [position, "Reason", "Text"], rows, searchable=len(rows) > 10)]


# ---- what to do with one -------------------------------------------------------------------------


def show_actions(report: LoadReport, *, is_sample: bool) -> None:
    """The ways from one snapshot: its accounts, its rejected rows, and out of the store."""
    with st.container(horizontal=True, vertical_alignment="center", key="acts"):
        params = snapshot_params(report.integration, report.taken_at)
        users_params = {"as_of": params["taken_at"], "integration": report.integration}
        links = [("Accounts at this moment", f"users?{urlencode(users_params)}", "")]
        if report.rejected > report.exact_duplicates:
            rejected = f"export/rejected.csv?{urlencode(params)}"
            links.append(("Rejected rows as CSV", rejected, " download"))
        items = "".join(
            f'<a href="{escape(href)}" target="_self"{attributes}>{label}</a>'
            for label, href, attributes in links
        )
        st.html(
            f'<nav class="downloads" aria-label="This snapshot">{items}</nav>',
            width="content",
        )
        can_remove = not is_sample and current_principal().is_allowed(
            Permission.REMOVE_SNAPSHOTS, report.integration
        )
        if can_remove and st.button("Remove snapshot", icon=":material/delete:", key="remove"):
            _ask_to_remove(report)


@st.dialog("Remove this snapshot?")
def _ask_to_remove(report: LoadReport) -> None:
    st.text(
        f"{report.integration}, taken at "
        f"{timezone.format_with_zone(report.taken_at, seconds=True)}, with "
        f"{report.accepted:,} accounts, is taken out as if it had never been loaded: from the "
        "history of its accounts and from every chart."
    )
    st.text(
        f"Its file is kept, in {current_home().removed}; put it into the inbox to have it back."
    )
    with st.container(horizontal=True):
        is_confirmed = st.button(
            "Remove it",
            type="primary",
            key="remove_sure",
            on_click=_remove_snapshot,
            args=(report,),
        )
        if is_confirmed or st.button("Keep it", key="remove_not"):
            st.rerun()


def _remove_snapshot(report: LoadReport) -> None:
    store = writable_store(Permission.REMOVE_SNAPSHOTS, report.integration)
    withdraw_snapshot(store, current_home(), report.integration, report.taken_at)
    params = snapshot_params(report.integration, report.taken_at)
    record_action(Event.REMOVED, **params, sha256=report.sha256, accounts=report.accepted)
    st.query_params.clear()
    st.toast("The snapshot was removed.")


def show_deletion_limits(limits: dict[str, float], chosen: Sequence[str]) -> None:
    """How many of an integration's accounts may leave at once, before a person is asked."""
    with st.expander("When a file is held", key="limits"):
        st.text(
            "A file that takes away more than this share of an integration’s accounts at once – "
            "gone, or fallen into a Delete state – is held until a person confirms it."
        )
        names = list(limits)
        first = names.index(chosen[0]) if chosen and chosen[0] in limits else 0
        integration_area, limit_area, button_area = st.columns(
            [3, 2, 2], vertical_alignment="bottom"
        )
        name = integration_area.selectbox("Integration", names, index=first, key="limit_of")
        percent = limit_area.number_input(
            "May leave at once (%)",
            0,
            100,
            round(100 * limits.get(name, DEFAULT_DELETION_LIMIT)),
            key=f"limit_{names.index(name)}",
        )
        if button_area.button("Save", key="limit_save", width="stretch"):
            set_deletion_limit(
                writable_store(Permission.CHANGE_SETTINGS, name), name, percent / 100
            )
            record_action(
                Event.SETTING_CHANGED,
                setting="May leave at once",
                integration=name,
                percent=percent,
            )
            st.toast("Saved: it counts from the next file on.")
            st.rerun()
        custom_limits = {n: s for n, s in limits.items() if round(s, 4) != DEFAULT_DELETION_LIMIT}
        custom_text = ", ".join(f"{n} {s:.0%}" for n, s in custom_limits.items())
        st.text(
            f"Usually {DEFAULT_DELETION_LIMIT:.0%}."
            + (f" Otherwise: {custom_text}." if custom_text else "")
        )


# ---- the download of rejected rows ---------------------------------------------------------------
