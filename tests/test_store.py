"""Opening a store, and the limits of DuckDB."""

from __future__ import annotations

import gzip
import re
import struct
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from builders import TODAY, a_snapshot_file
from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.exc import DBAPIError

import rollcall
from data.access.roles import Visibility
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home, current_home
from data.schema import integration, snapshot
from data.store.duckdb import database_file
from data.store.engine import (
    SCHEMA_VERSION,
    close_store,
    close_stores,
    open_store,
    restrict_file_access,
    restricted_engine,
    schema_version,
)
from data.store.errors import (
    StoreDamaged,
    StoreInterrupted,
    StoreInUse,
    StoreTooNew,
    StoreUnreachable,
)

ROOT = Path(rollcall.__file__).parent


def setting(store: Engine, name: str) -> object:
    with store.connect() as con:
        return con.scalar(select(func.current_setting(name)))


def test_a_statement_is_compiled_once_for_every_store(store: Engine, tmp_path: Path) -> None:
    """So a store that is reopened is as fast as before, and a role's views are from the start."""
    other = open_store(f"duckdb:///{tmp_path}/other.duckdb")
    other.dialect.statement_compiler = None  # type: ignore[assignment] # compiles no more
    counted = select(func.count()).select_from(snapshot)
    with store.connect() as con, other.connect() as other_con:
        assert con.scalar(counted) == other_con.scalar(counted) == 0


# ---- what DuckDB may do -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSTALL httpfs", "no access to the file"),
        ("LOAD sqlite_scanner", "not found"),
        ("SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')", "requires the extension"),
        ("SELECT * FROM 's3://bucket/x.parquet'", "requires the extension"),
        ("ATTACH 'https://127.0.0.1:1/x.duckdb' AS other", "requires the extension"),
        ("SELECT * FROM ROOT", "does not exist"),
        ("SET memory_limit = '100GB'", "configuration has been locked"),
        ("SET autoload_known_extensions = true", "configuration has been locked"),
        ("SET GLOBAL TimeZone = 'America/New_York'", "configuration has been locked"),
    ],
)
def test_duckdb_fetches_nothing_runs_no_extension_and_locks_its_settings(
    store: Engine, statement: str, words: str
) -> None:
    with store.connect() as con, pytest.raises(DBAPIError, match=words):
        con.execute(text(statement))


def test_memory_is_limited_and_duckdb_spills_beside_the_store(
    store: Engine, tmp_path: Path
) -> None:
    number, unit = re.fullmatch(r"([\d.]+) (\w+)", str(setting(store, "memory_limit"))).groups()
    assert float(number) * {"MiB": 1, "GiB": 1024}[unit] <= 1024
    assert setting(store, "temp_directory") == f"{tmp_path}/store.duckdb.tmp"


def test_memory_and_threads_can_be_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_MEMORY_LIMIT", "300MiB")
    monkeypatch.setenv("ROLLCALL_THREADS", "3")
    store = open_store(f"duckdb:///{tmp_path}/small.duckdb")
    assert setting(store, "memory_limit") == "300.0 MiB"
    assert setting(store, "threads") == 3
    close_stores()


def test_a_store_in_memory_leaves_nothing_in_the_current_directory() -> None:
    store = open_store("duckdb:///:memory:")
    assert not str(setting(store, "temp_directory")).startswith(".")
    close_stores()


def test_every_connection_uses_utc(store: Engine) -> None:
    with store.connect() as one, store.connect() as other:
        for con in (one, other):
            assert con.scalar(select(func.current_setting("TimeZone"))) == "UTC"


def test_fractions_of_a_second_are_compared_correctly(store: Engine, tmp_path: Path) -> None:
    path = a_snapshot_file(tmp_path)
    load(store, SnapshotFile(path, "figma", TODAY), confirmed=True)
    with store.connect() as con:
        found = select(func.count()).select_from(snapshot)
        for part, expected in ((0.9, 1), (-0.1, 0)):
            moment = TODAY + timedelta(seconds=part)
            assert con.scalar(found.where(snapshot.c.taken_at <= moment)) == expected
            assert con.scalar(found.where(snapshot.c.taken_at > moment)) == 1 - expected


# ---- opening ------------------------------------------------------------------------------------


def test_a_store_keeps_its_schema_version(store: Engine, tmp_path: Path) -> None:
    with store.connect() as con:
        assert con.scalars(select(schema_version.c.number)).all() == [SCHEMA_VERSION]
    close_stores()
    with open_store(f"duckdb:///{tmp_path}/store.duckdb").connect() as con:
        assert con.scalars(select(schema_version.c.number)).all() == [SCHEMA_VERSION]


def checksum(content: bytes) -> int:
    """DuckDB's own, of whole words."""
    result = 5381
    for (word,) in struct.iter_unpack("<Q", content):
        result ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return result


def test_a_store_of_a_newer_duckdb_is_reported_and_left_alone(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/newer.duckdb"
    open_store(url)
    close_store(url)
    file = database_file(url)
    assert file
    header = bytearray(file.read_bytes()[8:4096])
    header[4:12] = struct.pack("<Q", 9999)
    written = struct.pack("<Q", checksum(header)) + header + file.read_bytes()[4096:]
    file.write_bytes(written)
    with pytest.raises(StoreTooNew, match=r"made by a newer DuckDB.*rollcall rebuild"):
        open_store(url)
    assert file.read_bytes() == written


def test_a_store_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place, words in (("file/x.duckdb", "file"), ("folder", "folder cannot be opened")):
        with pytest.raises(StoreUnreachable, match=words):
            open_store(f"duckdb:///{tmp_path}/{place}")


@pytest.mark.parametrize("command", [["rollcall.py", "rebuild"], ["app.py"]])
def test_a_home_that_cannot_be_created_is_reported_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "file" / "home"))
    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"{tmp_path}/file" in ended.stderr
    assert "Not a directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_home_of_an_unknown_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", "~no-such-user/rollcall")
    with pytest.raises(FileNotFoundError, match="No such user: '~no-such-user/rollcall'"):
        current_home()


def test_a_store_in_use_is_reported_with_its_process(home: Home) -> None:
    script = (
        "import sys; from data.store.engine import open_store; open_store(sys.argv[1]); "
        "print(1, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}; sys.stdin.read()", home.database_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(StoreInUse, match="open in another process") as error:
            open_store(home.database_url)
        assert error.value.pid == process.pid
        process.kill()


def test_a_store_does_not_reopen_before_its_last_reader_is_done(home: Home) -> None:
    """DuckDB would hand out the old one, whatever file is there now."""
    with open_store(home.database_url).connect() as reader:
        close_store(home.database_url)
        with pytest.raises(StoreInterrupted):
            open_store(home.database_url)
        assert reader.scalar(select(func.count()).select_from(integration)) == 0
    open_store(home.database_url)


def test_a_damaged_snapshot_file_does_not_make_the_store_damaged(
    home: Home, tmp_path: Path
) -> None:
    engine = open_store(home.database_url)
    good = a_snapshot_file(tmp_path)
    broken = good.with_suffix(".parquet")
    broken.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(Exception, match=r"cannot be read|damaged"):
        load(engine, SnapshotFile.from_path(broken))
    assert open_store(home.database_url) is engine
    load(engine, SnapshotFile.from_path(good))


def test_a_store_that_only_looks_too_short_is_read_and_used(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(open_store(home.database_url), SnapshotFile.from_path(a_snapshot_file(tmp_path)))
    close_stores()
    monkeypatch.setattr("data.store.duckdb.FILE_HEADER_SIZE", 10**9)
    with open_store(home.database_url).connect() as con:
        assert con.scalar(select(func.count()).select_from(snapshot)) == 1


@pytest.mark.usefixtures("created_stores")
def test_a_damaged_store_remains_damaged_until_it_is_closed(home: Home) -> None:
    file = home.root / "rollcall.duckdb"
    engine = open_store(home.database_url)
    with engine.begin() as con:
        rows = [{"integration_id": n, "name": f"app {n}"} for n in range(5000)]
        con.execute(insert(integration), rows)
    close_stores()
    with file.open("r+b") as raw:
        raw.seek(3 * 4096 + 1000)
        raw.write(b"spoilt" * 100)
    with pytest.raises(StoreDamaged), open_store(home.database_url).connect() as con:
        con.execute(select(integration)).all()
    with pytest.raises(StoreDamaged):
        open_store(home.database_url)


def test_a_server_reads_temporary_copies_of_compressed_files(tmp_path: Path) -> None:
    home, packed = tmp_path / "home", tmp_path / "home" / "a.csv.gz"
    home.mkdir()
    packed.write_bytes(gzip.compress("login\nzoé\n".encode("utf-16")))
    with restrict_file_access(home):
        engine = open_store(f"duckdb:///{home}/store.duckdb")
        assert load(engine, SnapshotFile(packed, "figma", TODAY)).accepted == 1


def test_a_server_touches_no_file_outside_the_home(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside.csv"
    home.mkdir()
    for path in (home / "inside.csv", outside):
        path.write_text("a\n1\n")
    (home / "link.csv").symlink_to(outside)
    with restrict_file_access(home):
        engine = open_store(f"duckdb:///{home}/store.duckdb")
        for through in (engine, restricted_engine(engine, Visibility(("figma",)))):
            with through.connect() as con:
                read = "SELECT * FROM read_csv('{}')"
                assert con.exec_driver_sql(read.format(home / "inside.csv")).all() == [(1,)]
                for forbidden in (
                    read.format(outside),
                    read.format(home / ".." / outside.name),
                    read.format(home / "link.csv"),
                    f"COPY (SELECT 1) TO '{outside}'",
                    f"ATTACH '{tmp_path}/other.duckdb'",
                    "INSTALL httpfs",
                    "SET memory_limit = '1TB'",
                    "SET GLOBAL enable_external_access = true",
                ):
                    with pytest.raises(DBAPIError):
                        con.exec_driver_sql(forbidden)
                    con.rollback()
    assert outside.read_text() == "a\n1\n"
