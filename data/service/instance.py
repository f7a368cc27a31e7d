"""Records which app serves a home, so that another process can name its address."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from data.home import Home
from data.tempfiles import write_atomically


class Instance(NamedTuple):
    """A running app."""

    pid: int
    address: str


def register_instance(home: Home, address: str) -> None:
    """Record that this process serves the home."""
    content = json.dumps({"pid": os.getpid(), "address": address})
    with write_atomically(_instance_file(home)) as partial:
        partial.write_text(content, encoding="utf-8")


def unregister_instance(home: Home) -> None:
    """Record that this process no longer serves the home."""
    instance = running_instance(home)
    if instance and instance.pid == os.getpid():
        _instance_file(home).unlink(missing_ok=True)


def running_instance(home: Home) -> Instance | None:
    """The app that serves the home. None where no such process is alive."""
    try:
        content = json.loads(_instance_file(home).read_text(encoding="utf-8"))
        instance = Instance(int(content["pid"]), str(content["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return instance if _is_alive(instance.pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # the process of another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _instance_file(home: Home) -> Path:
    return home.root / "serving.json"
