"""The button that opens the search, on every page; search.js in server/ does the rest."""

import streamlit as st

from data.access.roles import Permission
from server.session import current_principal

BUTTON = """<button type="button" class="search-button" aria-haspopup="dialog"
aria-keyshortcuts="Control+K" title="Search (Ctrl K)" data-hint="{hint}">
<span aria-hidden="true"></span><span>Search</span><kbd aria-hidden="true">Ctrl K</kbd></button>"""


def show_search_button() -> None:
    """Nothing for who may not see accounts: without the button there is no search."""
    principal = current_principal()
    if principal.is_allowed(Permission.USERS):
        hint = "A complete pseudonym" if principal.uses_pseudonyms else SEARCH_HINT
        with st.container(key="search"):
            st.html(BUTTON.format(hint=hint), width="content")


SEARCH_HINT = "Name, email, username, ID or role"
