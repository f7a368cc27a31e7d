"""Retention: what is too old goes, and what stays answers as before."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, a_snapshot_file, an_account
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, update
from test_actions import Killed, killed_before_change
from test_history import a_store, contents

import rollcall
from data.access.claims import ConfigError
from data.files.naming import SnapshotFile
from data.formatting import file_stamp, utc_now
from data.history.load import load
from data.history.remove import remove_older
from data.home import Home
from data.inbox.actions import withdraw_snapshot
from data.inbox.inbox import load_inbox, put_into_inbox
from data.records.audit_log import (
    INITIAL_CHECKSUM,
    Event,
    event_checksum,
    flush_pending,
    record_event,
)
from data.records.tables import audit_event
from data.schema import account, snapshot
from data.service.backup import write_backup
from data.service.keeper import Keeper
from data.service.rebuild import load_missing, rebuild
from data.service.retention import Retention, delete_expired, find_expired, read_retention
from data.store.engine import close_store, open_store
from queries.audit import find_broken_event
from queries.filters import Filters
from queries.health.integrations import daily_failed_by_integration
from queries.health.trends import daily_failures, daily_states
from queries.period import Period
from queries.users.accounts import sorted_accounts

STATES = ("Onboarded", "Update failed", "Update awaiting", "Deleted")
accounts = st.dictionaries(
    st.sampled_from(("ada", "bob", "cem")),
    st.tuples(st.sampled_from(STATES), st.sampled_from(("Editor", "Viewer"))),
    max_size=3,
)
histories = st.lists(accounts, min_size=3, max_size=4)
some = settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
DAYS = [TODAY - timedelta(days=100 - n) for n in range(5)]
SCOPE = Period(DAYS[0].date(), DAYS[-1].date())


def files_of(folder: str, history: list[dict[str, tuple[str, str]]]) -> list[SnapshotFile]:
    """One snapshot per day, with an account that never changes."""
    files = []
    for at, listed in zip(DAYS, history, strict=False):
        rows = [an_account(name, state=s, roles=[r]) for name, (s, r) in listed.items()]
        path = a_snapshot_file(Path(folder), [an_account("zoe"), *rows], at=at)
        files.append(SnapshotFile(path, "figma", at))
    return files


def loaded(engine: Engine, files: list[SnapshotFile]) -> Engine:
    for file in files:
        load(engine, file, confirmed=True)
    return engine


def list_at(engine: Engine, at: Any) -> list[Any]:
    """What stands in the files; since when it has been so depends on the history that is left."""
    with engine.connect() as con:
        listed = sorted_accounts(con, Filters(as_of=at), sort="username_in_app", descending=False)
        rows = con.execute(listed).all()
        names = ("username_in_app", "roles", "provisioning_state", "user_email", "last_updated")
        return [tuple(getattr(row, name) for name in names) for row in rows]


def day_counts(engine: Engine, scope: Period = SCOPE) -> list[Any]:
    """What Health shows per day."""
    with engine.connect() as con:
        states = daily_states(con, scope)
        failures = daily_failures(con, scope, states)
        by_integration = daily_failed_by_integration(con, scope)
    states = states.loc[states["accounts"] > 0, ["day", "state", "accounts", "active", "unmatched"]]
    return [frame.to_dict("records") for frame in (states, failures, by_integration)]


@some
@given(histories, st.data())
def test_what_stays_is_as_if_nothing_else_had_been_loaded_and_counts_stay(
    history: list[dict[str, tuple[str, str]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder, a_store() as engine, a_store() as other:
        files = files_of(folder, history)
        loaded(engine, files)
        before = day_counts(engine), [list_at(engine, file.taken_at) for file in files]
        cuts = sorted(data.draw(st.sets(st.integers(1, len(files) - 1), min_size=1)))
        for cut, previous in zip(cuts, [0, *cuts], strict=False):
            assert remove_older(engine, "figma", files[cut].taken_at) == cut - previous
            stay = files[cut:]
            assert [list_at(engine, file.taken_at) for file in stay] == before[1][cut:]
            assert day_counts(engine) == before[0]
        assert contents(engine) == contents(loaded(other, stay))
        with engine.connect() as con, other.connect() as rest:
            ids = select(account.c.account_id).order_by(account.c.account_id)
            assert con.scalars(ids).all() == rest.scalars(ids).all(), "no ID of others is left"


LIMITS = Retention(snapshot_days=98, removed_file_days=30, audit_days=30)
"""On TODAY, the first two of DAYS are too old."""


def fill(home: Home) -> Engine:
    """Five snapshots, each with other accounts."""
    with TemporaryDirectory() as folder:
        listed = [dict.fromkeys("abcd"[n % 2 :], (STATES[n % 4], "Editor")) for n in range(5)]
        for file in files_of(folder, listed):
            put_into_inbox(home, file, confirmed=True)
    store = open_store(home.database_url)
    load_inbox(store, home)
    return store


def archived(home: Home) -> set[str]:
    return {path.name for path in home.archive.rglob("*.ndjson")}


def names_of(*days: datetime) -> set[str]:
    return {f"{file_stamp(day)}.ndjson" for day in days}


def events_of(engine: Engine, home: Home) -> list[tuple[str, dict[str, Any]]]:
    flush_pending(engine, home)
    with engine.connect() as con:
        rows = con.execute(select(audit_event).order_by(audit_event.c.number))
        return [(row.action, json.loads(row.details)) for row in rows]


def test_nothing_is_deleted_without_settings(home: Home) -> None:
    store = fill(home)
    delete_expired(store, home, Retention(), utc_now() + timedelta(days=9_999))
    assert archived(home) == names_of(*DAYS)


def test_old_snapshots_go_with_their_files_and_the_newest_stays(home: Home) -> None:
    store = fill(home)
    assert find_expired(store, home, LIMITS, TODAY).snapshots == {"figma": 2}
    delete_expired(store, home, LIMITS, TODAY)
    assert archived(home) == names_of(*DAYS[2:])
    assert not list(home.removed.rglob("*.ndjson"))
    action, details = events_of(store, home)[-1]
    assert action == Event.RETENTION_APPLIED
    assert (details["integration"], details["snapshots"]) == ("figma", 2)
    delete_expired(store, home, LIMITS, TODAY + timedelta(days=9_999))
    assert archived(home) == names_of(DAYS[-1])
    with store.connect() as con:
        assert con.scalars(select(snapshot.c.taken_at)).all() == [DAYS[-1]]


@pytest.mark.parametrize("way", ["rebuild", "backup"])
def test_the_counts_of_deleted_snapshots_outlive_a_rebuild_and_a_restored_backup(
    home: Home, tmp_path: Path, way: str
) -> None:
    store = fill(home)
    before = day_counts(store)
    delete_expired(store, home, LIMITS, TODAY)
    if way == "rebuild":
        rebuild(home, lambda *_: None)
    else:
        close_store(home.database_url)
        write_backup(home, tmp_path / "backup.tar")
        home = Home(tmp_path / "restored")
        with tarfile.open(tmp_path / "backup.tar") as tar:
            tar.extractall(home.root, filter="data")
        load_missing(open_store(home.database_url), home, lambda *_: None)
    assert day_counts(open_store(home.database_url)) == before
    close_store(home.database_url)


def test_a_kill_in_between_is_completed_at_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home)
    close_store(home.database_url)
    for number in itertools.count(1):
        again = Home(home.root.with_name(f"killed-{number}"))
        shutil.copytree(home.root, again.root)
        store, was_killed = open_store(again.database_url), False
        try:
            with killed_before_change(monkeypatch, number):
                delete_expired(store, again, LIMITS, TODAY)
        except Killed:
            was_killed = True
        assert load_missing(store, again, lambda *_: None) == []
        with store.connect() as con:
            stay = names_of(*con.scalars(select(snapshot.c.taken_at)))
        assert stay == archived(again)
        assert stay in (names_of(*DAYS), names_of(*DAYS[2:]))
        delete_expired(store, again, LIMITS, TODAY)
        assert archived(again) == names_of(*DAYS[2:])
        close_store(again.database_url)
        if not was_killed:
            break
    assert number > 3, "kills came between all steps"


def test_removed_files_and_old_stores_go_by_the_time_since_they_were_put_there(home: Home) -> None:
    store = fill(home)
    withdraw_snapshot(store, home, "figma", DAYS[0])
    old_store = home.root / f"rollcall.duckdb.damaged-{file_stamp(TODAY)}"
    old_store.touch()
    assert find_expired(store, home, LIMITS).files == []
    found = delete_expired(store, home, LIMITS, utc_now() + timedelta(days=31)).files
    assert {path.name for path in found} == {old_store.name, *names_of(DAYS[0])}
    assert not any(path.exists() for path in found)
    assert (home.root / "rollcall.duckdb").exists()


def age(engine: Engine, *numbers: int) -> None:
    """Make events old, with checksums that match."""
    checksum = INITIAL_CHECKSUM
    with engine.begin() as con:
        for row in con.execute(select(audit_event).order_by(audit_event.c.number)).mappings():
            event = dict(row)
            if row["number"] in numbers:
                event["occurred_at"] -= timedelta(days=31)
            checksum = event_checksum(checksum, row["number"], event)
            values = {"occurred_at": event["occurred_at"], "checksum": checksum}
            is_it = audit_event.c.number == row["number"]
            con.execute(update(audit_event).where(is_it).values(values))


def test_old_events_go_and_the_rest_of_the_chain_can_be_verified(home: Home) -> None:
    store = open_store(home.database_url)
    for actor in ("ada", "bob", "cem", "dan"):
        record_event(home, actor, Event.SIGNED_IN)
    flush_pending(store, home)
    age(store, 1, 2)
    delete_expired(store, home, LIMITS)
    deleted = Event.RETENTION_APPLIED
    events = events_of(store, home)
    assert [action for action, _ in events] == [Event.SIGNED_IN, Event.SIGNED_IN, deleted]
    assert events[-1][1]["events"] == 2
    record_event(home, "eve", Event.SIGNED_IN)
    flush_pending(store, home)
    first, record = audit_event.c.number == 3, audit_event.c.number == 5
    for statement, broken in (
        (None, None),
        (update(audit_event).where(first).values(actor="mallory"), 3),
        (update(audit_event).where(first).values(actor="cem"), None),
        (delete(audit_event).where(first), 4),
        (delete(audit_event).where(record), 5),
    ):
        with store.begin() as con:
            if statement is not None:
                con.execute(statement)
            assert find_broken_event(con) == broken
    assert find_expired(store, home, LIMITS).events == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[retention]\nsnapshot_days = 7", "snapshot_days in [retention] must be a whole number"),
        ("[retention]\naudit_days = true", "audit_days in [retention]"),
        ("[retention]\naudit_day = 90", "can have snapshot_days, removed_file_days, audit_days"),
        ("retention = 90", "[retention] can have"),
        ("[retention", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_retention(file)
    assert read_retention(tmp_path / "none.toml") == Retention()


def test_the_command_shows_what_would_go_and_deletes_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[retention]\nsnapshot_days = 30\n")
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    fill(home)
    close_store(home.database_url)
    assert rollcall.main(["retention", "--dry-run"]) == 0
    assert "4 snapshots of figma" in capsys.readouterr().out
    assert archived(home) == names_of(*DAYS)
    assert rollcall.main(["retention"]) == 0
    assert archived(home) == names_of(DAYS[-1])


def test_the_app_deletes_once_a_day(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[retention]\nsnapshot_days = 30\n")
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    fill(home)
    keeper = Keeper(home, "http://127.0.0.1:1")
    keeper.run_once()
    assert archived(home) == names_of(DAYS[-1])
