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
    as_of: datetime | None = None  # naive UTC: what came later is not known; None is now

    @property
    def start(self) -> datetime:
        """The moment at which the first day begins (naive UTC)."""
        return day_start(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The last second of the last day (naive UTC)."""
        return day_end(self.last, self.zone)

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> Scope:
        """The days just before these, as many of them, as they were known when they ended."""
        length = min(self.days, (self.first - date.min).days - 1)
        first, last = self.first - length * DAY, self.first - DAY
        return Scope(self.integrations, first, last, self.zone, day_end(last, self.zone))


@cache
def time_zones() -> frozenset[str]:
    """The names of all time zones, as IANA has them."""
    return frozenset(available_timezones())


def zone_or_utc(name: str) -> str:
    """The time zone of that name; UTC for anything that is none."""
    return name if name in time_zones() else "UTC"


def local_date(moment: datetime, zone: str) -> date:
    """The day of a moment (naive UTC) in the zone."""
    return to_local(moment, zone).date()


def to_local(moment: datetime, zone: str) -> datetime:
    """The time on the clocks of the zone at a moment (naive UTC)."""
    return _convert(moment, UTC, ZoneInfo(zone))


def to_utc(local_time: datetime, zone: str) -> datetime:
    """The moment (naive UTC) at which clocks of the zone show this; of two, the earlier."""
    return _convert(local_time, ZoneInfo(zone), UTC)


def _convert(clock_time: datetime, source_zone: tzinfo, target_zone: tzinfo) -> datetime:
    """What clocks there show while clocks here show this; beyond the calendar's ends, the same."""
    try:
        return clock_time.replace(tzinfo=source_zone).astimezone(target_zone).replace(tzinfo=None)
    except OverflowError:
        return clock_time


def day_start(day: date, zone: str) -> datetime:
    """The moment (naive UTC) at which the day begins in the zone."""
    return to_utc(datetime.combine(day, time.min), zone)


def day_end(day: date, zone: str) -> datetime:
    """The last second of the day in the zone (naive UTC)."""
    return day_start(day + DAY, zone) - timedelta(seconds=1)


def day_column(moment: ColumnElement[Any], zone: str) -> ColumnElement[Any]:
    """The day of moments (naive UTC) in the zone, where the database works it out."""
    local_moment = moment if zone == "UTC" else func.timezone(zone, func.timezone("UTC", moment))
    return cast(local_moment, Date)
