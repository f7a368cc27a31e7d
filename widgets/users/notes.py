"""The dialog that writes a note on one account or on several, and removes it."""

from datetime import date
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from data.records.audit_log import Event
from data.records.decisions import NOTES, InvalidInput, decisions_by_account
from data.records.notes import MAX_NOTE_LENGTH, NamedAccount, save_note
from queries.notes import named_account
from server.authorize import record_action, store_connection, writable_store
from server.session import current_principal
from widgets import timezone
from widgets import users_table as ut
from widgets.labels import escape_label
from widgets.signer import name_input, remember_name


def can_write_notes() -> bool:
    """Whether the reader may write notes."""
    return current_principal().is_allowed(Permission.WRITE_NOTES)


def note_text(note: sa.Row[Any]) -> str:
    """`On leave – Grace, until 2026-05-01`, for a row of the list."""
    until = f", until {note.until}" if note.until else ""
    return f"{note.text}\n– {note.written_by}{until}"


def note_blocks(note: sa.Row[Any] | None, *, can_write: bool) -> list[ut.Block]:
    """The note in the panel of its account, and the button that writes one."""
    actions = [("note", "Edit note" if note else "Add note")] if can_write else []
    if note is None:
        return [ut.note("", actions=actions)] if actions else []
    until = f", until {note.until} UTC" if note.until else ""
    written = f"{note.written_by}, {timezone.format_moment(note.written_at)}{until}"
    return [
        ut.note(
            note.text,
            "awaiting",
            mark=ut.mark("Note", "awaiting", "memo"),
            since=ut.time(note.written_at, written),
            actions=actions,
        )
    ]


@st.dialog("Note")
def note_dialog(account_key: int) -> None:
    """Write the note on an account; the one in force is there to be changed or removed."""
    with store_connection(Permission.USERS) as con:
        account = named_account(con, account_key)
        current = decisions_by_account(con, NOTES, [account_key]).get(account_key)
    if account is None:
        st.text("This account is no longer listed.")
        return
    st.text(f"On {account.account_id} in {account.integration}.")
    key = f"note_{account_key}"
    text = st.text_area(
        "Note", current.text if current else "", key=f"{key}_text", max_chars=MAX_NOTE_LENGTH
    )
    until = st.date_input(
        "Until (UTC; empty: until it is removed)",
        value=current.until if current else None,
        min_value=utc_now().date(),
        format="YYYY-MM-DD",
        key=f"{key}_until",
    )
    author, last_day = name_input(), until if isinstance(until, date) else None
    with st.container(horizontal=True):
        if st.button("Save", type="primary", key="note_save"):
            _change(account, author, text, last_day)
        if current and st.button("Remove note", key="note_remove"):
            _change(account, author)


def _change(
    account: NamedAccount, author: str, text: str | None = None, last_day: date | None = None
) -> None:
    """Write the note, or remove it without a text; record it in the audit log."""
    store = writable_store(Permission.WRITE_NOTES, account.integration)
    try:
        if text is None:
            NOTES.withdraw(store, [account._asdict()], author)
        else:
            save_note(store, [account], text, author, last_day)
    except InvalidInput as error:
        st.warning(escape_label(str(error)), icon=":material/edit:")
        return
    remember_name(author)
    record_action(
        Event.NOTE_REMOVED if text is None else Event.NOTE_WRITTEN,
        account="/".join(account),
        by=author,
        text=(text or "").strip(),
        until=f"{last_day or ''}",
    )
    st.rerun()
