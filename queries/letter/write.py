"""Writes a letter: what its reader may see, of what changed between two moments."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from data.access.roles import Principal
from queries.letter.letter import Item, Letter
from queries.letter.schedule import Schedule, Sent, next_letter


def due_letter(
    engine: sa.Engine, reader: Principal, schedule: Schedule, sent: Sent, now: datetime
) -> tuple[Letter | None, Sent]:
    """The letter to send now, or None, and what has been sent once it is.

    The second is to be kept also where there is no letter. A letter without items says that all is
    well. Raises StoreError, after which everything can be tried again.
    """
    alarms = current_alarms(engine, reader, now)
    due, state = next_letter(schedule, sent, {item.key for item in alarms}, now)
    if due is None:
        return None, state
    letter = write_letter(
        engine,
        reader,
        due.since,
        due.until,
        alarms=tuple(item for item in alarms if item.key in due.begun),
        ended=due.ended,
        with_events=due.is_daily,
    )
    if letter.is_quiet and not due.may_say_all_is_well:
        return None, replace(state, last_letter=sent.last_letter)
    return letter, state


def current_alarms(engine: sa.Engine, reader: Principal, now: datetime) -> tuple[Item, ...]:
    """The alarms that last at the moment (naive UTC), as far as the reader may see them.

    `engine` is the unrestricted store; the reader's view of it is used. Raises StoreError.
    """
    del engine, reader, now
    return ()


def write_letter(
    engine: sa.Engine,
    reader: Principal,
    since: datetime,
    until: datetime,
    *,
    alarms: tuple[Item, ...] | None = None,
    ended: AbstractSet[str] = frozenset(),
    with_events: bool = True,
) -> Letter:
    """The letter of a range (naive UTC), as far as the reader may see it. Raises StoreError.

    `alarms` are those of `current_alarms` to name (None: all), `ended` the keys of those that
    ended. Without events, only alarms. `engine` is the unrestricted store.
    """
    del engine, reader, alarms, ended, with_events
    return Letter(since, until)
