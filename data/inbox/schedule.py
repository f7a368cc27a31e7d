"""Pulls by the clock, in the one process that serves: when each is due, and how it went."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import NamedTuple

from data.home import Home
from data.inbox.pull import PullInProgress, configured_pulls, latest_taken_at, pull_to_inbox
from data.sources.http import PullFailed
from data.sources.settings import PullConfig

log = logging.getLogger("rollcall")

SCHEDULE_POLL_SECONDS = 3.0
"""Seconds between two looks at what is due."""

RETRY_AFTER = timedelta(minutes=15)
"""After a pull that failed; sooner where it is due sooner."""


class PullStatus(NamedTuple):
    """How the last try of a pull went, or goes."""

    message: str
    updated_at: datetime  # naive UTC
    has_failed: bool = False
    is_running: bool = False


pull_statuses: dict[str, PullStatus] = {}
"""Integration → the course of its last try in this process. Shown to all."""

requested_pulls: set[str] = set()
"""Integrations that a person wants pulled now."""


def run_scheduler(home: Home, stop: Event) -> None:
    """Pull what is due, one after the other, until told to stop."""
    while not stop.wait(SCHEDULE_POLL_SECONDS):
        try:
            due = [config for config in configured_pulls() if is_due(home, config, _now())]
        except PullFailed as error:  # the file is being written, or mistaken: the page says so
            log.debug("%s", error)
            continue
        for config in due:
            _run_pull(home, config, stop)


def is_due(home: Home, config: PullConfig, now: datetime) -> bool:
    """Whether a person wants it, or its time has come since the newest snapshot was taken."""
    if config.integration in requested_pulls:
        return True
    next_at = next_pull_time(home, config)
    return next_at is not None and next_at <= now


def next_pull_time(home: Home, config: PullConfig) -> datetime | None:
    """When it is due by the clock; None where only a person asks for it."""
    if config.interval is None:
        return None
    last = latest_taken_at(home, config.integration)
    due = last + config.interval if last else datetime.min  # noqa: DTZ901 - the store keeps naive UTC
    status = pull_statuses.get(config.integration)
    if status and status.has_failed:
        return max(due, status.updated_at + min(config.interval, RETRY_AFTER))
    return due


def _run_pull(home: Home, config: PullConfig, stop: Event) -> None:
    name = config.integration
    is_requested = name in requested_pulls
    requested_pulls.discard(name)

    def set_status(message: str) -> None:
        pull_statuses[name] = PullStatus(message, _now(), is_running=True)

    set_status("starting")
    try:
        pull_to_inbox(home, config, set_status, stop.wait, wait_for_lock=False)
    except PullInProgress:  # another process of this home: what it has pulled is not due any more
        pull_statuses.pop(name, None)
        if is_requested:
            requested_pulls.add(name)
    except (PullFailed, OSError) as error:
        error_message = (
            f"{error.filename}: {error.strerror}." if isinstance(error, OSError) else str(error)
        )
        pull_statuses[name] = PullStatus(error_message, _now(), has_failed=True)
        log.warning("%s was not pulled: %s", name, error_message)
    except Exception:
        pull_statuses[name] = PullStatus(
            "Something went wrong; the log tells what.", _now(), has_failed=True
        )
        log.exception("%s was not pulled.", name)
    else:
        pull_statuses[name] = pull_statuses[name]._replace(is_running=False)
        log.info("%s was pulled: %s.", name, pull_statuses[name].message)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
