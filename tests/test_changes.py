"""Changes between two moments, against two lists compared by hand."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, content_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from pyarrow import parquet
from sqlalchemy import Connection

from data.states import FAILED_STATES
from data.store.engine import open_store
from queries.changes.accounts import PAGE_SIZE, count_changes, page_of_changes
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.summary import summarize_changes
from queries.changes.window import (
    SnapshotMoments,
    Window,
    compared_snapshots,
    snapshot_moments,
    window_from_params,
)
from queries.export.changes import WRITERS, ChangesExport
from queries.export.formats import FORMATS

DAY = timedelta(days=1)
FIRST = TODAY - 5 * DAY
SINCE_YESTERDAY = Window(YESTERDAY, TODAY)


def listed(con: Connection, between: Window, kind: str, **only: Any) -> list[str]:
    """The accounts of a list, by username in the app."""
    rows = page_of_changes(con, between, ChangeFilter(kind, **only), 1)
    return [row.after_username_in_app or row.before_username_in_app for row in rows]


# ---- by hand -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """What a snapshot of this test says of an account."""

    state: str = "Onboarded"
    roles: tuple[str, ...] = ()
    active: str = "yes"
    email: str | None = "a@x.io"
    upstream_id: str = "u1"
    last_updated: str = "2026-11-01T00:00:00Z"

    def delivered(self, username: str) -> dict[str, Any]:
        return an_account(
            username,
            user=None,
            email=self.email,
            roles=self.roles,
            active=self.active,
            upstream_id=self.upstream_id,
            state=self.state,
            last_updated=self.last_updated,
        )


Accounts = Mapping[str, Listed]
Histories = Mapping[str, Mapping[int, Accounts]]
"""Integration → day → what the snapshot of the day lists."""


def at(history: Mapping[int, Accounts], day: int) -> Accounts | None:
    """What the last snapshot until the day lists; None before the first."""
    known = [d for d in history if d <= day]
    return history[max(known)] if known else None


def by_hand(histories: Histories, since: int, until: int) -> dict[str, Any]:
    """Every list as (integration, username), and what is counted besides."""
    found: dict[str, Any] = {kind: set() for kind in CHANGE_KINDS}
    found |= {"moves": Counter(), "gained_roles": Counter(), "lost_roles": Counter()}
    found |= {"turned": Counter(), "values": Counter()}
    for name, history in histories.items():
        then, now = at(history, since), at(history, until)
        if then is None or now is None:
            continue
        before = {u for day, texts in history.items() if day <= since for u in texts}
        for username in sorted({*then, *now}):
            one = (name, username)
            was_failed, has_failed = (
                username in side and side[username].state in FAILED_STATES for side in (then, now)
            )
            if was_failed != has_failed:
                found["failed" if has_failed else "resolved"].add(one)
            if username not in then:
                found["back" if username in before else "joined"].add(one)
            elif username not in now:
                found["gone"].add(one)
            else:
                compare(found, one, then[username], now[username])
    return found


def compare(found: dict[str, Any], one: tuple[str, str], was: Listed, now: Listed) -> None:
    if was.state != now.state:
        found["moved"].add(one)
        found["moves"][was.state, now.state] += 1
    for kind, having, lacking in (("gained", now, was), ("lost", was, now)):
        for role in set(having.roles) - set(lacking.roles):
            found[kind].add(one)
            found[f"{kind}_roles"][role] += 1
    if bool(was.email) != bool(now.email):
        found["match"].add(one)
        found["turned"]["matched" if now.email else "unmatched"] += 1
    if was.active != now.active:
        found["activity"].add(one)
        found["turned"][{"yes": "active", "no": "inactive", "": "unknown"}[now.active]] += 1
    others = {
        "user": was.email != now.email and was.email and now.email,
        "upstream_user_id": was.upstream_id != now.upstream_id,
        "last_updated": was != now
        and was == Listed(**vars(now) | {"last_updated": was.last_updated}),
    }
    for value in (name for name, differs in others.items() if differs):
        found["other"].add(one)
        found["values"][value] += 1


LISTED = st.builds(
    Listed,
    state=st.sampled_from(["Onboarded", "Update failed", "Delete failed"]),
    roles=st.sets(st.sampled_from("ABC")).map(lambda roles: tuple(sorted(roles))),
    active=st.sampled_from(["yes", "no", ""]),
    email=st.sampled_from([None, "a@x.io", "b@x.io"]),
    upstream_id=st.sampled_from(["u1", "u2"]),
    last_updated=st.sampled_from(["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]),
)
DAYS = st.integers(0, 4)
LISTS = st.dictionaries(st.sampled_from(["ada", "bob", "cy", "dot"]), LISTED, min_size=1)
HISTORIES = st.dictionaries(
    st.sampled_from(["figma", "okta"]),
    st.dictionaries(DAYS, LISTS, min_size=1, max_size=3),
    min_size=1,
)
CAME_AND_WENT = {"figma": {0: {"ada": Listed()}, 1: {"bob": Listed()}, 2: {"ada": Listed()}}}
CHANGED_BACK = {
    "figma": {0: {"ada": Listed()}, 1: {"ada": Listed("Update failed")}, 2: {"ada": Listed()}}
}
JOINED_AND_CHANGED = {
    "figma": {
        0: {"bob": Listed()},
        1: {"bob": Listed(), "ada": Listed()},
        2: {"bob": Listed(), "ada": Listed("Update failed")},
    }
}
NEW_TO_ROLLCALL = {"figma": {0: {"ada": Listed()}}, "okta": {1: {"bob": Listed()}}}


@settings(max_examples=3)
@given(histories=HISTORIES, since=st.integers(-1, 5), until=st.integers(-1, 5))
@example(histories=CAME_AND_WENT, since=1, until=2)
@example(histories=CHANGED_BACK, since=0, until=2)
@example(histories=JOINED_AND_CHANGED, since=0, until=2)
@example(histories=NEW_TO_ROLLCALL, since=0, until=1)
def test_every_list_and_count_equals_two_lists_compared_by_hand(
    histories: Histories, since: int, until: int
) -> None:
    since, until = sorted((since, until))
    between = Window(FIRST + since * DAY, FIRST + until * DAY)
    expected = by_hand(histories, since, until)
    with a_store_of(histories) as con:
        summary = summarize_changes(con, between)
        for kind in CHANGE_KINDS:
            rows = page_of_changes(con, between, ChangeFilter(kind), 1)
            names = {
                (r.integration, r.after_username_in_app or r.before_username_in_app) for r in rows
            }
            assert names == expected[kind], kind
            assert summary.counts[kind] == len(rows) == len(expected[kind])
            assert count_changes(con, between, ChangeFilter(kind)) == len(rows)
        for was, now, accounts in summary.transitions.itertuples(index=False):
            wanted = ChangeFilter("moved", before=(was,), after=(now,))
            assert count_changes(con, between, wanted) == accounts == expected["moves"][was, now]
        assert summary.transitions["accounts"].sum() == expected["moves"].total()
        for kind in ("gained", "lost"):
            by_role = dict(zip(summary.roles["role"], summary.roles[kind], strict=True))
            assert Counter(by_role) == expected[f"{kind}_roles"]
            for role, accounts in by_role.items():
                assert count_changes(con, between, ChangeFilter(kind, role=role)) == accounts
        assert Counter(summary.status_changes) == expected["turned"]
        assert Counter(summary.value_changes) == expected["values"]
        for value in VALUE_CHANGES:
            accounts = count_changes(con, between, ChangeFilter("other", value=value))
            assert accounts == expected["values"][value]
        assert summary.is_empty == (not any(expected[kind] for kind in CHANGE_KINDS))


# ---- one by one ----------------------------------------------------------------------------------


def test_an_account_listed_before_the_earlier_moment_returned(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account("ada"), an_account("bob"), at=YESTERDAY - DAY)
    snapshots.take(an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("ada"), an_account("bob"), an_account("cy"), at=TODAY)
    assert listed(con, SINCE_YESTERDAY, "back") == ["ada"]
    assert listed(con, SINCE_YESTERDAY, "joined") == ["cy"]
    assert listed(con, Window(YESTERDAY - DAY, TODAY), "back") == []


def test_a_change_that_was_undone_is_no_change(snapshots: Deliveries, con: Connection) -> None:
    for days, state in ((2, "Onboarded"), (1, "Update failed"), (0, "Onboarded")):
        snapshots.take(an_account(state=state), at=TODAY - days * DAY)
    assert summarize_changes(con, Window(TODAY - 2 * DAY, TODAY)).is_empty
    assert not summarize_changes(con, SINCE_YESTERDAY).is_empty


def test_new_and_resolved_failures_count_accounts_that_come_and_go(
    snapshots: Deliveries, con: Connection
) -> None:
    failed = {"state": "Update failed"}
    before = [an_account("ada"), an_account("bob", **failed), an_account("eve", **failed)]
    after = [an_account("ada", **failed), an_account("bob"), an_account("dot", **failed)]
    lasting = an_account("cy", state="Provisioning failed")
    snapshots.take(*before, lasting, at=YESTERDAY)
    snapshots.take(*after, {**lasting, "provisioning_state": "Delete failed"}, at=TODAY)
    assert listed(con, SINCE_YESTERDAY, "failed") == ["ada", "dot"]
    assert listed(con, SINCE_YESTERDAY, "resolved") == ["bob", "eve"]


@pytest.mark.parametrize(
    ("value", "before", "after"),
    [
        ("user", {"user": "Ada"}, {"user": "Ada Lovelace"}),
        ("upstream_user_id", {"upstream_id": "u1"}, {"upstream_id": None}),
        ("username_in_app", {"username": "ada"}, {"username": "ada2"}),
        ("state_reason", {"reason": "Seat limit"}, {"reason": "No licence"}),
        ("failure_code", {"code": "E1"}, {"code": "E2"}),
        ("state_source", {"state_source": "inferred"}, {"state_source": "Reported"}),
        ("role_details", {"roles": [{"name": "A", "via": "x"}]}, {"roles": [{"name": "A"}]}),
        ("attributes", {"team": "red"}, {"team": "blue"}),
        ("flags", {"last_updated": "soon"}, {"last_updated": "later"}),
        ("last_updated", {}, {"last_updated": "2026-11-21T10:00:00Z"}),
    ],
)
def test_every_other_change_is_counted_by_its_name(
    snapshots: Deliveries, con: Connection, value: str, before: Any, after: Any
) -> None:
    snapshots.take(an_account(account_id="1", **before), at=YESTERDAY)
    snapshots.take(an_account(account_id="1", **after), at=TODAY)
    reported = {
        name
        for name, count in summarize_changes(con, SINCE_YESTERDAY).value_changes.items()
        if count
    }
    assert reported == {value}
    (row,) = page_of_changes(con, SINCE_YESTERDAY, ChangeFilter("other", value=value), 1)
    assert {name for name in VALUE_CHANGES if getattr(row, f"value_{name}")} == {value}


def test_a_new_reason_with_a_new_state_is_one_change(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    snapshots.take(an_account(state="Update failed", reason="Seat limit", code="E1"), at=TODAY)
    assert summarize_changes(con, SINCE_YESTERDAY).counts["other"] == 0


def test_each_integration_is_compared_at_its_own_snapshots(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account("ada"), integration="okta", at=TODAY - 3 * DAY)
    snapshots.take(an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("cy"), integration="slack", at=TODAY - DAY / 2)
    snapshots.take(an_account("bob", state="Deleted"), at=TODAY)
    found = compared_snapshots(con, SINCE_YESTERDAY).set_index("integration")
    assert list(found.index) == ["figma", "okta", "slack"]
    assert list(found["taken_after"]) == [TODAY, TODAY - 3 * DAY, TODAY - DAY / 2]
    assert list(found["taken_before"].isna()) == [False, False, True]
    assert listed(con, SINCE_YESTERDAY, "joined") == []
    assert listed(con, SINCE_YESTERDAY, "moved") == ["bob"]


def test_only_the_chosen_integrations_are_compared(snapshots: Deliveries, con: Connection) -> None:
    for name in ("figma", "okta"):
        snapshots.take(an_account(name), integration=name, at=YESTERDAY)
        snapshots.take(an_account(name, state="Deleted"), integration=name, at=TODAY)
    only = Window(YESTERDAY, TODAY, ("okta",))
    assert listed(con, only, "moved") == ["okta"]
    assert summarize_changes(con, only).counts["moved"] == 1


def test_the_next_reader_sees_a_load(snapshots: Deliveries) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    with snapshots.store.connect() as con:
        assert summarize_changes(con, SINCE_YESTERDAY).is_empty
    snapshots.take(an_account(state="Deleted"), at=TODAY)
    with snapshots.store.connect() as con:
        assert summarize_changes(con, SINCE_YESTERDAY).counts["moved"] == 1


def test_pages_follow_each_other_without_gap_or_overlap(
    snapshots: Deliveries, con: Connection
) -> None:
    names = [f"user{n:03}" for n in range(PAGE_SIZE + 7)]
    snapshots.take(an_account("ada"), at=YESTERDAY)
    snapshots.take(an_account("ada"), *map(an_account, reversed(names)), at=TODAY)
    pages = [page_of_changes(con, SINCE_YESTERDAY, ChangeFilter("joined"), n) for n in (1, 2, 3)]
    assert [row.after_username_in_app for page in pages for row in page] == names


# ---- what is asked -------------------------------------------------------------------------------


def test_without_moments_the_newest_is_compared_with_a_day_before(snapshots: Deliveries) -> None:
    assert usual_now(snapshots) is None
    earlier = TODAY - DAY / 4
    snapshots.take(an_account(), at=earlier)
    snapshots.take(an_account(), at=TODAY)
    usual = SnapshotMoments(earlier, earlier, TODAY)
    assert usual_now(snapshots) == usual
    assert window_from_params({}, usual) == Window(earlier, TODAY)  # nothing was there a day before
    snapshots.take(an_account(), at=FIRST)
    usual = SnapshotMoments(FIRST, earlier, TODAY)
    assert usual_now(snapshots) == usual
    assert window_from_params({}, usual) == SINCE_YESTERDAY


def usual_now(snapshots: Deliveries) -> SnapshotMoments | None:
    with snapshots.store.connect() as con:
        return snapshot_moments(con, [])


@given(
    between=st.builds(
        lambda a, b, names: Window(*sorted((a, b)), tuple(names)),
        *[st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda m: m.replace(microsecond=0))] * 2,
        st.lists(st.sampled_from(["figma", "Salesforce EMEA", "a&b=c"]), unique=True),
    ),
    listed=st.builds(
        ChangeFilter,
        st.sampled_from(list(CHANGE_KINDS)),
        before=st.sampled_from([(), ("Onboarded", "Deleted")]),
        after=st.sampled_from([(), FAILED_STATES]),
        role=st.sampled_from([None, "Admin", "a&b"]),
        value=st.sampled_from([None, *VALUE_CHANGES]),
    ),
)
def test_an_address_holds_the_window_and_the_list(between: Window, listed: ChangeFilter) -> None:
    params: dict[str, list[str]] = {}
    for name, value in [*between.params(), *listed.params()]:
        params.setdefault(name, []).append(value)
    usual = SnapshotMoments(FIRST, None, TODAY)
    assert window_from_params(params, usual) == between
    wanted = ChangeFilter.from_params(params)
    assert wanted
    for name in ("before", "after", "role", "value"):  # what a kind has not, its list is not of
        expected = (
            getattr(listed, name)
            if name in CHANGE_KINDS[listed.kind].filter_names
            else getattr(ChangeFilter(""), name)
        )
        assert getattr(wanted, name) == expected


# ---- as a file -----------------------------------------------------------------------------------


def as_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def made(form: str, con: Connection, kind: str) -> bytes:
    """The file of a list of what has changed since yesterday."""
    return content_of(WRITERS[form], ChangesExport(con, SINCE_YESTERDAY, ChangeFilter(kind)))


def test_every_format_has_the_accounts_of_the_list_and_its_metadata(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account("ada"), an_account("bob", roles=["A", "B"]), at=YESTERDAY)
    snapshots.take(an_account("ada"), an_account("bob", roles=["=A"], active="no"), at=TODAY)
    assert list(WRITERS) == list(FORMATS)
    (line,) = json.loads(made("json", con, "lost"))
    file = parquet.ParquetFile(io.BytesIO(made("parquet", con, "lost")))
    (row,) = file.read().to_pylist()
    for reported in (line, row):
        assert (reported["username_in_app"], reported["was_roles"], reported["is_roles"]) == (
            *("bob", ["A", "B"]),
            ["=A"],
        )
        assert (reported["was_active_in_app"], reported["is_active_in_app"]) == (True, False)
    (raw,) = as_rows(made("raw.csv", con, "lost"))
    assert raw["App access, after"] == "=A"
    book = load_workbook(io.BytesIO(made("xlsx", con, "lost")))
    assert book.sheetnames == ["Changes", "About"]
    assert [cell.value for cell in book["Changes"][2]][2] == "bob"
    facts = json.loads(file.metadata.metadata[b"rollcall"])
    assert facts["rows"] == 1
    assert facts["filters"]["list"] == ["lost"]
    taken = [source["taken_at"] for source in facts["snapshots"]]
    assert taken == ["2026-11-22T06:00:00Z", "2026-11-23T06:00:00Z"]


def test_a_file_has_every_page_and_both_sides_of_each_account(
    snapshots: Deliveries, con: Connection
) -> None:
    names = [f"user{n:03}" for n in range(PAGE_SIZE * 2)]
    snapshots.take(*map(an_account, names), at=YESTERDAY)
    after = [
        an_account(n, state="Update failed", reason="Full", active="", roles=[]) for n in names
    ]
    snapshots.take(*after, at=TODAY)
    rows = as_rows(made("csv", con, "moved"))
    assert [row["Username in app"] for row in rows] == names
    assert rows[0] == {
        "Integration": "figma",
        "Account ID": "user000",
        "Username in app": "user000",
        "Provisioning state, before": "Onboarded",
        "Provisioning state, after": "Update failed",
        "Reason, before": "",
        "Reason, after": "Full",
        "Failure code, before": "",
        "Failure code, after": "",
        "User, before": "Ada Lovelace",
        "User, after": "Ada Lovelace",
        "Email, before": "ada@x.io",
        "Email, after": "ada@x.io",
        "App access, before": "Editor",
        "App access, after": "",
        "Active in app, before": "Yes",
        "Active in app, after": "Unknown",
        "Upstream user ID, before": "00u1",
        "Upstream user ID, after": "00u1",
        "Last updated, before": "2026-11-20T10:00:00Z",
        "Last updated, after": "2026-11-20T10:00:00Z",
    }


def test_a_removed_account_has_no_values_after(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account("ada"), an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("bob"), at=TODAY)
    (row,) = as_rows(made("csv", con, "gone"))
    assert row["Username in app"] == "ada"
    assert {value for heading, value in row.items() if heading.endswith(", after")} == {""}


def test_no_cell_of_a_file_is_a_formula(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("bob"), an_unmatched_account("=1+1", roles=["@x"]), at=TODAY)
    (row,) = as_rows(made("csv", con, "joined"))
    assert row["Username in app"] == "'=1+1"
    assert row["App access, after"] == "'@x"


def test_an_empty_file_has_its_headings(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(), at=TODAY)
    content = made("csv", con, "gone").decode("utf-8-sig")
    assert content.startswith('"Integration","Account ID"')
    assert len(content.splitlines()) == 1


def test_the_name_of_a_file_holds_the_list_and_the_moments(con: Connection) -> None:
    between = Window(YESTERDAY, TODAY, ("Salesforce EMEA",))
    wanted = ChangeFilter("moved", before=("Onboarded",), after=("Update failed",))
    assert ChangesExport(con, between, wanted).name("csv") == (
        "changes-salesforce-emea-moved-onboarded-update-failed-"
        "2026-11-22T06-00-00Z-2026-11-23T06-00-00Z.csv"
    )


class a_store_of:  # noqa: N801 - reads as the function that it could be
    """A reader of a store with these histories, loaded in no order of time."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories

    def __enter__(self) -> Connection:
        self.folder = TemporaryDirectory()
        self.store = open_store(f"duckdb:///{self.folder.name}/store.duckdb")
        deliveries = Deliveries(self.store, Path(self.folder.name))
        for name, history in self.histories.items():
            for day, texts in history.items():
                accounts = [one.delivered(username) for username, one in texts.items()]
                deliveries.take(*accounts, integration=name, at=FIRST + day * DAY)
        self.con = self.store.connect()
        return self.con

    def __exit__(self, *_: object) -> None:
        self.con.close()
        self.store.dispose()
        self.folder.cleanup()
