"""The buttons of a dialog that asks for confirmation, and what a decision has to say."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from data.records.decisions import InvalidInput
from widgets.labels import escape_label

MESSAGE = "message_of_the_decision"
MAX_MESSAGE_LENGTH = 200


def show_confirmation(
    label: str, key: str, on_confirm: Callable[..., str | None], args: tuple[Any, ...]
) -> None:
    """A button that does it, and one that cancels. Both close the dialog.

    What `on_confirm` returns is shown on the page.
    """
    with st.container(horizontal=True):
        is_confirmed = st.button(
            label, type="primary", key=f"{key}_confirm", on_click=decide, args=(on_confirm, *args)
        )
        if is_confirmed or st.button("Cancel", key=f"{key}_cancel"):
            st.rerun()


def decide(action: Callable[..., str | None], *args: Any) -> None:
    """A callback that does something, and keeps what it returns for the page to show.

    It draws nothing: what a callback draws takes the place of the first element, and in a dialog
    that is the dialog itself. The browser then fails to find the parts of the dialog, and the page
    stays empty.
    """
    try:
        st.session_state[MESSAGE] = action(*args)
    except InvalidInput as error:
        st.session_state[MESSAGE] = str(error)


def show_message() -> None:
    """What the last decision had to say, once."""
    if message := st.session_state.pop(MESSAGE, None):
        st.toast(escape_label(message, MAX_MESSAGE_LENGTH))
