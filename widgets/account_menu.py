"""Who is signed in, in the corner of every page, and the way out."""

from __future__ import annotations

import streamlit as st

from data.access.roles import LOCAL, Principal
from widgets.labels import plain_label


def account_menu(who: Principal) -> None:
    """Nothing where nobody signs in."""
    if who.name == LOCAL.name:
        return
    with (
        st.container(key="account_menu", width="content"),
        st.popover("Account", icon=":material/account_circle:", type="tertiary", key="account"),
    ):
        st.text(who.name)
        st.caption(", ".join(who.roles))
        if who.integrations is not None:
            st.caption(plain_label(f"Only {', '.join(who.integrations) or 'no integration'}"))
        if who.pseudonyms:
            st.caption("Pseudonyms instead of names")
        st.button("Sign out", icon=":material/logout:", key="sign_out", on_click=st.logout)
