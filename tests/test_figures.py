"""What the charts of Health show, and what they never do."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import pytest

from data.formatting import format_span
from data.states import OPEN_STATES, OPERATIONS, STATE_BY_NAME
from queries.health.durations import Durations, kaplan_meier
from widgets import figure_theme
from widgets.health import annotations, captions, figures, heatmap
from widgets.health.marks import Mark, mark_from

MONDAY = dt.date(2026, 11, 23)
DAYS = [MONDAY + dt.timedelta(days=n) for n in range(4)]

# Streamlit's light background, and its dark one before and in 1.67.
BACKGROUNDS = ["#ffffff", "#0e1117", "#171614"]
COLORS = figure_theme.PHASE_COLORS | {"ink": figure_theme.INK}


def daily(value: float | dict[str, float], days: list[dt.date] = DAYS, column: str = "accounts"):
    """The same value for each day and operation, or one per operation."""
    values = value if isinstance(value, dict) else dict.fromkeys(OPERATIONS, value)
    rows = [(day, operation, amount) for day in days for operation, amount in values.items()]
    return pd.DataFrame(rows, columns=["day", "operation", column])


def rates(value: float, days: list[dt.date] = DAYS, *, completed: int = 20, before: float = 0.1):
    """The same rate on each day, of as many jobs."""
    frame = pd.DataFrame({"day": days, "completed": completed, "rate": value, "before": before})
    return frame.assign(new=(frame["completed"] * frame["rate"].fillna(0)).astype(int))


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
    pytest.param(figures.failed_figure, lambda days: failed(3, days), id="failed"),
]
DAILY = [
    *PER_DAY,
    pytest.param(figures.failure_rate_figure, lambda days: rates(0.2, days), id="failure rate"),
]
Draw = Callable[[pd.DataFrame], go.Figure]
Build = Callable[[list[dt.date]], pd.DataFrame]


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


def test_a_day_between_two_gaps_is_seen_though_no_line_reaches_it():
    line = trace(figures.failed_figure(failed(3, [DAYS[0], DAYS[2], DAYS[3]])), "Failed")
    assert [size > 0 for size in line.marker.size] == [True, False, False, False]


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_days_may_come_as_timestamps_and_in_any_order(draw: Draw, build: Build):
    frame = build(DAYS)
    shuffled = frame.assign(day=pd.to_datetime(frame["day"])).sample(frac=1, random_state=1)
    assert draw(shuffled) == draw(frame)


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_one_day_alone_is_drawn_on_a_week(draw: Draw, build: Build):
    first, last = draw(build([MONDAY])).layout.xaxis.range
    assert last - first == dt.timedelta(days=7)


@pytest.mark.parametrize(
    ("figure", "name", "words"),
    [
        (
            figures.failed_figure(failed({"provision": 1, "update": 1400, "delete": 0})),
            "Failed",
            "1,401 accounts failed: 1 provision, 1,400 update, 0 delete",
        ),
        (
            figures.failure_rate_figure(rates(0.125)),
            "Failure rate, 7 days",
            "12.5% of 20 jobs failed",
        ),
    ],
)
def test_a_mark_tells_its_day_and_number_in_words(figure: go.Figure, name: str, words: str):
    assert hover_of(figure, name, MONDAY) == words
    assert trace(figure, name).hovertemplate == "%{x|%-d %b %Y}: %{hovertext}<extra></extra>"


def test_a_click_on_a_failure_means_its_day():
    for figure, name in (
        (figures.failed_figure(failed(3)), "Failed"),
        (figures.failure_rate_figure(rates(0.2)), "Failure rate, 7 days"),
    ):
        assert marks_of(trace(figure, name))[1] == Mark("failed", day="2026-11-24")


def test_the_newest_number_stands_at_the_end_of_its_line():
    (count,) = figures.failed_figure(failed(500)).layout.annotations
    assert (count.text, count.x) == ("<b>1,500</b>", pd.Timestamp(DAYS[-1]))
    (rate,) = figures.failure_rate_figure(rates(0.25)).layout.annotations
    assert rate.text == "<b>25%</b>"


def test_the_rate_stands_beside_that_of_the_period_before():
    figure = figures.failure_rate_figure(rates(0.2, before=0.4))
    assert trace(figure, "Period before").y == (0.4,) * 4
    assert trace(figure, "Period before").customdata is None


def test_a_rate_of_few_jobs_is_hollow():
    line = trace(
        figures.failure_rate_figure(rates(0.2, completed=figures.FEW_JOBS - 1)),
        "Failure rate, 7 days",
    )
    assert set(line.marker.symbol) == {"circle-open"}
    solid = trace(figures.failure_rate_figure(rates(0.2)), "Failure rate, 7 days")
    assert set(solid.marker.symbol) == {"circle"}


def test_streamlit_alone_decides_the_size_of_a_chart():
    """A browser that measures the page late would otherwise show charts without height."""
    assert not figure_theme.PLOTLY_CONFIG.get("responsive")


def test_few_accounts_are_counted_in_whole_steps():
    assert figures.failed_figure(failed(1)).layout.yaxis.dtick == 1
    assert figures.failed_figure(failed(200)).layout.yaxis.dtick is None


def test_days_without_a_completed_job_have_no_rate_but_are_no_gap():
    values = rates(0.2)
    values.loc[values["day"] == DAYS[1], "rate"] = math.nan
    figure = figures.failure_rate_figure(values)
    assert trace(figure, "Failure rate, 7 days").y == (0.2, None, 0.2, 0.2)
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


def test_each_operation_has_a_panel_of_its_own():
    figure = figures.durations_figure(lasting(update=[(HOURS, True, 1)]))
    assert [(line.name, line.xaxis) for line in figure.data] == [
        ("Provision", "x"),
        ("Update", "x2"),
        ("Delete", "x3"),
    ]
    titles = [figure.layout[f"xaxis{n}"].title.text for n in (1, 2, 3)]
    assert titles == ["Provision", "Update", "Delete"]
    assert sentence(figures.durations_figure(lasting())) == "No job started in this period."


def test_a_click_on_a_duration_means_the_jobs_that_run():
    figure = figures.durations_figure(lasting(delete=[(HOURS, True, 1)]))
    assert marks_of(trace(figure, "Delete"))[0] == Mark("unsettled", "delete")


def weeks(**seconds: float) -> pd.DataFrame:
    rows = [(MONDAY, name, 10, seconds.get(name), None) for name in OPERATIONS]
    columns = ["week", "operation", "jobs", "median", "percentile_90"]
    return pd.DataFrame(rows, columns=columns).astype({"median": float, "percentile_90": float})


def test_times_to_complete_are_days_by_week_and_operation():
    figure = figures.duration_trend_figure(weeks(update=2 * DAYS_LONG))
    lines = [line for line in figure.data if line.name == "Median"]
    assert [line.y for line in lines] == [(None,), (2,), (None,)]
    assert lines[1].hovertext == ("Median 2 days, 10 jobs",)
    assert marks_of(lines[1]) == [Mark("unsettled", "update")]
    assert sentence(figures.duration_trend_figure(weeks())) == "No job completed in this period."


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
    assert format_span(seconds) == words


# Open jobs


def open_jobs(age: str, **accounts: int) -> pd.DataFrame:
    rows = [(name, age, accounts.get(name.replace(" ", "_"), 0)) for name in OPEN_STATES]
    return pd.DataFrame(rows, columns=["state", "age", "accounts"])


def test_a_bar_of_the_backlog_means_the_accounts_of_its_state_and_age():
    figure = figures.backlog_figure(open_jobs("1–3 d", Update_awaiting=4))
    bar = next(bar for bar in figure.data if bar.name == "Awaiting" and bar.xaxis == "x2")
    assert bar.y == (4,)
    assert marks_of(bar) == [Mark("state", "Update awaiting", cell="1–3 d")]
    assert bar.hovertext == ("4 accounts: Update awaiting",)


def test_a_store_without_open_jobs_says_so():
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


def test_no_day_is_named_twice_below_a_map_of_few_days():
    figure = failure_map(cells(("a", DAYS[0], 1, 4), ("a", DAYS[2], 1, 4)))
    assert figure.layout.xaxis.dtick == 24 * 60 * 60 * 1000


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


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_a_period_without_snapshots_says_so(draw: Draw, build: Build):
    assert sentence(draw(build(DAYS).iloc[:0])) == "No snapshots in this period."


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


def test_there_is_a_color_for_every_phase():
    assert set(figure_theme.PHASE_COLORS) == {state.phase for state in STATE_BY_NAME.values()}


def test_color_means_the_phase_of_a_state_and_nothing_else():
    drawn = [
        figures.failed_figure(failed(3)),
        figures.failure_rate_figure(rates(0.2)),
        figures.backlog_figure(open_jobs("1–3 d", Update_awaiting=4)),
        figures.duration_trend_figure(weeks(update=9)),
        figures.durations_figure(lasting(update=[(HOURS, True, 1)])),
    ]
    colors = {
        mark.marker.color if mark.type == "bar" else mark.line.color
        for figure in drawn
        for mark in figure.data
    }
    assert colors <= {*figure_theme.PHASE_COLORS.values(), figure_theme.INK}


def test_series_differ_in_dash_or_pattern_not_in_color_alone():
    rate_lines = figures.failure_rate_figure(rates(0.2)).data
    bars = figures.backlog_figure(open_jobs("1–3 d", Update_awaiting=4)).data[:2]
    assert len({line.line.dash for line in rate_lines}) == 2
    assert len({bar.marker.pattern.shape for bar in bars}) == 2


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_text_and_background_are_left_to_the_theme(draw: Draw, build: Build):
    layout = draw(build(DAYS)).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert layout.font.color is None
    theme = {"font", "title", "colorway", "hoverlabel", "paper_bgcolor", "plot_bgcolor"}
    assert not theme & set(layout.template.layout.to_plotly_json())


# Days with a file on hold or rejected


def quarantined(*rows: tuple[dt.date, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["day", "integration", "status"])


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_a_day_of_which_a_file_was_held_is_marked_in_every_trend(draw: Draw, build: Build):
    figure = annotations.mark_quarantined(
        draw(build(DAYS)), quarantined((DAYS[1], "figma", "on hold"))
    )
    assert hover_of(figure, "On hold or rejected", DAYS[1]) == "figma on hold"
    marks = marks_of(trace(figure, "On hold or rejected"))
    assert marks == [Mark("quarantined", day="2026-11-24")]
    (line,) = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert pd.Timestamp(line.x0) == pd.Timestamp(DAYS[1])


@pytest.mark.parametrize(("draw", "build"), DAILY)
def test_a_trend_without_such_days_is_drawn_as_ever(draw: Draw, build: Build):
    assert annotations.mark_quarantined(draw(build(DAYS)), quarantined()) == draw(build(DAYS))


@pytest.mark.parametrize(("draw", "build"), DAILY)
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


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((1, 0), "The integration is up to date"),
        ((6, 0, 1), "All up to date: 5 apps and 1 directory"),
        ((6, 2, 2), "2 of 4 apps and 2 directories are stale"),
    ],
)
def test_directories_are_no_apps(counts: tuple[int, ...], words: str) -> None:
    assert captions.integrations_headline(*counts) == words
