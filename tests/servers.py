"""A PostgreSQL server for the tests: Debian's, on a port and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import DDL, Engine, create_engine, make_url
from sqlalchemy.schema import CreateSchema, DropSchema

from data.store import close_store, open_store

SETTINGS = {
    "fsync": "off",  # the server is gone with the tests
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
}


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: p.parts[4])
    on_path = shutil.which("pg_ctl")
    every = [*found, *([Path(on_path).resolve()] if on_path else [])]
    return every[-1].parent if every else None


@contextmanager
def a_server() -> Iterator[str]:
    """The address of a server that runs as long as the block."""
    found = programs()
    if found is None:
        pytest.fail("The tests need PostgreSQL; `make test` installs it on Debian and Ubuntu.")
    folder, port = Path(mkdtemp(prefix="rollcall-pg-")), _free_port()
    as_user = _as_user(folder)
    how = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    try:
        how_made = "--auth=trust --username=rollcall --encoding=UTF8 --locale=C.UTF-8 --no-sync"
        initdb = [*as_user, str(found / "initdb"), "--pgdata", f"{folder}/data"]
        _run([*initdb, *how_made.split()])
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {how}"
        control = [*as_user, str(found / "pg_ctl"), "-D", f"{folder}/data"]
        _run([*control, "-l", f"{folder}/log", "-o", options, "-w", "start"])
        try:
            yield f"postgresql+psycopg://rollcall@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package brings a user."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server, on which every store has a schema of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._numbers = count(1)

    def new_store(self) -> str:
        """The address of a store that is not there yet."""
        name = f"store{next(self._numbers)}"
        with self._engine.connect() as con:
            con.execute(CreateSchema(name))
        return f"{self.url}?options=-csearch_path%3D{name}"

    @contextmanager
    def a_store(self) -> Iterator[Engine]:
        """An empty store, which is gone afterwards."""
        url = self.new_store()
        try:
            yield open_store(url)
        finally:
            close_store(url)
            with self._engine.connect() as con:
                con.execute(DropSchema(url.rsplit("%3D")[-1], cascade=True))

    @contextmanager
    def a_database(self) -> Iterator[str]:
        """The address of an empty database, which is gone afterwards."""
        name = f"database{next(self._numbers)}"
        with self._engine.connect() as con:
            con.execute(DDL(f"CREATE DATABASE {name}"))
            yield make_url(self.url).set(database=name).render_as_string(hide_password=False)
            con.execute(DDL(f"DROP DATABASE {name} WITH (FORCE)"))

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server that all tests of a process share."""
    with a_server() as url:
        server = Server(url)
        yield server
        server.close()
