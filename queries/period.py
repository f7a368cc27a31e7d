"""Days in a reader's time zone, and the period that Health shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa
from sqlalchemy import ColumnElement, func

from queries.scope import Scope

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period(Scope):
    """A scope over some days, the first and the last included."""

    first: date
    last: date
    zone: str = "UTC"
    """IANA name of the time zone in which days begin."""

    @property
    def start(self) -> datetime:
        """When the first day begins (naive UTC)."""
        return day_start(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The last second of the last day (naive UTC)."""
        return day_end(self.last, self.zone)

    @property
    def days(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> Period:
        """As many days before these, as they were known at their end."""
        length = min(self.days, (self.first - date.min).days - 1)
        first, last = self.first - length * DAY, self.first - DAY
        as_of = day_end(last, self.zone)
        return Period(first, last, self.zone, integration=self.integration, as_of=as_of)


@cache
def time_zones() -> frozenset[str]:
    """The IANA names of all time zones."""
    return frozenset(available_timezones())


def zone_or_utc(name: str) -> str:
    """The name if it is a time zone, else UTC."""
    return name if name in time_zones() else "UTC"


def local_date(moment: datetime, zone: str) -> date:
    """The day of a moment (naive UTC) in the zone."""
    return to_local(moment, zone).date()


def to_local(moment: datetime, zone: str) -> datetime:
    """The local time in the zone at a moment (naive UTC)."""
    return _convert(moment, UTC, ZoneInfo(zone))


def to_utc(local_time: datetime, zone: str) -> datetime:
    """The moment (naive UTC) of a local time in the zone; of two such moments, the earlier."""
    return _convert(local_time, ZoneInfo(zone), UTC)


def _convert(clock_time: datetime, source_zone: tzinfo, target_zone: tzinfo) -> datetime:
    """A clock time in another zone; unchanged where it would leave the calendar."""
    try:
        return clock_time.replace(tzinfo=source_zone).astimezone(target_zone).replace(tzinfo=None)
    except OverflowError:
        return clock_time


def day_start(day: date, zone: str) -> datetime:
    """When the day begins in the zone (naive UTC)."""
    return to_utc(datetime.combine(day, time.min), zone)


def day_end(day: date, zone: str) -> datetime:
    """The last second of the day in the zone (naive UTC)."""
    return day_start(day + DAY, zone) - timedelta(seconds=1)


def day_column(moment: ColumnElement[Any], zone: str) -> ColumnElement[Any]:
    """The day of each moment (naive UTC) in the zone, as the database computes it."""
    local_moment = moment if zone == "UTC" else func.timezone(zone, func.timezone("UTC", moment))
    return sa.cast(local_moment, sa.Date)
