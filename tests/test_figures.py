"""What the charts of Health show, and what they never do."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import pytest

from data.states import OPERATIONS, STATE_BY_NAME, STATE_NAMES, UNRECOGNIZED
from queries.health.durations import Durations, kaplan_meier
from widgets import figure_theme
from widgets.health import annotations, captions, figures, heatmap
from widgets.health.marks import Mark, mark_from

MONDAY = dt.date(2026, 11, 23)
DAYS = [MONDAY + dt.timedelta(days=n) for n in range(4)]

# Streamlit's light background, and its dark one before and in 1.67.
BACKGROUNDS = ["#ffffff", "#0e1117", "#171614"]
COLORS = figure_theme.PHASE_COLORS | figure_theme.OPERATION_COLORS


def counts(**accounts: int) -> pd.DataFrame:
    """Zero accounts in each of the eleven states, but for the given (underscores as spaces)."""
    given = {state.replace("_", " "): count for state, count in accounts.items()}
    rows = dict.fromkeys(STATE_NAMES, 0) | given
    return pd.DataFrame(rows.items(), columns=["state", "accounts"])


def mix(days: list[dt.date] = DAYS, **accounts: int) -> pd.DataFrame:
    return pd.concat([counts(**accounts).assign(day=day) for day in days], ignore_index=True)


def daily(value: float | dict[str, float], days: list[dt.date] = DAYS, column: str = "accounts"):
    """The same value for each day and operation, or one per operation."""
    values = value if isinstance(value, dict) else dict.fromkeys(OPERATIONS, value)
    rows = [(day, operation, amount) for day in days for operation, amount in values.items()]
    return pd.DataFrame(rows, columns=["day", "operation", column])


def flows(days: list[dt.date] = DAYS, **of_update: int) -> pd.DataFrame:
    """Three of everything for each day and operation, but for what is given of updates."""
    frame = daily(3, days, column="existing").assign(new=3, resolved=3)
    for part, number in of_update.items():
        frame.loc[frame["operation"] == "update", part] = number
    return frame


def rates(value: float | dict[str, float], days: list[dt.date] = DAYS):
    return daily(value, days, column="rate")


def failed(value: float | dict[str, float], days: list[dt.date] = DAYS):
    return daily(value, days, column="failed")


def marks_of(points: go.Bar | go.Scatter) -> list[Mark]:
    """What clicks on the points of a trace mean."""
    return [mark_from(values) for values in points.customdata]


def trace(figure: go.Figure, name: str):
    return next(trace for trace in figure.data if trace.name == name)


def hover_of(figure: go.Figure, name: str, day: dt.date) -> str:
    marks = trace(figure, name)
    return marks.hovertext[marks.x.index(day.isoformat())]


def sentence(figure: go.Figure) -> str:
    assert not figure.data
    return figure.layout.annotations[0].text


PER_DAY = [
    pytest.param(figures.state_mix_figure, mix, id="state mix"),
    pytest.param(figures.failure_trend_figure, flows, id="failure trend"),
    pytest.param(figures.failed_figure, lambda days: failed(3, days), id="failed"),
    pytest.param(figures.failure_rate_figure, lambda days: rates(0.2, days), id="failure rate"),
]
Draw = Callable[[pd.DataFrame], go.Figure]
Build = Callable[[list[dt.date]], pd.DataFrame]


# Accounts by provisioning state


def test_all_eleven_states_are_listed_in_lifecycle_order_even_when_zero():
    shuffled = counts(Onboarded=1600, Update_failed=14).sample(frac=1, random_state=1)
    figure = figures.state_counts_figure(shuffled)
    assert figure.layout.yaxis.ticktext == STATE_NAMES
    assert trace(figure, None).text[:4] == ("0", "0", "0", "1,600")


def test_a_state_that_the_frame_leaves_out_is_listed_as_zero():
    only_onboarded = pd.DataFrame({"state": ["Onboarded"], "accounts": [5]})
    figure = figures.state_counts_figure(only_onboarded)
    assert figure.layout.yaxis.ticktext == STATE_NAMES


def test_the_first_state_of_the_lifecycle_is_on_top():
    figure = figures.state_counts_figure(counts())
    bottom, top = figure.layout.yaxis.range
    assert top < figure.data[0].y[0] < figure.data[0].y[-1] < bottom


@pytest.mark.parametrize(("accounts", "shown"), [(0, False), (2, True)])
def test_unrecognised_is_listed_only_when_an_account_is_in_it(accounts: int, shown: bool):
    figure = figures.state_counts_figure(counts(**{UNRECOGNIZED.name: accounts}))
    assert (UNRECOGNIZED.name in figure.layout.yaxis.ticktext) == shown


def test_operations_stand_apart_from_each_other_and_from_the_settled_states():
    rows = figures.state_counts_figure(counts()).data[0].y
    steps = [round(below - above, 1) for above, below in itertools.pairwise(rows)]
    assert steps == [1.0, 1.0, 1.4, 1.4, 1.0, 1.0, 1.4, 1.0, 1.0, 1.4]


def test_fifty_times_the_accounts_leave_the_small_bar_a_seventh_of_the_length():
    figure = figures.state_counts_figure(counts(Onboarded=2000, Update_failed=40))
    lengths = dict(zip(figure.layout.yaxis.ticktext, figure.data[0].x, strict=True))
    assert lengths["Onboarded"] / lengths["Update failed"] == pytest.approx(math.sqrt(50))
    assert lengths["Deleted"] == 0
    assert figure.layout.xaxis.title.text == "Bars not to scale (√)"


def test_a_bar_tells_its_state_count_and_share():
    figure = figures.state_counts_figure(counts(Onboarded=1999, Update_failed=1))
    assert figure.data[0].hovertext[STATE_NAMES.index("Update failed")] == (
        "Update failed: 1 account, 0.1% of all"
    )


def test_a_click_on_a_bar_means_its_state():
    figure = figures.state_counts_figure(counts())
    assert marks_of(figure.data[0]) == [Mark("state", name) for name in STATE_NAMES]


# Over time


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_day_without_a_snapshot_is_a_gap_not_a_zero(draw: Draw, build: Build):
    figure = draw(build([DAYS[0], DAYS[1], DAYS[3]]))
    for marks in figure.data:
        assert marks.x == tuple(day.isoformat() for day in DAYS)
        assert [value is None for value in marks.y] == [False, False, True, False]
        assert not getattr(marks, "connectgaps", False)


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_day_without_a_snapshot_is_shaded_and_explained(draw: Draw, build: Build):
    assert not draw(build(DAYS)).layout.shapes
    figure = draw(build([DAYS[0], DAYS[3]]))
    assert [shade.x0.date() for shade in figure.layout.shapes] == DAYS[:2]  # from noon to noon
    assert [shade.showlegend for shade in figure.layout.shapes] == [True, False]
    assert figure.layout.shapes[0].name == "No snapshot"


def test_an_operation_without_a_row_on_a_day_with_a_snapshot_failed_zero_times():
    figure = figures.failed_figure(failed({"update": 3}))
    assert trace(figure, "Delete").y == (0, 0, 0, 0)


def test_an_operation_that_neither_failed_nor_settled_has_no_rate_that_day():
    values = rates(0.2)
    values.loc[(values["day"] == DAYS[1]) & (values["operation"] == "update"), "rate"] = math.nan
    figure = figures.failure_rate_figure(values)
    assert trace(figure, "Update").y == (0.2, None, 0.2, 0.2)
    assert not figure.layout.shapes


def test_a_day_between_two_gaps_is_seen_though_no_line_reaches_it():
    line = trace(figures.failed_figure(failed(3, [DAYS[0], DAYS[2], DAYS[3]])), "Update")
    assert [size > 0 for size in line.marker.size] == [True, False, False, False]


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_days_may_come_as_timestamps_and_in_any_order(draw: Draw, build: Build):
    frame = build(DAYS)
    shuffled = frame.assign(day=pd.to_datetime(frame["day"])).sample(frac=1, random_state=1)
    assert draw(shuffled) == draw(frame)


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_one_day_alone_is_drawn_on_a_week(draw: Draw, build: Build):
    first, last = draw(build([MONDAY])).layout.xaxis.range
    assert last - first == dt.timedelta(days=7)


def test_state_mix_keeps_onboarded_out_of_the_stack_of_what_is_under_way():
    figure = figures.state_mix_figure(mix(Onboarded=1600))
    stacked = [marks.name for marks in figure.data if marks.type == "bar"]
    assert stacked == ["Failed", "Ongoing", "Awaiting"]  # from the bottom
    assert {marks.yaxis for marks in figure.data if marks.type == "bar"} == {"y"}
    assert trace(figure, "Onboarded").yaxis == trace(figure, "Deleted").yaxis == "y2"


def test_state_mix_adds_up_the_states_of_a_phase():
    every_state = dict.fromkeys((name.replace(" ", "_") for name in STATE_NAMES), 2)
    figure = figures.state_mix_figure(mix([MONDAY], **every_state))
    assert {marks.name: marks.y for marks in figure.data} == {
        "Onboarded": (2,),
        "Deleted": (2,),
        "Awaiting": (6,),
        "Ongoing": (6,),
        "Failed": (6,),
    }


def test_state_mix_shows_unrecognised_only_when_an_account_is_in_it():
    named = [marks.name for marks in figures.state_mix_figure(mix(**{UNRECOGNIZED.name: 1})).data]
    assert UNRECOGNIZED.name in named
    assert UNRECOGNIZED.name not in [marks.name for marks in figures.state_mix_figure(mix()).data]


def test_hovering_over_the_state_mix_tells_the_whole_day():
    figure = figures.state_mix_figure(mix(Onboarded=1600, Update_failed=14, Delete_failed=1))
    words = "1,600 Onboarded<br>0 Deleted<br>0 Awaiting<br>0 Ongoing<br>15 Failed"
    assert hover_of(figure, "Failed", MONDAY) == words


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (figures.failed_figure(failed(1400)), "1,400 accounts failed to update"),
        (figures.failure_rate_figure(rates(0.125)), "12.5% of update jobs failed"),
    ],
)
def test_a_mark_tells_its_day_and_number_in_words(figure: go.Figure, words: str):
    assert hover_of(figure, "Update", MONDAY) == words
    assert trace(figure, "Update").hovertemplate == "%{x|%-d %b %Y}: %{hovertext}<extra></extra>"


@pytest.mark.parametrize(("draw", "build"), PER_DAY[2:])
def test_a_click_on_a_failure_means_its_day_and_operation(draw: Draw, build: Build):
    figure = draw(build(DAYS))
    assert marks_of(trace(figure, "Update"))[1] == Mark("failed", "update", "2026-11-24")


def test_a_click_on_the_state_mix_means_its_day_and_states():
    figure = figures.state_mix_figure(mix())
    for phase in ("failed", "ongoing", "awaiting"):
        mark = marks_of(trace(figure, phase.capitalize()))[0]
        assert mark == Mark(phase, day="2026-11-23")
    assert marks_of(trace(figure, "Onboarded"))[0] == Mark("state", "Onboarded", "2026-11-23")


def test_the_legend_of_a_stack_reads_from_the_top_of_the_stack():
    figure = figures.state_mix_figure(mix())
    assert figure.layout.legend.traceorder == "reversed"
    assert figure.layout.barmode == "stack"


def test_operations_come_in_the_same_order_in_every_legend():
    lines = [marks.name for marks in figures.failed_figure(failed(3)).data]
    shares = [marks.name for marks in figures.failure_rate_figure(rates(0.2)).data]
    assert shares == lines == ["Provision", "Update", "Delete"]


def test_few_accounts_are_counted_in_whole_steps():
    assert figures.failed_figure(failed(2)).layout.yaxis.dtick == 1
    assert figures.failed_figure(failed(200)).layout.yaxis.dtick is None


# How failures come and go


def of_update(figure: go.Figure, part: str):
    """The marks of one part in the second panel, that of updates."""
    return next(m for m in figure.data if m.name == part and m.yaxis == "y2")


def test_what_failed_before_and_what_is_new_add_up_and_what_is_cleared_goes_below():
    figure = figures.failure_trend_figure(flows(existing=10, new=4, resolved=2))
    assert of_update(figure, "Existing").y == (10, 10, 10, 10)
    assert of_update(figure, "New").y == (4, 4, 4, 4)
    assert of_update(figure, "Resolved").y == (-2, -2, -2, -2)
    assert figure.layout.barmode == "relative"


def test_a_day_of_the_trend_is_described_in_words():
    figure = figures.failure_trend_figure(flows(existing=1400, new=4, resolved=2))
    words = "Update: 4 new, 1,400 existing, 2 resolved failures"
    assert of_update(figure, "New").hovertext[0] == words


def test_a_click_on_the_trend_means_the_day_the_operation_and_what_came_or_went():
    figure = figures.failure_trend_figure(flows())
    for part, kind in (("Existing", "failed"), ("New", "new"), ("Resolved", "resolved")):
        mark = marks_of(of_update(figure, part))[1]
        assert mark == Mark(kind, "update", "2026-11-24")


def test_a_day_on_which_nothing_ended_has_no_rate_but_is_no_gap():
    values = rates(0.2)
    values.loc[values["day"] == DAYS[1], "rate"] = math.nan
    figure = figures.failure_rate_figure(values)
    assert trace(figure, "Update").y == (0.2, None, 0.2, 0.2)
    assert not figure.layout.shapes


# How long things take


def lasting(**jobs: list[tuple[float, bool, int]]) -> dict[str, Durations]:
    return {name: kaplan_meier(jobs.get(name, [])) for name in OPERATIONS}


HOURS, DAYS_LONG = 3600, 86_400


def test_the_share_of_ended_jobs_rises_where_jobs_ended():
    two_of_four = [(DAYS_LONG, True, 1), (2 * DAYS_LONG, True, 1), (3 * DAYS_LONG, False, 2)]
    line = trace(figures.durations_figure(lasting(update=two_of_four)), "Update")
    assert line.x == (0, 1, 2, 3)
    assert line.y == pytest.approx((0, 0.25, 0.5, 0.5))
    assert line.hovertext[2] == "50% of update jobs ended within 2 days"
    assert line.line.shape == "hv"


def test_an_operation_without_jobs_has_no_line():
    figure = figures.durations_figure(lasting(update=[(HOURS, True, 1)]))
    assert [line.name for line in figure.data] == ["Update"]
    assert sentence(figures.durations_figure(lasting())) == "No job started in this period."


def test_a_click_on_a_duration_means_the_jobs_that_run():
    figure = figures.durations_figure(lasting(delete=[(HOURS, True, 1)]))
    assert marks_of(figure.data[0])[0] == Mark("unsettled", "delete")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 min"),
        (26 * 60, "26 min"),
        (59.7 * 60, "1 h"),
        (5.43 * HOURS, "5 h 26 min"),
        (36 * HOURS, "36 h"),
        (5.25 * DAYS_LONG, "5 days 6 h"),
        (6 * DAYS_LONG, "6 days"),
        (59.2 * DAYS_LONG, "59 days"),
        (1234 * DAYS_LONG, "1,234 days"),
    ],
)
def test_a_time_span_is_written_in_its_two_largest_units(seconds: float, words: str):
    assert figure_theme.format_span(seconds) == words


# Open jobs


def open_jobs(age: str, **accounts: int) -> pd.DataFrame:
    rows = [(name, age, accounts.get(name, 0)) for name in OPERATIONS]
    return pd.DataFrame(rows, columns=["operation", "age", "accounts"])


def test_a_bar_of_the_backlog_means_what_waits_just_so_long():
    figure = figures.backlog_figure(open_jobs("1–3 d", update=4))
    bar = trace(figure, "Update")
    assert bar.y == (4,)
    assert marks_of(bar) == [Mark("open", "update", cell="1–3 d")]
    assert bar.hovertext == ("4 open update jobs",)


def test_a_store_in_which_nothing_waits_says_so():
    assert sentence(figures.backlog_figure(open_jobs("1–3 d"))) == "No open jobs."


# Where it fails


def cells(*rows: tuple[str, dt.date, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["integration", "day", "failed", "accounts"])


NO_FILES = pd.DataFrame({"day": [], "integration": [], "status": [], "files": []})


def failure_map(frame: pd.DataFrame, quarantined: pd.DataFrame = NO_FILES) -> go.Figure:
    return heatmap.failure_map_figure(frame, quarantined)


def test_the_map_marks_the_files_that_were_held_in_their_row_and_reaches_to_their_day():
    day, later = dt.date(2026, 3, 1), dt.date(2026, 3, 3)
    held = pd.DataFrame(
        [[later, "figma", "on hold", 1], [later, "never loaded", "rejected", 2]],
        columns=["day", "integration", "status", "files"],
    )
    figure = failure_map(cells(("figma", day, 1, 10), ("slack", day, 5, 10)), held)
    mark = figure.data[-1]
    assert marks_of(mark) == [Mark("quarantined", day="2026-03-03", cell="figma")]
    assert figure.layout.yaxis.ticktext[mark.y[0]] == "figma"
    assert mark.hovertext == ("figma, 3 Mar 2026: 1 file on hold",)
    assert figure.layout.xaxis.range[1] == pd.Timestamp(later) + pd.Timedelta(hours=12)


def test_a_map_of_many_integrations_shows_those_that_fail_most_and_says_so():
    many = cells(*((f"app{n:03d}", DAYS[0], n, 1000) for n in range(500)))
    figure = failure_map(many)
    assert figure.layout.yaxis.ticktext == tuple(f"app{n}" for n in range(400, 500))
    shown = {mark.cell for mark in marks_of(figure.data[1])}
    assert shown == {f"app{n}" for n in range(400, 500)}
    assert captions.map_headline(many) == (
        "499 of 500 integrations have failures; the 100 that fail most are shown"
    )


def test_a_cell_is_the_share_of_accounts_that_fail_the_worst_integration_on_top():
    figure = failure_map(
        cells(
            ("a", DAYS[0], 1, 4), ("a", DAYS[1], 2, 4), ("b", DAYS[0], 0, 4), ("b", DAYS[1], 0, 4)
        )
    )
    heat, marks = figure.data
    assert heat.z.tolist() == [[0, 0], [0.25, 0.5]]
    assert figure.layout.yaxis.ticktext == ("b", "a")
    assert marks.hovertext[1] == "a, 24 Nov 2026: 2 of 4 accounts failed (50.0%)"
    assert marks_of(marks)[1] == Mark("failed", day="2026-11-24", cell="a")


def test_a_day_without_a_snapshot_is_an_empty_column_of_the_map():
    figure = failure_map(cells(("a", DAYS[0], 1, 4), ("a", DAYS[2], 1, 4)))
    assert [math.isnan(share) for share in figure.data[0].z[0]] == [False, True, False]


def test_an_integration_without_accounts_has_no_share():
    figure = failure_map(cells(("a", DAYS[0], 0, 0)))
    assert math.isnan(figure.data[0].z[0][0])
    assert figure.data[1].hovertext[0] == "a, 23 Nov 2026: 0 of 0 accounts failed"


def test_a_long_period_is_mapped_by_the_last_day_of_each_week():
    days = [MONDAY + dt.timedelta(days=n) for n in range(50)]
    figure = failure_map(cells(*(("a", day, nth, 100) for nth, day in enumerate(days))))
    assert figure.data[0].z.shape == (1, 8)
    assert marks_of(figure.data[1])[0] == Mark("failed", day="2026-11-29", cell="a")
    assert figure.data[0].z[0][0] == pytest.approx(0.06)


def test_a_hundred_integrations_have_a_line_of_their_own_each():
    figure = failure_map(cells(*((f"app {n}", MONDAY, n, 100) for n in range(100))))
    assert len(figure.layout.yaxis.ticktext) == 100
    assert figure.layout.height / 100 > 15


def test_names_in_the_map_are_text():
    figure = failure_map(cells(("<b>figma</b>\n" + "x" * 50, MONDAY, 1, 2)))
    (name,) = figure.layout.yaxis.ticktext
    assert name.startswith("&lt;b&gt;figma&lt;/b&gt; x")
    assert name.endswith("…")
    assert "<b>" not in figure.data[1].hovertext[0]


# Nothing to draw


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_period_without_snapshots_says_so(draw: Draw, build: Build):
    assert sentence(draw(build(DAYS).iloc[:0])) == "No snapshots in this period."


def test_a_store_without_snapshots_says_so():
    assert sentence(figures.state_counts_figure(counts().iloc[:0])) == (
        "No snapshots in this period."
    )


def test_a_period_in_which_nothing_failed_says_so():
    nothing = daily(0, column="existing").assign(new=0, resolved=0)
    assert sentence(figures.failure_trend_figure(nothing)) == "No failures in this period."


def test_a_period_in_which_nothing_failed_or_settled_says_so():
    figure = figures.failure_rate_figure(rates(math.nan))
    assert sentence(figure) == "No job completed in this period."


# Seen by everyone


def luminance(color: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color: str, other: str) -> float:
    darker, lighter = sorted([luminance(color), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("meaning", COLORS)
def test_every_color_stands_out_from_light_and_from_dark(meaning: str, background: str):
    assert contrast(COLORS[meaning], background) >= 3


def test_there_is_a_color_for_every_phase_and_every_operation():
    assert set(figure_theme.PHASE_COLORS) == {state.phase for state in STATE_BY_NAME.values()}
    assert set(figure_theme.OPERATION_COLORS) == set(OPERATIONS)


def test_lines_differ_in_dash_and_columns_in_pattern_not_in_color_alone():
    lines = figures.failed_figure(failed(3)).data
    columns = figures.failure_trend_figure(flows()).data[:3]
    phases = [m for m in figures.state_mix_figure(mix()).data if m.type == "bar"]
    assert len({line.line.dash for line in lines}) == len(lines)
    assert len({column.marker.pattern.shape for column in columns}) == len(columns)
    assert len({column.marker.pattern.shape for column in phases}) == len(phases)


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_text_and_background_are_left_to_the_theme(draw: Draw, build: Build):
    layout = draw(build(DAYS)).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert layout.font.color is None
    theme = {"font", "title", "colorway", "hoverlabel", "paper_bgcolor", "plot_bgcolor"}
    assert not theme & set(layout.template.layout.to_plotly_json())


# Days with a file on hold or rejected


def quarantined(*rows: tuple[dt.date, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["day", "integration", "status"])


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_day_of_which_a_file_was_held_is_marked_in_every_trend(draw: Draw, build: Build):
    figure = annotations.mark_quarantined(
        draw(build(DAYS)), quarantined((DAYS[1], "figma", "on hold"))
    )
    assert hover_of(figure, "On hold or rejected", DAYS[1]) == "figma on hold"
    marks = marks_of(trace(figure, "On hold or rejected"))
    assert marks == [Mark("quarantined", day="2026-11-24")]
    (line,) = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert pd.Timestamp(line.x0) == pd.Timestamp(DAYS[1])


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_trend_without_such_days_is_drawn_as_ever(draw: Draw, build: Build):
    assert annotations.mark_quarantined(draw(build(DAYS)), quarantined()) == draw(build(DAYS))


@pytest.mark.parametrize(("draw", "build"), PER_DAY)
def test_a_mark_after_the_last_snapshot_has_room_and_stands_on_no_snapshot(
    draw: Draw, build: Build
):
    later = DAYS[-1] + dt.timedelta(days=2)
    figure = annotations.mark_quarantined(
        draw(build(DAYS)), quarantined((later, "figma", "rejected"))
    )
    assert pd.Timestamp(figure.layout.xaxis.range[1]) == pd.Timestamp(later) + figure_theme.DAY / 2
    (gap,) = [shape for shape in figure.layout.shapes if shape.name == "No snapshot"]
    assert pd.Timestamp(gap.x0) == pd.Timestamp(DAYS[-1]) + figure_theme.DAY / 2


def test_a_mark_names_all_files_of_its_day_as_text():
    held = quarantined((MONDAY, "<b>figma</b>", "on hold"), (MONDAY, "slack", "rejected"))
    figure = annotations.mark_quarantined(figures.failed_figure(failed(3)), held)
    assert hover_of(figure, "On hold or rejected", MONDAY) == (
        "&lt;b&gt;figma&lt;/b&gt; on hold; slack rejected"
    )


def test_a_trend_that_has_nothing_to_show_says_what_is_not_counted():
    figure = annotations.mark_quarantined(
        figures.failure_rate_figure(rates(math.nan)), quarantined((MONDAY, "a", "on hold"))
    )
    assert sentence(figure) == (
        "No job completed in this period.<br>"
        "On hold or rejected, and not counted: 23 Nov 2026 (a on hold)."
    )


def test_the_newest_of_many_days_are_listed():
    many = quarantined(*((MONDAY + dt.timedelta(days=n), "figma", "on hold") for n in range(7)))
    words = annotations.quarantined_text(many)
    assert words.startswith(
        "On hold or rejected, and not counted: 29 Nov 2026 (figma on hold), 28 Nov"
    )
    assert words.endswith(" and 2 more days.")
