"""Files that list no accounts: cut off, or links to what is outside of the home."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from data.inbox.inbox import load_inbox
from simulation.checks import agree
from simulation.step import Step

if TYPE_CHECKING:
    from simulation.life import Life


def tear(life: Life, app: str) -> Step:
    """A file that was cut off in the middle."""
    file = life.world.file(life.world.apps[app])
    records = json.dumps([{"username_in_app": name, "x": "y" * 50} for name in file.accounts])
    whole = life.chance.choice(
        ((records.encode(), "json"), (gzip.compress(file.content), "csv.gz"))
    )
    content = whole[0][: len(whole[0]) * 2 // 3]
    return _send_nonsense(
        life, app, whole[1], lambda path: path.write_bytes(content), "a torn file"
    )


def link(life: Life, app: str) -> Step:
    """A link to a file outside of the home."""
    outside = life.drafts / "outside.csv"
    outside.write_text("Username in app\nmallory\n")
    return _send_nonsense(life, app, "csv", lambda path: path.symlink_to(outside), "a link")


def _send_nonsense(
    life: Life, app: str, ending: str, write: Callable[[Path], object], words: str
) -> Step:
    path = life.home.inbox / app / f"{life.world.now:%Y-%m-%dT%H-%M-%S}Z.{ending}"
    if (app, life.world.now) in life.loaded:  # today's list has come
        path = path.with_name(f"{life.world.now + timedelta(hours=1):%Y-%m-%dT%H-%M-%S}Z.{ending}")

    def act() -> None:
        if not path.is_symlink() and not path.exists() and not _is_rejected(life, path):
            path.parent.mkdir(exist_ok=True)
            write(path)
            with suppress(NotImplementedError):
                _make_old(path)
        load_inbox(life.engine, life.home)

    def then() -> None:
        agree(f"{words} is rejected", _is_rejected(life, path), True)

    return Step(f"{words} of {app}", act, then)


def _is_rejected(life: Life, path: Path) -> bool:
    target = life.home.rejected / path.parent.name / f"{path.name}.reason.txt"
    return target.exists() and not path.is_symlink() and not path.exists()


def _make_old(path: Path) -> None:
    os.utime(path, (0, 0), follow_symlinks=False)
