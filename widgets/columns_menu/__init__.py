"""A menu of columns: check boxes to choose them, dragged or moved by keys into order.

The browser draws it with columns_menu.js and .css, a packaged Streamlit component.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import streamlit as st
from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer


class ColumnGroup(NamedTuple):
    """Columns to choose from, under a heading: name → label."""

    heading: str
    columns: Mapping[str, str]


def is_menu_open(key: str) -> bool:
    """Whether the reader has the menu open; its last groups can be read only then."""
    return bool(_reported(key).get("open"))


def columns_menu(
    groups: Sequence[ColumnGroup],
    chosen: Sequence[str],
    on_choose: Callable[[list[str]], None],
    *,
    is_default: bool,
    key: str,
) -> None:
    """The menu; `on_choose` gets the names in their new order, or none for the usual columns.

    Call it inside a fragment: opening the menu then reruns only the fragment.
    """
    labels = {name: label for group in groups for name, label in group.columns.items()}

    def handle_choice() -> None:
        names = chosen_names(_reported(key).get("columns"), labels)
        if names is not None:
            on_choose(names)

    _component()(
        key=key,
        width="content",
        data={
            "chosen": [[name, labels[name]] for name in chosen],
            "groups": [[group.heading, list(group.columns.items())] for group in groups],
            "isDefault": is_default,
        },
        default={"open": False},
        on_open_change=lambda: None,
        on_columns_change=handle_choice,
    )


def chosen_names(reported: object, known: Mapping[str, str]) -> list[str] | None:
    """The chosen names; None if the browser, which can send anything, sends anything else."""
    if not isinstance(reported, list) or not all(isinstance(name, str) for name in reported):
        return None
    return [name for name in dict.fromkeys(reported) if name in known]


def _reported(key: str) -> Mapping[str, object]:
    state = st.session_state.get(key)
    return state if isinstance(state, Mapping) else {}


@cache
def _component() -> ComponentRenderer:
    """Made when first drawn: only a running Streamlit finds the packaged files."""
    return component(
        "rollcall.columns_menu",
        html='<div class="columns-menu" style="visibility: hidden"></div>',
        css="columns_menu.css",
        js="columns_menu.js",
    )
