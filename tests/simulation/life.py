"""Random days: each step happens to Rollcall and to the model, which must agree after it."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

from data import formatting
from data.files.naming import SnapshotFile
from data.home import Home
from data.inbox.actions import dismiss_file, requeue_file, withdraw_snapshot
from data.inbox.inbox import load_failures, load_inbox, put_into_inbox
from data.service.rebuild import load_missing, open_or_rebuild, rebuild
from data.store.engine import close_store
from data.store.errors import StoreError
from simulation.checks import (
    Disagreement,
    Snapshot,
    agree,
    check_changes,
    check_everything,
    check_findings,
    check_inquiry,
    loaded_snapshots,
)
from simulation.decisions import DECISIONS, name_owner
from simulation.facts import Accounts
from simulation.hazards import Hazard, Hazards, Killed
from simulation.model import Model
from simulation.nonsense import link, tear
from simulation.questions import NOTED, Inquiry, any_inquiry, noted_at
from simulation.step import Step
from simulation.world import APPS, File, World

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""A folder that waits for no disk: the hazards end a process, not its machine."""

MAX_STEPS = 80
"""A hazard is planned before one of so many statements; a delivery has about as many."""

MAX_FILE_STEPS = 3
"""Or before one of so many steps of files, which are few between many statements."""

HAZARDS: tuple[Hazard, ...] = ("kill", "full disk")
SERVER_HAZARDS: tuple[Hazard, ...] = (*HAZARDS, "lost connection")
HAZARD_SHARE, RISKY_SHARE = 0.2, 0.6  # of the steps
QUIET_SHARE = 0.3  # of the days, which another one follows without a step
FEW_SNAPSHOTS = 6
EMPTY_SHARE = 0.1  # of the days, on which an app loses all of its snapshots


class Held(NamedTuple):
    """A file on hold."""

    accounts: Accounts
    counts: tuple[int, int, int]
    name: str  # in the folder of its integration


class Clock(datetime):
    """The product's clock, which the simulator sets."""

    moment = datetime(2026, 1, 1)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        """The moment; each question takes a microsecond."""
        cls.moment += timedelta(microseconds=1)
        return cls.moment.replace(tzinfo=UTC).astimezone(tz)


class Life:
    """One Rollcall, its world and its model, from one seed."""

    def __init__(self, seed: int, root: Path, hazards: Hazards) -> None:
        self.chance, self.hazards = random.Random(seed), hazards
        self.world, self.model = World(self.chance), Model()
        self.home, self.drafts = Home(root / "home"), root / "drafts"
        for folder in (self.home.inbox, self.drafts):
            folder.mkdir(parents=True)
        self.loaded: dict[Snapshot, tuple[File, tuple[int, int, int]]] = {}
        self.held: dict[Snapshot, Held] = {}
        self.inquiries: list[Inquiry] = []
        self.story: list[str] = []
        self.days = 0
        self.engine = open_or_rebuild(self.home, _nothing)
        is_server = self.engine.dialect.name == "postgresql"
        self.possible = SERVER_HAZARDS if is_server else HAZARDS
        agree("the database is empty", loaded_snapshots(self.engine), {})

    # ---- days ------------------------------------------------------------------------------------

    def live_a_day(self) -> None:
        """A delivery and something else; then questions about all that is known."""
        self.days += 1
        self.world.pass_time()
        self.model.now = self.world.now
        app = self.chance.choices([*APPS], [*APPS.values()])[0]  # the small one comes and goes
        self.world.live(app)
        kinds, weights = zip(*KINDS.items(), strict=True)
        plans = [deliver, *self.chance.choices(kinds, weights)]
        for plan in plans:
            if step := plan(self, app):
                self._live_through(step)
        if self.model.lists and self.chance.random() < EMPTY_SHARE:
            self._empty_an_app()
        # What was asked yesterday is asked again: an answer that was kept must not outlive a load.
        self.inquiries = [*self.inquiries[-1:], any_inquiry(self.chance, self.model)]
        with mock.patch.object(formatting, "datetime", Clock):
            self._ask(self.inquiries)
            if decided := self.model.decided_moments():  # a decision begins and ends to the second
                self._ask([noted_at(self.chance.choice(decided))])
            check_changes(self.engine, self.model, self.chance)
            check_findings(self.engine, self.model, self.chance)
            if self.chance.random() < QUIET_SHARE:  # nor a last day
                self._ask([NOTED])
                self.world.pass_time()
                self._ask([NOTED, *self.inquiries])

    def _empty_an_app(self) -> None:
        """An app of few snapshots loses them all, and comes back: what was decided is still so."""
        accounts, lists = self.model.accounts(), self.model.lists
        ownerless = {key[0] for key, facts in accounts.items() if not facts.is_matched}
        can_be_named = [app for app in ownerless if len(lists[app]) <= FEW_SNAPSHOTS]
        app = min(can_be_named or lists, key=lambda app: (len(lists[app]), app))
        removals = [remove_first] * len(lists[app])
        for plan in (name_owner, *removals, deliver):
            if step := plan(self, app):
                self._live_through(step)

    def _ask(self, inquiries: list[Inquiry]) -> None:
        Clock.moment = self.model.now = self.world.now
        for inquiry in inquiries:
            check_inquiry(self.engine, self.model, inquiry)

    def _live_through(self, step: Step) -> None:
        """Take the step. After a kill, the store is as before or as after; it is then finished."""
        jump = timedelta(days=self.chance.choice((0, 0, 0, 0, -400, 400)))
        Clock.moment = self.world.now + jump
        share = RISKY_SHARE if step.is_risky else HAZARD_SHARE
        hazard = self.chance.choice(self.possible) if self.chance.random() < share else None
        self.story.append(f"{self.world.now} {step.words}{f', {hazard}' if hazard else ''}")
        before = {key: counts for key, (_, counts) in self.loaded.items()}
        with mock.patch.object(formatting, "datetime", Clock):
            is_finished = self._try(step, hazard)
            is_removed = step.is_risky and not is_finished and self._shows(before) is False
            after_kill = None if is_finished else self.restart()
            if is_removed and after_kill == before:
                raise Disagreement("a removal that was seen is taken back")
            if not is_finished:
                load_failures.clear()
                step.act()
        step.then()
        after = {key: counts for key, (_, counts) in self.loaded.items()}
        if after_kill not in (None, before, after):
            agree("snapshots after a restart", after_kill, after)
        agree("snapshots", loaded_snapshots(self.engine), after)
        agree("the inbox", [path for path in self.home.inbox.rglob("*") if path.is_file()], [])
        names = {(app, held.name) for (app, _), held in self.held.items()}
        agree("files on hold", _names(self.home.on_hold), names)
        agree("the archive", _contents(self.home.archive), self._archived())
        check_everything(self.engine, self.model, self.chance)

    def _try(self, step: Step, hazard: Hazard | None) -> bool:
        """Whether the step came to its end."""
        is_at_file = self.chance.random() < (0.9 if step.is_risky else 0.5)
        steps = self.chance.randint(0, MAX_FILE_STEPS if is_at_file else MAX_STEPS)
        self.hazards.plan(hazard, steps, is_at_file=is_at_file)
        try:
            step.act()
        except Killed:
            return False
        except (OSError, StoreError):
            if hazard is None:
                raise
            return False
        finally:
            is_hit = self.hazards.is_hit
            self.hazards.plan(None)
        return not is_hit

    def _shows(self, snapshots: dict[Snapshot, tuple[int, int, int]]) -> bool:
        """Whether a reader would see these snapshots now."""
        return loaded_snapshots(self.engine) == snapshots

    def restart(self) -> dict[Snapshot, tuple[int, int, int]]:
        """What a new process does, and the snapshots that it finds."""
        close_store(self.home.database_url)
        load_failures.clear()
        self.engine = open_or_rebuild(self.home, _nothing)
        agree("the archive loads", load_missing(self.engine, self.home, _nothing), [])
        load_inbox(self.engine, self.home)
        return loaded_snapshots(self.engine)

    def _archived(self) -> set[tuple[str, bytes]]:
        return {(integration, file.content) for (integration, _), (file, _) in self.loaded.items()}

    # ---- files -----------------------------------------------------------------------------------

    def send(
        self, app: str, at: datetime, file: File, words: str, *, replace: bool = False
    ) -> Step:
        """The step of a file that comes by the inbox."""
        counts = len(file.accounts), file.rejected, file.merged
        is_held = self.model.must_be_confirmed(app, at, file.accounts)

        def act() -> None:
            draft = self.drafts / f"{at:%Y-%m-%dT%H-%M-%SZ}.{file.ending}"
            draft.write_bytes(file.content)
            put_into_inbox(self.home, SnapshotFile(draft, app, at), replace=replace)
            load_inbox(self.engine, self.home)

        def then() -> None:
            if is_held:
                name = f"{'replace~' if replace else ''}{at:%Y-%m-%dT%H-%M-%SZ}.{file.ending}"
                self.held[app, at] = Held(file.accounts, counts, name)
                agree(f"{app}/{name} is on hold", (self.home.on_hold / app / name).exists(), True)
            else:
                self.take(app, at, file, counts)

        return Step(f"{words} of {app} at {at}{', held' if is_held else ''}", act, then)

    def take(self, app: str, at: datetime, file: File, counts: tuple[int, int, int]) -> None:
        """A file is loaded; files on hold for the same moment make way."""
        self.model.take(app, at, file.accounts)
        self.loaded[app, at] = file, counts
        self.held.pop((app, at), None)

    def any_loaded(self) -> Snapshot | None:
        """One of the snapshots."""
        return self.chance.choice(sorted(self.loaded)) if self.loaded else None


def _nothing(*_: object) -> None:
    """The model does not change, and nobody watches."""


def _names(folder: Path) -> set[tuple[str, str]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(path.parent.name, path.name) for path in files if path.suffix != ".txt"}


def _contents(folder: Path) -> set[tuple[str, bytes]]:
    return {(path.parent.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


# ---- kinds of steps ------------------------------------------------------------------------------


def deliver(life: Life, app: str) -> Step:
    """The list of today, or half of it."""
    is_short = life.chance.random() < 0.1
    accounts = life.world.shrink(app) if is_short else life.world.apps[app]
    file = life.world.file(accounts)
    return life.send(app, life.world.now, file, "a short list" if is_short else "a list")


def deliver_late(life: Life, app: str) -> Step | None:
    """A list of an earlier moment arrives."""
    moments = life.model.moments(app)
    if not moments:
        return None
    seconds = int((life.world.now - moments[0]).total_seconds()) + 90_000
    at = life.world.now - timedelta(seconds=life.chance.randint(1, seconds))
    if (app, at) in life.loaded or (app, at) in life.held:
        return None
    return life.send(app, at, _changed_list(life, app, at), "a late list")


def deliver_again(life: Life, app: str) -> Step | None:
    """A file that is loaded already."""
    if not (chosen := life.any_loaded()):
        return None
    step = life.send(*chosen, life.loaded[chosen][0], "the same list")
    return step._replace(then=_nothing)


def replace(life: Life, app: str) -> Step | None:
    """Another list of a moment that is loaded."""
    if not (chosen := life.any_loaded()):
        return None
    file = _changed_list(life, *chosen)
    return life.send(*chosen, file, "another list", replace=True)


def supersede(life: Life, app: str) -> Step | None:
    """A list that can be loaded arrives for a moment whose file is on hold."""
    if not life.held:
        return None
    chosen = life.chance.choice(sorted(life.held))
    file = _changed_list(life, *chosen)
    if life.model.must_be_confirmed(*chosen, file.accounts):
        return None
    return life.send(*chosen, file, "a better list", replace=chosen in life.loaded)


def _changed_list(life: Life, app: str, at: datetime) -> File:
    accounts = dict(life.model.previous(app, at) or life.world.apps[app])
    life.world.apps["past"] = accounts
    life.world.live("past", share=0.3)
    return life.world.file(life.world.apps.pop("past"))


def remove(life: Life, app: str) -> Step | None:
    """A person removes a snapshot."""
    return _removal(life, chosen) if (chosen := life.any_loaded()) else None


def remove_first(life: Life, app: str) -> Step:
    """A person removes the first snapshot of the app."""
    return _removal(life, (app, life.model.moments(app)[0]))


def _removal(life: Life, chosen: Snapshot) -> Step:
    def then() -> None:
        life.model.remove(*chosen)
        del life.loaded[chosen]

    act = lambda: withdraw_snapshot(life.engine, life.home, *chosen)  # noqa: E731
    return Step(f"{chosen[0]} at {chosen[1]} is removed", act, then, is_risky=True)


def confirm(life: Life, app: str) -> Step | None:
    """A person loads a file that is on hold."""
    if not life.held:
        return None
    (integration, at), held = life.chance.choice(sorted(life.held.items()))
    path = life.home.on_hold / integration / held.name
    file = File(path.read_bytes(), path.suffix[1:], held.accounts, *held.counts[1:])

    def act() -> None:
        with suppress(FileNotFoundError):
            requeue_file(life.engine, life.home, "on hold", integration, held.name, confirmed=True)
        load_inbox(life.engine, life.home)

    return Step(
        f"{integration}/{held.name} is confirmed",
        act,
        lambda: life.take(integration, at, file, held.counts),
    )


def dismiss(life: Life, app: str) -> Step | None:
    """A person rejects a file that is on hold."""
    if not life.held:
        return None
    (integration, at), held = life.chance.choice(sorted(life.held.items()))

    def act() -> None:
        with suppress(FileNotFoundError):
            dismiss_file(life.engine, life.home, "on hold", integration, held.name)

    return Step(
        f"{integration}/{held.name} is dismissed", act, lambda: life.held.pop((integration, at))
    )


def restart(life: Life, app: str) -> Step:
    """The process ends, and another one begins."""
    return Step("a restart", life.restart, _nothing)


def build_again(life: Life, app: str) -> Step:
    """The store is rebuilt from the archive."""

    def act() -> None:
        close_store(life.home.database_url)
        try:
            rebuild(life.home, _nothing)
        finally:
            if not life.hazards.is_dead:
                life.engine = open_or_rebuild(life.home, _nothing)

    return Step("a rebuild", act, _nothing)


KINDS: dict[Callable[[Life, str], Step | None], int] = {
    deliver_late: 8,
    deliver_again: 4,
    replace: 8,
    remove: 5,
    supersede: 3,
    confirm: 8,
    dismiss: 3,
    tear: 3,
    link: 2,
    **DECISIONS,
    restart: 3,
    build_again: 1,
}
"""Kind of step → how often it happens, beside the others."""


def simulate(seed: int, days: int, seconds: float = math.inf, *, database: str = "") -> int:
    """Live so many days, or as many as there is time for. Returns how many days that were.

    In an empty PostgreSQL database, or in a DuckDB file of its own.

    Raises Disagreement, with the seed and what happened last.
    """
    end, hazards = time.monotonic() + seconds, Hazards()
    with (
        TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as root,
        mock.patch.dict(os.environ, ROLLCALL_HOME=f"{root}/home", ROLLCALL_DATABASE_URL=database),
        hazards.installed(),
    ):
        life = Life(seed, Path(root), hazards)
        try:
            while life.days < days and time.monotonic() < end:
                life.live_a_day()
        except Exception as error:
            story = "\n  ".join(life.story[-12:])
            raise Disagreement(
                f"{error}\nSeed {seed}, day {life.days}. What happened last:\n  {story}"
            ) from error
        finally:
            hazards.plan(None)
            close_store(life.home.database_url)
    return life.days
