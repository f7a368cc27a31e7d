"""Had access at any time in a period: the list and its stretches equal the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, Deliveries, a_snapshot_file, an_account, content_of
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.records.notes import NamedAccount, save_note
from data.store.engine import open_store
from queries.during import During, parse_during
from queries.evidence.accounts import is_provable
from queries.export.formats import write_raw_csv
from queries.export.listing import Listing, ListRequest
from queries.filter_sentence import excluded_params, ignored_params
from queries.filters import Filters
from queries.users.accounts import (
    count_accounts,
    page_of_accounts,
    sorted_accounts,
)
from queries.users.by_key import stretches_by_key
from queries.users.detail import account_details
from queries.users.facets import drop_unknown_values, list_choices

PAGE = Path(__file__).parent.parent / "pages" / "users.py"
DAYS = [TODAY + timedelta(days=n) for n in range(4)]
MOMENTS = [day + timedelta(hours=h) for day in DAYS for h in (-1, 0, 1)]

Look = tuple[str, str, str]
"""Active in app, role and state of an account."""

Life = tuple[Look | None, ...]
"""What an account looks like on each day; None where it is not listed."""

LOOKS = [
    *((active, role, "Onboarded") for active in ("yes", "no") for role in ("Editor", "Viewer")),
    ("yes", "Viewer", "Update failed"),
]
lives = st.tuples(*[st.sampled_from([None, None, *LOOKS])] * len(DAYS))
periods = st.tuples(st.sampled_from(MOMENTS), st.sampled_from(MOMENTS)).map(sorted)

FILTERS: list[dict[str, Any]] = [
    {},
    {"active": "yes"},
    {"active": "yes", "role": ("Editor",)},
    {"state": ("Update failed",)},
    {"q": "view", "account": "active"},
]


def meets(look: Look, filters: dict[str, Any]) -> bool:
    active, role, state = look
    texts = {"q": role.lower()[:4], "account": {"yes": "active"}.get(active), "active": active}
    texts |= {"role": (role,), "state": (state,)}
    return all(texts[name] == value for name, value in filters.items())


numbers = count()


@contextmanager
def a_store() -> Iterator[Engine]:
    engine = open_store(f"duckdb:///:memory:during{next(numbers)}")
    try:
        yield engine
    finally:
        engine.dispose()


def deliver(engine: Engine, folder: str, people: list[Life]) -> None:
    snapshots = Deliveries(engine, Path(folder))
    for number, day in enumerate(DAYS):
        accounts = [
            an_account(f"u{n}", active=look[0], roles=[look[1]], state=look[2])
            for n, life in enumerate(people)
            if (look := life[number])
        ]
        # an account that is always listed, so that no file is empty
        snapshots.take(an_account("all", active="yes"), *accounts, at=day)


def expected_stretches(
    life: Life, during: During, filters: dict[str, Any]
) -> list[tuple[Any, Any]]:
    """The stretches, from the files alone: each holds until the next."""
    found: list[tuple[datetime, datetime | None]] = []
    for number, start in enumerate(DAYS):
        end = DAYS[number + 1] if number + 1 < len(DAYS) else None
        look = life[number]
        is_wanted = look is not None and meets(look, filters)
        if not is_wanted or start > during.end or (end and end <= during.start):
            continue
        last = end if end and end <= during.end else None
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], last)
        else:
            found.append((max(start, during.start), last))
    return found


@settings(deadline=None, max_examples=2)
@given(
    people=st.lists(lives, min_size=6, max_size=9), ends=st.lists(periods, min_size=3, max_size=3)
)
def test_the_list_of_a_period_equals_the_files(
    people: list[Life], ends: list[list[datetime]]
) -> None:
    everyone = {f"u{n}": life for n, life in enumerate(people)}
    everyone["all"] = (("yes", "Editor", "Onboarded"),) * len(DAYS)
    with TemporaryDirectory() as folder, a_store() as engine, engine.connect() as con:
        deliver(engine, folder, people)
        for (start, end), wanted in product(ends, FILTERS):
            during = During(start, end)

            def expected(
                extra: dict[str, Any], during: During = during, wanted: dict[str, Any] = wanted
            ) -> dict[str, Any]:
                lists = {
                    name: expected_stretches(life, during, wanted | extra)
                    for name, life in everyone.items()
                }
                return {name: found for name, found in lists.items() if found}

            filters = Filters(during=during, **wanted)
            rows = page_of_accounts(con, filters, sort="user", descending=False, page=1)
            names = {row.account_key: row.username_in_app for row in rows}
            found = stretches_by_key(con, filters, list(names))
            assert {names[key]: value for key, value in found.items()} == expected({})
            assert len(rows) == count_accounts(con, filters) == len(expected({}))
            for name, values in (("active", ("yes", "no")), ("role", ("Editor", "Viewer"))):
                choices = dict(list_choices(con, filters, name).shown)
                for value in values:
                    extra = {name: value if name == "active" else (value,)}
                    assert choices.get(value, 0) == len(expected(extra)), (name, value)


@settings(deadline=None, max_examples=2)
@given(
    days=st.lists(
        st.lists(
            st.sampled_from([None, ("Ada", "no", "1"), ("ada", "yes", "2"), ("Bo", "yes", "3")]),
            min_size=5,
            max_size=5,
        ),
        min_size=len(DAYS),
        max_size=len(DAYS),
    ),
    period=periods,
    narrowed=st.sampled_from([{}, {"active": "yes"}, {"q": "ada"}]),
)
def test_the_first_pages_of_a_period_are_those_of_the_whole_list(
    days: list[list[Any]], period: list[datetime], narrowed: dict[str, Any]
) -> None:
    """They are found among a few of the first versions or profiles; names change meanwhile."""
    filters = Filters(during=During(*period), **narrowed)
    with TemporaryDirectory() as folder, a_store() as engine, engine.connect() as con:
        snapshots = Deliveries(engine, Path(folder))
        for day, looks in zip(DAYS, days, strict=True):
            listed = [
                an_account(f"u{n}", user=look[0], active=look[1], upstream_id=look[2])
                for n, look in enumerate(looks)
                if look
            ]
            snapshots.take(an_account("all"), *listed, at=day)
        for sort in ("user", "upstream_user_id", "active_in_app"):
            order = {"sort": sort, "descending": sort == "user"}
            whole = [row.account_key for row in con.execute(sorted_accounts(con, filters, **order))]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("queries.users.accounts.CANDIDATES", (1, 2))
                pages = [
                    page_of_accounts(con, filters, page=page, size=2, **order) for page in (1, 2, 3)
                ]
            assert [row.account_key for page in pages for row in page] == whole, sort


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01/2026-03-31", (datetime(2026, 3, 1), datetime(2026, 3, 31, 23, 59, 59))),
        ("2026-03-01T06:00:00Z/2026-03-01T07:00:00Z",
         (datetime(2026, 3, 1, 6), datetime(2026, 3, 1, 7))),
        ("2026-03-31/2026-03-01", None),
        ("2026-03-01", None),
        ("/", None),
        ("2026-02-30/2026-03-01", None),
    ],
)  # fmt: skip
def test_a_period_has_two_ends_in_order(
    text: str, expected: tuple[datetime, datetime] | None
) -> None:
    during = parse_during([text])
    assert during == expected
    if during:
        assert during.param() == text


def test_a_period_excludes_a_moment_and_says_so() -> None:
    excluded = {"as_of": ["2026-03-05"], "waiting": ["3d"], "person": ["left"]}
    params = excluded | {"during": ["2026-03-01/2026-03-31"]}
    filters = Filters.from_params(params)
    assert filters == Filters(during=parse_during(params["during"]))
    assert excluded_params(params, filters) == ["As of", "Open longer than", "Person"]
    assert ignored_params(params, filters) == []
    assert is_provable(filters)
    assert not is_provable(replace(filters, last_sign_in=("never",)))


def test_a_role_counts_in_a_period_in_which_anyone_had_it(snapshots: Deliveries) -> None:
    snapshots.take(an_account("ada", roles=["Admin"]), an_account("bob"), at=DAYS[0])
    snapshots.take(an_account("ada", roles=["Viewer"]), an_account("bob"), at=DAYS[1])
    filters = Filters(during=During(DAYS[0], DAYS[1]), role=("admin",))
    with snapshots.store.connect() as con:
        filters = drop_unknown_values(con, filters)
        choices = dict(list_choices(con, filters, "role").shown)
        assert list_choices(con, filters, "person").shown == []
    assert filters.role == ("Admin",)
    assert (choices["Admin"], choices["Viewer"]) == (1, 1)


def test_the_page_of_a_period_says_what_it_excludes_and_shows_the_stretches(home: Home) -> None:
    for day in DAYS[:2]:
        path = a_snapshot_file(home.inbox, [an_account("ada")])
        load(open_store(home.database_url), SnapshotFile(path, "figma", day))
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    run.query_params["during"] = f"{DAYS[0]:%Y-%m-%d}/{DAYS[0]:%Y-%m-%d}"
    run.query_params["person"] = "left"
    run.run()
    assert not run.exception
    assert "A period has no one moment, so it excludes Person." in [m.value for m in run.markdown]
    _, table = (json.loads(c.proto.json) for c in run.get("bidi_component"))
    assert table["columns"][-1]["label"] == "In the period"
    assert table["rows"][0]["cells"]["stretches"]["text"] == "from 23 Nov 2026"


def test_a_noted_account_is_searched_in_a_period(snapshots: Deliveries) -> None:
    """DuckDB fails with an internal error where the latest version is the first by number."""
    for day in DAYS:
        accounts = (
            an_account(f"ada{n}", account_id=f"A-{n}", active_in_app=(n + day.day) % 2 == 0)
            for n in range(12)
        )
        snapshots.take(*accounts, at=day)
    save_note(snapshots.store, [NamedAccount("figma", "A-3")], "Asked.", "Ada", written_at=DAYS[0])
    filters = Filters(during=During(DAYS[0], DAYS[3]), note="yes", q="ada3")
    with snapshots.store.connect() as con:
        rows = page_of_accounts(con, filters, sort="user", descending=False, page=1)
    assert [row.username_in_app for row in rows] == ["ada3"]


def test_a_download_of_a_period_has_the_stretches(snapshots: Deliveries) -> None:
    deliver(snapshots.store, str(snapshots.folder), [("yes", None, "yes", None)])
    during = During(DAYS[0] + timedelta(hours=1), DAYS[3])
    with snapshots.store.connect() as con:
        listing = Listing(con, ListRequest(Filters(during=during)))
        content = content_of(write_raw_csv, listing).decode()
        [key] = [
            row.account_key
            for row in page_of_accounts(
                con, Filters(during=during, q="u0"), sort="user", descending=False, page=1
            )
        ]
        details = account_details(con, Filters(during=during), [key])
    rows = {row["Username in app"]: row for row in csv.DictReader(content.splitlines())}
    assert rows["u0"]["In the period"] == (
        "2026-11-23T07:00:00Z/2026-11-24T06:00:00Z; 2026-11-25T06:00:00Z/2026-11-26T06:00:00Z"
    )
    assert rows["all"]["In the period"] == "2026-11-23T07:00:00Z/"
    assert details[key].account.username_in_app == "u0"
