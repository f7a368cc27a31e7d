"""An open row of the Users page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from viewing import ADA, BOB, CY, load_all, users

from data.home import Home


def blocks(panel: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [block for block in panel if block["kind"] == kind]


def test_an_open_row_shows_all_its_roles(home: Home) -> None:
    names = [f"Role {n:03}" for n in range(500)]
    load_all(home, ADA._replace(roles="; ".join(names)), BOB)
    shown = users()
    assert shown.table["rows"][0]["cells"]["roles"] == {
        "kind": "tags",
        "items": names[:40],
        "more": 460,
        "marked": 0,
    }
    (roles,) = blocks(shown.panel("ada"), "table")
    assert roles["caption"] == "Assigned roles (500)"
    assert [row[0] for row in roles["rows"]] == names
    assert roles["searchable"]


def test_an_open_row_shows_the_details_of_each_role(home: Home) -> None:
    details = [
        {"name": "Admin", "type": "Built-in", "description": "All", "via": "IT", "since": "2025"},
        {"name": "Editor"},
    ]
    load_all(home, ADA._replace(roles=json.dumps(details)))
    (roles,) = blocks(users().panel("ada"), "table")
    assert roles["columns"] == ["Role", "Type", "Description", "Via", "Since"]
    assert [[name, *(cell["text"] for cell in cells)] for name, *cells in roles["rows"]] == [
        ["Admin", "Built-in", "All", "IT", "2025"],
        ["Editor", "–", "–", "–", "first seen 1 Jan 2026"],
    ]


def test_an_open_row_shows_the_reason_of_a_failure(home: Home) -> None:
    load_all(home, BOB._replace(reason="Seat limit reached"))
    notes = blocks(users().panel("bob"), "note")
    assert (notes[0]["tone"], notes[0]["mark"]["text"]) == ("bad", "Update failed")
    assert notes[0]["text"] == "The update job failed."
    assert [(label, cell["text"]) for label, cell in notes[0]["items"]] == [
        ("Reason", "Seat limit reached")
    ]


def test_an_open_row_shows_the_history_newest_first(home: Home) -> None:
    load_all(home, ADA, taken_at="2026-01-01T06-00-00Z")
    load_all(home, ADA._replace(state="Update ongoing"), taken_at="2026-01-02T06-00-00Z")
    load_all(home, BOB, taken_at="2026-01-03T06-00-00Z")
    load_all(home, ADA._replace(roles="Viewer"), taken_at="2026-01-04T06-00-00Z")
    (history,) = blocks(users().panel("ada"), "timeline")
    assert [(event["when"][:10], event["title"]) for event in history["items"]] == [
        ("2026-01-04", "Returned"),
        ("2026-01-04", "Update ongoing → Onboarded"),
        ("2026-01-04", "1 role gained"),
        ("2026-01-04", "2 roles lost"),
        ("2026-01-03", "Removed"),
        ("2026-01-02", "Onboarded → Update ongoing"),
        ("2026-01-01", "First seen"),
    ]


def test_an_open_row_shows_values_that_could_not_be_read(home: Home) -> None:
    load_all(home, ADA._replace(state="Half done", active="perhaps"), BOB)
    shown = users()
    state, *notes = blocks(shown.panel("ada"), "note")
    assert state["text"] == "The state in the file, “Half done”, is not one Rollcall knows."
    assert [n["text"] for n in notes if n["text"]] == ["Could not read “Active in app”: “perhaps”"]


def test_an_account_without_roles_is_labeled(home: Home) -> None:
    load_all(home, CY)
    (roles,) = blocks(users().panel("cy"), "table")
    assert roles["caption"] == "No assigned roles"


@pytest.mark.parametrize("claimed", [["999"], ["x"], [None], "1", {"1": 1}, [["1"]]])
def test_a_row_that_is_not_shown_cannot_be_opened(home: Home, claimed: Any) -> None:
    load_all(home, ADA)
    shown = users()
    shown.run.session_state["users"] = {"open": claimed}
    shown.run.run()
    assert not shown.run.exception
    assert shown.table["details"] == {}
