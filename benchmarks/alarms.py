"""How soon letters name what breaks, and how often nothing: 30 days of files with planted breaks.

Each integration has a snapshot a day, and noise: on average 3% of its accounts fail, on some days
many more. Then one thing breaks and stays broken. A letter is looked for every morning. Beside it
is what people build first: an alarm on each day with more than a fixed share of accounts failing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sqlalchemy import Engine

from benchmarks.made import START
from data.access.roles import Principal
from data.files.naming import SnapshotFile
from data.history.load import load
from data.objectives import Objective, save_objectives
from data.people.directories import save_directories
from data.store.engine import close_store, open_store
from queries.letter.schedule import Schedule, Sent, next_letter
from queries.letter.write import current_alarms

DAYS, ACCOUNTS = 30, 100
DAY = timedelta(days=1)
NEW_FAILURES, RESOLVED = 0.012, 0.6
"""Shares of a day: of the accounts that begin to fail, and of the failing that are resolved."""
BAD_DAY = 0.06
"""Share of the accounts that begin to fail on one day in ten."""

OBJECTIVES = {
    "failing": Objective(percent=5),
    "update": Objective(percent=95, within=2 * DAY),
    "leavers": Objective(within=DAY),
}
THRESHOLDS = (0.05, 0.10)


class Break(NamedTuple):
    """What breaks."""

    name: str
    failing: float = 0
    is_stuck: bool = False


CALM = "calm"
BREAKS = {
    CALM: Break("nothing"),
    "half": Break("50% of the accounts fail", failing=0.5),
    "third": Break("30% fail", failing=0.3),
    "fifth": Break("20% fail", failing=0.2),
    "eighth": Break("12% fail", failing=0.12),
    "stuck": Break("update jobs no longer end", is_stuck=True),
    "leavers": Break("three leavers stay active"),
    "silent": Break("no more snapshots"),
}


class Life(NamedTuple):
    """One integration over the days: what each morning had."""

    broken_on: int
    failing: list[float]  # share of the accounts
    named: list[bool]  # whether a letter has the alarm


def alarms(folder: Path, lives: int) -> list[str]:
    """The lines of the table."""
    lived = [_live(folder / str(seed), random.Random(seed)) for seed in range(lives)]
    return [_line(key, [life[key] for life in lived]) for key in BREAKS]


def _line(key: str, lives: list[Life]) -> str:
    planted = BREAKS[key]
    ways: list[Callable[[Life, int], bool]] = [lambda life, day: life.named[day]]
    ways += [
        lambda life, day, limit=limit: day < len(life.failing) and life.failing[day] > limit
        for limit in THRESHOLDS
    ]
    by_letter, *by_threshold = (_found(is_alarm, lives) for is_alarm in ways)
    if not planted.failing:  # that more fail than usual on some day is chance
        by_threshold = ["–" for _ in by_threshold]
    found = [by_letter if key != CALM else "–", *by_threshold]
    false = [sum(is_alarm(o, d) for o in lives for d in range(o.broken_on)) for is_alarm in ways]
    cells = (str(cell) for pair in zip(found, false, strict=True) for cell in pair)
    return f"| {' | '.join([planted.name, *cells])} |"


def _found(is_alarm: Callable[[Life, int], bool], lives: list[Life]) -> str:
    """The day of the break with the first alarm, 1 for the first: the median."""
    of_lives = [
        [day + 1 for day in range(DAYS - life.broken_on) if is_alarm(life, life.broken_on + day)]
        for life in lives
    ]
    days = [days[0] for days in of_lives if days]
    of_all = "" if len(days) == len(lives) else f" ({len(days)} of {len(lives)})"
    return f"{median(days):g}{of_all}" if days else "never"


def _live(folder: Path, chance: random.Random) -> dict[str, Life]:
    folder.mkdir()
    url = f"duckdb:///{folder / 'store.duckdb'}"
    store = open_store(url)
    save_objectives(store, "", OBJECTIVES)
    broken_on = {key: chance.randrange(15, 21) for key in BREAKS} | {CALM: DAYS}
    failing = {key: _deliver(store, folder, key, broken_on[key], chance) for key in BREAKS}
    _deliver_people(store, folder, broken_on["leavers"])
    save_directories(store, {"hr": True})
    named = _read_letters(store)
    close_store(url)
    return {
        key: Life(broken_on[key], failing[key], [key in morning for morning in named])
        for key in BREAKS
    }


def _read_letters(store: Engine) -> list[set[str]]:
    """By morning: the integrations that a letter names; none twice while the alarm lasts."""
    owner, named = Principal("", ("Owner",)), []
    sent = Sent(START, START)
    for day in range(DAYS):
        now = START + day * DAY + timedelta(hours=2)
        keys = {alarm.key for alarm in current_alarms(store, owner, now)}
        due, sent = next_letter(Schedule(), sent, keys, now)
        named.append({key.partition(":")[2] for key in (due.begun if due else ())})
    return named


def _deliver(
    store: Engine, folder: Path, key: str, broken_on: int, chance: random.Random
) -> list[float]:
    """Load a snapshot a day; returns the share of accounts that fail in each."""
    planted, shares = BREAKS[key], []
    failed, stuck = set[int](), set[int]()
    for day in range(DAYS):
        is_broken = day >= broken_on
        if key == "silent" and is_broken:
            break
        rate = BAD_DAY if chance.random() < 0.1 else NEW_FAILURES
        failed = {n for n in failed if chance.random() > RESOLVED}
        failed |= {n for n in range(ACCOUNTS) if chance.random() < rate}
        busy = {n for n in range(ACCOUNTS) if (n + day) % 10 == 0} | stuck
        if is_broken:
            failed |= set(range(round(planted.failing * ACCOUNTS)))
            stuck |= busy if planted.is_stuck else set()
        states = dict.fromkeys(busy, "Update ongoing") | dict.fromkeys(
            failed - stuck, "Update failed"
        )
        rows = [_account(key, n, states.get(n, "Onboarded")) for n in range(ACCOUNTS)]
        _load(store, folder, key, day, rows)
        shares.append(len(failed - stuck) / ACCOUNTS)
    return shares


def _deliver_people(store: Engine, folder: Path, broken_on: int) -> None:
    """A directory, which three people leave; their accounts stay active."""
    for day in range(DAYS):
        left = 3 if day >= broken_on else 0
        people = [_account("leavers", n, "Onboarded") for n in range(left, ACCOUNTS)]
        _load(store, folder, "hr", day, people)


def _account(key: str, number: int, state: str) -> dict[str, str]:
    mail = f"{key}{number}@x.io"
    return {
        "username_in_app": mail,
        "user_name": f"P {number}",
        "user_email": mail,
        "active_in_app": "yes",
        "provisioning_state": state,
    }


def _load(store: Engine, folder: Path, key: str, day: int, rows: list[dict[str, str]]) -> None:
    path, at = folder / f"{key}-{day}.ndjson", START + day * DAY
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    load(store, SnapshotFile(path, key, at), confirmed=True)
