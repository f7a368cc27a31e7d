"""The verdict: whether provisioning gets better, where it hurts most, and why, in a few sentences.

Every number in it is a link to the accounts that it counts.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import streamlit as st

from data.formatting import count_of, signed
from queries.filters import Filters
from queries.health.verdict import DayCount, Verdict, leader
from queries.objectives.words import headline
from widgets import timezone
from widgets.address import group_params
from widgets.health.captions import change_words, reason_text
from widgets.health.drill_down import address_of, can_open_marks, has_only_counts
from widgets.health.health_data import HealthData
from widgets.health.marks import Mark
from widgets.labels import escape_label

DIRECTION_LABELS: dict[str, tuple[str, str, Literal["red", "green", "gray"]]] = {
    "worse": ("Getting worse", ":material/trending_up:", "red"),
    "better": ("Getting better", ":material/trending_down:", "green"),
    "steady": ("Steady", ":material/trending_flat:", "gray"),
}


class Link(NamedTuple):
    """A part of a sentence that opens the accounts that it counts."""

    text: str
    params: dict[str, list[str]]


Sentence = list[str | Link]


def show_verdict(data: HealthData) -> Callable[[], None]:
    """The verdict on the accounts that have failed; returns what draws its last sentences.

    Those read the history, which can take a moment after a load.
    """
    course = data.verdict
    with st.container(border=True, key="verdict", gap="small"):
        if course:
            label, icon, color = DIRECTION_LABELS[course.direction]
            st.badge(label, icon=icon, color=color)
        for number, sentence in enumerate(sentences(data, course)):
            draw_sentence(sentence, number)
        reason_area = st.container(key="main_reason") if data.failed_count else None
        objectives_area = st.container(key="objectives_line")
        for area in filter(None, (reason_area, objectives_area)):
            area.empty()  # a container with nothing in it has no room

    def show_rest() -> None:
        results, _ = data.measured
        with objectives_area:
            st.text(f"{headline(results)}." if results else "")
        sentence = main_reason(data)
        if reason_area and sentence:
            with reason_area:
                draw_sentence(sentence, 9)

    return show_rest


def sentences(data: HealthData, course: Verdict | None) -> Iterator[Sentence]:
    """The count and its change, its course, the integration with the most."""
    failed = data.failed_count
    now = _accounts_link(data, count_of(failed, "failed account"), Mark("failed"))
    if course is None:
        yield [
            now,
            ". Trends start once every integration with failures has snapshots of two days.",
        ]
        return
    if not course.highest.failed:
        yield [f"No account has failed since {course.first.day:%-d %b}."]
        return
    yield [now, change_words(course), *_day(data, course.reference), "."]
    yield [*_course(data, course), "."]
    if failed and (worst := leader(data.trends.failed_by_integration)):
        count = _accounts_link(data, f"{worst.failed:,}", Mark("failed", cell=worst.integration))
        since = "" if worst.since == course.first.day else f" since {worst.since:%-d %b}"
        yield [
            f"{worst.integration} has the most: ",
            count,
            f" of {failed:,} ({worst.failed / failed:.0%}), more than any other{since}.",
        ]


def _course(data: HealthData, course: Verdict) -> Sentence:
    """The period's first day and its extremes."""
    parts: Sentence = ["First day: ", *_day(data, course.first, " on ")]
    if course.highest.failed != course.lowest.failed:
        parts += [". Highest: ", *_day(data, course.highest, " on ")]
        parts += [". Lowest: ", *_day(data, course.lowest, " on ")]
    change = course.newest.failed - course.week_before.failed
    weeks_change = signed(change) if change else "no change"
    return [*parts, f". Since {course.week_before.day:%-d %b}: {weeks_change}"]


def _day(data: HealthData, point: DayCount, joint: str = "") -> Sentence:
    """`15 Nov (53)` or, with a joint, `53 on 15 Nov`."""
    mark = Mark("failed", day=point.day.isoformat())
    link = _accounts_link(data, f"{point.failed:,}", mark)
    day = f"{point.day:%-d %b}"
    return [link, f"{joint}{day}"] if joint else [f"{day} (", link, ")"]


def main_reason(data: HealthData) -> Sentence:
    """The most frequent reason; empty where nothing fails."""
    failed = data.failed_count
    if not failed or data.reasons.empty:
        return []
    top = data.reasons.iloc[0]
    reason, count = str(top["reason"]), int(top["accounts"])
    text = reason_text(reason, str(top["template"]))
    filters = Filters(
        integration=data.scope.integration, reason=(reason,), as_of=data.scope.as_of
    ).params()
    link = Link(f"{count:,}", group_params(filters))
    return [f"Main reason: “{text}”, ", link, f" of {failed:,} ({count / failed:.0%})."]


def _accounts_link(data: HealthData, text: str, mark: Mark) -> Link | str:
    return text if has_only_counts(mark, data) else Link(text, address_of(mark, data.scope).params)


def draw_sentence(sentence: Sentence, number: int | str) -> None:
    """The parts side by side, as the look has them: inline, as text flows."""
    can_open = can_open_marks()
    with st.container(horizontal=True, gap=None, key=f"verdict_{number}"):
        for part in sentence:
            if isinstance(part, Link) and can_open:
                params = timezone.with_zone(part.params)
                st.page_link("users.py", label=escape_label(part.text), query_params=params)
            else:
                st.markdown(_markdown(part.text if isinstance(part, Link) else part))


def _markdown(text: str) -> str:
    """The text with its spaces at both ends, which HTML would drop."""
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return before.replace(" ", "&nbsp;") + escape_label(text, 300) + after.replace(" ", "&nbsp;")
