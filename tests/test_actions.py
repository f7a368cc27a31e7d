"""A kill while a person's decision about a file is carried out: it is done, or not begun."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from sqlalchemy import Engine, select

from data.home import Home
from data.inbox.actions import dismiss_file, requeue_file, withdraw_snapshot
from data.inbox.inbox import load_inbox
from data.records.tables import quarantined_file
from data.schema import snapshot
from data.service.rebuild import load_missing
from data.store.engine import close_store, open_store

NAMES = {at: f"{at:%Y-%m-%dT%H-%M-%SZ}.ndjson" for at in (YESTERDAY, TODAY)}
HELD = NAMES[TODAY]


class Killed(BaseException):
    """What no error handling of the app catches, as it does not catch signal 9."""


@contextmanager
def killed_before_change(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """The process ends before it renames or deletes a file for the nth time."""
    changes = itertools.count(1)

    def guarded(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_die(*paths: Any, **options: Any) -> Any:
            if next(changes) == number:
                raise Killed
            return change(*paths, **options)

        return change_or_die

    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "unlink"):
            patched.setattr(os, name, guarded(getattr(os, name)))
        yield


def withdraw(store: Engine, home: Home) -> None:
    withdraw_snapshot(store, home, "figma", YESTERDAY)


def confirm(store: Engine, home: Home) -> None:
    requeue_file(store, home, "on hold", "figma", HELD, confirmed=True)


def dismiss(store: Engine, home: Home) -> None:
    dismiss_file(store, home, "on hold", "figma", HELD)


def names_in(*folders: Path) -> set[str]:
    return {path.name for folder in folders for path in folder.rglob("*.ndjson")}


def load_settled(store: Engine, home: Home) -> None:
    for path in home.inbox.rglob("*.ndjson"):
        os.utime(path, (0, 0))
    load_inbox(store, home)


def start_again(store: Engine, home: Home) -> tuple[set[str], set[str]]:
    """What is loaded and what is on hold after the next start; store and folders agree."""
    assert load_missing(store, home, lambda *_: None) == []
    load_settled(store, home)
    with store.connect() as con:
        loaded = {NAMES[row.taken_at] for row in con.execute(select(snapshot))}
        noted = {row.file_name for row in con.execute(select(quarantined_file))}
    assert loaded == names_in(home.archive)
    assert noted == names_in(home.on_hold, home.rejected)
    assert loaded | noted | names_in(home.removed) == set(NAMES.values()), "a file was lost"
    assert not (home.root / ".action").exists()
    return loaded, noted


@pytest.mark.parametrize(
    ("act", "loaded", "on_hold"),
    [
        (withdraw, set(), {HELD}),
        (confirm, set(NAMES.values()), set()),
        (dismiss, {NAMES[YESTERDAY]}, set()),
    ],
)
def test_a_decision_is_carried_out_or_not_begun_whenever_a_kill_comes(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Engine, Home], None],
    loaded: set[str],
    on_hold: set[str],
) -> None:
    ten = [an_account(f"user{n}") for n in range(10)]
    a_snapshot_file(home.inbox, ten, at=YESTERDAY)
    a_snapshot_file(home.inbox, ten[:2], at=TODAY)
    load_settled(open_store(home.database_url), home)
    close_store(home.database_url)
    for number in itertools.count(1):
        again = Home(home.root.with_name(f"killed-{number}"))
        shutil.copytree(home.root, again.root)
        store, was_killed = open_store(again.database_url), False
        try:
            with killed_before_change(monkeypatch, number):
                act(store, again)
        except Killed:
            was_killed = True
        was_begun = (again.root / ".action").exists() or not was_killed
        outcome = start_again(store, again)
        assert outcome == ((loaded, on_hold) if was_begun else ({NAMES[YESTERDAY]}, {HELD}))
        close_store(again.database_url)
        if not was_killed:
            break
    assert number > 3, "kills came between all steps"
