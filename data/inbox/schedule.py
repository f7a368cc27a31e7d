"""Scheduled pulls, in the one process that keeps the store: when each is due, and how it went."""

import logging
from datetime import datetime, timedelta
from threading import Event
from typing import NamedTuple

import sqlalchemy as sa

from data.formatting import utc_now
from data.home import Home
from data.inbox.pull import PullInProgress, configured_pulls, latest_taken_at, pull_to_inbox
from data.records.pull_failures import read_pull_failures, record_pull
from data.sources.http import PullFailed
from data.sources.settings import PullConfig
from data.store.errors import StoreError

log = logging.getLogger("rollcall")

SCHEDULE_POLL_SECONDS = 3.0
"""Seconds between two looks at what is due."""

RETRY_AFTER = timedelta(minutes=15)
"""The pause after a failed pull, or its interval where that is shorter."""


class PullStatus(NamedTuple):
    """The current or last try of a pull."""

    message: str
    updated_at: datetime  # naive UTC
    has_failed: bool = False
    is_running: bool = False


pull_statuses: dict[str, PullStatus] = {}
"""Integration → status of its last pull in this process. Every viewer sees it."""

ended_pulls: dict[str, PullStatus] = {}
"""Integration → how its last pull ended, until that is in the store."""

requested_pulls: set[str] = set()
"""Integrations that a person wants to pull now."""


def run_scheduler(home: Home, stop: Event) -> None:
    """Run the due pulls, one after the other, until `stop` is set."""
    while not stop.wait(SCHEDULE_POLL_SECONDS):
        try:
            due = [config for config in configured_pulls() if is_due(home, config, utc_now())]
        except PullFailed as error:  # the file is being edited, or not valid: the page says so
            log.debug("%s", error)
            continue
        for config in due:
            _run_pull(home, config, stop)


def restore_failed_pulls(engine: sa.Engine) -> None:
    """Take over the pulls that failed before the start. Raises StoreError."""
    with engine.connect() as con:
        for name, since, message in read_pull_failures(con):
            pull_statuses.setdefault(name, PullStatus(message or "", since, has_failed=True))


def record_ended_pulls(engine: sa.Engine) -> None:
    """Record in the store which pulls fail. Raises StoreError; the next call repeats it."""
    for name in list(ended_pulls):
        status = ended_pulls.pop(name)
        try:
            record_pull(
                engine, name, status.message if status.has_failed else None, status.updated_at
            )
        except StoreError:
            ended_pulls.setdefault(name, status)
            raise


def is_due(home: Home, config: PullConfig, now: datetime) -> bool:
    """Whether a person requested the pull, or its interval has passed."""
    due_at = next_pull_time(home, config)
    return config.integration in requested_pulls or (due_at is not None and due_at <= now)


def next_pull_time(home: Home, config: PullConfig) -> datetime | None:
    """When the pull is due (naive UTC); None without an interval."""
    if config.interval is None:
        return None
    last = latest_taken_at(home, config.integration)
    due_at = last + config.interval if last else datetime.min  # noqa: DTZ901 - naive UTC
    status = pull_statuses.get(config.integration)
    if status and status.has_failed:
        return max(due_at, status.updated_at + min(config.interval, RETRY_AFTER))
    return due_at


def _run_pull(home: Home, config: PullConfig, stop: Event) -> None:
    name = config.integration
    is_requested = name in requested_pulls
    requested_pulls.discard(name)

    def set_status(message: str, *, has_failed: bool = False) -> None:
        status = PullStatus(message, utc_now(), has_failed, is_running=not has_failed)
        pull_statuses[name] = status
        if has_failed:
            ended_pulls[name] = status

    set_status("starting")
    try:
        pull_to_inbox(home, config, set_status, stop.wait, wait_for_lock=False)
    except PullInProgress:  # another process of this home; its pull may make this one needless
        pull_statuses.pop(name, None)
        if is_requested:
            requested_pulls.add(name)
    except (PullFailed, OSError) as error:
        is_os_error = isinstance(error, OSError)
        message = f"{error.filename}: {error.strerror}." if is_os_error else str(error)
        set_status(message, has_failed=True)
        log.warning("The pull of %s failed: %s", name, message)
    except Exception:
        set_status("Something went wrong. See the log.", has_failed=True)
        log.exception("The pull of %s failed.", name)
    else:
        status = pull_statuses[name]._replace(is_running=False)
        pull_statuses[name] = ended_pulls[name] = status
        log.info("Pulled %s: %s.", name, pull_statuses[name].message)
