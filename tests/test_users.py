"""The list of accounts, page by page, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, usernames
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Row

from data.states import STATE_NAMES
from queries.filters import Filters
from queries.users import accounts
from queries.users.accounts import (
    PAGE_SIZE,
    SORTS,
    account_page,
    count_accounts,
    integration_names,
    page_of_accounts,
)

MANY = 2 * PAGE_SIZE + 23


def pages_of(
    con: Connection, filters: Filters, *, sort: str, descending: bool
) -> list[Sequence[Row[Any]]]:
    last = -(-count_accounts(con, filters) // PAGE_SIZE)
    return [
        page_of_accounts(con, filters, sort=sort, descending=descending, page=page)
        for page in range(1, last + 1)
    ]


@pytest.fixture(scope="module")
def crowd(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """More accounts than two pages hold, with many ties and many empty values."""
    snapshots = a_store_to_read()
    people = [
        an_account(
            f"u{n:03}",
            user=None if n % 5 == 0 else f"Name {n % 4}",
            email=None,
            roles=["Editor", "Admin", "Viewer"][: n % 4],
            active=("yes", "no", "")[n % 3],
            upstream_id=None if n % 7 == 0 else f"id{n % 6}",
            state=(*STATE_NAMES, "odd")[n % 12],
            last_updated=None if n % 6 == 0 else f"2026-11-{1 + n % 9:02}T00:00:00Z",
        )
        for n in range(MANY)
    ]
    for integration, part in (("figma", people[:90]), ("Slack", people[90:])):
        snapshots.take(*part, integration=integration)
    with snapshots.store.connect() as con:
        yield con


views = given(
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    filters=st.builds(
        Filters,
        active=st.sampled_from([None, "yes", "unknown"]),
        match=st.sampled_from([None, "matched"]),
        integration=st.sampled_from([(), ("figma",)]),
        as_of=st.sampled_from([None, TODAY]),
    ),
)


@views
def test_pages_neither_overlap_nor_miss_an_account(
    crowd: Connection, sort: str, descending: bool, filters: Filters
) -> None:
    pages = pages_of(crowd, filters, sort=sort, descending=descending)
    listed = [row.account_key for page in pages for row in page]
    assert len(set(listed)) == len(listed) == count_accounts(crowd, filters)
    assert all(len(page) == PAGE_SIZE for page in pages[:-1])


@views
def test_pages_far_behind_follow_the_same_order(
    crowd: Connection, sort: str, descending: bool, filters: Filters
) -> None:
    near = pages_of(crowd, filters, sort=sort, descending=descending)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "DEEP_OFFSET", 0)
        assert pages_of(crowd, filters, sort=sort, descending=descending) == near


def test_a_page_comes_with_its_counts(crowd: Connection) -> None:
    filters = Filters(integration=("figma",))
    page = account_page(crowd, filters, sort="user", descending=False, page=2)
    assert (len(page.rows), page.page, page.count, page.total) == (90 - PAGE_SIZE, 2, 90, MANY)
    beyond = account_page(crowd, filters, sort="user", descending=False, page=99)
    assert (len(beyond.rows), beyond.page) == (PAGE_SIZE, 1)


def test_pages_far_behind_show_what_was_loaded_since(
    store: Engine, snapshots: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "DEEP_OFFSET", 0)
    for names in (["ada"], ["ada", "bob"]):
        snapshots.take(*map(an_account, names), at=TODAY if "bob" in names else YESTERDAY)
        with store.connect() as con:
            (page,) = pages_of(con, Filters(), sort="user", descending=False)
        assert [row.username_in_app for row in page] == names


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["user", "active_in_app", "upstream_user_id", "last_updated"])
def test_accounts_without_a_value_come_last_in_both_directions(
    crowd: Connection, sort: str, descending: bool
) -> None:
    column = "user_name" if sort == "user" else sort
    pages = pages_of(crowd, Filters(), sort=sort, descending=descending)
    values = [getattr(row, column) for page in pages for row in page]
    filled = [value for value in values if value is not None]
    assert values == sorted(filled, reverse=descending) + [None] * (len(values) - len(filled))
    assert len(filled) < len(values)


def test_states_are_sorted_by_their_place_in_the_lifecycle(crowd: Connection) -> None:
    def states(*, descending: bool) -> list[str]:
        pages = pages_of(crowd, Filters(), sort="provisioning_state", descending=descending)
        return list(dict.fromkeys(row.provisioning_state for page in pages for row in page))

    assert states(descending=False) == [*STATE_NAMES, "Unrecognised"]
    assert states(descending=True) == ["Unrecognised", *reversed(STATE_NAMES)]


def test_roles_are_sorted_by_how_many_an_account_has(crowd: Connection) -> None:
    pages = pages_of(crowd, Filters(), sort="roles", descending=True)
    numbers = [len(row.roles) for page in pages for row in page]
    assert numbers == sorted(numbers, reverse=True)
    assert {0, 3} <= set(numbers)


@pytest.mark.parametrize("sort", ["user", "username_in_app", "integration"])
def test_names_are_sorted_without_regard_to_case(
    snapshots: Deliveries, con: Connection, sort: str
) -> None:
    for name in ("b", "A", "C"):
        snapshots.take(an_account(name, user=name), integration=name)
    assert usernames(con, sort=sort) == ["A", "b", "C"]
    assert usernames(con, sort=f"-{sort}") == ["C", "b", "A"]


def test_a_user_without_a_name_is_sorted_by_email(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(
        an_account("1", user="Zoe"),
        an_account("2", user=None, email="bob@x.io"),
        an_unmatched_account("3"),
        an_account("4", user="Ada"),
    )
    assert usernames(con, sort="user") == ["4", "2", "1", "3"]


def test_ties_keep_their_order_whatever_the_direction(crowd: Connection) -> None:
    for descending in (False, True):
        pages = pages_of(crowd, Filters(), sort="integration", descending=descending)
        keys = [row.account_key for page in pages for row in page if row.integration == "figma"]
        assert keys == sorted(keys)


def test_a_page_after_the_last_is_empty(crowd: Connection) -> None:
    assert not page_of_accounts(crowd, Filters(), sort="user", descending=False, page=4)


def test_an_empty_store_lists_nothing(con: Connection) -> None:
    assert count_accounts(con, Filters()) == 0
    assert not page_of_accounts(con, Filters(), sort="user", descending=False, page=1)
    assert integration_names(con) == []


def test_integrations_are_listed_by_name(snapshots: Deliveries, con: Connection) -> None:
    for name in ("slack", "Salesforce EMEA", "figma"):
        snapshots.take(an_account(), integration=name)
    assert integration_names(con) == ["figma", "Salesforce EMEA", "slack"]
