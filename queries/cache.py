"""Answers that hold until something is loaded, kept for whoever asks the same again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Transaction, func, select

from data.schema import match_override, quarantined_file, snapshot

Params = ParamSpec("Params")
Result = TypeVar("Result")


def cached(
    max_entries: int,
) -> Callable[
    [Callable[Concatenate[Connection, Params], Result]],
    Callable[Concatenate[Connection, Params], Result],
]:
    """Keep the last so many answers to a question of the store, the least asked for going first.

    What is asked about must be hashable; answers are shared by all who ask, so nobody changes them.
    """

    def decorator(
        query: Callable[Concatenate[Connection, Params], Result],
    ) -> Callable[Concatenate[Connection, Params], Result]:
        results: OrderedDict[Any, Result] = OrderedDict()
        lock = Lock()

        @wraps(query)
        def wrapper(con: Connection, *args: Params.args, **kwargs: Params.kwargs) -> Result:
            state = con.engine, _current_revision(con), _minute_if_relative(*args, *kwargs.values())
            key = state, args, tuple(kwargs.items())
            with lock:
                if key in results:
                    results.move_to_end(key)
                    return results[key]
            result = query(con, *args, **kwargs)
            with lock:
                results[key] = result
                while len(results) > max_entries:
                    results.popitem(last=False)
            return result

        return wrapper

    return decorator


_revision_by_transaction: WeakKeyDictionary[Transaction, object] = WeakKeyDictionary()


def _current_revision(con: Connection) -> object:
    """What tells one state of the store from the next; asked once, as a transaction sees one."""
    transaction = con.get_transaction()
    if transaction is None or transaction not in _revision_by_transaction:
        revision = store_revision(con)
        transaction = con.get_transaction()
        if transaction is None:
            return revision
        _revision_by_transaction[transaction] = revision
    return _revision_by_transaction[transaction]


def _minute_if_relative(*args: object) -> int:
    """What speaks of how long something has waited until now is of another answer soon."""
    depends_on_now = any(
        getattr(arg, "waiting", None) or getattr(arg, "waiting_upto", None) for arg in args
    )
    return int(time.monotonic() // 60) if depends_on_now else 0


def store_revision(con: Connection) -> tuple[int | datetime | None, ...]:
    """How many snapshots there are and when the last one was loaded (naive UTC).

    Then the same of the files that were held or refused, and of what people have said of whose
    accounts are, with when the last of it was withdrawn.
    """
    loaded = select(func.count(), func.max(snapshot.c.loaded_at)).select_from(snapshot)
    quarantined = select(func.count(), func.max(quarantined_file.c.quarantined_at)).select_from(
        quarantined_file
    )
    moments = (func.max(match_override.c.decided_at), func.max(match_override.c.withdrawn_at))
    overrides = select(func.count(), *moments).select_from(match_override)
    return tuple(
        value for query in (loaded, quarantined, overrides) for value in con.execute(query).one()
    )
