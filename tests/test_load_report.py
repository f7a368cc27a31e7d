"""The load report of a snapshot: its numbers, its sentences, and when its quality is Check."""

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


def todays_report(store: Engine) -> LoadReport:
    """Read on a connection of its own, so that nothing is cached."""
    with store.connect() as con:
        return load_report(con, "figma", TODAY)


def test_a_load_report_compares_with_the_previous_snapshot(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    snapshots.take(
        *TEN[3:8],
        an_account("a8", state="Update failed"),
        an_account("a9", state="Deleted"),
        an_account("new"),
    )
    report = todays_report(store)
    assert (report.added, report.changed, report.removed, report.being_deleted) == (1, 2, 3, 1)
    assert report.previous
    assert (report.previous.taken_at, report.previous.accounts) == (YESTERDAY, 10)
    assert report.deletion_share == pytest.approx(0.4)
    assert report.states == {"Onboarded": 6, "Update failed": 1, "Deleted": 1}
    assert report.state_shift == pytest.approx(0.25)
    assert report.quality == "check"
    assert report.warnings() == [
        "4 of 10 accounts (40%) would be deleted: 3 no longer listed, 1 now being deleted. "
        "The limit is 20%.",
        "25% of accounts are in a different state than before.",
    ]


def test_a_preview_lists_the_deletions_and_changes_nothing(
    store: Engine, snapshots: Deliveries, tmp_path: Path
) -> None:
    snapshots.take(*TEN[:4], at=YESTERDAY)
    accounts = [TEN[0], an_account("a1", state="Delete awaiting"), TEN[2], an_account("new")]
    path = a_snapshot_file(tmp_path, accounts)
    previewed = preview(store, SnapshotFile(path, "figma", TODAY))
    assert previewed.deletions == [
        ("a1", "Ada Lovelace", "Onboarded", "Delete awaiting"),
        ("a3", "Ada Lovelace", "Onboarded", "Removed"),
    ]
    report = previewed.load_report
    assert (report.added, report.removed, report.being_deleted) == (1, 1, 1)
    assert [row["username_in_app"] for row in previewed.rows] == ["a0", "a1", "a2", "new"]
    with store.connect() as con:
        assert usernames(con) == ["a0", "a1", "a2", "a3"]
        assert len(load_reports(con)) == 1


def test_a_late_snapshot_becomes_the_previous_one_of_the_next(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN[:5])
    assert todays_report(store).previous is None
    assert todays_report(store).added == 5
    snapshots.take(*TEN[1:6], at=YESTERDAY)
    assert (todays_report(store).added, todays_report(store).removed) == (1, 1)


def test_the_first_snapshot_of_an_integration_has_no_previous_one(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN, integration="slack", at=YESTERDAY)
    snapshots.take(an_account())
    report = todays_report(store)
    assert (report.previous, report.added, report.removed, report.quality) == (None, 1, 0, "ok")


@pytest.mark.parametrize(
    ("accounts", "warning"),
    [
        ([*TEN, an_account("")], "1 of 11 rows rejected."),
        ([*TEN, an_account("A0", email="x@x.io")], "1 of 11 rows rejected."),
        ([*TEN, an_account("b", state="Odd")], "Unrecognised state for 1 of 11 accounts."),
        ([*TEN, an_account("b", state="")], "No state for 1 of 11 accounts."),
        ([*TEN, an_account("b", active="perhaps")], "Could not read “Active in app” of 1 of 11"),
        ([*TEN, an_account("b", last_updated="soon")], "Could not read “Last updated” of 1 of 11"),
    ],
)
def test_unreadable_values_and_rejected_rows_are_warnings(
    store: Engine, snapshots: Deliveries, accounts: list[Account], warning: str
) -> None:
    snapshots.take(*accounts)
    (message,) = todays_report(store).warnings()
    assert warning in message


def test_remarks_do_not_change_the_quality(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    without_zone = an_account("b", last_updated="2026-11-20 10:00:00", Team="Design")
    snapshots.take(*TEN, TEN[0], without_zone)
    report = todays_report(store)
    assert report.quality == "ok"
    assert report.remarks() == [
        "1 exact duplicate row.",
        "1 time without a time zone, read as UTC.",
        "New columns: Team.",
    ]


def test_a_missing_column_is_a_warning(store: Engine, snapshots: Deliveries) -> None:
    snapshots.take(*TEN, an_account("x", Team="Design"), at=YESTERDAY)
    snapshots.take(*TEN, an_account("x"))
    assert todays_report(store).warnings() == ["Columns missing since the previous snapshot: Team."]


def test_each_integration_can_have_its_own_deletion_limit(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    snapshots.take(*TEN[:7])
    assert todays_report(store).is_mass_deletion
    set_deletion_limit(store, "figma", 0.3)
    assert not todays_report(store).is_mass_deletion
    set_deletion_limit(store, "figma", None)
    assert todays_report(store).is_mass_deletion


@pytest.mark.parametrize(
    ("removed", "deleted", "added", "limit", "is_mass_deletion"),
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
def test_the_mass_deletion_guard_agrees_with_the_load_report(
    store: Engine,
    snapshots: Deliveries,
    removed: int,
    deleted: int,
    added: int,
    limit: float | None,
    is_mass_deletion: bool,
) -> None:
    snapshots.take(*TEN, at=YESTERDAY)
    set_deletion_limit(store, "figma", limit)
    listed = [
        *(an_account(f"a{n}", state="Deleted") for n in range(removed, removed + deleted)),
        *TEN[removed + deleted :],
        *(an_account(f"new{n}") for n in range(added)),
    ]
    snapshots.take(*listed)
    with store.connect() as con:
        figma = con.scalar(select(integration.c.integration_id))
        assert exceeds_deletion_limit(con, figma, TODAY, len(listed)) == is_mass_deletion
    assert todays_report(store).is_mass_deletion == is_mass_deletion


def test_a_share_equal_to_the_limit_is_no_mass_deletion(
    store: Engine, snapshots: Deliveries
) -> None:
    hundred = [an_account(f"a{n}") for n in range(100)]
    snapshots.take(*hundred, at=YESTERDAY)
    set_deletion_limit(store, "figma", 0.29)  # of 100, a little less than 29 in binary
    snapshots.take(*hundred[29:])
    with store.connect() as con:
        figma = con.scalar(select(integration.c.integration_id))
        assert not exceeds_deletion_limit(con, figma, TODAY, 71)
    assert not todays_report(store).is_mass_deletion


def test_load_reports_are_sorted_newest_first_and_paged(
    con: Connection, snapshots: Deliveries
) -> None:
    for name in ("zoom", "box"):
        snapshots.take(an_account(), integration=name, at=YESTERDAY)
        snapshots.take(an_account(), integration=name)
    keys = [(r.integration, r.taken_at) for r in load_reports(con)]
    assert keys == [
        ("box", TODAY),
        ("zoom", TODAY),
        ("box", YESTERDAY),
        ("zoom", YESTERDAY),
    ]
    page = load_reports(con, limit=2, offset=1)
    assert [(r.integration, r.taken_at) for r in page] == keys[1:3]
    of_box = load_reports(con, integration.c.name == "box")
    assert [r.integration for r in of_box] == ["box", "box"]
    assert of_box[0].previous


def test_after_an_empty_snapshot_nothing_can_be_deleted(
    store: Engine, snapshots: Deliveries
) -> None:
    snapshots.take(at=YESTERDAY)
    snapshots.take(an_account())
    report = todays_report(store)
    assert (report.added, report.deletion_share, report.quality) == (1, 0, "ok")
