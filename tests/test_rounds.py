"""Review rounds: frozen once, decided by people, and proved by the snapshots alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from builders import TODAY, Account, Deliveries, a_snapshot_file, an_account
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

from data.access.roles import PersonalData, Visibility
from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.remove import remove_snapshot
from data.records.decisions import InvalidInput
from data.records.exceptions import RuleSettings
from data.records.rounds import DecisionOn, ItemKey, NewRound, close_round, decide, start_round
from data.store.engine import open_store, restricted_engine
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import RULE_BY_NAME
from queries.rounds.items import count_by_round, count_outcomes
from queries.rounds.lists import find_round, frozen_snapshots, read_rounds
from queries.rounds.outcomes import item_outcomes
from queries.rounds.population import freeze_again, freeze_findings, freeze_list
from queries.scope import MAX_VALUES_PER_PARAM

DAYS = [TODAY + timedelta(days=n) for n in range(7)]
LAST_DAY = date(2099, 1, 1)
QUARTER = NewRound("Q4", LAST_DAY, late_days=2)
Look = tuple[str, str, tuple[str, ...]] | None
"""What one snapshot shows of an account: state, activity, roles; None: not listed."""

looks: st.SearchStrategy[Look] = st.sampled_from(
    [
        None,
        ("Onboarded", "yes", ("Admin",)),
        ("Onboarded", "yes", ("Admin", "Editor")),
        ("Onboarded", "", ()),
        ("Onboarded", "no", ("Admin",)),
        ("Deleted", "yes", ("Admin",)),
        ("Delete failed", "yes", ("Admin",)),
    ]
)
numbers = count()


@contextmanager
def a_store() -> Iterator[Engine]:
    engine = open_store(f"duckdb:///:memory:rounds{next(numbers)}")
    try:
        yield engine
    finally:
        engine.dispose()


def shown(number: int, look: Look) -> list[Account]:
    if look is None:
        return []
    state, active, roles = look
    return [an_account(f"u{number}", state=state, active=active, roles=roles)]


def is_there(look: Look, role: str) -> bool:
    if look is None or look[0] == "Deleted" or look[1] == "no":
        return False
    return not role or role in look[2]


def expected_outcome(
    lives: list[Look], role: str, decision: str, decided_at: datetime, as_of: datetime | None
) -> tuple[str, datetime | None]:
    """By the snapshots one by one."""
    until = as_of or DAYS[-1]
    if as_of and decided_at > as_of:
        return "undecided", None
    if decision == "unsure":
        return "unsure", None
    known = [(day, look) for day, look in zip(DAYS, lives, strict=True) if day <= until]
    if decision == "keep":
        now = known[-1][1]
        since = next(
            day for n, (day, _) in enumerate(known) if all(look == now for _, look in known[n:])
        )
        is_changed = now is not None and not set(now[2]) <= set(lives[0][2])  # type: ignore[index]
        return ("changed", since) if is_changed else ("kept", None)
    later = [(day, is_there(look, role)) for day, look in known if day > decided_at]
    if not later:
        return "open", None
    turns = [
        (day, there)
        for n, (day, there) in enumerate(later)
        if [there] != [t for _, t in later[n - 1 : n]]
    ]
    since, there = turns[-1]
    if not there:
        return "done", since
    if len(turns) > 1:
        return "came back", since
    late = [day for day, _ in later if day >= decided_at + timedelta(days=2)]
    return ("late", late[0]) if late else ("open", None)


@given(
    lives=st.lists(st.lists(looks, min_size=7, max_size=7), min_size=16, max_size=16),
    decisions=st.lists(
        st.tuples(st.sampled_from(["keep", "revoke", "revoke", "unsure"]), st.integers(0, 140)),
        min_size=16,
        max_size=16,
    ),
    as_of=st.sampled_from([None, *DAYS, DAYS[3] + timedelta(hours=3)]),
    order=st.permutations(DAYS[1:]),
    detours=st.dictionaries(
        st.sampled_from(DAYS[1:]), st.sampled_from(["replaced", "removed"]), min_size=1, max_size=3
    ),
    is_by_role=st.booleans(),
)
@settings(max_examples=3)
def test_outcomes_are_what_the_snapshots_show_one_by_one(
    lives: list[list[Look]],
    decisions: list[tuple[str, int]],
    as_of: datetime | None,
    order: list[datetime],
    detours: dict[datetime, str],
    is_by_role: bool,
):
    """Whatever the order of loading, and the snapshots that were replaced or removed since.

    Also those that a snapshot of the past would have had.
    """
    lives = [[("Onboarded", "yes", ("Admin",)), *life[1:]] for life in lives]
    with a_store() as store, TemporaryDirectory() as folder:
        snapshots = Deliveries(store, Path(folder))

        def listed(place: int) -> list[Account]:
            return [a for n, life in enumerate(lives) for a in shown(n, life[place])]

        def take(day: datetime) -> None:
            place = DAYS.index(day)
            accounts, wrong = [an_account("always"), *listed(place)], [*listed(place - 1)]
            if detours.get(day) == "replaced":
                snapshots.take(an_account("wrong"), *wrong, at=day)
                path = a_snapshot_file(snapshots.folder, accounts, at=day)
                load(store, SnapshotFile(path, "figma", day), replace=True, confirmed=True)
                return
            snapshots.take(*accounts, at=day)
            if detours.get(day) == "removed":
                snapshots.take(an_account("wrong"), *wrong, at=day + timedelta(hours=5))

        take(DAYS[0])
        new_round = QUARTER._replace(is_by_role=is_by_role)
        freeze = freeze_list(Filters(as_of=DAYS[0]), is_by_role=is_by_role)
        round_id = start_round(store, new_round, freeze, "Grace", started_at=DAYS[0])
        role = "Admin" if is_by_role else ""
        made = {}
        for number, (decision, hours) in enumerate(decisions):
            item, at = ItemKey("figma", f"u{number}", role), DAYS[0] + timedelta(hours=hours)
            decide(store, round_id, [DecisionOn(item, decision)], "Grace", decided_at=at)  # type: ignore[arg-type]
            made[item.account_id] = (lives[number], role, decision, at)
        for day in order:
            take(day)
        for day, detour in detours.items():
            if detour == "removed":
                remove_snapshot(store, "figma", day + timedelta(hours=5))
        with store.connect() as con:
            round_ = find_round(con, round_id)
            assert round_
            rows = con.execute(select(item_outcomes([round_], as_of))).all()
    assert {(r.account_id, r.outcome, r.proved_at) for r in rows if r.account_id in made} == {
        (name, *expected_outcome(*facts, as_of)) for name, facts in made.items()
    }
    assert [r.outcome for r in rows if r.account_id == "always"] == ["undecided"]


@pytest.mark.parametrize(
    ("days", "outcome"),
    [
        ([[], ["2"]], ("came back", DAYS[2])),
        ([[], ["2"], []], ("done", DAYS[3])),
        ([["2"], ["2"]], ("open", None)),
        ([["1", "2"], ["2"]], ("open", None)),
        ([[], []], ("done", DAYS[1])),
    ],
)
def test_an_account_that_is_created_again_is_access_that_came_back(
    snapshots: Deliveries,
    con: Connection,
    days: list[list[str]],
    outcome: tuple[str, datetime | None],
):
    """The same username under another ID, in the days after the decision."""
    namesake = an_account("ada", account_id="0")
    snapshots.take(an_account("ada", account_id="1"), namesake, at=DAYS[0])
    freeze = freeze_list(Filters(as_of=DAYS[0]), is_by_role=False)
    new_round = QUARTER._replace(late_days=30)
    round_id = start_round(snapshots.store, new_round, freeze, "Grace", started_at=DAYS[0])
    item = ItemKey("figma", "1", "")
    at = DAYS[0] + timedelta(hours=1)
    decide(snapshots.store, round_id, [DecisionOn(item, "revoke")], "Grace", decided_at=at)
    for day, ids in enumerate(days, start=1):
        again = [an_account("Ada", account_id=id_) for id_ in ids]
        snapshots.take(namesake, *again, at=DAYS[day])
    round_ = find_round(con, round_id)
    assert round_
    rows = con.execute(select(item_outcomes([round_]))).all()
    assert [(r.outcome, r.proved_at) for r in rows if r.account_id == "1"] == [outcome]


@pytest.fixture
def frozen(snapshots: Deliveries) -> str:
    """A round over three accounts of two apps."""
    snapshots.take(an_account("ada", roles=["Admin", "Editor"]), an_account("bob", roles=[]))
    snapshots.take(an_account("eve", email="eve@x.io"), integration="slack")
    return start_round(snapshots.store, QUARTER, freeze_list(Filters(), is_by_role=False), "Grace")


def outcomes(con: Connection, round_id: str) -> dict[tuple[str, str], str]:
    con.rollback()
    round_ = find_round(con, round_id)
    assert round_
    rows = con.execute(select(item_outcomes([round_])))
    return {(row.account_id, row.role): row.outcome for row in rows}


def test_rounds_over_the_same_account_have_their_own_outcomes(
    snapshots: Deliveries, con: Connection
):
    """Each has its own days, its own moment and its own decision."""
    snapshots.take(an_account("ada"), an_account("bob"), at=DAYS[0])
    freeze, expected = freeze_list(Filters(), is_by_role=False), {}
    for late_days, outcome in ((1, "late"), (30, "open")):
        new_round = QUARTER._replace(late_days=late_days)
        round_id = start_round(snapshots.store, new_round, freeze, "Grace", started_at=DAYS[0])
        revoked = DecisionOn(ItemKey("figma", "ada"), "revoke")
        decide(snapshots.store, round_id, [revoked], "Grace", decided_at=DAYS[0])
        expected[round_id] = {outcome: 1, "undecided": 1}
    snapshots.take(an_account("ada"), an_account("bob"), at=DAYS[2])
    found = count_by_round(con, read_rounds(con))
    assert {id_: {k: n for k, n in counts.items() if n} for id_, counts in found.items()} == (
        expected
    )


def test_a_round_freezes_the_whole_list_with_its_snapshots(frozen: str, con: Connection):
    [round_] = read_rounds(con)
    assert (round_.round_id, round_.population) == (frozen, "All accounts")
    assert [each.integration for each in frozen_snapshots(con, frozen)] == ["figma", "slack"]
    assert set(outcomes(con, frozen)) == {("ada", ""), ("bob", ""), ("eve", "")}


def test_by_role_each_role_is_decided_and_an_account_without_roles_as_a_whole(
    frozen: str, snapshots: Deliveries, con: Connection
):
    freeze = freeze_list(Filters(integration=("figma",)), is_by_role=True)
    by_role = start_round(snapshots.store, QUARTER._replace(is_by_role=True), freeze, "Grace")
    assert set(outcomes(con, by_role)) == {("ada", "Admin"), ("ada", "Editor"), ("bob", "")}


def test_what_a_rule_finds_can_be_frozen(snapshots: Deliveries, con: Connection):
    snapshots.take(an_account("gone", state="Deleted", active="yes"), an_account("ada"))
    rule = RULE_BY_NAME["deleted_but_active"]
    view = View(limits=RuleSettings())
    freeze = freeze_findings(view, rule, is_by_role=False)
    found = start_round(snapshots.store, QUARTER, freeze, "Grace")
    assert set(outcomes(con, found)) == {("gone", "")}


def test_an_empty_list_starts_no_round(snapshots: Deliveries, con: Connection):
    snapshots.take(an_account())
    with pytest.raises(InvalidInput, match="empty"):
        start_round(
            snapshots.store, QUARTER, freeze_list(Filters(q="nobody"), is_by_role=False), "Grace"
        )
    assert read_rounds(con) == []


def test_nobody_decides_on_their_own_account(frozen: str, snapshots: Deliveries):
    mine = DecisionOn(ItemKey("slack", "eve"), "keep")
    with pytest.raises(InvalidInput, match="your own account"):
        decide(snapshots.store, frozen, [mine], "EVE@x.io")
    decide(snapshots.store, frozen, [mine], "grace@x.io")


def test_only_who_was_named_decides_and_only_on_what_was_frozen(
    snapshots: Deliveries, con: Connection
):
    snapshots.take(an_account("ada"))
    named = QUARTER._replace(deciders=("Grace", "straße@x.io"))
    round_id = start_round(
        snapshots.store, named, freeze_list(Filters(), is_by_role=False), "Owner"
    )
    keep = DecisionOn(ItemKey("figma", "ada"), "keep")
    for other in ("Mallory", "strasse@x.io"):
        with pytest.raises(InvalidInput, match="Only Grace"):
            decide(snapshots.store, round_id, [keep], other)
    with pytest.raises(InvalidInput, match="not in this round"):
        decide(snapshots.store, round_id, [DecisionOn(ItemKey("figma", "x"), "keep")], "Grace")
    decide(snapshots.store, round_id, [keep], "grace")
    assert outcomes(con, round_id) == {("ada", ""): "kept"}


def test_a_closed_round_does_not_change(frozen: str, snapshots: Deliveries, con: Connection):
    close_round(snapshots.store, frozen, "Grace")
    with pytest.raises(InvalidInput, match="Grace has closed this round"):
        decide(snapshots.store, frozen, [DecisionOn(ItemKey("figma", "ada"), "keep")], "Grace")
    with pytest.raises(InvalidInput):
        close_round(snapshots.store, frozen, "Grace")
    assert set(outcomes(con, frozen).values()) == {"undecided"}


def test_restricted_people_see_their_part_of_a_round_and_pseudonyms_see_none(
    frozen: str, snapshots: Deliveries
):
    with restricted_engine(snapshots.store, Visibility(("slack",))).connect() as con:
        [round_] = read_rounds(con)
        assert (round_.round_id, sum(count_outcomes(con, round_).values())) == (frozen, 1)
        assert [each.integration for each in frozen_snapshots(con, frozen)] == ["slack"]
    with restricted_engine(snapshots.store, Visibility(("mail",))).connect() as con:
        assert read_rounds(con) == []
    for personal in (PersonalData.PSEUDONYMS, PersonalData.HIDDEN):
        with restricted_engine(snapshots.store, Visibility(None, personal)).connect() as con:
            assert read_rounds(con) == []


def test_a_round_over_more_integrations_than_a_link_can_name_is_frozen_again(
    frozen: str, con: Connection
):
    """As of somebody who sees only those, and whose list names each of them."""
    names = (*(f"app {n}" for n in range(MAX_VALUES_PER_PARAM)), "slack")
    first = freeze_list(Filters(integration=names), is_by_role=False)(con, "1")
    again = freeze_again(first.address, first.frozen_at, {}, is_by_role=False)(con, "1")
    items = con.execute(first.items).all()
    assert [item.integration for item in items] == ["slack"]
    assert con.execute(again.items).all() == items
