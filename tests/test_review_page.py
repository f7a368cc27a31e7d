"""The Review page: what it says of findings, how one is accepted, and what it says of none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import Account, a_snapshot_file, an_account, an_unmatched_account
from copies import load_once
from dropped_files import HOSTILE
from patience import PATIENCE
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from data.files.naming import SnapshotFile
from data.home import Home
from data.records.exceptions import (
    FindingKey,
    RiskException,
    RuleSettings,
    add_exceptions,
    read_rule_settings,
)
from data.store.engine import open_store
from queries.review.duration import View
from queries.review.findings import PAGE_SIZE, count_findings, summarize_rule
from queries.review.rules import RULE_BY_NAME, RULES

PAGE = Path(__file__).parent.parent / "pages" / "review.py"
MONDAY = datetime(2026, 1, 5, 6)


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    engine = open_store(home.database_url)
    yield engine
    engine.dispose()


def take(store: Engine, home: Home, *accounts: Account, days: int = 0, of: str = "figma") -> None:
    at = MONDAY + timedelta(days=days)
    path = a_snapshot_file(home.root / "delivered", accounts, integration=of, at=at)
    load_once(store, SnapshotFile(path, of, at), confirmed=True)


@pytest.fixture
def deleted(store: Engine, home: Home) -> None:
    """Two integrations with an account each that is Deleted and active since Tuesday."""
    for of, name in (("figma", "ada"), ("slack", "bob")):
        take(store, home, an_account(name), of=of)
        take(store, home, an_account(name, state="Deleted"), of=of, days=1)


def page(**params: Any) -> AppTest:
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    for name, value in params.items():
        run.query_params[name] = value
    return ran(run.run())


def ran(run: AppTest) -> AppTest:
    assert not run.exception, [error.message for error in run.exception]
    return run


def press(run: AppTest, key: str) -> AppTest:
    return ran(run.button(key=key).click().run())


def texts(run: AppTest) -> list[str]:
    return [str(each.value) for each in (*run.text, *run.markdown, *run.warning)]


def table(run: AppTest) -> dict[str, Any]:
    return json.loads(run.get("bidi_component")[0].proto.json)


def listed(run: AppTest) -> list[str]:
    return sorted(row["label"] for row in table(run)["rows"])


def test_a_row_per_rule_says_what_is_open_new_and_oldest(deleted: None) -> None:
    run = page()
    rows = {row["id"]: row["cells"] for row in table(run)["rows"]}
    assert {name: cells["meaning"]["text"] for name, cells in rows.items()} == {
        rule.name: rule.describe(RuleSettings()) for rule in RULES
    }
    assert next(iter(rows)) == "deleted_but_active", "what has findings comes first"
    found = rows["deleted_but_active"]
    shown = {name: found[name]["text"] for name in ("severity", "open", "new", "oldest")}
    assert shown == {"severity": "High", "open": "2", "new": "2", "oldest": "2026-01-06"}
    assert rows["came_back"]["open"]["text"] == "0"
    assert f"2 findings · 1 of {len(RULES)} rules" in texts(run)


def test_an_old_finding_is_not_new_and_one_with_an_exception_is_not_open(
    deleted: None, store: Engine, home: Home
) -> None:
    take(store, home, an_account("cy", state="Deleted"), an_account("bob", state="Deleted"),
         days=20, of="slack")  # fmt: skip
    finding = FindingKey("deleted_but_active", "figma", "ada"), MONDAY + timedelta(days=1)
    add_exceptions(store, [finding], RiskException("Known", "Grace"))
    with store.connect() as con:
        rule = RULE_BY_NAME["deleted_but_active"]
        summary = summarize_rule(con, View(), rule)
        count = count_findings(con, View(), rule)
    assert summary == (2, 1, 1, MONDAY + timedelta(days=1))
    assert summary[:2] == count


def test_a_page_without_findings_says_so(store: Engine, home: Home) -> None:
    take(store, home, an_account())
    assert "No open findings." in texts(page())
    assert "No open findings." in texts(page(rule="deleted_but_active"))


def test_an_empty_store_says_what_to_do(home: Home) -> None:
    assert page().subheader[0].value == "No snapshots yet"


def test_the_address_chooses_integration_severity_rule_and_moment(deleted: None) -> None:
    assert f"1 finding · 1 of {len(RULES)} rules" in texts(page(integration="slack"))
    assert "2 findings · 1 of 7 rules" in texts(page(severity="high"))
    assert listed(page(rule="deleted_but_active", integration="figma")) == ["ada"]
    monday = texts(page(as_of="2026-01-05T12:00:00Z"))
    assert "No open findings." in monday


@pytest.mark.parametrize("value", ["", "nonsense", "'; DROP TABLE account --", "\0", "9" * 400])
def test_an_invalid_address_selects_nothing(deleted: None, value: str) -> None:
    run = page(**dict.fromkeys(("rule", "severity", "as_of", "page", "accepted"), value))
    assert f"2 findings · 1 of {len(RULES)} rules" in texts(run)


def test_a_rule_lists_its_accounts_and_since_when_each_is_found(deleted: None) -> None:
    run = page(rule="deleted_but_active")
    assert listed(run) == ["ada", "bob"]
    since = [row["cells"]["since"]["text"] for row in table(run)["rows"]]
    assert since == ["2026-01-06 06:00"] * 2
    assert "**2** accounts, the earliest since 2026-01-06 06:00 UTC" in texts(run)


def test_only_tables_reserve_the_height_of_a_window(deleted: None) -> None:
    """A button with the key of a table would be as high."""
    style = (PAGE.parent.parent / "widgets" / "look" / "page.css").read_text()
    (rule,) = (line for line in style.splitlines() if "min-height: 100vh" in line)
    buttons = [button.key for button in page(rule="deleted_but_active").button]
    assert "open_users" in buttons
    assert not {f"st-key-{key}" for key in buttons} & set(re.findall(r"st-key-\w+", rule))


def test_accounts_come_a_page_at_a_time(store: Engine, home: Home) -> None:
    many = [an_account(f"a{n:03}", state="Deleted", upstream_id=None) for n in range(PAGE_SIZE + 1)]
    take(store, home, *many)
    assert len(listed(page(rule="deleted_but_active"))) == PAGE_SIZE
    assert len(listed(page(rule="deleted_but_active", page="2"))) == 1
    assert len(listed(page(rule="deleted_but_active", page="99"))) == 1


def test_an_address_lists_only_findings_that_are_new_or_gone(
    deleted: None, store: Engine, home: Home
) -> None:
    take(store, home, an_account("ada"), an_account("cy", state="Deleted"), days=2)
    rule, monday = {"rule": "deleted_but_active"}, "2026-01-05T12:00:00Z"
    tuesday, wednesday = (f"2026-01-0{day}T12:00:00Z" for day in (6, 7))
    assert listed(page(**rule, found_after=monday)) == ["bob", "cy"]
    new = page(**rule, found_after=tuesday)
    assert listed(new) == ["cy"]
    assert "Found after 2026-01-06 12:00 UTC." in texts(new)
    assert listed(page(**rule, as_of=tuesday, gone_by=wednesday)) == ["ada"]
    assert listed(press(new, "all_findings")) == ["bob", "cy"]


def choose_first(run: AppTest, key: str) -> None:
    of = run.multiselect(key=key)
    of.select(of.options[0])


def fill(run: AppTest, *, reason: str = "Known", by: str = "Grace") -> AppTest:
    run.text_area(key="exception_reason").set_value(reason)
    run.text_input(key="said_by").set_value(by)
    return run


def test_an_exception_is_added_shown_and_withdrawn(deleted: None) -> None:
    run = page(rule="deleted_but_active")
    choose_first(run, "exception_accounts")
    run = press(fill(run), "exception_save")
    assert listed(run) == ["bob"]
    run = press(run, "accepted")
    assert listed(run) == ["ada"]
    cells = table(run)["rows"][0]["cells"]
    assert [cells[name]["text"] for name in ("reason", "by")] == ["Known", "Grace"]
    choose_first(run, "withdraw_accounts")
    run.text_input(key="said_by").set_value("Ada")
    run = press(run, "withdraw_now")
    assert "This rule has no exceptions." in texts(run)
    assert listed(press(run, "accepted")) == ["ada", "bob"]


def test_one_exception_covers_all_findings_of_a_rule(store: Engine, home: Home) -> None:
    many = [an_account(f"a{n:03}", state="Deleted", upstream_id=None) for n in range(PAGE_SIZE + 9)]
    take(store, home, *many)
    run = page(rule="deleted_but_active")
    run.checkbox(key="exception_all").check()
    run = press(fill(run), "exception_save")
    assert "No open findings." in texts(run)
    assert f"No open findings. {PAGE_SIZE + 9} exceptions." in texts(page())


@pytest.mark.parametrize(
    ("chooses", "reported", "words"),
    [
        (False, {}, "Choose accounts first."),
        (True, {"reason": " "}, "The reason is missing\\."),
        (True, {"by": " "}, "The name is missing\\."),
    ],
)
def test_a_missing_account_reason_or_name_is_reported(
    deleted: None, chooses: bool, reported: dict[str, str], words: str
) -> None:
    run = page(rule="deleted_but_active")
    if chooses:
        choose_first(run, "exception_accounts")
    run = press(fill(run, **reported), "exception_save")
    assert words in texts(run)
    assert listed(run) == ["ada", "bob"]


def test_no_exception_is_added_in_the_past(deleted: None) -> None:
    run = page(rule="deleted_but_active", as_of="2026-01-06T12:00:00Z")
    assert listed(run) == ["ada", "bob"]
    assert not any(b.key == "exception_save" for b in run.button)


def test_rule_settings_can_be_changed(store: Engine, home: Home, deleted: None) -> None:
    take(store, home, an_unmatched_account("bot", roles=["Big Boss"]), days=2)
    run = page()
    run.text_area(key="limit_privileged").set_value("*boss\n\n *root* ")
    run.number_input(key="limit_inactive_days").set_value(12)
    run = press(run, "limits_save")
    with store.connect() as con:
        assert read_rule_settings(con) == RuleSettings(
            privileged=("*boss", "*root*"), inactive_days=12
        )
    assert listed(page(rule="unmatched_and_privileged")) == ["bot"]


def test_text_from_the_data_is_never_markdown(store: Engine, home: Home) -> None:
    for number, text in enumerate(HOSTILE):
        take(store, home, an_account(f"a{text}", user=text, roles=[text], state="Deleted"),
             days=number, of="figma")  # fmt: skip
    run = page(rule="deleted_but_active")
    for text in HOSTILE:
        assert not any(text in str(each.value) for each in (*run.markdown, *run.caption))
        assert not any(text in str(each.label) for each in (*run.button, *run.expander))


@pytest.mark.usefixtures("sample")
def test_an_exception_can_be_tried_with_the_sample() -> None:
    run = page(rule="active_and_unmatched")
    before = len(listed(run))
    choose_first(run, "exception_accounts")
    run = press(fill(run), "exception_save")
    assert len(listed(run)) == before - 1
    assert not run.get("html") or "evidence.zip" not in str([h.proto for h in run.get("html")])


def test_findings_that_failed_are_listed_with_their_reasons(store: Engine, home: Home) -> None:
    take(store, home, an_account("ada", state="Delete failed", reason="Locked", code="E-1"))
    row = table(page(rule="delete_failed_but_active"))["rows"][0]
    assert "E-1 · Locked" in str(row["cells"]["provisioning_state"])
