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

from data.schema import matched, snapshot, unloaded

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def remembered(
    most: int,
) -> Callable[
    [Callable[Concatenate[Connection, Asked], Answer]],
    Callable[Concatenate[Connection, Asked], Answer],
]:
    """Keep the last so many answers to a question of the store, the least asked for going first.

    What is asked about must be hashable; answers are shared by all who ask, so nobody changes them.
    """

    def remember(
        ask: Callable[Concatenate[Connection, Asked], Answer],
    ) -> Callable[Concatenate[Connection, Asked], Answer]:
        answers: OrderedDict[Any, Answer] = OrderedDict()
        changing = Lock()

        @wraps(ask)
        def asked(con: Connection, *about: Asked.args, **more: Asked.kwargs) -> Answer:
            when = con.engine, _loaded(con), _minute(*about, *more.values())
            key = when, about, tuple(more.items())
            with changing:
                if key in answers:
                    answers.move_to_end(key)
                    return answers[key]
            answer = ask(con, *about, **more)
            with changing:
                answers[key] = answer
                while len(answers) > most:
                    answers.popitem(last=False)
            return answer

        return asked

    return remember


_loads: WeakKeyDictionary[Transaction, object] = WeakKeyDictionary()


def _loaded(con: Connection) -> object:
    """What tells one state of the store from the next; asked once, as a transaction sees one."""
    seen = con.get_transaction()
    if seen is None or seen not in _loads:
        loaded = newest_load(con)
        seen = con.get_transaction()
        if seen is None:
            return loaded
        _loads[seen] = loaded
    return _loads[seen]


def _minute(*about: object) -> int:
    """What speaks of how long something has waited until now is of another answer soon."""
    speaks_of_now = any(
        getattr(one, "waiting", None) or getattr(one, "waiting_upto", None) for one in about
    )
    return int(time.monotonic() // 60) if speaks_of_now else 0


def newest_load(con: Connection) -> tuple[int | datetime | None, ...]:
    """How many snapshots there are and when the last one was loaded (naive UTC).

    Then the same of the files that were held or refused, and of what people have said of whose
    accounts are, with when the last of it was withdrawn.
    """
    loaded = select(func.count(), func.max(snapshot.c.loaded_at)).select_from(snapshot)
    aside = select(func.count(), func.max(unloaded.c.found_at)).select_from(unloaded)
    moments = (func.max(matched.c.decided_at), func.max(matched.c.withdrawn_at))
    said = select(func.count(), *moments).select_from(matched)
    return tuple(each for news in (loaded, aside, said) for each in con.execute(news).one())
