"""Names, links and owners that whoever can write to the inbox could choose."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

import rollcall
from data.files.errors import SnapshotRejected
from data.files.mapping import NO_MAPPING, mapping_path, save_mapping
from data.files.naming import SnapshotFile
from data.history.load import LoadResult
from data.home import Home, current_home
from data.inbox.actions import withdraw_snapshot
from data.inbox.delivered import storable_name
from data.inbox.inbox import LoadFailure, Quarantined, load_failures, load_inbox, put_into_inbox
from data.inbox.pull import latest_taken_at
from data.inbox.quarantine import REASON_SUFFIX, find_quarantined_path, target_path
from data.records.tables import quarantined_file
from data.service.active_store import store_status
from data.service.keeper import Keeper
from data.sources.http import PullFailed
from data.sources.settings import read_pull_configs
from data.store.engine import open_store

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
STAMP = "2026-11-23T06-00-00Z"


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    load_failures.clear()
    yield open_store(home.database_url)
    load_failures.clear()


def look(store: Engine, home: Home) -> list[object]:
    """Load the inbox as if its files had been written long ago."""
    for path in home.inbox.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    return list(load_inbox(store, home))


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def file_contents(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def refusal(use: Callable[[], object]) -> str:
    """Why it is refused, or nothing."""
    try:
        use()
    except SnapshotRejected as error:
        return str(error)
    return ""


# ---- names of integrations ----------------------------------------------------------------------

NAMES = st.one_of(
    st.text(max_size=260),
    st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "\0", "\udcff", " "]), max_size=6).map(
        "".join
    ),
)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(name=NAMES)
@example("../secrets")
@example("/srv/x/victim")
@example("a" * 255)
@example("\udcff")
def test_no_name_of_an_integration_leads_out_of_its_folder(
    home: Home, tmp_path: Path, name: str
) -> None:
    shutil.rmtree(home.root)
    current_home()
    delivered = a_snapshot_file(tmp_path / "delivered")
    before = everything_in(tmp_path)
    file = SnapshotFile(delivered, name, TODAY)
    for use in (
        lambda: save_mapping(home, name, NO_MAPPING),
        lambda: put_into_inbox(home, file),
        lambda: latest_taken_at(home, name),
        lambda: target_path(home.archive, file),
        lambda: mapping_path(home, name),
    ):
        written_before = everything_in(tmp_path)
        if message := refusal(use):
            assert "cannot name an integration" in message.encode().decode()
            assert everything_in(tmp_path) == written_before
    added = everything_in(tmp_path) - before
    own = {f"home/snapshots/{name}", f"home/snapshots/{name}/{STAMP}.ndjson"}
    assert added <= own | {"home/mappings", f"home/mappings/{name}.toml"}


def test_a_command_writes_no_mapping_and_no_archive_outside_of_the_home(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("[columns]\n")
    path = a_snapshot_file(tmp_path / "delivered")
    before = everything_in(tmp_path)
    for name in ("../victim", str(tmp_path / "victim"), "\udcff"):
        for option in (("--mapping", str(mapping)), ("--together",), ()):
            assert rollcall.main(["load", str(path), "--integration", name, *option]) == 1
            assert "cannot name an integration" in capsys.readouterr().err
    assert everything_in(tmp_path) == before


def test_a_pull_cannot_be_named_like_a_path(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[pull."../x"]\nsource = "okta"\n')
    with pytest.raises(PullFailed, match="cannot name an integration"):
        read_pull_configs(secrets)


# ---- names of files -----------------------------------------------------------------------------

ODD_NAMES = [
    b"n" * 246 + b".csv",
    b"\xff\xfe.csv",
    b"2026-11-23T06-00-00Z.\xff",
    b"2026-11-23T06-00-00Z." + b"x" * 230,
    "ü".encode() * 125 + b".csv",
    b"replace~" + b"n" * 240,
    b"new\nline.csv",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_file_name_is_filed_and_stops_nothing(
    home: Home, store: Engine, name: bytes
) -> None:
    folder = home.inbox / "figma"
    folder.mkdir()
    odd = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))  # noqa: PTH118 - bytes
    odd.write_text("login\nada\n")
    a_snapshot_file(home.inbox, integration="slack")
    rejected, loaded = look(store, home)
    assert isinstance(rejected, Quarantined)
    assert isinstance(loaded, LoadResult)
    with store.connect() as con:
        [row] = con.execute(select(quarantined_file)).all()
    assert find_quarantined_path(home, "rejected", row.integration, row.file_name).exists()
    reason = rejected.path.with_name(rejected.path.name + REASON_SUFFIX)
    assert reason.read_text().strip() == row.reason
    assert not odd.exists()
    assert not load_failures


@pytest.mark.parametrize("name", [b"\xff", b"a\\b"])
def test_a_folder_that_cannot_name_an_integration_is_no_obstacle(
    home: Home, store: Engine, name: bytes
) -> None:
    path = a_snapshot_file(home.inbox, integration=os.fsdecode(name))
    [rejected] = look(store, home)
    assert isinstance(rejected, Quarantined)
    assert rejected.path.parent == home.rejected / "misplaced"
    assert not path.exists()


@settings(max_examples=50)
@given(st.binary(min_size=1, max_size=255).map(os.fsdecode), st.sampled_from(["", ".csv.gz"]))
@example("\0/", ".csv.gz")
def test_a_shortened_name_is_unique_and_keeps_its_ending(name: str, ending: str) -> None:
    stored = storable_name(name + ending)
    assert len(stored.encode()) <= 200
    assert stored.endswith(ending)
    assert not {*stored} & {"/", "\0"}
    assert storable_name(stored) == stored
    if stored != name + ending:
        assert storable_name(f"x{name}{ending}") != stored


def test_a_file_that_cannot_be_filed_closes_nothing(
    home: Home, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the folder belongs to another user."""

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "nonsense.csv")

    nonsense = home.inbox / "figma" / "nonsense.csv"
    nonsense.parent.mkdir()
    nonsense.write_text("x")
    monkeypatch.setattr("data.inbox.quarantine.take_delivered", fail)
    a_snapshot_file(home.inbox, integration="slack")
    failure, loaded = look(store, home)
    assert isinstance(failure, LoadFailure)
    assert isinstance(loaded, LoadResult)
    keeper = Keeper(home, "http://here")
    keeper.run_once()
    keeper.run_once()
    status = store_status(home)
    assert status.is_open
    assert "figma/nonsense.csv could not be loaded" in status.message


# ---- links --------------------------------------------------------------------------------------


def link_to(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def pipe(path: Path, _: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "ending"),
    [(link_to, "csv"), (link_to, "csv.gz"), (link_to, "zip"), (link_to, "parquet"), (pipe, "csv")],
)
def test_nothing_but_a_regular_file_is_read(
    home: Home, store: Engine, make: Callable[[Path, Path], None], ending: str
) -> None:
    key = home.root / "pseudonym-key"
    key.write_text(f"{SECRET}\r{SECRET}\u00e4")
    make(home.inbox / "figma" / f"{STAMP}.{ending}", key)
    [rejected] = look(store, home)
    assert isinstance(rejected, Quarantined)
    assert "Put the file itself there" in rejected.reason
    assert rejected.path.is_file()
    assert not rejected.path.is_symlink()
    for folder in (home.rejected, home.archive):
        assert not any(SECRET in content for content in file_contents(folder))
    assert everything_in(home.inbox) == {"figma"}


def test_a_linked_folder_is_not_entered(home: Home, store: Engine, tmp_path: Path) -> None:
    outside = a_snapshot_file(tmp_path / "outside")
    link_to(home.inbox / "figma", outside.parent)
    [rejected] = look(store, home)
    assert isinstance(rejected, Quarantined)
    assert "figma is a link" in rejected.reason
    assert outside.exists()
    link_to(home.inbox / "figma", outside.parent)
    with pytest.raises(SnapshotRejected, match="is a link"):
        put_into_inbox(home, SnapshotFile(outside, "figma", YESTERDAY))


def test_whoever_delivered_a_file_cannot_change_it_after_the_load(
    home: Home, store: Engine, tmp_path: Path
) -> None:
    delivered = a_snapshot_file(tmp_path / "theirs")
    other_name = home.inbox / "figma" / delivered.name
    other_name.parent.mkdir()
    os.link(delivered, other_name)
    content = delivered.read_bytes()
    with delivered.open("r+b") as open_file:
        assert look(store, home) == [], "it is still being written"
        open_file.seek(0)
    [loaded] = look(store, home)
    assert isinstance(loaded, LoadResult)
    delivered.write_text("another list")
    [archived] = home.archive.glob("*/*")
    assert archived.read_bytes() == content
    assert archived.stat().st_nlink == 1


def test_a_planted_link_does_not_catch_what_is_put_into_the_inbox(
    home: Home, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = a_snapshot_file(tmp_path)
    link_to(home.inbox / "figma" / f".{path.name}.part", victim)
    put_into_inbox(home, SnapshotFile(path, "figma", TODAY))
    assert victim.read_text() == "precious"


# ---- rights -------------------------------------------------------------------------------------


def open_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [str(path) for path in paths if path.lstat().st_mode & 0o077]


def test_only_the_owner_can_read_the_home_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    (tmp_path / "home").mkdir(mode=0o755)
    inherited = os.umask(0)
    try:
        path = a_snapshot_file(tmp_path, [an_account()])
        rejected = a_snapshot_file(tmp_path, at=YESTERDAY)
        rejected.write_text("{}")
        rollcall.main(["load", str(path), str(rejected)])
        home = current_home()
        with open_store(home.database_url).connect() as con:
            con.execute(select(quarantined_file)).all()
            withdraw_snapshot(con.engine, home, "figma", TODAY)
            assert (home.root / "rollcall.duckdb.wal").exists()
            assert open_to_others(home.root) == []
        assert rollcall.main(["backup", str(tmp_path / "backup.tar")]) == 0
        assert open_to_others(tmp_path / "backup.tar") == []
        assert open_to_others(home.root) == []
    finally:
        os.umask(inherited)


def test_a_folder_that_everybody_shares_keeps_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("ROLLCALL_HOME", str(shared))
    home = current_home()
    assert shared.stat().st_mode & 0o7777 == 0o1777
    assert open_to_others(home.archive) == []


def test_any_path_can_be_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / 'per%20cent #b=c&d it\'s "\u00fc" [x]*;b@c:d'
    monkeypatch.setenv("ROLLCALL_HOME", str(root))
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    assert rollcall.main(["load", str(a_snapshot_file(tmp_path))]) == 0
    assert rollcall.main(["rebuild"]) == 0
    assert rollcall.main(["backup", str(root / "backup.tar")]) == 0
    assert rollcall.main(["copy", str(root / "rollcall.duckdb"), str(root / "copy.duckdb")]) == 0
    assert "pass" in capsys.readouterr().out
    assert rollcall.main(["export", "--output", str(root / "users.csv")]) == 0
    assert "ada" in (root / "users.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["figma", root.name])


@pytest.mark.parametrize("name", ["why?", "back\\slash"])
def test_a_path_that_duckdb_cannot_use_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / name))
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    assert rollcall.main(["init"]) == 1
    assert "Choose a folder without them" in capsys.readouterr().err
