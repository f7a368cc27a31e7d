"""The block “Objectives” of Health: what is broken, how fast budgets burn, and the settings."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
import streamlit as st

from data.formatting import count_of
from queries.objectives.results import ObjectiveResult, Status
from queries.objectives.words import (
    behind_text,
    broken_text,
    budget_text,
    headline,
    sentence,
    share_text,
)
from queries.period import to_local
from widgets.address import group_params
from widgets.health.card import data_controls
from widgets.health.health_data import HealthData
from widgets.health.objective_settings import (
    SETTINGS_KEY,
    may_change_all,
    may_change_any,
    objective_settings,
    settings_switch,
)
from widgets.health.tiles import curve_image
from widgets.health.verdict import Link, Sentence, draw_sentence
from widgets.labels import escape_label

MAX_ROWS = 5
"""Objectives that are drawn with their accounts; the table has all."""

COURSE_ALT = "The budget that is spent, by day. The dashed line is all of it."

MAX_NAMED = 3
"""Integrations that a row names."""

BADGES: dict[Status, tuple[str, str, Literal["red", "orange", "green"]]] = {
    "broken": ("Broken", ":material/error:", "red"),
    "burning": ("Burning", ":material/local_fire_department:", "orange"),
    "met": ("Met", ":material/check:", "green"),
}


def objectives_card(data: HealthData) -> None:
    """The objectives that are broken or burn too fast, the worst first; the others in a table."""
    results, unmeasured = data.measured
    may_change = may_change_any()
    problems = [*data.objectives.problems] if may_change_all() else []
    problems += unmeasured if may_change else []
    if not results and not problems:
        return
    with st.container(border=True, key="objectives", gap="small"):
        with st.container(gap=None, key="says_objectives"):
            st.caption("Objectives")
            st.subheader(headline(results), anchor=False)
        for problem in problems:
            st.warning(escape_label(problem, 400), icon=":material/warning:")
        rows = alike([result for result in results if result.status != "met"])
        for number, same in enumerate(rows[:MAX_ROWS]):
            _draw_row(data, same, number)
        if more := sum(map(len, rows[MAX_ROWS:])):
            st.caption(f"{more:,} more are broken or burning; the table has all.")
        if results:
            data_controls("objectives", "Objectives", table(results), choose=settings_switch)
        else:
            settings_switch()
        if st.session_state.get(SETTINGS_KEY):
            objective_settings(data.objectives, [*data.trends.integrations["integration"]])


def table(results: Sequence[ObjectiveResult]) -> pd.DataFrame:
    """One row per objective, the worst first."""
    return pd.DataFrame(
        {
            "Integration": result.integration,
            "Objective": result.target,
            "Status": BADGES[result.status][0],
            "Found": result.found,
            "Budget spent": "" if result.spent is None else share_text(result.spent),
            "Accounts": result.accounts,
        }
        for result in results
    )


def alike(results: Sequence[ObjectiveResult]) -> list[list[ObjectiveResult]]:
    """The results in order; what is found alike for several integrations is one row."""
    rows: dict[object, list[ObjectiveResult]] = {}
    for result in results:
        key = (result.integration, result.kind) if result.budget else (result.kind, result.found)
        rows.setdefault(key, []).append(result)
    return list(rows.values())


def _draw_row(data: HealthData, same: Sequence[ObjectiveResult], number: int) -> None:
    worst = same[0]
    label, icon, color = BADGES[worst.status]
    badge, text, course = st.columns([1.6, 8, 2], vertical_alignment="center", gap="small")
    badge.badge(label, icon=icon, color=color)
    with text:
        draw_sentence(row_sentence(data, same), f"objective_{number}")
    if worst.budget:
        course.html(curve_image(worst.budget.course, limit=1, alt=COURSE_ALT))
        course.caption("Budget spent in 30 days")


def row_sentence(data: HealthData, same: Sequence[ObjectiveResult]) -> Sentence:
    """The objective in words; each number of accounts opens them."""
    zone, worst = data.scope.zone, same[0]
    if len(same) == 1:
        texts = [sentence(worst), budget_text(worst), broken_text(worst, zone)]
        text = f"{worst.integration}: {' '.join(filter(None, texts))}"
        return [f"{text} ", *_behind(data, worst), "."] if worst.accounts else [text]
    parts: Sentence = [f"{sentence(worst)} "]
    for number, result in enumerate(same[:MAX_NAMED]):
        since = to_local(result.broken_since or data.now, zone)
        name = f"{', ' if number else ''}{result.integration} since {since:%-d %b} ("
        parts += [name, *_behind(data, result), ")"]
    more = len(same) - MAX_NAMED
    return [*parts, f", and {count_of(more, 'integration')} more." if more > 0 else "."]


def _behind(data: HealthData, result: ObjectiveResult) -> Sentence:
    """The accounts behind a result, as a link unless retention has deleted the list."""
    count, words = behind_text(result)
    as_of = result.filters.as_of
    has_list = as_of is None or not data.has_only_counts(as_of)
    return [Link(count, group_params(result.filters.params())) if has_list else count, words]
