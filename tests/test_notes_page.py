"""Notes and saved views on the page Users."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from viewing import ADA, BOB, Page, load_all, users

from data.access.roles import LOCAL, Permission
from data.home import Home
from data.records.audit_log import flush_pending
from data.records.notes import NamedAccount, save_note
from data.records.tables import audit_event
from data.store.engine import open_store
from server import session

HOSTILE = "Leavers <b>x</b> *y* [z](http://evil)"


def blocks_with_actions(shown: Page) -> list[Any]:
    return [block["actions"] for block in shown.panel("ada") if block.get("actions")]


def events(home: Home) -> list[str]:
    """What the audit log says was done."""
    flush_pending(open_store(home.database_url), home)
    with open_store(home.database_url).connect() as con:
        return list(con.scalars(select(audit_event.c.action)))


def press(shown: Page, key: str) -> None:
    shown.run.button(key=key).click().run()
    assert not shown.run.exception


def test_a_note_is_written_in_the_panel_seen_in_the_row_and_removed(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users()
    assert blocks_with_actions(shown) == [[["note", "Add note"]]]
    (key,) = shown.table["details"]
    shown.run.session_state["users"] = {"open": [key], "action": ["note", key]}
    shown.run.run()
    shown.run.text_area(key=f"note_{key}_text").set_value(f"Ask\n{HOSTILE}")
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "note_save")
    shown = users(note="yes", columns="user,note")
    (row,) = shown.table["rows"]
    assert row["hint"] == f"Ask\n{HOSTILE}\n– Grace"
    assert row["cells"]["note"]["text"] == f"Ask\n{HOSTILE}"
    assert blocks_with_actions(shown) == [[["note", "Edit note"]]]
    shown.run.session_state["users"] = {"open": [key], "action": ["note", key]}
    shown.run.run()
    shown.run.text_input(key="said_by").set_value("Hal")
    press(shown, "note_remove")
    assert users(note="yes").usernames == []
    assert events(home)[-2:] == ["wrote a note", "removed a note"]


@pytest.mark.parametrize("visitor", ["pseudonyms", "past"])
def test_nobody_else_is_offered_to_write_notes(
    home: Home, monkeypatch: pytest.MonkeyPatch, visitor: str
) -> None:
    """Those who see pseudonyms may not read them either; the past is as it was."""
    load_all(home, ADA)
    save_note(open_store(home.database_url), [NamedAccount("figma", "ada")], "Ask", "Grace")
    if visitor == "pseudonyms":
        monkeypatch.setenv("ROLLCALL_PSEUDONYMS", "1")
        shown = users()
        (row,) = shown.table["rows"]
        shown.run.session_state["users"] = {"open": [row["id"]], "action": ["note", row["id"]]}
        shown.run.run()
        assert "Ask" not in str(shown.table)
        assert not shown.run.text_area
        assert "views" not in [button.key for button in shown.run.button]
    else:
        assert blocks_with_actions(users(as_of="2026-11-29T00:00:00Z")) == []
    assert not session.local_principal().is_allowed(Permission.WRITE_NOTES) or visitor == "past"


def test_a_saved_view_leads_to_its_address_and_is_deleted(home: Home) -> None:
    """Without sign-in everybody is one person, so a view is everybody's."""
    load_all(home, ADA, BOB)
    shown = users(state="Update failed", sort="-last_updated", page="1")
    shown.run.session_state["views"] = True
    shown.run.run()
    shown.run.text_input(key="view_name").set_value(HOSTILE)
    press(shown, "view_save")
    shown = users()
    shown.run.session_state["views"] = True
    shown.run.run()
    label = shown.run.button(key="shared_view_0").label
    assert label.replace("\\", "") == HOSTILE
    press(shown, "shared_view_0")
    assert shown.usernames == ["bob"]
    address = {
        name: [*value] if isinstance(value, list) else [value]
        for name, value in shown.address.items()
    }
    assert address == {"state": ["Update failed"], "sort": ["-last_updated"]}
    assert events(home)[-1] == "saved a view"
    assert LOCAL.is_allowed_everywhere(Permission.SHARE_VIEWS)
