"""What every benchmark needs: made-up accounts, a store, and what an act costs."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Engine

from data.states import STATE_NAMES
from data.store.engine import close_store, open_store

START = datetime(2026, 1, 1, 6)
CHANGED = 0.01
"""Share of the accounts that change from one snapshot to the next."""


class Cost(NamedTuple):
    """Seconds on the clock, and of work on all cores."""

    wall: float
    cpu: float


class Accounts:
    """Made-up accounts of one integration, which change a little from day to day."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        numbers = range(number)
        pick = self.chance.randrange
        self.columns = {
            "User": [
                f"First{pick(5000)} Last{pick(9000)} <user{n}@example.com>" if pick(20) else ""
                for n in numbers
            ],
            "Username in app": [f"User{n}" for n in numbers],
            "App access": [
                ";".join(f"Role {pick(40)}" for _ in range(pick(1, 6))) for _ in numbers
            ],
            "Active in app": [("", "No", *["Yes"] * 8)[pick(10)] for _ in numbers],
            "Upstream user ID": [f"UP-{pick(10_000_000)}" for _ in numbers],
            "Provisioning state": [
                "Onboarded" if pick(5) else STATE_NAMES[pick(11)] for _ in numbers
            ],
            "Last updated": [self._some_time() for _ in numbers],
        }

    def change(self) -> None:
        """Move some accounts into another state."""
        number = len(self.columns["User"])
        for n in self.chance.sample(range(number), int(number * CHANGED)):
            self.columns["Provisioning state"][n] = STATE_NAMES[self.chance.randrange(11)]
            self.columns["Last updated"][n] = self._some_time()

    def write(self, path: Path) -> Path:
        csv.write_csv(pa.table(self.columns), path)
        return path

    def write_foreign(self, path: Path) -> Path:
        """The same accounts as another product exports them: its headings, names and words."""
        columns = self.columns
        users = [user.rstrip(">").partition(" <") for user in columns["User"]]
        status = {"Yes": "active", "No": "suspended", "": ""}
        foreign = {
            "Login name": columns["Username in app"],
            "Employee": [name for name, _, _ in users],
            "Email address": [email for _, _, email in users],
            "Group memberships": columns["App access"],
            "Account status": [status[text] for text in columns["Active in app"]],
            "External user ID": columns["Upstream user ID"],
            "Modified at": columns["Last updated"],
            "Department": [user[:7] for user in columns["User"]],
        }
        csv.write_csv(pa.table(foreign), path)
        return path

    def _some_time(self) -> str:
        return f"{START - timedelta(seconds=self.chance.randrange(20_000_000)):%Y-%m-%dT%H:%M:%SZ}"


def cost_of(act: Callable[[], object]) -> Cost:
    before, began = os.times(), time.perf_counter()
    act()
    wall, after = time.perf_counter() - began, os.times()
    return Cost(wall, after.user + after.system - before.user - before.system)


@contextmanager
def a_store(folder: Path, name: str) -> Iterator[tuple[Engine, Path]]:
    path = folder / f"{name}.duckdb"
    engine = open_store(f"duckdb:///{path}")
    yield engine, path
    close_store(f"duckdb:///{path}")
