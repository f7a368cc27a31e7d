"""The last sign-in: understood from many sources, and outside of the history."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, content_of, usernames
from sqlalchemy import Engine, func, select

from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.load_report import load_report
from data.home import current_home
from data.inbox.actions import withdraw_snapshot
from data.inbox.inbox import load_inbox, put_into_inbox
from data.schema import account_version
from queries.evidence.accounts import accounts_listing, is_provable
from queries.export.formats import write_raw_csv
from queries.export.listing import Listing, ListRequest
from queries.filters import Filters
from queries.sign_ins import NEVER
from queries.users.accounts import page_of_accounts
from queries.users.facets import Choice, list_choices

SIGNED_IN = datetime(2026, 11, 20, 8, 14, 5)

FOUR = [
    an_account("ada", last_sign_in="2026-11-20T08:14:05Z"),
    an_account("bob", last_sign_in="Never"),
    an_account("cyd", last_sign_in=""),
    an_account("dee", last_sign_in="2026-08-31T23:59:59Z"),
]


def sign_ins(store: Engine, **filters: Any) -> dict[str, datetime | None]:
    with store.connect() as con:
        rows = page_of_accounts(con, Filters(**filters), sort="user", descending=False, page=1)
    return {row.username_in_app: row.last_sign_in for row in rows}


def load_text(store: Engine, folder: Path, text: str, ending: str = "csv") -> None:
    path = folder / f"2026-11-23T06-00-00Z.{ending}"
    path.write_text(text, encoding="utf-8")
    load(store, SnapshotFile(path, "app", TODAY), confirmed=True)


@pytest.mark.parametrize(
    "heading",
    [
        *("Last sign-in", "lastLogin", "last_login_at", "Last Login(UTC)", "lastSignInDateTime"),
        *("Last active", "Last seen", "Letzte Anmeldung", "Dernière connexion"),
        *("Último inicio de sesión", "Último acesso", "最終ログイン日時"),
    ],
)
def test_a_heading_in_six_languages_names_the_last_sign_in(
    store: Engine, tmp_path: Path, heading: str
) -> None:
    rows = "ada,2026-11-20 08:14:05\nbob,Never\ncyd,\ndee,Never logged in\n"
    load_text(store, tmp_path, f"Username,{heading}\n{rows}")
    assert sign_ins(store) == {"ada": SIGNED_IN, "bob": NEVER, "cyd": None, "dee": NEVER}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": "1", "created": "", "status": "ACTIVE", "lastLogin": "2026-11-20T08:14:05.000Z",
          "profile": {"login": "ada"}}, SIGNED_IN),
        ({"id": "1", "created": "", "status": "ACTIVE", "lastLogin": None,
          "profile": {"login": "ada"}}, None),
        ({"id": "1", "userPrincipalName": "ada", "displayName": "A", "mail": "",
          "signInActivity": {"lastSignInDateTime": "2026-11-20T08:14:05Z"}}, SIGNED_IN),
        ({"id": "1", "userPrincipalName": "ada", "displayName": "A", "mail": ""}, None),
        ({"kind": "admin#directory#user", "primaryEmail": "ada",
          "lastLoginTime": "1970-01-01T00:00:00.000Z"}, NEVER),
    ],
)  # fmt: skip
def test_products_report_the_last_sign_in_in_their_own_ways(
    store: Engine, tmp_path: Path, record: dict[str, Any], expected: datetime | None
) -> None:
    load_text(store, tmp_path, json.dumps([record]), "json")
    assert sign_ins(store) == {"ada": expected}


def test_never_differs_from_unknown_in_filters_counts_and_order(snapshots: Deliveries) -> None:
    snapshots.take(*FOUR)
    with snapshots.store.connect() as con:
        assert usernames(con, last_sign_in=("never",)) == ["bob"]
        assert usernames(con, last_sign_in=("unknown",)) == ["cyd"]
        assert usernames(con, last_sign_in=("before:2026-09-01",)) == ["dee"]
        assert usernames(con, last_sign_in=("from:2026-11-20",)) == ["ada"]
        assert usernames(con, last_sign_in=("never", "before:2026-09-01")) == ["bob", "dee"]
        assert usernames(con, sort="last_sign_in") == ["bob", "dee", "ada", "cyd"]
        assert usernames(con, sort="-last_sign_in") == ["ada", "dee", "bob", "cyd"]
        filters = Filters(last_sign_in=("never",))
        expected = [Choice("never", 1), Choice("unknown", 1)]
        assert list_choices(con, filters, "last_sign_in").shown == expected


def test_a_download_says_never_and_loads_as_the_same(snapshots: Deliveries, tmp_path: Path) -> None:
    snapshots.take(*FOUR)
    expected = sign_ins(snapshots.store)
    with snapshots.store.connect() as con:
        content = content_of(write_raw_csv, Listing(con, ListRequest(Filters()))).decode()
    texts = [row["Last sign-in"] for row in csv.DictReader(content.splitlines())]
    assert sorted(texts) == ["", "2026-08-31T23:59:59Z", "2026-11-20T08:14:05Z", "Never"]
    path = tmp_path / "list.csv"
    path.write_text(content, encoding="utf-8")
    load(snapshots.store, SnapshotFile(path, "again", TODAY), confirmed=True)
    assert sign_ins(snapshots.store, integration=("again",)) == expected


def test_a_new_sign_in_costs_no_version_and_the_past_shows_the_newest(
    snapshots: Deliveries,
) -> None:
    snapshots.take(*(account | {"last_sign_in": "2026-11-01"} for account in FOUR), at=YESTERDAY)
    snapshots.take(*FOUR)
    with snapshots.store.connect() as con:
        assert con.scalar(select(func.count()).select_from(account_version)) == len(FOUR)
        assert not is_provable(Filters(as_of=YESTERDAY, last_sign_in=("never",)))
        columns = accounts_listing(con, Filters(), TODAY).request.columns
    assert "last_sign_in" not in columns
    assert sign_ins(snapshots.store, as_of=YESTERDAY) == sign_ins(snapshots.store)


def test_a_late_snapshot_never_overwrites_a_newer_sign_in(snapshots: Deliveries) -> None:
    row_of_another_role = an_account("ada", roles=["Other"], last_sign_in="2026-11-19")
    snapshots.take(row_of_another_role, *FOUR)
    before = sign_ins(snapshots.store)
    assert before["ada"] == SIGNED_IN, "the latest of her rows"
    snapshots.take(an_account("ada", last_sign_in="2026-11-22"), at=YESTERDAY)
    assert sign_ins(snapshots.store) == before


def test_a_text_that_cannot_be_read_is_unknown_and_counted(snapshots: Deliveries) -> None:
    snapshots.take(an_account("ada", last_sign_in="three days ago"), an_account("bob"))
    assert sign_ins(snapshots.store) == {"ada": None, "bob": None}
    with snapshots.store.connect() as con:
        warnings = load_report(con, "figma", TODAY).warnings()
    assert "Could not read “Last sign-in” of 1 of 2 accounts." in warnings


def test_the_day_comes_first_where_the_column_shows_it(store: Engine, tmp_path: Path) -> None:
    load_text(store, tmp_path, "Username,Last login\nada,03/11/2026\nbob,20/11/2026\n")
    assert sign_ins(store)["ada"] == datetime(2026, 11, 3)


def test_after_a_removal_the_snapshot_before_has_the_last_sign_ins(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "home"))
    home = current_home()
    for day, signed_in in ((YESTERDAY, "2026-11-20T08:14:05Z"), (TODAY, "Never")):
        path = tmp_path / f"{day:%Y-%m-%dT%H-%M-%SZ}.csv"
        path.write_text(f"Username,Last sign-in\nada,{signed_in}\n")
        put_into_inbox(home, SnapshotFile(path, "app", day), confirmed=True)
        load_inbox(store, home)
    assert sign_ins(store) == {"ada": NEVER}
    withdraw_snapshot(store, home, "app", TODAY)
    assert sign_ins(store) == {"ada": SIGNED_IN}
    withdraw_snapshot(store, home, "app", TODAY - timedelta(days=1))
    assert sign_ins(store) == {}
