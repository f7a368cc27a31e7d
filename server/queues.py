"""Who may use the store at the same time: few, in the order in which they came.

More at once finish nothing earlier, and downloads together need more memory than DuckDB may use.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event, Lock, local

import anyio

from data.store.errors import StoreBusy

RETRY_SECONDS = 30
"""What a busy answer tells a program to wait."""


class FairQueue:
    """Places that threads take in the order of their arrival."""

    def __init__(self, places: int, patience: float) -> None:
        self._free, self._patience = places, patience
        self._lock, self.waiting = Lock(), deque[Event]()
        self._thread = local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place; a thread that has one keeps it. Raises StoreBusy."""
        if getattr(self._thread, "has_place", False):
            yield
            return
        self._enter()
        self._thread.has_place = True
        try:
            yield
        finally:
            self._thread.has_place = False
            with self._lock:
                self._leave()

    def _enter(self) -> None:
        turn = Event()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            self.waiting.append(turn)
        if turn.wait(self._patience):
            return
        with self._lock:
            if turn.is_set():  # just now
                self._leave()
            else:
                self.waiting.remove(turn)
        raise StoreBusy

    def _leave(self) -> None:
        """Give the place to whoever waits longest."""
        if self.waiting:
            self.waiting.popleft().set()
        else:
            self._free += 1


PAGES = FairQueue(places=8, patience=60)
"""The queries of pages."""

MAX_DOWNLOADS = 2
DOWNLOAD_PATIENCE = 60
"""Seconds that a download waits for its turn."""


@asynccontextmanager
async def download_place(limiter: anyio.CapacityLimiter) -> AsyncIterator[None]:
    """Wait for the turn of a download, without a thread. Raises StoreBusy."""
    borrower = object()
    with anyio.move_on_after(DOWNLOAD_PATIENCE) as scope:
        await limiter.acquire_on_behalf_of(borrower)
    if scope.cancelled_caught:
        raise StoreBusy
    try:
        yield
    finally:
        limiter.release_on_behalf_of(borrower)
