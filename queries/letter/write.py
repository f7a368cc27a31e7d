"""Writes a letter: what its reader may see, of what changed between two moments."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from data.access.roles import Principal
from data.store.engine import restricted_engine
from queries.letter.kinds import KIND_BY_NAME, KINDS, Kind
from queries.letter.letter import SEVERITIES, Item, Letter
from queries.letter.reading import Reading, plain
from queries.letter.schedule import Schedule, Sent, next_letter
from queries.users.accounts import integration_names


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
        zone=schedule.zone,
    )
    if letter.is_quiet and not due.may_say_all_is_well:
        return None, replace(state, last_letter=sent.last_letter)
    return letter, state


def current_alarms(engine: sa.Engine, reader: Principal, now: datetime) -> tuple[Item, ...]:
    """The alarms that last at the moment (naive UTC), as far as the reader may see them.

    `engine` is the unrestricted store; the reader's view of it is used. Raises StoreError.
    """
    with restricted_engine(engine, reader.visibility).connect() as con:
        return _find(Reading(con, reader, now, now), lambda kind: kind.is_alarm)


def write_letter(
    engine: sa.Engine,
    reader: Principal,
    since: datetime,
    until: datetime,
    *,
    alarms: tuple[Item, ...] | None = None,
    ended: AbstractSet[str] = frozenset(),
    with_events: bool = True,
    zone: str = "UTC",
) -> Letter:
    """The letter of a range (naive UTC), as far as the reader may see it. Raises StoreError.

    `alarms` are those of `current_alarms` to name (None: all), `ended` the keys of those that
    ended. Without events, only alarms. `engine` is the unrestricted store.
    """
    if alarms is None:
        alarms = current_alarms(engine, reader, until)
    events: tuple[Item, ...] = ()
    if with_events:
        with restricted_engine(engine, reader.visibility).connect() as con:
            events = _find(Reading(con, reader, since, until), lambda kind: not kind.is_alarm)
    over = (item for key in ended if (item := _over(reader, key)))
    return Letter(since, until, tuple(sorted((*alarms, *events, *over), key=_order)), zone)


def read_items(
    con: Connection, reader: Principal, since: datetime, until: datetime, keys: Sequence[str] = ()
) -> list[Item]:
    """The items of a range, and all alarms at its end, or those with these keys, the worst first.

    `con` is restricted to what the reader may see.
    """
    items = _find(Reading(con, reader, since, until), lambda _: True)
    found = [item for item in items if not keys or item.key in keys]
    over = set(keys) & {f"{k.name}:{n}" for k in KINDS if k.over for n in integration_names(con)}
    ended = (_over(reader, key) for key in over - {item.key for item in found})
    return sorted((*found, *filter(None, ended)), key=_order)


def _find(reading: Reading, is_wanted: Callable[[Kind], bool]) -> tuple[Item, ...]:
    return tuple(
        item
        for kind in KINDS
        if is_wanted(kind) and _may_read(reading.reader, kind)
        for item in kind.find(reading)
    )


def _may_read(reader: Principal, kind: Kind) -> bool:
    return any(map(reader.is_allowed, kind.permissions))


def _over(reader: Principal, key: str) -> Item | None:
    """That an alarm has ended, for whoever may read it; its integration is in its key."""
    name, _, integration = key.partition(":")
    kind = KIND_BY_NAME.get(name)
    is_visible = not integration or (
        reader.integrations is None or integration in reader.integrations
    )
    if kind is None or not is_visible or not _may_read(reader, kind):
        return None
    return Item(name, key, "good", kind.over.format(plain(integration)), integration=integration)


def _order(item: Item) -> tuple[int, int, int, str]:
    """The worst first; of one kind, the most."""
    severity, kind = SEVERITIES.index(item.severity), list(KIND_BY_NAME).index(item.kind)
    return severity, kind, -(item.count or 0), item.key
