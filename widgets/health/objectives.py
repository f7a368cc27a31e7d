"""The block “Objectives” of Health: what is broken, how fast budgets burn, and the settings."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
import streamlit as st

from data.formatting import count_of, plural
from queries.objectives.results import ObjectiveResult, Status
from queries.objectives.words import behind_text, broken_text, budget_text, sentence, share_text
from widgets.address import group_params
from widgets.frame_table import frame_table
from widgets.health.health_data import HealthData
from widgets.health.objective_settings import may_change_any, objective_settings
from widgets.health.tiles import curve_image
from widgets.health.verdict import Link, Sentence, draw_sentence
from widgets.labels import escape_label

MAX_ROWS = 8
"""Objectives that are drawn with their accounts; the table has all."""

BADGES: dict[Status, tuple[str, str, Literal["red", "orange", "green"]]] = {
    "broken": ("Broken", ":material/error:", "red"),
    "burning": ("Burning", ":material/local_fire_department:", "orange"),
    "met": ("Met", ":material/check:", "green"),
}


def objectives_card(data: HealthData) -> None:
    """The objectives that are broken or burn too fast, the worst first; the others in a table."""
    results, unmeasured = data.measured
    may_change = may_change_any()
    problems = (*data.objectives.problems, *unmeasured) if may_change else ()
    if not results and not problems:
        return
    with st.container(border=True, key="objectives", gap="small"):
        st.caption("Objectives")
        st.subheader(headline(results), anchor=False)
        for problem in problems:
            st.warning(escape_label(problem, 400), icon=":material/warning:")
        for number, result in enumerate([r for r in results if r.status != "met"][:MAX_ROWS]):
            _draw_row(data, result, number)
        with st.container(horizontal=True, gap="small", key="objective_details"):
            if results and st.toggle("Table", key="objectives_table"):
                frame_table(table(results), "Objectives", "objectives_numbers")
        if may_change:
            objective_settings(data.objectives, [*data.trends.integrations["integration"]])


def headline(results: Sequence[ObjectiveResult]) -> str:
    """How many are broken, and how many burn."""
    counts = {status: sum(r.status == status for r in results) for status in BADGES}
    broken, burning = counts["broken"], counts["burning"]
    total = count_of(len(results), "objective")
    if not results:
        return "No objective can be measured"
    if not broken and not burning:
        return "The objective is met" if len(results) == 1 else f"All {total} are met"
    verb = plural(broken, "is", "are")
    burn = f"{burning:,} {plural(burning, 'burns', 'burn')} too fast"
    if not broken:
        return f"All {total} are met; {burn}"
    return f"{broken:,} of {total} {verb} broken" + (f"; {burn}" if burning else "")


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


def _draw_row(data: HealthData, result: ObjectiveResult, number: int) -> None:
    label, icon, color = BADGES[result.status]
    badge, text, course = st.columns([1, 7, 2], vertical_alignment="center", gap="small")
    badge.badge(label, icon=icon, color=color)
    with text:
        draw_sentence(row_sentence(data, result), f"objective_{number}")
    if result.budget:
        course.html(curve_image(result.budget.course, limit=1))


def row_sentence(data: HealthData, result: ObjectiveResult) -> Sentence:
    """The objective in words; the number of accounts opens them."""
    texts = [sentence(result), budget_text(result), broken_text(result, data.scope.zone)]
    parts: Sentence = [f"{result.integration}: {' '.join(filter(None, texts))}"]
    if not result.accounts:
        return parts
    count, words = behind_text(result)
    as_of = result.filters.as_of
    has_list = as_of is None or not data.has_only_counts(as_of)
    link = Link(count, group_params(result.filters.params())) if has_list else count
    return [*parts, " ", link, f"{words}."]
