"""Pulls by the clock, in the one process that serves: when each is due, and how it went."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import NamedTuple

from data.home import Home
from data.inbox.pull import PullBusy, known_pulls, last_pulled, pull
from data.sources.http import PullFailed
from data.sources.settings import Pull

log = logging.getLogger("rollcall")

LOOKED_AT_EVERY = 3.0
"""Seconds between two looks at what is due."""

TRIED_AGAIN_AFTER = timedelta(minutes=15)
"""After a pull that failed; sooner where it is due sooner."""


class Course(NamedTuple):
    """How the last try of a pull went, or goes."""

    words: str
    at: datetime  # naive UTC
    failed: bool = False
    under_way: bool = False


courses: dict[str, Course] = {}
"""Integration → the course of its last try in this process. Shown to all."""

wanted: set[str] = set()
"""Integrations that a person wants pulled now."""


def keep_pulling(home: Home, stop: Event) -> None:
    """Pull what is due, one after the other, until told to stop."""
    while not stop.wait(LOOKED_AT_EVERY):
        try:
            due = [asked for asked in known_pulls() if is_due(home, asked, _now())]
        except PullFailed as fault:  # the file is being written, or mistaken: the page says so
            log.debug("%s", fault)
            continue
        for asked in due:
            _pull(home, asked, stop)


def is_due(home: Home, asked: Pull, now: datetime) -> bool:
    """Whether a person wants it, or its time has come since the newest snapshot was taken."""
    if asked.integration in wanted:
        return True
    next_at = next_pull(home, asked)
    return next_at is not None and next_at <= now


def next_pull(home: Home, asked: Pull) -> datetime | None:
    """When it is due by the clock; None where only a person asks for it."""
    if asked.every is None:
        return None
    last = last_pulled(home, asked.integration)
    due = last + asked.every if last else datetime.min  # noqa: DTZ901 - the store keeps naive UTC
    tried = courses.get(asked.integration)
    if tried and tried.failed:
        return max(due, tried.at + min(asked.every, TRIED_AGAIN_AFTER))
    return due


def _pull(home: Home, asked: Pull, stop: Event) -> None:
    name = asked.integration
    by_hand = name in wanted
    wanted.discard(name)

    def tell(words: str) -> None:
        courses[name] = Course(words, _now(), under_way=True)

    tell("starting")
    try:
        pull(home, asked, tell, stop.wait, patient=False)
    except PullBusy:  # another process of this home: what it has pulled is not due any more
        courses.pop(name, None)
        if by_hand:
            wanted.add(name)
    except (PullFailed, OSError) as fault:
        said = f"{fault.filename}: {fault.strerror}." if isinstance(fault, OSError) else str(fault)
        courses[name] = Course(said, _now(), failed=True)
        log.warning("%s was not pulled: %s", name, said)
    except Exception:
        courses[name] = Course("Something went wrong; the log tells what.", _now(), failed=True)
        log.exception("%s was not pulled.", name)
    else:
        courses[name] = courses[name]._replace(under_way=False)
        log.info("%s was pulled: %s.", name, courses[name].words)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
