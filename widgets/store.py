"""The way from a page to the store: the only place that knows which store a reader sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from data import current
from data.home import here


def now() -> current.Current:
    """The store that readers see now: the real one, or the sample's."""
    return current.current(here())


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection for one page's questions; all of them see the store at one moment."""
    with now().engine.connect() as con:
        yield con
