"""Lists that are loaded again: the same accounts in every column, or a refusal in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, content_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select
from test_export import FORMULAS, HARMLESS, column, file_of

from data.files.errors import NotAListOfAccounts
from data.files.naming import SnapshotFile
from data.files.text import INVISIBLE, WHITESPACE
from data.history.load import load
from data.schema import (
    TRACKED_COLUMNS,
    account,
    account_current,
    integration,
    is_same_account,
    last_sign_in,
)
from data.states import STATE_NAMES
from data.store.engine import close_stores, open_store
from queries.changes.diff import ChangeFilter
from queries.changes.window import Window
from queries.export.changes import WRITERS, ChangesExport
from queries.export.columns import ALL_COLUMNS

FORMS = ("csv", "raw.csv", "json", "parquet", "xlsx")

HOSTILE = [*FORMULAS, "'=1", "''@x", "'", "ada@x.io", "Ada <ada@x.io>", "[1]", "{", "a;b", "; x"]
LETTER = st.characters(codec="utf-8", exclude_characters="\ufffe\uffff")  # XML has no such ones
TEXT = st.text(LETTER, max_size=12) | st.sampled_from(HOSTILE)
WORD = TEXT.filter(lambda text: text.strip(WHITESPACE).strip(INVISIBLE))
ROLE = WORD | st.fixed_dictionaries(
    {"name": WORD}, optional={"id": TEXT, "type": TEXT, "description": TEXT, "via": TEXT}
)
ATTRIBUTES = ["Team", "team", "Email", "email (attribute)", "State source ", " Seat", "=1", "a/b~c"]
ANY_ACCOUNT = st.fixed_dictionaries(
    {
        "username": WORD,
        "account_id": st.none() | WORD,
        "user": st.none() | TEXT,
        "email": st.none() | TEXT,
        "roles": st.lists(WORD, max_size=4) | st.lists(ROLE.filter(lambda r: r), max_size=4),
        "active": st.sampled_from(["yes", "no", "", "perhaps"]),
        "upstream_id": st.none() | TEXT,
        "state": st.sampled_from([*STATE_NAMES, "", "odd state"]),
        "reason": st.none() | TEXT,
        "code": st.none() | TEXT,
        "last_updated": st.none()
        | st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1)).map(
            lambda t: f"{t.isoformat()}Z"
        )
        | st.just("long ago"),
        "state_source": st.sampled_from(["", "inferred", "guessed"]),
    },
    optional={
        **dict.fromkeys(ATTRIBUTES, TEXT),
        "last_sign_in": st.just("Never")
        | st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 1)).map(lambda t: f"{t:%FT%T}Z"),
    },
)


def identity(facts: dict[str, Any]) -> str:
    """Rows with the same one are repeats, of which a file may not consist for the most part."""
    return (facts["account_id"] or facts["username"]).strip(WHITESPACE + INVISIBLE).lower()


@settings(max_examples=5)
@given(
    facts=st.lists(ANY_ACCOUNT, min_size=1, max_size=8, unique_by=identity),
    form=st.sampled_from(FORMS),
)
def test_a_list_loads_again_as_the_same_accounts(facts: list[dict[str, Any]], form: str) -> None:
    with TemporaryDirectory() as folder:
        store = open_store("duckdb:///:memory:")
        try:
            Deliveries(store, Path(folder)).take(*(an_account(**each) for each in facts))
            load_again(store, Path(folder), form)
            assert contents(store, form) == contents(store, "figma")
        finally:
            close_stores()


def load_again(store: Engine, folder: Path, form: str, columns: Sequence[str] = ()) -> None:
    """Load the list of figma in the format, as an integration with the format's name."""
    path = folder / f"again.{form}"
    with store.connect() as con:
        path.write_bytes(file_of(con, form, columns=columns, integration=("figma",)))
    load(store, SnapshotFile(path, form, TODAY))


def test_odd_texts_and_roles_come_back_from_each_format(
    snapshots: Deliveries, tmp_path: Path
) -> None:
    snapshots.take(
        *(
            an_account(f"{text}{n}", user=f"{text} X", reason=text)
            for n, text in enumerate(FORMULAS)
        ),
        *(
            an_account(f"{n}{text}", user=f"{text} X", reason=text)
            for n, text in enumerate(HARMLESS)
        ),
        *(an_account(f"s{n}", state=state) for n, state in enumerate((*STATE_NAMES, "odd", ""))),
        *(an_account(f"t{n}", active=word) for n, word in enumerate(("yes", "no", "", "perhaps"))),
        an_unmatched_account("u", upstream_id=None, last_updated=None),
        an_account("name only", user="ada@x.io", email=None),
        an_account("r1", roles=["Admin", "Editor"]),
        an_account("r2", roles=[]),
        an_account("r3", roles=["a;b", "c"]),
        an_account("r3b", roles=[{"name": "0", "via": "sg"}, {"name": "c", "via": "sg"}]),
        an_account("r4", roles=["; x"]),
        an_account("r5", roles=["[1]", '["x"]', "=1"]),
        an_account("r6", roles=['O\'Brien "Q"', "a, b", "two\nlines"]),
        an_account("r7", roles=[{"name": "Owner", "type": "seat"}, "Viewer"]),
        an_account("r8", roles=["[1]"]),
        an_account("r9", roles=["Admin, EMEA"]),
        an_account("r10", roles=['{"name": "x"}', "{", ","]),
    )
    for form in FORMS:
        load_again(snapshots.store, tmp_path, form)
        assert contents(snapshots.store, form) == contents(snapshots.store, "figma"), form


def test_roles_that_could_not_be_read_come_back_as_the_text_that_they_were(
    store: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("Username in app,App access\nada,System.String[]\n")
    load(store, SnapshotFile(path, "figma", TODAY))
    for form in FORMS:
        load_again(store, tmp_path, form)
        assert contents(store, form) == contents(store, "figma"), form


def test_a_list_of_some_columns_comes_back_with_these(
    snapshots: Deliveries, tmp_path: Path
) -> None:
    snapshots.take(an_account("@ada", roles=["a, b", "c"], active="no"), an_account("bob"))
    columns = ("username_in_app", "roles", "active_in_app", "provisioning_state", "user_email")
    places = [TRACKED_COLUMNS.index(name) for name in columns]

    def facts(name: str) -> set[tuple[str, ...]]:
        listed = contents(snapshots.store, name).values()
        return {tuple(str(values[place]) for place in places) for values in listed}

    for form in FORMS:
        load_again(snapshots.store, tmp_path, form, columns=columns)
        assert facts(form) == facts("figma"), form


def test_further_columns_of_a_log_do_not_make_a_log_of_a_list(
    snapshots: Deliveries, tmp_path: Path
) -> None:
    facts = {"Action": "login", "Timestamp": "2026-11-20T08:15:00Z", "Full name": "Ada"}
    snapshots.take(an_account("ada", **facts))
    load_again(snapshots.store, tmp_path, "csv")
    assert contents(snapshots.store, "csv") == contents(snapshots.store, "figma")


def contents(store: Engine, name: str) -> dict[str, tuple[Any, ...]]:
    """Account ID → its version and last sign-in; JSON by its meaning, where spaces do not count."""
    json_columns = ("role_details", "attributes", "flags")
    query = (
        select(account.c.account_id, account_current, last_sign_in.c.signed_in_at)
        .join_from(account, account_current, is_same_account(account, account_current))
        .outerjoin(last_sign_in, is_same_account(account, last_sign_in))
        .join(integration, integration.c.integration_id == account.c.integration_id)
        .where(integration.c.name == name)
    )
    with store.connect() as con:
        return {
            row["account_id"]: tuple(
                json.loads(row[name] or "null") if name in json_columns else row[name]
                for name in (*TRACKED_COLUMNS, "signed_in_at")
            )
            for row in con.execute(query).mappings()
        }


def load_text(snapshots: Deliveries, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    load(snapshots.store, SnapshotFile(path, "again", TODAY))


@pytest.mark.parametrize("columns", [(), ("username_in_app", "integration", "roles")])
@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_list_of_several_integrations_is_not_loaded(
    snapshots: Deliveries, con: Connection, tmp_path: Path, form: str, columns: tuple[str, ...]
) -> None:
    snapshots.take(an_account("ada"))
    snapshots.take(an_account("ada"), integration="slack")
    content = file_of(con, form, columns=columns)
    con.rollback()
    with pytest.raises(NotAListOfAccounts, match=r"accounts of several integrations: figma, slack"):
        load_text(snapshots, tmp_path / f"x.{form}", content)


@pytest.mark.parametrize("columns", [(), tuple(name for name in ALL_COLUMNS[1:])])
def test_a_list_of_a_spreadsheet_with_a_cut_text_is_not_loaded(
    snapshots: Deliveries, con: Connection, tmp_path: Path, columns: tuple[str, ...]
) -> None:
    snapshots.take(an_account("ada", reason="very long " * 4_000), an_account("bob"))
    content = file_of(con, "xlsx", columns=columns)
    con.rollback()
    with pytest.raises(NotAListOfAccounts, match=r"too long for a spreadsheet"):
        load_text(snapshots, tmp_path / "x.xlsx", content)


def test_excel_has_times_as_times_and_loses_none_of_their_digits(
    snapshots: Deliveries, con: Connection
) -> None:
    moment = datetime(2026, 11, 20, 8, 14, 5, 123_000)
    exact = moment.replace(microsecond=123_456)
    snapshots.take(
        *(an_account(f"u{t.microsecond}", last_updated=f"{t}Z") for t in (moment, exact))
    )
    texts = column(con, "xlsx", "Last updated (UTC)")
    assert texts == [moment, f"{exact.isoformat()}Z"]


def test_an_edited_list_counts_as_edited(
    snapshots: Deliveries, con: Connection, tmp_path: Path
) -> None:
    snapshots.take(an_account("@ada", roles=[{"name": "Admin", "id": "7"}], active="perhaps"))
    content = file_of(con, "csv").replace(b'"Admin"', b'"Viewer"', 1).replace(b'""', b'"Yes"', 1)
    con.rollback()
    load_text(snapshots, tmp_path / "x.csv", content)
    [row] = con.execute(select(account_current).where(account_current.c.roles == ["Viewer"]))
    assert (row.username_in_app, row.role_details, row.active_in_app) == ("@ada", None, True)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_list_of_changes_is_not_loaded(
    snapshots: Deliveries, con: Connection, tmp_path: Path, form: str
) -> None:
    snapshots.take(an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("ada"))
    window = Window(YESTERDAY, TODAY)
    changes = ChangesExport(con, window, ChangeFilter("joined"))
    content = content_of(WRITERS[form], changes)
    con.rollback()
    with pytest.raises(NotAListOfAccounts, match=r"is a list of changes, not of accounts"):
        load_text(snapshots, tmp_path / f"x.{form}", content)
