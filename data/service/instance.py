"""Who serves a home, for another process that finds the store in use: where to go instead."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from data.home import Home


class Server(NamedTuple):
    """A running app."""

    process: int
    address: str


def announce(home: Home, address: str) -> None:
    """Write down that this process serves the home; the file is never seen half written."""
    partial = _file(home).with_suffix(".part")
    partial.write_text(json.dumps({"pid": os.getpid(), "address": address}), encoding="utf-8")
    partial.replace(_file(home))


def withdraw(home: Home) -> None:
    """This process serves the home no more."""
    found = server_of(home)
    if found and found.process == os.getpid():
        _file(home).unlink(missing_ok=True)


def server_of(home: Home) -> Server | None:
    """The app that serves the home; None where none does, or none that is still alive."""
    try:
        said = json.loads(_file(home).read_text(encoding="utf-8"))
        found = Server(int(said["pid"]), str(said["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if _is_alive(found.process) else None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, OverflowError):
        return False
    return True


def _file(home: Home) -> Path:
    return home.root / "serving.json"
