"""The audit log as a table, and its download."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from queries.audit import PAGE_SIZE, count_events, find_broken_event, page_of_events
from queries.filters import MAX_SEARCH_LENGTH
from server.authorize import store_connection
from widgets import timezone
from widgets import users_table as ut
from widgets.address import requested_page, show_pagination, update_address

MAX_DETAILS_SHOWN = 3
"""Details that a row tells; it opens to all of them."""


def search_input() -> str:
    """Words to look for, kept in the address."""
    st.session_state["q"] = st.query_params.get("q", "")[:MAX_SEARCH_LENGTH]
    return st.text_input(
        "Search",
        key="q",
        type="search",
        max_chars=MAX_SEARCH_LENGTH,
        placeholder="Who, what, or of what",
        icon=":material/search:",
        on_change=lambda: update_address(q=st.session_state["q"], page=None),
        label_visibility="collapsed",
        width=300,
    )


@st.fragment
def show_events(search: str) -> None:
    """The newest first, a page at a time."""
    with store_connection(Permission.AUDIT) as con:
        count = count_events(con, search)
        page = requested_page(count, PAGE_SIZE)
        rows = page_of_events(con, search, page)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="found"):
        st.text(f"{count:,} events, the newest first", width="content")
        link = '<a href="export/audit.ndjson" download>All events as NDJSON</a>'
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            _show_integrity_check()
            st.html(f'<nav class="downloads" aria-label="Download">{link}</nav>', width="content")
    by_id = {row.event_id: row for row in rows}
    ut.users_table(
        [_table_row(row) for row in rows],
        columns=_columns(),
        sort="",
        descending=False,
        details=lambda ids: {id_: [_details_block(by_id[id_])] for id_ in ids},
        on_sort=lambda _: None,
        caption="Audit log",
        empty="Nothing that was done is called so." if search else "Nothing was done yet.",
        key="events",
    )
    show_pagination(page, count, PAGE_SIZE)


def _columns() -> list[ut.TableColumn]:
    return [
        ut.column("occurred_at", f"When ({timezone.current_zone()})", sortable=False, width=0.9),
        ut.column("actor", "Who", sortable=False, width=1.2),
        ut.column("action", "What", sortable=False, width=1),
        ut.column("about", "About", sortable=False, width=2.5),
    ]


def _show_integrity_check() -> None:
    """Reads the whole log, so only where somebody asks for it."""
    if not st.button("Check the seals", icon=":material/verified:", type="tertiary", key="check"):
        return
    with store_connection(Permission.AUDIT) as con:
        first_broken = find_broken_event(con)
    if first_broken:
        st.badge(f"Changed from event {first_broken:,} on", icon=":material/gpp_bad:", color="red")
    else:
        st.badge("Every event is as it was written", icon=":material/check:", color="green")


def _table_row(row: Row[Any]) -> ut.TableRow:
    details = _detail_items(row)
    summary = ", ".join(f"{name} {value}" for name, value in details[:MAX_DETAILS_SHOWN])
    return ut.row(
        row.event_id,
        f"event {row.number}",
        occurred_at=ut.time(row.occurred_at),
        actor=ut.text(row.actor),
        action=ut.text(row.action),
        about=ut.text(summary + (", …" if len(details) > MAX_DETAILS_SHOWN else "")),
    )


def _details_block(row: Row[Any]) -> ut.Block:
    facts = [(name.capitalize(), ut.text(value)) for name, value in _detail_items(row)]
    return ut.facts(
        [("Event", ut.text(f"{row.number:,}")), *facts, ("Seal", ut.code(row.checksum))]
    )


def _detail_items(row: Row[Any]) -> Sequence[tuple[str, str]]:
    details = json.loads(row.details)
    return [(name.replace("_", " "), _value_text(value)) for name, value in details.items()]


def _value_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
