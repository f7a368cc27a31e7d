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

from data.access.roles import Act, NotAllowed, Principal, Sight
from data.home import here
from data.records.audit_log import Event, note, note_refusal
from data.service import current
from data.store.engine import open_store, seen
from data.store.errors import StoreFault, StoreInterrupted
from queries.cache import newest_load
from server.session import principal


def allowed(act: Act, integration: str | None = None) -> Principal:
    """Who asks, if they may: a page that they may not see ends here, a request raises NotAllowed.

    To be asked whenever something is read or done, as a session can end between two clicks.
    """
    who = principal()
    return who if who.may(act, integration) else _refuse(who, act)


def _refuse(who: Principal, act: Act) -> NoReturn:
    note_refusal(here(), who.name, f"may not {act.value}")
    if get_script_run_ctx(suppress_warning=True) is None:
        raise NotAllowed(act)
    turn_away(who, act)
    st.stop()


def turn_away(who: Principal, act: Act | None = None) -> None:
    """Say why there is nothing to see, and what to do."""
    if who.is_anybody and act:
        st.title("Not for your role", anchor=False)
        st.text(f"Your role may not {act.value}. Whoever gave it to you can give you another one.")
        return
    st.title("Your session has ended", anchor=False)
    st.text("Sign in again to go on where you were.")
    here = urlsplit(st.context.url or "")
    again = escape(f"{here.path or '/'}?{urlencode(st.query_params.to_dict(), doseq=True)}")
    link = f'<a href="{again}" target="_self">Sign in again</a>'
    st.html(f'<nav class="downloads" aria-label="Sign in">{link}</nav>', width="content")


def noted(what: Event, **details: Any) -> None:
    """Write into the audit log that who asks has done something."""
    note(here(), principal().name, what, **details)


def is_sample() -> bool:
    """Whether readers see the sample's store."""
    return current.current(here()).is_sample


def state() -> current.State:
    """How the store is: whether there is anything to read."""
    return current.state(here())


def why_closed(how: current.State) -> str:
    """Why there is nothing to read; it can name files and people, so only for who loads them."""
    return how.words if principal().may_for_all(Act.LOAD) else "It is back in a moment."


@contextmanager
def reading(act: Act) -> Iterator[Connection]:
    """A connection for one page's questions; all of them see the store at one moment.

    It is the store that readers see now: the real one, or the sample's. Where it goes away in
    between, the page is drawn anew, and says why; where it cannot answer, the page ends there.
    """
    with _connected(allowed(act).sight) as con:
        yield con


def last_change() -> str:
    """What tells whether something was loaded since it was asked last; empty for nobody."""
    who = principal()
    if not who.is_anybody:
        return ""
    with _connected(who.sight) as con:
        return " ".join(map(str, newest_load(con)))


@contextmanager
def _connected(sight: Sight) -> Iterator[Connection]:
    try:
        with seen(current.current(here()).engine, sight).connect() as con:
            yield con
    except StoreFault as fault:
        if get_script_run_ctx(suppress_warning=True) is None:
            raise
        if isinstance(fault, StoreInterrupted) or not state().is_open:
            st.rerun()
        st.error(str(fault), icon=":material/database_off:")
        st.stop()


def delivered(act: Act) -> Engine:
    """What was really delivered, whatever is shown, as far as who asks may see it."""
    return seen(open_store(here().database_url), allowed(act).sight)


def nothing_loaded() -> Engine:
    """An empty store in memory, to read a file with."""
    return open_store("duckdb:///:memory:")


def changing(act: Act, integration: str | None = None) -> Engine:
    """The whole store, for something to be done to one integration, or to what concerns all.

    What concerns all is not for those who see only some.
    """
    who = allowed(act, integration)
    if integration is None and not who.may_for_all(act):
        _refuse(who, act)
    return open_store(here().database_url)


def can_be_proved() -> bool:
    """Whether who asks may take evidence along, and there is an archive that proves it."""
    return principal().may(Act.PROVE) and not is_sample()
