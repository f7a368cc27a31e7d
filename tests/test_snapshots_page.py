"""The Snapshots page: loaded snapshots, files that need a decision, and uploads."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from builders import TODAY, YESTERDAY, Account, a_snapshot_file, an_account, usernames
from copies import load_inbox_once
from patience import PATIENCE
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest
from xlsxwriter import Workbook

from data.formatting import utc_now
from data.home import Home
from data.inbox.actions import withdraw_snapshot
from data.inbox.delivered import inbox_files
from data.service.rebuild import rebuild
from data.store.engine import open_store
from data.store.errors import DiskFull
from queries.cache import store_revision
from queries.health.integrations import quarantined_files_by_day
from queries.rejected_rows import write_rejected_csv
from queries.snapshots import page_of_snapshots

PAGE = Path(__file__).parent.parent / "pages" / "snapshots.py"
TEN = [an_account(f"a{n}") for n in range(10)]
STAMP = f"{TODAY:%Y-%m-%dT%H-%M-%SZ}"
GOOD = "Username in app,State\nada,Onboarded\nbob,Update failed\n"


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    engine = open_store(home.database_url)
    yield engine
    engine.dispose()


def load_files_of_inbox(store: Engine, home: Home) -> None:
    """As the keeper does, some time after the files were written."""
    load_inbox_once(store, home)


def load_snapshot(
    store: Engine, home: Home, *accounts: Account, at: Any = TODAY, **options: Any
) -> None:
    a_snapshot_file(home.inbox, accounts, at=at, **options)
    load_files_of_inbox(store, home)


@pytest.fixture
def file_on_hold(store: Engine, home: Home) -> None:
    """Ten accounts yesterday; a file that removes three of them is on hold."""
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    load_snapshot(store, home, *TEN[3:])


def page(**params: Any) -> AppTest:
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    for param, value in params.items():
        run.query_params[param] = value
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def page_text(run: AppTest) -> str:
    """All text of the page outside of tables."""
    elements = [*run.text, *run.caption, *run.markdown, *run.subheader]
    return "\n".join(str(element.value) for element in elements)


def table(run: AppTest) -> dict[str, Any]:
    return json.loads(run.get("bidi_component")[0].proto.json)


def cells(run: AppTest, key: str) -> list[str]:
    return [row["cells"][key]["text"] for row in table(run)["rows"]]


def press(run: AppTest, label: str) -> AppTest:
    next(b for b in run.button if b.label == label).click().run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def upload(run: AppTest, *files: tuple[str, str]) -> AppTest:
    uploads = [(name, content.encode(), "text/csv") for name, content in files]
    run.file_uploader[0].set_value(uploads).run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def choose_typed(run: AppTest, integration: str) -> AppTest:
    """A typed name is none of the options, and Streamlit's tester can only choose options."""
    if integration not in run.selectbox[0].options:
        run.selectbox[0].options.append(integration)
    run.selectbox[0].set_value(integration)
    return run


def fill_in(run: AppTest, integration: str, taken_at: datetime = TODAY) -> AppTest:
    """Enter another integration and moment than the proposed ones."""
    run.datetime_input[0].set_value(taken_at)
    choose_typed(run, integration).run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def load_button(run: AppTest) -> Any:
    """The button that loads the first upload; None without one."""
    return next(
        (b for b in run.button if b.label.startswith("Load ") and "all" not in b.label), None
    )


def open_preview(run: AppTest) -> AppTest:
    """Open the preview of the first file that needs a decision."""
    key = next(str(b.key) for b in run.button if str(b.key).startswith("dismiss_"))
    run.session_state[key.replace("dismiss", "preview")] = True
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def rejected_text(store: Engine, home: Home) -> str:
    """The download of the rejected rows."""
    path = home.root / "rejected.csv"
    with store.connect() as con:
        write_rejected_csv(con, "figma", TODAY, path)
    return path.read_text(encoding="utf-8-sig")


def loaded_usernames(store: Engine) -> list[str]:
    with store.connect() as con:
        return usernames(con)


# ---- the list ------------------------------------------------------------------------------------


def test_snapshots_are_listed_newest_first_with_quality_and_counts(
    store: Engine, home: Home
) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    load_snapshot(store, home, *TEN[1:], an_account("new", state="Odd"), an_account(""))
    run = page()
    assert cells(run, "taken_at") == ["2026-11-23 06:00", "2026-11-22 06:00"]
    assert cells(run, "quality") == ["Check", "OK"]
    assert cells(run, "accounts") == ["10", "10"]
    assert cells(run, "added") == ["1", "first"]
    assert cells(run, "removed")[0] == "1"
    assert cells(run, "rejected") == ["1", "–"]
    assert cells(run, "flagged") == ["1", "–"]


def test_a_row_opens_its_load_report(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    load_snapshot(
        store, home, *TEN[1:], an_account("", email="x@x.io"), an_account("d", state="Deleted")
    )
    run = page()
    newest = table(run)["rows"][0]["id"]
    run.session_state["snapshots"] = {"open": [newest]}
    run.run()
    blocks = table(run)["details"][newest]
    assert blocks[0]["text"] == "1 of 11 rows rejected."
    facts = {label: cell for block in blocks for label, cell in block.get("items", ())}
    assert facts["Compared with"]["text"] == "2026-11-22 06:00"
    assert len(facts["SHA-256"]["text"]) == 64
    states, rejected = (block for block in blocks if block["kind"] == "table")
    assert [cell if isinstance(cell, str) else cell["text"] for cell in states["rows"][0]] == [
        *("Onboarded", "9", "90.0%", "10 · 100.0%", "-10.0 points")
    ]
    assert rejected["rows"][0][0] == "10"
    assert rejected["rows"][0][1]["text"] == "The row has no username in app."


def test_only_the_snapshots_of_the_chosen_integrations_are_listed(
    store: Engine, home: Home
) -> None:
    load_snapshot(store, home, *TEN)
    load_snapshot(store, home, *TEN, integration="slack")
    assert cells(page(integration="slack"), "integration") == ["slack"]


def test_the_list_can_be_shown_as_of_a_moment_and_back_to_now(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=TODAY - timedelta(days=1))
    load_snapshot(store, home, *TEN)
    run = page(as_of=f"{(TODAY - timedelta(hours=1)).isoformat()}Z")
    assert len(cells(run, "taken_at")) == 1
    press(run, "Back to now")
    assert len(cells(run, "taken_at")) == 2


def test_every_snapshot_is_on_exactly_one_page_of_the_list(
    store: Engine, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queries.snapshots.PAGE_SIZE", 3)
    for day in range(5):
        a_snapshot_file(home.inbox, TEN, at=TODAY - timedelta(days=day))
    load_files_of_inbox(store, home)
    with store.connect() as con:
        pages = [[p.taken_at for p in page_of_snapshots(con, [], n)] for n in (1, 2)]
    assert [len(moments) for moments in pages] == [3, 2]
    moments = pages[0] + pages[1]
    assert moments == sorted(set(moments), reverse=True)
    assert len(cells(page(page="2"), "taken_at")) == 2


def test_no_address_breaks_the_page(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    for value in ("", "0", "-1", "nonsense", "9" * 400, "١", "\0", "'; DROP --"):
        page(page=value, integration=value, taken_at=value, as_of=value)
        page(page=value, integration="figma", taken_at=value)
        page(page=value, integration="figma", taken_at="2026-11-23T06:00:00Z", as_of=value)


# ---- one snapshot --------------------------------------------------------------------------------


def test_a_snapshot_has_an_address_of_its_own(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    load_snapshot(store, home, *TEN)
    link = table(page())["rows"][0]["cells"]["taken_at"]["href"]
    assert link == "?integration=figma&taken_at=2026-11-23T06%3A00%3A00Z"
    detail = page(integration="figma", taken_at="2026-11-23T06:00:00Z")
    assert cells(detail, "taken_at") == ["2026-11-23 06:00"]
    assert list(table(detail)["details"]) == [table(detail)["rows"][0]["id"]]
    (links,) = [
        html.proto.body for html in detail.get("html") if "This snapshot" in html.proto.body
    ]
    assert 'href="users?as_of=2026-11-23T06%3A00%3A00Z&amp;integration=figma"' in links


def test_an_address_without_a_snapshot_is_explained_above_the_list(
    store: Engine, home: Home
) -> None:
    load_snapshot(store, home, *TEN)
    shown = page(integration="figma", taken_at="2020-01-01T06:00:00Z")
    assert "This snapshot does not exist or was removed." in page_text(shown)
    assert cells(shown, "taken_at") == ["2026-11-23 06:00"]


def test_removing_a_snapshot_asks_first_and_names_it(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN[:4], at=YESTERDAY)
    load_snapshot(store, home, *TEN)
    detail = press(page(integration="figma", taken_at="2026-11-23T06:00:00Z"), "Remove snapshot")
    question = page_text(detail)
    assert "figma, taken at 2026-11-23 06:00:00 UTC, with 10 accounts" in question
    assert str(home.removed) in question
    assert len(loaded_usernames(store)) == 10
    press(detail, "Remove")
    assert len(loaded_usernames(store)) == 4
    assert (home.removed / "figma" / f"{STAMP}.ndjson").is_file()


def test_rejected_rows_download_safe_for_spreadsheets(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, an_account("", email="=1+1"), an_account("a1", email="x@x.io"))
    text = rejected_text(store, home)
    heading, *rows = csv.reader(io.StringIO(text))
    assert heading == ["Line", "Reason", "Text"]
    assert [row[0] for row in rows] == ["11", "12"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_rejected_text_that_looks_like_a_formula_remains_text(store: Engine, home: Home) -> None:
    path = home.inbox / "figma" / f"{STAMP}.ndjson"
    path.parent.mkdir(parents=True)
    path.write_text('{"username_in_app": "ada"}\n=HYPERLINK("http://x")\n')
    load_files_of_inbox(store, home)
    text = rejected_text(store, home)
    assert '"\'=HYPERLINK(""http://x"")"' in text


# ---- files that need a decision ------------------------------------------------------------------


def test_without_files_on_hold_nothing_needs_a_decision(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    assert [s.value for s in page().subheader] == ["Loaded"]


@pytest.mark.usefixtures("file_on_hold")
def test_a_file_on_hold_comes_first_with_a_preview_on_request() -> None:
    run = page()
    assert [s.value for s in run.subheader] == ["Needs a decision", "Loaded"]
    assert "3 of 10 accounts (30%) would be deleted" in page_text(run)
    assert "Compared with" not in page_text(run)
    open_preview(run)
    assert "7 of 7 rows are accounts. Compared with 2026-11-22 06:00 UTC: 0 added" in page_text(run)
    assert "3 removed" in page_text(run)


@pytest.mark.usefixtures("file_on_hold")
def test_an_address_lists_the_files_of_one_status_and_integration() -> None:
    for chosen, shown in (
        ({"files": "on hold", "integration": "figma"}, True),
        ({"files": "rejected"}, False),
        ({"files": "on hold", "integration": "slack"}, False),
    ):
        run = page(**chosen)
        assert ("1 on hold" in page_text(run)) == shown
        assert "1 on hold" in page_text(press(run, "All files"))


@pytest.mark.usefixtures("file_on_hold")
def test_a_file_on_hold_is_loaded_only_after_confirmation(store: Engine, home: Home) -> None:
    dialog = press(page(), "Load anyway")
    assert len(loaded_usernames(store)) == 10
    assert "figma, taken at 2026-11-23 06:00:00 UTC" in page_text(dialog)
    press(dialog, "Load file")
    load_files_of_inbox(store, home)
    assert len(loaded_usernames(store)) == 7
    assert [s.value for s in page().subheader] == ["Loaded"]


@pytest.mark.usefixtures("file_on_hold")
def test_a_dismissed_file_moves_to_the_removed_files(store: Engine, home: Home) -> None:
    dialog = press(page(), "Dismiss")
    press(dialog, "Dismiss file")
    load_files_of_inbox(store, home)
    assert len(loaded_usernames(store)) == 10
    assert (home.removed / "figma" / f"{STAMP}.ndjson").is_file()
    assert [s.value for s in page().subheader] == ["Loaded"]


def test_a_rejected_file_shows_the_reason_and_can_be_tried_again(store: Engine, home: Home) -> None:
    path = home.inbox / "figma" / f"{STAMP}.members.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"error": "rate limit"}')
    load_files_of_inbox(store, home)
    run = page()
    assert "is one JSON object; expected a list of accounts" in page_text(run)
    assert "UTC · members.json" in page_text(run)
    press(run, "Try again")
    assert [p.name for p in inbox_files(home)] == [f"{STAMP}.members.json"]


def test_a_rejected_file_can_replace_the_loaded_one(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    load_snapshot(store, home, *TEN, an_account("eve"))
    run = page()
    assert "is already loaded" in page_text(run)
    open_preview(run)
    press(press(run, "Replace loaded file"), "Load file")
    load_files_of_inbox(store, home)
    assert "eve" in loaded_usernames(store)
    assert [s.value for s in page().subheader] == ["Loaded"]


def test_a_file_in_no_folder_can_only_be_dismissed(store: Engine, home: Home) -> None:
    (home.inbox / "readme.csv").write_text("a,b\n")
    load_files_of_inbox(store, home)
    run = page()
    assert "Try again" not in [b.label for b in run.button]
    press(press(run, "Dismiss"), "Dismiss file")
    assert "readme.csv" not in page_text(page())


def test_pages_update_when_a_file_goes_on_hold(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    with store.connect() as con:
        before = store_revision(con)
    load_snapshot(store, home, *TEN[5:])
    with store.connect() as con:
        assert store_revision(con) != before


# ---- uploads -------------------------------------------------------------------------------------


def test_an_upload_is_loaded_only_after_confirmation(store: Engine, home: Home) -> None:
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "2 of 2 rows are accounts. There is no earlier snapshot" in page_text(run)
    assert "OK" in page_text(run)
    assert not inbox_files(home)
    assert loaded_usernames(store) == []
    press(run, "Load 2 accounts")
    assert [str(p.relative_to(home.inbox)) for p in inbox_files(home)] == [f"figma/{STAMP}.csv"]
    load_files_of_inbox(store, home)
    assert loaded_usernames(store) == ["ada", "bob"]
    run.run()
    assert "2 accounts" in page_text(run)
    assert not list(home.root.glob(".upload-*"))


def test_integration_and_moment_are_proposed_and_the_integration_must_be_known(
    store: Engine, home: Home
) -> None:
    run = upload(page(), ("export.csv", GOOD))
    assert "Enter the app that this file lists" in page_text(run)
    assert load_button(run).disabled
    run = upload(page(), ("jira export (3).csv", GOOD))
    assert run.selectbox[0].value == "jira"
    assert abs(run.datetime_input[0].value - utc_now()) < timedelta(minutes=5)
    press(run, "Load 2 accounts")
    load_files_of_inbox(store, home)
    assert (cells(page(), "integration"), cells(page(), "file")) == (
        ["jira"],
        ["jira export (3).csv"],
    )
    rebuild(home, lambda *_: None)
    assert cells(page(), "file") == ["jira export (3).csv"]


@pytest.mark.parametrize(
    ("zone", "name", "proposed", "chosen", "taken_at"),
    [
        ("Asia/Tokyo", "slack.csv", None, "2026-11-23 15:00", STAMP),
        ("Asia/Tokyo", f"slack {STAMP}.csv", "2026-11-23 15:00", "2026-11-23 15:01",
         "2026-11-23T06-01-00Z"),
        ("Europe/Berlin", "slack 2026-10-25T01-30-01Z.csv", "2026-10-25 02:30", None,
         "2026-10-25T01-30-01Z"),  # shown twice that night
    ],
)  # fmt: skip
def test_a_moment_is_shown_and_chosen_in_the_reader_s_time_zone(
    home: Home, zone: str, name: str, proposed: str | None, chosen: str | None, taken_at: str
) -> None:
    run = upload(page(tz=zone), (name, GOOD))
    assert run.datetime_input[0].label == f"Taken at ({zone})"
    if proposed:
        assert f"{run.datetime_input[0].value:%Y-%m-%d %H:%M}" == proposed
    if chosen:
        fill_in(run, "slack", datetime.fromisoformat(chosen))
    press(run, "Load 2 accounts")
    assert [path.name[:20] for path in inbox_files(home)] == [taken_at]


@pytest.mark.usefixtures("home")
def test_a_moment_in_the_future_is_neither_proposed_nor_accepted() -> None:
    run = upload(page(), ("slack 2099-01-01.csv", GOOD))
    assert run.datetime_input[0].value < utc_now()
    assert datetime.fromisoformat(run.datetime_input[0].max) < utc_now() + timedelta(days=2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"figma/{STAMP}.pdf", GOOD, "has no known ending"),
        ("empty.csv", "", "empty.csv is empty"),
        (f"figma/{STAMP}.json", '{"error": "x"}', "expected a list of accounts"),
    ],
)
def test_a_rejected_upload_shows_the_reason_and_leaves_no_file(
    home: Home, name: str, content: str, message: str
) -> None:
    run = upload(page(), (name, content))
    assert message in page_text(run)
    assert "Integration" not in [box.label for box in run.selectbox]  # nothing is asked
    assert not load_button(run)
    assert not inbox_files(home)
    assert not list(home.root.glob(".upload-*"))


def test_an_upload_that_removes_many_accounts_needs_confirmation(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    fewer = "".join(f"{json.dumps(account)}\n" for account in TEN[5:])
    run = upload(page(), (f"figma/{STAMP}.ndjson", fewer))
    assert "Needs confirmation" in page_text(run)
    assert load_button(run).disabled
    next(c for c in run.checkbox if c.label.startswith("I confirm")).check().run()
    press(run, "Load 5 accounts")
    load_files_of_inbox(store, home)
    assert len(loaded_usernames(store)) == 5


def test_an_upload_replaces_a_loaded_file_only_on_request(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "already has a snapshot of this moment" in page_text(run)
    assert load_button(run).disabled
    for box in run.checkbox:
        box.check()
    press(run.run(), "Load 2 accounts")
    load_files_of_inbox(store, home)
    assert loaded_usernames(store) == ["ada", "bob"]


def test_an_upload_that_is_already_loaded_cannot_be_loaded_again(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    same = (home.archive / "figma" / f"{STAMP}.ndjson").read_text()
    run = upload(page(), (f"figma/{STAMP}.ndjson", same))
    assert "Already loaded" in page_text(run)
    assert not load_button(run)


@pytest.mark.usefixtures("home")
def test_a_full_disk_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise DiskFull("There is no room left on the disk.")

    monkeypatch.setattr("data.inbox.upload.preview", fails)
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "The preview is not available. There is no room left on the disk." in page_text(run)


def choose(run: AppTest, label: str, value: str) -> AppTest:
    next(box for box in run.selectbox if box.label.startswith(label)).set_value(value).run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def test_a_table_is_mapped_and_loaded_with_one_button(store: Engine, home: Home) -> None:
    content = "Wer,Zustand\nada,fertig\nbob,offen\ncy,fertig\n"
    run = upload(page(), (f"figma/{STAMP}.csv", content))
    assert "Read as a table of your own" in page_text(run)
    choose(run, "Provisioning state", "Zustand")
    choose(run, "fertig · 2 rows", "Onboarded")
    assert "Your choices are saved for the next files of figma." in page_text(run)
    press(run, "Load 3 accounts")
    load_files_of_inbox(store, home)
    mapping = (home.root / "mappings" / "figma.toml").read_text()
    assert 'username_in_app = "Wer"' in mapping
    assert '"fertig" = "Onboarded"' in mapping
    with store.connect() as con:
        assert usernames(con, state=("Onboarded",)) == ["ada", "cy"]
    later = f"{TODAY + timedelta(days=1):%Y-%m-%dT%H-%M-%SZ}"
    run = upload(page(), (f"figma/{later}.csv", content))
    assert load_button(run)
    assert "Your choices" not in page_text(run)


def test_a_file_can_be_read_as_something_else(store: Engine, home: Home) -> None:
    slack = "username,email,status,billing-active,has-2fa,userid\nada,a@x.io,Member,1,1,U1\n"
    run = upload(page(), ("members.csv", slack))
    assert "Read as Slack member list (columns" in page_text(run)
    assert run.selectbox[0].value == "slack"
    choose(run, "Read as", "okta-users")
    assert "cannot be read as Okta users, as chosen" in page_text(run)
    assert not load_button(run)
    press(choose(run, "Read as", "table"), "Load 1 account")
    assert 'read_as = "table"' in (home.root / "mappings" / "slack.toml").read_text()
    load_files_of_inbox(store, home)
    assert loaded_usernames(store) == ["ada"]


def test_another_sheet_of_a_workbook_can_be_chosen(store: Engine, home: Home) -> None:
    sheets = {"Users": [("login",), ("ada",)], "Old users": [("login",), ("bob",)]}
    with io.BytesIO() as sink:
        with Workbook(sink) as book:
            for name, rows in sheets.items():
                sheet = book.add_worksheet(name)
                for number, row in enumerate(rows):
                    sheet.write_row(number, 0, row)
        content = sink.getvalue()
    run = page()
    run.file_uploader[0].set_value([("figma.xlsx", content, "")]).run()
    choose(run, "Sheet", "Old users")
    load_button(run).click().run()
    load_files_of_inbox(store, home)
    assert loaded_usernames(store) == ["bob"]


def test_a_card_asks_about_unsure_columns_and_keeps_the_answer(store: Engine, home: Home) -> None:
    content = "login,Org role\nada,Owner\nbob,Member\n"
    run = upload(page(), ("figma.csv", content))
    assert "App access could be “Org role”" in page_text(run)
    load_button(run).click().run()
    load_files_of_inbox(store, home)
    assert loaded_usernames(store) == ["ada", "bob"]
    assert "roles = []" in (home.root / "mappings" / "figma.toml").read_text()


def test_a_card_asks_what_an_unknown_status_means(store: Engine, home: Home) -> None:
    content = "login,Kontostatus\nada,aktiv\nbob,Elternzeit\ncy,gesperrt\ndan,Elternzeit\n"
    run = upload(page(), ("figma.csv", content))
    assert "Active in app could be “Kontostatus”" in page_text(run)
    press(choose(run, "Elternzeit · 2 rows", "no"), "Load 4 accounts")
    load_files_of_inbox(store, home)
    assert '"elternzeit" = "no"' in (home.root / "mappings" / "figma.toml").read_text()
    with store.connect() as con:
        assert usernames(con, active="no") == ["bob", "cy", "dan"]


def test_a_loaded_upload_links_to_its_accounts(store: Engine, home: Home) -> None:
    run = press(upload(page(), (f"Jira & co {STAMP}.csv", GOOD)), "Load 2 accounts")
    load_files_of_inbox(store, home)
    run.run()
    (link,) = [html.proto.body for html in run.get("html")]
    assert 'href="users?integration=Jira+%26+co"' in link


def test_other_ids_of_the_same_usernames_can_keep_their_history(store: Engine, home: Home) -> None:
    old = "id,Username in app,State\n" + "".join(f"{n},u{n},Onboarded\n" for n in range(4))
    press(upload(page(), (f"figma {YESTERDAY:%Y-%m-%d}.csv", old)), "Load 4 accounts")
    load_files_of_inbox(store, home)
    new = "id,Username in app,State\n" + "".join(f"x{n},u{n},Onboarded\n" for n in range(4))
    run = upload(page(), (f"figma {STAMP}.csv", new))
    assert load_button(run).disabled
    run.radio[0].set_value(run.radio[0].options[0]).run()
    press(run, "Load 4 accounts")
    load_files_of_inbox(store, home)
    assert cells(page(), "removed")[0] == "–"


def test_several_uploads_can_be_loaded_at_once(store: Engine, home: Home) -> None:
    names = [f"{app}/{STAMP}.csv" for app in ("figma", "slack")]
    run = upload(page(), *((name, GOOD) for name in names))
    press(run, "Load all 2")
    load_files_of_inbox(store, home)
    assert cells(page(), "integration") == ["figma", "slack"]


@pytest.mark.parametrize(
    "name", ["../../x.csv", "/etc/x.csv", "<img src=x onerror=alert(1)>.csv", "a\0b\n.csv"]
)
def test_no_path_is_made_of_the_name_of_an_upload(store: Engine, home: Home, name: str) -> None:
    run = fill_in(upload(page(), (name, GOOD)), "figma")
    press(choose_typed(run, "figma"), "Load 2 accounts")
    load_files_of_inbox(store, home)
    (file,) = home.root.rglob("*.csv")
    assert file.parent == home.archive / "figma"
    assert re.fullmatch(rf"{STAMP}\.[^/\\\x00-\x1f]+\.csv", file.name)


@pytest.mark.parametrize("integration", ["../up", ".hidden", "a/b", "a\\b"])
def test_an_integration_name_that_cannot_name_a_folder_is_rejected(
    home: Home, integration: str
) -> None:
    run = fill_in(upload(page(), ("x.csv", GOOD)), integration)
    assert "cannot name an integration" in page_text(run)
    assert not inbox_files(home)


# ---- limits --------------------------------------------------------------------------------------


def test_the_safety_limit_of_an_integration_can_be_set(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN, at=YESTERDAY)
    run = page()
    run.number_input[0].set_value(50)
    press(run, "Save")
    load_snapshot(store, home, *TEN[4:])
    assert len(loaded_usernames(store)) == 6
    assert "figma 50%" in page_text(page())


# ---- on other pages ------------------------------------------------------------------------------


@pytest.mark.usefixtures("file_on_hold")
def test_a_file_on_hold_marks_its_day_until_it_is_loaded(store: Engine, home: Home) -> None:
    def marks(*integrations: str) -> list[tuple[Any, ...]]:
        with store.connect() as con:
            frame = quarantined_files_by_day(
                con, integrations, date(2026, 11, 1), date(2026, 12, 31)
            )
        return [tuple(row) for row in frame.itertuples(index=False)]

    assert marks() == marks("figma") == [(TODAY.date(), "figma", "on hold", 1)]
    assert marks("slack") == []
    press(press(page(), "Load anyway"), "Load file")
    load_files_of_inbox(store, home)
    assert marks() == []


@pytest.mark.usefixtures("file_on_hold")
def test_health_counts_the_files_on_hold_of_an_integration(store: Engine, home: Home) -> None:
    def files_of_integrations() -> dict[str, str] | None:
        """None without the column."""
        run = AppTest.from_file(PAGE.with_name("health.py"), default_timeout=PATIENCE).run()
        assert not run.exception, [error.message for error in run.exception]
        tables = [json.loads(component.proto.json) for component in run.get("bidi_component")]
        columns_of = [[column["key"] for column in one.get("columns", ())] for one in tables]
        (number,) = (n for n, columns in enumerate(columns_of) if "integration" in columns)
        if "quarantined" not in columns_of[number]:
            return None
        rows = [row["cells"] for row in tables[number]["rows"]]
        return {row["integration"]["text"]: row["quarantined"]["text"] for row in rows}

    load_snapshot(store, home, *TEN, integration="slack")
    assert files_of_integrations() == {"figma": "1", "slack": "–"}
    press(press(page(), "Dismiss"), "Dismiss file")
    assert files_of_integrations() is None


def test_a_removed_snapshot_is_not_listed(store: Engine, home: Home) -> None:
    load_snapshot(store, home, *TEN)
    withdraw_snapshot(store, home, "figma", TODAY)
    assert [s.value for s in page().subheader] == ["No snapshots yet"]


# ---- the empty store, and the sample -------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_an_empty_store_offers_the_upload() -> None:
    run = page()
    assert [s.value for s in run.subheader] == ["No snapshots yet"]
    assert run.file_uploader[0].label == "Upload account lists"


@pytest.mark.usefixtures("sample")
def test_the_sample_is_labeled_and_keeps_its_snapshots() -> None:
    run = page()
    assert "3 snapshots · newest first · sample data" in page_text(run)
    assert not run.number_input
    link = table(run)["rows"][0]["cells"]["taken_at"]["href"]
    params = {name: values[0] for name, values in parse_qs(link[1:]).items()}
    detail = page(**params)
    assert len(table(detail)["rows"]) == 1
    assert "Remove snapshot" not in [b.label for b in detail.button]
    assert not detail.file_uploader


@pytest.mark.usefixtures("sample")
def test_the_first_upload_replaces_the_sample(store: Engine, home: Home) -> None:
    press(upload(page(), (f"figma/{STAMP}.csv", GOOD)), "Load 2 accounts")
    load_files_of_inbox(store, home)
    assert cells(page(), "integration") == ["figma"]
    assert "sample" not in page_text(page())
