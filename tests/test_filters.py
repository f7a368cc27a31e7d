"""The filters of accounts: addresses, sentences and the accounts they keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, usernames
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from data.files.naming import SnapshotFile
from data.history.load import load
from data.states import OPEN_STATES, STATE_BY_NAME, STATE_NAMES
from queries.account_links import account_link
from queries.export.columns import EMPTIABLE_COLUMNS
from queries.filter_sentence import filter_phrases, ignored_params
from queries.filters import (
    FILTERS as ALL,
)
from queries.filters import (
    MAX_SEARCH_LENGTH,
    PARAMS,
    ActiveFilter,
    Filters,
    MatchFilter,
    wanted_roles,
)
from queries.notes import NoteFilter
from queries.people.accounts import ACCOUNT_STATUSES, OWNERS
from queries.people.named_person import NamedPerson
from queries.users.accounts import count_accounts

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NAMES = st.lists(WORDS.filter(str.strip), max_size=3, unique=True).map(tuple)
COLUMNS = st.sampled_from([*EMPTIABLE_COLUMNS, "attributes/Team, unit"])
FILTERS = st.builds(
    Filters,
    integration=NAMES,
    state=st.lists(st.sampled_from(list(STATE_BY_NAME)), max_size=3, unique=True).map(tuple),
    role=NAMES,
    active=st.none() | st.sampled_from(get_args(ActiveFilter)),
    match=st.none() | st.sampled_from(get_args(MatchFilter)),
    person=st.none() | st.sampled_from(OWNERS),
    account=st.none() | st.sampled_from(ACCOUNT_STATUSES),
    of_person=st.none() | st.builds(NamedPerson, WORDS, st.just("0123456789ab")),
    q=WORDS.map(str.strip),
    updated_from=st.none() | st.dates(),
    updated_to=st.none() | st.dates(),
    note=st.none() | st.sampled_from(get_args(NoteFilter)),
    marked=st.lists(st.text("0123456789abcdef", min_size=12, max_size=12), unique=True).map(tuple),
    waiting=st.none() | st.integers(1, 9999).map(lambda hours: timedelta(hours=hours)),
    unsettled_for=st.none() | st.integers(1, 9999).map(lambda hours: timedelta(hours=hours)),
    failing_for=st.none() | st.integers(1, 9999).map(lambda days: timedelta(days=days)),
    left_for=st.none() | st.integers(1, 9999).map(lambda days: timedelta(days=days)),
    last_sign_in=st.lists(
        st.sampled_from(["never", "unknown", "before:2026-09-01", "from:2026-11-01"]), unique=True
    ).map(tuple),
    empty=st.lists(COLUMNS, max_size=2, unique=True).map(tuple),
    not_empty=st.lists(COLUMNS, max_size=2, unique=True).map(tuple),
    as_of=st.none() | st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
)


def params_of(filters: Filters) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {}
    for name, value in filters.params():
        params.setdefault(name, []).append(value)
    return params


@given(FILTERS)
def test_an_address_holds_exactly_the_filters(filters: Filters) -> None:
    assert Filters.from_params(params_of(filters)) == filters


@given(FILTERS)
def test_each_value_can_be_removed_and_added_again(filters: Filters) -> None:
    for part in filter_phrases(filters):
        less = filters.without(part.name, part.value)
        assert part.value not in less.values(part.name)
        assert set(less.params()) < set(filters.params())
        assert set(less.with_value(part.name, part.value).params()) == set(filters.params())


def test_every_filter_has_an_entry_and_every_entry_a_filter() -> None:
    assert {each.name for each in ALL} == set(PARAMS) - {"as_of", "during"}


def test_filters_read_as_a_sentence() -> None:
    wanted = Filters(
        q="ada",
        state=("Update failed", "Delete failed"),
        role=("Admin",),
        integration=("Figma", "Slack"),
        active="no",
        match="unmatched",
        updated_from=date(2026, 1, 1),
        updated_to=date(2026, 2, 1),
        waiting=timedelta(days=3),
        unsettled_for=timedelta(hours=4),
        failing_for=timedelta(days=7),
        left_for=timedelta(days=1),
        last_sign_in=("never", "before:2026-09-01"),
        empty=("user_email", "roles"),
        not_empty=("attributes/Team, unit",),
        note="no",
        marked=("0123456789ab", "abcdefabcdef"),
    )
    texts = " ".join(f"{part.conjunction} {part.text}".strip() for part in filter_phrases(wanted))
    assert texts.replace(" ,", ",") == (
        "“ada”, Update failed or Delete failed with role Admin in Figma or Slack, not active, "
        "unmatched, last updated from 2026-01-01, last updated to 2026-02-01, "
        "open longer than 3 days, unsettled for at least 4 hours, failing for at least 7 days, "
        "person left for at least 1 day, never signed in or last sign-in before 2026-09-01 "
        "without Email or App access with Team, unit, without a note, marked (2)"
    )
    assert [part.text for part in filter_phrases(Filters(waiting=timedelta(hours=1)))] == [
        "open longer than 1 hour"
    ]


def test_parameters_without_effect_are_listed() -> None:
    params = {"state": ["Foo", "Deleted"], "active": ["no", "yes"], "q": [" x "], "x": ["y"]}
    wanted = Filters.from_params(params)
    assert ignored_params(params, wanted) == [("state", "Foo"), ("active", "yes")]
    assert ignored_params({"role": ["A", "B"]}, Filters(role=("B",))) == [("role", "A")]
    assert ignored_params({"waiting": ["24h"], "as_of": ["2026-01-01"]}, Filters()) == [
        ("waiting", "24h"),
        ("as_of", "2026-01-01"),
    ]


def test_an_address_of_no_filters_is_empty() -> None:
    assert Filters().params() == []
    assert Filters.from_params({}) == Filters()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "Update failed'; DROP TABLE account --"),
        ("active", "maybe"),
        ("match", "both"),
        ("person", "gone"),
        ("account", "lost"),
        ("note", "some"),
        ("marked", "ada"),
        ("marked", "0123456789abc"),
        ("as_of", "yesterday"),
        ("as_of", "2026-13-45"),
        ("as_of", "2026-11-23T06:00:00Z; DROP TABLE account"),
        ("q", "   "),
        ("q", "\0"),
        ("role", "a\0b"),
        ("role", " "),
        ("updated_from", "yesterday"),
        ("updated_from", "2026-02-30"),
        ("updated_to", "2026-01-01T00:00:00Z"),
        ("waiting", "3"),
        ("last_sign_in", "before:2026-02-30"),
        ("last_sign_in", "known"),
        ("waiting", "0d"),
        ("unsettled_for", "3m"),
        ("failing_for", "3"),
        ("left_for", "0d"),
        ("waiting", "-3d"),
        ("waiting", "99999d"),
        ("waiting", "٣d"),
        ("page", "-1"),
        ("constructor", "x"),
        ("empty", "no such"),
        ("not_empty", "username_in_app"),
    ],
)
def test_an_invalid_value_in_an_address_is_left_out(name: str, value: str) -> None:
    assert Filters.from_params({name: [value]}) == Filters()


@given(
    st.dictionaries(
        st.sampled_from(PARAMS), st.lists(st.text(st.characters(exclude_categories=["Cs"])))
    )
)
def test_no_address_is_an_error(params: dict[str, list[str]]) -> None:
    ignored_params(params, Filters.from_params(params))


def test_a_search_text_is_cut_off_where_it_gets_too_long() -> None:
    assert len(Filters.from_params({"q": ["x" * 10_000]}).q) == MAX_SEARCH_LENGTH


def test_clearing_the_filters_keeps_the_moment() -> None:
    wanted = Filters(state=("Deleted",), q="ada", waiting=timedelta(days=1), as_of=TODAY)
    assert wanted.cleared() == Filters(as_of=TODAY)


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
    ("wanted", "found"),
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
        ({"person": "nobody", "match": "unmatched"}, ["bot"]),
        ({"person": "left"}, []),
        ({"match": "matched"}, ["ada", "ada", "bob", "cy"]),
        ({"state": ("Update failed",), "match": "unmatched"}, ["bot"]),
        ({"state": ("Update failed",), "match": "matched"}, ["cy"]),
        ({"active": "yes", "role": ("Admin",), "integration": ("figma",), "q": "ADA"}, ["ada"]),
        ({"active": "no", "match": "unmatched"}, []),
        ({"empty": ("user_name",)}, ["bot"]),
        ({"empty": ("active_in_app", "user_name")}, ["ada", "bot", "cy"]),
        ({"not_empty": ("active_in_app",), "empty": ("user_name",)}, ["bot"]),
        ({"empty": ("attributes/Team",)}, ["ada", "ada", "bob", "bot", "cy"]),
        ({"not_empty": ("attributes/Team",)}, []),
        ({"marked": (account_link("slack", "ada"), account_link("figma", "cy"))}, ["ada", "cy"]),
        ({"marked": (account_link("slack", "ada"),), "integration": ("figma",)}, []),
    ],
)
def test_every_filter_narrows_the_list_alone_and_with_others(
    office: Connection, wanted: dict[str, Any], found: list[str]
) -> None:
    assert usernames(office, **wanted) == found
    assert count_accounts(office, Filters(**wanted)) == len(found)


@pytest.mark.parametrize("as_of", [None, TODAY])
@pytest.mark.parametrize("name", [*EMPTIABLE_COLUMNS, "attributes/Team"])
def test_each_account_has_a_value_in_a_column_or_none(
    office: Connection, name: str, as_of: datetime | None
) -> None:
    parts = [Filters(empty=(name,), as_of=as_of), Filters(not_empty=(name,), as_of=as_of)]
    counts = [count_accounts(office, part) for part in parts]
    assert sum(counts) == count_accounts(office, Filters(as_of=as_of))


def test_matches_and_activities_partition_the_list(office: Connection) -> None:
    for name, values in (
        ("match", get_args(MatchFilter)),
        ("active", get_args(ActiveFilter)),
        ("note", get_args(NoteFilter)),
    ):
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
        an_account(
            "cy",
            account_id="U-4711",
            roles=["Keeper", "Vault admin"],
            state="Update failed",
            reason="Quota exceeded",
        ),
        *(an_unmatched_account(name, upstream_id=None) for name in odd),
    )
    scim = snapshots.folder / f"{TODAY:%Y-%m-%dT%H-%M-%SZ}.json"
    babs = {"id": "9f", "userName": "bj", "displayName": "Babs Jensen", "emails": ["b@j.io"]}
    scim.write_text(json.dumps({"totalResults": 1, "Resources": [babs]}))
    load(snapshots.store, SnapshotFile(scim, "scim", TODAY))
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
def test_a_search_ignores_case_in_all_scripts(guests: Connection, text: str) -> None:
    assert usernames(guests, q=text) == ["eva"]


@pytest.mark.parametrize("text", ["eva", "EVA", "astrom", "Ëva", "Åstrom"])
def test_a_search_ignores_accents(guests: Connection, text: str) -> None:
    assert usernames(guests, q=text) == ["eva"]
    assert usernames(guests, q=text, as_of=TODAY) == ["eva"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hopper mrs", ["ghopper"]),
        ("navy  00u77\tGrace", ["ghopper"]),
        ("hopper eva", []),
        ("mrshopper", []),
        ("i l b e s i d e s t h a t", []),
    ],
)
def test_every_word_of_a_search_can_occur_in_any_text(
    guests: Connection, text: str, found: list[str]
) -> None:
    assert usernames(guests, q=text) == found


@pytest.mark.parametrize("as_of", [None, TODAY])
@pytest.mark.parametrize("text", ["u-4711", "keeper", "vault ADM", "lovelace, keeper", "cy;"])
def test_a_search_also_finds_account_ids_and_roles_with_commas_between_words(
    guests: Connection, text: str, as_of: Any
) -> None:
    assert usernames(guests, q=text, as_of=as_of) == ["cy"]


@pytest.mark.parametrize("as_of", [None, TODAY])
@pytest.mark.parametrize("text", ["jensen, babs", "B@J.io", "jensen bj"])
def test_a_search_finds_what_an_app_calls_an_account_without_a_user(
    guests: Connection, text: str, as_of: Any
) -> None:
    assert usernames(guests, q=text, as_of=as_of) == ["bj"]


@pytest.mark.parametrize("text", ["failed", "quota"])
def test_a_search_does_not_look_at_states_or_reasons(guests: Connection, text: str) -> None:
    assert usernames(guests, q=text) == []


def test_the_wanted_roles_are_those_filtered_and_those_searched() -> None:
    roles = ["Viewer", "Éditeur", "Org admin", "Team admin"]
    assert wanted_roles(Filters(role=("Viewer", "Owner")), roles) == {"Viewer"}
    assert wanted_roles(Filters(q="Ada, ADMIN"), roles) == {"Org admin", "Team admin"}
    assert wanted_roles(Filters(q="edit"), roles) == {"Éditeur"}
    assert wanted_roles(Filters(q="ad"), roles) == set()


def test_values_of_an_address_count_in_any_case(office: Connection) -> None:
    params = {"state": ["deleted", "ONBOARDED"], "active": ["Yes"], "match": ["matched"]}
    filters = Filters.from_params(params)
    assert (filters.state, filters.active) == (("Deleted", "Onboarded"), "yes")
    assert ignored_params(params, filters) == []


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
    assert count_accounts(guests, Filters()) == 9


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


def test_as_of_combines_with_every_other_filter(two_days: Connection) -> None:
    assert usernames(two_days, as_of=YESTERDAY, state=("Update failed",)) == ["ada"]
    assert usernames(two_days, state=("Update failed",)) == []
    assert usernames(two_days, as_of=YESTERDAY, q="BOB", integration=("figma",)) == ["bob"]


# ---- last updated ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"updated_from": date(2026, 3, 2)}, ["b", "c"]),
        ({"updated_to": date(2026, 3, 2)}, ["a", "b"]),
        ({"updated_from": date(2026, 3, 2), "updated_to": date(2026, 3, 2)}, ["b"]),
        ({"updated_from": date(2026, 3, 3), "updated_to": date(2026, 3, 2)}, []),
        ({"updated_from": date.min, "updated_to": date.max}, ["a", "b", "c"]),
    ],
)
def test_days_of_the_last_change_are_whole_and_include_both_ends(
    snapshots: Deliveries, con: Connection, wanted: dict[str, Any], found: list[str]
) -> None:
    times = {"a": "2026-03-01T23:59:59Z", "b": "2026-03-02T23:59:59.5Z", "c": "2026-03-03"}
    snapshots.take(
        *(an_account(name, last_updated=at) for name, at in times.items()),
        an_account("never", last_updated=None),
    )
    assert usernames(con, **wanted) == found


# ---- open longer than ------------------------------------------------------------------------

DAYS = [TODAY - timedelta(days=ago) for ago in (4, 3, 2, 1, 0)]


def waited(con: Connection, *, at: datetime = TODAY, **span: int) -> list[str]:
    return usernames(con, waiting=timedelta(**span), as_of=at)


def test_an_account_is_open_since_the_first_snapshot_that_shows_its_state(
    snapshots: Deliveries, con: Connection
) -> None:
    for day, state in zip(
        DAYS[:3], ["Onboarded", "Update awaiting", "Update awaiting"], strict=True
    ):
        snapshots.take(an_account("ada", state=state, reason=f"{day}"), at=day)
    assert waited(con, days=2) == ["ada"]
    assert waited(con, days=3) == [], "longer than, not as long as"
    assert waited(con, at=DAYS[2], hours=23) == ["ada"]
    assert waited(con, at=DAYS[2], days=1) == []


def test_another_attempt_or_an_absence_restarts_the_duration(
    snapshots: Deliveries, con: Connection
) -> None:
    steps = ["Update awaiting", "Update awaiting", "Update ongoing", "Update ongoing"]
    for number, (day, state) in enumerate(zip(DAYS, steps, strict=False)):
        gone = [] if number == 2 else [an_account("gone", state="Delete awaiting")]
        snapshots.take(an_account("ada", state=state), *gone, an_account("bob"), at=day)
    assert waited(con, hours=23) == ["ada", "gone"]
    assert waited(con, days=2, hours=23) == ["ada"], "its job has gone on"
    assert waited(con, at=DAYS[1], hours=23) == ["ada", "gone"]


def test_only_awaiting_and_ongoing_accounts_are_open(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*(an_account(state, state=state) for state in STATE_BY_NAME), at=DAYS[0])
    assert sorted(waited(con, days=3)) == sorted(OPEN_STATES)


def test_now_is_by_the_clock(snapshots: Deliveries, con: Connection) -> None:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    for name, hours in (("ada", 2), ("bob", 4)):
        waits = an_account(name, state="Update awaiting")
        snapshots.take(waits, integration=name, at=now - timedelta(hours=hours))
    assert usernames(con, waiting=timedelta(hours=3)) == ["bob"]
    assert usernames(con, waiting=timedelta(hours=1)) == ["ada", "bob"]


def test_a_duration_can_be_longer_than_all_time(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(state="Update awaiting"))
    assert waited(con, at=datetime(1, 1, 2), days=9999) == []
    assert waited(con, days=9999) == []
