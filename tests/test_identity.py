"""Which rows are accounts, which are one account, and whether it is the same as the day before."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, Deliveries, an_account
from sqlalchemy import Connection, Engine, select

from data.files.errors import MangledIds
from data.files.naming import SnapshotFile
from data.files.other_rows import NOT_AN_ACCOUNT
from data.history.confirmation import KEEP_HISTORY
from data.history.load import ALONE, LoadResult, load
from data.history.load_report import load_report, load_reports
from data.history.preview import preview
from data.home import Home
from data.inbox.inbox import Quarantined, load_inbox, put_into_inbox
from data.inbox.reread import keep_history
from data.people.directories import save_directories
from data.records.exceptions import FindingKey, RiskException, add_exceptions
from data.records.tables import exception
from data.schema import account, account_current, is_same_account, rejected_row
from data.service.rebuild import rebuild
from data.store.engine import open_store
from queries.changes.accounts import page_of_changes
from queries.changes.diff import ChangeFilter
from queries.changes.summary import summarize_changes
from queries.changes.window import Window
from queries.matching import match_candidates
from queries.review.duration import View
from queries.review.findings import page_of_findings
from queries.review.rules import RULE_BY_NAME

DAYS = [TODAY + timedelta(days=n) for n in range(4)]


def deliver(store: Engine, folder: Path, content: str, *, at: datetime = TODAY) -> LoadResult:
    """A CSV of the integration `app`, confirmed."""
    path = folder / f"{at:%d}.csv"
    path.write_text(content, encoding="utf-8")
    return load(store, SnapshotFile(path, "app", at), confirmed=True)


def listed(store: Engine, *columns: str) -> dict[str, Any]:
    """Account ID → some columns of the accounts that are listed now."""
    names = columns or ("username_in_app",)
    query = select(account.c.account_id, *(account_current.c[name] for name in names)).join_from(
        account_current, account, is_same_account(account, account_current)
    )
    with store.connect() as con:
        rows = [tuple(row) for row in con.execute(query)]
    return {row[0]: row[1] if len(names) == 1 else row[1:] for row in rows}


def rows_to_check(store: Engine) -> list[tuple[int, str]]:
    """Line and reason of the rows that the load report lists."""
    with store.connect() as con:
        rows = con.execute(select(rejected_row.c.line, rejected_row.c.reason))
        return sorted(tuple(row) for row in rows)


def report_text(store: Engine, at: datetime = TODAY) -> str:
    with store.connect() as con:
        report = load_report(con, "app", at)
        return " ".join([*report.warnings(), *report.remarks()])


# ---- one row per role ----------------------------------------------------------------------------

ROW_PER_ROLE = (
    "Username,Email,Roles,Active\n"
    "mira,mira@x.io,Viewer,Yes\nmira,mira@x.io,Admin,Yes\nteo,teo@x.io,Viewer,Yes\n"
    "wanda,wanda@x.io,Viewer,No\nwanda,,Billing,\n"
)


def test_a_row_per_role_gives_one_account_with_all_roles(store: Engine, tmp_path: Path) -> None:
    loaded = deliver(store, tmp_path, ROW_PER_ROLE)
    assert (loaded.accepted, loaded.rejected, loaded.merged) == (3, 0, 2)
    assert listed(store, "roles", "user_email", "active_in_app") == {
        "mira": (["Admin", "Viewer"], "mira@x.io", True),
        "teo": (["Viewer"], "teo@x.io", True),
        "wanda": (["Billing", "Viewer"], "wanda@x.io", False),
    }
    assert "2 rows merged with another row of the same account." in report_text(store)


def test_roles_with_details_and_further_columns_of_all_rows_are_united(
    snapshots: Deliveries, store: Engine
) -> None:
    roles: list[Any] = [{"name": "Owner", "via": "g1"}, {"name": "Member"}]
    snapshots.take(
        an_account(roles=roles[:1], team="Red", site="Bern"),
        an_account(roles=roles[1:], team="Blue", site="Bern"),
    )
    [(names, details, attributes)] = listed(store, "roles", "role_details", "attributes").values()
    assert names == ["Member", "Owner"]
    assert json.loads(details) == [{"name": "Member"}, {"name": "Owner", "via": "g1"}]
    assert json.loads(attributes) == {"site": "Bern", "team": "Blue; Red"}


def test_merged_rows_that_differ_in_more_than_roles_are_listed_by_line(
    store: Engine, tmp_path: Path
) -> None:
    content = "Username,Roles,Active,State\nmira,A,yes,Onboarded\nteo,A,,\nmira,B,no,Deleted\n"
    loaded = deliver(store, tmp_path, content)
    assert (loaded.accepted, loaded.rejected, loaded.merged) == (2, 0, 1)
    merged = "Merged with another row of the account mira, whose values are kept: "
    assert rows_to_check(store) == [(4, f"{merged}Active in app, Provisioning state.")]
    assert listed(store, "roles", "active_in_app")["mira"] == (["A", "B"], True)
    assert "1 row merged with another row of the account, but values differ." in report_text(store)


def test_a_day_on_which_a_role_goes_is_a_change_of_that_account_alone(
    store: Engine, tmp_path: Path
) -> None:
    deliver(store, tmp_path, ROW_PER_ROLE)
    deliver(store, tmp_path, ROW_PER_ROLE.replace("mira,mira@x.io,Admin,Yes\n", ""), at=DAYS[1])
    with store.connect() as con:
        summary = summarize_changes(con, Window(DAYS[0], DAYS[1]))
    assert {name: count for name, count in summary.counts.items() if count} == {"lost": 1}


# ---- IDs -----------------------------------------------------------------------------------------


def test_rows_that_share_an_id_but_no_username_are_two_accounts(
    store: Engine, tmp_path: Path
) -> None:
    deliver(store, tmp_path, "ID,Username\n7,mira\n7,teo\n8,wanda\n")
    assert listed(store) == {"mira": "mira", "teo": "teo", "8": "wanda"}
    assert "2 rows with the account ID of another username." in report_text(store)


@pytest.mark.parametrize(
    "rows", [["7,mira", "8,wanda"], ["7,teo", "7,mira"], ["7,mira", "9,teo"], ["7,teo", "7,7"]]
)
def test_a_shared_id_is_decided_by_each_file_alone(
    store: Engine, tmp_path: Path, rows: list[str]
) -> None:
    deliver(store, tmp_path, "ID,Username\n7,mira\n7,teo\n8,wanda\n")
    content = "ID,Username\n" + "\n".join(rows) + "\n"
    deliver(store, tmp_path, content, at=DAYS[1])
    alone = open_store(f"duckdb:///{tmp_path}/alone.duckdb")
    deliver(alone, tmp_path, content, at=DAYS[1])
    assert listed(store) == listed(alone)
    alone.dispose()


@pytest.mark.parametrize("text", ["N/A", "none", "-", "0", "(null)", "#N/A", "NaN"])
def test_an_id_that_says_nothing_falls_back_to_the_username(
    store: Engine, tmp_path: Path, text: str
) -> None:
    deliver(store, tmp_path, f"ID,Username\n7001,mira\n{text},Teo\n{text},wanda\n")
    assert listed(store) == {"7001": "mira", "teo": "Teo", "wanda": "wanda"}


@pytest.mark.parametrize("name", ["null", "none", "Null", "0", "total"])
def test_a_username_that_looks_like_nothing_is_a_username(
    store: Engine, tmp_path: Path, name: str
) -> None:
    deliver(store, tmp_path, f"Username,Email\n{name},n@x.io\nmira,m@x.io\n")
    assert listed(store) == {name.lower(): name, "mira": "mira"}


@pytest.mark.parametrize("text", ["1.12345E+17", '"1,12345E+17"', "1E+20", "1.2e+007"])
@pytest.mark.parametrize("heading", ["ID", "Upstream user ID"])
def test_ids_that_a_spreadsheet_has_rounded_reject_the_file(
    store: Engine, tmp_path: Path, heading: str, text: str
) -> None:
    deliver(store, tmp_path, f"{heading},Username\n112345678901234567,mira\n")
    with pytest.raises(MangledIds, match=r"24\.csv .* line 3 has the ID 1.*; nothing was loaded"):
        deliver(store, tmp_path, f"{heading},Username\n7,mira\n{text},teo\n", at=DAYS[1])


def test_usernames_and_ids_are_the_same_in_any_unicode_form(store: Engine, tmp_path: Path) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    deliver(store, tmp_path, f"Username,ID\n{composed},\nmira,{composed}\n")
    assert listed(store) == {"zo\u00eb": composed, composed: "mira"}
    deliver(store, tmp_path, f"Username,ID\n{decomposed},\nmira,{decomposed}\n", at=DAYS[1])
    assert listed(store) == {"zo\u00eb": decomposed, composed: "mira"}


def test_a_guid_is_the_same_in_any_case_and_with_braces(store: Engine, tmp_path: Path) -> None:
    guid = "0b1d5c1e-0001-4a6e-9a51-00000000000f"
    for at, text in zip(DAYS, (guid, guid.upper(), f"{{{guid}}}"), strict=False):
        deliver(store, tmp_path, f"ID,Username\n{text},mira\nAbc,teo\n", at=at)
        assert listed(store) == {guid: "mira", "Abc": "teo"}


def test_an_upstream_guid_finds_its_person_in_any_spelling(
    snapshots: Deliveries, store: Engine
) -> None:
    guid = "0b1d5c1e-0001-4a6e-9a51-00000000000f"
    snapshots.take(an_account("mira.s", account_id=guid, user="Mira"), integration="people")
    spelled = {"upstream_id": f"{{{guid.upper()}}}", "user": None, "email": None}
    snapshots.take(an_account("mira", **spelled), integration="app")
    save_directories(store, {"people": True})
    with store.connect() as con:
        [row] = match_candidates(con, "suggested").rows
    assert (row.username_in_app, row.user_name, row.by_id) == ("mira", "Mira", 1)
    assert row.upstream_user_id == spelled["upstream_id"]


# ---- rows that are no accounts -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Total: 2", "Summe 2", "Total users: 2", "Confidential - internal use", "2 rows",
     "Report generated by Mira Solberg on 2026-11-23", "Page 1 of 3", "-----"],
)  # fmt: skip
def test_a_padded_footer_is_no_account(store: Engine, tmp_path: Path, text: str) -> None:
    content = f"Username,Email,Active\nmira,m@x.io,Yes\n{text},,\nteo,t@x.io,No\n{text},,\n"
    assert deliver(store, tmp_path, content).accepted == 2
    assert rows_to_check(store) == [(3, NOT_AN_ACCOUNT), (5, NOT_AN_ACCOUNT)]
    assert listed(store) == {"mira": "mira", "teo": "teo"}


def test_totals_and_headings_of_groups_are_no_accounts(store: Engine, tmp_path: Path) -> None:
    """Wherever they are; people who are called so have other texts, or an ID."""
    others = 'Total,,,2|Subtotal,,,"1\u202f200"|Ops (2),,,|Ops Total,,,3|Summe,,Count,2'
    footers = ["Department: Ops,,,", *others.split("|")]
    people = [f"user{n},user{n}@x.io,Admin,{n}" for n in range(8)]
    people += ["Total,total@x.io,,2", "suma,,Editor,3", "count,,,Never"]
    rows = [row for pair in zip(people, [*footers, "Ops,,,"], strict=False) for row in pair]
    rows += people[len(footers) + 1 :]
    loaded = deliver(store, tmp_path, "\n".join(["Username,Email,Role,Seats", *rows]))
    assert (loaded.accepted, loaded.rejected) == (len(people) + 1, len(footers))
    content = "\n".join(["Username,Email,Role,Seats", *reversed(rows)])
    assert deliver(store, tmp_path, content, at=DAYS[1]).rejected == len(footers)
    assert {reason for _, reason in rows_to_check(store)} == {NOT_AN_ACCOUNT}
    with store.connect() as con:
        report, _ = load_reports(con)
    assert ALONE.format(rows="1 row") in report.warnings()  # “Ops” can be somebody


@pytest.mark.parametrize(
    "content",
    ["Username,ID\nmira,17\ntotal,18\n", "Username\nmira\ntotal\nsuma\n",
     "Username,Seats\nmira,5\nteo,2\nsuma,18\nSuma Kumar,3\nJane Sum,4\n"],
)  # fmt: skip
def test_a_name_like_a_total_is_an_account(store: Engine, tmp_path: Path, content: str) -> None:
    assert deliver(store, tmp_path, content).rejected == 0


# ---- breaks of identity --------------------------------------------------------------------------


def people(prefix: str, count: int = 4, **facts: str) -> str:
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["ID", "Username"])
    writer.writerows([f"{prefix}{n}" if prefix else "", f"user{n}"] for n in range(count))
    return rows.getvalue()


def test_a_recreated_account_is_found_by_review_and_has_returned(
    snapshots: Deliveries, con: Connection
) -> None:
    others = [an_account(f"user{n}", account_id=f"r{n}", upstream_id=None) for n in range(3)]
    teo = an_account("teo", account_id="100")
    days = [[teo], [{**teo, "provisioning_state": "Deleted"}], [], [{**teo, "account_id": "201"}]]
    for at, more in zip(DAYS, days, strict=True):
        snapshots.take(*others, *more, at=at)
    findings = page_of_findings(con, View(), RULE_BY_NAME["recreated"], 1)
    assert [(row.username_in_app, row.since, row.detail) for row in findings] == [
        ("teo", DAYS[3], "was 100 until 2026-11-25 06:00")
    ]
    window = Window(DAYS[2], DAYS[3])
    counts = summarize_changes(con, window).counts
    assert (counts["joined"], counts["back"]) == (0, 1)
    back = page_of_changes(con, window, ChangeFilter("back"), 1)
    assert [row.after_username_in_app for row in back] == ["teo"]
    assert not page_of_findings(con, View(as_of=DAYS[2]), RULE_BY_NAME["recreated"], 1)


@pytest.mark.parametrize("before", ["", "A"])
def test_the_history_can_go_on_when_all_ids_change(home: Home, tmp_path: Path, before: str) -> None:
    store = open_store(home.database_url)
    contents = [people(before), people(before), people("B"), people("C")]
    files = []
    for at, content in zip(DAYS, contents, strict=True):
        path = tmp_path / f"{at:%d}.csv"
        path.write_text(content)
        files.append(SnapshotFile(path, "app", at))
    for file in files[:2]:
        put_into_inbox(home, file)
        load_inbox(store, home)
    old_id = f"{before}1" if before else "user1"
    finding = FindingKey("recreated", "app", old_id)
    add_exceptions(store, [(finding, DAYS[1])], RiskException("known", "ada"))
    put_into_inbox(home, files[2])
    [held] = load_inbox(store, home)
    assert isinstance(held, Quarantined)
    assert held.reason.startswith("25.csv is on hold: 4 of 4 accounts have")
    assert KEEP_HISTORY in held.reason
    assert KEEP_HISTORY in preview(store, files[2]).load_report.confirmation_reason
    keep_history(store, home, held.status, "app", held.path.name)
    put_into_inbox(home, files[3])
    assert [type(outcome) for outcome in load_inbox(store, home)] == [LoadResult] * 2
    assert listed(store) == {f"user{n}": f"user{n}" for n in range(4)}
    with store.connect() as con:
        counts = summarize_changes(con, Window(DAYS[0], DAYS[3])).counts
        assert not any(counts[name] for name in ("joined", "gone", "back"))
        assert con.scalar(select(exception.c.account_id)) == "user1"
    rebuild(home, lambda *_: None)
    assert listed(open_store(home.database_url)) == {f"user{n}": f"user{n}" for n in range(4)}
