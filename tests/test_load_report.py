"""What the passport of a snapshot tells, and when a person should look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Account,
    Deliveries,
    a_snapshot_file,
    an_account,
    usernames,
)
from sqlalchemy import Connection, Engine, select

from data.files.naming import SnapshotFile
from data.history.load_report import (
    LoadReport,
    exceeds_deletion_limit,
    load_report,
    load_reports,
    set_deletion_limit,
)
from data.history.preview import preview
from data.schema import integration

TEN = [an_account(f"a{n}") for n in range(10)]


def tell(store: Engine) -> LoadReport:
    """As the store has it now, whatever it said to an earlier reader."""
    with store.connect() as con:
        return load_report(con, "figma", TODAY)


def test_a_passport_compares_with_the_snapshot_before(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    snapshots.take(
        *TEN[3:8],
        an_account("a8", state="Update failed"),
        an_account("a9", state="Deleted"),
        an_account("new"),
    )
    seen = tell(store)
    assert (seen.added, seen.changed, seen.removed, seen.being_deleted) == (1, 2, 3, 1)
    assert seen.previous
    assert (seen.previous.taken_at, seen.previous.accounts) == (YESTERDAY, 10)
    assert seen.deletion_share == pytest.approx(0.4)
    assert seen.states == {"Onboarded": 6, "Update failed": 1, "Deleted": 1}
    assert seen.state_shift == pytest.approx(0.25)
    assert seen.quality == "check"
    assert seen.warnings() == [
        "4 of 10 accounts (40%) would be deleted: 3 no longer listed, 1 now being deleted. "
        "The limit is 20%.",
        "25% of accounts are in a different state than before.",
    ]


def test_a_preview_names_who_would_leave_and_changes_nothing(
    store: Engine, snapshots: Deliveries, tmp_path: Path
) -> None:
    snapshots.take(*TEN[:4], at=YESTERDAY)
    accounts = [TEN[0], an_account("a1", state="Delete awaiting"), TEN[2], an_account("new")]
    path = a_snapshot_file(tmp_path, accounts)
    seen = preview(store, SnapshotFile(path, "figma", TODAY))
    assert seen.deletions == [
        ("a1", "Ada Lovelace", "Onboarded", "Delete awaiting"),
        ("a3", "Ada Lovelace", "Onboarded", "Removed"),
    ]
    assert (seen.load_report.added, seen.load_report.removed, seen.load_report.being_deleted) == (
        1,
        1,
        1,
    )
    assert [row["username_in_app"] for row in seen.rows] == ["a0", "a1", "a2", "new"]
    with store.connect() as con:
        assert usernames(con) == ["a0", "a1", "a2", "a3"]
        assert len(load_reports(con)) == 1


def test_a_snapshot_that_arrives_late_between_two_changes_what_the_later_one_is_compared_with(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN[:5])
    assert tell(store).previous is None
    assert tell(store).added == 5
    snapshots.take(*TEN[1:6], at=YESTERDAY)
    assert (tell(store).added, tell(store).removed) == (1, 1)


def test_the_first_snapshot_of_an_integration_is_compared_with_nothing(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN, integration="slack", at=YESTERDAY)
    snapshots.take(an_account())
    seen = tell(store)
    assert (seen.previous, seen.added, seen.removed, seen.quality) == (None, 1, 0, "ok")


@pytest.mark.parametrize(
    ("accounts", "finding"),
    [
        ([*TEN, an_account("")], "1 of 11 rows rejected."),
        ([*TEN, an_account("A0", email="x@x.io")], "1 of 11 rows rejected."),
        ([*TEN, an_account("b", state="Odd")], "Unrecognized state for 1 of 11 accounts."),
        ([*TEN, an_account("b", state="")], "No state for 1 of 11 accounts."),
        ([*TEN, an_account("b", active="perhaps")], "Could not read “Active in app” of 1 of 11"),
        ([*TEN, an_account("b", last_updated="soon")], "Could not read “Last updated” of 1 of 11"),
    ],
)
def test_what_a_file_says_oddly_is_to_be_looked_at(
    store: Engine, snapshots: Deliveries, accounts: list[Account], finding: str
) -> None:
    snapshots.take(*accounts)
    (found,) = tell(store).warnings()
    assert finding in found


def test_what_needs_nobody_is_only_remarked(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    local = an_account("b", last_updated="2026-11-20 10:00:00", Team="Design")
    snapshots.take(*TEN, TEN[0], local)
    seen = tell(store)
    assert seen.quality == "ok"
    assert seen.remarks() == [
        "1 exact duplicate row.",
        "1 time without a time zone, read as UTC.",
        "New columns: Team.",
    ]


def test_a_column_that_is_missing_is_to_be_looked_at(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, an_account("x", Team="Design"), at=YESTERDAY)
    snapshots.take(*TEN, an_account("x"))
    assert tell(store).warnings() == ["Columns missing since the previous snapshot: Team."]


def test_each_integration_may_have_a_limit_of_its_own(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    snapshots.take(*TEN[:7])
    assert tell(store).is_mass_deletion
    set_deletion_limit(store, "figma", 0.3)
    assert not tell(store).is_mass_deletion
    set_deletion_limit(store, "figma", None)
    assert tell(store).is_mass_deletion


@pytest.mark.parametrize(
    ("gone", "deleted", "joined", "limit", "held"),
    [
        (0, 0, 0, None, False),
        (2, 0, 0, None, False),
        (3, 0, 0, None, True),
        (2, 1, 0, None, True),
        (3, 0, 9, None, True),
        (1, 0, 0, 0.0, False),
        (2, 0, 0, 0.1, True),
        (0, 2, 5, 0.2, False),
        (10, 0, 1, 1.0, False),
    ],
)
def test_a_load_asks_in_short_what_the_passport_tells(
    store: Engine,
    snapshots: Deliveries,
    gone: int,
    deleted: int,
    joined: int,
    limit: float | None,
    held: bool,
) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    set_deletion_limit(store, "figma", limit)
    left = [
        *(an_account(f"a{n}", state="Deleted") for n in range(gone, gone + deleted)),
        *TEN[gone + deleted :],
        *(an_account(f"new{n}") for n in range(joined)),
    ]
    snapshots.take(*left)
    with store.connect() as con:
        figma = con.scalar(select(integration.c.integration_id))
        assert exceeds_deletion_limit(con, figma, TODAY, len(left)) == held
    assert tell(store).is_mass_deletion == held


def test_a_share_of_just_the_limit_may_leave(store: Engine, snapshots: Deliveries) -> None:
    hundred = [an_account(f"a{n}") for n in range(100)]
    snapshots.take(*hundred, at=YESTERDAY)
    set_deletion_limit(store, "figma", 0.29)  # of 100, a little less than 29 in binary
    snapshots.take(*hundred[29:])
    with store.connect() as con:
        figma = con.scalar(select(integration.c.integration_id))
        assert not exceeds_deletion_limit(con, figma, TODAY, 71)
    assert not tell(store).is_mass_deletion


def test_passports_come_newest_first_and_in_pages(con: Connection, snapshots: Deliveries) -> None:
    for name in ("zoom", "box"):
        snapshots.take(an_account(), integration=name, at=YESTERDAY)
        snapshots.take(an_account(), integration=name)
    found = [(p.integration, p.taken_at) for p in load_reports(con)]
    assert found == [
        ("box", TODAY),
        ("zoom", TODAY),
        ("box", YESTERDAY),
        ("zoom", YESTERDAY),
    ]
    page = load_reports(con, limit=2, offset=1)
    assert [(p.integration, p.taken_at) for p in page] == found[1:3]
    only = load_reports(con, integration.c.name == "box")
    assert [p.integration for p in only] == ["box", "box"]
    assert all(p.previous for p in only[:1])


def test_after_a_snapshot_without_accounts_nobody_can_leave(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(at=YESTERDAY)
    snapshots.take(an_account())
    assert (tell(store).added, tell(store).deletion_share, tell(store).quality) == (1, 0, "ok")
