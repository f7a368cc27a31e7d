"""A store on PostgreSQL: several processes at once, rebuilds, copies and clusters."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import test_history
import viewing
from builders import (
    TODAY,
    YESTERDAY,
    Deliveries,
    a_snapshot_file,
    an_account,
    an_unmatched_account,
    usernames,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import KINDS, Server, has_citus
from sqlalchemy import (
    Connection,
    Row,
    String,
    cast,
    column,
    create_engine,
    func,
    insert,
    inspect,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import REGCLASS

from data.access.roles import Permission, PersonalData, Visibility
from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load
from data.home import Home, current_home
from data.inbox.inbox import Outcome, load_inbox, put_into_inbox
from data.records.matches import MatchOverride, save_match_overrides
from data.records.notes import NamedAccount, save_note
from data.records.tables import saved_view
from data.schema import account_current, account_version, metadata, snapshot
from data.service.rebuild import RebuildFailed, rebuild
from data.staging import staging_metadata
from data.store.citus import ClusterError, distribute
from data.store.copy import copy_store, find_different_tables
from data.store.engine import (
    close_store,
    create_unchecked_engine,
    open_store,
    restricted_engine,
    schema_version,
)
from data.store.errors import StoreBusy, StoreUnreachable
from queries.account_rows import account_rows
from queries.filters import Filters, conditions
from queries.parity import find_differences
from queries.users.accounts import count_accounts
from rollcall import main
from server import authorize


@pytest.fixture
def team(home: Home, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home whose store is on the server."""
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", postgresql.new_store())
    yield current_home()
    close_store(current_home().database_url)


def loaded_days(store_url: str) -> int:
    with open_store(store_url).connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0


def test_loads_of_several_processes_wait_for_one_another(
    postgresql: Server, tmp_path: Path
) -> None:
    url = postgresql.new_store()
    engines = [create_unchecked_engine(url) for _ in range(3)] if open_store(url) else []
    days = [TODAY + timedelta(days=n) for n in range(9)]
    files = [
        SnapshotFile(
            a_snapshot_file(tmp_path, [an_account(), an_account(f"u{n}")], at=at), "figma", at
        )
        for n, at in enumerate(days)
    ]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda n: load(engines[n % 3], files[n], confirmed=True), range(9)))
    assert all(one.accepted == 2 for one in done)
    with engines[0].connect() as con:
        assert usernames(con) == ["ada", "u8"]
        versions = select(func.count()).select_from(account_version)
        assert con.scalar(versions) == 1 + 9
    for engine in engines:
        engine.dispose()


def test_a_transaction_sees_the_store_at_one_moment(postgresql: Server, tmp_path: Path) -> None:
    with postgresql.a_store() as engine:
        delivered = Deliveries(engine, tmp_path)
        delivered.take(an_account(), at=YESTERDAY)
        with engine.connect() as con:
            assert count_accounts(con, Filters()) == 1
            delivered.take(an_account(), an_account("bob"), at=TODAY)
            assert usernames(con) == ["ada"]
        with engine.connect() as con:
            assert usernames(con) == ["ada", "bob"]


def test_two_processes_that_open_a_new_store_at_once_create_it_once(postgresql: Server) -> None:
    url = postgresql.new_schema()
    script = "import sys; from data.store.engine import open_store; open_store(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", script, url], cwd=Path.cwd()) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert loaded_days(url) == 0


def test_an_unreachable_server_is_reported_without_the_password() -> None:
    with pytest.raises(
        StoreUnreachable, match=r"127\.0\.0\.1:1/rollcall cannot be reached"
    ) as error:
        open_store("postgresql+psycopg://ada:sesame@127.0.0.1:1/rollcall")
    assert "sesame" not in str(error.value)


def test_a_hundred_pages_draw_at_once_without_a_wait_for_a_connection(
    team: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for their turn before they take one."""
    open_store(team.database_url).pool._timeout = 0.01  # type: ignore[attr-defined]
    monkeypatch.setattr(authorize, "_is_page", lambda: True)

    def draw(_: int) -> int:
        with authorize.store_connection(Permission.USERS) as con:
            con.execute(select(func.pg_sleep(0.02)))
            return count_accounts(con, Filters())

    with ThreadPoolExecutor(100) as sessions:
        assert list(sessions.map(draw, range(100))) == [0] * 100


def test_who_gets_no_connection_gets_a_sentence(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.store.postgresql.MAX_CONNECTIONS", 4)
    with postgresql.a_store() as engine, ExitStack() as others:
        engine.pool._timeout = 0.01  # type: ignore[attr-defined]
        for _ in range(4):
            others.enter_context(engine.connect())
        with pytest.raises(StoreBusy, match="Try again in a minute"):
            engine.connect()


def test_a_database_with_other_tables_is_left_alone(postgresql: Server) -> None:
    url = postgresql.new_schema()
    engine = create_engine(url)
    with engine.begin() as con:
        con.execute(text("CREATE TABLE invoices (id int)"))
    engine.dispose()
    with pytest.raises(StoreUnreachable, match="tables that are not Rollcall’s"):
        open_store(url)


def test_an_inbox_that_two_processes_watch_is_loaded_once(team: Home, tmp_path: Path) -> None:
    for n in range(4):
        at = TODAY + timedelta(days=n)
        path = a_snapshot_file(tmp_path, [an_account()], at=at)
        put_into_inbox(team, SnapshotFile(path, "figma", at))
    engine = open_store(team.database_url)
    with ThreadPoolExecutor(2) as pool:
        looks = pool.map(lambda _: load_inbox(engine, team), range(2))
        outcomes: list[Outcome] = [one for look in looks for one in look]
    assert [type(one) for one in outcomes] == [LoadResult] * 4
    assert loaded_days(team.database_url) == 4


def test_a_rebuild_keeps_the_old_schema(team: Home, tmp_path: Path) -> None:
    path = a_snapshot_file(tmp_path, [an_account(), an_account("bob")])
    assert main(["load", str(path), "--integration", "figma"]) == 0
    engine = open_store(team.database_url)
    with engine.begin() as con:
        con.execute(text("UPDATE layout SET number = 0"))
    close_store(team.database_url)
    assert main(["load", str(path), "--integration", "figma"]) == 1
    assert rebuild(team, lambda *_: None) == 1
    with open_store(team.database_url).connect() as con:
        assert usernames(con) == ["ada", "bob"]
        schemas = inspect(con).get_schema_names()
        here = con.scalar(select(func.current_schema()))
    assert [name for name in schemas if name.startswith(f"{here}_")] != []
    assert f"{here}_new" not in schemas


def test_a_rebuild_needs_a_complete_archive(team: Home, tmp_path: Path) -> None:
    Deliveries(open_store(team.database_url), tmp_path).take(an_account())
    with pytest.raises(RebuildFailed, match="figma at 2026-11-23 06:00:00 UTC is missing"):
        rebuild(team, lambda *_: None)
    assert loaded_days(team.database_url) == 1


def test_a_store_is_copied_to_the_server_and_back_completely(
    home: Home, postgresql: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, url = open_store(home.database_url), postgresql.new_store()
    delivered = Deliveries(start, tmp_path / "files")
    odd = an_account(
        "Zoë", roles=['a"b\\', "x;{y}", {"name": "Z", "via": "g"}], team=" \n,", code=""
    )
    delivered.take(an_account(), odd, an_account(""), at=YESTERDAY)
    delivered.take(an_account(state="Update failed", reason="Line\n2"), at=TODAY)
    delivered.take(an_account(), integration="slack")
    close_store(home.database_url)
    file = home.root / "rollcall.duckdb"
    assert main(["copy", str(file), url]) == 0
    assert "Both stores have the same rows in every table" in capsys.readouterr().out
    back, again = f"duckdb:///{tmp_path}/back.duckdb", postgresql.new_store()
    assert main(["copy", url, back]) == 0
    stores = [open_store(name) for name in (url, again, back, f"duckdb:///{tmp_path}/third.duckdb")]
    copy_store(stores[0], stores[1], lambda *_: None)
    copy_store(stores[2], stores[3], lambda *_: None)
    assert find_different_tables(stores[1], stores[3]) == []
    assert main(["copy", back, again]) == 1
    assert "already has snapshots" in capsys.readouterr().err
    delivered.store = open_store(back)  # it goes on there as if nothing had been
    assert delivered.take(an_account("eve"), at=TODAY + timedelta(days=1)).accepted == 1


def test_a_copy_that_differs_is_noticed(postgresql: Server, tmp_path: Path) -> None:
    one = open_store(f"duckdb:///{tmp_path}/one.duckdb")
    Deliveries(one, tmp_path).take(an_account(), an_account("bob"))
    with postgresql.a_store() as other:
        copy_store(one, other, lambda *_: None)
        assert find_different_tables(one, other) == []
        with other.begin() as con:
            con.execute(
                text("UPDATE account_current SET user_name = 'Eve' WHERE username_in_app = 'bob'")
            )
        assert find_different_tables(one, other) == ["account_current"]
        with one.connect() as con, other.connect() as against:
            assert "list by user" in find_differences(con, against)
    one.dispose()


# ---- a cluster, as far as one server can play it where there is none -----------------------------

PLAYED = """
CREATE TABLE pg_dist_partition (logicalrelid regclass, partkey text, beside text);
CREATE FUNCTION column_to_column_name(table_name regclass, partkey text) RETURNS text LANGUAGE sql
    AS 'SELECT partkey';
CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS
    'INSERT INTO pg_dist_partition VALUES (table_name, NULL, NULL)';
CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default')
    RETURNS void LANGUAGE sql AS
    'INSERT INTO pg_dist_partition VALUES (table_name, distribution_column, colocate_with)';
"""


def test_a_store_is_distributed_by_integration_and_only_once(postgresql: Server) -> None:
    url = postgresql.new_schema()
    engine, here = open_store(url), column("logicalrelid", REGCLASS)
    if not postgresql.is_cluster:
        with pytest.raises(ClusterError, match="CREATE EXTENSION citus"):
            distribute(engine)
        with engine.begin() as con:
            con.execute(text(PLAYED))
    spread = distribute(engine)
    assert distribute(engine) == []
    with engine.connect() as con:
        by_column = func.column_to_column_name(here, column("partkey"))
        how = select(cast(here, String), by_column).select_from(table("pg_dist_partition"))
        visible = con.execute(how.where(func.pg_table_is_visible(here)))
        by = dict(visible.all())
    assert set(spread) == set(by) >= {*metadata.tables, *staging_metadata.tables, "layout"}
    assert by["account_version"] == by["account_current"] == by["stage_delta"] == "integration_id"
    assert by["snapshot"] is by["integration"] is by["exception"] is None
    assert all(
        "integration_id" in each.c
        for each in (*metadata.tables.values(), *staging_metadata.tables.values())
        if by[each.name] == "integration_id"
    )
    close_store(url)


@pytest.mark.skipif(not has_citus(), reason="Citus is not installed: no cluster was tried")
def test_a_cluster_runs_all_tests_of_a_server() -> None:
    assert list(KINDS) == ["server", "cluster"]


def test_restricted_views_show_the_same_as_in_duckdb(
    postgresql: Server, home: Home, tmp_path: Path
) -> None:
    stores = [open_store(postgresql.new_store()), open_store(f"duckdb:///{tmp_path}/store.duckdb")]
    zoe = an_account("zoe", user="Zoe Lovelace", email="zoe@x.io", reason="Zoe has left")
    people = [zoe, an_account("bob", email="ZOE@x.io")]
    for engine in stores:
        with engine.begin() as con:  # so that both number their accounts in the same order
            con.execute(update(schema_version).values(key="the same"))
        for name in ("figma", "slack"):
            path = a_snapshot_file(tmp_path, people, integration=name)
            load(engine, SnapshotFile(path, name, TODAY), confirmed=True)
        accounts = [NamedAccount(name, "zoe") for name in ("figma", "slack")]
        save_note(engine, accounts, "Zoe Lovelace is away", "zoe@x.io", written_at=TODAY)
        with engine.begin() as con:
            views = [("All", None), ("Ours", ["figma"]), ("Both", ["figma", "slack"]), ("None", [])]
            con.execute(insert(saved_view), [a_view(*view) for view in views])
    only = [table for table in metadata.sorted_tables if table.name != "row_fingerprint"]
    for personal in PersonalData:
        for integrations in (("figma",), None):
            found = []
            for engine in stores:
                with restricted_engine(engine, Visibility(integrations, personal)).connect() as con:
                    rows = [row for table in only for row in con.execute(select(table.c))]
                    found.append(sorted(map(_but_for_times, rows)))
            assert found[0] == found[1]
            if personal is not PersonalData.SHOWN:
                assert not re.search("zoe|lovelace", str(found[0]).casefold())


def a_view(name: str, integrations: list[str] | None) -> dict[str, Any]:
    view = {"name": name, "integrations": integrations, "address": "q=zoe"}
    return view | {"saved_by": "zoe@x.io", "saved_at": TODAY}


RANDOM_COLUMNS = ("loaded_at", "snapshot_id")
"""They differ from load to load."""


def _but_for_times(row: Row[Any]) -> str:
    return str({name: value for name, value in row._asdict().items() if name not in RANDOM_COLUMNS})


def test_a_search_uses_the_trigram_index_despite_match_overrides(
    postgresql: Server, tmp_path: Path
) -> None:
    if postgresql.is_cluster:
        pytest.skip("Its workers plan by themselves, and tell it in other words.")
    with postgresql.a_store() as engine:
        Deliveries(engine, tmp_path).take(an_account(), an_unmatched_account("svc"))
        save_match_overrides(
            engine, [MatchOverride("figma", "svc", "x", "People", "1", "Zoë Decided")], "Ada"
        )
        with engine.connect() as con:
            rows, filters = account_rows(con, Filters(q="zoe")), Filters(q="zoe")
            found = select(rows.c.username_in_app).where(*conditions(filters, rows))
            assert con.scalars(found).all() == ["svc"]
            con.execute(text("SET LOCAL enable_seqscan = off"))  # so few rows need no index
            sql = found.compile(con, compile_kwargs={"render_postcompile": True})
            plan = con.exec_driver_sql(f"EXPLAIN {sql.string}", dict(sql.params)).scalars()
            assert "Bitmap Index Scan on current_by_text" in "".join(plan)


def test_an_account_with_a_known_row_and_a_new_one_exists_once(
    postgresql: Server, tmp_path: Path
) -> None:
    with postgresql.a_store() as engine:
        deliveries = Deliveries(engine, tmp_path)
        ada, failed = an_account("ada"), an_account("ada", state="Update failed")
        deliveries.take(ada, an_account("bob"), at=YESTERDAY)
        deliveries.take(ada, failed, an_account("bob", state="Update failed"), at=TODAY)
        with engine.connect() as con:
            query = select(account_current.c.username_in_app, account_current.c.provisioning_state)
            found = sorted(tuple(row) for row in con.execute(query))
    assert found == [("ada", "Onboarded"), ("bob", "Update failed")]


# ---- what holds on DuckDB, here ------------------------------------------------------------------

DRAWN = {
    "days": test_history.histories,
    "other": st.lists(test_history.rows, max_size=5),
    "first": st.lists(test_history.rows, min_size=1, max_size=5),
    "new": st.lists(test_history.rows, max_size=2),
    "data": st.data(),
}
INVARIANTS = [
    check.hypothesis.inner_test
    for name, check in vars(test_history).items()
    if name.startswith("test_") and hasattr(check, "hypothesis") and "archive" not in name
]
"""Invariants of complete histories. Another test covers the archive on this database."""


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda check: check.__name__)
def test_histories_are_the_same_as_in_duckdb(
    invariant: Callable[..., None], postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few examples, as each makes stores."""
    monkeypatch.setattr(test_history, "a_store", postgresql.a_store)
    drawn = {name: DRAWN[name] for name in signature(invariant).parameters}
    settings(test_history.some, max_examples=2, database=None)(given(**drawn)(invariant))()


@pytest.mark.parametrize("name", sorted(viewing.OF_ACCOUNTS))
def test_every_page_reads_from_the_server(team: Home, name: str) -> None:
    viewing.load_all(team, viewing.ADA, viewing.BOB, taken_at=viewing.YESTERDAY)
    viewing.load_all(team, viewing.ADA, viewing.CY, taken_at=viewing.TODAY)
    shown = viewing.page(name)
    assert "No snapshots yet" not in [s.value for s in shown.run.subheader]
    assert shown.run.title
    if name in ("users.py", "health.py", "changes.py", "snapshots.py"):
        assert shown.run.get("bidi_component") or shown.run.get("plotly_chart") or shown.run.metric


def test_the_list_is_filtered_searched_and_sorted_on_the_server(team: Home) -> None:
    viewing.load_all(team, *viewing.accounts(3), viewing.BOB)
    assert viewing.users(q="BOB").usernames == ["bob"]
    assert viewing.users(state="Update failed").usernames == ["bob"]
    assert len(viewing.users(sort="-user").usernames) == 4


# ---- errors --------------------------------------------------------------------------------------


def test_an_unreachable_node_of_a_cluster_is_reported(
    team: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played: the server says what it does where another one does not answer."""
    viewing.load_all(team, viewing.ADA)
    away = "DO $$ BEGIN RAISE EXCEPTION 'no way to node 2' USING ERRCODE = '08006'; END $$"

    def ask(con: Connection, *_: object, **__: object) -> None:
        con.execute(text(away))

    monkeypatch.setattr("queries.users.accounts.count_accounts", ask)
    run = viewing.page("users.py").run
    (message,) = [error.value for error in run.error]
    assert "cannot be reached. PostgreSQL reports: “no way to node 2" in message
