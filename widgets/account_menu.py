"""The account menu in the corner of every page: who is signed in, and the button to sign out."""

import streamlit as st

from data.access.roles import LOCAL, Principal
from server.session import sign_out
from widgets.labels import escape_label


def show_account_menu(principal: Principal) -> None:
    """Nothing if the app runs without sign-in."""
    if principal.name == LOCAL.name:
        return
    with (
        st.container(key="account_menu", width="content"),
        st.popover("Account", icon=":material/account_circle:", type="tertiary", key="account"),
    ):
        st.text(principal.name)
        st.caption(", ".join(principal.roles))
        if principal.integrations is not None:
            names = ", ".join(principal.integrations) or "no integration"
            st.caption(escape_label(f"Only {names}"))
        if principal.uses_pseudonyms:
            st.caption("Pseudonyms instead of names")
        st.button("Sign out", icon=":material/logout:", key="sign_out", on_click=_sign_out)


def _sign_out() -> None:
    """End the session here, then let the browser forget its cookies."""
    sign_out(st.user.to_dict())
    st.logout()
