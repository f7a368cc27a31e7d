"""Caches query results until the next load."""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import cachetools
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import utc_now
from data.records.decisions import MATCH_OVERRIDES, NOTES
from data.records.tables import quarantined_file, setting
from data.schema import person, snapshot
from data.store.dialect import digest_of

Query = TypeVar("Query", bound=Callable[..., object])


def cached(max_entries: int) -> Callable[[Query], Query]:
    """Keep the last results of a query, dropping the least recently used.

    The arguments after the connection must be hashable. Callers share a result and must not change
    it.
    """
    decorator = cachetools.cached(cachetools.LRUCache(max_entries), _cache_key, Lock())
    return cast("Callable[[Query], Query]", decorator)  # the signature stays


def _cache_key(con: Connection, *args: Hashable, **kwargs: Hashable) -> Hashable:
    day = utc_now().date()  # a note ends with a day, and nothing else changes
    minute = _minute_if_relative(*args, *kwargs.values())
    return con.engine, _current_revision(con), day, minute, args, tuple(kwargs.items())


_revision_by_transaction: WeakKeyDictionary[sa.Transaction, object] = WeakKeyDictionary()


def _current_revision(con: Connection) -> object:
    """The revision that the transaction sees, queried once per transaction."""
    transaction = con.get_transaction()
    if transaction is None or transaction not in _revision_by_transaction:
        revision = store_revision(con)
        transaction = con.get_transaction()
        if transaction is None:
            return revision
        _revision_by_transaction[transaction] = revision
    return _revision_by_transaction[transaction]


def _minute_if_relative(*args: object) -> int:
    """The current minute where the result depends on how long a job is open, else 0."""
    depends_on_now = any(
        getattr(arg, "waiting", None) or getattr(arg, "waiting_upto", None) for arg in args
    )
    return int(time.monotonic() // 60) if depends_on_now else 0


_file = quarantined_file.c
_moved_file = func.concat(
    _file.integration, "/", _file.file_name, _file.status, _file.quarantined_at
)

REVISION_QUERIES = (
    select(func.sum(snapshot.c.snapshot_id)),
    select(func.sum(digest_of(_moved_file))),
    *(  # none is ever deleted
        select(func.count(), func.count(kind.table.c.withdrawn_at)).select_from(kind.table)
        for kind in (MATCH_OVERRIDES, NOTES)
    ),
    select(func.count(), func.sum(person.c.person_key)).select_from(person),
    select(func.sum(digest_of(setting.c.value))),
)
"""Made once: each page asks them twice, and making them takes as long as running them."""


def store_revision(con: Connection) -> tuple[int | None, ...]:
    """A value that changes with every load, quarantined file, match override, note and setting.

    It consists of counts and sums of numbers that do not occur twice. The latest time would be the
    same after a change while the clock is behind.
    """
    return tuple(value for query in REVISION_QUERIES for value in con.execute(query).one())
