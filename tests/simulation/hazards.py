"""What can go wrong between any two statements: a kill, a full disk, a lost connection."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection, event

FILE_STEPS = ((os, "rename"), (os, "replace"), (os, "unlink"), (shutil, "copyfile"))
Hazard = Literal["kill", "full disk", "lost connection"]


class Killed(BaseException):
    """The process is dead: no `except Exception` and no `finally` of it can do anything."""


class Hazards:
    """Counts the statements and file steps of the product, and ends one of them."""

    def __init__(self) -> None:
        self.hazard: Hazard | None = None
        self.steps_left = 0
        self.is_at_file = self.is_dead = self.is_hit = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch all engines, and the functions that move files."""
        originals = [(module, name, getattr(module, name)) for module, name in FILE_STEPS]
        listeners = (
            ("before_cursor_execute", self._before_statement),
            ("commit", self._before_statement),
            ("do_connect", _use_one_thread),
        )
        for name, listener in listeners:
            event.listen(sa.Engine, name, listener)
        for module, name, original in originals:
            setattr(module, name, self._watched(original))
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(sa.Engine, name, listener)
            for module, name, original in originals:
                setattr(module, name, original)

    def plan(self, hazard: Hazard | None, steps: int = 0, *, is_at_file: bool = False) -> None:
        """Let it happen after so many steps, or steps of files; None: let nothing happen."""
        self.hazard, self.steps_left, self.is_at_file = hazard, steps, is_at_file
        self.is_dead = self.is_hit = False

    def _before_statement(self, con: Connection, *_: Any) -> None:
        self._step(is_file=False)
        if self.hazard == "lost connection" and self.steps_left < 0:
            self.hazard, self.is_hit = None, True
            _end_connection(con)

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self._step(is_file=True)
            return original(*arguments, **options)

        return step

    def _step(self, *, is_file: bool) -> None:
        if self.is_dead:
            raise Killed
        self.steps_left -= is_file or not self.is_at_file
        if self.hazard == "kill" and self.steps_left < 0:
            self.is_dead = self.is_hit = True
            raise Killed
        if self.hazard == "full disk" and self.steps_left < 0 and is_file:
            self.hazard, self.is_hit = None, True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _end_connection(con: Connection) -> None:
    """What the server does as it goes down."""
    address = con.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    driver: Any = con.connection.driver_connection
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [driver.info.backend_pid])


def _use_one_thread(dialect: sa.Dialect, _: object, __: object, options: dict[str, Any]) -> None:
    """A second thread has nothing to do in a table of 40 rows, and takes a fifth more time."""
    if dialect.name == "duckdb":
        options["config"] = {**options["config"], "threads": 1}
