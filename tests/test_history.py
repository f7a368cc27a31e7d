"""The invariants of the history: however snapshots are loaded, the store is the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from account_model import account_ids, accounts_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, update

from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load, refresh_sign_ins
from data.history.remove import remove_older, remove_snapshot
from data.history.since import PREVIOUS_COLUMNS
from data.home import Home, current_home
from data.inbox.actions import withdraw_snapshot
from data.inbox.inbox import load_inbox, put_into_inbox
from data.schema import (
    DERIVED_COLUMNS,
    SLOW_CHANGING_COLUMNS,
    TRACKED_COLUMNS,
    account,
    account_current,
    account_profile,
    account_version,
    is_same_account,
    job_end,
    join_profile,
    last_sign_in,
    rejected_row,
    row_fingerprint,
    snapshot,
    state_change,
    state_count,
)
from data.service.rebuild import rebuild
from data.states import STATE_BY_NAME, STATE_NAMES
from data.store.engine import close_store, open_store, schema_version
from queries.health.integrations import daily_failed_by_integration
from queries.health.trends import daily_failures, daily_states, daily_transitions
from queries.period import Period

START = datetime(2026, 1, 1)

USERS = {
    "": (None, None),
    "Ada Lovelace <ada@x.io>": ("Ada Lovelace", "ada@x.io"),
    "bob@x.io": (None, "bob@x.io"),
    " Cy ": ("Cy", None),
    "Cy": ("Cy", None),
}
ROLES = {
    "": [],
    "Admin": ["Admin"],
    "Editor;Admin": ["Admin", "Editor"],
    "Admin; Editor ;Admin": ["Admin", "Editor"],
}
ACTIVE = {"yes": True, "No": False, "": None, "perhaps": None}
STATES = dict(zip(STATE_NAMES[:4], STATE_NAMES, strict=False)) | {
    "update_failed": "Update failed",
    "Odd": "Unrecognised",
    "": "Unrecognised",
}
TIMES = {
    "": None,
    "2026-01-01T00:00:00Z": datetime(2026, 1, 1),
    "2026-01-01 02:00+02:00": datetime(2026, 1, 1),
    "soon": None,
}
SIGN_INS = {
    "2026-01-01T08:00:00Z": datetime(2026, 1, 1, 8),
    "2026-01-02 09:30:00": datetime(2026, 1, 2, 9, 30),
    "Never": None,
    "1970-01-01T00:00:00Z": None,
    "": "unknown",
    "soon": "unknown",
}
"""Text in a file → its value, worked out by hand. None is never."""

UNREADABLE = {"active_in_app": "perhaps", "provisioning_state": "Odd", "last_updated": "soon"}

GUIDS = ("0B1D5C1E-0001-4A6E-9A51-000000000001", "{0b1d5c1e-0001-4a6e-9a51-000000000001}")

rows = st.fixed_dictionaries(
    {
        "username_in_app": st.sampled_from(["ada", "Ada", "bob", "cy", "", "é'x", "e\u0301'x"]),
        "account_id": st.sampled_from(["", "", "", "A-1", "a-1", "bob", "N/A", *GUIDS]),
        "user": st.sampled_from(list(USERS)),
        "roles": st.sampled_from(list(ROLES)),
        "active_in_app": st.sampled_from(list(ACTIVE)),
        "provisioning_state": st.sampled_from(list(STATES)),
        "last_updated": st.sampled_from(list(TIMES)),
        "last_sign_in": st.sampled_from(list(SIGN_INS)),
    }
)
histories = st.lists(st.lists(rows, max_size=5), min_size=1, max_size=4)

# Failures are not shrunk, which would take minutes of loading.
some = settings(
    max_examples=4,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


class History:
    """A list of snapshots, each written as a file on a day of its own."""

    def __init__(self, folder: Path, days: list[list[dict[str, Any]]]) -> None:
        self.files: list[SnapshotFile] = []
        self.rows: list[list[dict[str, Any]]] = []
        for number, accounts in enumerate(days):
            path = folder / "app" / f"2026-01-{number + 1:02}T00-00-00Z.ndjson"
            path.parent.mkdir(exist_ok=True)
            # With these rows, which are always accounts, most rows are never rejected.
            valid = [{"username_in_app": f"valid{i}"} for i in range(len(accounts) + 1)]
            self.rows.append(valid + accounts)
            path.write_text("".join(json.dumps(row) + "\n" for row in self.rows[-1]))
            self.files.append(SnapshotFile(path, "app", START + timedelta(days=number)))


numbers = count()


@contextmanager
def a_store() -> Iterator[Engine]:
    """An empty store in memory, for one test."""
    engine = open_store(f"duckdb:///:memory:history{next(numbers)}")
    try:
        yield engine
    finally:
        engine.dispose()


def load_all(engine: Engine, files: list[SnapshotFile]) -> list[LoadResult]:
    return [load(engine, file, confirmed=True) for file in files]


COMPUTED_COLUMNS = ("search", "content_hash", "is_matched")


def contents(engine: Engine) -> dict[str, Any]:
    """All rows of the store, without the keys of accounts, which are each store's own."""
    names = select(account.c.account_key, account.c.account_id).subquery()
    whole = join_profile(account_version)
    versions = select(
        names.c.account_id,
        *(whole.c[n] for n in (*TRACKED_COLUMNS, *DERIVED_COLUMNS, "valid_from", "valid_to")),
    ).join_from(whole, names, names.c.account_key == whole.c.account_key)
    profiles = select(
        names.c.account_id,
        *(account_profile.c[n] for n in ("content_since", *SLOW_CHANGING_COLUMNS)),
    ).join_from(account_profile, names, names.c.account_key == account_profile.c.account_key)
    current = select(
        names.c.account_id,
        *(
            account_current.c[n]
            for n in (*TRACKED_COLUMNS, *DERIVED_COLUMNS, "valid_from", *COMPUTED_COLUMNS)
        ),
    ).join_from(account_current, names, names.c.account_key == account_current.c.account_key)
    with engine.connect() as con:

        def rows_of(statement: Any) -> list[str]:
            return sorted(str(tuple(row)) for row in con.execute(statement))

        return {
            "versions": rows_of(versions),
            "profiles": rows_of(profiles),
            "current": rows_of(current),
            "sign_ins": rows_of(
                select(names.c.account_id, last_sign_in.c.signed_in_at).join_from(
                    last_sign_in, names, names.c.account_key == last_sign_in.c.account_key
                )
            ),
            "counts": rows_of(select(*state_count.c)),
            "changes": rows_of(select(*state_change.c)),
            "ended": rows_of(select(*job_end.c)),
            "snapshots": rows_of(
                select(
                    snapshot.c.taken_at,
                    snapshot.c.rows_read,
                    snapshot.c.accepted,
                    snapshot.c.rejected,
                    snapshot.c.flagged,
                    snapshot.c.facts,
                )
            ),
        }


def in_order(files: list[SnapshotFile]) -> dict[str, Any]:
    with a_store() as engine:
        load_all(engine, files)
        return contents(engine)


@some
@given(histories, st.data())
def test_files_in_any_order_loaded_once_or_again_or_removed_give_the_same_store(
    days: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Nor does the order of rows make a difference. No row is lost: it is accepted or rejected."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other_folder:
        history = History(Path(folder), days)
        shuffled_rows = [data.draw(st.permutations(accounts)) for accounts in days]
        shuffled = History(Path(other_folder), shuffled_rows).files
        with a_store() as engine:
            check_counts(load_all(engine, history.files), history)
            before = contents(engine)
            assert all(loaded.already_loaded for loaded in load_all(engine, history.files))
            assert contents(engine) == before
        with a_store() as engine:
            load_all(engine, data.draw(st.permutations(shuffled)))
            assert contents(engine) == before
            out = data.draw(st.sampled_from(shuffled))
            assert remove_snapshot(engine, "app", out.taken_at)
            rest = [file for file in shuffled if file is not out]
            for file in rest[-1:]:
                refresh_sign_ins(engine, file)
            assert contents(engine) == in_order(rest)


def day_counts(engine: Engine, moments: list[datetime]) -> list[Any]:
    """What Health shows per day."""
    scope = Period(moments[0].date(), moments[-1].date())
    with engine.connect() as con:
        states = daily_states(con, scope)
        failures = daily_failures(daily_transitions(con, scope), scope, states)
        by_integration = daily_failed_by_integration(con, scope)
    states = states.loc[states["accounts"] > 0, ["day", "state", "accounts", "active", "unmatched"]]
    return [frame.to_dict("records") for frame in (states, failures, by_integration)]


@settings(some, max_examples=3)
@given(histories, st.data())
def test_removing_older_snapshots_leaves_the_rest_and_the_counts_of_all_days(
    days: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder, a_store() as engine:
        files = History(Path(folder), days).files
        moments = [file.taken_at for file in files]
        load_all(engine, files)
        before = [stored_accounts(engine, moment) for moment in moments]
        counts, removed = day_counts(engine, moments), 0
        for first in sorted(data.draw(st.sets(st.sampled_from(range(len(days))), max_size=2))):
            assert remove_older(engine, "app", moments[first]) == first - removed
            removed = first
        rest = moments[removed:]
        assert [stored_accounts(engine, moment) for moment in rest] == before[removed:]
        assert contents(engine) == in_order(files[removed:])
        assert day_counts(engine, moments) == counts
        with engine.connect() as con:
            versions = select(account_version.c.account_key)
            is_left = account.c.account_key.not_in(versions)
            assert not con.scalars(select(account.c.account_id).where(is_left)).all()


@settings(some, max_examples=3)
@given(histories, st.lists(rows, max_size=5), st.data())
def test_replacing_a_snapshot_equals_loading_only_the_replacement(
    days: list[list[dict[str, Any]]], other: list[dict[str, Any]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder, a_store() as engine:
        day = data.draw(st.integers(0, len(days) - 1))
        load_all(engine, History(Path(folder), days).files)
        replaced = History(Path(folder), [*days[:day], other, *days[day + 1 :]]).files
        load(engine, replaced[day], replace=True, confirmed=True)
        assert contents(engine) == in_order(replaced)


@settings(some, max_examples=3)
@given(histories, st.lists(rows, max_size=5), st.data())
def test_rebuilding_the_store_from_the_archive_gives_the_same_store(
    days: list[list[dict[str, Any]]], other: list[dict[str, Any]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder, a_home() as home:
        files = History(Path(folder), days).files
        engine = open_store(home.database_url)
        for file in data.draw(st.permutations(files)):
            put_into_inbox(home, file, confirmed=True)
            load_inbox(engine, home)
        out, day = (data.draw(st.integers(0, len(days) - 1)) for _ in range(2))
        changed = History(Path(folder), [*days[:day], other, *days[day + 1 :]]).files
        put_into_inbox(home, changed[day], replace=True, confirmed=True)
        load_inbox(engine, home)
        withdraw_snapshot(engine, home, "app", files[out].taken_at)
        before = contents(engine)
        rebuild(home, lambda *_: None)
        assert contents(open_store(home.database_url)) == before
        assert len(before["snapshots"]) == len(days) - 1


def test_the_fingerprints_of_another_store_say_nothing() -> None:
    """Who knows one cannot make a row that counts as unchanged in another store."""
    found: list[set[int]] = []
    for _ in range(2):
        with TemporaryDirectory() as folder, a_store() as engine:
            load_all(engine, History(Path(folder), [[{"username_in_app": "ada"}]]).files)
            with engine.connect() as con:
                found.append(set(con.scalars(select(row_fingerprint.c.fingerprint))))
    assert [len(each) for each in found] == [3, 3]
    assert not found[0] & found[1]


@some
@given(st.lists(rows, min_size=1, max_size=5), st.lists(rows, max_size=2), st.data())
def test_loading_without_fingerprints_gives_the_same_store(
    first: list[dict[str, Any]], new: list[dict[str, Any]], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(first), max_size=6))
    second = data.draw(st.permutations([*again, *new]))
    outcomes = []
    for without_fingerprints in (False, True):
        with TemporaryDirectory() as folder, a_store() as engine:
            files = History(Path(folder), [first, second]).files
            with engine.begin() as con:
                con.execute(update(schema_version).values(key="the same key"))
            load_all(engine, files[:1])
            if without_fingerprints:
                with engine.begin() as con:
                    con.execute(delete(row_fingerprint))
            load_all(engine, files[1:])
            named = select(account.c.account_id, row_fingerprint.c.fingerprint).join_from(
                row_fingerprint, account, is_same_account(account, row_fingerprint)
            )
            with engine.connect() as con:
                rejected = con.execute(select(*rejected_row.c[1:])).all()
                fingerprints = con.execute(named).all()
            outcomes.append((contents(engine), sorted(map(str, [*rejected, *fingerprints]))))
    assert outcomes[0] == outcomes[1]


@contextmanager
def a_home() -> Iterator[Home]:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", folder)
        patch.delenv("ROLLCALL_DATABASE_URL", raising=False)
        home = current_home()
        try:
            yield home
        finally:
            close_store(home.database_url)


# ---- the store equals the files, worked out here without any of its code -------------------------


def expected_accounts(records: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Account ID → its values; rows without a username are not accounts.

    A file without a column of states lists Onboarded accounts.
    """
    has_states = any("provisioning_state" in row for row in records)
    default: dict[str, Any] = {} if has_states else {"provisioning_state": "Onboarded"}
    return {
        account_id: expected_values(account.row | default, account.roles)
        for account_id, account in accounts_of(records).items()
    }


def expected_values(row: dict[str, Any], roles: list[str]) -> tuple[Any, ...]:
    return (
        row["username_in_app"],
        *USERS[row.get("user") or ""],
        sorted({role for cell in roles for role in ROLES[cell]}),
        ACTIVE[row.get("active_in_app") or ""],
        STATES[row.get("provisioning_state") or ""],
        TIMES[row.get("last_updated") or ""],
        {name: text for name, text in UNREADABLE.items() if row.get(name) == text},
    )


def stored_accounts(engine: Engine, moment: datetime) -> dict[str, tuple[Any, ...]]:
    """Account ID → its values in the store at the moment."""
    whole = join_profile(account_version)
    v = whole.c
    query = select(
        account.c.account_id,
        *(v.username_in_app, v.user_name, v.user_email, v.roles, v.active_in_app),
        *(v.provisioning_state, v.last_updated, v.flags),
        *(v.role_details, v.upstream_user_id, v.state_reason, v.failure_code, v.attributes),
    )
    with engine.connect() as con:
        rows = con.execute(
            query.join_from(whole, account, is_same_account(account, whole)).where(
                v.valid_from <= moment, v.valid_to > moment
            )
        ).all()
    assert all(value is None for row in rows for value in row[9:])
    stored = {row[0]: (*row[1:8], json.loads(row[8] or "{}")) for row in rows}
    assert len(stored) == len(rows)
    return stored


def count_by_state(accounts: dict[str, tuple[Any, ...]]) -> dict[str, list[int]]:
    """State → accounts, active ones, unmatched ones."""
    counts: dict[str, list[int]] = {}
    for _, name, email, _, active, state, *_ in accounts.values():
        numbers = counts.setdefault(state, [0, 0, 0])
        numbers[0] += 1
        numbers[1] += active is True
        numbers[2] += name is None and email is None
    return counts


def moves(before: dict[str, Any], after: dict[str, Any]) -> Counter[tuple[Any, Any]]:
    """(from state, to state) → accounts; None where an account was, or is, not there."""
    pairs = (
        tuple(side[name][5] if name in side else None for side in (before, after))
        for name in before | after
    )
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def check_accounts(engine: Engine, history: History) -> None:
    """The store has the accepted rows of every snapshot."""
    for file, records in zip(history.files, history.rows, strict=True):
        assert stored_accounts(engine, file.taken_at) == expected_accounts(records)
    newest_rows = history.rows[-1] if history.rows else []
    assert stored_sign_ins(engine) == expected_sign_ins(newest_rows)


def expected_sign_ins(records: list[dict[str, Any]]) -> dict[str, datetime | None]:
    """Account ID → the latest of its last sign-ins; None for never. Those unknown are left out."""
    listed = [row for row in records if row["username_in_app"]]
    reported: dict[str, datetime | None] = {}
    for row, account_id in zip(listed, account_ids(listed), strict=True):
        signed_in_at = SIGN_INS[row.get("last_sign_in") or ""]
        if signed_in_at != "unknown":
            reported[account_id] = max(
                filter(None, (reported.get(account_id), signed_in_at)), default=None
            )
    return reported


def stored_sign_ins(engine: Engine) -> dict[str, datetime | None]:
    query = select(account.c.account_id, last_sign_in.c.signed_in_at).join_from(
        last_sign_in, account, is_same_account(account, last_sign_in)
    )
    with engine.connect() as con:
        return {row[0]: row[1] for row in con.execute(query)}


def check_counts(results: list[LoadResult], history: History) -> None:
    """Every row is accepted, rejected or merged."""
    for loaded, records in zip(results, history.rows, strict=True):
        assert loaded.rows_read == len(records)
        accounts = accounts_of(records)
        assert loaded.accepted + loaded.rejected + loaded.merged == loaded.rows_read
        assert loaded.accepted == len(accounts)
        nameless = sum(not row["username_in_app"] for row in records)
        assert loaded.rejected == nameless + sum(a.rejected for a in accounts.values())
        assert loaded.flagged == sum(bool(row[-1]) for row in expected_accounts(records).values())


def check_rollups(engine: Engine, history: History) -> None:
    """The rollups of every snapshot equal counts of its accounts."""
    with engine.connect() as con:
        counts = con.execute(select(state_count)).mappings().all()
        changes = con.execute(select(state_change)).mappings().all()
    before: dict[str, Any] = {}
    for file, records in zip(history.files, history.rows, strict=True):
        after, at = expected_accounts(records), file.taken_at
        moved = moves(before, after)
        assert moved == {
            (row["from_state"], row["to_state"]): row["accounts"]
            for row in changes
            if row["taken_at"] == at
        }
        current = [row for row in counts if row["taken_at"] == at]
        assert count_by_state(after) == {
            row["provisioning_state"]: [row["accounts"], row["active"], row["unmatched"]]
            for row in current
            if row["accounts"]
        }
        for row in current:
            state = row["provisioning_state"]
            assert row["entered"] == sum(n for (_, to), n in moved.items() if to == state)
            assert row["left"] == sum(n for (was, _), n in moved.items() if was == state)
            assert row["changed"] == sum(
                before[name] != values
                for name, values in after.items()
                if name in before and values[5] == state
            )
        before = after


# ---- since-columns and job ends, worked out snapshot by snapshot ---------------------------------

Values = tuple[Any, ...]

OPERATION = {name: STATE_BY_NAME[name].operation for name in STATES.values()}


def attempt(values: Values) -> Any:
    state = STATE_BY_NAME[values[5]]
    return state.operation if state.phase in ("awaiting", "ongoing") else state.name


def test_the_first_word_of_a_state_identifies_its_operation() -> None:
    words = [(s.name.split(" ")[0], s.operation or s.name) for s in STATE_BY_NAME.values()]
    assert len({word for word, _ in words}) == len({of for _, of in words}) == len(set(words))


SINCE_VALUES = {
    "state_since": lambda values: values[5],
    "attempt_since": attempt,
    "job_since": lambda values: OPERATION[values[5]] or values[5],
    "active_since": lambda values: values[4],
    "user_since": lambda values: values[1:3],
    "content_since": lambda values: values[:5],
}


def expected_since(history: History) -> list[dict[str, dict[str, Any]]]:
    """Per snapshot: account ID → the since-columns and the previous values."""
    expected: list[dict[str, dict[str, Any]]] = []
    snapshots = [expected_accounts(records) for records in history.rows]
    for number, file in enumerate(history.files):
        before = snapshots[number - 1] if number else {}
        earlier = expected[-1] if expected else {}
        expected.append({})
        for name, values in snapshots[number].items():
            is_continued = {
                column: name in before and value_of(before[name]) == value_of(values)
                for column, value_of in SINCE_VALUES.items()
            }
            since = {
                column: earlier[name][column] if is_continued[column] else file.taken_at
                for column in SINCE_VALUES
            }
            for column, of, value in (
                ("previous_state", "state_since", name in before and before[name][5]),
                ("previous_job_since", "job_since", name in before and earlier[name]["job_since"]),
            ):
                since[column] = earlier[name][column] if is_continued[of] else value or None
            expected[-1][name] = since
    return expected


def check_since_columns(engine: Engine, history: History) -> None:
    """Since-columns hold the first of the continuous snapshots with a value."""
    files = history.files
    v = account_version.c
    query = select(
        account.c.account_id, *(v[name] for name in (*SINCE_VALUES, *PREVIOUS_COLUMNS))
    ).join_from(account_version, account, is_same_account(account, account_version))
    for file, expected in zip(files, expected_since(history), strict=True):
        versions = query.where(v.valid_from <= file.taken_at, v.valid_to > file.taken_at)
        with engine.connect() as con:
            rows = con.execute(versions).mappings().all()
            oldest = con.execute(
                select(state_count.c.provisioning_state, state_count.c.oldest).where(
                    state_count.c.taken_at == file.taken_at, state_count.c.oldest.is_not(None)
                )
            ).all()
        stored = {
            row["account_id"]: {n: row[n] for n in (*SINCE_VALUES, *PREVIOUS_COLUMNS)}
            for row in rows
        }
        assert stored == expected
        states = {
            name: values[5]
            for name, values in expected_accounts(history.rows[files.index(file)]).items()
        }
        oldest_by_state: dict[str, Any] = {}
        for name, state in states.items():
            if OPERATION[state]:
                since = expected[name]["attempt_since"]
                oldest_by_state[state] = min(since, oldest_by_state.get(state, since))
        assert {row[0]: row[1] for row in oldest} == oldest_by_state


def check_job_ends(engine: Engine, history: History) -> None:
    """Jobs and attempts end where the next snapshot shows something else."""
    files = history.files
    snapshots, since_by_snapshot = (
        [expected_accounts(records) for records in history.rows],
        expected_since(history),
    )
    ended: Counter[tuple[Any, ...]] = Counter()
    for number in range(1, len(files)):
        for name, was in snapshots[number - 1].items():
            state, since = STATE_BY_NAME[was[5]], since_by_snapshot[number - 1][name]
            now = snapshots[number].get(name)
            after = STATE_BY_NAME[now[5]] if now else None
            same_job = after is not None and after.operation == state.operation
            open_phases = ("awaiting", "ongoing")
            if not state.operation or (
                same_job and (state.phase == "failed" or (after and after.phase in open_phases))
            ):
                continue
            outcome = "other"
            if after and after.name in ("Onboarded", "Deleted"):
                outcome = "settled"
            elif after and after.phase == "failed" and same_job:
                outcome = "failed"
            attempted = since["attempt_since"] if state.phase in open_phases else None
            moment = files[number].taken_at
            ended[moment, state.operation, since["job_since"], attempted, outcome] += 1
    e = job_end.c
    columns = (e.taken_at, e.operation, e.began, e.attempt_began, e.outcome, e.jobs)
    with engine.connect() as con:
        assert {tuple(row[:5]): row[5] for row in con.execute(select(*columns))} == ended


# ---- any history ---------------------------------------------------------------------------------


@settings(some, max_examples=6)
@given(histories, st.data())
def test_the_store_equals_its_files_after_any_history(
    days: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """They are loaded in any order, and perhaps one of them is removed again."""
    with TemporaryDirectory() as folder, a_store() as engine:
        history = History(Path(folder), days)
        load_all(engine, data.draw(st.permutations(history.files)))
        out = data.draw(st.sampled_from([None, *history.files]))
        if out:
            remove_snapshot(engine, "app", out.taken_at)
            place = history.files.index(out)
            del history.files[place], history.rows[place]
            for file in history.files[-1:]:
                refresh_sign_ins(engine, file)
        for check in (check_accounts, check_rollups, check_since_columns, check_job_ends):
            check(engine, history)
