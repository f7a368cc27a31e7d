"""What the charts of Health say, in one sentence each, worked out from their numbers.

Each is a function of the frame that its chart is drawn from. No text from the data is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import pandas as pd

from data.states import FAILED_STATES, OPEN_STATES, OPERATIONS
from queries.health.durations import Durations
from queries.health.trends import Trends
from queries.period import Period
from widgets.figure_theme import format_span
from widgets.health.heatmap import MAX_MAP_ROWS

NO_SNAPSHOTS = "No snapshots in this period"

MIN_SHARE = 0.01
"""A smaller share of all failures says nothing of one integration."""


class StateComparison(NamedTuple):
    """Accounts by state now, and what they are compared with. Frames as of `states_at`."""

    current: pd.DataFrame
    previous: pd.DataFrame
    period_text: str
    """How long ago that was, in words; empty where there is nothing to compare with."""
    first_day: date | None = None
    """The first day, where nothing was loaded before the period."""


def compare_states(trends: Trends, scope: Period) -> StateComparison:
    """With the end of the period before, or else with the end of the first day."""
    if not trends.previous_states.empty:
        return StateComparison(
            trends.current_states,
            trends.previous_states,
            f"in {scope.days:,} day{'' if scope.days == 1 else 's'}",
        )
    days = trends.states["day"]
    first = days.min() if len(days) else None
    if first is None or first == days.max():
        return StateComparison(trends.current_states, trends.current_states, "", first)
    return StateComparison(
        trends.current_states, trends.states[days == first], f"since {first:%-d %b}", first
    )


def states_headline(states: pd.DataFrame) -> str:
    """How much is as it should be."""
    total = int(states["accounts"].sum())
    if not total:
        return "No accounts"
    failed = int(states.loc[states["state"].isin(FAILED_STATES), "accounts"].sum())
    onboarded = int(states.loc[states["state"] == "Onboarded", "accounts"].sum())
    failed_text = f"{failed:,} {'fails' if failed == 1 else 'fail'}" if failed else "nothing fails"
    share = _percent_text(onboarded, total)
    return f"{share} of {_accounts_text(total)} {_are(total)} onboarded, {failed_text}"


def mix_headline(comparison: StateComparison) -> str:
    """Whether a backlog builds up."""
    return _change_headline("Accounts under way", (*OPEN_STATES, *FAILED_STATES), comparison)


def failed_headline(comparison: StateComparison) -> str:
    """Whether it gets better."""
    return _change_headline("Failures", FAILED_STATES, comparison)


def trend_headline(failures: pd.DataFrame) -> str:
    """Whether failures are cleared as fast as they come."""
    if failures.empty:
        return NO_SNAPSHOTS
    new, resolved = int(failures["new"].sum()), int(failures["cleared"].sum())
    if not new and not resolved:
        return "Nothing newly failed and nothing was cleared"
    relation = "as many as" if new == resolved else "fewer than" if resolved < new else "more than"
    return f"{resolved:,} failures cleared, {relation} the {new:,} that came"


def rate_headline(failures: pd.DataFrame) -> str:
    """How often jobs fail, and where most."""
    totals = failures.groupby("operation")[["new", "settled"]].sum()
    new, ended = int(totals["new"].sum()), int(totals.sum().sum())
    if not ended:
        return NO_SNAPSHOTS if failures.empty else "No job ended in this period"
    if not new:
        return f"None of {ended:,} ended jobs failed"
    rates = {
        name: failed / (failed + settled)
        for name, (failed, settled) in zip(totals.index, totals.values, strict=True)
        if failed + settled
    }
    worst_operation = max(rates, key=lambda name: rates[name])
    worst_text = (
        f", most often to {worst_operation} ({rates[worst_operation]:.1%})"
        if rates[worst_operation] > new / ended
        else ""
    )
    return f"{new / ended:.1%} of {ended:,} ended jobs failed{worst_text}"


def durations_headline(durations: Mapping[str, Durations]) -> str:
    """How long people wait for the commonest operation."""
    if not any(estimate.jobs for estimate in durations.values()):
        return "No job began in this period"
    name = max(OPERATIONS, key=lambda operation: durations[operation].jobs)
    median = durations[name].median
    if median is None:
        span = format_span(durations[name].longest_observed)
        return f"Less than half of {name} jobs have ended within {span}"
    return f"Half of {name} jobs end within {format_span(median)}"


def backlog_headline(backlog: pd.DataFrame) -> str:
    """How much has waited for too long."""
    total = int(backlog["accounts"].sum())
    if not total:
        return "Nothing waits"
    old = int(backlog.loc[backlog["age"] == "> 7 d", "accounts"].sum())
    if not old:
        return f"{total:,} waiting, none of them longer than 7 days"
    return f"{old:,} of {total:,} waiting have waited longer than 7 days"


def reasons_headline(reasons: pd.DataFrame, failed: int) -> str:
    """How far one cause explains it."""
    if reasons.empty or not failed:
        return "Nothing fails"
    grown = int((reasons["accounts"] > reasons["before"]).sum())
    growing = f", {grown} of the reasons below still growing" if grown else ", none below growing"
    return (
        f"One reason accounts for {_percent_text(int(reasons['accounts'].max()), failed)}{growing}"
    )


def integrations_headline(total: int, stale_count: int) -> str:
    """Whether the numbers can be believed."""
    if not stale_count:
        return "The integration is up to date" if total == 1 else f"All {total:,} are up to date"
    return f"{stale_count:,} of {total:,} {'is' if stale_count == 1 else 'are'} stale"


def map_headline(cells: pd.DataFrame) -> str:
    """How far failing spreads."""
    if cells.empty:
        return NO_SNAPSHOTS
    newest = cells.sort_values("day").groupby("integration")["failed"].last()
    failing = int((newest > 0).sum())
    if not failing:
        return "No integration has failing accounts now"
    if len(newest) == 1:
        return f"{_accounts_text(int(newest.iloc[0]))} of the integration fail"
    worst = newest.max() / newest.sum()
    share = f", the worst {worst:.0%} of them" if worst >= MIN_SHARE else ""
    limit_text = (
        f"; the {MAX_MAP_ROWS} that fail most are shown" if len(newest) > MAX_MAP_ROWS else ""
    )
    return f"{failing:,} of {len(newest):,} integrations have failures{share}{limit_text}"


def _change_headline(
    subject: str, state_names: tuple[str, ...], comparison: StateComparison
) -> str:
    """From what it is compared with to now, as on the tiles."""
    first, last = (
        int(states.loc[states["state"].isin(state_names), "accounts"].sum())
        for states in (comparison.previous, comparison.current)
    )
    if not comparison.period_text:
        return f"{subject}: {last:,}, nothing to compare with yet"
    if first == last:
        text = f"stayed at {last:,}" if last else "none, as before"
        return f"{subject} {text} {comparison.period_text}" if last else f"{subject}: {text}"
    verb = "fell" if last < first else "rose"
    return f"{subject} {verb} from {first:,} to {last:,} {comparison.period_text}"


def _percent_text(part: int, total: int) -> str:
    """Rounded, but never to all or to nothing where it is not."""
    share = f"{part / total:.0%}"
    if share == "100%" and part < total:
        return "Over 99%"
    return "Under 1%" if share == "0%" and part else share


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _accounts_text(count: int) -> str:
    return f"{count:,} account{'' if count == 1 else 's'}"
