"""Keeps the store of a home open, complete and up to date with the inbox."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

import sqlalchemy as sa

from data.access.claims import ConfigError
from data.formatting import count_of
from data.home import Home, make_home_private
from data.inbox.inbox import INBOX_POLL_SECONDS, load_failures, load_inbox
from data.inbox.schedule import record_ended_pulls, restore_failed_pulls, run_scheduler
from data.records.audit_log import flush_pending
from data.secrets_file import secrets_path
from data.service.active_store import (
    StoreStatus,
    active_store,
    set_store_status,
)
from data.service.backup import make_requested_copy
from data.service.instance import register_instance, running_instance, unregister_instance
from data.service.rebuild import load_missing, open_or_rebuild
from data.service.retention import delete_expired, read_retention
from data.service.sample import prepare_sample
from data.store.engine import restrict_file_access
from data.store.errors import (
    DiskFull,
    StoreError,
    StoreInUse,
    StoreUnreachable,
    is_full_disk,
)

log = logging.getLogger("rollcall")

SHUTDOWN_TIMEOUT = 5.0
"""Seconds for a pull to stop. A pull that is killed leaves nothing behind."""

RETENTION_SECONDS = 24 * 3600
"""Seconds between two looks at what is too old; the first one is at the start."""


@contextmanager
def run_keeper(home: Home, address: str) -> Iterator[None]:
    """Run the keeper for the length of the block. `address` is the address of the app."""
    stop = Event()
    make_home_private(home)
    opening = StoreStatus("opening", "Opening the store …", outage="It does not open.")
    set_store_status(home, opening)
    keeper = Thread(target=_keep_until_stopped, args=(home, address, stop), name="keeper")
    puller = Thread(target=run_scheduler, args=(home, stop), name="puller", daemon=True)
    with restrict_file_access(home.root):
        keeper.start()
        puller.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()
            puller.join(SHUTDOWN_TIMEOUT)
            unregister_instance(home)


def _keep_until_stopped(home: Home, address: str, stop: Event) -> None:
    """Report every error and try again: another process may end, a disk may get space."""
    keeper = Keeper(home, address)
    while not stop.is_set():
        try:
            keeper.run_once()
        except StoreInUse as error:
            set_store_status(home, in_use_status(home, error))
        except StoreError as error:
            set_store_status(home, StoreStatus("failed", str(error), outage=error.summary))
        except OSError as error:  # a read-only folder or a full disk
            message = f"{error.filename or home.root}: {error.strerror}."
            outage = (DiskFull if is_full_disk(error) else StoreUnreachable).summary
            set_store_status(home, StoreStatus("failed", message, outage=outage))
        except Exception:
            log.exception("The keeper failed.")
            message = "Something went wrong. The log says what."
            set_store_status(home, StoreStatus("failed", message, outage=StoreError.summary))
        stop.wait(INBOX_POLL_SECONDS)


@dataclass
class Keeper:
    """The one thread that writes into the store."""

    home: Home
    address: str
    engine: sa.Engine | None = None
    problem: str = ""
    sample_thread: Thread | None = None
    retention_due: float = 0

    def run_once(self) -> None:
        """Open and complete the store, then load the inbox."""
        engine = open_or_rebuild(self.home, self._report_progress)
        if engine is not self.engine:
            register_instance(self.home, self.address)
            errors = load_missing(engine, self.home, self._report_progress)
            restore_failed_pulls(engine)
            self.engine, self.problem = engine, _describe_errors(errors)
        troubles = [*load_failures.values()]
        message = " ".join(filter(None, (self.problem, *(t.reason for t in troubles[:1]))))
        outage = DiskFull.summary if any(t.is_disk_full for t in troubles) else ""
        set_store_status(self.home, StoreStatus("open", message, outage=outage))
        self._ensure_sample()
        with suppress(DiskFull):  # the events stay in their file until there is space
            flush_pending(engine, self.home)
            record_ended_pulls(engine)
        load_inbox(engine, self.home)
        self._load_sample_inbox()
        make_requested_copy(engine, self.home)
        self._apply_retention(engine)

    def _apply_retention(self, engine: sa.Engine) -> None:
        """Once a day; again soon where the disk is full.

        The start has checked the settings; a wrong one that somebody writes later is logged.
        """
        if time.monotonic() < self.retention_due:
            return
        try:
            delete_expired(engine, self.home, read_retention(secrets_path()))
        except ConfigError as error:
            log.error("Nothing is deleted: %s", error)
        except DiskFull:
            return
        self.retention_due = time.monotonic() + RETENTION_SECONDS

    def _report_progress(self, done: int, total: int, message: str) -> None:
        if not done:
            register_instance(self.home, self.address)
            self.problem = message
        set_store_status(self.home, StoreStatus("rebuilding", self.problem, done, total))

    def _load_sample_inbox(self) -> None:
        """Load what a person has confirmed; nothing else gets there."""
        active = active_store(self.home)
        if active.is_sample:
            load_inbox(active.engine, active.home)

    def _ensure_sample(self) -> None:
        """Create the sample in a thread, again if an earlier one did not finish."""
        if self.sample_thread and self.sample_thread.is_alive():
            return
        if self.sample_thread and not active_store(self.home).missing_snapshots:
            return
        self.sample_thread = Thread(
            target=_make_sample, args=(self.home,), name="sample", daemon=True
        )
        self.sample_thread.start()


def _make_sample(home: Home) -> None:
    try:
        prepare_sample(home)
    except (StoreError, OSError) as error:
        log.warning("The sample data could not be created: %s", error)


def in_use_status(home: Home, error: StoreInUse) -> StoreStatus:
    """Which process has the store open, and its address if it is an app."""
    instance = running_instance(home)
    if instance and error.pid in (None, instance.pid):
        message = (
            f"Another Rollcall (process {instance.pid}) is using the data in {home.root}. "
            "This one shows the data as soon as the other one ends."
        )
        return StoreStatus("in use", message, address=instance.address)
    process = f" (process {error.pid})" if error.pid else ""
    message = (
        f"A command{process} is using the data in {home.root}. The data is shown when it ends."
    )
    return StoreStatus("in use", message, outage=error.summary)


def _describe_errors(errors: list[str]) -> str:
    """The snapshots that could not be loaded, as a message."""
    if not errors:
        return ""
    return (
        f"{count_of(len(errors), 'file')} of the archive cannot be loaded, so snapshots are "
        f"missing. {errors[0]} To continue without them, move them out of the archive."
    )
