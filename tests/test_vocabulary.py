"""Equal labels give equal numbers: tiles, legends, filters, views, marks and definitions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import Deliveries, an_account, an_unmatched_account
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from data.files.naming import SnapshotFile
from data.formatting import format_span
from data.history.load import load
from data.sample.files import sample_snapshots
from data.states import (
    FAILED_STATES,
    OPEN_STATES,
    OPERATIONS,
    STATE_NAMES,
    UNSETTLED_STATES,
    state_names,
)
from data.store.engine import open_store
from queries.filters import Filters
from queries.health.trends import oldest_open_since
from queries.period import Period
from queries.users.accounts import count_accounts
from widgets.health import captions, figures, tiles
from widgets.health.drill_down import address_of
from widgets.health.health_data import HealthData
from widgets.health.heatmap import failure_map_figure
from widgets.health.marks import Mark, mark_from
from widgets.users.presets import PRESETS

DEFINITIONS = (Path(__file__).parent.parent / "docs" / "definitions.md").read_text(encoding="utf-8")
FIRST = datetime(2026, 11, 20, 6)
PHASES: tuple[Any, ...] = ("awaiting", "ongoing", "failed", "settled")


class Numbers:
    """What each place of the app says about the store at one moment."""

    def __init__(self, con: Connection, first: datetime, last: datetime) -> None:
        self.con, self.as_of = con, last + timedelta(hours=5)
        self.scope = Period(first.date(), last.date(), as_of=self.as_of)
        self.health = HealthData(con, self.scope, self.as_of)
        self.trends = self.health.trends

    def tile(self, label: str) -> int:
        return tiles.tile_count(self.trends.current_states, label)

    def users(self, **filters: Any) -> int:
        return count_accounts(self.con, Filters(**filters, as_of=self.as_of))

    def view(self, name: str) -> int:
        preset, _ = PRESETS[name]
        return count_accounts(self.con, Filters.from_params(dict_of(preset, self.as_of)))

    def opened_by(self, mark: Mark) -> int:
        """The accounts on the page that a mark opens."""
        page, params = address_of(mark, self.scope)
        assert page == "users.py"
        return count_accounts(self.con, Filters.from_params(params))

    def per_integration(self, column: str) -> int:
        return int(self.trends.integrations[column].sum())

    @property
    def today(self) -> pd.DataFrame:
        """The failures of the last day."""
        failures = self.trends.failures
        return failures[failures["day"] == failures["day"].max()]


def dict_of(filters: Filters, as_of: datetime) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {"as_of": [f"{as_of.isoformat()}Z"]}
    for name, value in filters.params():
        params.setdefault(name, []).append(value)
    return params


def check_all_words(numbers: Numbers) -> None:
    check_tiles(numbers)
    check_phases(numbers)
    check_failures(numbers)
    check_ages(numbers)
    check_marks(numbers)


def check_tiles(n: Numbers) -> None:
    shown = n.trends.current_states
    assert n.tile("Accounts") == shown["accounts"].sum() == n.users()
    assert n.tile("Accounts") == n.per_integration("accounts")
    assert n.tile("Active") == n.users(active="yes") == n.per_integration("active")
    assert n.tile("Unmatched") == n.users(match="unmatched") == n.view("Unmatched")
    assert n.tile("Unmatched") == n.per_integration("unmatched")
    assert n.tile("Failed") == n.view("Failed") == n.per_integration("failed")
    assert n.tile("Open jobs") == n.view("Longest open") == n.per_integration("open")
    assert n.tile("Open jobs") == n.health.backlog["accounts"].sum()
    assert n.tile("Failed") == n.health.failed_count


def check_phases(n: Numbers) -> None:
    """A phase in the table of states, as a filter of Users, and as what its marks open."""
    counts = n.trends.current_states.set_index("state")["accounts"]
    phase_counts = {}
    for phase in PHASES[:3]:
        names = state_names(phase=phase)
        phase_counts[phase] = int(counts.reindex(names).fillna(0).sum())
        assert phase_counts[phase] == n.users(state=names), phase
        opened = [n.opened_by(Mark("state", name)) for name in names]
        assert phase_counts[phase] == sum(opened), phase
    assert n.tile("Open jobs") == phase_counts["awaiting"] + phase_counts["ongoing"]
    assert n.tile("Failed") == phase_counts["failed"]
    unsettled = sum(n.opened_by(Mark("unsettled", operation)) for operation in OPERATIONS)
    assert unsettled == sum(phase_counts.values()) == n.users(state=UNSETTLED_STATES)
    settled = n.users(state=state_names(phase="settled"))
    assert unsettled + settled + unrecognized(n) == n.tile("Accounts")


def unrecognized(n: Numbers) -> int:
    states = n.trends.current_states
    return int(states.loc[~states["state"].isin(STATE_NAMES), "accounts"].sum())


def check_failures(n: Numbers) -> None:
    """Existing and new failures are those that have failed now and those that are resolved."""
    for row in n.today.to_dict("records"):
        assert row["existing"] + row["new"] - row["resolved"] == row["failed"], row
    assert n.today["failed"].sum() == n.tile("Failed")
    cells = n.trends.failed_by_integration
    assert cells.loc[cells["day"] == n.scope.last, "failed"].sum() == n.tile("Failed")
    reasons = n.health.reasons
    assert len(reasons) == 8 or reasons["accounts"].sum() == n.tile("Failed")
    headline = captions.failed_headline(n.health.verdict, n.health.failed_count)
    failed = n.tile("Failed")
    assert headline.startswith(f"{failed:,} failed account" if failed else "No failed accounts")


def check_ages(n: Numbers) -> None:
    newest = n.trends.integrations["taken_at"].max()
    assert n.trends.snapshot_times[-1] == newest
    assert tiles.data_age(n.health).now == (n.as_of - newest).total_seconds() / 3600
    oldest = oldest_open_since(n.trends.current_states)
    hours = tiles.oldest_open_job(n.health).now
    if oldest is None:
        assert (hours, n.tile("Open jobs")) == (None, 0)
        return
    age = n.as_of - oldest
    assert hours == age.total_seconds() / 3600
    shorter, longer = age - timedelta(hours=1), age
    assert n.users(waiting=shorter) >= 1
    assert n.users(waiting=longer) == 0
    assert format_span(hours * 3600)


def check_marks(n: Numbers) -> None:
    """A bar, a point or a cell counts exactly the accounts that a click on it lists."""
    trends, last = n.trends, f"{n.scope.last}"
    trace_lists = [
        figures.failed_figure(trends.failures).data,
        figures.backlog_figure(n.health.backlog).data,
    ]
    for trace in (trace for traces in trace_lists for trace in traces):
        for value, values_of_mark in zip(trace.y, trace.customdata, strict=True):
            mark = mark_from(values_of_mark)
            if mark.day in ("", last):
                assert n.opened_by(mark) == round(value), mark
    _, points = failure_map_figure(trends.failed_by_integration, n.health.files).data
    for text, values_of_mark in zip(points.hovertext, points.customdata, strict=True):
        mark = mark_from(values_of_mark)
        if mark.day == last:
            assert f": {n.opened_by(mark):,} of " in text


# ---- any history ---------------------------------------------------------------------------------

people = st.tuples(
    st.sampled_from([*STATE_NAMES, "on holiday", ""]),
    st.sampled_from(["yes", "no", ""]),
    st.booleans(),
)
histories = st.lists(st.lists(people, min_size=4, max_size=4), min_size=1, max_size=5)


@given(history=histories)
@settings(max_examples=4)
def test_equal_labels_give_equal_numbers_in_any_history(
    a_store_to_read: Callable[[], Deliveries],
    history: list[list[tuple[str, str, bool]]],
) -> None:
    snapshots = a_store_to_read()
    for number, accounts in enumerate(history):
        build = {True: an_account, False: an_unmatched_account}
        listed = [
            build[is_matched](f"u{n}", state=state, active=active)
            for n, (state, active, is_matched) in enumerate(accounts)
            if state
        ]
        integration, at = ("figma", "slack")[number % 2], FIRST + timedelta(days=number)
        snapshots.take(an_account("z"), *listed, integration=integration, at=at)
    with snapshots.store.connect() as con:
        check_all_words(Numbers(con, FIRST, at))


def test_equal_labels_give_equal_numbers_in_the_sample(tmp_path: Path) -> None:
    engine = open_store("duckdb:///:memory:")
    last = datetime(2026, 11, 23, 6)
    for path in sample_snapshots(tmp_path, accounts=60, days=6, integrations=3, until=last):
        load(engine, SnapshotFile.from_path(path))
    with engine.connect() as con:
        check_all_words(Numbers(con, last - timedelta(days=4), last))
    engine.dispose()


# ---- definitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_the_definition_of_a_phase_lists_its_states(phase: Any) -> None:
    assert f"| {phase.capitalize()} | {', '.join(state_names(phase=phase))} |" in DEFINITIONS


def test_open_and_unsettled_are_defined_by_the_phases() -> None:
    assert "**Open** means Awaiting or Ongoing." in DEFINITIONS
    assert set(OPEN_STATES) == {*state_names(phase="awaiting"), *state_names(phase="ongoing")}
    assert "**Unsettled** means Awaiting, Ongoing or Failed." in DEFINITIONS
    assert set(UNSETTLED_STATES) == {*OPEN_STATES, *FAILED_STATES}


@pytest.mark.parametrize("label", tiles.TILE_HELP)
def test_every_tile_is_defined_under_its_label(label: str) -> None:
    assert f"| {label} |" in DEFINITIONS
