"""The way from a page to the store: the only place that knows which store a reader sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from sqlalchemy import Connection

from data import current
from data.home import here
from data.store import StoreFault, StoreInterrupted


def now() -> current.Current:
    """The store that readers see now: the real one, or the sample's."""
    return current.current(here())


def state() -> current.State:
    """How the store is: whether there is anything to read."""
    return current.state(here())


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection for one page's questions; all of them see the store at one moment.

    Where the store goes away in between, the page is drawn anew, and says why.
    """
    try:
        with now().engine.connect() as con:
            yield con
    except StoreFault as fault:
        if isinstance(fault, StoreInterrupted) or not state().is_open:
            st.rerun()
        raise
