"""The audit log as a table, and its download."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import LOCAL, Permission
from data.formatting import count_of
from data.records.audit_log import Event
from queries.audit import PAGE_SIZE, count_events, find_broken_event, page_of_events
from queries.filters import MAX_SEARCH_LENGTH
from server.authorize import authorize, record_action, store_connection
from server.session import current_principal, end_sessions
from widgets import timezone
from widgets import users_table as ut
from widgets.address import requested_page, show_pagination, update_address

MAX_DETAILS_SHOWN = 3
"""Details in a row; its panel has all of them."""


def search_input() -> str:
    """The search text, which is in the address."""
    st.session_state["q"] = st.query_params.get("q", "")[:MAX_SEARCH_LENGTH]
    return st.text_input(
        "Search",
        key="q",
        type="search",
        max_chars=MAX_SEARCH_LENGTH,
        placeholder="Search by person, action or object",
        icon=":material/search:",
        on_change=lambda: update_address(q=st.session_state["q"], page=None),
        label_visibility="collapsed",
        width=300,
    )


def show_end_sessions() -> None:
    """End all sessions of a person: their account or role is gone. Only with sign-in."""
    if current_principal().name == LOCAL.name:
        return
    with st.expander("End a person's sessions"), st.form("end_sessions", border=False):
        st.text("They have to sign in again. Take their role away first.")
        person = st.text_input("Person, as in the log", key="end_sessions_of", max_chars=200)
        if st.form_submit_button("End sessions") and person.strip():
            authorize(Permission.AUDIT)
            end_sessions(person.strip())
            record_action(Event.SESSIONS_ENDED, person=person.strip())
            st.toast("Their sessions have ended.")


@st.fragment
def show_events(search: str) -> None:
    """One page of events, newest first."""
    with store_connection(Permission.AUDIT) as con:
        count = count_events(con, search)
        page = requested_page(count, PAGE_SIZE)
        rows = page_of_events(con, search, page)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="found"):
        st.text(f"{count_of(count, 'event')} · newest first", width="content")
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
        empty="No matching events." if search else "No events yet.",
        key="events",
    )
    show_pagination(page, count, PAGE_SIZE)


def _columns() -> list[ut.TableColumn]:
    return [
        ut.column("occurred_at", f"Time ({timezone.current_zone()})", sortable=False, width=0.9),
        ut.column("actor", "Person", sortable=False, width=1.2),
        ut.column("action", "Action", sortable=False, width=1),
        ut.column("about", "Details", sortable=False, width=2.5),
    ]


def _show_integrity_check() -> None:
    """On request, as it reads the whole log."""
    if not st.button("Verify integrity", icon=":material/verified:", type="tertiary", key="check"):
        return
    with store_connection(Permission.AUDIT) as con:
        first_broken = find_broken_event(con)
    if first_broken:
        st.badge(
            f"Log was changed at or after event {first_broken:,}",
            icon=":material/gpp_bad:",
            color="red",
        )
    else:
        st.badge("Log is intact", icon=":material/check:", color="green")


def _table_row(row: sa.Row[Any]) -> ut.TableRow:
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


def _details_block(row: sa.Row[Any]) -> ut.Block:
    details = [(name.capitalize(), ut.text(value)) for name, value in _detail_items(row)]
    number, checksum = ut.text(f"{row.number:,}"), ut.code(row.checksum)
    return ut.facts([("Event", number), *details, ("Checksum", checksum)])


def _detail_items(row: sa.Row[Any]) -> Sequence[tuple[str, str]]:
    details = json.loads(row.details)
    return [(name.replace("_", " "), _value_text(value)) for name, value in details.items()]


def _value_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
