"""Names in reasons and codes of failures: whoever may not see names finds none."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import openpyxl
import pytest
import sqlalchemy as sa
from builders import TODAY, YESTERDAY, Deliveries, a_snapshot_file, an_account, content_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sqlalchemy import Connection, Engine, select

from data.access.roles import PersonalData, Visibility
from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.remove import remove_snapshot
from data.schema import account_current, account_profile, account_version, failure_reason
from data.store.engine import close_stores, open_store, restricted_engine
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.filters import Filters
from queries.health.failure_reasons import failure_reasons
from queries.period import Period

OWN = {
    "user": "Emre O'Eriksen (Jr.)",
    "email": "e.eriksen@mail.example",
    "account_id": "A[x]b",
    "upstream_id": "00u77",
}
PERIOD = Period(YESTERDAY.date(), TODAY.date())
NAMES = ["emre.eriksen", *OWN.values(), "Emre", "O'Eriksen", "e.eriksen"]


def reasons_of(con: Connection) -> dict[str, str]:
    rows = con.execute(select(account_current.c.username_in_app, account_current.c.failure_reason))
    return {row.username_in_app: row.failure_reason for row in rows}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spelling", [str, str.upper])
def test_a_template_has_no_name_and_no_id_of_its_account(
    snapshots: Deliveries, con: Connection, name: str, spelling: type[str]
) -> None:
    text = f"Slack rejected {spelling(name)} {spelling(name)}, the owner:{spelling(name)}"
    snapshots.take(an_account("emre.eriksen", state="Update failed", reason=text, **OWN))
    assert reasons_of(con) == {"emre.eriksen": "Slack rejected …, the owner:…"}


@pytest.mark.parametrize("name", NAMES)
def test_a_code_that_is_a_name_of_its_account_is_no_reason(
    snapshots: Deliveries, con: Connection, name: str
) -> None:
    snapshots.take(an_account("emre.eriksen", state="Update failed", code=name, **OWN))
    assert reasons_of(con) == {"emre.eriksen": "…"}


def test_reasons_name_no_other_account_and_no_former_name(
    snapshots: Deliveries, con: Connection
) -> None:
    names = [*OWN.values(), "EMRE.eriksen", "e.eriksen", "mail.example"]
    owner = an_account("emre.eriksen", **OWN)
    texts = [
        an_account(f"t{n}", state="Update failed", reason=f"Not the one of {name}, or:{name}")
        for n, name in enumerate(names)
    ]
    codes = [
        an_account(f"c{n}", state="Update failed", code=f"E-{name}") for n, name in enumerate(names)
    ]
    snapshots.take(owner, *texts, at=YESTERDAY)
    snapshots.take(*texts, *codes)
    reasons = reasons_of(con)
    assert {reasons[a["username_in_app"]] for a in texts} == {"Not the one of …, or:…"}
    assert {reasons[a["username_in_app"]] for a in codes} == {"E-…"}


def test_a_name_that_arrives_later_leaves_earlier_reasons_until_it_is_removed(
    snapshots: Deliveries, con: Connection
) -> None:
    failed = an_account("u", state="Update failed", reason="Ask grace.h about it", code="E-409")
    other = an_account("v", state="Update failed", reason="Ask grace.h about it", account_id="409")
    snapshots.take(failed, other, at=YESTERDAY)
    assert reasons_of(con) == {"u": "E-409", "v": "Ask grace.h about it"}
    assert failure_reasons(con, PERIOD)["template"].tolist() == ["Ask grace.h about it"] * 2
    con.rollback()
    snapshots.take(failed, other, an_account("new", email="grace.h@x.io"))
    assert reasons_of(con) == {"u": "E-409", "v": "Ask … about it", "new": None}
    assert failure_reasons(con, PERIOD)["template"].tolist() == ["Ask … about it"] * 2
    con.rollback()
    remove_snapshot(snapshots.store, "figma", TODAY)
    assert reasons_of(con) == {"u": "E-409", "v": "Ask grace.h about it"}


@pytest.mark.parametrize(
    ("planted", "shown"),
    [
        ("Locked by Bergström", "Locked by …"),
        ("locked by SØREN; ask Mbeki or thorne", "locked by …; ask … or …"),
        ("Not at pc-søren.office.mail.example:8443/u?id=x, retry", "Not at … retry"),
        ("www.mail.example/users/new did not answer", "… did not answer"),
        ("Listed for nobody: pat.doe (Pat Doe), Doe", "Listed for nobody: … (…), …"),
        ("SCIM: User already exists, Will retried", "SCIM: User already exists, … retried"),
        ("User will be retried by the test user", "User will be retried by the test user"),
    ],
)
def test_a_reason_has_no_word_and_no_host_of_another_account(
    snapshots: Deliveries, con: Connection, planted: str, shown: str
) -> None:
    others = [
        an_account("s", account_id="s", user="Bergström, Søren", email="s.b@mail.example"),
        an_account("m", account_id="m", user="Ada Mbeki-Thorne", email=None),
        an_account("w", account_id="w", user="Will User", email=None),
        an_account("t", account_id="t", user="Test Account", email=None),
    ]
    failed = an_account("x", user=None, email=None, state="Update failed", reason=planted)
    snapshots.take(failed, *others)
    person = an_account("pat.doe", user="Pat Doe", email="pat@people.example")
    snapshots.take(person, integration="directory", at=YESTERDAY)
    assert reasons_of(con)["x"] == shown
    remove_snapshot(snapshots.store, "directory", YESTERDAY)
    con.rollback()
    assert ("pat.doe" in reasons_of(con)["x"]) == ("pat.doe" in planted)


NAMED = st.sampled_from(["ada", "ada.king", "Ada King", "king"])
DAYS = st.tuples(st.integers(0, 3), st.lists(st.tuples(NAMED, NAMED, NAMED), max_size=3))


@settings(max_examples=4)
@given(st.lists(DAYS, min_size=2, max_size=4))
def test_no_order_of_loading_and_no_removal_makes_a_difference(
    history: list[tuple[int, list[tuple[str, str, str]]]],
) -> None:
    with TemporaryDirectory() as folder:
        changed, straight = (open_store(f"duckdb:///{folder}/{n}.duckdb") for n in range(2))
        for day, rows in history:
            take(changed, Path(folder), day, rows)
        *remaining, removed = sorted(dict(history))
        remove_snapshot(changed, "figma", TODAY - timedelta(days=removed))
        for day in reversed(remaining):
            take(straight, Path(folder), day, dict(history)[day])
        assert reasons_and_texts(changed) == reasons_and_texts(straight)
        with straight.connect() as con:
            names = con.execute(
                select(account_profile.c.username_in_app, account_profile.c.user_name)
            )
            for name in {name for row in names for name in row}:
                for reason in con.scalars(select(failure_reason.c.reason)):
                    assert f" {name} ".lower() not in f" {reason} ".lower()
        close_stores()


def take(store: Engine, folder: Path, day: int, rows: list[tuple[str, str, str]]) -> None:
    accounts = [
        an_account(username, account_id=f"i{n}", user=user, reason=f"Owner {named} of {n * 'x'}")
        | {"provisioning_state": "Update failed", "failure_code": named if n == 1 else None}
        for n, (username, user, named) in enumerate(rows)
    ]
    at = TODAY - timedelta(days=day)
    file = SnapshotFile(a_snapshot_file(folder, accounts, at=at), "figma", at)
    load(store, file, replace=True, confirmed=True)


def reasons_and_texts(store: Engine) -> list[list[str]]:
    """The reasons of the integration, of its accounts and of their versions."""
    with store.connect() as con:
        return [
            sorted(map(str, con.execute(select(t.c.failure_text, reason))))
            for t, reason in (
                (
                    failure_reason,
                    sa.func.concat(failure_reason.c.reason, failure_reason.c.template),
                ),
                (account_current, account_current.c.failure_reason),
                (account_version, account_version.c.failure_reason),
            )
        ]


def test_words_and_numbers_that_are_part_of_others_stay(
    snapshots: Deliveries, con: Connection
) -> None:
    ids = {"account_id": "429", "upstream_id": "1"}
    snapshots.take(
        an_account("in", state="Update failed", reason="No seat left inside", code=None, **ids),
        an_account("429x", state="Update failed", code="SLA-4291", **ids | {"account_id": "4"}),
        an_account("b", state="Update failed", code="SLA-429", **ids | {"account_id": "42"}),
    )
    assert reasons_of(con) == {"in": "No seat left inside", "429x": "SLA-4291", "b": "SLA-429"}


OTHERS = (
    "ada.lovelace",
    "Ada Lovelace",
    "lovelace",
    "ada.example",
    "R-ada-1",
    "lovelace@ada.example",
)
"""The names of another account; some are former ones."""


@pytest.fixture(params=[PersonalData.HIDDEN, PersonalData.PSEUDONYMS])
def reader(
    request: pytest.FixtureRequest, snapshots: Deliveries, store: Engine, home: object
) -> Engine:
    """Somebody without names, after names were planted in all fields and an account renamed.

    One word as a reason can be the name of somebody who has no account.
    """
    planted = [
        an_account(
            f"u{n}", state="Update failed", reason=name, code=code, **OWN | {"account_id": f"i{n}"}
        )
        for n, (name, code) in enumerate(
            [
                *((name, None) for name in (*OTHERS, "grace.hopper")),
                *(("x", code) for code in (*OTHERS, "e.eriksen", "mail.example")),
            ]
        )
    ]
    old = an_account("ada.lovelace", account_id="R-ada-1", email="lovelace@ada.example")
    new = an_account("king", account_id="R-ada-1", state="Update failed", code="ada.lovelace")
    snapshots.take(old, *planted, at=YESTERDAY)
    snapshots.take(new, *planted, an_account("ok", state="Update failed", code="timeout"))
    return restricted_engine(store, Visibility(personal_data=request.param))


def names_nobody(text: str) -> bool:
    return not any(
        name in text.casefold() for name in ("ada.", "ada-", "lovelace", "emre", "eriksen", "grace")
    )


def test_no_row_of_health_and_no_version_has_a_name(reader: Engine) -> None:
    with reader.connect() as con:
        rows = failure_reasons(con, PERIOD)
        assert set(rows["reason"]) == {"timeout", "Reason not shown"}
        assert names_nobody(rows.to_string())
        for table in (account_current, account_version):
            columns = (table.c.failure_code, table.c.failure_reason, table.c.state_reason)
            assert names_nobody(str(con.execute(select(*columns)).all()))


def test_no_download_has_a_name(reader: Engine) -> None:
    with reader.connect() as con:
        listing = Listing(con, ListRequest(Filters()))
        contents = {form: content_of(FORMATS[form].write, listing) for form in FORMATS}
    for form, content in contents.items():
        text = text_of(form, content)
        assert "timeout" in text, form
        assert names_nobody(text), form


def text_of(form: str, content: bytes) -> str:
    if form == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content))
        return json.dumps([[str(c.value) for row in sheet for c in row] for sheet in book])
    if form == "parquet":
        return str(parquet.read_table(io.BytesIO(content)).to_pylist())
    return content.decode()
