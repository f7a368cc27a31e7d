"""The dialog that writes a note on one account or on several, and removes it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of, utc_now
from data.records.audit_log import MAX_NAMES_LOGGED, Event
from data.records.decisions import NOTES, InvalidInput, decisions_by_account
from data.records.notes import MAX_NOTE_LENGTH, NamedAccount, save_note
from queries.notes import named_accounts
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
def note_dialog(account_keys: tuple[int, ...]) -> None:
    """Write one note on each of the accounts; of a single one, the note in force can be changed."""
    with store_connection(Permission.USERS) as con:
        accounts = named_accounts(con, account_keys)
        notes = decisions_by_account(con, NOTES, account_keys).values()
    if not accounts:
        st.text("No longer listed.")
        return
    noted = [NamedAccount(note.integration, note.account_id) for note in notes]
    noted = [account for account in noted if account in set(accounts)]
    st.text(_subject(accounts, len(noted)))
    note = next(iter(notes), None) if len(accounts) == 1 else None
    key = f"note_{account_keys[0] if len(account_keys) == 1 else hash(account_keys)}"
    text = st.text_area(
        "Note", note.text if note else "", key=f"{key}_text", max_chars=MAX_NOTE_LENGTH
    )
    until = st.date_input(
        "Until (UTC; empty: until it is removed)",
        value=note.until if note else None,
        min_value=utc_now().date(),
        format="YYYY-MM-DD",
        key=f"{key}_until",
    )
    author, last_day = name_input(), until if isinstance(until, date) else None
    with st.container(horizontal=True):
        if st.button("Save", type="primary", key="note_save"):
            _change(accounts, author, text, last_day)
        removal = "Remove note" if len(accounts) == 1 else f"Remove {count_of(len(noted), 'note')}"
        if noted and st.button(removal, key="note_remove"):
            _change(noted, author)


def _subject(accounts: Sequence[NamedAccount], notes: int) -> str:
    """What the note is on, and what it replaces."""
    if len(accounts) == 1:
        return f"On {accounts[0].account_id} in {accounts[0].integration}."
    replaced = f" It replaces {count_of(notes, 'note')}." if notes else ""
    return f"On {count_of(len(accounts), 'account')}, the same note on each.{replaced}"


def _change(
    accounts: Sequence[NamedAccount],
    author: str,
    text: str | None = None,
    last_day: date | None = None,
) -> None:
    """Write the note, or remove it without a text; record it in the audit log."""
    integrations = {account.integration for account in accounts}
    *_, store = [writable_store(Permission.WRITE_NOTES, name) for name in integrations]
    try:
        if text is None:
            NOTES.withdraw(store, [account._asdict() for account in accounts], author)
        else:
            save_note(store, accounts, text, author, last_day)
    except InvalidInput as error:
        st.warning(escape_label(str(error)), icon=":material/edit:")
        return
    remember_name(author)
    record_action(
        Event.NOTE_REMOVED if text is None else Event.NOTE_WRITTEN,
        number=len(accounts),
        accounts=["/".join(account) for account in accounts[:MAX_NAMES_LOGGED]],
        by=author,
        text=(text or "").strip(),
        until=f"{last_day or ''}",
    )
    st.rerun()
