"""The way from a page to the store, and the only one: it asks who wants to do what first.

Nothing here opens the store without an act of data/access.py. A page that forgets to ask has
nothing to show, and what it gets is what the one who asks may see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import streamlit as st
from sqlalchemy import Connection, Engine
from streamlit.runtime.scriptrunner import get_script_run_ctx

from data.access.roles import NotAllowed, Permission, Principal, Visibility
from data.home import current_home
from data.records.audit_log import Event, record_denial, record_event
from data.service import active_store
from data.store.engine import open_store, restricted_engine
from data.store.errors import StoreError, StoreInterrupted
from queries.cache import store_revision
from server.session import current_principal


def authorize(permission: Permission, integration: str | None = None) -> Principal:
    """Who asks, if they may: a page that they may not see ends here, a request raises NotAllowed.

    To be asked whenever something is read or done, as a session can end between two clicks.
    """
    principal = current_principal()
    return (
        principal if principal.is_allowed(permission, integration) else _deny(principal, permission)
    )


def _deny(principal: Principal, permission: Permission) -> NoReturn:
    record_denial(current_home(), principal.name, f"may not {permission.value}")
    if get_script_run_ctx(suppress_warning=True) is None:
        raise NotAllowed(permission)
    show_access_denied(principal, permission)
    st.stop()


def show_access_denied(principal: Principal, permission: Permission | None = None) -> None:
    """Say why there is nothing to see, and what to do."""
    if principal.has_any_role and permission:
        st.title("Not for your role", anchor=False)
        st.text(
            f"Your role may not {permission.value}. Whoever gave it to you can give you "
            "another one."
        )
        return
    st.title("Your session has ended", anchor=False)
    st.text("Sign in again to go on where you were.")
    url = urlsplit(st.context.url or "")
    address = escape(f"{url.path or '/'}?{urlencode(st.query_params.to_dict(), doseq=True)}")
    link = f'<a href="{address}" target="_self">Sign in again</a>'
    st.html(f'<nav class="downloads" aria-label="Sign in">{link}</nav>', width="content")


def record_action(event: Event, **details: Any) -> None:
    """Write into the audit log that who asks has done something."""
    record_event(current_home(), current_principal().name, event, **details)


def is_sample() -> bool:
    """Whether readers see the sample's store."""
    return active_store.active_store(current_home()).is_sample


def store_status() -> active_store.StoreStatus:
    """How the store is: whether there is anything to read."""
    return active_store.store_status(current_home())


def closed_reason(status: active_store.StoreStatus) -> str:
    """Why there is nothing to read; it can name files and people, so only for who loads them."""
    return (
        status.message
        if current_principal().is_allowed_everywhere(Permission.LOAD_FILES)
        else "It is back in a moment."
    )


@contextmanager
def store_connection(permission: Permission) -> Iterator[Connection]:
    """A connection for one page's questions; all of them see the store at one moment.

    It is the store that readers see now: the real one, or the sample's. Where it goes away in
    between, the page is drawn anew, and says why; where it cannot answer, the page ends there.
    """
    with _restricted_connection(authorize(permission).visibility) as con:
        yield con


def last_change() -> str:
    """What tells whether something was loaded since it was asked last; empty for nobody."""
    principal = current_principal()
    if not principal.has_any_role:
        return ""
    with _restricted_connection(principal.visibility) as con:
        return " ".join(map(str, store_revision(con)))


@contextmanager
def _restricted_connection(visibility: Visibility) -> Iterator[Connection]:
    try:
        with restricted_engine(
            active_store.active_store(current_home()).engine, visibility
        ).connect() as con:
            yield con
    except StoreError as error:
        if get_script_run_ctx(suppress_warning=True) is None:
            raise
        if isinstance(error, StoreInterrupted) or not store_status().is_open:
            st.rerun()
        st.error(str(error), icon=":material/database_off:")
        st.stop()


def real_store(permission: Permission) -> Engine:
    """What was really delivered, whatever is shown, as far as who asks may see it."""
    return restricted_engine(
        open_store(current_home().database_url), authorize(permission).visibility
    )


def writable_store(permission: Permission, integration: str | None = None) -> Engine:
    """The whole store, for something to be done to one integration, or to what concerns all.

    What concerns all is not for those who see only some.
    """
    principal = authorize(permission, integration)
    if integration is None and not principal.is_allowed_everywhere(permission):
        _deny(principal, permission)
    return open_store(current_home().database_url)


def can_download_evidence() -> bool:
    """Whether who asks may take evidence along, and there is an archive that proves it."""
    return current_principal().is_allowed(Permission.EXPORT_EVIDENCE) and not is_sample()
