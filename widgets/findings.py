"""What the charts of Health say, in one sentence each, worked out from their numbers.

Each is a function of the frame that its chart is drawn from. No text from the data is in them.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data.states import FAILED, OPERATIONS, WAITING
from queries.durations import Durations
from widgets.figures import in_words

NOTHING = "No snapshots in this period"


def of_states(now: pd.DataFrame) -> str:
    """How much is as it should be."""
    total = int(now["accounts"].sum())
    if not total:
        return "No accounts"
    failed = int(now.loc[now["state"].isin(FAILED), "accounts"].sum())
    onboarded = int(now.loc[now["state"] == "Onboarded", "accounts"].sum())
    fails = f"{failed:,} {'fails' if failed == 1 else 'fail'}" if failed else "nothing fails"
    return f"{_share(onboarded, total)} of {_accounts(total)} {_are(total)} onboarded, {fails}"


def of_mix(states: pd.DataFrame, when: str) -> str:
    """Whether a backlog builds up."""
    return _moved("Accounts under way", _daily(states, (*WAITING, *FAILED)), when)


def of_failing(states: pd.DataFrame, when: str) -> str:
    """Whether it gets better."""
    return _moved("Failures", _daily(states, FAILED), when)


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
    return (
        f"{failing:,} of {len(newest):,} integrations have failures, the worst {worst:.0%} of them"
    )


def _daily(states: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    counted = states["accounts"].where(states["state"].isin(names), 0)
    return counted.groupby(states["day"]).sum()


def _moved(what: str, daily: pd.Series, when: str) -> str:
    """From the first shown day to the last one."""
    if daily.empty:
        return NOTHING
    first, last = int(daily.iloc[0]), int(daily.iloc[-1])
    if len(daily) == 1:
        return f"{what}: {last:,}, on the only day with a snapshot"
    if first == last:
        return f"{what} stayed at {last:,} {when}" if last else f"{what}: none at either end {when}"
    return f"{what} {'fell' if last < first else 'rose'} from {first:,} to {last:,} {when}"


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
