"""The audit log: nothing of it is lost, doubled or changed unseen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from sqlalchemy import Engine, delete, func, select, update
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

import app as web
import rollcall
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.records.audit_log import Event, note, note_refusal, settle
from data.schema import audit
from data.store.engine import close_stores, open_store
from queries.audit import broken_from, count_events, events_ndjson, page_of_events

PAGE = Path(__file__).parent.parent / "pages" / "audit.py"


@pytest.fixture
def engine(home: Home) -> Engine:
    return open_store(home.database_url)


def told(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as con:
        return [json.loads(line) for line in b"".join(events_ndjson(con)).splitlines()]


def test_events_are_kept_in_the_order_in_which_they_happened(home: Home, engine: Engine) -> None:
    note(home, "ada@x.io", Event.SIGNED_IN, roles=["Owner"])
    note(home, "ada@x.io", Event.DOWNLOADED, file="users.csv", rows=3, filters={}, words='ö\n"')
    assert settle(engine, home) == 2
    note(home, "bob@x.io", Event.SIGNED_OUT)
    assert settle(engine, home) == 1
    assert settle(engine, home) == 0
    assert [(e["number"], e["who"], e["what"]) for e in told(engine)] == [
        (1, "ada@x.io", "signed in"),
        (2, "ada@x.io", "downloaded"),
        (3, "bob@x.io", "signed out"),
    ]
    assert told(engine)[1]["details"] == {"file": "users.csv", "rows": 3, "words": 'ö\n"'}


def test_an_event_is_there_once_even_if_the_process_died_in_between(
    home: Home, engine: Engine
) -> None:
    note(home, "ada", Event.SIGNED_IN)
    pending = home.root / "audit-log.pending"
    written = pending.read_text()
    settle(engine, home)
    (home.root / "audit-log.settling").write_text(written)  # killed before it was taken away
    pending.write_text(written[: len(written) // 2])  # and in the middle of a line
    note(home, "bob", Event.SIGNED_IN)
    assert settle(engine, home) == 0
    assert settle(engine, home) == 1
    assert [event["who"] for event in told(engine)] == ["ada", "bob"]


def test_a_change_or_a_gap_is_seen(home: Home, engine: Engine) -> None:
    for who in ("ada", "bob", "cem", "dan"):
        note(home, who, Event.SIGNED_IN)
    settle(engine, home)
    for statement, broken in (
        (None, None),
        (update(audit).where(audit.c.number == 3).values(who="eve"), 3),
        (delete(audit).where(audit.c.number == 2), 2),
    ):
        with engine.begin() as con:
            con.execute(statement) if statement is not None else None
        with engine.connect() as con:
            assert broken_from(con) == broken


def test_whoever_has_the_file_can_check_the_seals(home: Home, engine: Engine) -> None:
    for who in ("ada", "bob"):
        note(home, who, Event.REMOVED, integration="figma")
    settle(engine, home)
    seal = "0" * 64
    with engine.connect() as con:
        rows = con.execute(select(audit).order_by(audit.c.number)).all()
    for event, row in zip(told(engine), rows, strict=True):
        parts = [seal, event["number"], event["event_id"], event["at"].removesuffix("Z")]
        text = json.dumps([*parts, event["who"], event["what"], row.details])
        seal = hashlib.sha256(text.encode()).hexdigest()
        assert event["seal"] == seal


def test_the_log_outlives_a_rebuild(home: Home, tmp_path: Path) -> None:
    note(home, "ada", Event.ACCEPTED, reason="it is known")
    assert rollcall.main(["load", str(a_snapshot_file(tmp_path))]) == 0
    engine = open_store(home.database_url)
    before = told(engine)
    close_stores()
    assert rollcall.main(["rebuild"]) == 0
    assert told(open_store(home.database_url)) == before
    assert [e["what"] for e in before] == ["accepted findings", "delivered a file", "loaded"]


def test_a_load_by_hand_is_told_with_who_did_it(home: Home, tmp_path: Path) -> None:
    assert rollcall.main(["load", str(a_snapshot_file(tmp_path))]) == 0
    delivered, loaded = told(open_store(home.database_url))
    assert delivered["who"].endswith("at the command line")
    assert loaded["details"]["integration"] == "figma"
    assert loaded["details"]["taken_at"] == f"{TODAY.isoformat()}Z"


def test_who_tries_again_and_again_does_not_fill_the_log(home: Home, engine: Engine) -> None:
    for _ in range(50):
        note_refusal(home, "eve@x.io", "may not see Users")
        note_refusal(home, "eve@x.io", "may not see Review")
    assert settle(engine, home) == 2


def test_the_log_can_be_searched_and_paged(home: Home, engine: Engine) -> None:
    for number in range(60):
        note(home, f"person{number}@x.io", Event.DOWNLOADED, file="users.csv")
    settle(engine, home)
    with engine.connect() as con:
        assert count_events(con) == 60
        assert count_events(con, "PERSON59 users") == 1
        assert [row.number for row in page_of_events(con, "", 2)] == list(range(10, 0, -1))
        assert con.scalar(select(func.count(audit.c.event_id.distinct()))) == 60


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ("users.csv?q=bob", 1),
        ("changes.csv?list=joined", 2),
        ("changes.about.json?list=gone", 0),
        (f"rejected.csv?integration=figma&taken_at={TODAY.isoformat()}Z", 1),
    ],
)
def test_a_download_is_told_with_its_rows_and_its_snapshots(
    home: Home, engine: Engine, address: str, rows: int
) -> None:
    people = [an_account("ada"), an_account("bob")]
    for at, more in ((YESTERDAY, []), (TODAY, [*people, {"user_name": "has no username"}])):
        path = a_snapshot_file(home.root / "made", [an_account("cyd"), *more], at=at)
        load(engine, SnapshotFile(path, "figma", at))
    near = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 50_000)}
    answer = TestClient(web.app, **near).get(f"/export/{address}")
    assert answer.status_code == 200
    settle(engine, home)
    (details,) = [event["details"] for event in told(engine)]
    assert details["file"] == address.split("?")[0]
    assert details["rows"] == rows
    assert f"{TODAY.isoformat()}Z" in str(details)


def test_the_page_shows_it_and_no_text_comes_alive(home: Home, engine: Engine) -> None:
    note(home, "**eve** <b>x</b>", Event.SET, setting="a", percent=20)
    settle(engine, home)
    run = AppTest.from_file(PAGE, default_timeout=60)
    run.query_params["tz"] = "Asia/Tokyo"
    run.run()
    assert not run.exception
    table = json.loads(run.get("bidi_component")[0].proto.json)
    cells = table["rows"][0]["cells"]
    assert table["columns"][0]["label"] == "When (Asia/Tokyo)"
    assert cells["at"]["title"].endswith("Asia/Tokyo")
    assert cells["who"] == {"kind": "text", "text": "**eve** <b>x</b>"}
    assert cells["about"]["text"] == "setting a, percent 20"
