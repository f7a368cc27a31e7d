"""The headlines of the charts of Health: the finding in one sentence, with its number.

Each is a function of the frame that its chart draws. Only `reasons_headline` and `map_headline`
contain text from the data, which `card.heading` shows as plain text.
"""

from collections.abc import Mapping

import pandas as pd

from data.formatting import count_of, format_span, plural
from data.states import FAILED_STATES, OPERATIONS
from queries.health.backlog import OLD_AGE
from queries.health.durations import Durations
from queries.health.verdict import Verdict
from widgets.figure_theme import account_count_text
from widgets.health.health_data import count_accounts
from widgets.health.heatmap import MAX_MAP_ROWS

NO_SNAPSHOTS = "No snapshots in this period"
OPERATION_NOUNS = {"provision": "provisioning", "update": "updates", "delete": "deletions"}

MIN_SHARE = 0.01
"""A smaller share of all failures says nothing about one integration."""


def states_headline(states: pd.DataFrame) -> str:
    """How many accounts are onboarded, and how many have failed."""
    total = int(states["accounts"].sum())
    if not total:
        return "No accounts"
    failed = count_accounts(states, FAILED_STATES)
    share = _percent_text(count_accounts(states, ["Onboarded"]), total)
    failed_text = f"{failed:,} {plural(failed, 'has', 'have')} failed" if failed else "none failed"
    verb = plural(total, "is", "are")
    return f"{share} of {account_count_text(total)} {verb} onboarded; {failed_text}"


def failed_headline(course: Verdict | None, failed: int) -> str:
    """How many have failed, and since when it is more or fewer; as the verdict says it."""
    accounts = count_of(failed, "failed account") if failed else "No failed accounts"
    if course is None or not course.highest.failed:
        return accounts
    reference = course.reference
    return f"{accounts}{change_words(course)}{reference.day:%-d %b} ({reference.failed:,})"


def change_words(course: Verdict) -> str:
    """What stands between the count and the day that it is compared with."""
    if course.direction == "steady":
        return ", about as many as on "
    change = course.newest.failed - course.reference.failed
    return f", {abs(change):,} {'more' if change > 0 else 'fewer'} than on "


def reason_text(reason: str, template: str) -> str:
    """A failure code with its text, if it has one."""
    return reason if template == reason else f"{reason}: {template}"


def rate_headline(failures: pd.DataFrame) -> str:
    """How often jobs fail, and which operation most."""
    totals = failures.groupby("operation")[["new", "settled"]].sum()
    new, completed = int(totals["new"].sum()), int(totals.sum().sum())
    if not completed:
        return NO_SNAPSHOTS if failures.empty else "No job completed in this period"
    jobs = count_of(completed, "completed job")
    if not new:
        return f"None of {jobs} failed"
    rates = (totals["new"] / totals.sum(axis=1)).dropna()
    worst, rate = str(rates.idxmax()), rates.max()
    is_worse = rate > new / completed
    worst_text = f"; {OPERATION_NOUNS[worst]} most ({rate:.0%})" if is_worse else ""
    return f"{_percent_text(new, completed)} of {jobs} failed{worst_text}"


def durations_headline(durations: Mapping[str, Durations]) -> str:
    """The median time of the most frequent operation."""
    name = max(OPERATIONS, key=lambda operation: durations[operation].jobs)
    if not durations[name].jobs:
        return "No job started in this period"
    if (median := durations[name].median) is None:
        span = format_span(durations[name].longest_observed)
        return f"Median time to {name}: over {span}"
    return f"Median time to {name}: {format_span(median)}"


def backlog_headline(backlog: pd.DataFrame) -> str:
    """How many open jobs are old."""
    total = int(backlog["accounts"].sum())
    if not total:
        return "No open jobs"
    old = int(backlog.loc[backlog["age"] == OLD_AGE, "accounts"].sum())
    jobs = count_of(total, "open job")
    if not old:
        return f"{jobs}, none older than 7 days"
    return f"{old:,} of {jobs} {plural(old, 'is', 'are')} older than 7 days"


def reasons_headline(reasons: pd.DataFrame, failed: int, *, has_trends: bool = True) -> str:
    """The share of the most frequent reason, and how many reasons grow if there is a trend."""
    if reasons.empty or not failed:
        return "No failures"
    top = reasons.iloc[0]
    growing = int((reasons["accounts"] > reasons["before"]).sum())
    share = _percent_text(int(top["accounts"]), failed)
    growth = f"{growing} {plural(growing, 'reason is', 'reasons are')}" if growing else "none is"
    growth_text = f"; {growth} growing" if has_trends else ""
    return f"“{_short(top['reason'])}” causes {share} of failures{growth_text}"


def integrations_headline(total: int, stale_count: int, directories: int = 0) -> str:
    """Whether the numbers are up to date; directories, which list people, are no apps."""
    if directories:
        apps = count_of(total - directories, "app")
        both = f"{apps} and {count_of(directories, 'directory', 'directories')}"
        if not stale_count:
            return f"All up to date: {both}"
        return f"{stale_count:,} of {both} {plural(stale_count, 'is', 'are')} stale"
    if not stale_count:
        return (
            "The integration is up to date"
            if total == 1
            else f"All {total:,} integrations are up to date"
        )
    verb = plural(stale_count, "is", "are")
    return f"{stale_count:,} of {count_of(total, 'integration')} {verb} stale"


def map_headline(cells: pd.DataFrame) -> str:
    """The integration with the most failures now."""
    if cells.empty:
        return NO_SNAPSHOTS
    newest = cells.sort_values("day").groupby("integration")["failed"].last()
    total, failing = int(newest.sum()), int((newest > 0).sum())
    if not total:
        return "No integration has failures now"
    worst, count = str(newest.idxmax()), int(newest.max())
    if len(newest) == 1:
        return f"{_short(worst)} has {count_of(count, 'failed account')}"
    if len(newest) > MAX_MAP_ROWS or count / total < MIN_SHARE:
        limit = f"; the {MAX_MAP_ROWS} that fail most are shown"
        shown = limit if len(newest) > MAX_MAP_ROWS else ""
        return f"{failing:,} of {len(newest):,} integrations have failures{shown}"
    return f"{_short(worst)} has the most failures: {count:,} of {total:,} ({count / total:.0%})"


def _short(text: str, most: int = 40) -> str:
    """Text from the data, cut to the length of a headline."""
    return text if len(text) <= most else f"{text[:most]}…"


def _percent_text(part: int, total: int) -> str:
    """Rounded, but never to all or to nothing where it is not."""
    share = f"{part / total:.0%}"
    if share == "100%" and part < total:
        return "Over 99%"
    return "Under 1%" if share == "0%" and part else share
