"""How cost grows: with accounts, with history, with integrations, and with the share that changes.

Costs are seconds of work on all cores, of who asks first after a load: nothing is remembered yet.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from sqlalchemy import Connection, select, text

from benchmarks.made import START
from benchmarks.serving import a_browser
from benchmarks.year import make
from data.files.naming import SnapshotFile
from data.history.load import load
from data.schema import account_current
from data.states import FAILED_STATES
from data.store.engine import close_store, open_store
from queries.changes.summary import summarize_changes
from queries.changes.window import Window
from queries.filters import Filters
from queries.health.backlog import backlog
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.trends import trends
from queries.period import Period
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULES
from queries.users.accounts import page_of_accounts
from queries.users.detail import account_history
from queries.users.facets import list_choices

ROUNDS = 3
PICTURE = Path(__file__).with_name("growth.png")


class Size(NamedTuple):
    """How large an installation is; what is loaded is one more snapshot of one integration."""

    accounts: int
    days: int
    integrations: int
    changed: float = 0.01  # of the accounts of the snapshot that is loaded


def axes(most: int) -> dict[str, list[Size]]:
    """What grows → the sizes, with at most so many accounts."""
    usual = most // 10
    return {
        "accounts": [Size(n, 30, 10) for n in _up_to(most, most // 100)],
        "days": [Size(usual // 2, days, 10) for days in (30, 100, 300, 1_000)],
        "integrations": [Size(usual, 60, n) for n in (1, 10, 100, 500)],
        "changed": [Size(usual, 30, 1, share) for share in (0.001, 0.01, 0.1, 0.3)],
    }


def _up_to(most: int, least: int) -> list[int]:
    steps = round(math.log10(most / least) * 2)
    return [round(least * 10 ** (step / 2)) for step in range(steps + 1)]


Costs = dict[str, float]
"""What is done → seconds of work; and the file's size, in megabytes."""


def growth(folder: Path, most: int) -> tuple[list[str], list[str]]:
    """Table rows: per axis what each act costs at each size; and per act how it grows.

    How it grows is the exponent of the power law that fits best: 0 not at all, 1 in proportion.
    """
    costs, slopes, found = [], {}, {}
    for axis, sizes in axes(most).items():
        found[axis] = [(getattr(size, axis), measured(folder, size)) for size in sizes]
        for what in found[axis][0][1] if axis != "changed" else ["a load"]:
            cells = " | ".join(_cost_text(what, cost[what]) for _, cost in found[axis])
            of = ", ".join(f"{size:,}" if size >= 1 else f"{size:.1%}" for size, _ in found[axis])
            costs.append(f"| {axis}: {of} | {what} | {cells} |")
            slopes.setdefault(what, {})[axis] = _exponent([(s, c[what]) for s, c in found[axis]])
    _draw(found)
    return costs, [
        f"| {what} | "
        + " | ".join(f"{slope[axis]:.2f}" if axis in slope else "" for axis in found)
        + " |"
        for what, slope in slopes.items()
    ]


def _cost_text(what: str, cost: float) -> str:
    return f"{cost:.1f} MB" if what == SIZE else f"{1000 * cost:.0f} ms"


def _exponent(points: Sequence[tuple[float, float]]) -> float:
    sizes, costs = (np.log(np.maximum(each, 1e-6)) for each in zip(*points, strict=True))
    return float(np.polyfit(sizes, costs, 1)[0])


# ---- what is measured ----------------------------------------------------------------------------

SIZE = "the file"


def measured(folder: Path, size: Size) -> Costs:
    """The costs in an installation of that size, which is made for it and thrown away."""
    home = folder / "growth"
    home.mkdir()
    path = home / "rollcall.duckdb"
    url = f"duckdb:///{path}"
    make(url, size.accounts, size.integrations, size.days)
    found = {SIZE: path.stat().st_size / 1e6}
    found |= {what: _least(url, ask) for what, ask in questions(size)}
    found["a load"] = _a_load(url, home, size.changed)
    shutil.rmtree(home)
    return found


def questions(size: Size) -> Iterator[tuple[str, Callable[[Connection], object]]]:
    """What the pages ask."""
    newest = START + timedelta(minutes=size.integrations)
    then = newest - timedelta(days=size.days // 2)
    failed, before = Filters(state=FAILED_STATES), Filters(state=FAILED_STATES, as_of=then)
    scope = Period((newest - timedelta(days=29)).date(), newest.date())
    day = Window(newest - timedelta(days=1), newest)

    def page(filters: Filters) -> Callable[[Connection], object]:
        return lambda con: (
            page_of_accounts(con, filters, sort="user", descending=False, page=1),
            list_choices(con, filters, "state"),
        )

    yield "Users", page(Filters())
    yield "Users, failed", page(failed)
    yield "Users, a search", page(Filters(q="first12 last9"))
    yield "Users, failed, as of the middle", page(before)
    yield "an account's history", _a_history
    yield (
        "Health, 30 days",
        lambda con: (
            trends(con, scope),
            failure_reasons(con, scope),
            backlog(con, (), None, newest),
            durations(con, scope),
        ),
    )
    yield "Changes of a day", lambda con: summarize_changes(con, day)
    yield "Review", lambda con: [count_findings(con, View(evaluated_at=newest), r) for r in RULES]


def _a_history(con: Connection) -> object:
    key = con.scalar(select(account_current.c.account_key).limit(1))
    return account_history(con, Filters(), key)


def _least(url: str, ask: Callable[[Connection], object]) -> float:
    costs = []
    for _ in range(ROUNDS):
        with open_store(url).connect() as con:
            con.execute(text("SELECT 1"))
            began = time.process_time()
            ask(con)
            costs.append(time.process_time() - began)
        close_store(url)  # with it goes what is remembered
    return min(costs)


def _a_load(url: str, folder: Path, changed: float) -> float:
    """Of the first integration's list, some of its accounts in another state every day.

    The first of them reads all rows anew, as what was made in one go was never delivered.
    """
    engine, costs = open_store(url), []
    for day in range(1, 2 + ROUNDS):
        file = SnapshotFile(folder / f"{day}.csv", "app-001", START + timedelta(days=day))
        with engine.begin() as con:
            con.execute(text(LIST.format(path=file.path, day=day, changed=1_000 * changed)))
        began = time.process_time()
        load(engine, file)
        costs.append(time.process_time() - began)
    close_store(url)
    return min(costs[1:])


LIST = """COPY (
    SELECT account_id, username_in_app, user_name, user_email, array_to_string(roles, ';') AS roles,
        active_in_app, upstream_user_id, last_updated,
        CASE WHEN hash(username_in_app, {day}) % 1000 < {changed}
            THEN if({day} % 2 = 0, 'Update failed', 'Update awaiting')
            ELSE provisioning_state END AS provisioning_state
    FROM account_current JOIN account USING (account_key)
    WHERE account_current.integration_id = 1
) TO '{path}' (HEADER)"""


# ---- the picture ---------------------------------------------------------------------------------


def _draw(found: dict[str, list[tuple[float, Costs]]]) -> None:
    """A panel per axis, both scales logarithmic: a straight line is a power law."""
    figure = make_subplots(1, len(found), subplot_titles=list(found), shared_yaxes=True)
    acts = [what for what in next(iter(found.values()))[0][1] if what != SIZE]
    colours = dict(zip(acts, ("#3F86D0", "#D4471C", "#0B9550", "#7757F7", "#B08000", "#B0588D",
                              "#5B6770", "#C98BB9", "#222222"), strict=False))  # fmt: skip
    for column, points in enumerate(found.values(), start=1):
        for what in acts:
            figure.add_scatter(
                visible=column < len(found) or what == "a load",
                x=[size for size, _ in points],
                y=[1000 * cost[what] for _, cost in points],
                name=what,
                legendgroup=what,
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": colours[what]},
                row=1,
                col=column,
            )
    figure.update_xaxes(type="log").update_yaxes(type="log")
    figure.update_layout(template="simple_white", width=1400, height=480, yaxis_title="CPU ms")
    _picture(figure)


def _picture(figure: go.Figure) -> None:
    with a_browser(height=480) as page:
        page.set_content(figure.to_html(include_plotlyjs=True, full_html=True))
        page.locator(".main-svg").first.wait_for()
        page.wait_for_timeout(500)
        page.locator(".plot-container").screenshot(path=str(PICTURE))
