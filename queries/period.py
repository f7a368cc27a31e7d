"""What Health is asked about: some integrations, over some days, in a time zone, at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import ColumnElement, Date, cast, func

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scope:
    """Integrations (none named: all), and the days from the first to the last, both included."""

    integrations: tuple[str, ...]
    first: date
    last: date
    zone: str = "UTC"  # IANA; a day is a day there
    at: datetime | None = None  # naive UTC: what came later is not known; None is now

    @property
    def begins(self) -> datetime:
        """The moment at which the first day begins (naive UTC)."""
        return start_of(self.first, self.zone)

    @property
    def ends(self) -> datetime:
        """The last second of the last day (naive UTC)."""
        return end_of(self.last, self.zone)

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Scope:
        """The days just before these, as many of them, as they were known when they ended."""
        length = min(self.days, (self.first - date.min).days - 1)
        first, last = self.first - length * DAY, self.first - DAY
        return Scope(self.integrations, first, last, self.zone, end_of(last, self.zone))


@cache
def known_zones() -> frozenset[str]:
    """The names of all time zones, as IANA has them."""
    return frozenset(available_timezones())


def zone_of(name: str) -> str:
    """The time zone of that name; UTC for anything that is none."""
    return name if name in known_zones() else "UTC"


def day_of(moment: datetime, zone: str) -> date:
    """The day of a moment (naive UTC) in the zone."""
    return local(moment, zone).date()


def local(moment: datetime, zone: str) -> datetime:
    """The time on the clocks of the zone at a moment (naive UTC)."""
    return _on_clocks(moment, UTC, ZoneInfo(zone))


def utc(time_there: datetime, zone: str) -> datetime:
    """The moment (naive UTC) at which clocks of the zone show this; of two, the earlier."""
    return _on_clocks(time_there, ZoneInfo(zone), UTC)


def _on_clocks(shown: datetime, here: tzinfo, there: tzinfo) -> datetime:
    """What clocks there show while clocks here show this; beyond the calendar's ends, the same."""
    try:
        return shown.replace(tzinfo=here).astimezone(there).replace(tzinfo=None)
    except OverflowError:
        return shown


def start_of(day: date, zone: str) -> datetime:
    """The moment (naive UTC) at which the day begins in the zone."""
    return utc(datetime.combine(day, time.min), zone)


def end_of(day: date, zone: str) -> datetime:
    """The last second of the day in the zone (naive UTC)."""
    return start_of(day + DAY, zone) - timedelta(seconds=1)


def day_column(moment: ColumnElement[Any], zone: str) -> ColumnElement[Any]:
    """The day of moments (naive UTC) in the zone, where the database works it out."""
    there = moment if zone == "UTC" else func.timezone(zone, func.timezone("UTC", moment))
    return cast(there, Date)
