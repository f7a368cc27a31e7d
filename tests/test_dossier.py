"""A person's dossier: downloads, evidence and a period; and people who are exempt from rules."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, content_of
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy import Connection
from viewing import page

from data.access.roles import PersonalData, Visibility
from data.formatting import utc_now
from data.home import Home
from data.people.directories import save_directories
from data.records.audit_log import flush_pending
from data.records.decisions import EXCEPTIONS, InvalidInput
from data.records.exceptions import PERSON_RULE, RiskException, exempt_person, read_rule_settings
from data.records.tables import audit_event
from data.store.engine import close_store, open_store, restricted_engine
from queries.during import During, parse_during
from queries.evidence.accounts import accounts_listing, accounts_pack
from queries.evidence.findings import Findings, findings_pack
from queries.evidence.pack import write_pack
from queries.evidence.proof import verify
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.filters import Filters
from queries.people.dossier import find_dossier
from queries.people.history import history_of
from queries.people.named_person import NamedPerson, named_by
from queries.review.duration import View
from queries.review.findings import count_findings, page_of_findings
from queries.review.rules import RULE_BY_NAME

MIRA, LATER = named_by("hr", "mira"), TODAY + timedelta(days=2)
LEFT = RULE_BY_NAME["person_left"]
LEAVE = RiskException("parental leave", "Ada", date(2026, 12, 1))


def employee(name: str) -> dict[str, Any]:
    return an_account(name, user=name.title(), email=f"{name}@x.io", upstream_id=name)


def an_office(made: Deliveries) -> None:
    """Mira leaves today, and keeps two accounts; one gains a role two days later. Jo stays."""
    mira, jo = employee("mira"), employee("jo")
    made.take(mira, jo, integration="hr", at=YESTERDAY)
    made.take(jo, integration="hr", at=TODAY)
    by_email = an_account("m.n", email="MIRA@x.io", upstream_id=None, roles=["Editor"])
    made.take(by_email, an_account("j", email="jo@x.io", upstream_id="jo"), at=YESTERDAY)
    made.take({**by_email, "roles": ["Admin", "Editor"]}, at=LATER)
    by_id = an_unmatched_account("mn", upstream_id="mira")
    made.take(by_id, integration="zoom", at=YESTERDAY)
    made.take(by_id, integration="zoom", at=LATER)
    save_directories(made.store, {"hr": True})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the office, for copies: it takes longer to load than to copy."""
    made = Home(tmp_path_factory.mktemp("template"))
    an_office(Deliveries(open_store(made.database_url), made.archive))
    close_store(made.database_url)
    return made


@pytest.fixture(scope="module")
def reading(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    copied = Home(shutil.copytree(template.root, tmp_path_factory.mktemp("reading") / "home"))
    store = open_store(copied.database_url)
    with store.connect() as con:
        yield con
    store.dispose()


@pytest.fixture
def office(home: Home, template: Home) -> Home:
    shutil.copytree(template.root, home.root, dirs_exist_ok=True)
    return home


def usernames(con: Connection, **filters: Any) -> set[str]:
    dossier = find_dossier(con, Filters(of_person=MIRA, **filters))
    return {owned.account.username_in_app for owned in dossier.accounts} if dossier else set()


# ---- a moment, a period, and every version -------------------------------------------------------


def test_the_page_of_a_period_has_every_account_that_was_hers_in_it(reading: Connection) -> None:
    assert usernames(reading) == {"m.n", "mn"}
    assert usernames(reading, as_of=YESTERDAY) == {"m.n", "mn", "mira"}
    assert usernames(reading, during=parse_during(["2026-11-22/2026-11-30"])) == {
        *("m.n", "mn", "mira")
    }
    assert usernames(reading, during=parse_during(["2026-11-24/2026-11-30"])) == {"m.n", "mn"}
    assert usernames(reading, during=parse_during(["2026-01-01/2026-01-31"])) == set()


def test_any_account_of_a_person_names_the_same_accounts(reading: Connection) -> None:
    for name in (named_by("figma", "m.n"), named_by("zoom", "mn")):
        dossier = find_dossier(reading, Filters(of_person=name))
        assert dossier
        assert len(dossier.accounts) == 2


DAYS = [YESTERDAY + timedelta(days=n) for n in range(4)]


EMAILS = st.tuples(*[st.sampled_from(["mira@x.io", "jo@x.io", None])] * 4)


@given(
    desks=st.lists(EMAILS, min_size=4, max_size=4), first=st.integers(0, 3), last=st.integers(0, 3)
)
@settings(max_examples=2)
def test_a_person_has_an_account_while_its_email_is_hers(
    desks: list[tuple[str | None, ...]], first: int, last: int, tmp_path_factory: Any
) -> None:
    """Several accounts at once: one whose email comes back to her, and any others."""
    desks = [("mira@x.io", "jo@x.io", "mira@x.io", None), *desks]
    folder = tmp_path_factory.mktemp("passed_on")
    url = f"duckdb:///{folder}/store.duckdb"
    made = Deliveries(store := open_store(url), folder)
    made.take(employee("mira"), employee("jo"), integration="hr", at=YESTERDAY)
    for day, emails in zip(DAYS, zip(*desks, strict=True), strict=True):
        facts: dict[str, Any] = {"user": None, "upstream_id": None}
        made.take(*(an_account(f"desk{n}", email=e, **facts) for n, e in enumerate(emails)), at=day)
    save_directories(store, {"hr": True})
    first, last = sorted((first, last))
    start, end = DAYS[first], DAYS[last]
    period = parse_during([f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"])
    with store.connect() as con:
        hers = {f"desk{n}" for n, own in enumerate(desks) if "mira@x.io" in own[first : last + 1]}
        assert usernames(con, during=period) == {"mira", *hers}
        for day, emails in zip(DAYS, zip(*desks, strict=True), strict=True):
            hers = {f"desk{n}" for n, email in enumerate(emails) if email == "mira@x.io"}
            assert usernames(con, as_of=day) == {"mira", *hers}
    close_store(url)


def test_the_files_of_a_person_have_her_accounts_and_their_history(reading: Connection) -> None:
    listing = Listing(reading, ListRequest(Filters(of_person=MIRA)))
    book = load_workbook(io.BytesIO(content_of(FORMATS["xlsx"].write, listing)))
    assert book.sheetnames == ["Accounts", "Roles", "History", "About"]
    rows = [*book["History"].iter_rows(min_row=2, values_only=True)]
    assert [(row[0], row[4], row[8]) for row in rows if row[0] == "figma"] == [
        ("figma", YESTERDAY, "Editor"),
        ("figma", LATER, "Admin; Editor"),
    ]
    text = content_of(FORMATS["csv"].write, listing).decode()
    assert "MIRA@x.io" in text
    assert "jo@x.io" not in text


def test_no_file_of_a_person_names_her_to_readers_of_pseudonyms(
    office: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(office.database_url)
    hidden = restricted_engine(store, Visibility(None, PersonalData.PSEUDONYMS))
    with hidden.connect() as con:
        (row, *_) = page_of_findings(con, View(), LEFT, 1)
        filters = Filters(of_person=named_by(row.integration, row.account_id))
        listing = Listing(con, ListRequest(filters))
        files = [content_of(FORMATS[name].write, listing) for name in ("csv", "json")]
        book = load_workbook(io.BytesIO(content_of(FORMATS["xlsx"].write, listing)))
        cells = str([[*sheet.iter_rows(values_only=True)] for sheet in book])
        assert history_of(con, filters)
        texts = " ".join([*map(str, files), cells, str(history_of(con, filters))]).lower()
        assert "onboarded" in texts
        assert "mira" not in texts
        assert "m.n" not in texts
        assert find_dossier(con, Filters(of_person=MIRA)) is None, "a guess proves nothing"
    with restricted_engine(store, Visibility(None, PersonalData.HIDDEN)).connect() as con:
        assert find_dossier(con, Filters(of_person=MIRA)) is None
        assert count_findings(con, View(), LEFT) == (2, 0)


# ---- evidence ------------------------------------------------------------------------------------


def a_pack(home: Home, path: Path, **filters: Any) -> Path:
    with open_store(home.database_url).connect() as con:
        listed = accounts_listing(con, Filters(of_person=MIRA, **filters), LATER)
        write_pack(accounts_pack(listed, LATER), path)
    return path


def forge(pack: Path, name: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of a file, and every hash of it."""
    with ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rows = json.loads(files[name])
    change(rows)
    files[name] = ("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n").encode()
    manifest = json.loads(files["manifest.json"])
    digest = hashlib.sha256(files[name]).hexdigest()
    manifest["files"][name] = {"sha256": digest, "bytes": len(files[name])}
    files["manifest.json"] = json.dumps(manifest, indent=2).encode()
    files["manifest.sha256"] = hashlib.sha256(files["manifest.json"]).hexdigest().encode()
    with ZipFile(pack, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)


def test_a_pack_proves_what_a_person_had_and_names_a_row_that_was_changed(
    office: Home, tmp_path: Path
) -> None:
    path = a_pack(office, tmp_path / "pack.zip", as_of=TODAY)
    assert verify(path, office, lambda *_: None).problems == []
    accounts, history = (shutil.copy(path, tmp_path / f"{name}.zip") for name in ("one", "two"))

    def make_inactive(rows: list[dict[str, Any]]) -> None:
        rows[0]["active_in_app"] = False

    forge(Path(accounts), "accounts.json", make_inactive)
    assert verify(Path(accounts), office, lambda *_: None).problems == [
        "accounts.json does not follow from the snapshots.",
        "account m.n of figma: active_in_app differ.",
    ]

    def take_a_role(rows: list[dict[str, Any]]) -> None:
        rows[-1]["roles"] = []

    forge(Path(history), "history.json", take_a_role)
    assert verify(Path(history), office, lambda *_: None).problems == [
        "history.json does not follow from the snapshots.",
        "2026-11-22T06:00:00Z, account mn of zoom: roles differ.",
    ]

    period = a_pack(office, tmp_path / "period.zip", during=During(YESTERDAY, TODAY))
    assert verify(period, office, lambda *_: None).problems == []

    def lengthen(rows: list[dict[str, Any]]) -> None:
        assert rows[0]["stretches"] == "2026-11-22T06:00:00Z/"
        rows[0]["stretches"] = "2026-11-01T06:00:00Z/"

    forge(period, "accounts.json", lengthen)
    assert verify(period, office, lambda *_: None).problems[1:] == [
        "account m.n of figma: stretches differ.",
    ]


# ---- exempt people -------------------------------------------------------------------------------


def test_an_exempt_person_has_no_open_findings_until_the_last_day(office: Home) -> None:
    store = open_store(office.database_url)
    with pytest.raises(InvalidInput, match="last day is missing"):
        exempt_person(store, "hr", "mira", LEAVE._replace(until=None))
    exempt_person(store, "hr", "mira", LEAVE, accepted_at=TODAY)
    with store.connect() as con:
        for name in ("person_left", "gained_after_leave"):
            rule = RULE_BY_NAME[name]
            assert count_findings(con, View(evaluated_at=YESTERDAY), rule).open
            assert count_findings(con, View(evaluated_at=LATER), rule).open == 0
            assert count_findings(con, View(evaluated_at=LATER + timedelta(30)), rule).open
        excepted = page_of_findings(con, View(evaluated_at=LATER), LEFT, 1, with_exception=True)
        assert {(row.username_in_app, row.reason, row.exception_of) for row in excepted} == {
            ("m.n", "parental leave", "person"),
            ("mn", "parental leave", "person"),
        }
        others = RULE_BY_NAME["unmatched_and_privileged"], RULE_BY_NAME["active_and_unmatched"]
        assert sum(count_findings(con, View(evaluated_at=LATER), o).exceptions for o in others) == 0
    EXCEPTIONS.withdraw(
        store, [{"rule": PERSON_RULE, "integration": "hr", "account_id": "mira"}], "Ada", LATER
    )
    with store.connect() as con:
        assert count_findings(con, View(evaluated_at=LATER), LEFT) == (2, 0)


def test_a_pack_of_findings_proves_that_a_person_is_exempt(office: Home, tmp_path: Path) -> None:
    store, path = open_store(office.database_url), tmp_path / "pack.zip"
    exempt_person(store, "hr", "mira", LEAVE, accepted_at=TODAY)
    with store.connect() as con:
        limits = read_rule_settings(con)
        view = View(integration=("figma",), limits=limits, evaluated_at=LATER)
        write_pack(findings_pack(Findings(con, view, [LEFT])), path)
    with ZipFile(path) as pack:
        (row,) = json.loads(pack.read("findings.json"))
        (recorded,) = json.loads(pack.read("exceptions.json"))
    assert (row["account_id"], row["exception_of"]) == ("m.n", "person")
    assert (recorded["integration"], recorded["account_id"]) == ("hr", "mira")
    assert verify(path, office, lambda *_: None).problems == []


def test_the_page_of_a_person_exempts_her_and_takes_it_back(office: Home) -> None:
    shown = page("person.py", integration="hr", account=MIRA.link).run
    until = utc_now().date() + timedelta(days=9)
    shown.text_area(key="exempt_reason").set_value("on leave")
    shown.text_input(key="said_by").set_value("Ada")
    shown.date_input(key="exempt_until").set_value(until)
    shown.button(key="exempt_save").click().run()
    assert f"Exempt up to {until} · on leave · Ada" in [text.value for text in shown.text]
    shown.button(key="exempt_withdraw").click().run()
    assert not [text for text in shown.text if text.value.startswith("Exempt")]
    flush_pending(store := open_store(office.database_url), office)
    with store.connect() as con:
        actions = [row.action for row in con.execute(audit_event.select())]
    assert actions == ["opened a person", "exempted a person", "withdrew an exemption"]


def test_the_files_and_the_list_on_users_are_one_press_away(office: Home) -> None:
    shown = page("person.py", integration="hr", account=MIRA.link).run
    drawn = " ".join(element.proto.body for element in shown.get("html"))
    query = f"of_person=hr%2F{MIRA.link}"
    for address in ("export/users.xlsx?", "export/users.csv?", "export/users.evidence.zip?"):
        assert f"{address}{query}" in drawn
    assert page("users.py", of_person=str(MIRA)).usernames == ["m.n", "mn"]
    assert NamedPerson("hr", MIRA.link) == MIRA
