"""The Snapshots page: what was loaded, what waits for a person, and how more gets in."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from builders import TODAY, YESTERDAY, Account, a_snapshot_file, an_account, usernames
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.inbox.inbox import inbox_files, load_inbox
from data.inbox.quarantine import withdraw_snapshot
from data.sample.files import sample_snapshots
from data.service.active_store import _latest_sample_time, _sample_url
from data.store.engine import open_store
from data.store.errors import DiskFull
from queries.cache import store_revision
from queries.health.integrations import quarantined_files_by_day
from queries.rejected_rows import rejected_csv
from queries.snapshots import PAGE_SIZE, page_of_snapshots
from widgets.snapshots.upload import parse_file_name

PAGE = Path(__file__).parent.parent / "pages" / "snapshots.py"
TEN = [an_account(f"a{n}") for n in range(10)]
STAMP = f"{TODAY:%Y-%m-%dT%H-%M-%SZ}"
GOOD = "Username in app,State\nada,Onboarded\nbob,Update failed\n"


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    engine = open_store(home.database_url)
    yield engine
    engine.dispose()


def look(store: Engine, home: Home) -> None:
    """A look into the inbox, some time after the files were written."""
    for path in inbox_files(home):
        os.utime(path, (0, 0))
    load_inbox(store, home)


def take(store: Engine, home: Home, *accounts: Account, at: Any = TODAY, **of: Any) -> None:
    a_snapshot_file(home.inbox, accounts, at=at, **of)
    look(store, home)


@pytest.fixture
def held(store: Engine, home: Home) -> None:
    """Ten accounts yesterday; a file that takes away three of them is held."""
    take(store, home, *TEN, at=YESTERDAY)
    take(store, home, *TEN[3:])


def page(**params: Any) -> AppTest:
    run = AppTest.from_file(PAGE, default_timeout=30)
    for param, value in params.items():
        run.query_params[param] = value
    run.run()
    assert not run.exception, [fault.message for fault in run.exception]
    return run


def said(run: AppTest) -> str:
    """All words of the page that are no table."""
    words = [*run.text, *run.caption, *run.markdown, *run.subheader]
    return "\n".join(str(each.value) for each in words)


def table(run: AppTest) -> dict[str, Any]:
    return json.loads(run.get("bidi_component")[0].proto.json)


def cells(run: AppTest, key: str) -> list[str]:
    return [row["cells"][key]["text"] for row in table(run)["rows"]]


def press(run: AppTest, label: str) -> AppTest:
    next(b for b in run.button if b.label == label).click().run()
    assert not run.exception, [fault.message for fault in run.exception]
    return run


def upload(run: AppTest, *files: tuple[str, str]) -> AppTest:
    given = [(name, content.encode(), "text/csv") for name, content in files]
    run.file_uploader[0].set_value(given).run()
    assert not run.exception, [fault.message for fault in run.exception]
    return run


def choose_typed(run: AppTest, integration: str) -> AppTest:
    """What a person types is none of the options, and Streamlit's tester can only choose."""
    run.selectbox[0].options.append(integration)
    run.selectbox[0].set_value(integration)
    return run


def name_it(run: AppTest, integration: str, taken_at: str) -> AppTest:
    """What the file does not say, a person says."""
    run.text_input[0].set_value(taken_at)
    choose_typed(run, integration).run()
    assert not run.exception, [fault.message for fault in run.exception]
    return run


def see(run: AppTest) -> AppTest:
    """What would happen with the first held or refused file."""
    key = next(str(b.key) for b in run.button if str(b.key).startswith("dismiss_"))
    run.session_state[key.replace("dismiss", "see")] = True
    run.run()
    assert not run.exception, [fault.message for fault in run.exception]
    return run


def listed(store: Engine) -> list[str]:
    with store.connect() as con:
        return usernames(con)


# ---- the list ------------------------------------------------------------------------------------


def test_the_newest_snapshots_come_first_with_their_grade_and_counts(
    store: Engine, home: Home
) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    take(store, home, *TEN[1:], an_account("new", state="Odd"), an_account(""))
    run = page()
    assert cells(run, "taken_at") == ["2026-11-23 06:00", "2026-11-22 06:00"]
    assert cells(run, "grade") == ["Check", "OK"]
    assert cells(run, "accounts") == ["10", "10"]
    assert cells(run, "joined") == ["1", "first"]
    assert cells(run, "gone")[0] == "1"
    assert cells(run, "rejected") == ["1", "–"]
    assert cells(run, "flagged") == ["1", "–"]


def test_a_row_opens_the_whole_passport(store: Engine, home: Home) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    take(store, home, *TEN[1:], an_account("", email="x@x.io"), an_account("d", state="Deleted"))
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
    take(store, home, *TEN)
    take(store, home, *TEN, integration="slack")
    assert cells(page(integration="slack"), "integration") == ["slack"]


def test_the_list_is_as_it_was_at_any_moment_and_leads_back_to_now(
    store: Engine, home: Home
) -> None:
    take(store, home, *TEN, at=TODAY - timedelta(days=1))
    take(store, home, *TEN)
    run = page(as_of=f"{(TODAY - timedelta(hours=1)).isoformat()}Z")
    assert len(cells(run, "taken_at")) == 1
    press(run, "Back to now")
    assert len(cells(run, "taken_at")) == 2


def test_pages_of_the_list_hold_every_snapshot_once(store: Engine, home: Home) -> None:
    for day in range(PAGE_SIZE + 2):
        a_snapshot_file(home.inbox, TEN, at=TODAY - timedelta(days=day))
    look(store, home)
    with store.connect() as con:
        pages = [[p.taken_at for p in page_of_snapshots(con, [], n)] for n in (1, 2)]
    assert [len(moments) for moments in pages] == [PAGE_SIZE, 2]
    moments = pages[0] + pages[1]
    assert moments == sorted(set(moments), reverse=True)
    assert len(cells(page(page="2"), "taken_at")) == 2


@pytest.mark.parametrize("name", ["page", "integration", "taken_at", "as_of"])
def test_no_address_breaks_the_page(store: Engine, home: Home, name: str) -> None:
    take(store, home, *TEN)
    for value in ("", "0", "-1", "nonsense", "9" * 400, "١", "\0", "'; DROP --"):
        page(**{name: value})
        page(**{"integration": "figma", "taken_at": "2026-11-23T06:00:00Z", name: value})


# ---- one snapshot --------------------------------------------------------------------------------


def test_a_snapshot_has_an_address_of_its_own(store: Engine, home: Home) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    take(store, home, *TEN)
    link = table(page())["rows"][0]["cells"]["taken_at"]["href"]
    assert link == "?integration=figma&taken_at=2026-11-23T06%3A00%3A00Z"
    own = page(integration="figma", taken_at="2026-11-23T06:00:00Z")
    assert cells(own, "taken_at") == ["2026-11-23 06:00"]
    assert list(table(own)["details"]) == [table(own)["rows"][0]["id"]]
    (links,) = [html.proto.body for html in own.get("html") if "This snapshot" in html.proto.body]
    assert 'href="users?as_of=2026-11-23T06%3A00%3A00Z&amp;integration=figma"' in links


def test_an_address_of_no_snapshot_says_so(store: Engine, home: Home) -> None:
    take(store, home, *TEN)
    assert "no such snapshot" in said(page(integration="figma", taken_at="2020-01-01T06:00:00Z"))


def test_removing_asks_first_and_names_what_goes(store: Engine, home: Home) -> None:
    take(store, home, *TEN[:4], at=YESTERDAY)
    take(store, home, *TEN)
    own = press(page(integration="figma", taken_at="2026-11-23T06:00:00Z"), "Remove snapshot")
    question = said(own)
    assert "figma, taken at 2026-11-23 06:00:00 UTC, with 10 accounts" in question
    assert str(home.removed) in question
    assert len(listed(store)) == 10
    press(own, "Remove it")
    assert len(listed(store)) == 4
    assert (home.removed / "figma" / f"{STAMP}.ndjson").is_file()


def test_rejected_rows_download_safe_for_spreadsheets(store: Engine, home: Home) -> None:
    take(store, home, *TEN, an_account("", email="=1+1"), an_account("A1", email="x@x.io"))
    with store.connect() as con:
        text = b"".join(rejected_csv(con, "figma", TODAY)).decode("utf-8-sig")
    heading, *rows = csv.reader(io.StringIO(text))
    assert heading == ["Line", "Reason", "Text"]
    assert [row[0] for row in rows] == ["11", "12"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_a_rejected_text_that_looks_like_a_formula_stays_text(store: Engine, home: Home) -> None:
    written = home.inbox / "figma" / f"{STAMP}.ndjson"
    written.parent.mkdir(parents=True)
    written.write_text('{"username_in_app": "ada"}\n=HYPERLINK("http://x")\n')
    look(store, home)
    with store.connect() as con:
        text = b"".join(rejected_csv(con, "figma", TODAY)).decode("utf-8-sig")
    assert '"\'=HYPERLINK(""http://x"")"' in text


# ---- held and refused files ----------------------------------------------------------------------


def test_a_page_without_anything_to_decide_is_quiet(store: Engine, home: Home) -> None:
    take(store, home, *TEN)
    assert [s.value for s in page().subheader] == ["Loaded"]


@pytest.mark.usefixtures("held")
def test_a_held_file_comes_first_and_tells_what_would_happen() -> None:
    run = page()
    assert [s.value for s in run.subheader] == ["To be decided", "Loaded"]
    assert "3 of 10 accounts (30%) would be deleted" in said(run)
    assert "Against" not in said(run)
    see(run)
    assert "7 of 7 rows are accounts. Against 2026-11-22 06:00 UTC: 0 joined" in said(run)
    assert "3 gone" in said(run)


@pytest.mark.usefixtures("held")
def test_a_held_file_is_loaded_only_after_a_question(store: Engine, home: Home) -> None:
    asked = press(page(), "Load it all the same")
    assert len(listed(store)) == 10
    assert "figma, taken at 2026-11-23 06:00:00 UTC" in said(asked)
    press(asked, "Load it")
    look(store, home)
    assert len(listed(store)) == 7
    assert [s.value for s in page().subheader] == ["Loaded"]


@pytest.mark.usefixtures("held")
def test_a_held_file_can_be_refused_and_is_kept(store: Engine, home: Home) -> None:
    asked = press(page(), "Refuse")
    press(asked, "Leave it out")
    look(store, home)
    assert len(listed(store)) == 10
    assert (home.removed / "figma" / f"{STAMP}.ndjson").is_file()
    assert [s.value for s in page().subheader] == ["Loaded"]


def test_a_refused_file_tells_why_and_can_be_tried_again(store: Engine, home: Home) -> None:
    path = home.inbox / "figma" / f"{STAMP}.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"error": "rate limit"}')
    look(store, home)
    run = page()
    assert "is one JSON object; expected a list of accounts" in said(run)
    press(run, "Try again")
    assert [p.name for p in inbox_files(home)] == [f"{STAMP}.json"]


def test_a_refused_file_can_take_the_place_of_what_is_loaded(store: Engine, home: Home) -> None:
    take(store, home, *TEN)
    take(store, home, *TEN, an_account("eve"))
    run = page()
    assert "is already loaded" in said(run)
    see(run)
    press(press(run, "Load it in its place"), "Load it")
    look(store, home)
    assert "eve" in listed(store)
    assert [s.value for s in page().subheader] == ["Loaded"]


def test_a_file_in_no_folder_can_only_be_dismissed(store: Engine, home: Home) -> None:
    (home.inbox / "readme.csv").write_text("a,b\n")
    look(store, home)
    run = page()
    assert "Try again" not in [b.label for b in run.button]
    press(press(run, "Dismiss"), "Leave it out")
    assert "readme.csv" not in said(page())


def test_pages_notice_that_a_file_was_held(store: Engine, home: Home) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    with store.connect() as con:
        before = store_revision(con)
    take(store, home, *TEN[5:])
    with store.connect() as con:
        assert store_revision(con) != before


# ---- uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "integration", "moment"),
    [
        ("figma/2026-11-23T06-00-00Z.csv", "figma", TODAY),
        ("snapshots\\figma\\2026-11-23T06-00-00Z.csv.gz", "figma", TODAY),
        ("figma 2026-11-23T06-00-00Z.json", "figma", TODAY),
        ("Salesforce EMEA_2026-11-23T06-00-00Z.json", "Salesforce EMEA", TODAY),
        ("2026-11-23T06-00-00Z.csv", "", TODAY),
        ("../2026-11-23T06-00-00Z.csv", "", TODAY),
        ("../../x.csv", "", None),
        ("export.csv", "", None),
        ("figma/2026-13-45.csv", "figma", None),
        ("", "", None),
    ],
)
def test_a_name_says_which_integration_and_when(name: str, integration: str, moment: Any) -> None:
    assert parse_file_name(name) == (integration, moment)


def test_nothing_of_an_upload_is_loaded_before_a_person_says_so(store: Engine, home: Home) -> None:
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "2 of 2 rows are accounts. There is no earlier snapshot" in said(run)
    assert "OK" in said(run)
    assert not inbox_files(home)
    assert listed(store) == []
    press(run, "Load")
    assert [str(p.relative_to(home.inbox)) for p in inbox_files(home)] == [f"figma/{STAMP}.csv"]
    look(store, home)
    assert listed(store) == ["ada", "bob"]
    run.run()
    assert "2 accounts" in said(run)
    assert not list(home.root.glob(".upload-*"))


def test_what_the_name_does_not_say_has_to_be_filled_in(store: Engine, home: Home) -> None:
    run = upload(page(), ("export.csv", GOOD))
    assert "Load" not in [b.label for b in run.button]
    name_it(run, "slack", "2026-11-23 06:00")
    press(choose_typed(run, "slack"), "Load")
    look(store, home)
    assert cells(page(), "integration") == ["slack"]


@pytest.mark.parametrize(
    ("zone", "name", "shown", "written", "taken_at"),
    [
        ("Asia/Tokyo", "a.csv", "", "2026-11-23 15:00", STAMP),
        ("Asia/Tokyo", "a.csv", "", "2026-11-23T06-00-00Z", STAMP),
        ("Asia/Tokyo", f"{STAMP}.csv", "2026-11-23 15:00:00", "2026-11-23 15:00:01",
         "2026-11-23T06-00-01Z"),
        ("Europe/Berlin", "2026-10-25T01-30-00Z.csv", "2026-10-25 02:30:00", None,
         "2026-10-25T01-30-00Z"),  # shown twice that night
    ],
)  # fmt: skip
def test_a_moment_is_told_and_written_as_the_reader_s_clocks_show_it(
    home: Home, zone: str, name: str, shown: str, written: str | None, taken_at: str
) -> None:
    run = upload(page(tz=zone), (name, GOOD))
    assert run.text_input[0].label == f"Taken at ({zone})"
    assert run.text_input[0].value == shown
    name_it(run, "slack", shown if written is None else written)
    press(choose_typed(run, "slack"), "Load")
    assert [path.name for path in inbox_files(home)] == [f"{taken_at}.csv"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("written", "words"), [("23/11/2026", "as 2026-11-23 06:00"), ("2099-01-01", "still to come")]
)
def test_a_moment_that_cannot_be_is_not_taken(written: str, words: str) -> None:
    run = name_it(upload(page(), ("export.csv", GOOD)), "slack", written)
    assert words in said(run)
    assert "Load" not in [b.label for b in run.button]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (f"figma/{STAMP}.pdf", GOOD, "has no known ending"),
        (f"figma/{STAMP}.csv", "a,b\n1,2\n", "username"),
        (f"figma/{STAMP}.json", '{"error": "x"}', "expected a list of accounts"),
    ],
)
def test_a_refused_upload_says_why_and_leaves_nothing(
    home: Home, name: str, content: str, words: str
) -> None:
    run = upload(page(), (name, content))
    assert words in said(run)
    assert "Load" not in [b.label for b in run.button]
    assert not inbox_files(home)
    assert not list(home.root.glob(".upload-*"))


def test_an_upload_that_would_be_held_needs_a_word_first(store: Engine, home: Home) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    fewer = "".join(f"{json.dumps(account)}\n" for account in TEN[5:])
    run = upload(page(), (f"figma/{STAMP}.ndjson", fewer))
    assert "Would be held" in said(run)
    assert next(b for b in run.button if b.label == "Load").disabled
    next(c for c in run.checkbox if c.label.startswith("I have checked it")).check().run()
    press(run, "Load")
    look(store, home)
    assert len(listed(store)) == 5


def test_an_upload_takes_the_place_of_another_file_only_when_told(
    store: Engine, home: Home
) -> None:
    take(store, home, *TEN)
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "has a snapshot of this moment already" in said(run)
    assert next(b for b in run.button if b.label == "Load").disabled
    for box in run.checkbox:
        box.check()
    press(run.run(), "Load")
    look(store, home)
    assert listed(store) == ["ada", "bob"]


def test_an_upload_that_is_loaded_already_says_so(store: Engine, home: Home) -> None:
    take(store, home, *TEN)
    same = (home.archive / "figma" / f"{STAMP}.ndjson").read_text()
    run = upload(page(), (f"figma/{STAMP}.ndjson", same))
    assert "loaded already" in said(run)
    assert "Load" not in [b.label for b in run.button]


@pytest.mark.usefixtures("home")
def test_a_full_disk_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise DiskFull("There is no room left on the disk.")

    monkeypatch.setattr("widgets.snapshots.preview.preview", fails)
    run = upload(page(), (f"figma/{STAMP}.csv", GOOD))
    assert "It cannot be looked at now. There is no room left on the disk." in said(run)


def test_a_file_with_headings_of_its_own_is_mapped_by_a_person_once(
    store: Engine, home: Home
) -> None:
    own = "Kennung,Zustand\nada,fertig\n"
    run = upload(page(), (f"figma/{STAMP}.csv", own))
    assert [b.label for b in run.button] == ["Save this mapping"]  # first saved, then loaded
    run.text_area[0].set_value("fertig = onboarded\nwas").run()
    assert "Not understood: was" in said(run)
    press(press(run, "Save this mapping"), "Load")
    look(store, home)
    assert 'username_in_app = "Kennung"' in (home.root / "mappings" / "figma.toml").read_text()
    with store.connect() as con:
        assert usernames(con, state=("Onboarded",)) == ["ada"]
    later = f"{TODAY + timedelta(days=1):%Y-%m-%dT%H-%M-%SZ}"
    run = upload(page(), (f"figma/{later}.csv", own))
    assert "Load" in [b.label for b in run.button]


def test_several_uploads_are_loaded_at_once(store: Engine, home: Home) -> None:
    names = [f"{app}/{STAMP}.csv" for app in ("figma", "slack")]
    run = upload(page(), *((name, GOOD) for name in names))
    press(run, "Load all 2")
    look(store, home)
    assert cells(page(), "integration") == ["figma", "slack"]


@pytest.mark.parametrize(
    "name", ["../../x.csv", "/etc/x.csv", "<img src=x onerror=alert(1)>.csv", "a\0b\n.csv"]
)
def test_no_path_is_ever_made_of_an_uploaded_name(store: Engine, home: Home, name: str) -> None:
    run = name_it(upload(page(), (name, GOOD)), "figma", "2026-11-23 06:00")
    press(choose_typed(run, "figma"), "Load")
    look(store, home)
    files = {str(p.relative_to(home.root)) for p in home.root.rglob("*.csv")}
    assert files == {f"archive/figma/{STAMP}.csv"}


@pytest.mark.parametrize("integration", ["../up", ".hidden", "a/b", "a\\b"])
def test_an_integration_that_cannot_name_a_folder_is_refused(home: Home, integration: str) -> None:
    run = name_it(upload(page(), ("x.csv", GOOD)), integration, "2026-11-23 06:00")
    assert "cannot name an integration" in said(run)
    assert not inbox_files(home)


# ---- limits --------------------------------------------------------------------------------------


def test_the_share_that_may_leave_can_be_set(store: Engine, home: Home) -> None:
    take(store, home, *TEN, at=YESTERDAY)
    run = page()
    run.number_input[0].set_value(50)
    press(run, "Save")
    take(store, home, *TEN[4:])
    assert len(listed(store)) == 6
    assert "figma 50%" in said(page())


# ---- what trends are told ------------------------------------------------------------------------


@pytest.mark.usefixtures("held")
def test_a_held_file_marks_its_day_until_it_is_loaded(store: Engine, home: Home) -> None:
    def marks(*integrations: str) -> list[tuple[Any, ...]]:
        with store.connect() as con:
            found = quarantined_files_by_day(
                con, integrations, date(2026, 11, 1), date(2026, 12, 31)
            )
        return [tuple(row) for row in found.itertuples(index=False)]

    assert marks() == marks("figma") == [(TODAY.date(), "figma", "on hold", 1)]
    assert marks("slack") == []
    press(press(page(), "Load it all the same"), "Load it")
    look(store, home)
    assert marks() == []


@pytest.mark.usefixtures("held")
def test_health_counts_the_held_files_of_an_integration(store: Engine, home: Home) -> None:
    def column() -> list[Any]:
        run = AppTest.from_file(PAGE.with_name("health.py"), default_timeout=30).run()
        assert not run.exception, [fault.message for fault in run.exception]
        return run.dataframe[-1].value["unloaded"].fillna(0).tolist()

    take(store, home, *TEN, integration="slack")
    assert column() == [1, 0]
    press(press(page(), "Refuse"), "Leave it out")
    assert column() == [0, 0]


def test_a_removed_snapshot_is_gone_from_the_list(store: Engine, home: Home) -> None:
    take(store, home, *TEN)
    withdraw_snapshot(store, home, "figma", TODAY)
    assert [s.value for s in page().subheader] == ["No snapshots yet"]


# ---- the empty store, and the sample -------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_an_empty_store_offers_the_upload_right_there() -> None:
    run = page()
    assert [s.value for s in run.subheader] == ["No snapshots yet"]
    assert run.file_uploader[0].label == "Drop snapshot files here, or choose them"


@pytest.fixture
def sample(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that shows a sample, of few days so that it is made at once."""
    monkeypatch.delenv("ROLLCALL_NO_SAMPLE")
    monkeypatch.setattr("data.service.active_store.SAMPLE_DAYS", 2)
    monkeypatch.setattr("data.service.active_store.SAMPLE_INTEGRATIONS", 1)
    engine = open_store(_sample_url(home))
    made = sample_snapshots(
        tmp_path / "made", accounts=20, days=2, integrations=1, until=_latest_sample_time()
    )
    for path in made:
        load(engine, SnapshotFile.from_path(path))


@pytest.mark.usefixtures("sample")
def test_the_sample_is_shown_as_such_and_nothing_of_it_can_be_changed() -> None:
    run = page()
    assert "2 snapshots, the newest first · sample data" in said(run)
    assert not run.number_input
    link = table(run)["rows"][0]["cells"]["taken_at"]["href"]
    asked = {name: values[0] for name, values in parse_qs(link[1:]).items()}
    own = page(**asked)
    assert len(table(own)["rows"]) == 1
    assert "Remove snapshot" not in [b.label for b in own.button]
    assert not own.file_uploader


@pytest.mark.usefixtures("sample")
def test_the_first_upload_takes_the_place_of_the_sample(store: Engine, home: Home) -> None:
    press(upload(page(), (f"figma/{STAMP}.csv", GOOD)), "Load")
    look(store, home)
    assert cells(page(), "integration") == ["figma"]
    assert "sample" not in said(page())
