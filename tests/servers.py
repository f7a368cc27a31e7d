"""PostgreSQL for the tests: Debian's, on ports and in folders of its own.

Where it brings Citus, all that is tried on one server is tried on a cluster, too.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import pytest
from sqlalchemy import DDL, Connection, Engine, create_engine, func, make_url, select
from sqlalchemy.schema import CreateSchema, DropSchema

from data.store.citus import distribute
from data.store.engine import close_store, open_store

SETTINGS = {
    "fsync": "off",  # the server is gone with the tests, but not always with its process
    "full_page_writes": "off",
    "jit": "off",  # without statistics it compiles statements that take a millisecond
    "autovacuum": "off",
    "max_connections": "200",
}

CLUSTERED = SETTINGS | {
    "shared_preload_libraries": "citus",
    "wal_level": "logical",
    "citus.node_conninfo": "sslmode=disable",
    "citus.shard_count": "4",  # two for each worker; the usual 32 take seconds to make
}


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: p.parts[4])
    on_path = shutil.which("pg_ctl")
    every = [*found, *([Path(on_path).resolve()] if on_path else [])]
    return every[-1].parent if every else None


def has_citus() -> bool:
    """Whether the PostgreSQL of this machine brings Citus."""
    config = (programs() or Path()) / "pg_config"
    if not config.is_file():
        return False
    shared = subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=True)
    return Path(shared.stdout.strip(), "extension", "citus.control").is_file()


class Machine(NamedTuple):
    """A server that a test can stop and start."""

    url: str
    control: Callable[[str], None]
    """`stop`, `start` or `restart`; at once, as when the machine fails."""


@contextmanager
def a_server(settings: Mapping[str, str] = SETTINGS) -> Iterator[str]:
    """The address of a server that runs as long as the block."""
    with a_machine(settings) as machine:
        yield machine.url


@contextmanager
def a_machine(settings: Mapping[str, str] = SETTINGS) -> Iterator[Machine]:
    """A server that runs as long as the block, unless it is stopped."""
    found = programs()
    if found is None:
        pytest.fail("The tests need PostgreSQL; `make test` installs it on Debian and Ubuntu.")
    folder, port = Path(mkdtemp(prefix="rollcall-pg-")), _free_port()
    as_user = _as_user(folder)
    how = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        how_made = "--auth=trust --username=rollcall --encoding=UTF8 --locale=C.UTF-8 --no-sync"
        initdb = [*as_user, str(found / "initdb"), "--pgdata", f"{folder}/data"]
        _run([*initdb, *how_made.split()])
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {how}"
        program = [*as_user, str(found / "pg_ctl"), "-D", f"{folder}/data"]

        def control(action: str) -> None:
            how_to_stop = [] if action == "start" else ["-m", "immediate"]
            how_to_start = [] if action == "stop" else ["-l", f"{folder}/log", "-o", options]
            _run([*program, *how_to_stop, *how_to_start, "-w", action])

        control("start")
        try:
            yield Machine(f"postgresql+psycopg://rollcall@127.0.0.1:{port}/postgres", control)
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                control("stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_cluster() -> Iterator[str]:
    """The address of the coordinator of a cluster with two workers, which run as long as it."""
    with ExitStack() as running:
        urls = [running.enter_context(a_server(CLUSTERED)) for _ in range(3)]
        for url in urls:
            with _admin_connection(url) as con:
                con.execute(DDL("CREATE EXTENSION citus"))
        coordinator, *workers = [(url.host, url.port) for url in map(make_url, urls)]
        with _admin_connection(urls[0]) as con:
            con.execute(select(func.citus_set_coordinator_host(*coordinator)))
            for worker in workers:
                con.execute(select(func.citus_add_node(*worker)))
        yield urls[0]


@contextmanager
def _admin_connection(url: str) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        yield con
    engine.dispose()


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
    """One server, or a cluster, on which every store has a schema of its own."""

    def __init__(self, url: str, *, is_cluster: bool = False) -> None:
        self.url, self.is_cluster = url, is_cluster
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._numbers = count(1)

    def new_schema(self) -> str:
        """The address of a store that is not there yet."""
        name = f"store{next(self._numbers)}"
        with self._engine.connect() as con:
            con.execute(CreateSchema(name))
        return f"{self.url}?options=-csearch_path%3D{name},public"

    def new_store(self) -> str:
        """The address of an empty store, which on a cluster is spread."""
        url = self.new_schema()
        if self.is_cluster:
            distribute(open_store(url))
            close_store(url)
        return url

    @contextmanager
    def a_store(self) -> Iterator[Engine]:
        """An empty store, which is gone afterwards."""
        url = self.new_store()
        try:
            yield open_store(url)
        finally:
            close_store(url)
            with self._engine.connect() as con:
                name = url.rsplit("%3D")[-1].removesuffix(",public")
                con.execute(DropSchema(name, cascade=True))

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


KINDS = {"server": a_server} | ({"cluster": a_cluster} if has_citus() else {})


@pytest.fixture(scope="session", params=KINDS)
def postgresql(request: pytest.FixtureRequest) -> Iterator[Server]:
    """What all tests of a process share: a server, and where there is Citus a cluster."""
    with KINDS[request.param]() as url:
        server = Server(url, is_cluster=request.param == "cluster")
        yield server
        server.close()
