"""Every page without a browser, with rows and without."""

from __future__ import annotations

import pytest
from dropped_files import HOSTILE, hostile_accounts
from patience import PATIENCE
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from viewing import (
    ADA,
    BOB,
    CY,
    OF_ACCOUNTS,
    PAGES,
    TODAY,
    YESTERDAY,
    load_all,
    metric,
    page,
    users,
)

from data.home import Home
from data.states import STATE_BY_NAME
from queries.people.accounts import ACCOUNT_STATUSES, OWNERS
from queries.users.accounts import SORTS
from widgets.labels import MAX_LABEL_LENGTH

AS_OF = "2026-01-01T06:00:00Z"
ONE_VALUE_EACH = [
    *(("state", name) for name in STATE_BY_NAME),
    *(("active", value) for value in ("yes", "no", "unknown")),
    *(("match", value) for value in ("matched", "unmatched")),
    *(("person", value) for value in OWNERS),
    *(("account", value) for value in ACCOUNT_STATUSES),
    *(("note", value) for value in ("yes", "no")),
    ("of_person", "hr/0123456789ab"),
    ("integration", "figma"),
    ("role", "Editor"),
    ("q", "ada"),
    ("as_of", "2026-01-01T12:00:00Z"),
    ("updated_from", "2026-01-01"),
    ("updated_to", "9999-12-31"),
    ("waiting", "9999d"),
    *((name, "7d") for name in ("unsettled_for", "failing_for", "left_for")),
    ("last_sign_in", "before:2026-01-01"),
    ("empty", "Upstream user ID"),
    ("not_empty", "attributes/Team"),
    ("marked", "0123456789ab"),
    ("page", "2"),
    *(("sort", name) for name in SORTS),
]


# ---- every page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OF_ACCOUNTS))
def test_every_page_explains_how_to_load_a_first_snapshot(home: Home, name: str) -> None:
    shown = page(name)
    assert [s.value for s in shown.run.subheader] == ["No snapshots yet"]
    assert str(home.inbox) in shown.run.code[0].value


@pytest.mark.parametrize("name", ["health.py", "snapshots.py", "users.py"])
def test_every_page_draws_rows(home: Home, name: str) -> None:
    """The other pages need other data and have tests of their own."""
    load_all(home, ADA, BOB, CY)
    shown = page(name)
    assert "No snapshots yet" not in [s.value for s in shown.run.subheader]
    assert shown.run.get("bidi_component") or shown.run.get("plotly_chart")


def test_the_navigation_opens_health_first_and_then_users(home: Home) -> None:
    load_all(home, ADA)
    shown = page("navigation.py")
    assert [t.value for t in shown.run.title] == ["Health"]
    shown.run.switch_page("users.py").run()
    assert not shown.run.exception
    assert [t.value for t in shown.run.title] == ["Users"]
    assert shown.usernames == ["ada"]


@pytest.mark.parametrize("name", ["users.py", "health.py"])
def test_no_filter_fails_on_an_empty_store(home: Home, name: str) -> None:
    params: dict[str, list[str]] = {}
    for param, value in ONE_VALUE_EACH:
        params.setdefault(param, []).append(value)
    page(name, **params)


@pytest.mark.parametrize("name", ["matching.py", "audit.py"])
def test_pages_that_show_only_the_present_ignore_as_of(home: Home, name: str) -> None:
    load_all(home, ADA)
    expected = f"This link contains a filter Rollcall does not know: as_of={AS_OF}."
    assert page(name, as_of=AS_OF).ignored == expected
    assert page(name).ignored == ""


# ---- time zones ----------------------------------------------------------------------------------


def test_every_page_uses_the_chosen_time_zone_and_names_it_in_the_address(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    there = {"tz": "Asia/Tokyo"}
    summary = "".join(html.proto.body for html in page("changes.py", **there).run.get("html"))
    assert "1 Jan 2026 15:00 → 2 Jan 2026 15:00 Asia/Tokyo" in summary
    times = [
        row["cells"]["taken_at"]["text"] for row in page("snapshots.py", **there).table["rows"]
    ]
    assert times == ["2026-01-02 15:00", "2026-01-01 15:00"]
    then = {"as_of": "2026-01-01T06:00:00Z", **there}
    for name in ("users.py", "review.py", "health.py"):
        shown = page(name, **then)
        assert any("As of 2026-01-01 15:00 Asia/Tokyo" in m.value for m in shown.run.markdown)
    users = page("users.py", **there)
    users.run.button(key="preset_Failed").click().run()
    assert users.address["tz"] in ("Asia/Tokyo", ["Asia/Tokyo"])


def test_the_first_and_last_times_of_the_calendar_are_shown_in_every_zone(home: Home) -> None:
    load_all(home, ADA._replace(last_updated="9999-12-30T00:00:00Z"))
    (row,) = page("users.py", tz="Asia/Tokyo").table["rows"]
    assert row["cells"]["last_updated"]["title"] == "9999-12-30 09:00:00 Asia/Tokyo"
    page("users.py", as_of="9999-12-31T23:59:59Z", tz="Asia/Tokyo")
    page("users.py", as_of="0001-01-01", tz="America/New_York")


def test_back_continues_from_a_page_that_added_the_time_zone_to_its_address(home: Home) -> None:
    load_all(home, ADA)
    shown = page("navigation.py", tz="Asia/Tokyo")
    for amended in (True, False):  # at first, and where Back leads to the address of before
        del shown.run.query_params["tz"]
        shown.run.run()
        assert ("tz" in shown.run.query_params) is amended


def test_the_time_zone_is_remembered_across_pages(home: Home) -> None:
    load_all(home, ADA)
    shown = page("health.py", tz="Asia/Tokyo")
    del shown.run.query_params["tz"]  # as a click on another page and back leaves it
    shown.run.run()
    assert shown.run.selectbox(key="tz").value == "Asia/Tokyo"


# ---- text from the data --------------------------------------------------------------------------


def all_markdown(run: AppTest) -> str:
    """All text of a page that Streamlit reads as markdown or HTML, labels included."""
    texts = []
    for kind in ("markdown", "title", "subheader", "caption", "button", "metric", "html"):
        for element in run.get(kind):
            texts += [str(getattr(element, name, "")) for name in ("value", "label", "help")]
            texts.append(str(getattr(getattr(element, "proto", None), "body", "")))
    return "\n".join(texts)


@pytest.mark.parametrize("name", ["users.py", "health.py"])
def test_no_text_from_the_data_is_read_as_markdown_or_html(home: Home, name: str) -> None:
    load_all(home, *hostile_accounts())
    shown = page(name)
    markdown = all_markdown(shown.run)
    assert [text for text in HOSTILE if text in markdown] == []


def test_hostile_names_are_shown_unchanged(home: Home) -> None:
    load_all(home, *hostile_accounts())
    shown = users()
    assert sorted(shown.usernames) == sorted(f"{text}{n}" for n, text in enumerate(HOSTILE))
    offered = " ".join(shown.counts("role"))
    for text in HOSTILE:
        readable = " ".join(text.replace("\u202e", " ").split())  # it turns the direction round
        assert readable[:MAX_LABEL_LENGTH] in offered


def test_hostile_names_can_be_searched_for_and_chosen_as_roles(home: Home) -> None:
    load_all(home, *hostile_accounts(), ADA)
    for number, text in enumerate(HOSTILE[:-1]):
        assert users(q=text, role=text).usernames == [f"{text}{number}"]


# ---- the sample ----------------------------------------------------------------------------------


def test_sample_data_is_labeled_and_can_be_removed(sample: Home) -> None:
    shown = page("navigation.py")
    assert any("sample data" in m.value for m in shown.run.markdown)
    assert shown.run.get("plotly_chart")
    shown.run.button(key="remove_sample").click().run()
    shown.run.button(key="remove_sample_confirm").click().run()
    assert not shown.run.exception
    assert [s.value for s in shown.run.subheader] == ["No snapshots yet"]
    assert "remove_sample" not in [button.key for button in shown.run.button]
    assert not any("sample data" in m.value for m in shown.run.markdown)


@pytest.mark.usefixtures("sample")
def test_the_sample_has_a_directory_to_match_with() -> None:
    run = page("matching.py").run
    assert not run.exception
    assert "Okta" in str([*run.multiselect, *run.text, *run.markdown, *run.caption])


@pytest.mark.parametrize("name", [path.stem for path in PAGES.glob("*.py")])
@pytest.mark.usefixtures("home")
def test_an_empty_store_leads_to_the_upload_from_every_page(name: str) -> None:
    run = AppTest.from_file(PAGES / "navigation.py", default_timeout=PATIENCE)
    run._page_hash = calc_hash({"navigation": "", "health": ""}.get(name, name))
    run.run()
    assert not run.exception
    links = [button.label for button in run.button] + [p.proto.label for p in run.get("page_link")]
    assert "Upload a list" in links or run.file_uploader


def test_real_data_replaces_the_sample(sample: Home) -> None:
    load_all(sample, ADA)
    shown = page("navigation.py")
    assert not any("sample data" in m.value for m in shown.run.markdown)
    assert metric(shown, "Accounts") == "1"
