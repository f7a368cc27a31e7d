"""The audit log loses no event, stores each once, and reveals changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account, content_of
from patience import PATIENCE
from sqlalchemy import Engine, delete, func, select, update
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

import app as web
import rollcall
from data.access.roles import Principal
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.records.audit_log import Event, flush_pending, record_denial, record_event
from data.records.tables import audit_event
from data.store.engine import close_stores, open_store
from queries.audit import count_events, find_broken_event, page_of_events, write_events

PAGE = Path(__file__).parent.parent / "pages" / "audit.py"


@pytest.fixture
def engine(home: Home) -> Engine:
    return open_store(home.database_url)


def logged(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as con:
        return [json.loads(line) for line in content_of(write_events, con).splitlines()]


def test_events_are_stored_in_the_order_in_which_they_happened(home: Home, engine: Engine) -> None:
    record_event(home, "ada@x.io", Event.SIGNED_IN, roles=["Owner"])
    record_event(
        home, "ada@x.io", Event.DOWNLOADED, file="users.csv", rows=3, filters={}, words='ö\n"'
    )
    assert flush_pending(engine, home) == 2
    record_event(home, "bob@x.io", Event.SIGNED_OUT)
    assert flush_pending(engine, home) == 1
    assert flush_pending(engine, home) == 0
    assert [(e["number"], e["actor"], e["action"]) for e in logged(engine)] == [
        (1, "ada@x.io", "signed in"),
        (2, "ada@x.io", "downloaded"),
        (3, "bob@x.io", "signed out"),
    ]
    assert logged(engine)[1]["details"] == {"file": "users.csv", "rows": 3, "words": 'ö\n"'}


def test_an_event_is_stored_once_even_if_the_process_is_killed(home: Home, engine: Engine) -> None:
    record_event(home, "ada", Event.SIGNED_IN)
    pending = home.root / "audit-log.pending"
    lines = pending.read_text()
    flush_pending(engine, home)
    (home.root / "audit-log.flushing").write_text(lines)  # killed before it was deleted
    pending.write_text(lines[: len(lines) // 2])  # and in the middle of a line
    record_event(home, "bob", Event.SIGNED_IN)
    assert flush_pending(engine, home) == 0
    assert flush_pending(engine, home) == 1
    assert [event["actor"] for event in logged(engine)] == ["ada", "bob"]


def test_a_change_or_a_gap_breaks_the_checksum_chain(home: Home, engine: Engine) -> None:
    for actor in ("ada", "bob", "cem", "dan"):
        record_event(home, actor, Event.SIGNED_IN)
    flush_pending(engine, home)
    for statement, broken in (
        (None, None),
        (update(audit_event).where(audit_event.c.number == 3).values(actor="eve"), 3),
        (delete(audit_event).where(audit_event.c.number == 2), 2),
    ):
        with engine.begin() as con:
            con.execute(statement) if statement is not None else None
        with engine.connect() as con:
            assert find_broken_event(con) == broken


def test_the_downloaded_file_is_enough_to_verify_integrity(home: Home, engine: Engine) -> None:
    for actor in ("ada", "bob"):
        record_event(home, actor, Event.REMOVED, integration="figma")
    flush_pending(engine, home)
    checksum = "0" * 64
    with engine.connect() as con:
        rows = con.execute(select(audit_event).order_by(audit_event.c.number)).all()
    for event, row in zip(logged(engine), rows, strict=True):
        parts = [
            checksum,
            event["number"],
            event["event_id"],
            event["occurred_at"].removesuffix("Z"),
        ]
        text = json.dumps([*parts, event["actor"], event["action"], row.details])
        checksum = hashlib.sha256(text.encode()).hexdigest()
        assert event["checksum"] == checksum


def test_a_rebuild_copies_the_log(home: Home, tmp_path: Path) -> None:
    record_event(home, "ada", Event.EXCEPTION_ADDED, reason="service account")
    assert rollcall.main(["load", str(a_snapshot_file(tmp_path))]) == 0
    engine = open_store(home.database_url)
    before = logged(engine)
    close_stores()
    assert rollcall.main(["rebuild"]) == 0
    assert logged(open_store(home.database_url)) == before
    assert [e["action"] for e in before] == ["added an exception", "delivered a file", "loaded"]


def test_a_load_at_the_command_line_is_recorded_with_its_actor(home: Home, tmp_path: Path) -> None:
    assert rollcall.main(["load", str(a_snapshot_file(tmp_path))]) == 0
    delivered, loaded = logged(open_store(home.database_url))
    assert delivered["actor"].endswith("at the command line")
    assert loaded["details"]["integration"] == "figma"
    assert loaded["details"]["taken_at"] == f"{TODAY.isoformat()}Z"


def test_repeated_denials_are_recorded_once(home: Home, engine: Engine) -> None:
    for _ in range(50):
        record_denial(home, "eve@x.io", "may not see Users")
        record_denial(home, "eve@x.io", "may not see Review")
    assert flush_pending(engine, home) == 2


def test_the_log_can_be_searched_and_paged(home: Home, engine: Engine) -> None:
    for number in range(60):
        record_event(home, f"person{number}@x.io", Event.DOWNLOADED, file="users.csv")
    flush_pending(engine, home)
    with engine.connect() as con:
        assert count_events(con) == 60
        assert count_events(con, "PERSON59 users") == 1
        assert [row.number for row in page_of_events(con, "", 2)] == list(range(10, 0, -1))
        assert con.scalar(select(func.count(audit_event.c.event_id.distinct()))) == 60


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ("users.csv?q=bob", 1),
        ("changes.csv?list=joined", 2),
        ("changes.about.json?list=gone", 0),
        (f"rejected.csv?integration=figma&taken_at={TODAY.isoformat()}Z", 1),
    ],
)
def test_a_download_is_recorded_with_its_rows_and_snapshots(
    home: Home, engine: Engine, address: str, rows: int
) -> None:
    people = [an_account("ada"), an_account("bob")]
    for at, more in ((YESTERDAY, []), (TODAY, [*people, {"user_name": "has no username"}])):
        path = a_snapshot_file(home.root / "made", [an_account("cyd"), *more], at=at)
        load(engine, SnapshotFile(path, "figma", at))
    near = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 50_000)}
    answer = TestClient(web.app, **near).get(f"/export/{address}")
    assert answer.status_code == 200
    flush_pending(engine, home)
    (details,) = [event["details"] for event in logged(engine)]
    assert details["file"] == address.split("?")[0]
    assert details["rows"] == rows
    assert f"{TODAY.isoformat()}Z" in str(details)


def test_the_page_shows_events_and_escapes_their_texts(home: Home, engine: Engine) -> None:
    record_event(home, "**eve** <b>x</b>", Event.SETTING_CHANGED, setting="a", percent=20)
    flush_pending(engine, home)
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    run.query_params["tz"] = "Asia/Tokyo"
    run.run()
    assert not run.exception
    table = json.loads(run.get("bidi_component")[0].proto.json)
    cells = table["rows"][0]["cells"]
    assert table["columns"][0]["label"] == "Time (Asia/Tokyo)"
    assert cells["occurred_at"]["title"].endswith("Asia/Tokyo")
    assert cells["actor"] == {"kind": "text", "text": "**eve** <b>x</b>"}
    assert cells["about"]["text"] == "setting a, percent 20"


def test_an_owner_ends_the_sessions_of_a_person(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr("widgets.audit.current_principal", lambda: Principal("olga", ("Owner",)))
    monkeypatch.setattr("widgets.audit.end_sessions", ended.append)
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE).run()
    run.text_input(key="end_sessions_of").input(" kim@x.io ")
    next(b for b in run.button if b.label == "End sessions").click().run()
    assert not run.exception
    assert ended == ["kim@x.io"]
    assert '"ended sessions"' in (home.root / "audit-log.pending").read_text()
