"""Names in reasons and codes of failures: whoever may not see names finds none."""

from __future__ import annotations

import io
import json

import openpyxl
import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, content_of
from pyarrow import parquet
from sqlalchemy import Connection, Engine, select

from data.access.roles import PersonalData, Visibility
from data.schema import account_current, account_version
from data.store.engine import restricted_engine
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


@pytest.fixture(params=[PersonalData.HIDDEN, PersonalData.PSEUDONYMS])
def reader(
    request: pytest.FixtureRequest, snapshots: Deliveries, store: Engine, home: object
) -> Engine:
    """Somebody without names, after names were planted in all fields and an account renamed."""
    planted = [
        an_account(
            f"u{n}", state="Update failed", reason=name, code=code, **OWN | {"account_id": f"i{n}"}
        )
        for n, (name, code) in enumerate(
            [("ada.lovelace", None), (None, "ada.lovelace"), ("x", "e.eriksen"), ("x", "Ada-L")]
        )
    ]
    old = an_account("ada.lovelace", account_id="R", state="Update failed", code="E1")
    new = an_account("ada.king", account_id="R", state="Update failed", code="ada.lovelace")
    snapshots.take(old, *planted, at=YESTERDAY)
    snapshots.take(new, *planted, an_account("ok", state="Update failed", code="SLA-422"))
    return restricted_engine(store, Visibility(personal_data=request.param))


def names_nobody(text: str) -> bool:
    return not any(
        name in text.casefold() for name in ("ada.", "ada-", "lovelace", "emre", "eriksen")
    )


def test_no_row_of_health_and_no_version_has_a_name(reader: Engine) -> None:
    with reader.connect() as con:
        rows = failure_reasons(con, Period(YESTERDAY.date(), TODAY.date()))
        assert set(rows["reason"]) == {"SLA-422", "Reason not shown"}
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
        assert "SLA-422" in text, form
        assert names_nobody(text), form


def text_of(form: str, content: bytes) -> str:
    if form == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content))
        return json.dumps([[str(c.value) for row in sheet for c in row] for sheet in book])
    if form == "parquet":
        return str(parquet.read_table(io.BytesIO(content)).to_pylist())
    return content.decode()
