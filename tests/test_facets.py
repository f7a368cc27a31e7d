"""What each choice of a filter would show, and lists against a predicate in plain Python."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args

import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Deliveries,
    an_account,
    an_unmatched_account,
    content_of,
    usernames,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from data.states import OPEN_STATES, STATE_NAMES
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.filters import (
    FILTER_BY_NAME,
    ActiveFilter,
    Filters,
    MatchFilter,
    conditions,
)
from queries.scope import accounts_as_of
from queries.users.facets import MAX_CHOICES, drop_unknown_values, list_choices, snapshot_times

INTEGRATIONS = ("figma", "slack", "okta")
ROLES = ("Admin", "Editor", "Rôle; 1", "%")
WORDS = ("Zoë", "zoe", "ÅSA", "o'brien", "a_b", "100%", "李")
DAYS = [TODAY - timedelta(days=ago) for ago in (3, 2, 1, 0)]

STATES = st.sampled_from([*STATE_NAMES[:5], "Deleted"])


class Person(NamedTuple):
    """An account of the tests: what does not change over its days, and its state on each."""

    integration: str
    user: str | None
    email: str | None
    roles: tuple[str, ...]
    active: str
    upstream: str | None
    updated: datetime | None
    states: tuple[str | None, ...]  # on each of DAYS; None: it is not there


PEOPLE = st.lists(
    st.builds(
        Person,
        integration=st.sampled_from(INTEGRATIONS),
        user=st.none() | st.sampled_from(WORDS),
        email=st.none() | st.sampled_from(["zoe@x.io", "ASA@x.io"]),
        roles=st.lists(st.sampled_from(ROLES), unique=True, max_size=3).map(tuple),
        active=st.sampled_from(["yes", "no", ""]),
        upstream=st.none() | st.sampled_from(WORDS),
        updated=st.none()
        | st.sampled_from([day - timedelta(seconds=s) for day in DAYS for s in (0, 7 * 3600)]),
        states=st.tuples(*[st.none() | STATES] * len(DAYS)),
    ),
    min_size=1,
    max_size=8,
)
FILTERS = st.builds(
    Filters,
    q=st.sampled_from(["", "", "zoe", "ZOË", "asa x.io", "%", "_", "o'b", "u1", "李"]),
    state=st.lists(STATES, unique=True, max_size=2).map(tuple),
    role=st.lists(st.sampled_from(ROLES), unique=True, max_size=2).map(tuple),
    integration=st.lists(st.sampled_from(INTEGRATIONS), unique=True, max_size=2).map(tuple),
    active=st.none() | st.sampled_from(get_args(ActiveFilter)),
    match=st.none() | st.sampled_from(get_args(MatchFilter)),
    updated_from=st.none() | st.sampled_from([day.date() for day in DAYS]),
    updated_to=st.none() | st.sampled_from([day.date() for day in DAYS]),
    waiting=st.none() | st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=2)]),
    as_of=st.sampled_from([*DAYS, TODAY + timedelta(hours=5)]),
)


def plain(text: str) -> str:
    apart = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in apart if not unicodedata.combining(c))


def state_at(person: Person, at: datetime) -> str | None:
    return next(s for day, s in zip(DAYS[::-1], person.states[::-1], strict=True) if day <= at)


def waits_since(person: Person, at: datetime) -> datetime:
    """The first day of the unbroken row of days, up to the moment, with its job open."""
    since, job = at, (state_at(person, at) or "").split()[0]
    for day, state in zip(DAYS[::-1], person.states[::-1], strict=True):
        if day <= at and not (state in OPEN_STATES and state.startswith(job)):
            break
        since = min(since, day)
    return since


def is_wanted(name: str, person: Person, filters: Filters) -> bool:
    """What the filters ask of an account that is there at their moment, in plain Python."""
    at = filters.as_of
    assert at
    texts = " ".join(
        filter(None, (person.user, person.email, name, person.upstream, *person.roles))
    )
    answers = {
        "q": all(plain(word) in plain(texts) for word in filters.q.split()),
        "state": state_at(person, at) in filters.state,
        "role": bool(set(person.roles) & set(filters.role)),
        "integration": person.integration in filters.integration,
        "active": (person.active or "unknown") == filters.active,
        "match": (filters.match == "matched") == bool(person.user or person.email),
        "updated_from": bool(person.updated and filters.updated_from)
        and person.updated.date() >= filters.updated_from,
        "updated_to": bool(person.updated and filters.updated_to)
        and person.updated.date() <= filters.updated_to,
        "waiting": bool(filters.waiting)
        and state_at(person, at) in OPEN_STATES
        and at - waits_since(person, at) > filters.waiting,
    }
    return all(answers[each] for each in FILTER_BY_NAME if getattr(filters, each))


def loaded(make: Callable[[], Deliveries], people: list[Person]) -> Deliveries:
    snapshots = make()
    for day_number, day in enumerate(DAYS):
        for integration in INTEGRATIONS:
            there = [
                an_account(
                    f"u{n}",
                    user=p.user,
                    email=p.email,
                    roles=p.roles,
                    active=p.active,
                    upstream_id=p.upstream,
                    state=p.states[day_number],
                    last_updated=p.updated and f"{p.updated.isoformat()}Z",
                )
                for n, p in enumerate(people)
                if p.integration == integration and p.states[day_number]
            ]
            snapshots.take(*there, integration=integration, at=day)
    return snapshots


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(people=PEOPLE, wanted=st.lists(FILTERS, min_size=5, max_size=5))
def test_lists_counts_and_downloads_equal_a_count_by_hand(
    a_store_to_read: Callable[[], Deliveries], people: list[Person], wanted: list[Filters]
) -> None:
    with loaded(a_store_to_read, people).store.connect() as con:
        for filters in wanted:
            check(con, dict(enumerate(people)), filters)
            check_download(con, dict(enumerate(people)), filters)


def check(con: Connection, people: dict[int, Person], filters: Filters) -> None:
    def found(filters: Filters) -> list[str]:
        names = {f"u{n}": p for n, p in people.items() if state_at(p, filters.as_of or TODAY)}
        return sorted(name for name, p in names.items() if is_wanted(name, p, filters))

    assert sorted(usernames(con, **vars(filters))) == found(filters)
    for name in ("state", "role", "integration", "active", "match", "waiting"):
        for value, count in list_choices(con, filters, name).shown:
            alone = filters.without(name).with_value(name, value)
            assert count == len(found(alone)), (name, value)


def check_download(con: Connection, people: dict[int, Person], filters: Filters) -> None:
    """Each row is what was delivered, and they are in the order shown, however it is cut."""
    at = filters.as_of or TODAY
    delivered = {
        f"u{n}": {
            "integration": person.integration,
            "user_name": person.user,
            "user_email": person.email,
            "username_in_app": f"u{n}",
            "roles": sorted(person.roles),
            "active_in_app": {"yes": True, "no": False}.get(person.active),
            "upstream_user_id": person.upstream,
            "provisioning_state": state_at(person, at),
            "state_source": "reported",
            "state_reason": None,
            "failure_code": None,
            "last_updated": person.updated,
            "last_sign_in": None,
            "account_id": f"u{n}",
        }
        for n, person in people.items()
    }
    shown = usernames(con, sort="-user", **vars(filters))
    content = content_of(FORMATS["parquet"].write, Listing(con, ListRequest(filters, "-user")))
    rows = parquet.read_table(io.BytesIO(content)).to_pylist()
    assert rows == [delivered[name] for name in shown]


@pytest.fixture(scope="module")
def two_days(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """Of five accounts one loses a role, and one goes."""
    snapshots = a_store_to_read()
    same = [an_account("bob", active="no"), an_unmatched_account("bot", roles=[]), an_account("cy")]
    old = an_account("ada", roles=["Admin", "Old"], state="Gibberish")
    snapshots.take(old, *same, an_account("eve"), integration="Figma", at=YESTERDAY)
    snapshots.take(
        an_account("ada", roles=["Admin"], state="Update failed"),
        *same,
        integration="Figma",
        at=TODAY,
    )
    snapshots.take(integration="Empty", at=TODAY)
    with snapshots.store.connect() as con:
        yield con


def offered(con: Connection, name: str, search: str = "", **wanted: Any) -> list[tuple[str, int]]:
    return [tuple(choice) for choice in list_choices(con, Filters(**wanted), name, search).shown]


def test_states_come_in_lifecycle_order_with_those_of_no_account(
    two_days: Connection,
) -> None:
    counts = dict.fromkeys(STATE_NAMES, 0) | {"Onboarded": 3, "Update failed": 1}
    assert offered(two_days, "state") == list(counts.items())


def test_unrecognised_is_offered_only_if_it_occurs_or_is_selected(
    two_days: Connection,
) -> None:
    assert offered(two_days, "state", as_of=YESTERDAY)[-1] == ("Unrecognised", 1)
    assert offered(two_days, "state", state=("Unrecognised",))[-1] == ("Unrecognised", 0)
    assert offered(two_days, "state")[-1] == ("Deleted", 0)


def test_roles_and_integrations_come_by_how_many_have_them_and_those_of_none_last(
    two_days: Connection,
) -> None:
    assert offered(two_days, "integration") == [("Figma", 4), ("Empty", 0)]
    assert offered(two_days, "role") == [("Editor", 2), ("Admin", 1)]
    assert offered(two_days, "role", state=("Update failed",)) == [("Admin", 1), ("Editor", 0)]
    assert ("Old", 1) in offered(two_days, "role", as_of=YESTERDAY)


def test_of_thousands_of_roles_the_most_frequent_and_the_selected_are_offered(
    snapshots: Deliveries, con: Connection
) -> None:
    many = [f"Role {n:04}" for n in range(5000)]
    snapshots.take(an_account("ada", roles=[*many, "Common"]), an_account("bob", roles=["Common"]))
    found = list_choices(con, Filters(role=("Role 4321",)), "role")
    assert found.shown[:2] == [("Role 4321", 1), ("Common", 2)]
    assert (len(found.shown), found.remaining) == (MAX_CHOICES + 1, 5001 - MAX_CHOICES - 1)
    assert offered(con, "role", "RÔLE 123")[-1] == ("Role 1239", 1)
    assert len(offered(con, "role", "RÔLE 123")) == 10
    assert offered(con, "role", "%") == []


def test_a_duration_of_the_address_is_offered_too(
    two_days: Connection,
) -> None:
    spans = [value for value, _ in offered(two_days, "waiting", waiting=timedelta(days=5))]
    assert spans == ["1h", "1d", "3d", "5d", "7d", "30d"]


def test_an_empty_store_offers_nothing_and_counts_nothing(con: Connection) -> None:
    for name in ("role", "integration"):
        assert offered(con, name, "x") == []
    for name in ("state", "active", "match", "waiting", "empty", "not_empty"):
        assert {count for _, count in offered(con, name)} == {0}
    assert snapshot_times(con) == []


def test_roles_and_integrations_that_never_existed_are_dropped(
    two_days: Connection,
) -> None:
    wanted = Filters(role=("Nope", "Old", "Admin"), integration=("nope", "Figma"), q="x")
    known = Filters(role=("Old", "Admin"), integration=("Figma",), q="x")
    assert drop_unknown_values(two_days, Filters(role=("aDMIN", "Admin"))).role == ("Admin",)
    assert drop_unknown_values(two_days, wanted) == known
    assert drop_unknown_values(two_days, replace(wanted, as_of=YESTERDAY)) == replace(
        known, as_of=YESTERDAY
    )


def test_the_moments_offered_are_the_last_ones_and_the_first(
    snapshots: Deliveries, con: Connection
) -> None:
    for day in DAYS:
        for integration in ("figma", "slack"):
            snapshots.take(an_account(), integration=integration, at=day)
    assert snapshot_times(con, newest_count=2) == [DAYS[3], DAYS[2], DAYS[0]]


def test_a_search_needs_no_extension_of_postgresql() -> None:
    rows = accounts_as_of(TODAY)  # of now, what is searched is kept without accents
    statements = str(conditions(Filters(q="zoë"), rows)[0].compile(dialect=postgresql.dialect()))
    assert not {"strip_accents", "unaccent"} & set(re.findall(r"\w+", statements))
    assert statements.count("regexp_replace(normalize((lower(") == 2
