"""One page of rows as a semantic table; each row opens a panel of details below it.

The browser draws it with users_table.js and .css, a packaged Streamlit component. This module sends
plain data and checks the answers. Neither side knows what the rows mean.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal, NotRequired, TypedDict

import streamlit as st
from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

from widgets import timezone
from widgets.users_table.marks import Marks

Tone = Literal["good", "bad", "ongoing", "awaiting", "quiet", "warn"]
Icon = Literal["check", "cross", "clock", "spinner", "dash", "plus", "question", "alert", "memo"]

Place = Literal["title", "app", "name", "state", "fact"]
"""Where a column stands on a phone, in two lines: title and state, app and name. A fact has a line
of its own."""

MAX_TAGS = 40
"""Tags of a row that are sent; the row's details have the others."""

MAX_OPEN_ROWS = 200  # as in users_table.js


class TableColumn(TypedDict):
    """One column; its width is relative to that of the others."""

    key: str
    label: str
    sortable: bool
    width: float
    numeric: bool
    suffix: str
    place: Place | None


class Cell(TypedDict):
    """One value and how it is drawn; one function below makes each kind."""

    kind: Literal[
        "person", "quiet", "text", "code", "id", "lines", "link",
        "tags", "mark", "time", "bar", "course", "choice",
    ]  # fmt: skip
    text: NotRequired[str]
    title: NotRequired[str]
    subtitle: NotRequired[str]
    items: NotRequired[list[str]]
    more: NotRequired[int]
    marked: NotRequired[int]
    note: NotRequired[str]
    code: NotRequired[bool]
    copy: NotRequired[bool]
    tone: NotRequired[Tone]
    icon: NotRequired[Icon]
    iso: NotRequired[str]
    href: NotRequired[str]
    share: NotRequired[float]
    values: NotRequired[list[float | None]]
    options: NotRequired[list[tuple[str, str]]]


class TableRow(TypedDict):
    """One row: its ID, the label of its button, and a cell per column key."""

    id: str
    label: str
    cells: Mapping[str, Cell]
    link: NotRequired[str]
    """What stands for the row in an address, where its ID holds for one store only."""
    hint: NotRequired[str]
    """A text that a mark in the first cell shows on hover and focus."""
    texts: NotRequired[Mapping[str, str | None]]
    """What can be copied of the row, where rows can be marked."""


class TimelineEvent(TypedDict):
    """One event of a timeline, with a text, a change or some names."""

    iso: str
    when: str
    exact_time: str
    title: str
    tone: Tone
    icon: Icon | None
    text: str
    change: tuple[str, str] | None
    tags: Cell | None


class Block(TypedDict):
    """One part of a row's details; one function below makes each kind."""

    kind: Literal["facts", "table", "note", "timeline"]
    caption: NotRequired[str]
    items: NotRequired[list[tuple[str, Cell]] | list[TimelineEvent]]
    columns: NotRequired[list[str]]
    rows: NotRequired[list[list[Cell | str]]]
    searchable: NotRequired[bool]
    text: NotRequired[str]
    tone: NotRequired[Tone]
    mark: NotRequired[Cell | None]
    since: NotRequired[Cell | None]
    actions: NotRequired[list[tuple[str, str]]]


def column(
    key: str,
    label: str,
    *,
    sortable: bool = True,
    width: float = 1,
    numeric: bool = False,
    suffix: str = "",
    place: Place | None = None,
) -> TableColumn:
    """`numeric`: heading and values on the right, as numbers are compared.

    `suffix` stands behind the label, in parentheses. On a phone a table with places shows only the
    columns that have one.
    """
    return {
        "key": key,
        "label": label,
        "sortable": sortable,
        "width": width,
        "numeric": numeric,
        "suffix": suffix,
        "place": place,
    }


def row(id: str, label: str, **cells: Cell) -> TableRow:
    return {"id": id, "label": label, "cells": cells}


def person(title: str, subtitle: str = "") -> Cell:
    return {"kind": "person", "title": title, "subtitle": subtitle}


def quiet(text: str = "–", *, subtitle: str = "") -> Cell:
    cell: Cell = {"kind": "quiet", "text": text}
    return {**cell, "subtitle": subtitle} if subtitle else cell


def text(text: str | None) -> Cell:
    return {"kind": "text", "text": text} if text else quiet()


def code(text: str | None) -> Cell:
    return {"kind": "code", "text": text} if text else quiet()


def identifier(text: str | None, *, is_code: bool = False) -> Cell:
    """A name or ID: on one line in a row, cut in the middle, with a button that copies it."""
    return {"kind": "id", "text": text, "code": is_code} if text else quiet()


def copyable(cell: Cell) -> Cell:
    """The same value among facts, with a button that copies it."""
    return cell if cell["kind"] == "quiet" else {**cell, "copy": True}


def lines(text: str) -> Cell:
    """A text that keeps its lines and spaces."""
    return {"kind": "lines", "text": text}


def link(text: str, href: str) -> Cell:
    """A link to a view of this page, `?q=ada`, or of another one, `users?q=ada`."""
    if not re.match(r"[a-z]*\?", href):
        raise ValueError(f"{href}: expected a link to a page, like ?q=ada or users?q=ada")
    return {"kind": "link", "text": text, "href": href}


def tags(items: Sequence[str], *, marked: Collection[str] = (), limit: int = MAX_TAGS) -> Cell:
    """The items as chips, the marked ones first; behind the limit, the number of further ones.

    A row shows as many as fit, and the others on request.
    """
    if not items:
        return quiet()
    hits = [item for item in items if item in marked]
    ordered = [*hits, *(item for item in items if item not in marked)]
    more = max(len(items) - limit, 0)
    return {"kind": "tags", "items": ordered[:limit], "more": more, "marked": len(hits)}


def mark(text: str, tone: Tone, icon: Icon, *, title: str = "", note: str = "") -> Cell:
    """A word with a color and a shape; readers need not see either. `note` stands on a phone."""
    cell: Cell = {"kind": "mark", "text": text, "tone": tone, "icon": icon}
    if title or note:
        cell["title"], cell["note"] = title, note
    return cell


def number(count: float) -> Cell:
    return text(f"{count:,.0f}") if count else quiet("0")


def bar(share: float, tone: Tone) -> Cell:
    """A bar of a length between 0 and 1; the number stands in another cell."""
    return {"kind": "bar", "share": share, "tone": tone}


def course(values: Sequence[float | None], label: str) -> Cell:
    """A small curve from zero; None is a gap. `label` says the same in words."""
    return {"kind": "course", "values": list(values), "title": label}


def choice(options: Sequence[tuple[str, str]], chosen: str | None, *, title: str = "") -> Cell:
    """A button per name and label, which acts on its row as the key of the action of this name.

    `title` says more about the chosen one.
    """
    return {"kind": "choice", "options": list(options), "text": chosen or "", "title": title}


def time(moment: datetime | None, label: str = "", *, title: str = "") -> Cell:
    """A moment in the reader's time zone, to the minute or as `label`; its tooltip has seconds."""
    if moment is None:
        return quiet()
    return {
        "kind": "time",
        "iso": _iso(moment),
        "text": label or timezone.format_moment(moment),
        "title": title or timezone.format_with_zone(moment, seconds=True),
    }


def facts(items: Sequence[tuple[str, Cell]], *, caption: str = "") -> Block:
    return {"kind": "facts", "caption": caption, "items": list(items)}


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    *,
    searchable: bool = False,
) -> Block:
    return {
        "kind": "table",
        "caption": caption,
        "columns": list(columns),
        "rows": [list(r) for r in rows],
        "searchable": searchable,
    }


def note(
    text: str,
    tone: Tone = "quiet",
    *,
    mark: Cell | None = None,
    since: Cell | None = None,
    facts: Sequence[tuple[str, Cell]] = (),
    actions: Sequence[tuple[str, str]] = (),
) -> Block:
    """A sentence; above it a mark and a time, below it more facts, and buttons.

    `actions` are names and labels of the buttons.
    """
    return {
        "kind": "note",
        "text": text,
        "tone": tone,
        "mark": mark,
        "since": since,
        "items": list(facts),
        "actions": list(actions),
    }


def event(
    moment: datetime,
    title: str,
    text: str = "",
    *,
    change: tuple[str, str] | None = None,
    tags: Cell | None = None,
    tone: Tone = "quiet",
    icon: Icon | None = None,
) -> TimelineEvent:
    return {
        "iso": _iso(moment),
        "when": timezone.format_moment(moment),
        "exact_time": timezone.format_with_zone(moment, seconds=True),
        "title": title,
        "tone": tone,
        "icon": icon,
        "text": text,
        "change": change,
        "tags": tags,
    }


def timeline(caption: str, items: Sequence[TimelineEvent]) -> Block:
    """Events in the given order; consecutive events of one moment share its time."""
    return {"kind": "timeline", "caption": caption, "items": list(items)}


def users_table(
    rows: Sequence[TableRow],
    *,
    columns: Sequence[TableColumn],
    details: Callable[[Sequence[str]], Mapping[str, list[Block]]] | None = None,
    caption: str,
    empty: str,
    key: str,
    sort: str = "",
    descending: bool = False,
    on_sort: Callable[[str], None] = lambda _: None,
    on_row: Callable[[str], None] | None = None,
    on_action: Callable[[str, str], None] = lambda *_: None,
    address: str = "",
    page: str = "",
    marks: Marks | None = None,
) -> None:
    """Draw one page of rows; call it in a fragment: opening a row then reruns only that.

    `details` gets the IDs of open rows, `on_sort` the key of a clicked column, `on_row` the ID of a
    clicked row. `address` names the parameter for open rows; another `page` leads to its first row.
    """
    linked = {"open": _linked_rows(rows, address)}
    blocks = _open_details(st.session_state.get(key, linked), rows, details)
    data = {
        "caption": caption,
        "columns": list(columns),
        "rows": list(rows),
        "sort": sort and {"key": sort, "descending": descending},
        "details": blocks,
        "opens": "details" if details else "page" if on_row else "nothing",
        "empty": empty,
        "address": address,
        "page": page,
        "marks": marks and marks.data(),
    }
    state = _draw(data, key, linked, columns, on_sort)
    if on_row and (row_id := state.get("row")) in [r["id"] for r in rows]:
        on_row(row_id)
    _run_actions(state, blocks, on_action, marks)


def _run_actions(
    state: Any,
    blocks: Mapping[str, list[Block]],
    on_action: Callable[[str, str], None],
    marks: Marks | None,
) -> None:
    """Run what a pressed button of a row, or of the marked rows, stands for."""
    if pressed := pressed_action(state, blocks):
        on_action(*pressed)
    if marks:
        marks.react(state)


def _open_details(
    state: object,
    rows: Sequence[TableRow],
    details: Callable[[Sequence[str]], Mapping[str, list[Block]]] | None,
) -> dict[str, list[Block]]:
    """The details of the open rows."""
    open_ids = open_row_ids(state, [r["id"] for r in rows])
    blocks = details(open_ids) if details and open_ids else {}
    return {id: blocks.get(id, []) for id in open_ids}


def _draw(
    data: Mapping[str, Any],
    key: str,
    default: dict[str, Any],
    columns: Sequence[TableColumn],
    on_sort: Callable[[str], None],
) -> Any:
    """Draw the component, and pass on a clicked heading; returns what it reports."""

    def handle_sort() -> None:
        chosen = sort_key(st.session_state.get(key), columns)
        if chosen is not None:
            on_sort(chosen)

    return _component()(
        key=key,
        data=data,
        default=default,
        on_open_change=lambda: None,
        on_sort_change=handle_sort,
        on_row_change=lambda: None,
        on_action_change=lambda: None,
        on_marked_change=lambda: None,
        on_total_change=lambda: None,
        on_done_change=lambda: None,
    )


@cache
def _component() -> ComponentRenderer:
    """Made when first drawn: only a running Streamlit finds the packaged files."""
    return component(
        "rollcall.users_table",
        # hidden until the stylesheet is loaded
        html='<div class="users-table" tabindex="-1" style="visibility: hidden"></div>',
        css="users_table.css",
        js="users_table.js",
    )


def _linked_rows(rows: Sequence[TableRow], address: str) -> list[str]:
    """The rows that the address has open."""
    links = st.query_params.get_all(address) if address else []
    return [r["id"] for r in rows if r.get("link", r["id"]) in links]


def open_row_ids(state: object, row_ids: Sequence[str]) -> list[str]:
    """The open rows, in the order shown. The browser can send anything: only shown rows count."""
    reported = state.get("open") if isinstance(state, Mapping) else None
    ids = reported if isinstance(reported, list) else []
    open_ids = {id for id in ids if isinstance(id, str)}
    return [id for id in row_ids if id in open_ids][:MAX_OPEN_ROWS]


def pressed_action(state: object, blocks: Mapping[str, list[Block]]) -> tuple[str, str] | None:
    """The name of the pressed button and the ID of its row, if the row's details have it."""
    pressed = state.get("action") if isinstance(state, Mapping) else None
    for id, details in blocks.items():
        for name, _ in (action for block in details for action in block.get("actions", ())):
            if pressed == [name, id]:
                return name, id
    return None


def sort_key(state: object, columns: Sequence[TableColumn]) -> str | None:
    """The key of the clicked column header, if its column is sortable."""
    clicked = state.get("sort") if isinstance(state, Mapping) else None
    return next((c["key"] for c in columns if c["sortable"] and c["key"] == clicked), None)


def _iso(moment: datetime) -> str:
    return moment.isoformat() + ("" if moment.tzinfo else "Z")
