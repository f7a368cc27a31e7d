"""The one app that serves a home keeps its store: open, whole and up to date with the inbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from sqlalchemy import Engine

from data.home import Home
from data.inbox.inbox import INBOX_POLL_SECONDS, load_failures, load_inbox
from data.inbox.schedule import run_scheduler
from data.records.audit_log import flush_pending
from data.service.active_store import StoreStatus, prepare_sample, set_store_status, store_status
from data.service.backup import make_requested_copy
from data.service.instance import register_instance, running_instance, unregister_instance
from data.service.rebuild import load_missing, open_or_rebuild
from data.store.engine import restrict_file_access
from data.store.errors import DiskFull, StoreError, StoreInUse

log = logging.getLogger("rollcall")

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that a pull gets to see that it is to stop; it leaves nothing behind anyway."""


@contextmanager
def run_keeper(home: Home, address: str) -> Iterator[None]:
    """Keep the store of the home for the length of the block; `address` is where it is shown."""
    stop = Event()
    set_store_status(home, StoreStatus("opening", "Opening the store …"))
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
    """Whatever goes wrong is told, and tried again: another process ends, a disk gets room."""
    keeper = _Keeper(home, address)
    while not stop.is_set():
        try:
            keeper.run_once()
        except StoreInUse as error:
            set_store_status(home, in_use_status(home, error))
        except StoreError as error:
            set_store_status(home, StoreStatus("failed", str(error)))
        except OSError as error:  # a folder that is read-only, a full disk
            set_store_status(
                home, StoreStatus("failed", f"{error.filename or home.root}: {error.strerror}.")
            )
        except Exception:
            log.exception("The store cannot be kept.")
            set_store_status(
                home, StoreStatus("failed", "Something went wrong; the log tells what.")
            )
        stop.wait(INBOX_POLL_SECONDS)


@dataclass
class _Keeper:
    home: Home
    address: str
    engine: Engine | None = None
    problem: str = ""
    sample_thread: Thread | None = None

    def run_once(self) -> None:
        """Have the store open and whole; load what waits in the inbox."""
        engine = open_or_rebuild(self.home, self._report_progress)
        if engine is not self.engine:
            register_instance(self.home, self.address)
            errors = load_missing(engine, self.home, self._report_progress)
            self.engine, self.problem = engine, _describe_errors(errors)
        stuck_reasons = [trouble.reason for trouble in load_failures.values()]
        set_store_status(
            self.home,
            StoreStatus("open", " ".join(filter(None, (self.problem, *stuck_reasons[:1])))),
        )
        self._ensure_sample()
        with suppress(DiskFull):  # what was written down lies in its file until there is room
            flush_pending(engine, self.home)
        load_inbox(engine, self.home)
        make_requested_copy(engine, self.home)

    def _report_progress(self, done: int, total: int, message: str) -> None:
        if not done:
            register_instance(self.home, self.address)
            self.problem = message
        set_store_status(self.home, StoreStatus("rebuilding", self.problem, done, total))

    def _ensure_sample(self) -> None:
        """Have it made, beside the loading; again where that was cut short."""
        if self.sample_thread and (
            self.sample_thread.is_alive() or store_status(self.home).is_open
        ):
            return
        self.sample_thread = Thread(
            target=_make_sample, args=(self.home,), name="sample", daemon=True
        )
        self.sample_thread.start()


def _make_sample(home: Home) -> None:
    try:
        prepare_sample(home)
    except (StoreError, OSError) as error:
        log.warning("The sample data could not be made: %s", error)


def in_use_status(home: Home, error: StoreInUse) -> StoreStatus:
    """Who has the store open, in words, and where to find it."""
    instance = running_instance(home)
    if instance and error.pid in (None, instance.pid):
        message = (
            f"Another Rollcall (process {instance.pid}) has the data in {home.root} open. "
            "This one shows it as soon as the other has ended."
        )
        return StoreStatus("in use", message, address=instance.address)
    process = f" (process {error.pid})" if error.pid else ""
    message = (
        f"A command{process} has the data in {home.root} open. It is shown when that has ended."
    )
    return StoreStatus("in use", message)


def _describe_errors(errors: list[str]) -> str:
    """What `complete` could not load."""
    if not errors:
        return ""
    return (
        f"{len(errors):,} files of the archive cannot be loaded, and their snapshots are missing "
        f"here. {errors[0]} Move them out of the archive to go on without them."
    )
