"""Pseudonyms: consistent, on every page, in every download, and reversible only with the key."""

from __future__ import annotations

import dataclasses
import hmac
import io
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import openpyxl
import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account, content_of
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE
from pyarrow import parquet
from sqlalchemy import Engine, literal, select
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from test_access import PAGES, SCRIPTS

import rollcall as command
from data.access.roles import LOCAL, ROLES, Permission, PersonalData, Principal, Visibility
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home, current_home
from data.inbox.inbox import load_inbox
from data.records.exceptions import FindingKey, RiskException, add_exceptions
from data.records.matches import MatchOverride, save_match_overrides
from data.records.notes import NamedAccount, save_note
from data.records.views import SavedView, save_view
from data.schema import account, account_current, metadata
from data.service.active_store import StoreStatus, set_store_status
from data.store.adapter import ADAPTERS
from data.store.engine import close_stores, open_store, restricted_engine
from data.store.pseudonyms import VALUE_COLUMNS, key_statements, keyed_digest, read_or_create_key
from data.store.search_text import SEARCH_COLUMNS
from queries.export.formats import FORMATS
from queries.export.listing import LISTING_COLUMNS, Listing, ListRequest
from queries.filters import Filters
from queries.review.rules import RULES
from queries.users.accounts import SORTS, count_accounts, sorted_accounts
from queries.users.detail import account_details
from server.routes import EXCEPTION_HANDLERS, ROUTES
from server.session import request_principal

SECRETS = ("Zelda", "Zumthor", "zz-login", "zz@x.io", "ZZ@x.io", "zz-upstream", "zz-account")
MASKED = Visibility(personal_data=PersonalData.PSEUDONYMS)


def zelda(integration: str, **facts: str) -> dict[str, object]:
    """The same person everywhere, by her address in any case and her upstream ID."""
    return an_account(
        f"zz-login-{integration}",
        account_id=f"zz-account-{integration}",
        user="Zelda Zumthor",
        email="zz@x.io" if integration == "figma" else "ZZ@x.io",
        upstream_id=f"zz-upstream-{integration}",
        state="Deleted",
        reason="Zelda Zumthor (zz@x.io) has left, says zz-login",
        code="E-42",
        roles=["Editor", {"name": "Admin", "description": "given by Zelda", "via": "zz-login"}],
        last_updated="whenever Zelda likes",
        manager="Zelda Zumthor",
        **facts,
    )


@pytest.fixture(scope="module")
def masked_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", str(root))
        patch.setenv("ROLLCALL_NO_SAMPLE", "1")
        patch.setenv("ROLLCALL_PSEUDONYMS", "1")
        patch.delenv("ROLLCALL_DATABASE_URL", raising=False)
        engine = open_store(current_home().database_url)
        for name in ("figma", "slack"):
            for at, more in ((YESTERDAY, []), (TODAY, [an_account("bob", user=None, email=None)])):
                rows = [zelda(name, note=f"{at:%d}"), *more, {"user_name": "Zelda Zumthor"}]
                path = a_snapshot_file(root / "made", rows, integration=name, at=at)
                load(engine, SnapshotFile(path, name, at), confirmed=True)
        finding = FindingKey("deleted_but_active", "slack", "zz-account-slack")
        add_exceptions(engine, [(finding, TODAY)], RiskException("Zelda may", "zz@x.io"))
        theirs = ("Zelda’s.", "figma", "zz-account-figma", "Zelda the Other")
        save_match_overrides(engine, [MatchOverride("slack", "bob", *theirs)], "zz@x.io")
        everywhere = [NamedAccount(name, f"zz-account-{name}") for name in ("figma", "slack")]
        save_note(engine, everywhere, "Zelda is on leave", "zz@x.io")
        save_view(engine, SavedView("Zelda", None, "q=Zelda", ("figma", "slack")), "zz@x.io")
        yield current_home()
        close_stores()


@pytest.fixture
def masked(masked_home: Home) -> Engine:
    return restricted_engine(open_store(masked_home.database_url), MASKED)


def names_nobody(text: str) -> bool:
    return not any(secret.casefold() in text.casefold() for secret in SECRETS)


def test_no_table_contains_a_name(masked: Engine) -> None:
    with masked.connect() as con:
        for table in metadata.sorted_tables:
            assert names_nobody(str(con.execute(select(table)).all())), table.name
        assert count_accounts(con, Filters()) == 4
        assert count_accounts(con, Filters(match="unmatched")) == 1, "one was decided"
        assert count_accounts(con, Filters(role=("Admin",))) == 2
        assert count_accounts(con, Filters(note="yes")) == 0, "who may not read them has none"


def test_accounts_of_one_person_are_still_found(masked: Engine) -> None:
    with masked.connect() as con:
        row = con.execute(select(account_current)).first()
        assert row
        (known,) = account_details(con, Filters(), [row.account_key]).values()
        assert [other.integration for other in known.other_accounts] == ["slack"]
        assert [version.user_email for version in known.versions] == [row.user_email] * 2
        assert count_accounts(con, Filters(q=row.user_email)) == 2
        assert count_accounts(con, Filters(q="Zelda")) == 0, "no search leads back"


@pytest.mark.parametrize("as_of", [None, TODAY])
def test_a_search_finds_a_complete_pseudonym(masked: Engine, as_of: datetime | None) -> None:
    with masked.connect() as con:
        (row,) = con.execute(select(account_current).where(account_current.c.account_key == 1))
        for column in SEARCH_COLUMNS:
            text = row._mapping[column]
            assert count_accounts(con, Filters(q=text, as_of=as_of)) in (1, 2), column
            assert count_accounts(con, Filters(q=text.upper(), as_of=as_of)) in (1, 2), column
            another = re.sub("[0-9a-f]{12}", "0" * 12, text)
            assert count_accounts(con, Filters(q=another, as_of=as_of)) == 0
        assert count_accounts(con, Filters(q=row.user_email[2:8])) == 0, "a part says nothing"


@pytest.mark.parametrize("sort", SORTS)
def test_no_order_tells_the_order_of_the_delivered_file(
    home: Home, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    """A list sorted by name would else give each pseudonym its name, by its place."""
    people = [an_account(f"person{n:02}", account_id=f"id{n:02}") for n in range(40)]
    path = a_snapshot_file(home.root / "made", people, integration="figma", at=TODAY)
    engine = open_store(home.database_url)
    load(engine, SnapshotFile(path, "figma", TODAY))
    with engine.connect() as con:
        delivered = con.execute(
            select(account.c.account_key).order_by(account.c.account_id)
        ).scalars()
        places = {key: place for place, key in enumerate(delivered)}
    with restricted_engine(engine, MASKED).connect() as con:
        query = sorted_accounts(con, Filters(), sort=sort, descending=False)
        keys = [row.account_key for row in con.execute(query)]
    places_shown = [places[key] for key in keys]
    assert sorted(places_shown) == [*range(40)]
    assert _inversions(places_shown) > 150, "780 at most, 390 in a random order"
    assert _inversions([places[key] for key in sorted(keys)]) > 150, "nor do the keys tell"


def _inversions(numbers: list[int]) -> int:
    """Pairs in the wrong order, in either direction."""
    pairs = [(a, b) for place, a in enumerate(numbers) for b in numbers[place + 1 :]]
    wrong = sum(a > b for a, b in pairs)
    return min(wrong, len(pairs) - wrong)


@pytest.mark.parametrize("form", FORMATS)
def test_no_download_contains_a_name(masked: Engine, form: str) -> None:
    with masked.connect() as con:
        request = ListRequest(Filters(), columns=tuple(LISTING_COLUMNS))
        content = content_of(FORMATS[form].write, Listing(con, request))
    if form == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content))
        text = str([[cell.value for row in sheet for cell in row] for sheet in book])
    elif form == "parquet":
        text = str(parquet.read_table(io.BytesIO(content)).to_pylist())
    else:
        text = content.decode()
    assert "@pseudonym.invalid" in text
    assert names_nobody(text)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "audit.py"])
def test_no_page_contains_a_name(masked_home: Home, script: str) -> None:
    run = AppTest.from_file(PAGES / script, default_timeout=PATIENCE)
    if script == "users.py":
        run.session_state["users"] = {"open": ["1", "2", "3", "4"]}
    if script == "review.py":
        run.query_params["rule"] = RULES[0].name
    run.run()
    assert not run.exception
    drawn = "".join(str(element.proto) for element in run.main if hasattr(element, "proto"))
    assert names_nobody(drawn)
    if script == "users.py":
        assert "@pseudonym.invalid" in drawn


def test_loading_and_what_a_file_says_need_names(masked_home: Home) -> None:
    """A loaded guess would show the guess's pseudonym; and errors quote the file."""
    path = masked_home.inbox / "figma" / "2026-11-24T06-00-00Z.csv"
    path.parent.mkdir(parents=True)
    path.write_text("Zelda Zumthor,zz@x.io\n1,2\n")
    os.utime(path, (0, 0))
    load_inbox(open_store(masked_home.database_url), masked_home)
    run = AppTest.from_file(PAGES / "snapshots.py", default_timeout=PATIENCE).run()
    assert "Only people who see names can load files" in run.info[0].value
    assert not [b for b in run.button if str(b.key).startswith(("dismiss_", "load_"))]
    assert not run.get("file_uploader")
    assert names_nobody("".join(str(e.proto) for e in run.main if hasattr(e, "proto")))


@pytest.mark.parametrize("status", ["open", "failed"])
def test_no_status_of_the_store_quotes_a_file_to_who_sees_pseudonyms(
    masked_home: Home, status: Literal["open", "failed"]
) -> None:
    """Neither a page nor a download, in no role."""
    principal = request_principal.set(dataclasses.replace(LOCAL, uses_pseudonyms=True))
    set_store_status(masked_home, StoreStatus(status, "Zelda.csv has no headings: “Zelda”."))
    try:
        run = AppTest.from_file(PAGES / "navigation.py", default_timeout=PATIENCE).run()
        with TestClient(Starlette(routes=ROUTES, exception_handlers=EXCEPTION_HANDLERS)) as client:
            answers = [client.get(path).text for path in ("/export/users.csv", "/readyz")]
    finally:
        set_store_status(masked_home, StoreStatus("open"))
        request_principal.reset(principal)
    for role in ROLES:
        reader = Principal("somebody", (role,), uses_pseudonyms=True)
        assert not reader.is_allowed(Permission.LOAD_FILES)
    assert names_nobody(f"{run.main} {answers}")


def test_users_with_pseudonyms_cannot_take_actions_that_need_names(masked_home: Home) -> None:
    run = AppTest.from_file(PAGES / "audit.py", default_timeout=PATIENCE).run()
    assert run.title[-1].value == "No access"


@given(text=st.text(max_size=100), key=st.binary(min_size=32, max_size=32))
def test_a_pseudonym_is_an_hmac(text: str, key: bytes) -> None:
    if "\0" in text:
        return
    with MEMORY.connect() as con:
        for statement in key_statements(key, ADAPTERS["duckdb"]):
            con.exec_driver_sql(statement)
        digest = con.scalar(select(keyed_digest("name", literal(text))))
    assert digest == hmac.new(key, f"name:{text}".encode(), "sha256").hexdigest()[:12]


MEMORY = open_store("duckdb:///:memory:")


def test_another_key_gives_other_pseudonyms(masked_home: Home, tmp_path_factory) -> None:
    other = Home(tmp_path_factory.mktemp("other"))
    assert read_or_create_key(other) != read_or_create_key(masked_home)
    assert read_or_create_key(masked_home) == read_or_create_key(masked_home)
    assert (masked_home.root / "pseudonym-key").stat().st_mode & 0o077 == 0


def test_the_key_reveals_a_pseudonym(
    masked: Engine, masked_home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with masked.connect() as con:
        row = con.execute(select(account_current)).first()
    assert row
    pseudonyms = [row.user_name, row.user_email, row.username_in_app, row.upstream_user_id]
    assert command.main(["reveal", *pseudonyms, "--json"]) == 0
    revealed = json.loads(capsys.readouterr().out)
    assert revealed[row.user_name] == ["name: Zelda Zumthor"]
    assert sorted(revealed[row.user_email]) == ["email: ZZ@x.io", "email: zz@x.io"]
    assert revealed[row.username_in_app] == ["username: zz-login-figma"]
    assert command.main(["reveal", "user-000000000000"]) == 1
    assert set(VALUE_COLUMNS) == {"name", "email", "username", "upstream", "account"}
