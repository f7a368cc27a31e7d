"""A page on paper: the button that prints it, and the line that says what it shows.

The look is in look/print.css; input.js prints.
"""

from collections.abc import Sequence
from html import escape

import streamlit as st

from data.formatting import utc_now
from widgets import timezone


def report_button() -> None:
    """Prints the page, or saves it as PDF, by the browser."""
    with st.container(key="report", width="content"):
        st.button("Report", icon=":material/print:", help="Print this page or save it as PDF")


def print_header(title: str, facts: Sequence[str]) -> None:
    """On paper only: what the page shows, its snapshots, and when it was printed."""
    printed = f"Printed {timezone.format_with_zone(utc_now())}"
    parts = " · ".join(escape(fact) for fact in (*filter(None, facts), printed))
    with st.container(key="print_header"):
        st.html(f'<div class="print-only"><strong>{escape(title)}</strong> · {parts}</div>')
