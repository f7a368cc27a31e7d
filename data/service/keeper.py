"""The one app that serves a home keeps its store: open, whole and up to date with the inbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from sqlalchemy import Engine

from data.home import Home
from data.inbox.inbox import LOOKED_AT_EVERY, load_waiting, troubles
from data.inbox.schedule import keep_pulling
from data.records.audit_log import settle
from data.service.backup import hold_still_if_asked
from data.service.current import State, prepare_sample, state, tell
from data.service.instance import announce, server_of, withdraw
from data.service.rebuild import complete, opened
from data.store.engine import confined_to
from data.store.errors import NoRoom, StoreFault, StoreInUse

log = logging.getLogger("rollcall")

LONGEST_GOODBYE = 5.0
"""Seconds that a pull gets to see that it is to stop; it leaves nothing behind anyway."""


@contextmanager
def kept(home: Home, address: str) -> Iterator[None]:
    """Keep the store of the home for the length of the block; `address` is where it is shown."""
    stop = Event()
    tell(home, State("opening", "Opening the store …"))
    keeper = Thread(target=_keep, args=(home, address, stop), name="keeper")
    puller = Thread(target=keep_pulling, args=(home, stop), name="puller", daemon=True)
    with confined_to(home.root):
        keeper.start()
        puller.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()
            puller.join(LONGEST_GOODBYE)
            withdraw(home)


def _keep(home: Home, address: str, stop: Event) -> None:
    """Whatever goes wrong is told, and tried again: another process ends, a disk gets room."""
    keeper = _Keeper(home, address)
    while not stop.is_set():
        try:
            keeper.look()
        except StoreInUse as fault:
            tell(home, in_use(home, fault))
        except StoreFault as fault:
            tell(home, State("failed", str(fault)))
        except OSError as fault:  # a folder that is read-only, a full disk
            tell(home, State("failed", f"{fault.filename or home.root}: {fault.strerror}."))
        except Exception:
            log.exception("The store cannot be kept.")
            tell(home, State("failed", "Something went wrong; the log tells what."))
        stop.wait(LOOKED_AT_EVERY)


@dataclass
class _Keeper:
    home: Home
    address: str
    known: Engine | None = None
    amiss: str = ""
    sample: Thread | None = None

    def look(self) -> None:
        """Have the store open and whole; load what waits in the inbox."""
        engine = opened(self.home, self._tell_progress)
        if engine is not self.known:
            announce(self.home, self.address)
            lacking = complete(engine, self.home, self._tell_progress)
            self.known, self.amiss = engine, _in_words(lacking)
        stuck = [trouble.reason for trouble in troubles.values()]
        tell(self.home, State("open", " ".join(filter(None, (self.amiss, *stuck[:1])))))
        self._see_to_sample()
        with suppress(NoRoom):  # what was written down lies in its file until there is room
            settle(engine, self.home)
        load_waiting(engine, self.home)
        hold_still_if_asked(engine, self.home)

    def _tell_progress(self, done: int, of: int, words: str) -> None:
        if not done:
            announce(self.home, self.address)
            self.amiss = words
        tell(self.home, State("rebuilding", self.amiss, done, of))

    def _see_to_sample(self) -> None:
        """Have it made, beside the loading; again where that was cut short."""
        if self.sample and (self.sample.is_alive() or state(self.home).is_open):
            return
        self.sample = Thread(target=_make_sample, args=(self.home,), name="sample", daemon=True)
        self.sample.start()


def _make_sample(home: Home) -> None:
    try:
        prepare_sample(home)
    except (StoreFault, OSError) as fault:
        log.warning("The sample data could not be made: %s", fault)


def in_use(home: Home, fault: StoreInUse) -> State:
    """Who has the store open, in words, and where to find it."""
    server = server_of(home)
    if server and fault.process in (None, server.process):
        words = (
            f"Another Rollcall (process {server.process}) has the data in {home.root} open. "
            "This one shows it as soon as the other has ended."
        )
        return State("in use", words, address=server.address)
    process = f" (process {fault.process})" if fault.process else ""
    words = f"A command{process} has the data in {home.root} open. It is shown when that has ended."
    return State("in use", words)


def _in_words(lacking: list[str]) -> str:
    """What `complete` could not load."""
    if not lacking:
        return ""
    return (
        f"{len(lacking):,} files of the archive cannot be loaded, and their snapshots are missing "
        f"here. {lacking[0]} Move them out of the archive to go on without them."
    )
