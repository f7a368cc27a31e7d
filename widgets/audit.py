"""The audit log as a table, and its download."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from queries.audit import PAGE_SIZE, broken_from, count_events, page_of_events
from queries.filters import LONGEST_SEARCH
from server.authorize import reading
from widgets import timezone
from widgets import users_table as ut
from widgets.address import go, page_asked, turn_pages

MOST_TOLD = 3
"""Details that a row tells; it opens to all of them."""


def search_events() -> str:
    """Words to look for, kept in the address."""
    st.session_state["q"] = st.query_params.get("q", "")[:LONGEST_SEARCH]
    return st.text_input(
        "Search",
        key="q",
        type="search",
        max_chars=LONGEST_SEARCH,
        placeholder="Who, what, or of what",
        icon=":material/search:",
        on_change=lambda: go(q=st.session_state["q"], page=None),
        label_visibility="collapsed",
        width=300,
    )


@st.fragment
def events(search: str) -> None:
    """The newest first, a page at a time."""
    with reading(Act.AUDIT) as con:
        found = count_events(con, search)
        pages = max(1, -(-found // PAGE_SIZE))
        page = min(page_asked(), pages)
        rows = page_of_events(con, search, page)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="found"):
        st.text(f"{found:,} events, the newest first", width="content")
        link = '<a href="export/audit.ndjson" download>All events as NDJSON</a>'
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            _offer_to_check()
            st.html(f'<nav class="downloads" aria-label="Download">{link}</nav>', width="content")
    by_id = {row.event_id: row for row in rows}
    ut.users_table(
        [_row(row) for row in rows],
        columns=_columns(),
        sort="",
        descending=False,
        details=lambda ids: {id_: [_details(by_id[id_])] for id_ in ids},
        on_sort=lambda _: None,
        caption="Audit log",
        empty="Nothing that was done is called so." if search else "Nothing was done yet.",
        key="events",
    )
    turn_pages(page, pages)


def _columns() -> list[ut.Column]:
    return [
        ut.column("at", f"When ({timezone.zone()})", sortable=False, width=0.9),
        ut.column("who", "Who", sortable=False, width=1.2),
        ut.column("what", "What", sortable=False, width=1),
        ut.column("about", "About", sortable=False, width=2.5),
    ]


def _offer_to_check() -> None:
    """Reads the whole log, so only where somebody asks for it."""
    if not st.button("Check the seals", icon=":material/verified:", type="tertiary", key="check"):
        return
    with reading(Act.AUDIT) as con:
        broken = broken_from(con)
    if broken:
        st.badge(f"Changed from event {broken:,} on", icon=":material/gpp_bad:", color="red")
    else:
        st.badge("Every event is as it was written", icon=":material/check:", color="green")


def _row(row: Row[Any]) -> ut.Row:
    told = _told(row)
    about = ", ".join(f"{name} {value}" for name, value in told[:MOST_TOLD])
    return ut.row(
        row.event_id,
        f"event {row.number}",
        at=ut.time(row.at),
        who=ut.text(row.who),
        what=ut.text(row.what),
        about=ut.text(about + (", …" if len(told) > MOST_TOLD else "")),
    )


def _details(row: Row[Any]) -> ut.Block:
    facts = [(name.capitalize(), ut.text(value)) for name, value in _told(row)]
    return ut.facts([("Event", ut.text(f"{row.number:,}")), *facts, ("Seal", ut.code(row.seal))])


def _told(row: Row[Any]) -> Sequence[tuple[str, str]]:
    details = json.loads(row.details)
    return [(name.replace("_", " "), _in_words(value)) for name, value in details.items()]


def _in_words(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
