"""What the charts of Health say, in one sentence each, worked out from their numbers.

Each is a function of the frame that its chart is drawn from. No text from the data is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import pandas as pd

from data.states import FAILED, OPERATIONS, WAITING
from queries.health.durations import Durations
from queries.health.trends import Trends
from queries.period import Scope
from widgets.figure_theme import in_words
from widgets.health.heatmap import MOST_ROWS

NOTHING = "No snapshots in this period"

LEAST_TOLD = 0.01
"""A smaller share of all failures says nothing of one integration."""


class Compared(NamedTuple):
    """Accounts by state now, and what they are compared with. Frames as of `states_at`."""

    now: pd.DataFrame
    before: pd.DataFrame
    when: str
    """How long ago that was, in words; empty where there is nothing to compare with."""
    since: date | None = None
    """The first day, where nothing was loaded before the period."""


def compared(found: Trends, scope: Scope) -> Compared:
    """With the end of the period before, or else with the end of the first day."""
    if not found.before.empty:
        return Compared(
            found.now, found.before, f"in {scope.days:,} day{'' if scope.days == 1 else 's'}"
        )
    days = found.states["day"]
    first = days.min() if len(days) else None
    if first is None or first == days.max():
        return Compared(found.now, found.now, "", first)
    return Compared(found.now, found.states[days == first], f"since {first:%-d %b}", first)


def of_states(now: pd.DataFrame) -> str:
    """How much is as it should be."""
    total = int(now["accounts"].sum())
    if not total:
        return "No accounts"
    failed = int(now.loc[now["state"].isin(FAILED), "accounts"].sum())
    onboarded = int(now.loc[now["state"] == "Onboarded", "accounts"].sum())
    fails = f"{failed:,} {'fails' if failed == 1 else 'fail'}" if failed else "nothing fails"
    return f"{_share(onboarded, total)} of {_accounts(total)} {_are(total)} onboarded, {fails}"


def of_mix(compared: Compared) -> str:
    """Whether a backlog builds up."""
    return _moved("Accounts under way", (*WAITING, *FAILED), compared)


def of_failing(compared: Compared) -> str:
    """Whether it gets better."""
    return _moved("Failures", FAILED, compared)


def of_trend(failures: pd.DataFrame) -> str:
    """Whether failures are cleared as fast as they come."""
    if failures.empty:
        return NOTHING
    new, cleared = int(failures["new"].sum()), int(failures["cleared"].sum())
    if not new and not cleared:
        return "Nothing newly failed and nothing was cleared"
    verdict = "as many as" if new == cleared else "fewer than" if cleared < new else "more than"
    return f"{cleared:,} failures cleared, {verdict} the {new:,} that came"


def of_rate(failures: pd.DataFrame) -> str:
    """How often jobs fail, and where most."""
    totals = failures.groupby("operation")[["new", "settled"]].sum()
    new, ended = int(totals["new"].sum()), int(totals.sum().sum())
    if not ended:
        return NOTHING if failures.empty else "No job ended in this period"
    if not new:
        return f"None of {ended:,} ended jobs failed"
    rates = {
        name: failed / (failed + settled)
        for name, (failed, settled) in zip(totals.index, totals.values, strict=True)
        if failed + settled
    }
    most = max(rates, key=lambda name: rates[name])
    which = f", most often to {most} ({rates[most]:.1%})" if rates[most] > new / ended else ""
    return f"{new / ended:.1%} of {ended:,} ended jobs failed{which}"


def of_durations(durations: Mapping[str, Durations]) -> str:
    """How long people wait for the commonest operation."""
    if not any(each.jobs for each in durations.values()):
        return "No job began in this period"
    name = max(OPERATIONS, key=lambda operation: durations[operation].jobs)
    median = durations[name].median
    if median is None:
        return (
            f"Less than half of {name} jobs have ended within {in_words(durations[name].observed)}"
        )
    return f"Half of {name} jobs end within {in_words(median)}"


def of_backlog(backlog: pd.DataFrame) -> str:
    """How much has waited for too long."""
    total = int(backlog["accounts"].sum())
    if not total:
        return "Nothing waits"
    old = int(backlog.loc[backlog["age"] == "> 7 d", "accounts"].sum())
    if not old:
        return f"{total:,} waiting, none of them longer than 7 days"
    return f"{old:,} of {total:,} waiting have waited longer than 7 days"


def of_reasons(reasons: pd.DataFrame, failed: int) -> str:
    """How far one cause explains it."""
    if reasons.empty or not failed:
        return "Nothing fails"
    grown = int((reasons["accounts"] > reasons["before"]).sum())
    growing = f", {grown} of the reasons below still growing" if grown else ", none below growing"
    return f"One reason accounts for {_share(int(reasons['accounts'].max()), failed)}{growing}"


def of_integrations(total: int, stale: int) -> str:
    """Whether the numbers can be believed."""
    if not stale:
        return "The integration is up to date" if total == 1 else f"All {total:,} are up to date"
    return f"{stale:,} of {total:,} {'is' if stale == 1 else 'are'} stale"


def of_map(cells: pd.DataFrame) -> str:
    """How far failing spreads."""
    if cells.empty:
        return NOTHING
    newest = cells.sort_values("day").groupby("integration")["failed"].last()
    failing = int((newest > 0).sum())
    if not failing:
        return "No integration has failing accounts now"
    if len(newest) == 1:
        return f"{_accounts(int(newest.iloc[0]))} of the integration fail"
    worst = newest.max() / newest.sum()
    share = f", the worst {worst:.0%} of them" if worst >= LEAST_TOLD else ""
    shown = f"; the {MOST_ROWS} that fail most are shown" if len(newest) > MOST_ROWS else ""
    return f"{failing:,} of {len(newest):,} integrations have failures{share}{shown}"


def _moved(what: str, names: tuple[str, ...], compared: Compared) -> str:
    """From what it is compared with to now, as on the tiles."""
    first, last = (
        int(states.loc[states["state"].isin(names), "accounts"].sum())
        for states in (compared.before, compared.now)
    )
    if not compared.when:
        return f"{what}: {last:,}, nothing to compare with yet"
    if first == last:
        told = f"stayed at {last:,}" if last else "none, as before"
        return f"{what} {told} {compared.when}" if last else f"{what}: {told}"
    return f"{what} {'fell' if last < first else 'rose'} from {first:,} to {last:,} {compared.when}"


def _share(part: int, of: int) -> str:
    """Rounded, but never to all or to nothing where it is not."""
    share = f"{part / of:.0%}"
    if share == "100%" and part < of:
        return "Over 99%"
    return "Under 1%" if share == "0%" and part else share


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _accounts(count: int) -> str:
    return f"{count:,} account{'' if count == 1 else 's'}"
