"""Whether a letter is due: a pure function of the time, the schedule and the letters before."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from data.formatting import iso_z
from queries.period import DAY, local_date, to_utc

SETTLE = timedelta(minutes=5)
"""How long an alarm lasts before a letter, so that one letter has all that begins together; and
how long it is over before it has ended, so that one that comes and goes is one alarm."""

ALL_IS_WELL_AFTER = timedelta(days=7)
"""The time without any letter after which one can say that all is well."""


@dataclass(frozen=True)
class Schedule:
    """When a recipient gets letters."""

    at: time | None = time(7, 30)  # every day at this local time; None: alarms only
    zone: str = "UTC"
    sends_alarms: bool = True  # at once; otherwise they are in the daily letter
    says_all_is_well: bool = False


@dataclass(frozen=True)
class Sent:
    """What a recipient's letters have said so far; kept between letters, as JSON too."""

    since: datetime
    """Where the range of the next daily letter begins (naive UTC): the end of the last one."""
    last_letter: datetime  # of any kind; before the first, the start
    alarms: frozenset[str] = frozenset()  # in a letter, and not over
    ended: frozenset[str] = frozenset()  # alarms that ended since the last daily letter
    changed: tuple[tuple[str, datetime], ...] = ()
    """Alarms that began or ended, and are not settled: [key, since when]."""

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "since": iso_z(self.since, "microseconds"),
            "last_letter": iso_z(self.last_letter, "microseconds"),
            "alarms": sorted(self.alarms),
            "ended": sorted(self.ended),
            "changed": {key: iso_z(moment, "microseconds") for key, moment in self.changed},
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Sent":
        """From what `to_data` gave."""
        return cls(
            _moment(data["since"]),
            _moment(data["last_letter"]),
            frozenset(data["alarms"]),
            frozenset(data["ended"]),
            tuple((key, _moment(text)) for key, text in data["changed"].items()),
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


class Due(NamedTuple):
    """The letter that is due now."""

    since: datetime
    until: datetime
    is_daily: bool  # whether it has the events of its range, and the alarms that ended
    begun: frozenset[str]  # alarms that no letter has named
    ended: frozenset[str]
    may_say_all_is_well: bool


def next_letter(
    schedule: Schedule, sent: Sent, alarms: AbstractSet[str], now: datetime
) -> tuple[Due | None, Sent]:
    """The letter that is due, and what has been sent once it is.

    `alarms` are the keys of those that last now. Moments are naive UTC.
    """
    if sent.since - now > DAY:  # the clock was ahead, and has been set back
        sent = replace(sent, since=now, last_letter=now)
    state, settled = _observe(sent, alarms, now)
    begun = frozenset(alarms - state.alarms)
    is_daily = _is_daily_due(schedule, sent.since, now)
    if not is_daily and not (schedule.sends_alarms and begun & settled):
        return None, state
    due = Due(
        since=sent.since,
        until=now,
        is_daily=is_daily,
        begun=begun,
        ended=(state.ended - alarms) if is_daily else frozenset(),
        may_say_all_is_well=is_daily
        and schedule.says_all_is_well
        and not alarms
        and now - sent.last_letter >= ALL_IS_WELL_AFTER,
    )
    return due, replace(
        state,
        since=now if is_daily else sent.since,
        last_letter=now,
        alarms=state.alarms | begun,
        ended=frozenset() if is_daily else state.ended,
        changed=tuple((key, moment) for key, moment in state.changed if key not in begun),
    )


def _observe(sent: Sent, alarms: AbstractSet[str], now: datetime) -> tuple[Sent, AbstractSet[str]]:
    """The state with the alarms that ended, and the alarms whose beginning or end is settled."""
    since_when = dict(sent.changed)
    changed = {key: min(since_when.get(key, now), now) for key in alarms ^ sent.alarms}
    settled = {key for key, moment in changed.items() if now - moment >= SETTLE}
    ended = settled - alarms
    open_changes = sorted((key, at) for key, at in changed.items() if key not in ended)
    state = replace(
        sent,
        alarms=sent.alarms - ended,
        ended=sent.ended | ended,
        changed=tuple(open_changes),
    )
    return state, settled


def _is_daily_due(schedule: Schedule, since: datetime, now: datetime) -> bool:
    """Whether the time of a daily letter has come since the last one.

    Each local date has one such moment, also where the clock is changed: of two, the earlier; where
    there is none, that of the clock before the change.
    """
    if schedule.at is None:
        return False
    today = local_date(now, schedule.zone)
    moments = (
        to_utc(datetime.combine(day, schedule.at), schedule.zone) for day in (today - DAY, today)
    )
    return any(since < moment <= now for moment in moments)
