"""Operations: metrics, logs, the service, the container and backups."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from browsing import ROOT, Served, served
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from patience import PATIENCE, wait_until
from processes import run
from prometheus_client.parser import text_string_to_metric_families
from servers import Server
from sqlalchemy import Connection, Engine, func, insert, select
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

import app as web
from data.access.claims import ConfigError
from data.formatting import utc_now
from data.home import Home
from data.inbox.inbox import load_inbox
from data.records.notes import NamedAccount, save_note
from data.records.outbox import NewLetter, add_letter, replace_progress
from data.records.pull_failures import record_pull
from data.records.tables import (
    RECORD_TABLES,
    exception,
    review_decision,
    review_item,
    review_round,
    review_snapshot,
    setting,
)
from data.records.views import SavedView, save_view
from data.schema import account, account_current, account_version, integration
from data.service.active_store import StoreStatus, set_store_status
from data.service.backup import write_backup
from data.service.rebuild import rebuild
from data.store.copy import copy_store
from data.store.engine import close_store, close_stores, open_store, write_transaction
from queries.parity import find_differences
from server.logs import JsonFormatter
from server.options import options_from_environment

ADA = "Ada Lovelace"
DAY = date(2100, 1, 1)


def a_home(root: Path) -> Home:
    """Two snapshots in the inbox, and records of people."""
    home = Home(root)
    for folder in (home.inbox, home.archive):
        folder.mkdir(parents=True)
    a_snapshot_file(home.inbox, [an_account("ada"), an_account("bob")], at=YESTERDAY)
    a_snapshot_file(home.inbox, [an_account("ada", state="Update failed")], at=TODAY)
    for file in home.inbox.rglob("*.ndjson"):
        os.utime(file, (0, 0))  # written long ago
    row = {
        "account_id": "ada",
        "rule": "failed deletes",
        "snapshot_taken_at": TODAY,
        "reason": "known",
    }
    row |= {"integration": "figma", "accepted_by": "olga@x.io", "accepted_at": TODAY}
    with write_transaction(open_store(f"duckdb:///{root}/rollcall.duckdb")) as con:
        con.execute(insert(exception), row)
        con.execute(insert(setting), {"name": "stale_after_hours", "value": "30"})
    engine = open_store(f"duckdb:///{root}/rollcall.duckdb")
    save_note(engine, [NamedAccount("figma", "ada")], "On leave\nuntil May", "olga@x.io", DAY)
    save_view(engine, SavedView("Admins", None, "role=Admin", ("figma",)), "olga@x.io")
    save_view(engine, SavedView("Mine", "olga@x.io", "q=ada"), "olga@x.io")
    _add_review_round(engine)
    record_pull(engine, "slack", "It does not answer.", TODAY)
    replace_progress(engine, "ada", None, "{}")
    waiting = NewLetter("ada", "Owner", "{}", TODAY, TODAY, ["x"])
    add_letter(engine, waiting, "{}", utc_now())
    close_store(f"duckdb:///{root}/rollcall.duckdb")
    return home


EMPTY_TABLES = ("match_override", "retained_count", "retained_change")


def _add_review_round(engine: Engine) -> None:
    account = {"round_id": "1", "integration": "figma", "account_id": "ada", "role": ""}
    item = account | {"username_in_app": "ada", "roles": ["Admin"], "provisioning_state": "Deleted"}
    decided = {"decision": "keep", "note": "", "decided_by": "olga@x.io", "decided_at": TODAY}
    started = {
        "round_id": "1",
        "name": "Q4",
        "is_by_role": False,
        "population": "All accounts",
        "address": "",
        "settings": "{}",
        "frozen_at": TODAY,
        "last_day": DAY,
        "late_days": 14,
        "deciders": [],
        "started_by": "olga@x.io",
        "started_at": TODAY,
    }
    frozen_from = {"round_id": "1", "integration": "figma", "taken_at": TODAY, "sha256": "0"}
    with write_transaction(engine) as con:
        con.execute(insert(review_round), started)
        con.execute(insert(review_snapshot), frozen_from)
        con.execute(insert(review_item), item)
        con.execute(insert(review_decision), account | decided)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app that has loaded two files and refused one, which had a person for a heading."""
    home = a_home(tmp_path_factory.mktemp("running"))
    (home.inbox / "slack").mkdir()
    (home.inbox / "slack" / "2026-11-23T06-00-00Z.csv").write_text(f"{ADA},ada@x.io\nx,y\n")
    with served(home.root, ROLLCALL_LOG="json") as app:
        wait_until(lambda: metrics(app).get(("rollcall_load_seconds_count", "")) == 3)
        wait_until(lambda: metrics(app)["rollcall_files_in_inbox", ""] == 0)
        yield app


def answer(app: Served, path: str) -> str:
    address = f"{app.url}{path}"
    with urllib.request.urlopen(address, timeout=PATIENCE) as response:  # noqa: S310 - our own
        return response.read().decode()


def metrics(app: Served) -> dict[tuple[str, str], float]:
    """Name and labels → value."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer(app, "/metrics"))
        for sample in family.samples
    }


def test_metrics_count_files_rows_and_ages_without_personal_data(running: Served) -> None:
    values = metrics(running)
    assert values["rollcall_store_open", ""] == 1
    assert values["rollcall_files_total", "figma,loaded"] == 2
    assert values["rollcall_files_total", "slack,rejected"] == 1
    assert values["rollcall_rows_total", "figma,accepted"] == 3
    assert values["rollcall_snapshots", "figma"] == 2
    assert values["rollcall_accounts", "figma"] == 1
    assert values["rollcall_newest_snapshot_timestamp_seconds", "figma"] == 1_795_413_600
    assert values["rollcall_files_quarantined", "rejected"] == 1
    assert values["rollcall_load_seconds_count", ""] == 3
    assert values["rollcall_letters", "queued"] == 1
    assert values["rollcall_log_messages_total", "warning"] >= 1
    text = answer(running, "/metrics").lower()
    assert "ada" not in text.replace("metadata", "")
    assert "olga" not in text


def test_metrics_measure_pages(home: Home) -> None:
    client = TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000))

    def drawn() -> float:
        families = text_string_to_metric_families(client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == "rollcall_page_seconds_count")

    before = drawn()
    run = AppTest.from_file(ROOT / "pages" / "navigation.py", default_timeout=PATIENCE).run()
    assert not run.exception
    assert drawn() == before + 1


def test_a_page_has_its_name_and_look_before_any_script_runs() -> None:
    client = TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000))
    paths = ("/", "/health", "/users")
    answer, health, users = (client.get(p, headers={"accept-encoding": "gzip"}) for p in paths)
    assert answer.text == health.text
    (charts,) = re.findall(
        r'<link rel="modulepreload"[^>]* href="\.([^"]*/Plotly[^"]+)">', answer.text
    )
    assert client.head(charts).status_code == 200, "Health draws charts"
    assert charts not in users.text
    assert ">Rollcall</p></div>" in answer.text
    assert "--users-table-top" in answer.text
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "content-encoding" not in answer.headers, "a secret in it could be guessed by its length"
    (script,) = re.findall(r'src="\.(/static/js/index[^"]+)"', answer.text)
    first, again = (client.get(script) for _ in range(2))
    assert first.headers["content-encoding"] == "gzip"
    assert (again.headers, again.content) == (first.headers, first.content)
    assert client.head("/users").headers["content-length"] == str(len(users.content))


def test_no_style_of_the_whole_page_depends_on_what_is_in_it() -> None:
    for path in (ROOT / "widgets" / "look").glob("*.css"):
        styles = path.read_text(encoding="utf-8")
        costly = re.findall(r"(?:\.stApp|body|html[.\w]*|:root):has\(", styles)
        assert not costly, f"{path.name}: each change makes the browser restyle the whole page"


def test_a_public_address_needs_sign_in(tmp_path: Path) -> None:
    everywhere = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}  # noqa: S104
    environment = os.environ | {"ROLLCALL_HOME": str(tmp_path), **everywhere}
    command = [sys.executable, str(ROOT / "app.py")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == os.EX_CONFIG
    assert "does not serve 0.0.0.0 without sign-in" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ROLLCALL_SECRETS", "/nowhere/secrets.toml", "does not name a readable .toml file"),
        ("ROLLCALL_SECRETS", __file__, "does not name a readable .toml file"),
        ("PORT", "web", "PORT is not a whole number: web"),
    ],
)
def test_wrong_environment_variables_are_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        options_from_environment()


def test_the_systemd_unit_is_valid_and_sandboxed(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd is not installed: deploy/rollcall.service was not checked.")
    unit = tmp_path / "rollcall.service"
    text = (ROOT / "deploy" / "rollcall.service").read_text()
    unit.write_text(text.replace("/opt/rollcall/.venv/bin/python", sys.executable))
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20", "--no-pager"]):
        done = subprocess.run([analyze, *arguments, str(unit)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr or done.stdout[-500:]


def test_the_container_contains_all_imported_code_and_nothing_else() -> None:
    """Podman and Docker send what `.dockerignore` lets through; the Containerfile copies it."""
    lines = (ROOT / "deploy" / "Containerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert sorted(copied) == sorted(line[1:] for line in ignored if line.startswith("!"))
    assert "*" in ignored
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests", "benchmarks"}
    assert packages | {path.name for path in ROOT.glob("*.py")} <= set(copied)


def test_each_log_line_is_an_object_without_personal_data(running: Served) -> None:
    assert answer(running, "/readyz") == "ok"
    text = (running.home.root / "log.txt").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[-1])
    messages = [line["message"] for line in lines if line["logger"] == "rollcall"]
    assert (
        "slack/2026-11-23T06-00-00Z.csv is rejected. The reason is in the file beside it."
        in messages
    )
    assert not [line for line in lines if "GET" in line["message"]], "no access log"
    assert "Ada" not in text
    assert "ada@" not in text


def test_an_error_is_logged_without_its_message() -> None:
    try:
        try:
            {}["ada@x.io"]
        except KeyError as error:
            raise ValueError(f"{ADA} is no number") from error
    except ValueError as error:
        info: Any = (type(error), error, error.__traceback__)
        words = f"It failed: {error}"
    record = logging.LogRecord("rollcall", logging.ERROR, "x.py", 1, words, (), info)
    line = json.loads(JsonFormatter().format(record))
    assert (line["error"], line["message"]) == ("ValueError", "It failed: …")
    assert "after KeyError" in line["at"]
    assert "ada" not in json.dumps(line).lower()


def versions(con: Connection) -> list[str]:
    """Without the account keys, which follow a secret of each store, as do ties in lists."""
    columns = (c for c in account_version.c if c.name != "account_key")
    same_key = account.c.account_key == account_version.c.account_key
    rows = select(account.c.account_id, *columns).join_from(account, account_version, same_key)
    return sorted(map(repr, con.execute(rows)))


@pytest.mark.parametrize("is_running", [True, False])
def test_a_restored_backup_has_everything(
    running: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_running: bool
) -> None:
    """Files and records, whether or not an app has the store open."""
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    home = running.home
    if not is_running:
        running.stop()
    monkeypatch.setenv("ROLLCALL_HOME", str(home.root))
    made = run("rollcall.py", "backup", tmp_path / "backup.tar.gz")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "backup.tar.gz").stat().st_mode & 0o777 == 0o600
    assert not (home.root / ".backup").exists()

    again = Home(tmp_path / "again")
    with tarfile.open(tmp_path / "backup.tar.gz") as packed:
        packed.extractall(again.root, filter="data")
    assert rebuild(again, lambda *_: None) == 2
    if is_running:
        running.stop()
    restored = open_store(again.database_url)
    before = open_store(home.database_url)
    try:
        with before.connect() as one, restored.connect() as other:
            different = [d for d in find_differences(one, other) if not d.startswith("list by ")]
            assert different in ([], ["snapshots"]), "but for when loaded"
            assert versions(one) == versions(other)
            for table in (integration, *RECORD_TABLES):
                columns = [c for c in table.c if c.name != "account_key"]  # of one store only
                rows = [sorted(map(repr, con.execute(select(*columns)))) for con in (one, other)]
                assert rows[0] == rows[1], table.name
                assert rows[0] or table.name in EMPTY_TABLES, table.name
        for folder in ("archive", "rejected"):
            names = [sorted(p.name for p in (h.root / folder).rglob("*")) for h in (home, again)]
            assert names[0] == names[1]
    finally:
        close_store(home.database_url)
        close_store(again.database_url)


def test_the_app_is_ready_while_its_store_is_open(home: Home) -> None:
    client = TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000))
    set_store_status(home, StoreStatus("failed", "The disk is full."))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready")
    assert client.get("/healthz").status_code == 200
    last_change = client.get("/last-change")
    assert (last_change.status_code, last_change.headers["content-type"][:10]) == (
        503,
        "text/plain",
    )
    assert "rollcall_store_open 0.0" in client.get("/metrics").text


def test_a_backup_restores_a_store_on_postgresql(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the schema `public`, which stays on the search path while another is filled beside it."""
    home = a_home(tmp_path / "home")
    load_inbox(open_store(home.database_url), home)
    write_backup(home, tmp_path / "backup.tar")
    again = Home(tmp_path / "again")
    with tarfile.open(tmp_path / "backup.tar") as packed:
        packed.extractall(again.root, filter="data")
    with postgresql.a_database() as url:
        copy_store(open_store(again.database_url), open_store(url))
        monkeypatch.setenv("ROLLCALL_DATABASE_URL", url)
        assert rebuild(again, lambda *_: None) == 2
        with open_store(url).connect() as con:
            assert con.scalar(select(func.count()).select_from(account_current)) == 1
            assert con.scalar(select(exception.c.reason)) == "known"
        close_stores()


def test_the_unit_limits_memory_and_tasks() -> None:
    unit = (ROOT / "deploy" / "rollcall.service").read_text()
    assert re.search(r"^MemoryMax=\d+G$", unit, re.MULTILINE)
    assert re.search(r"^TasksMax=\d+$", unit, re.MULTILINE)


@pytest.mark.parametrize(
    ("answer", "code", "closing"),
    [
        ("not JSON", 0, "SKIPPED: pip-audit==2.10.* could not be run: "),
        ([{"name": "a", "skip_reason": "?"}, {"name": "b", "vulns": []}], 0,
         "SKIPPED: 1 of 2 packages were looked up. The last complete look-up: never"),
        ([{"name": "b", "vulns": []}], 0, "AUDITED: 1 of 1 packages were looked up, 0 vulnerable."),
        ([{"name": "b", "version": "1", "vulns": [{"id": "X-1"}]}], 1,
         "AUDITED: 1 of 1 packages were looked up, 1 vulnerable."),
    ],
)  # fmt: skip
def test_an_audit_that_could_look_nothing_up_says_so_last(
    tmp_path: Path, answer: object, code: int, closing: str
) -> None:
    text = answer if isinstance(answer, str) else json.dumps({"dependencies": answer})
    uv = tmp_path / ".venv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    uv.chmod(0o700)
    script = tmp_path / ".ci" / "audit"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "audit", script)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1].startswith(closing)
    assert (script.parent / "audited").exists() == closing.startswith("AUDITED")
