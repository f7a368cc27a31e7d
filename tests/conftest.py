"""A real database per test, builders with defaults, and files as people deliver them."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import Deliveries
from copies import load_once, unless_patched
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine as hypothesis_engine
from sqlalchemy import Connection, Engine
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from thorough import FUZZ

from data.home import Home, current_home
from data.service.sample import prepare_sample
from data.store import engine
from data.store.duckdb import database_file
from data.store.engine import close_store, close_stores, open_store

pytest_plugins = ["browsing", "servers"]

gc.disable()  # until all is imported: see pytest_collection_finish

MEMORY = "/dev/shm"  # noqa: S108 - only the folder in which temporary folders are made
if os.access(MEMORY, os.W_OK):  # a store waits for the disk at each commit
    tempfile.tempdir = os.environ["TMPDIR"] = MEMORY

settings.register_profile(
    "suite",
    settings.get_profile("default"),
    max_examples=30,
    deadline=None,  # the machine's pace is not what is tested
    derandomize=FUZZ == 1,  # the same each time, as a check of a change should be
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase != Phase.explain],
)
settings.load_profile("suite")

if FUZZ == 1:  # small stores need a sixth less CPU; nights use all threads
    os.environ.setdefault("ROLLCALL_THREADS", "1")

hypothesis_engine.MAX_SHRINKING_SECONDS = 30  # not 5 minutes, for which it has no setting

# Each AppTest reads the metadata of all installed packages, which takes longer than a page.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def pytest_collection_finish() -> None:
    """Statements are trees of short-lived objects: with Python's own limits, a tenth of the time
    goes into looking for cycles among all that is imported."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 50)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time is waiting, for a browser above all."""
    return 1 + (os.cpu_count() or 1)


LONGEST = """
browser sign_in browser_snapshots accessibility browser_review browser_changes crashes proxy
history parity postgresql evidence review fuzz active_store dossier sources snapshots_page changes
loading_again simulation facets rounds vocabulary operations command_line pull
""".split()

DRAWS = "_hypothesis_internal_use_settings"
"""Where hypothesis keeps the settings of a test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: with one of them at the end, the other workers would wait.

    Those with a browser are next to each other, as they can share one.
    """
    place = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    tests = {item.function for item in items if isinstance(item, pytest.Function)}
    for test in tests:
        if own := getattr(test, DRAWS, None):
            setattr(test, DRAWS, settings(own, max_examples=FUZZ * own.max_examples))


@pytest.fixture(scope="session", autouse=True)
def new_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """Each is a copy of the same empty one, so that the same snapshots make the same file of it."""
    empty = tmp_path_factory.mktemp("empty") / "store.duckdb"
    open_store(f"duckdb:///{empty}")
    close_store(f"duckdb:///{empty}")
    opened = engine._open

    def open_copy(url: str) -> Engine:
        file = database_file(url)
        if file and file.parent.is_dir() and not file.exists():
            shutil.copyfile(empty, file)  # whom the file is open to is tested, too
        return opened(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_open", open_copy)
        yield opened


@pytest.fixture(scope="module")
def created_stores(new_stores: Callable[[str], Engine]) -> Iterator[None]:
    """For tests of damage and full disks: no new store is a copy, as those have free blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_open", new_stores)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Engine]:
    """An empty store in a DuckDB file of its own."""
    opened = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    yield opened
    opened.dispose()


@pytest.fixture
def con(store: Engine) -> Iterator[Connection]:
    """A reader of the store, who connects once a test asks something."""
    with store.connect() as con:
        con.invalidate()
        yield con


@pytest.fixture
def snapshots(store: Engine, tmp_path: Path) -> Deliveries:
    """Loads snapshots into the store: `snapshots.take(an_account(), at=YESTERDAY)`."""
    return Deliveries(store, tmp_path / "delivered")


@pytest.fixture(scope="module")
def a_store_to_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], Deliveries]]:
    """Makes stores that several tests share, because they only read them."""
    opened: list[Engine] = []

    def make() -> Deliveries:
        folder = tmp_path_factory.mktemp("store")
        opened.append(open_store(f"duckdb:///{folder}/store.duckdb"))
        return Deliveries(opened[-1], folder / "delivered")

    yield make
    for each in opened:
        each.dispose()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An installation of its own, without sample data."""
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROLLCALL_NO_SAMPLE", "1")
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    yield current_home()
    close_stores()


@pytest.fixture
def sample(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The same, which shows a small sample."""
    monkeypatch.delenv("ROLLCALL_NO_SAMPLE")
    monkeypatch.setattr("data.service.active_store.SAMPLE_DAYS", 2)
    monkeypatch.setattr("data.service.active_store.SAMPLE_INTEGRATIONS", 1)
    monkeypatch.setattr("data.service.sample.load", load_once)
    prepare_sample(home)
    return home


@pytest.fixture(autouse=True)
def loads_are_copied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where an earlier test delivered the same, unless this one replaces some of the code."""
    with unless_patched(monkeypatch):
        yield


@pytest.fixture(autouse=True)
def linked_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that a test runs alone can link to the others, as in the app."""
    pages: dict[str, Any] = {
        path.stem: {
            "page_script_hash": path.stem,
            "script_path": str(path),
            "page_name": path.stem,
            "url_pathname": path.stem,
        }
        for path in (Path(__file__).parent.parent / "pages").glob("*.py")
    }
    get_pages = PagesManager.get_pages

    def known_pages(manager: PagesManager) -> dict[str, Any]:
        registered: dict[str, Any] = get_pages(manager)
        return registered if len(registered) > 1 else pages | registered

    monkeypatch.setattr(PagesManager, "get_pages", known_pages)
