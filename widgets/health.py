"""The parts of the Health page: tiles, what a mark opens, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NoReturn

import pandas as pd
import streamlit as st

from data.access.roles import Act
from data.states import FAILED, STATE_BY_NAME, WAITING
from queries.filters import Filters
from queries.health.durations import Durations
from queries.health.trends import Trends, oldest_wait, stale
from queries.period import DAY, Scope, end_of, local
from widgets import findings
from widgets.charts import heading, numbers
from widgets.figures import CLEARED, NEW, UNLOADED, in_words
from widgets.filters import open_users
from widgets.signed_in import principal

WAITS = {
    "≤ 1 h": {"waiting_upto": ["1h"]},
    "1–24 h": {"waiting": ["1h"], "waiting_upto": ["1d"]},
    "1–3 d": {"waiting": ["1d"], "waiting_upto": ["3d"]},
    "3–7 d": {"waiting": ["3d"], "waiting_upto": ["7d"]},
    "> 7 d": {"waiting": ["7d"]},
}
"""Age → how the address of Users names it."""

MEANINGS = {
    "Accounts": "All accounts of the integrations shown, deleted ones included.",
    "Active": "Accounts that the app calls active, whatever their provisioning state.",
    "Unmatched": "Accounts without a user: no snapshot names one, nor has a person on Matching.",
    "Failed": "Accounts whose provisioning, update or deletion failed.",
    "Waiting": "Accounts whose job is queued or in progress.",
    "Oldest wait": "How long the longest waiting account has been in its state.",
    "Newest snapshot": "How long ago the newest snapshot was taken.",
}
WORSE_WHEN_MORE = ("Unmatched", "Failed", "Waiting", "Oldest wait", "Newest snapshot")


# ---- tiles ---------------------------------------------------------------------------------------


def tiles(found: Trends, compared: findings.Compared, scope: Scope, now: datetime) -> None:
    """What counts now, each with its change over the period and its course."""
    when = compared.when
    with st.grid(min_column_width=150, gap="small"):
        for label in COUNTS:
            course = _daily(found.states, label).tolist()
            before = _count(compared.before, label) if when else None
            _tile(label, _count(found.now, label), before, course, when)
        _oldest_tile("Oldest wait", found, compared, scope, now)
        newest = found.taken[-1] if found.taken else None
        _age_tile("Newest snapshot", newest, found.taken, scope, now, when)


def _oldest_tile(
    label: str, found: Trends, compared: findings.Compared, scope: Scope, now: datetime
) -> None:
    """How long what has waited longest has waited, and had at the end of each day."""
    waiting = found.states[found.states["state"].isin(WAITING)]
    oldest = waiting.groupby("day")["oldest"].min().reindex(sorted(set(found.states["day"])))
    ends = [min(end_of(day, scope.zone), now) for day in oldest.index]
    course = [_hours(end, since) for end, since in zip(ends, oldest, strict=True)]
    was = _hours(scope.before.at, oldest_wait(found.before))
    before = was if compared.since is None else _first(course)
    _span_tile(label, _hours(now, oldest_wait(found.now)), before, course, compared.when)


COUNTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accounts": ("accounts", ()),
    "Active": ("active", ()),
    "Unmatched": ("unmatched", ()),
    "Failed": ("accounts", FAILED),
    "Waiting": ("accounts", WAITING),
}
"""What a tile counts: a column, in some states or in all."""


def _count(states: pd.DataFrame, label: str) -> int:
    column, names = COUNTS[label]
    counted = states[states["state"].isin(names)] if names else states
    return int(counted[column].sum())


def _daily(states: pd.DataFrame, label: str) -> pd.Series:
    column, names = COUNTS[label]
    counted = states[column].where(states["state"].isin(names), 0) if names else states[column]
    return counted.groupby(states["day"]).sum()


def _first(course: Sequence[Any]) -> Any:
    return course[0] if course else None


def _tile(label: str, value: int, before: Any, course: list[Any], since: str) -> None:
    change = None if before is None else value - int(before)
    st.metric(
        label,
        f"{value:,}",
        _signed(change, "{:+,}"),
        delta_color=_colour(label, change),
        delta_arrow="auto" if change else "off",
        delta_description=since,
        chart_data=course,
        border=True,
        height="stretch",
        help=MEANINGS[label],
    )


def _age_tile(
    label: str,
    newest: datetime | None,
    taken: Sequence[datetime],
    scope: Scope,
    now: datetime,
    since: str,
) -> None:
    """How old the newest snapshot is, and was at the end of each day."""
    times = pd.Series(pd.to_datetime(list(taken)))
    days = pd.date_range(scope.first, scope.last)
    ends = [min(end_of(day.date(), scope.zone), now) for day in days]
    places = times.searchsorted(pd.Series(pd.to_datetime(ends)), side="right") - 1
    course = [
        _hours(end, times[place].to_pydatetime())
        for end, place in zip(ends, places, strict=True)
        if place >= 0
    ]
    earlier = [moment for moment in taken if moment < scope.begins]
    before = _hours(scope.before.at, earlier[-1]) if earlier else _first(course)
    _span_tile(label, _hours(now, newest), before, course, since)


def _span_tile(
    label: str, hours: float | None, before: float | None, course: list[Any], since: str
) -> None:
    value = "–" if hours is None else in_words(hours * 3600)
    change = None if hours is None or before is None or not since else hours - before
    sign = "+" if change and change > 0 else "-"
    told = None if change is None else f"{sign}{in_words(abs(change) * 3600, digits=2)}"
    shown = round(change * 60) if change is not None else None  # a minute is the least to tell
    st.metric(
        label,
        value,
        "±0" if shown == 0 else told,
        delta_color=_colour(label, shown),
        delta_arrow=("up" if shown > 0 else "down") if shown else "off",
        delta_description=since if told else None,
        chart_data=[round(each, 2) for each in course if each is not None] or None,
        border=True,
        height="stretch",
        help=MEANINGS[label],
    )


def _hours(now: datetime | None, since: datetime | None) -> float | None:
    if now is None or since is None or pd.isna(since):
        return None
    return max((now - since).total_seconds(), 0) / 3600


def _signed(change: int | None, form: str) -> str | None:
    return None if change is None else form.format(change) if change else "±0"


def _colour(label: str, change: float | None) -> Any:
    return "inverse" if change and label in WORSE_WHEN_MORE else "off"


# ---- what a mark opens ---------------------------------------------------------------------------


def opens(scope: Scope) -> Callable[[Sequence[Any]], NoReturn] | None:
    """What a click on a mark of the scope's charts does; nothing where nobody may see more."""
    if not principal().acts >= LEADS_TO:
        return None

    def open_mark(mark: Sequence[Any]) -> NoReturn:
        if UNLOADED in mark:
            st.switch_page("snapshots.py")
        if NEW in mark or CLEARED in mark:
            st.switch_page("changes.py", query_params=changes_meant_by(mark, scope))
        open_users(meant_by(mark, scope))

    return open_mark


LEADS_TO = {Act.USERS, Act.CHANGES, Act.SNAPSHOTS}
"""What one has to see to go on from Health."""


def meant_by(mark: Sequence[Any], scope: Scope) -> Filters:
    """The accounts that a mark stands for, by the words in it.

    A day means its end in the scope's zone, an operation its failed state; besides states there
    may be an age of AGES, and `[integration]`.
    """
    day = _day_of(mark)
    states = [
        state.name
        for state in STATE_BY_NAME.values()
        if state.name in mark or (state.phase == "failed" and state.operation in mark)
    ]
    end = end_of(day, scope.zone) if day else None
    at = min(filter(None, (end, scope.at)), default=None)
    return Filters.from_params(
        {
            "integration": next((word for word in mark if isinstance(word, list)), None)
            or scope.integrations,
            "state": states,
            **next((waits for age, waits in WAITS.items() if age in mark), {}),
            "as_of": [_moment(at)] if at else [],
        }
    )


def changes_meant_by(mark: Sequence[Any], scope: Scope) -> dict[str, list[str]]:
    """The address of who came into a failed state on the mark's day, or left it, on Changes.

    That compares the end of the day with the end of the day before.
    """
    day = _day_of(mark) or scope.last
    until = min(filter(None, (end_of(day, scope.zone), scope.at)))
    return {
        "from": [_moment(end_of(day - DAY, scope.zone))],
        "to": [_moment(until)],
        "integration": list(scope.integrations),
        "list": ["moved"],
        "now" if NEW in mark else "was": [
            name for name in FAILED if STATE_BY_NAME[name].operation in mark
        ],
    }


def _moment(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"


def _day_of(mark: Sequence[Any]) -> date | None:
    try:
        return date.fromisoformat(str(mark[0])[:10])
    except ValueError:
        return None


def in_cell(mark: Sequence[Any]) -> list[Any]:
    """What a cell of the map means, which names a day and an integration; other marks stay."""
    if UNLOADED in mark[1:-1]:
        return list(mark)
    day, integration = mark
    return [day, *FAILED, [integration]]


# ---- tables --------------------------------------------------------------------------------------


def durations_table(found: Mapping[str, Durations], before: Mapping[str, Durations]) -> Any:
    """One row per operation: how long its jobs take, and what that is known from."""

    def told(seconds: float | None, each: Durations) -> str:
        if not each.jobs:
            return "–"
        return f"> {in_words(each.observed)}" if seconds is None else in_words(seconds)

    return pd.DataFrame(
        {
            "Operation": name.capitalize(),
            "Median": told(each.median, each),
            "Median before": told(before[name].median, before[name]),
            "90% within": told(each.quantile(0.9), each),
            "Mean": f"{'' if each.ended == each.jobs else '≥ '}{told(each.mean, each)}",
            "Jobs": each.jobs,
            "Still open": each.jobs - each.ended,
        }
        for name, each in found.items()
    )


def reasons(found: pd.DataFrame, failed: int, scope: Scope) -> None:
    """The reasons that accounts fail for, as of `failure_reasons`; a row opens its accounts."""
    name = "Top failure reasons"
    with st.container(border=True, key="card_reasons"):
        heading(
            name,
            findings.of_reasons(found, failed),
            "What differs from account to account is left out, as “…”. First seen in all history; "
            "the change is that of the period. Select a row for its accounts.",
        )
        if found.empty:
            return
        table = pd.DataFrame(
            {
                "accounts": found["accounts"],
                "reason": [_reason(*each) for each in found[["reason", "words"]].to_numpy()],
                "trend": [_growth(now - then) for now, then in _pairs(found)],
                "first_seen": [local(at, scope.zone) for at in found["first_seen"]],
            }
        )
        event = st.dataframe(
            table,
            hide_index=True,
            key="reasons",
            on_select="rerun",
            selection_mode="single-row",
            alt="Failure reasons with their accounts, whether they grow, and since when",
            column_config={
                "accounts": st.column_config.NumberColumn(
                    "Accounts", format="localized", width="small"
                ),
                "reason": st.column_config.TextColumn("Reason", width="large"),
                "trend": st.column_config.TextColumn("In the period"),
                "first_seen": st.column_config.DatetimeColumn("First seen", format="YYYY-MM-DD"),
            },
        )
        numbers("reasons", name, table, shown=False)
    rows = event.selection.rows
    if rows:
        reason = str(found.iloc[rows[0]]["reason"])
        open_users(Filters(integration=scope.integrations, reason=(reason,), as_of=scope.at))


def _reason(reason: str, words: str | None) -> str:
    """The words of a code beside it, where it has some."""
    return reason if words in (None, reason) else f"{reason}: {words}"


def _pairs(found: pd.DataFrame) -> zip:
    return zip(found["accounts"], found["before"], strict=True)


def _growth(change: int) -> str:
    if not change:
        return "→ steady"
    return f"↑ growing, +{change:,}" if change > 0 else f"↓ shrinking, -{-change:,}"


def integrations(found: Trends, unloaded: pd.DataFrame, scope: Scope, now: datetime) -> None:
    """A row per integration; selecting one opens its accounts.

    How many of its files are held or refused is told where some are.
    """
    name, newest = "Integrations", found.newest
    lines = found.by_integration.groupby("integration")["failed"].apply(list).rename("trend")
    is_stale = stale(newest, now)
    shown = newest.merge(lines, on="integration", how="left")
    aside = shown["integration"].map(unloaded.groupby("integration")["files"].sum())
    shown = shown.assign(
        unloaded=aside.astype("Int64"),
        freshness=[_freshness(*row) for row in zip(shown["taken_at"], shown["rhythm"], is_stale,
                                                   [now] * len(shown), strict=True)],
        taken_at=[local(at, scope.zone) for at in shown["taken_at"]],
    ).drop(columns="rhythm")  # fmt: skip
    columns = {
        "integration": st.column_config.TextColumn("Integration", pinned=True),
        "freshness": st.column_config.TextColumn("Freshness", width="medium"),
        "failed": st.column_config.NumberColumn("Failed", format="localized"),
        "trend": st.column_config.AreaChartColumn("Failing per day", y_min=0),
        "waiting": st.column_config.NumberColumn("Waiting", format="localized"),
        "accounts": st.column_config.NumberColumn("Accounts", format="localized"),
        "active": st.column_config.NumberColumn("Active", format="localized"),
        "unmatched": st.column_config.NumberColumn("Unmatched", format="localized"),
        "taken_at": st.column_config.DatetimeColumn(
            f"Newest snapshot ({scope.zone})", format="YYYY-MM-DD HH:mm"
        ),
        "unloaded": st.column_config.NumberColumn("Held or refused files"),
    }
    if not shown["unloaded"].any():
        del columns["unloaded"]
    with st.container(border=True, key="card_integrations"):
        heading(
            name,
            findings.of_integrations(len(shown), int(is_stale.sum())),
            "Each at its newest snapshot, stale by its own rhythm; select a row for its accounts.",
        )
        leads_on = Act.USERS in principal().acts
        event: Any = st.dataframe(
            shown,
            hide_index=True,
            key="integrations",
            on_select="rerun" if leads_on else "ignore",
            selection_mode="single-row",
            alt="One row per integration: how fresh it is, and its accounts",
            column_order=list(columns),
            column_config=columns,
        )
        numbers("integrations", name, shown.drop(columns="trend"), shown=False)
    rows = event.selection.rows if leads_on else []
    if rows:
        open_users(meant_by([[shown.iloc[rows[0]]["integration"]]], scope))


def _freshness(taken_at: datetime, rhythm: Any, is_stale: bool, now: datetime) -> str:
    age = in_words(max((now - taken_at).total_seconds(), 0))
    usual = "" if pd.isna(rhythm) else f", usually every {in_words(rhythm.total_seconds())}"
    return f"{'▲ stale' if is_stale else '● fresh'}: {age} old{usual}"


def failing_by_operation(failures: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: [day, operation, accounts] in the failed state."""
    return failures.rename(columns={"failing": "accounts"})[["day", "operation", "accounts"]]
