"""The people of the sample as an identity provider lists them: a weekly export of Okta's users.

A person leaves once most of her accounts are on their way out. People shows the forgotten ones.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.formatting import iso_z
from data.sample.lifecycle import D_AWAITING, REMOVED
from data.sample.population import Population, personal_columns

NAME = "Okta"
INTERVAL = 7
"""Days between two files. It counts back from the newest."""

CLOSING_ACCOUNTS = 2
"""Accounts of a person that are being deleted, or are deleted, when she leaves."""

FORGOTTEN_ACCOUNTS = 1
"""Her other accounts, at most, on that day."""

DEPROVISIONED_DAYS = 28
"""A person who left is listed for as long; then no more."""

NEVER = -1


def count_directory_files(days: int) -> int:
    """The number of its files in a sample of so many days."""
    return -(-days // INTERVAL)


class Directory:
    """All people who ever have an account in these populations, and when they left."""

    def __init__(self, populations: Sequence[Population], until: datetime) -> None:
        self.populations, self.until = populations, until
        size = 1 + max(int(p.person.max()) for p in populations)
        self.joined_days_ago = np.full(size, NEVER)
        for p in populations:
            own = ~p.is_service
            np.maximum.at(self.joined_days_ago, p.person[own], p.joined_days_ago[own])
        self.left_days_ago = np.full(size, NEVER)

    def advance_to(self, days_ago: int) -> None:
        """Let people leave, by what has become of their accounts."""
        closing, others = np.zeros((2, self.left_days_ago.size), int)
        for p in self.populations:
            is_going, is_own = p.state >= D_AWAITING, ~p.is_service & (p.state != REMOVED)
            np.add.at(closing, p.person[is_own & is_going], 1)
            np.add.at(others, p.person[is_own & ~is_going], 1)
        is_leaving = (closing >= CLOSING_ACCOUNTS) & (others <= FORGOTTEN_ACCOUNTS)
        is_leaving &= self.left_days_ago == NEVER
        self.left_days_ago[is_leaving] = days_ago

    def users(self, days_ago: int) -> Iterator[dict[str, Any]]:
        """What Okta's API returns on this day."""
        persons = np.flatnonzero(self.joined_days_ago >= days_ago)
        rows = zip(*(c.tolist() for c in personal_columns(persons).values()), strict=True)
        for person, (handle, name, email, okta_id) in zip(persons.tolist(), rows, strict=True):
            left = int(self.left_days_ago[person])
            status, changed_days_ago = _status(person, left, days_ago)
            if not status:
                continue
            given, _, family = name.partition(" ")
            is_active = status == "ACTIVE"
            seen_days_ago = days_ago + person % 4 if is_active else changed_days_ago + 1
            yield {
                "id": f"{okta_id}-2" if is_active and left != NEVER else okta_id,
                "status": status,
                "created": "2023-02-01T09:00:00Z",
                "lastUpdated": self._time(person, changed_days_ago),
                "lastLogin": self._time(person, seen_days_ago),
                "profile": {
                    "login": f"{handle}@northwind.example",
                    "email": email,
                    "firstName": given,
                    "lastName": family or None,
                    "employeeNumber": f"{10_000 + person}",
                },
            }

    def _time(self, person: int, days_ago: int) -> str:
        return iso_z(self.until - timedelta(days=days_ago, seconds=1 + person * 7919 % 80_000))


def _status(person: int, left_days_ago: int, days_ago: int) -> tuple[str | None, int]:
    """The status of a person on a day, and how many days ago she got it; None: not listed.

    A few are on leave. One in five of those who leave is suspended first, and one in seven returns
    after four weeks, under a new ID.
    """
    days_since = left_days_ago - days_ago
    if left_days_ago == NEVER:
        return ("SUSPENDED", 120) if person % 211 == 7 else ("ACTIVE", 200)
    if days_since >= DEPROVISIONED_DAYS:
        return ("ACTIVE", left_days_ago - DEPROVISIONED_DAYS) if person % 7 == 0 else (None, 0)
    if person % 5 == 0 and days_since < INTERVAL:
        return "SUSPENDED", left_days_ago
    return "DEPROVISIONED", left_days_ago
