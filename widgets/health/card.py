"""A chart on a card: what it says, the picture, the numbers behind it, and both to take along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.records.audit_log import Event, record_event
from data.store.output import escape_formula
from queries.export.manifest import slug
from server.authorize import authorize
from server.session import current_principal
from widgets.figure_theme import PLOTLY_CONFIG

FigureFactory = Callable[[], go.Figure]


@st.fragment
def chart(
    key: str,
    name: str,
    headline: str,
    description: str,
    make_figure: FigureFactory,
    table: pd.DataFrame,
    open_mark: Callable[[Sequence[Any]], None] | None,
    extra_alt: str = "",
) -> None:
    """A figure under what it says; a click on a mark opens its accounts, where that is given.

    `besides` is said to those who do not see it. The card alone is drawn anew for its table.
    """
    authorize(Permission.HEALTH)
    with st.container(border=True, key=f"card_{key}"):
        heading(name, headline, description)
        image_options = {"format": "png", "scale": 2, "filename": f"rollcall-{slug(name)}"}
        event: Any = st.plotly_chart(
            make_figure(),
            key=key,
            theme="streamlit",
            config=PLOTLY_CONFIG | {"toImageButtonOptions": image_options},
            on_select="rerun" if open_mark else "ignore",
            selection_mode="points",
            alt=f"{name}. {headline}. {description} {extra_alt}".strip(),
        )
        data_controls(key, name, table)
    points = event.selection.points if open_mark else []
    if open_mark and points and points[0].get("customdata"):
        open_mark(points[0]["customdata"])


def heading(name: str, headline: str, description: str) -> None:
    """What is shown, what it says now, and why it matters. No text from the data."""
    with st.container(gap=None, key=f"says_{slug(name)}"):
        st.caption(name)
        st.subheader(headline, anchor=False)
    st.caption(description)


def data_controls(key: str, name: str, table: pd.DataFrame, *, has_table: bool = True) -> None:
    """The numbers behind a picture: as a table where asked for, and as a file."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_open = has_table and st.toggle("Table", key=f"table_{key}")
        actor = current_principal().name
        st.download_button(
            "CSV",
            lambda: _recorded_csv(actor, name, table),
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


def _recorded_csv(actor: str, name: str, table: pd.DataFrame) -> bytes:
    """Made on a thread that knows nobody; `who` was there when the button was drawn."""
    record_event(
        current_home(), actor, Event.DOWNLOADED, file=f"The numbers of “{name}”", rows=len(table)
    )
    return spreadsheet_csv(table)


def spreadsheet_csv(table: pd.DataFrame) -> bytes:
    """The table as CSV in which no text and no heading is a formula in a spreadsheet."""
    safe = table.rename(columns=escape_formula).map(
        lambda value: escape_formula(value) if isinstance(value, str) else value
    )
    return safe.to_csv(index=False).encode("utf-8-sig")
