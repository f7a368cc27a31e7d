"""A card of Health: the finding as a headline, and the numbers behind it as a table and as CSV."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from data.home import current_home
from data.records.audit_log import Event, record_event
from data.store.output import escape_formula
from queries.export.manifest import slug
from server.session import current_principal
from widgets.frame_table import frame_table
from widgets.labels import escape_label

MAX_HEADLINE_LENGTH = 200


def heading(title: str, headline: str, caption: str) -> None:
    """What the card is about, what it finds, and how to read it."""
    with st.container(gap=None, key=f"says_{slug(title)}"):
        st.caption(title)
        st.subheader(escape_label(headline, MAX_HEADLINE_LENGTH), anchor=False)
    st.caption(caption)


def data_controls(
    key: str,
    title: str,
    table: pd.DataFrame,
    *,
    has_table: bool = True,
    choose: Callable[[], object] = lambda: None,
) -> None:
    """The numbers behind a card: a switch for the table, the download, and a choice of the card."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"data_{key}"):
        is_open = has_table and st.toggle("Table", key=f"table_{key}")
        actor = current_principal().name
        st.download_button(
            "CSV",
            lambda: _recorded_csv(actor, title, table),
            file_name=f"rollcall-{slug(title)}.csv",
            mime="text/csv",
            key=f"csv_{key}",
            help=f"The numbers of “{title}”, for a spreadsheet",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
        choose()
    if is_open:
        frame_table(table, f"{title}: the numbers", f"numbers_{key}")


def _recorded_csv(actor: str, title: str, table: pd.DataFrame) -> bytes:
    """Runs on a thread without a session, hence the actor of the page."""
    numbers = f"The numbers of “{title}”"
    record_event(current_home(), actor, Event.DOWNLOADED, file=numbers, rows=len(table))
    return spreadsheet_csv(table)


def spreadsheet_csv(table: pd.DataFrame) -> bytes:
    """The table as CSV in which no text and no heading is a formula in a spreadsheet."""
    safe = table.rename(columns=escape_formula).map(
        lambda value: escape_formula(value) if isinstance(value, str) else value
    )
    return safe.to_csv(index=False).encode("utf-8-sig")
