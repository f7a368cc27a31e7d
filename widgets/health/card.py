"""A chart on a card: what it says, the picture, the numbers behind it, and both to take along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import streamlit as st

from data.access.roles import Act
from data.home import here
from data.records.audit_log import Event, note
from queries.export.formats import as_csv, neutralised
from queries.export.manifest import slug
from server.authorize import allowed
from server.session import principal
from widgets.figure_theme import PLOTLY_CONFIG

Draw = Callable[[], go.Figure]


@st.fragment
def chart(
    key: str,
    name: str,
    finding: str,
    words: str,
    draw: Draw,
    table: pd.DataFrame,
    open_mark: Callable[[Sequence[Any]], None] | None,
    besides: str = "",
) -> None:
    """A figure under what it says; a click on a mark opens its accounts, where that is given.

    `besides` is said to those who do not see it. The card alone is drawn anew for its table.
    """
    allowed(Act.HEALTH)
    with st.container(border=True, key=f"card_{key}"):
        heading(name, finding, words)
        picture = {"format": "png", "scale": 2, "filename": f"rollcall-{slug(name)}"}
        event: Any = st.plotly_chart(
            draw(),
            key=key,
            theme="streamlit",
            config=PLOTLY_CONFIG | {"toImageButtonOptions": picture},
            on_select="rerun" if open_mark else "ignore",
            selection_mode="points",
            alt=f"{name}. {finding}. {words} {besides}".strip(),
        )
        numbers(key, name, table)
    points = event.selection.points if open_mark else []
    if open_mark and points and points[0].get("customdata"):
        open_mark(points[0]["customdata"])


def heading(name: str, finding: str, words: str) -> None:
    """What is shown, what it says now, and why it matters. No text from the data."""
    with st.container(gap=None, key=f"says_{slug(name)}"):
        st.caption(name)
        st.subheader(finding, anchor=False)
    st.caption(words)


def numbers(key: str, name: str, table: pd.DataFrame, *, shown: bool = True) -> None:
    """The numbers behind a picture: as a table where asked for, and as a file."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_open = shown and st.toggle("Table", key=f"table_{key}")
        who = principal().name
        st.download_button(
            "CSV",
            lambda: _taken_by(who, name, table),
            file_name=f"rollcall-{slug(name)}.csv",
            mime="text/csv",
            key=f"csv_{key}",
            help=f"The numbers of “{name}”, for a spreadsheet",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
    if is_open:
        alt = f"{name}: the numbers"
        st.dataframe(table, hide_index=True, height=280, alt=alt, lazy=False)


def _taken_by(who: str, name: str, table: pd.DataFrame) -> bytes:
    """Made on a thread that knows nobody; `who` was there when the button was drawn."""
    note(here(), who, Event.DOWNLOADED, file=f"The numbers of “{name}”", rows=len(table))
    return spreadsheet(table)


def spreadsheet(table: pd.DataFrame) -> bytes:
    """The table as CSV that a spreadsheet opens: no text in it, and no heading, is a formula."""
    batch = pa.RecordBatch.from_pandas(table, preserve_index=False)
    safe = [
        _without_formulas(column) if _is_text(column.type) else column for column in batch.columns
    ]
    headings = _without_formulas(pa.array(batch.schema.names)).to_pylist()
    return "\ufeff".encode() + b"".join(as_csv([pa.RecordBatch.from_arrays(safe, headings)]))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _without_formulas(texts: pa.Array) -> pa.Array:
    column = pa.RecordBatch.from_arrays([texts.cast(pa.string())], ["texts"])
    return neutralised(column).column(0)
