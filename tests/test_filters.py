"""Which accounts a reader asked for, and how an address says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, usernames
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from data.states import STATE_BY_NAME, STATE_NAMES
from queries.filters import LONGEST_SEARCH, Active, Filters, Match
from queries.users import count_accounts

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FILTERS = st.builds(
    Filters,
    integration=st.lists(WORDS, max_size=3).map(tuple),
    state=st.lists(st.sampled_from(list(STATE_BY_NAME)), max_size=3).map(tuple),
    role=st.lists(WORDS, max_size=3).map(tuple),
    active=st.none() | st.sampled_from(get_args(Active)),
    match=st.none() | st.sampled_from(get_args(Match)),
    q=WORDS.map(str.strip),
    as_of=st.none() | st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
)


def params_of(filters: Filters) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {}
    for name, value in filters.params():
        params.setdefault(name, []).append(value)
    return params


@given(FILTERS)
def test_an_address_says_exactly_what_was_asked(filters: Filters) -> None:
    assert Filters.from_params(params_of(filters)) == filters


def test_an_address_of_no_filters_is_empty() -> None:
    assert Filters().params() == []
    assert Filters.from_params({}) == Filters()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "Update failed'; DROP TABLE account --"),
        ("state", "update failed"),
        ("active", "maybe"),
        ("active", "YES"),
        ("match", "both"),
        ("as_of", "yesterday"),
        ("as_of", "2026-13-45"),
        ("as_of", "2026-11-23T06:00:00Z; DROP TABLE account"),
        ("q", "   "),
        ("page", "-1"),
        ("constructor", "x"),
    ],
)
def test_what_is_not_understood_in_an_address_is_not_asked(name: str, value: str) -> None:
    assert Filters.from_params({name: [value]}) == Filters()


@given(
    st.dictionaries(
        st.sampled_from(["integration", "state", "role", "active", "match", "as_of", "q"]),
        st.lists(WORDS),
    )
)
def test_no_address_is_an_error(params: dict[str, list[str]]) -> None:
    Filters.from_params(params)


def test_a_search_text_is_cut_off_where_it_gets_too_long() -> None:
    assert len(Filters.from_params({"q": ["x" * 10_000]}).q) == LONGEST_SEARCH


def test_clearing_the_filters_keeps_the_moment() -> None:
    asked = Filters(state=("Deleted",), q="ada", as_of=TODAY)
    assert asked.without_any() == Filters(as_of=TODAY)


@pytest.fixture(scope="module")
def office(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """Accounts that each differ in what a filter may ask for."""
    snapshots = a_store_to_read()
    snapshots.take(
        an_account("ada", roles=["Admin", "Editor"], active="yes", state="Onboarded"),
        an_account("bob", user="Bob", email=None, roles=["Editor"], active="no", state="Deleted"),
        an_account("cy", user=None, email="cy@x.io", roles=[], active="", state="Update failed"),
        an_unmatched_account("bot", roles=["Admin"], active="yes", state="Update failed"),
    )
    snapshots.take(
        an_account("ada", roles=["Viewer"], active="perhaps", state="Gibberish"),
        integration="slack",
    )
    with snapshots.store.connect() as con:
        yield con


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["ada", "ada", "bob", "bot", "cy"]),
        ({"integration": ("slack",)}, ["ada"]),
        ({"integration": ("slack", "figma")}, ["ada", "ada", "bob", "bot", "cy"]),
        ({"integration": ("no such",)}, []),
        ({"state": ("Update failed",)}, ["bot", "cy"]),
        ({"state": ("Update failed", "Deleted")}, ["bob", "bot", "cy"]),
        ({"state": ("Unrecognised",)}, ["ada"]),
        ({"role": ("Admin",)}, ["ada", "bot"]),
        ({"role": ("Viewer", "Admin")}, ["ada", "ada", "bot"]),
        ({"role": ("admin",)}, []),
        ({"role": ("Adm%",)}, []),
        ({"role": ("Owner",)}, []),
        ({"active": "yes"}, ["ada", "bot"]),
        ({"active": "no"}, ["bob"]),
        ({"active": "unknown"}, ["ada", "cy"]),
        ({"match": "unmatched"}, ["bot"]),
        ({"match": "matched"}, ["ada", "ada", "bob", "cy"]),
        ({"state": ("Update failed",), "match": "unmatched"}, ["bot"]),
        ({"state": ("Update failed",), "match": "matched"}, ["cy"]),
        ({"active": "yes", "role": ("Admin",), "integration": ("figma",), "q": "ADA"}, ["ada"]),
        ({"active": "no", "match": "unmatched"}, []),
    ],
)
def test_every_filter_narrows_the_list_alone_and_with_others(
    office: Connection, asked: dict[str, Any], found: list[str]
) -> None:
    assert usernames(office, **asked) == found
    assert count_accounts(office, Filters(**asked)) == len(found)


def test_matched_and_unmatched_and_the_three_activities_part_the_list(office: Connection) -> None:
    for name, values in (("match", get_args(Match)), ("active", get_args(Active))):
        parts = [count_accounts(office, Filters(**{name: value})) for value in values]
        assert sum(parts) == count_accounts(office, Filters())


def test_every_account_is_in_one_state(office: Connection) -> None:
    parts = [count_accounts(office, Filters(state=(name,))) for name in STATE_BY_NAME]
    assert sum(parts) == count_accounts(office, Filters())
    assert usernames(office, state=STATE_NAMES) == ["ada", "bob", "bot", "cy"]


@pytest.fixture(scope="module")
def guests(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """Accounts with something to search for in each of their texts."""
    odd = ["100%", "a_b", "axb", "dom\\user", "o'brien"]
    snapshots = a_store_to_read()
    snapshots.take(
        an_account("ghopper", user="Mrs Hopper", email="Grace@Navy.mil", upstream_id="00u77"),
        an_account("eva", user="Éva Åström 李", email="e@x.io", upstream_id="9"),
        an_account("cy", roles=["Keeper"], state="Update failed", reason="Quota exceeded"),
        *(an_unmatched_account(name, upstream_id=None) for name in odd),
    )
    with snapshots.store.connect() as con:
        yield con


@pytest.mark.parametrize(
    "text", ["HOPPER", "mrs h", "grace@navy", "NAVY.MIL", "ghopper", "GH", "00u77", "U77"]
)
def test_a_search_finds_in_user_email_username_and_upstream_id_in_any_case(
    guests: Connection, text: str
) -> None:
    assert usernames(guests, q=text) == ["ghopper"]


@pytest.mark.parametrize("text", ["éva", "ÉVA", "ÅSTRÖM", "åström", "李"])
def test_a_search_knows_the_case_of_all_scripts(guests: Connection, text: str) -> None:
    assert usernames(guests, q=text) == ["eva"]


@pytest.mark.parametrize("text", ["keeper", "failed", "quota"])
def test_a_search_does_not_look_at_roles_states_or_reasons(guests: Connection, text: str) -> None:
    assert usernames(guests, q=text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", ["100%"]),
        ("_", ["a_b"]),
        ("\\", ["dom\\user"]),
        ("a_b", ["a_b"]),
        ("m\\u", ["dom\\user"]),
        ("\\%", []),
        ("'", ["o'brien"]),
        ('"', []),
        ("o'brien' OR '1'='1", []),
        ("'; DROP TABLE account_current; --", []),
        ("$1", []),
        (":param", []),
        ("?", []),
        ("*", []),
        ("[a-z]", []),
    ],
)
def test_a_search_text_means_only_itself(guests: Connection, text: str, found: list[str]) -> None:
    assert usernames(guests, q=text) == found
    assert count_accounts(guests, Filters()) == 8


@pytest.mark.parametrize("name", ["integration", "role", "state"])
def test_text_that_looks_like_sql_is_a_value_in_every_filter(office: Connection, name: str) -> None:
    assert usernames(office, **{name: ("x') OR 1=1 --", "'; DROP TABLE account; --")}) == []
    assert count_accounts(office, Filters()) == 5


def test_a_role_is_found_whatever_its_name_is(snapshots: Deliveries, con: Connection) -> None:
    odd = ['O\'Brien; "x"', "[1]", "%", "a,b", "{x}"]
    snapshots.take(*(an_account(f"u{n}", roles=[role]) for n, role in enumerate(odd)))
    for n, role in enumerate(odd):
        assert usernames(con, role=(role,)) == [f"u{n}"]


@pytest.fixture(scope="module")
def two_days(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """Of two accounts one changes and one goes; another one joins."""
    snapshots = a_store_to_read()
    snapshots.take(an_account("ada", state="Update failed"), an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account("ada", state="Onboarded"), an_account("cy"), at=TODAY)
    snapshots.take(an_account("zoe"), integration="slack", at=TODAY)
    with snapshots.store.connect() as con:
        yield con


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (None, ["ada", "cy", "zoe"]),
        (TODAY, ["ada", "cy", "zoe"]),
        (TODAY + timedelta(days=400), ["ada", "cy", "zoe"]),
        (TODAY - timedelta(seconds=1), ["ada", "bob"]),
        (YESTERDAY, ["ada", "bob"]),
        (YESTERDAY - timedelta(seconds=1), []),
    ],
)
def test_as_of_shows_the_accounts_of_the_last_snapshots_until_then(
    two_days: Connection, at: datetime | None, found: list[str]
) -> None:
    assert usernames(two_days, as_of=at) == found


def test_as_of_goes_with_every_other_filter(two_days: Connection) -> None:
    assert usernames(two_days, as_of=YESTERDAY, state=("Update failed",)) == ["ada"]
    assert usernames(two_days, state=("Update failed",)) == []
    assert usernames(two_days, as_of=YESTERDAY, q="BOB", integration=("figma",)) == ["bob"]
