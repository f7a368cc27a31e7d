"""What changed between two moments, against a comparison of two lists by hand."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from data.states import FAILED
from data.store import open_store
from queries.changes import (
    KINDS,
    PAGE_SIZE,
    VALUES,
    Between,
    Listed,
    asked_between,
    changes_csv,
    compared_snapshots,
    count_changes,
    file_name,
    page_of_changes,
    summary_of,
    usual_moments,
)

DAY = timedelta(days=1)
FIRST = TODAY - 5 * DAY
SINCE_YESTERDAY = Between(YESTERDAY, TODAY)


def listed(con: Connection, between: Between, kind: str, **only: Any) -> list[str]:
    """The accounts of a list, by username in the app."""
    rows = page_of_changes(con, between, Listed(kind, **only), 1)
    return [row.is_username_in_app or row.was_username_in_app for row in rows]


# ---- by hand -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
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


Accounts = Mapping[str, Said]
Histories = Mapping[str, Mapping[int, Accounts]]
"""Integration → day → what the snapshot of the day lists."""


def at(history: Mapping[int, Accounts], day: int) -> Accounts | None:
    """What the last snapshot until the day lists; None before the first."""
    known = [d for d in history if d <= day]
    return history[max(known)] if known else None


def by_hand(histories: Histories, since: int, until: int) -> dict[str, Any]:
    """Every list as (integration, username), and what is counted besides."""
    found: dict[str, Any] = {kind: set() for kind in KINDS}
    found |= {"moves": Counter(), "gained_roles": Counter(), "lost_roles": Counter()}
    found |= {"turned": Counter(), "values": Counter()}
    for name, history in histories.items():
        then, now = at(history, since), at(history, until)
        if then is None or now is None:
            continue
        before = {u for day, said in history.items() if day <= since for u in said}
        for username in sorted({*then, *now}):
            one = (name, username)
            if username not in then:
                found["back" if username in before else "joined"].add(one)
            elif username not in now:
                found["gone"].add(one)
            else:
                compare(found, one, then[username], now[username])
    return found


def compare(found: dict[str, Any], one: tuple[str, str], was: Said, now: Said) -> None:
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
        and was == Said(**vars(now) | {"last_updated": was.last_updated}),
    }
    for value in (name for name, differs in others.items() if differs):
        found["other"].add(one)
        found["values"][value] += 1


SAID = st.builds(
    Said,
    state=st.sampled_from(["Onboarded", "Update failed", "Delete failed"]),
    roles=st.sets(st.sampled_from("ABC")).map(lambda roles: tuple(sorted(roles))),
    active=st.sampled_from(["yes", "no", ""]),
    email=st.sampled_from([None, "a@x.io", "b@x.io"]),
    upstream_id=st.sampled_from(["u1", "u2"]),
    last_updated=st.sampled_from(["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]),
)
DAYS = st.integers(0, 4)
LISTS = st.dictionaries(st.sampled_from(["ada", "bob", "cy", "dot"]), SAID, min_size=1)
HISTORIES = st.dictionaries(
    st.sampled_from(["figma", "okta"]), st.dictionaries(DAYS, LISTS, min_size=1), min_size=1
)
CAME_AND_WENT = {"figma": {0: {"ada": Said()}, 1: {"bob": Said()}, 2: {"ada": Said()}}}
CHANGED_BACK = {
    "figma": {0: {"ada": Said()}, 1: {"ada": Said("Update failed")}, 2: {"ada": Said()}}
}
NEW_TO_ROLLCALL = {"figma": {0: {"ada": Said()}}, "okta": {1: {"bob": Said()}}}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories=HISTORIES, since=st.integers(-1, 5), until=st.integers(-1, 5))
@example(histories=CAME_AND_WENT, since=1, until=2)
@example(histories=CHANGED_BACK, since=0, until=2)
@example(histories=NEW_TO_ROLLCALL, since=0, until=1)
def test_every_list_and_every_count_is_that_of_two_lists_compared_by_hand(
    histories: Histories, since: int, until: int
) -> None:
    since, until = sorted((since, until))
    between = Between(FIRST + since * DAY, FIRST + until * DAY)
    expected = by_hand(histories, since, until)
    with a_store_of(histories) as con:
        summary = summary_of(con, between)
        for kind in KINDS:
            rows = page_of_changes(con, between, Listed(kind), 1)
            names = {(r.integration, r.is_username_in_app or r.was_username_in_app) for r in rows}
            assert names == expected[kind], kind
            assert summary.counts[kind] == len(rows) == len(expected[kind])
            assert count_changes(con, between, Listed(kind)) == len(rows)
        for was, now, accounts in summary.moves.itertuples(index=False):
            asked = Listed("moved", was=(was,), now=(now,))
            assert count_changes(con, between, asked) == accounts == expected["moves"][was, now]
        assert summary.moves["accounts"].sum() == expected["moves"].total()
        for kind in ("gained", "lost"):
            by_role = dict(zip(summary.roles["role"], summary.roles[kind], strict=True))
            assert Counter(by_role) == expected[f"{kind}_roles"]
            for role, accounts in by_role.items():
                assert count_changes(con, between, Listed(kind, role=role)) == accounts
        assert Counter(summary.turned) == expected["turned"]
        assert Counter(summary.values) == expected["values"]
        for value in VALUES:
            accounts = count_changes(con, between, Listed("other", value=value))
            assert accounts == expected["values"][value]
        assert summary.is_nothing == (not any(expected[kind] for kind in KINDS))


class a_store_of:  # noqa: N801 - reads as the function that it could be
    """A reader of a store with these histories, loaded in no order of time."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories

    def __enter__(self) -> Connection:
        self.folder = TemporaryDirectory()
        self.store = open_store(f"duckdb:///{self.folder.name}/store.duckdb")
        deliveries = Deliveries(self.store, Path(self.folder.name))
        for name, history in self.histories.items():
            for day, said in history.items():
                accounts = [one.delivered(username) for username, one in said.items()]
                deliveries.take(*accounts, integration=name, at=FIRST + day * DAY)
        self.con = self.store.connect()
        return self.con

    def __exit__(self, *_: object) -> None:
        self.con.close()
        self.store.dispose()
        self.folder.cleanup()
