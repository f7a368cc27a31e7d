"""The only way from a page to the store; each function checks a permission first.

Connections are restricted to what the principal can see. A page that forgets to ask for a
permission has no store to read.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from html import escape
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import sqlalchemy as sa
import streamlit as st
from sqlalchemy import Connection
from streamlit.runtime.scriptrunner import get_script_run_ctx

from data.access.roles import NotAllowed, Permission, Principal, Visibility
from data.home import Home, current_home
from data.inbox.delivered import inbox_files
from data.inbox.inbox import load_failures
from data.records.audit_log import Event, record_denial, record_event
from data.service import active_store
from data.store.engine import open_store, restricted_engine
from data.store.errors import StoreBusy, StoreError, StoreInterrupted, StoreUnreachable
from queries.cache import store_revision
from server.queues import PAGES
from server.session import current_principal

RETRY_SECONDS = 30
"""Seconds in which a page is drawn again at most once after the store could not be reached."""


def authorize(permission: Permission, integration: str | None = None) -> Principal:
    """The principal, if it has the permission; if not, a page ends and a request raises NotAllowed.

    Call it for everything that is read or done, as a session can end between two clicks.
    """
    principal = current_principal()
    if not principal.is_allowed(permission, integration):
        _deny(principal, permission)
    return principal


def _deny(principal: Principal, permission: Permission) -> NoReturn:
    record_denial(current_home(), principal.name, f"may not {permission.value}")
    if not _is_page():
        raise NotAllowed(permission)
    show_access_denied(principal, permission)
    st.stop()


def show_access_denied(principal: Principal, permission: Permission | None = None) -> None:
    """Draw a page that says why access is denied, and what to do."""
    if principal.has_any_role and permission:
        st.title("No access", anchor=False)
        st.text(f"{denial_text(permission)} Ask your administrator.")
        return
    st.title("Your session has ended", anchor=False)
    st.text("Sign in again to continue.")
    url = urlsplit(st.context.url or "")
    address = escape(f"{url.path or '/'}?{urlencode(st.query_params.to_dict(), doseq=True)}")
    link = f'<a href="{address}" target="_self">Sign in again</a>'
    st.html(f'<nav class="downloads" aria-label="Sign in">{link}</nav>', width="content")


def denial_text(permission: object) -> str:
    """`You do not have access to Snapshots.`"""
    action = str(permission)
    if action.startswith("see "):
        return f"You do not have access to {action.removeprefix('see ')}."
    return f"You do not have permission to {action}."


def record_action(event: Event, **details: Any) -> None:
    """Record in the audit log what the current principal has done."""
    record_event(current_home(), current_principal().name, event, **details)


def record_decision(event: Event, **details: Any) -> None:
    """The same about accounts or files that readers see; those of the sample do not exist."""
    sample = {"data": "the sample"} if is_sample() else {}
    record_action(event, **details, **sample)


def is_sample() -> bool:
    """Whether readers see the sample data."""
    with _explained_errors():
        return active_store.active_store(current_home()).is_sample


def is_empty() -> bool:
    """Whether there is nothing to read, not even the sample."""
    with _explained_errors():
        return active_store.is_empty(current_home())


def is_sample_incomplete() -> bool:
    """Whether the older snapshots of the sample are still being loaded."""
    with _explained_errors():
        return bool(active_store.active_store(current_home()).missing_snapshots)


def store_status() -> active_store.StoreStatus:
    """The status of the store: whether it can be read."""
    return active_store.store_status(current_home())


def visible_reason(reason: str) -> str:
    """Why the store cannot be read. Only loaders get details, which can name files and people."""
    if current_principal().is_allowed_everywhere(Permission.LOAD_FILES):
        return reason
    return "Please wait a moment."


@contextmanager
def store_connection(permission: Permission) -> Iterator[Connection]:
    """A connection for the queries of one page, which all see one moment of the store.

    It is the store that readers see now: the real one, or the sample. If the store closes in
    between, the page is drawn again and says why. If a query fails, the page ends there.
    """
    visibility = authorize(permission).visibility
    with _connection(lambda: _active_engine(visibility)) as con:
        yield con


@contextmanager
def real_connection(permission: Permission) -> Iterator[Connection]:
    """The same for the store of real data, even while the sample is shown."""
    visibility = authorize(permission).visibility
    with _connection(lambda: _real_engine(visibility)) as con:
        yield con


def last_change() -> str:
    """A text that changes with every load; empty without a role.

    While the history of the sample is being loaded, it stays: pages are not drawn again at each
    of hundreds of snapshots, but once at the end.
    """
    principal = current_principal()
    if not principal.has_any_role:
        return ""
    if is_sample_incomplete():
        return "sample"
    with _active_engine(principal.visibility).connect() as con:
        return " ".join(map(str, store_revision(con)))


def _active_engine(visibility: Visibility) -> sa.Engine:
    return restricted_engine(active_store.active_store(current_home()).engine, visibility)


def _real_engine(visibility: Visibility) -> sa.Engine:
    return restricted_engine(open_store(current_home().database_url), visibility)


@contextmanager
def _connection(open_engine: Callable[[], sa.Engine]) -> Iterator[Connection]:
    """A connection for a page, in its turn; or for a request, which has had its turn."""
    place = PAGES.place() if _is_page() else nullcontext()
    with _explained_errors(), place, open_engine().connect() as con:
        yield con


def _is_page() -> bool:
    return get_script_run_ctx(suppress_warning=True) is not None


@contextmanager
def _explained_errors() -> Iterator[None]:
    """Draw the page again if that can help, else say why it cannot be drawn."""
    try:
        yield
    except StoreError as error:
        if not _is_page():
            raise
        _end_page(error)


def _end_page(error: StoreError) -> NoReturn:
    if isinstance(error, StoreInterrupted) or not store_status().is_open or _can_retry(error):
        st.rerun()
    reason = str(error) if isinstance(error, StoreBusy) else visible_reason(str(error))
    st.error(reason, icon=":material/database_off:")
    st.stop()


def _can_retry(error: StoreError) -> bool:
    """Once in a while: a server that has restarted drops each connection that was open."""
    now = time.monotonic()
    is_due = now > st.session_state.get("_store_retried_at", -RETRY_SECONDS) + RETRY_SECONDS
    if isinstance(error, StoreUnreachable) and is_due:
        st.session_state["_store_retried_at"] = now
        return True
    return False


def writable_store(permission: Permission, integration: str | None = None) -> sa.Engine:
    """The unrestricted store that readers see, to change one integration, or all of them.

    The latter needs a principal who sees all integrations.
    """
    _authorize_change(permission, integration)
    return active_store.active_store(current_home()).engine


def writable_real_store(permission: Permission, integration: str | None = None) -> sa.Engine:
    """The same for the store of real data, even while the sample is shown."""
    _authorize_change(permission, integration)
    return open_store(current_home().database_url)


def _authorize_change(permission: Permission, integration: str | None) -> None:
    principal = authorize(permission, integration)
    if integration is None and not principal.is_allowed_everywhere(permission):
        _deny(principal, permission)


def queued_files(permission: Permission) -> list[Path]:
    """The files in the inboxes that are still to be loaded, of integrations that are visible."""
    return [
        path
        for home in {current_home(), active_home()}
        for path in inbox_files(home)
        if path not in load_failures
        and current_principal().is_allowed(permission, path.parent.name)
    ]


def active_home() -> Home:
    """The home with the files that readers see: the installation's, or the sample's."""
    with _explained_errors():
        return active_store.active_store(current_home()).home


def can_load() -> bool:
    """Whether the principal can load files of any integration."""
    return current_principal().is_allowed(Permission.LOAD_FILES)


def can_download_evidence(*, everywhere: bool = False) -> bool:
    """Whether the principal can export evidence, and there is an archive to prove it.

    `everywhere`: of all integrations, as only somebody who sees all of them can.
    """
    principal = current_principal()
    may = principal.is_allowed_everywhere if everywhere else principal.is_allowed
    return may(Permission.EXPORT_EVIDENCE) and not is_sample()
