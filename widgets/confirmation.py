"""The buttons of a dialog that asks for confirmation."""

from collections.abc import Callable
from typing import Any

import streamlit as st


def show_confirmation(
    label: str, key: str, on_confirm: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """A button that does it, and one that cancels. Both close the dialog."""
    with st.container(horizontal=True):
        is_confirmed = st.button(
            label, type="primary", key=f"{key}_confirm", on_click=on_confirm, args=args
        )
        if is_confirmed or st.button("Cancel", key=f"{key}_cancel"):
            st.rerun()
