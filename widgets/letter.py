"""The items of a letter as a list of links."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from queries.letter.letter import Item
from widgets import timezone


def show_items(items: Sequence[Item]) -> None:
    """One line per item; its number opens its list."""
    lines = "".join(f"<li>{_line(item)}</li>" for item in items)
    st.html(f'<ul class="letter">{lines}</ul>')


def _line(item: Item) -> str:
    text, detail = escape(item.text), escape(item.detail)
    if item.link:
        href = escape(f"{item.link.page}?{timezone.query_with_zone(item.link.params)}")
        text = f'<a href="{href}" target="_self">{text}</a>'
    return f"{text}{detail}"
