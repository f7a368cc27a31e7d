"""Other ways to look at the same accounts: bare DuckDB, Datasette, a DataFrame in each session."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Protocol
from urllib.parse import urlencode

import duckdb
import pandas as pd

from benchmarks.serving import Server, serving
from data.states import STATE_NAMES

DATASETTE = "datasette==0.65.5"
"""Fetched by uv into its cache: no environment of Rollcall has it."""

ROUNDS = 5


class Opponent(Protocol):
    """Somebody who is asked the same as the others; each act ends when its answer is there."""

    def visit(self) -> object:
        """The first list that a new visitor sees."""

    def list_of(self, states: Sequence[str]) -> object:
        """Those in some states, newest change first: a page of them, and how many."""

    def search(self, words: str) -> object:
        """Those with a text, newest change first: a page of them, and how many."""

    def counts(self, words: str) -> object:
        """Of those with a text, how many are in each state."""

    def export(self) -> object:
        """All of them as CSV."""


class Rollcall:
    """Over its own protocols; counts as its page asks for them when a filter is opened."""

    def __init__(self, server: Server, counts: Callable[[str], object]) -> None:
        self.server, self.counts = server, counts
        self.session = server.session("users")
        self.session.ask()

    def visit(self) -> object:
        return self.server.session("users").ask()

    def list_of(self, states: Sequence[str]) -> object:
        return self.session.ask(state=states, sort="-last_updated")

    def search(self, words: str) -> object:
        return self.session.ask(q=words, sort="-last_updated")

    def export(self) -> object:
        return self.server.get("export/users.csv")


class BareDuckDB:
    """The statements alone, on a table of the CSV file that has a column to search in."""

    def __init__(self, csv: Path, folder: Path) -> None:
        self.out, self.con = folder / "bare.csv", duckdb.connect()
        self.con.execute("CREATE TABLE account AS FROM read_csv(?)", [str(csv)])
        self.con.execute("ALTER TABLE account ADD COLUMN search VARCHAR")
        self.con.execute(
            "UPDATE account SET search = lower(concat_ws("
            """' ', "User", "Username in app", "Upstream user ID"))"""
        )

    def visit(self) -> object:
        return self._list("true", [])

    def list_of(self, states: Sequence[str]) -> object:
        return self._list('"Provisioning state" IN (?, ?)', [*states])

    def search(self, words: str) -> object:
        return self._list("contains(search, ?)", [words])

    def counts(self, words: str) -> object:
        counted = 'SELECT "Provisioning state", count(*) FROM account WHERE contains(search, ?)'
        return self.con.execute(f"{counted} GROUP BY ALL", [words]).fetchall()

    def export(self) -> object:
        return self.con.execute(f"COPY (FROM account ORDER BY lower(\"User\")) TO '{self.out}'")

    def _list(self, condition: str, values: list[str]) -> None:
        of = f"FROM account WHERE {condition}"
        self.con.execute(
            f'SELECT * {of} ORDER BY "Last updated" DESC LIMIT 50',
            values,
        ).fetchall()
        self.con.execute(f"SELECT count(*) {of}", values).fetchall()


class Datasette:
    """Its pages, on SQLite with the indexes and the full-text search that they deserve."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def visit(self) -> object:
        return self._page()

    def list_of(self, states: Sequence[str]) -> object:
        return self._page(state__in=",".join(states), _sort_desc="last_updated")

    def search(self, words: str) -> object:
        return self._page(_search=words, _sort_desc="last_updated")

    def counts(self, words: str) -> object:
        return self._page(_search=words, _facet="state", _size=1)

    def export(self) -> object:
        return self.server.get("accounts/account.csv?_stream=on&_size=max")

    def _page(self, **params: object) -> int:
        return self.server.get(f"accounts/account?{urlencode({'_size': 50, **params})}")


class DataFrames:
    """A page of pandas_app.py; counts and CSV as such a page works them out."""

    def __init__(self, server: Server, csv: Path) -> None:
        self.server, self.frame = server, pd.read_csv(csv)
        self.session = server.session()
        self.session.ask()

    def visit(self) -> object:
        return self.server.session().ask()

    def list_of(self, states: Sequence[str]) -> object:
        return self.session.ask(state=states)

    def search(self, words: str) -> object:
        return self.session.ask(q=words)

    def counts(self, words: str) -> object:
        found = [
            self.frame[column].str.contains(words, case=False, regex=False, na=False)
            for column in ("User", "Username in app", "Upstream user ID")
        ]
        shown = self.frame[found[0] | found[1] | found[2]]
        return shown["Provisioning state"].value_counts()

    def export(self) -> object:
        return len(self.frame.sort_values("User").to_csv(index=False).encode())


@contextmanager
def datasette(folder: Path, csv: Path) -> Iterator[Server]:
    path = folder / "accounts.db"
    with sqlite3.connect(path) as con:
        frame = pd.read_csv(csv)
        frame.columns = [
            "person",
            "username",
            "roles",
            "active",
            "upstream",
            "state",
            "last_updated",
        ]
        frame.to_sql("account", con, index=False)
        con.executescript(
            """
            CREATE INDEX by_state ON account (state, last_updated);
            CREATE INDEX by_time ON account (last_updated);
            CREATE VIRTUAL TABLE account_fts
                USING fts5 (person, username, upstream, content="account");
            INSERT INTO account_fts (account_fts) VALUES ('rebuild');
            ANALYZE;
            """
        )
    limits = {"sql_time_limit_ms": 120_000, "facet_time_limit_ms": 120_000, "max_csv_mb": 0}
    settings = [w for name, value in limits.items() for w in ("--setting", name, str(value))]
    settings += ["--setting", "suggest_facets", "off", "--port", "PORT"]
    uvx = str(Path(sys.executable).with_name("uvx"))
    with serving([uvx, "--from", DATASETTE, "datasette", str(path), *settings], "-/versions") as s:
        yield s


@contextmanager
def dataframes(csv: Path) -> Iterator[Server]:
    app = str(Path(__file__).with_name("pandas_app.py"))
    options = ["--server.port", "PORT", "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", app, *options]
    with serving(command, "_stcore/health", ACCOUNTS=str(csv)) as server:
        yield server


def beside(rollcall: Server, counts: Callable[[str], object], folder: Path, csv: Path) -> list[str]:
    """Table rows: what each waits for the same, in turns, each round about other accounts."""
    with datasette(folder, csv) as sqlite, dataframes(csv) as frames:
        all_: list[Opponent] = [
            Rollcall(rollcall, counts),
            BareDuckDB(csv, folder),
            Datasette(sqlite),
            DataFrames(frames, csv),
        ]
        chance = random.Random(1)
        states = [chance.sample(STATE_NAMES, 2) for _ in range(ROUNDS)]
        words = [f"first{chance.randrange(100, 5000)}" for _ in range(2 * ROUNDS)]
        tasks: list[tuple[str, list[Callable[[Opponent], object]]]] = [
            ("The first list of a new visitor", [lambda one: one.visit()] * 3),
            ("Two states", [lambda one, chosen=chosen: one.list_of(chosen) for chosen in states]),
            ("A search", [lambda one, word=word: one.search(word) for word in words[::2]]),
            ("Per state", [lambda one, word=word: one.counts(word) for word in words[1::2]]),
            ("All as CSV", [lambda one: one.export()] * 2),
        ]
        rows = [
            _row(what, [[_took(act, one) for one in all_] for act in acts]) for what, acts in tasks
        ]
        memory = [rollcall.memory(), None, sqlite.memory(), frames.memory()]
    cells = " | ".join("" if held is None else f"{held:,} MB" for held in memory)
    return [*rows, f"| Memory of the server then | {cells} |"]


def _took(act: Callable[[Opponent], object], one: Opponent) -> float:
    began = time.perf_counter()
    act(one)
    return time.perf_counter() - began


def _row(what: str, rounds: list[list[float]]) -> str:
    medians = (_in_words(median(times)) for times in zip(*rounds, strict=True))
    return f"| {what} | {' | '.join(medians)} |"


def _in_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
