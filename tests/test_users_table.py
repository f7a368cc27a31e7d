"""The users table checks what the browser sends, which can be anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from widgets.users_table import (
    MAX_OPEN_ROWS,
    column,
    link,
    open_row_ids,
    sort_key,
    tags,
    text,
    time,
)

COLUMNS = [column("user", "User"), column("note", "Note", sortable=False)]
SHOWN = ["1", "2", "3"]


def test_open_rows_are_listed_in_the_order_shown() -> None:
    assert open_row_ids({"open": ["3", "1"]}, SHOWN) == ["1", "3"]


def test_a_row_that_is_not_shown_is_not_open() -> None:
    assert open_row_ids({"open": ["2", "4", "1 OR 1=1"]}, SHOWN) == ["2"]


def test_a_row_sent_twice_is_open_once() -> None:
    assert open_row_ids({"open": ["2", "2"]}, SHOWN) == ["2"]


@pytest.mark.parametrize(
    "state",
    [
        None,
        "open",
        [],
        {},
        {"open": None},
        {"open": "123"},
        {"open": {"1": True}},
        {"open": [1, None, True, 2.0]},
        {"open": [["1"], {"id": "1"}]},
    ],
)
def test_anything_but_a_list_of_ids_opens_no_row(state: Any) -> None:
    assert open_row_ids(state, SHOWN) == []


def test_no_more_rows_are_open_than_the_browser_remembers() -> None:
    many = [str(n) for n in range(MAX_OPEN_ROWS + 50)]
    assert open_row_ids({"open": many}, many) == many[:MAX_OPEN_ROWS]


def test_a_click_on_a_heading_sorts_by_its_column() -> None:
    assert sort_key({"sort": "user"}, COLUMNS) == "user"


@pytest.mark.parametrize(
    "state",
    [
        None,
        "user",
        {},
        {"sort": None},
        {"sort": "note"},
        {"sort": "User"},
        {"sort": "-user"},
        {"sort": ["user"]},
        {"sort": {"key": "user"}},
        {"sort": "user; DROP TABLE account"},
    ],
)
def test_only_sortable_columns_are_accepted(state: Any) -> None:
    assert sort_key(state, COLUMNS) is None


def test_tags_beyond_the_first_are_counted() -> None:
    some = {"kind": "tags", "items": ["a", "b"], "more": 1, "marked": 0}
    assert tags(["a", "b", "c"], limit=2) == some
    assert tags(["a", "b", "c"], marked=["c"], limit=2) == some | {"items": ["c", "a"], "marked": 1}


def test_empty_values_are_a_quiet_dash() -> None:
    dash = {"kind": "quiet", "text": "–"}
    assert [text(""), tags([]), time(None)] == [dash, dash, dash]


def test_a_link_leads_to_a_view_of_the_same_page() -> None:
    assert link("ada", "?q=ada") == {"kind": "link", "text": "ada", "href": "?q=ada"}


@pytest.mark.parametrize(
    "href", ["", "javascript:alert(1)", "//evil.example/?", "http://evil.example", "/?", " ?q=ada"]
)
def test_a_link_leads_nowhere_else(href: str) -> None:
    with pytest.raises(ValueError, match="expected a link to a page"):
        link("ada", href)


@pytest.mark.parametrize("zone", [None, UTC])
def test_a_moment_is_shown_to_the_minute_with_seconds_in_its_tooltip(zone: Any) -> None:
    cell = time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone))
    assert cell.get("text") == "2026-01-02 03:04"
    assert cell.get("title") == "2026-01-02 03:04:05 UTC"
    assert cell.get("iso") in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00")
