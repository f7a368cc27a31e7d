"""A page of rows as one semantic table; each row opens a panel of details right under it.

The browser draws it (users_table.js and .css, a packaged Streamlit component); this module hands it
plain data and checks what comes back. Neither side knows what the rows mean.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Literal, NotRequired, TypedDict

import streamlit as st
from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

from widgets import timezone

Tone = Literal["good", "bad", "busy", "wait", "quiet", "warn"]
Icon = Literal["check", "cross", "clock", "spinner", "dash", "plus", "question", "alert"]

MAX_OPEN_ROWS = 200  # rows; the browser remembers as many


class TableColumn(TypedDict):
    """One column; its width is a share of the table relative to the others."""

    key: str
    label: str
    sortable: bool
    width: float


class Cell(TypedDict):
    """One value and how it is drawn; the functions below make the kinds there are."""

    kind: Literal["person", "quiet", "text", "code", "lines", "link", "tags", "mark", "time"]
    text: NotRequired[str]
    title: NotRequired[str]
    subtitle: NotRequired[str]
    items: NotRequired[list[str]]
    more: NotRequired[int]
    tone: NotRequired[Tone]
    icon: NotRequired[Icon]
    iso: NotRequired[str]
    href: NotRequired[str]


class TableRow(TypedDict):
    """One row: its id, the words that name its button, and a cell per column key."""

    id: str
    label: str
    cells: Mapping[str, Cell]


class TimelineEvent(TypedDict):
    """One point of a timeline: what happened, and of that a text, a change or some names."""

    iso: str
    when: str
    exactly: str
    title: str
    tone: Tone
    icon: Icon | None
    text: str
    change: tuple[str, str] | None
    tags: Cell | None


class Block(TypedDict):
    """One part of a row's details; the functions below make the kinds there are."""

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


def column(key: str, label: str, *, sortable: bool = True, width: float = 1) -> TableColumn:
    return {"key": key, "label": label, "sortable": sortable, "width": width}


def row(id: str, label: str, **cells: Cell) -> TableRow:
    return {"id": id, "label": label, "cells": cells}


def person(title: str, subtitle: str = "") -> Cell:
    return {"kind": "person", "title": title, "subtitle": subtitle}


def quiet(text: str = "–") -> Cell:
    return {"kind": "quiet", "text": text}


def text(text: str | None) -> Cell:
    return {"kind": "text", "text": text} if text else quiet()


def code(text: str | None) -> Cell:
    return {"kind": "code", "text": text} if text else quiet()


def lines(text: str) -> Cell:
    """A text whose lines and spaces mean something."""
    return {"kind": "lines", "text": text}


def link(text: str, href: str) -> Cell:
    """A way to another view of the same page: `href` is its query, from the question mark on."""
    if not href.startswith("?"):
        raise ValueError("A link leads to a view of the same page")
    return {"kind": "link", "text": text, "href": href}


def tags(items: Sequence[str], *, limit: int = 2) -> Cell:
    """The first few as chips, then how many more there are."""
    return (
        {"kind": "tags", "items": list(items[:limit]), "more": max(len(items) - limit, 0)}
        if items
        else quiet()
    )


def mark(text: str, tone: Tone, icon: Icon) -> Cell:
    """A word with a colour and a shape, so that neither has to be seen alone."""
    return {"kind": "mark", "text": text, "tone": tone, "icon": icon}


def time(moment: datetime | None, label: str = "", *, title: str = "") -> Cell:
    """A moment on the reader's clock, to the minute or in words; to the second when pointed at."""
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
) -> Block:
    """A sentence, below what it is about and since when, above what else there is to say."""
    return {
        "kind": "note",
        "text": text,
        "tone": tone,
        "mark": mark,
        "since": since,
        "items": list(facts),
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
        "exactly": timezone.format_with_zone(moment, seconds=True),
        "title": title,
        "tone": tone,
        "icon": icon,
        "text": text,
        "change": change,
        "tags": tags,
    }


def timeline(caption: str, items: Sequence[TimelineEvent]) -> Block:
    """Events in the order given; those of one moment, one after the other, are told together."""
    return {"kind": "timeline", "caption": caption, "items": list(items)}


def users_table(
    rows: Sequence[TableRow],
    *,
    columns: Sequence[TableColumn],
    details: Callable[[Sequence[str]], Mapping[str, list[Block]]],
    caption: str,
    empty: str,
    key: str,
    sort: str = "",
    descending: bool = False,
    on_sort: Callable[[str], None] = lambda _: None,
) -> None:
    """Draw one page of rows.

    `details` is asked only for the rows that are open; `on_sort` gets the key of a clicked column.
    Call it inside a fragment: opening a row or sorting then reruns just that fragment.
    """
    open_ids = open_row_ids(st.session_state.get(key), [r["id"] for r in rows])
    details_by_id = details(open_ids) if open_ids else {}

    def handle_sort() -> None:
        chosen = sort_key(st.session_state.get(key), columns)
        if chosen is not None:
            on_sort(chosen)

    data = {
        "caption": caption,
        "columns": list(columns),
        "sort": {"key": sort, "descending": descending} if sort else None,
        "rows": list(rows),
        "details": {id: details_by_id.get(id, []) for id in open_ids},
        "empty": empty,
    }
    _component()(
        key=key,
        data=data,
        default={"open": []},
        on_open_change=lambda: None,
        on_sort_change=handle_sort,
    )


@cache
def _component() -> ComponentRenderer:
    """Made at the first draw: only a running Streamlit knows where the packaged files are."""
    return component(
        "rollcall.users_table",
        # hidden until the stylesheet has come
        html='<div class="users-table" tabindex="-1" style="visibility: hidden"></div>',
        css="users_table.css",
        js="users_table.js",
    )


def open_row_ids(state: object, row_ids: Sequence[str]) -> list[str]:
    """The rows the browser says are open; as it may say anything, only shown rows count."""
    reported = state.get("open") if isinstance(state, Mapping) else None
    reported_ids = (
        {id for id in reported if isinstance(id, str)} if isinstance(reported, list) else set()
    )
    return [id for id in row_ids if id in reported_ids][:MAX_OPEN_ROWS]


def sort_key(state: object, columns: Sequence[TableColumn]) -> str | None:
    """The column whose header was clicked, if it is one that can be sorted by."""
    clicked = state.get("sort") if isinstance(state, Mapping) else None
    return next((c["key"] for c in columns if c["sortable"] and c["key"] == clicked), None)


def _iso(moment: datetime) -> str:
    return moment.isoformat() + ("" if moment.tzinfo else "Z")
