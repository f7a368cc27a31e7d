"""The evidence pack of a review round: the archive and the audit log prove it, or say what not."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from builders import TODAY, YESTERDAY, Deliveries, a_snapshot_file, an_account
from openpyxl import load_workbook
from starlette.testclient import TestClient
from test_rounds_page import decide, press, start
from viewing import page

import app as web
from data.files.naming import SnapshotFile
from data.formatting import utc_now
from data.history.load import load
from data.home import Home, current_home
from data.inbox.quarantine import move_into
from data.records.notes import NamedAccount, save_note
from data.store.engine import close_stores, open_store
from queries.audit import write_events
from queries.evidence.proof import verify
from queries.rounds.lists import read_rounds
from rollcall import main

Files = dict[str, bytes]


def read(path: Path) -> Files:
    with ZipFile(path) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def zipped(files: Files, path: Path) -> Path:
    """A pack of these files, as a careful forger leaves it: every hash is right."""
    manifest = json.loads(files["manifest.json"])
    inner = {n: c for n, c in files.items() if not n.startswith("manifest.")}
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in inner.items()
    }
    content = json.dumps(manifest).encode()
    checksum = hashlib.sha256(content).hexdigest().encode()
    with ZipFile(path, "w") as pack:
        for name, member in (
            inner | {"manifest.json": content, "manifest.sha256": checksum}
        ).items():
            pack.writestr(name, member)
    return path


def problems(path: Path, home: Home, log: Path | None = None) -> list[str]:
    return verify(path, home, lambda *_: None, log).problems


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A round over people with a note, decided and closed on its page; then the history changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", str(tmp_path_factory.mktemp("reviewed")))
        home = current_home()
        store = open_store(home.database_url)
        snapshots = Deliveries(store, home.archive)
        listed = [an_account(name, email=f"{name}@x.io", roles=["Viewer"]) for name in "abcdef"]
        snapshots.take(*listed, at=YESTERDAY)
        snapshots.take(*listed[:5])
        noted = [NamedAccount("figma", name) for name in "abcde"]
        save_note(store, noted, "On the list", "Grace", None)
        round_id = start(home, note="yes")
        for decision, names in {"revoke": "abe", "keep": "cde"}.items():  # e is decided twice
            decide(page("rounds.py", round=round_id), decision, *names)
        shown = page("rounds.py", round=round_id)
        press(shown, "close")
        shown.run.text_input(key="said_by").set_value("Grace")
        press(shown, "close_round_confirm")
        later = utc_now().replace(microsecond=0) + timedelta(days=1)
        gained = an_account("c", email="c@x.io", roles=["Viewer", "Admin"])
        snapshots.take(listed[1], gained, *listed[3:5], at=later)
        snapshots.take(an_account("x"), at=TODAY - timedelta(hours=1))  # late
        _replace(home, YESTERDAY, an_account("y"))
        save_note(store, noted, "Written later", "Grace", None)
        yield home
        close_stores()


def _replace(home: Home, at: Any, *accounts: Any) -> None:
    """Replace a loaded snapshot, as the inbox does."""
    move_into(home.removed, next((home.archive / "figma").glob(f"{at:%Y-%m-%dT%H-%M-%SZ}*")))
    path = a_snapshot_file(home.archive, accounts, at=at)
    file = SnapshotFile(path, "figma", at)
    load(open_store(home.database_url), file, replace=True, confirmed=True)


@pytest.fixture(scope="module")
def pack(reviewed: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of the round, as the page offers it."""
    shown = page("rounds.py", round=_round_id(reviewed))
    links = "".join(html.proto.body for html in shown.run.get("html"))
    assert "Evidence pack" in links
    path = tmp_path_factory.mktemp("pack") / "round.zip"
    path.write_bytes(downloaded(_round_id(reviewed)))
    return path


def downloaded(round_id: str) -> bytes:
    answer = TestClient(web.app, client=("127.0.0.1", 1), base_url="http://localhost").get(
        f"/export/round.evidence.zip?round={round_id}"
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def _round_id(home: Home) -> str:
    with open_store(home.database_url).connect() as con:
        return read_rounds(con)[0].round_id


def test_the_archive_and_the_log_prove_a_round_after_its_history_changed(
    reviewed: Home, pack: Path, tmp_path: Path
) -> None:
    """The population by the frozen snapshots, replaced or not; the outcomes by all.

    An Excel file that was only saved again has the same cells.
    """
    files = read(pack)
    load_workbook(io.BytesIO(files["decisions.xlsx"])).save(saved := io.BytesIO())
    again = zipped(files | {"decisions.xlsx": saved.getvalue()}, tmp_path / "again.zip")
    found = verify(again, reviewed, lambda *_: None)
    assert found.problems == []
    assert found.remarks == [
        "The snapshot of figma at 2026-11-22T06:00:00Z was replaced after the list was frozen."
    ]
    rows = {row["account_id"]: row for row in json.loads(files["decisions.json"])}
    assert {name: (row["decision"], row["outcome"]) for name, row in rows.items()} == {
        "a": ("revoke", "done"),
        "b": ("revoke", "open"),
        "c": ("keep", "changed"),
        "d": ("keep", "kept"),
        "e": ("keep", "kept"),
    }
    newest = json.loads(files["snapshots.json"])[-1]
    for name in "ac":
        proof = rows[name]["proved_at"], rows[name]["proved_by"]
        assert proof == (newest["taken_at"], newest["sha256"])
    assert rows["b"]["decided_by"] == "Grace"


def changed(content: bytes, number: int, **values: Any) -> bytes:
    """A JSON list with one entry changed, written as the pack writes it."""
    entries = json.loads(content)
    entries[number] |= values
    return ("[\n" + ",\n".join(json.dumps(each) for each in entries) + "\n]\n").encode()


def changed_cell(content: bytes) -> bytes:
    """The Excel file after somebody has opened it, changed one decision and saved it."""
    book = load_workbook(io.BytesIO(content))
    book["Decisions"]["I4"] = "revoke"
    book.save(saved := io.BytesIO())
    return saved.getvalue()


def test_the_rest_of_a_round_is_proved_by_the_accounts_that_it_names(
    home: Home, tmp_path: Path
) -> None:
    snapshots = Deliveries(open_store(home.database_url), home.archive)
    snapshots.take(an_account("ada"), an_account("bob"))
    first = start(home)
    decide(page("rounds.py", round=first), "keep", "ada")
    press(shown := page("rounds.py", round=first), "close")
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "close_round_confirm")
    path = tmp_path / "rest.zip"
    path.write_bytes(downloaded(start(home, round=first)))
    assert problems(path, home) == []
    files = read(path)
    files["round.json"] = files["round.json"].replace(b"bob", b"ada")
    assert problems(zipped(files, path), home)


def test_a_changed_row_is_named_in_every_file(reviewed: Home, pack: Path, tmp_path: Path) -> None:
    files = read(pack)
    table = files["decisions.csv"]
    forged = files | {
        "decisions.json": changed(files["decisions.json"], 1, outcome="done"),
        "decisions.csv": table.replace(b'"b@x.io","b"', b'"b@x.io","other"'),
        "decisions.xlsx": changed_cell(files["decisions.xlsx"]),
    }
    assert forged["decisions.csv"] != table
    found = "\n".join(problems(zipped(forged, tmp_path / "forged.zip"), reviewed))
    assert "account b of figma: outcome differ." in found
    assert "decisions.csv: no row “Ada Lovelace, b@x.io, other, figma" in found
    assert "decisions.csv: the row “Ada Lovelace, b@x.io, b, figma" in found
    assert (
        "decisions.xlsx: no row “Ada Lovelace, c@x.io, c, figma, c, Viewer, Onboarded, revoke"
        in found
    )


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "audit.json",
            lambda content: content.replace(b'"by": "Grace"', b'"by": "a"'),
            "is your own account",
        ),
        (
            "round.json",
            lambda content: content.replace(b'"late_days": 14', b'"late_days": 90'),
            "is not what the audit log recorded at the start.",
        ),
    ],
)
def test_no_decision_and_nothing_of_the_start_can_be_forged(
    reviewed: Home,
    pack: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    files = read(pack)
    forged = files | {name: change(files[name])}
    assert forged != files
    assert words in "\n".join(problems(zipped(forged, tmp_path / "forged.zip"), reviewed))


def test_the_downloaded_log_proves_the_decisions_and_a_changed_log_does_not(
    reviewed: Home, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Rollcall runs, its store is in use, and the log is read from a file."""
    log = tmp_path / "audit.ndjson"
    with open_store(reviewed.database_url).connect() as con:
        write_events(con, log)
    lines = log.read_text().splitlines(keepends=True)
    assert main(["verify", str(pack), "--log", str(log)]) == 0
    assert "was replaced after the list was frozen" in capsys.readouterr().out
    log.write_text("".join(lines).replace('"note": "Asked', '"note": "Never asked', 1))
    found = "\n".join(problems(pack, reviewed, log))
    assert "The audit log was changed at or after event" in found
    assert "of the pack is not in the audit log." in found


def test_a_decision_that_no_log_has_and_a_lost_frozen_file_are_named(
    reviewed: Home, pack: Path, tmp_path: Path
) -> None:
    files = read(pack)
    without = [
        each
        for each in json.loads(files["audit.json"])
        if each["details"].get("decision") != "revoke"
    ]
    cut = zipped(files | {"audit.json": json.dumps(without).encode()}, tmp_path / "cut.zip")
    found = "\n".join(problems(cut, reviewed))
    assert "account a of figma: decision, note, decided_by, decided_at, outcome" in found
    assert "of the audit log is missing from the pack." in found
    (lost,) = (reviewed.removed / "figma").iterdir()
    moved = shutil.move(lost, tmp_path / "moved")
    try:
        assert problems(pack, reviewed) == [
            "The archive’s snapshot of figma at 2026-11-22 06:00:00 UTC has another hash than in "
            "frozen_snapshots.json."
        ]
    finally:
        shutil.move(moved, lost)
