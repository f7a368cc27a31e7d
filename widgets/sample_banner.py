"""The banner over sample data, and the way to remove the sample and to bring it back."""

from contextlib import AbstractContextManager

import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.records.audit_log import Event
from data.service.sample import remove_sample, restore_sample
from server.authorize import (
    is_empty,
    is_sample,
    is_sample_incomplete,
    record_action,
    writable_real_store,
)
from server.session import current_principal
from widgets.confirmation import show_confirmation


def show_sample_banner() -> None:
    """The banner, where the store is the sample's."""
    if not is_sample():
        return
    with _banner():
        is_loading = is_sample_incomplete()
        text = "Sample data; its history is loading." if is_loading else "This is sample data."
        st.markdown(f":material/science: {text}", width="content")
        _link_to_upload("Upload your own")
        if current_principal().is_allowed_everywhere(Permission.REMOVE_SNAPSHOTS):
            st.button("Remove", type="tertiary", key="remove_sample", on_click=_ask_to_remove)


def show_empty_banner() -> None:
    """The way to the upload from a page that has something to show without any snapshot."""
    if not is_empty():
        return
    with _banner():
        st.markdown(":material/inbox: No snapshots yet.", width="content")
        _link_to_upload("Upload a list")
        show_restore_button()


def _banner() -> AbstractContextManager[object]:
    return st.container(horizontal=True, vertical_alignment="center", gap="small", key="sample")


def _link_to_upload(label: str) -> None:
    principal = current_principal()
    can_load = principal.is_allowed_everywhere(Permission.LOAD_FILES)
    if can_load and principal.is_allowed(Permission.SNAPSHOTS):
        st.page_link("snapshots.py", label=label)


@st.dialog("Remove the sample data?")
def _ask_to_remove() -> None:
    st.text("Rollcall is empty after that. You can load the sample again from the empty pages.")
    show_confirmation("Remove sample data", "remove_sample", _remove_sample, ())


def _remove_sample() -> None:
    writable_real_store(Permission.REMOVE_SNAPSHOTS)
    remove_sample(current_home())
    record_action(Event.REMOVED, data="the sample")


def show_restore_button() -> None:
    """The way back to a removed sample, for who can remove it."""
    home = current_home()
    is_allowed = current_principal().is_allowed_everywhere(Permission.REMOVE_SNAPSHOTS)
    if is_allowed and home.sample_removed.exists():
        st.button("Load the sample again", type="tertiary", on_click=_restore_sample)


def _restore_sample() -> None:
    writable_real_store(Permission.REMOVE_SNAPSHOTS)
    restore_sample(current_home())
    record_action(Event.RESTORED, data="the sample")
