"""The evidence pack: what is in it, that the archive proves it, and that tampering is found."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest
from builders import a_snapshot_file, an_account, an_unmatched_account
from sqlalchemy import Engine, func, select

from data.formatting import utc_now
from data.home import Home
from data.records.decisions import EXCEPTIONS, MATCH_OVERRIDES
from data.records.exceptions import (
    FindingKey,
    RiskException,
    RuleSettings,
    add_exceptions,
    read_rule_settings,
    save_rule_settings,
)
from data.records.matches import MatchOverride, save_match_overrides
from data.records.tables import exception
from data.service.rebuild import rebuild
from data.store.engine import close_stores, open_store
from queries.evidence.accounts import accounts_listing, accounts_pack
from queries.evidence.findings import Findings, findings_pack, select_rules
from queries.evidence.pack import CHECKSUM_FILE, MANIFEST_FILE, write_pack
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import RULES
from rollcall import main

START = datetime(2026, 1, 1)
BAD = FindingKey("deleted_but_active", "figma", "bad")
FINE = RiskException("Kept for the audit", "Grace", date(2100, 1, 1))


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of two integrations, loaded as a person does: the files are in the archive."""
    folder = tmp_path_factory.mktemp("template")
    bad = an_account("bad", state="Deleted", upstream_id="1")
    formula = an_unmatched_account("=cmd()", roles=["Admin"], upstream_id="2")
    files = [
        a_snapshot_file(folder, accounts, integration=name, at=day(number))
        for number, state in ((0, "Deleted"), (2, "Onboarded"))
        for name, accounts in {
            "figma": [bad, formula | {"provisioning_state": state}],
            "slack": [an_account("ada", state=state)],
        }.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", str(folder / "home"))
        assert main(["load", *map(str, files)]) == 0
    close_stores()
    return folder / "home"


@pytest.fixture
def archived(home: Home, template: Path) -> Home:
    """A home of its own with what was loaded."""
    shutil.copytree(template, home.root, dirs_exist_ok=True)
    return home


def store_of(home: Home) -> Engine:
    return open_store(home.database_url)


def pack(home: Home, path: Path, *, rules: tuple[str, ...] = (), **view: Any) -> Path:
    """The pack, as the page gives it."""
    with store_of(home).connect() as con:
        chosen_view = View(**{"limits": read_rule_settings(con), **view})
        write_pack(findings_pack(Findings(con, chosen_view, select_rules(rules, ()))), path)
    return path


def read(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rows(path: Path) -> list[dict[str, Any]]:
    return json.loads(read(path)["findings.json"])


def verified(path: Path) -> int:
    return main(["verify", str(path)])


# ---- what is in it -------------------------------------------------------------------------------


def test_the_pack_has_every_finding_with_its_start_and_exception(
    archived: Home, tmp_path: Path
) -> None:
    add_exceptions(store_of(archived), [(BAD, day(2))], FINE)
    found = rows(pack(archived, tmp_path / "e.zip", rules=("deleted_but_active",)))
    (bad,) = found
    assert (bad["integration"], bad["account_id"]) == ("figma", "bad")
    assert bad["since"] == "2026-01-01T00:00:00Z"
    assert (bad["reason"], bad["accepted_by"], bad["until"]) == (*FINE[:2], "2100-01-01")


def test_the_pack_has_the_chosen_moment_and_integrations(archived: Home, tmp_path: Path) -> None:
    path = pack(archived, tmp_path / "e.zip", as_of=day(1), integration=("slack",))
    assert {row["account_id"] for row in rows(path)} == {"ada"}
    named = json.loads(read(path)["snapshots.json"])
    assert [entry["taken_at"] for entry in named] == ["2026-01-01T00:00:00Z"]
    assert {entry["integration"] for entry in named} == {"slack"}


def test_the_manifest_has_the_hash_of_every_file_and_the_counts(
    archived: Home, tmp_path: Path
) -> None:
    add_exceptions(store_of(archived), [(BAD, day(2))], FINE)
    files = read(pack(archived, tmp_path / "e.zip"))
    manifest = json.loads(files[MANIFEST_FILE])
    assert set(manifest["files"]) == set(files) - {MANIFEST_FILE, CHECKSUM_FILE}
    for name, file_entry in manifest["files"].items():
        assert file_entry["sha256"] == hashlib.sha256(files[name]).hexdigest()
    assert manifest["counts"]["deleted_but_active"] == {"open": 0, "exceptions": 1}
    assert manifest["as_of"] is None


def test_the_pack_describes_the_rules_with_their_settings(archived: Home, tmp_path: Path) -> None:
    limits = RuleSettings(privileged=("*boss*",), inactive_days=12)
    files = read(pack(archived, tmp_path / "e.zip", limits=limits))
    assert [entry["rule"] for entry in json.loads(files["rules.json"])] == [r.name for r in RULES]
    for words in ("*boss*", "over 12 days"):
        assert words in files["README.txt"].decode()


def test_no_text_of_the_csv_is_a_formula_in_a_spreadsheet(archived: Home, tmp_path: Path) -> None:
    content = read(pack(archived, tmp_path / "e.zip"))["findings.csv"].decode("utf-8-sig")
    names = {row["username_in_app"] for row in csv.DictReader(io.StringIO(content, newline=""))}
    assert "'=cmd()" in names
    assert "=cmd()" not in names


# ---- the archive proves it -----------------------------------------------------------------------


def test_the_archive_verifies_a_pack(
    archived: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = store_of(archived)
    add_exceptions(engine, [(BAD, day(0))], RiskException("First", "Ada"))
    EXCEPTIONS.withdraw(engine, [BAD._asdict()], "Ada")
    add_exceptions(engine, [(BAD, day(2))], FINE)
    assert verified(pack(archived, tmp_path / "e.zip")) == 0
    assert "every row follows from the snapshots" in capsys.readouterr().out


@pytest.mark.parametrize(
    "view", [{"as_of": day(1)}, {"integration": ("slack",)}, {"as_of": day(-9)}]
)
def test_the_archive_verifies_a_pack_of_another_view(
    archived: Home, tmp_path: Path, view: dict[str, Any]
) -> None:
    assert verified(pack(archived, tmp_path / "e.zip", **view)) == 0


def test_later_loads_leave_a_pack_verified(archived: Home, tmp_path: Path) -> None:
    path = pack(archived, tmp_path / "e.zip")
    later = a_snapshot_file(tmp_path, [an_account("new")], integration="slack", at=day(9))
    assert main(["load", str(later)]) == 0
    assert verified(path) == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "has no snapshot of figma at 2026-01-01"),
        (lambda file: file.write_text("{}"), "figma at 2026-01-01 00:00:00 UTC has another hash"),
    ],
)
def test_an_archive_without_one_of_the_snapshots_verifies_nothing(
    archived: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    words: str,
) -> None:
    path = pack(archived, tmp_path / "e.zip")
    damage(next((archived.archive / "figma").glob("2026-01-01*")))
    assert verified(path) == 1
    assert words in capsys.readouterr().err


# ---- tampering is found --------------------------------------------------------------------------

Files = dict[str, bytes]


def zipped(files: Files, path: Path) -> Path:
    with ZipFile(path, "w", ZIP_STORED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def with_new_hashes(files: Files) -> Files:
    """The files as a careful forger leaves them: every hash is right again."""
    manifest = json.loads(files[MANIFEST_FILE])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
        if name not in (MANIFEST_FILE, CHECKSUM_FILE)
    }
    content = json.dumps(manifest).encode()
    checksum = hashlib.sha256(content).hexdigest().encode()
    return {**files, MANIFEST_FILE: content, CHECKSUM_FILE: checksum}


@pytest.fixture(scope="module")
def a_pack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Home], Files]:
    """A pack of the archive, made once."""
    made: dict[str, Files] = {}
    path = tmp_path_factory.mktemp("pack") / "e.zip"

    def make(home: Home) -> Files:
        if not made:
            add_exceptions(store_of(home), [(BAD, day(2))], FINE)
            made.update(files=read(pack(home, path)))
        return made["files"]

    return make


def test_a_pack_that_is_only_zipped_again_is_still_verified(
    archived: Home, tmp_path: Path, a_pack: Callable[[Home], Files]
) -> None:
    assert verified(zipped(with_new_hashes(a_pack(archived)), tmp_path / "e.zip")) == 0


def test_no_file_can_be_changed_added_or_removed(
    archived: Home,
    tmp_path: Path,
    a_pack: Callable[[Home], Files],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = a_pack(archived)
    inner = [name for name in files if name not in (MANIFEST_FILE, CHECKSUM_FILE)]
    path = tmp_path / "e.zip"

    def verify_errors(tampered: Files) -> str:
        capsys.readouterr()
        assert verified(zipped(tampered, path)) == 1
        return capsys.readouterr().err

    errors = verify_errors(
        {**{name: content + b" " for name, content in files.items()}, "more.txt": b"more"}
    )
    assert all(f"{name} does not match its hash in the manifest" in errors for name in inner)
    assert "more.txt is in the pack, but not in its manifest" in errors
    assert f"{MANIFEST_FILE} does not match its hash in {CHECKSUM_FILE}" in errors
    errors = verify_errors({name: files[name] for name in (MANIFEST_FILE, CHECKSUM_FILE)})
    assert all(f"{name} is missing from the pack" in errors for name in inner)
    for name, words in {
        MANIFEST_FILE: "no readable manifest",
        CHECKSUM_FILE: "does not match its hash",
    }.items():
        assert words in verify_errors({n: content for n, content in files.items() if n != name})


def other(value: Any) -> Any:
    """A value of its kind that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "Another"]
    return f"{value or ''}x"


def test_no_value_can_be_changed_even_with_new_hashes(
    archived: Home,
    tmp_path: Path,
    a_pack: Callable[[Home], Files],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = a_pack(archived)
    entries = json.loads(files["findings.json"])
    name = ("rule", "integration", "account_id")
    forged = {n: value if n in name else other(value) for n, value in entries[0].items()}
    changed = json.dumps([forged, *entries[1:]]).encode()
    path = zipped(with_new_hashes({**files, "findings.json": changed}), tmp_path / "e.zip")
    assert verified(path) == 1
    differ = ", ".join(n for n in entries[0] if n not in name)
    assert f"account bad of figma: {differ} differ." in capsys.readouterr().err


def test_the_message_names_each_difference(
    archived: Home,
    tmp_path: Path,
    a_pack: Callable[[Home], Files],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = a_pack(archived)
    missing, other, *others = json.loads(files["findings.json"])
    entries = [
        {**other, "since": "2020-01-01T00:00:00Z"},
        *others,
        {**missing, "account_id": "mallory"},
    ]
    forged = with_new_hashes({**files, "findings.json": json.dumps(entries).encode()})
    assert verified(zipped(forged, tmp_path / "e.zip")) == 1
    errors = capsys.readouterr().err
    label = f"{other['rule']}, account {other['account_id']} of {other['integration']}"
    for words in (
        "deleted_but_active, account bad of figma: the finding is missing",
        "account mallory of figma: no such finding follows",
        f"{label}: since differ",
    ):
        assert words in errors


def test_no_other_file_can_be_forged(
    archived: Home,
    tmp_path: Path,
    a_pack: Callable[[Home], Files],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = a_pack(archived)
    forged = {
        name: files[name].replace(b"account", b"Account", 1)
        for name in ("README.txt", "rules.json", "findings.csv")
    }
    assert verified(zipped(with_new_hashes({**files, **forged}), tmp_path / "e.zip")) == 1
    errors = capsys.readouterr().err
    assert all(f"{name} does not follow from the snapshots" in errors for name in forged)


def test_no_hash_of_a_snapshot_can_be_changed(
    archived: Home, tmp_path: Path, a_pack: Callable[[Home], Files]
) -> None:
    files = a_pack(archived)
    for number, entry in enumerate(json.loads(files["snapshots.json"])):
        entries = files["snapshots.json"].replace(entry["sha256"].encode(), b"0" * 64)
        forged = with_new_hashes({**files, "snapshots.json": entries})
        assert verified(zipped(forged, tmp_path / f"{number}.zip")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"as_of": "2026-01-02T00:00:00Z"},
        {"filter": {"integration": ["figma"], "rule": [entry.name for entry in RULES]}},
        {"filter": {"integration": [], "rule": ["no_such_rule"]}},
        {"limits": {"privileged": []}},
        {"made_at": "2101-01-01T00:00:00"},
        {"made_at": None},
    ],
)
def test_the_manifest_cannot_be_forged(
    archived: Home, tmp_path: Path, a_pack: Callable[[Home], Files], change: dict[str, Any]
) -> None:
    files = a_pack(archived)
    manifest = {**json.loads(files[MANIFEST_FILE]), **change}
    forged = with_new_hashes({**files, MANIFEST_FILE: json.dumps(manifest).encode()})
    assert verified(zipped(forged, tmp_path / "e.zip")) == 1


def test_what_is_in_the_manifest_alone_cannot_be_forged(
    archived: Home,
    tmp_path: Path,
    a_pack: Callable[[Home], Files],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = a_pack(archived)
    manifest = {**json.loads(files[MANIFEST_FILE]), "counts": {}, "more": 1}
    forged = with_new_hashes({**files, MANIFEST_FILE: json.dumps(manifest).encode()})
    assert verified(zipped(forged, tmp_path / "e.zip")) == 1
    errors = capsys.readouterr().err
    assert all(f"“{name}” in the manifest does not follow" in errors for name in ("counts", "more"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no zip", "not a readable zip file"), (b"", "not a readable zip file")],
)
def test_a_file_that_is_not_a_pack_is_rejected(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    path = tmp_path / "e.zip"
    path.write_bytes(content)
    assert verified(path) == 1
    assert words in capsys.readouterr().err
    assert verified(zipped({"a.txt": b"a"}, path)) == 1
    assert "no readable manifest" in capsys.readouterr().err


def test_a_name_in_a_pack_reaches_no_file_outside_the_archive(
    archived: Home, tmp_path: Path, a_pack: Callable[[Home], Files]
) -> None:
    files = a_pack(archived)
    shutil.copytree(archived.archive / "figma", archived.root / "outside")
    entries = files["snapshots.json"].replace(b'"figma"', b'"../outside"')
    forged = with_new_hashes({**files, "snapshots.json": entries})
    assert verified(zipped(forged, tmp_path / "e.zip")) == 1


# ---- rebuilds ------------------------------------------------------------------------------------


def test_exceptions_and_rule_settings_outlive_a_rebuild(archived: Home, tmp_path: Path) -> None:
    engine = store_of(archived)
    add_exceptions(engine, [(BAD, day(2))], FINE)
    save_rule_settings(engine, RuleSettings(inactive_days=12))
    before = rows(pack(archived, tmp_path / "before.zip"))
    rebuild(archived, lambda *_: None)
    with store_of(archived).connect() as con:
        assert con.scalar(select(func.count()).select_from(exception)) == 1
        assert read_rule_settings(con) == RuleSettings(inactive_days=12)
    assert rows(pack(archived, tmp_path / "after.zip")) == before


# ---- a list of accounts --------------------------------------------------------------------------


def list_pack(home: Home, path: Path, filters: Filters) -> Path:
    """The pack of a list, as the Users page gives it."""
    with store_of(home).connect() as con:
        now = utc_now()
        write_pack(accounts_pack(accounts_listing(con, filters, now), now), path)
    return path


@pytest.mark.parametrize(
    ("filters", "usernames"),
    [
        (Filters(), ["=cmd()", "bad", "ada"]),
        (Filters(match="unmatched", as_of=day(1)), ["=cmd()"]),
        (Filters(integration=("slack",), state=("Onboarded",)), ["ada"]),
        (Filters(state=("Delete awaiting",)), []),
    ],
)
def test_the_archive_verifies_a_list_of_accounts(
    archived: Home, tmp_path: Path, filters: Filters, usernames: list[str]
) -> None:
    path = list_pack(archived, tmp_path / "list.zip", filters)
    files = read(path)
    entries = json.loads(files["accounts.json"])
    assert [row["username_in_app"] for row in entries] == usernames
    table = csv.DictReader(io.StringIO(files["accounts.csv"].decode("utf-8-sig")))
    assert [row["Username in app"].lstrip("'") for row in table] == usernames
    manifest = json.loads(files[MANIFEST_FILE])
    assert manifest["counts"] == {"accounts": len(usernames)}
    assert Filters.from_params(manifest["filter"]) == replace(filters, as_of=None)
    assert verified(path) == 0


def test_later_loads_leave_a_current_list_verified(archived: Home, tmp_path: Path) -> None:
    waits = an_account("waits", state="Update awaiting")
    longest = Filters(waiting=timedelta(days=1))
    assert (
        main(["load", str(a_snapshot_file(tmp_path, [waits], integration="zoom", at=START))]) == 0
    )
    path = list_pack(archived, tmp_path / "list.zip", longest)
    assert len(json.loads(read(path)["accounts.json"])) == 1
    later = a_snapshot_file(tmp_path, [an_account("waits")], integration="zoom", at=day(3))
    assert main(["load", str(later)]) == 0
    assert verified(path) == 0


def test_a_list_is_verified_with_its_match_overrides(archived: Home, tmp_path: Path) -> None:
    engine = open_store(archived.database_url)
    theirs = MatchOverride("figma", "=cmd()", "Hers.", "okta", "00u1", "Ada Lovelace", None)
    save_match_overrides(engine, [theirs], "Grace")
    path = list_pack(archived, tmp_path / "list.zip", Filters(q="lovelace", match="matched"))
    MATCH_OVERRIDES.withdraw(engine, [{"integration": "figma", "account_id": "=cmd()"}], "Hal")
    files = read(path)
    assert "=cmd()" in [row["username_in_app"] for row in json.loads(files["accounts.json"])]
    assert verified(path) == 0
    forged = with_new_hashes({**files, "match_overrides.json": b"[]\n"})
    assert verified(zipped(forged, tmp_path / "forged.zip")) == 1


def test_no_row_of_a_list_can_be_forged(
    archived: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = read(list_pack(archived, tmp_path / "list.zip", Filters()))
    missing, other, *others = json.loads(files["accounts.json"])
    entries = [{**other, "roles": ["Viewer"]}, *others, {**missing, "account_id": "mallory"}]
    forged = with_new_hashes({**files, "accounts.json": json.dumps(entries).encode()})
    assert verified(zipped(forged, tmp_path / "forged.zip")) == 1
    errors = capsys.readouterr().err
    for words in (
        "account =cmd() of figma: the account is missing",
        "account mallory of figma: no such",
        "account bad of figma: roles differ",
    ):
        assert words in errors


def test_the_filter_of_a_list_cannot_be_forged(archived: Home, tmp_path: Path) -> None:
    files = read(list_pack(archived, tmp_path / "list.zip", Filters(active="yes")))
    manifest = {**json.loads(files[MANIFEST_FILE]), "filter": {"match": ["unmatched"]}}
    forged = with_new_hashes({**files, MANIFEST_FILE: json.dumps(manifest).encode()})
    assert verified(zipped(forged, tmp_path / "forged.zip")) == 1
