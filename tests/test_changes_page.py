"""The Changes page, run without a browser."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account
from dropped_files import HOSTILE
from patience import PATIENCE
from streamlit.testing.v1 import AppTest

from data.home import Home
from data.store.engine import open_store
from queries.changes.diff import CHANGE_KINDS
from widgets.changes.accounts import COLUMNS_BY_KIND
from widgets.changes.flow_figure import state_transitions_figure

PAGE = Path(__file__).parent.parent / "pages" / "changes.py"
DAY = timedelta(days=1)
HOSTILE_VALUES = ["", "nonsense", "'; DROP TABLE account --", "\0", "%", "-1", "١", "9" * 400]


@pytest.fixture
def delivered(home: Home, tmp_path: Path) -> Deliveries:
    """Loads snapshots into the store that the page reads."""
    return Deliveries(open_store(home.database_url), tmp_path / "delivered")


def changes(**params: Any) -> AppTest:
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    for name, value in params.items():
        run.query_params[name.rstrip("_")] = value
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def words(run: AppTest) -> str:
    """What the button copies."""
    (copied,) = re.findall(
        'data-copy="(.*?)"', "".join(h.proto.body for h in run.get("html")), re.DOTALL
    )
    return unescape(copied)


def texts(run: AppTest) -> str:
    """Every text beside the summary."""
    return "\n".join([*(t.value for t in run.text), *(m.value for m in run.markdown)])


def counts(run: AppTest) -> dict[str, str]:
    """Tile → its number."""
    return {metric.label: metric.value for metric in run.metric}


def press(run: AppTest, key: str) -> AppTest:
    run.button(key=key).click().run()
    assert not run.exception
    return run


def table(run: AppTest) -> dict[str, Any]:
    return json.loads(run.get("bidi_component")[0].proto.json)


def usernames(run: AppTest) -> list[str]:
    return [row["label"] for row in table(run)["rows"]]


def address(run: AppTest) -> dict[str, Any]:
    return dict(run.query_params)


@pytest.fixture
def a_busy_day(delivered: Deliveries) -> Deliveries:
    """One account of each kind of change, and one without any; `back` was there before."""
    before = [
        an_account("still"),
        an_account("gone", state="Update failed"),
        an_account("moved"),
        an_account("roles", roles=["Admin", "Viewer"]),
        an_unmatched_account("match"),
        an_account("activity"),
        an_account("other", upstream_id="u1"),
    ]
    after = [
        an_account("still"),
        an_account("joined"),
        an_account("back"),
        an_account("moved", state="Update failed"),
        an_account("roles", roles=["Editor", "Viewer"]),
        an_account("match"),
        an_account("activity", active="no"),
        an_account("other", upstream_id="u2"),
    ]
    delivered.take(*before, an_account("back"), at=YESTERDAY - DAY)
    delivered.take(*before, at=YESTERDAY)
    delivered.take(*after, at=TODAY)
    return delivered


# ---- in words and in counts ----------------------------------------------------------------------


def test_the_last_day_is_described_in_text_to_copy(
    a_busy_day: Deliveries,
) -> None:
    assert words(changes()) == (
        "figma, 22 Nov 2026 06:00 → 23 Nov 2026 06:00 UTC: 1 account added, 1 returned, 1 removed, "
        "1 changed state, 1 newly failed, 1 no longer failed, 1 lost the role Admin, "
        "1 gained the role Editor, 1 matched with a user, 1 deactivated, "
        "1 with other changes (Upstream user ID: 1).\n"
        "7 accounts before, 8 after."
    )


def test_every_tile_opens_the_accounts_that_it_counts(a_busy_day: Deliveries) -> None:
    expected = {
        "Added": "joined",
        "Returned": "back",
        "Removed": "gone",
        "Changed state": "moved",
        "Newly failed": "moved",
        "No longer failed": "gone",
        "Gained a role": "roles",
        "Lost a role": "roles",
        "Match changed": "match",
        "Activity changed": "activity",
        "Other changes": "other",
    }
    run = changes()
    assert counts(run) == dict.fromkeys(expected, "1")
    for label, username in expected.items():
        opened = press(changes(), f"open_{label}")
        assert usernames(opened) == [username]


def test_a_list_pins_its_moments_in_the_address_and_leads_back(a_busy_day: Deliveries) -> None:
    run = press(changes(), "open_Newly failed")
    assert address(run) == {
        "from": "2026-11-22T06:00:00Z",
        "to": "2026-11-23T06:00:00Z",
        "list": "failed",
    }
    assert "list" not in address(press(run, "all_changes"))


def test_many_changed_roles_are_summed_up(delivered: Deliveries) -> None:
    delivered.take(an_account(roles=["A", "B", "C"]), at=YESTERDAY)
    delivered.take(an_account(roles=["D", "E"]), at=TODAY)
    expected = "1 account gained and 1 lost roles (A −1, B −1, C −1 and 2 more)."
    assert words(changes()).splitlines()[0].endswith(expected)


@pytest.mark.parametrize("kind", CHANGE_KINDS)
def test_every_list_has_its_columns_and_says_what_differs(
    a_busy_day: Deliveries, kind: str
) -> None:
    run = changes(list=kind)
    (row,) = table(run)["rows"]
    headings = [column["label"] for column in table(run)["columns"]]
    assert headings == [
        "User",
        "Username in app",
        *COLUMNS_BY_KIND[kind],
    ]
    run.session_state["changed"] = {"open": [row["id"]]}
    run.run()
    differs, *rest = table(run)["details"][row["id"]]
    assert differs["caption"] == "What differs"
    assert differs["rows"]
    assert any(block["kind"] == "timeline" for block in rest)


def test_a_list_is_turned_page_by_page(delivered: Deliveries) -> None:
    many = [an_account(f"user{n:03}") for n in range(120)]
    delivered.take(an_account(), at=YESTERDAY)
    delivered.take(an_account(), *many, at=TODAY)
    first, last = changes(list="joined"), changes(list="joined", page="3")
    assert usernames(first)[:2] == ["user000", "user001"]
    assert usernames(last) == [f"user{n:03}" for n in range(100, 120)]
    assert usernames(changes(list="joined", page="99")) == usernames(last)
    assert "120 accounts · Added" in texts(first)


# ---- the moments ---------------------------------------------------------------------------------


def test_other_moments_give_other_changes(a_busy_day: Deliveries) -> None:
    run = changes(from_="2026-11-21T06:00:00Z", to="2026-11-22T12:00:00Z")
    assert words(run).startswith(
        "figma, 21 Nov 2026 06:00 → 22 Nov 2026 12:00 UTC: 1 account removed"
    )


def test_moments_in_the_wrong_order_are_swapped_with_a_note(a_busy_day: Deliveries) -> None:
    run = changes(from_="2026-11-23T06:00:00Z", to="2026-11-22T06:00:00Z")
    assert words(run) == words(changes())
    assert "swapped" in texts(run)


def test_the_numbers_of_the_summary_are_bold_and_nothing_else_is_markup(
    delivered: Deliveries,
) -> None:
    delivered.take(an_account("ada", roles=["A"]), at=YESTERDAY)
    delivered.take(an_account("ada", roles=["A", "**B** [x](y)"]), an_account("bob", roles=["A"]))
    assert words(changes()).endswith(
        "1 account added, 1 gained the role **B** [x](y).\n1 account before, 2 after."
    )
    shown = next(m.value for m in changes().markdown if "added" in m.value)
    assert shown.endswith(
        "**1** account added\\, **1** gained the role \\*\\*B\\*\\* \\[x\\]\\(y\\)\\.  \n"
        "**1** account before\\, **2** after\\."
    )


def test_presets_reach_back_as_far_as_the_snapshots(delivered: Deliveries) -> None:
    for days in (8, 1, 0):  # the newest is of a Monday
        delivered.take(an_account(), at=TODAY - days * DAY)
    run = changes()
    offered = [b.label for b in run.button if (b.key or "").startswith("since_")]
    assert offered == [
        "Last two snapshots",
        "Since Sunday, 22 Nov",
        "Since Friday, 20 Nov",
        "7 days",
    ]
    press(run, "since_Since Friday, 20 Nov")
    assert address(run)["from"] == "2026-11-20T00:00:00Z"


def test_a_reviewed_window_offers_the_changes_since(a_busy_day: Deliveries) -> None:
    run = changes(to="2026-11-22T06:00:00Z", from_="2026-11-21T06:00:00Z")
    press(run, "mark_reviewed")
    run.run()
    press(run, "since_Since my last review")
    assert words(run) == words(changes())


def test_an_integration_without_a_snapshot_before_is_new_and_adds_no_account(
    delivered: Deliveries,
) -> None:
    delivered.take(an_account(), at=YESTERDAY)
    delivered.take(an_account(), at=TODAY)
    delivered.take(an_account("bob"), an_account("cy"), integration="okta", at=TODAY)
    assert words(changes()) == (
        "All integrations, 22 Nov 2026 06:00 → 23 Nov 2026 06:00 UTC: nothing changed.\n"
        "1 account before, 1 after.\n"
        "New to Rollcall, not counted as added: okta (2 accounts)."
    )


def test_an_integration_without_a_newer_snapshot_is_named(delivered: Deliveries) -> None:
    delivered.take(an_account("bob"), integration="okta", at=YESTERDAY - DAY)
    delivered.take(an_account(), at=YESTERDAY)
    delivered.take(an_account(state="Deleted"), at=TODAY)
    assert words(changes()).endswith("No snapshot in between: okta.")
    assert words(changes(integration="figma")).startswith("figma, 22 Nov 2026")
    assert "okta" not in words(changes(integration="figma"))


# ---- where there is nothing ----------------------------------------------------------------------


def test_an_empty_store_says_how_to_fill_it(home: Home) -> None:
    open_store(home.database_url)
    assert [title.value for title in changes().subheader] == ["No snapshots yet"]


def test_one_snapshot_is_not_compared(delivered: Deliveries) -> None:
    delivered.take(an_account())
    assert "There is only one snapshot." in texts(changes())


@pytest.mark.parametrize(
    ("since", "until", "sentence"),
    [
        (
            "2020-01-01",
            "2020-02-01",
            "There is no snapshot by 1 Jan 2020 00:00 UTC to compare with.",
        ),
        (
            "2020-01-01",
            "2026-11-23",
            "There is no snapshot by 1 Jan 2020 00:00 UTC to compare with.",
        ),
        ("2026-11-23T06:00:00Z", "2026-11-23T06:00:00Z", "Both moments are the same"),
    ],
)
def test_moments_that_cannot_be_compared_are_explained(
    a_busy_day: Deliveries, since: str, until: str, sentence: str
) -> None:
    run = changes(from_=since, to=until)
    assert sentence in texts(run)
    assert not run.metric


def test_from_before_the_first_snapshot_leads_to_the_first(a_busy_day: Deliveries) -> None:
    run = press(changes(from_="2020-01-01", to="2026-11-23T06:00:00Z"), "from_first")
    assert words(run).startswith(
        "figma, 21 Nov 2026 06:00 → 23 Nov 2026 06:00 UTC: 1 account added"
    )


def test_a_window_without_changes_shows_a_sentence_and_no_charts(delivered: Deliveries) -> None:
    delivered.take(an_account(), at=YESTERDAY)
    delivered.take(an_account(), at=TODAY)
    run = changes()
    assert words(run).splitlines()[0].endswith("UTC: nothing changed.")
    assert not run.metric
    assert not run.get("plotly_chart")


def test_an_empty_list_says_so(a_busy_day: Deliveries) -> None:
    run = changes(list="gained", role="Nobody has this")
    assert usernames(run) == []
    assert table(run)["empty"] == "No accounts changed in this way."


# ---- hostile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_no_address_breaks_the_page(a_busy_day: Deliveries, value: str) -> None:
    names = ("from", "to", "integration", "was", "now", "role", "value", "page")
    hostile = dict.fromkeys(names, value)
    for kind in (value, "moved", "gained", "other"):
        assert words(changes(**hostile, list=kind)).startswith("figma, ")


def test_parameters_without_effect_are_listed(a_busy_day: Deliveries) -> None:
    run = changes(from_="friday", list="nonsense")
    assert "from\\=friday, list\\=nonsense" in texts(run)


def test_hostile_names_are_shown_as_text(delivered: Deliveries) -> None:
    accounts = [
        an_account(f"{t[:500]}{n}", user=t, email=None, roles=[t]) for n, t in enumerate(HOSTILE)
    ]
    delivered.take(an_account(), at=YESTERDAY, integration="**bold**")
    delivered.take(an_account(roles=list(HOSTILE)), *accounts, at=TODAY, integration="**bold**")
    run = changes()
    assert words(run).startswith("**bold**, ")
    for kind in ("joined", "gained"):
        assert usernames(changes(list=kind))
    shown = [m.value for m in changes(list="gained", role=HOSTILE[1]).markdown]
    assert not any("<img" in text for text in shown)


# ---- the flow picture ----------------------------------------------------------------------------


def test_flows_lead_from_the_state_before_to_the_state_after() -> None:
    moves = pd.DataFrame(
        [("Onboarded", "Update failed", 3), ("Update failed", "Onboarded", 1)],
        columns=["before", "after", "accounts"],
    )
    (flows,) = state_transitions_figure(moves).data
    names = flows.node.label
    ends = zip(flows.link.source, flows.link.target, flows.link.value, strict=True)
    assert [(names[before], names[after], n) for before, after, n in ends] == list(
        moves.itertuples(index=False, name=None)
    )
    assert max(flows.link.source) < min(flows.link.target)  # before is left, after is right
