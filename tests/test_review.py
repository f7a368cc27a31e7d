"""What each rule finds on a history made by hand, since when, and what it does not find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import Account, Deliveries, a_snapshot_file, an_account, an_unmatched_account
from copies import load_once
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from data.files.naming import SnapshotFile
from data.records.decisions import EXCEPTIONS, InvalidInput
from data.records.exceptions import (
    FindingKey,
    RiskException,
    RuleSettings,
    add_exceptions,
    read_rule_settings,
    save_rule_settings,
)
from data.states import STATE_NAMES, UNRECOGNIZED
from data.store.engine import open_store
from queries.review.duration import View
from queries.review.findings import count_findings, page_of_findings
from queries.review.rules import RULE_BY_NAME, RULES, SEVERITIES
from queries.review.transitions import reachable_states

START = datetime(2026, 1, 1)
OLD = "2025-01-01T00:00:00Z"


def day(number: int) -> datetime:
    return START + timedelta(days=number)


FoundSince = dict[str, datetime]
"""Username in app → since when it is found."""


def found(con: Connection, name: str, *, accepted: bool = False, **view: Any) -> FoundSince:
    con.rollback()  # what was loaded since is seen, too
    seen = View(**view)
    rows = page_of_findings(con, seen, RULE_BY_NAME[name], 1, with_exception=accepted)
    count = count_findings(con, seen, RULE_BY_NAME[name])
    assert len(rows) == (count.exceptions if accepted else count.open)
    return {row.username_in_app: row.since for row in rows}


def detail(con: Connection, name: str) -> str:
    return page_of_findings(con, View(), RULE_BY_NAME[name], 1)[0].detail


Lives = Callable[..., None]


@pytest.fixture
def live(store: Engine, tmp_path: Path) -> Lives:
    """Snapshots of one account or several, a day after the other; None is not in it.

    Lived anew, the new days take the place of the old ones.
    """

    def live(*days: Account | list[Account] | None, integration: str = "figma") -> None:
        for number, accounts in enumerate(days):
            listed = accounts if isinstance(accounts, list) else [accounts] if accounts else []
            others = [an_account("other", upstream_id="00u9", roles=["Else"])]
            path = a_snapshot_file(
                tmp_path, [*listed, *others], integration=integration, at=day(number)
            )
            file = SnapshotFile(path, integration, day(number))
            load_once(store, file, replace=True, confirmed=True)

    return live


# ---- what an account says ------------------------------------------------------------------------


NOBODY: dict[str, Any] = {"user": None, "email": None}

CONTRADICTIONS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "deleted_but_active": (
        {"state": "Deleted"},
        [{"state": "Deleted", "active": "no"}, {"state": "Deleted", "active": ""}, {}],
    ),
    "delete_failed_but_active": (
        {"state": "Delete failed"},
        [{"state": "Delete failed", "active": "no"}, {"state": "Delete ongoing"}],
    ),
    "active_and_unmatched": (NOBODY, [{"user": None}, {"email": None}, NOBODY | {"active": "no"}]),
    "unmatched_and_privileged": (
        NOBODY | {"roles": ["Viewer", "Org ADMINISTRATOR"]},
        [{"roles": ["Admin"]}, NOBODY | {"roles": ["Owner of a pet"]}],
    ),
}
"""Rule → an account that it finds, and others that it does not."""


def test_a_contradiction_is_found_since_it_has_held_ever_since(
    live: Lives, con: Connection
) -> None:
    bad = [an_account(f"{name} bad", **facts) for name, (facts, _) in CONTRADICTIONS.items()]
    good = [
        an_account(f"{name} good {n}", upstream_id=None, **facts)
        for name, (_, others) in CONTRADICTIONS.items()
        for n, facts in enumerate(others)
    ]
    at_first = [
        an_account(f"{name} bad", active="no", state="Onboarded") for name in CONTRADICTIONS
    ]
    changed = [account | {"state_reason": "x"} for account in bad]
    live(*([*listed, *good] for listed in (bad, at_first, bad, changed)))
    for name in CONTRADICTIONS:

        def own(of: str = name, **view: Any) -> FoundSince:
            return {who: at for who, at in found(con, of, **view).items() if who.startswith(of)}

        assert own() == {f"{name} bad": day(2)}
        assert own(as_of=day(1)) == {}
        assert own(as_of=day(0)) == {f"{name} bad": day(0)}


def test_what_was_not_in_a_snapshot_has_not_held_without_interruption(
    live: Lives, con: Connection
) -> None:
    bad = an_account("bad", state="Deleted")
    live(bad, None, bad)
    assert found(con, "deleted_but_active") == {"bad": day(2)}


def test_a_role_pattern_has_stars_and_question_marks_and_no_case(
    live: Lives, con: Connection
) -> None:
    found_by = {
        "*admin*": {"Team Admin"},
        "owner": set[str](),
        "*owner": {"Group owner", "Some OWNER"},
        "a*z": {"az", "a.z", "axz"},
        "r?ot": {"root"},
        "a.b|[c]": {"a.b|[C]"},
        "a.z": {"a.z"},
        "*zoë*": {"ZOË’s role"},
    }
    roles = {*set[str]().union(*found_by.values()), "abc", "rt"}
    live([an_unmatched_account(role, roles=["x", role, "y"], upstream_id=None) for role in roles])
    for pattern, expected in found_by.items():
        limits = RuleSettings(privileged=(pattern,))
        assert found(con, "unmatched_and_privileged", limits=limits).keys() == expected, pattern


def test_a_star_does_not_reach_from_one_role_into_another(live: Lives, con: Connection) -> None:
    live(an_unmatched_account("bot", roles=["ab", "yz"]))
    assert not found(con, "unmatched_and_privileged", limits=RuleSettings(privileged=("a*z",)))


def test_without_patterns_no_role_is_privileged(live: Lives, con: Connection) -> None:
    live(an_unmatched_account("bot", roles=["Admin"]))
    assert not found(con, "unmatched_and_privileged", limits=RuleSettings(privileged=()))


# ---- how long ------------------------------------------------------------------------------------


def test_a_deletion_that_does_not_begin_is_found_once_it_waits_too_long(
    live: Lives, con: Connection
) -> None:
    waits = an_account("bad", state="Delete awaiting")
    live(an_account("bad"), *[waits] * 5)
    limits = RuleSettings(delete_awaiting_days=3)
    name = "delete_awaiting_but_active"
    assert found(con, name, limits=limits, as_of=day(4)) == {}
    assert found(con, name, limits=limits) == {"bad": day(5)}
    assert found(con, name, limits=RuleSettings(delete_awaiting_days=4)) == {}


def test_a_deletion_waits_on_while_the_account_is_not_active_for_a_day(
    live: Lives, con: Connection
) -> None:
    waits, idle = (an_account("bad", state="Delete awaiting", active=a) for a in ("yes", "no"))
    live(waits, waits, waits, idle, waits)
    limits = RuleSettings(delete_awaiting_days=1)
    assert found(con, "delete_awaiting_but_active", limits=limits) == {"bad": day(4)}
    assert found(con, "delete_awaiting_but_active", limits=limits, as_of=day(2)) == {"bad": day(2)}


def test_an_onboarded_account_is_found_after_days_without_activity(
    live: Lives, con: Connection
) -> None:
    idle = an_account("bad", active="no")
    live(
        [idle, an_account("unknown", active="", upstream_id=None)],
        [an_account("bad")],
        *[[idle, an_account("unknown", active="", upstream_id=None)]] * 4,
    )
    limits = RuleSettings(inactive_days=2)
    assert found(con, "onboarded_but_inactive", limits=limits) == {"bad": day(5)}
    assert found(con, "onboarded_but_inactive", limits=limits, as_of=day(4)) == {}


def test_time_goes_no_further_than_the_newest_snapshot(live: Lives, con: Connection) -> None:
    live(an_account("bad", active="no"))
    limits = RuleSettings(inactive_days=0)
    assert found(con, "onboarded_but_inactive", limits=limits) == {}
    assert found(con, "onboarded_but_inactive", limits=limits, as_of=day(900)) == {}


# ---- gone and come back --------------------------------------------------------------------------


def test_an_account_that_was_deleted_and_gone_is_found_when_it_is_back(
    live: Lives, con: Connection
) -> None:
    gone, back = an_account("bad", state="Deleted", active="no"), an_account("bad")
    live(gone, None, back, back | {"state_reason": "x"})
    assert found(con, "came_back") == {"bad": day(2)}
    assert detail(con, "came_back") == "Deleted until 2026-01-02 00:00"
    assert found(con, "came_back", as_of=day(1)) == {}


def lived(*lives: tuple[str | None, ...]) -> Iterator[list[Account]]:
    """Day by day, an account for each of the lives; the last state remains."""
    for number in range(max(map(len, lives))):
        states = [(n, life[min(number, len(life) - 1)]) for n, life in enumerate(lives)]
        yield [an_account(f"good{n}", state=state) for n, state in states if state]


def test_an_account_that_did_not_come_back_so_is_not_found(live: Lives, con: Connection) -> None:
    lives = (
        ("Deleted", None, "Deleted"),
        ("Deleted", "Provisioning awaiting", "Onboarded"),
        ("Onboarded", None, "Onboarded"),
        ("Deleted", None, "Onboarded", "Deleted", "Provisioning awaiting"),
    )
    live(*lived(*lives))
    assert found(con, "came_back") == {}


def test_gone_once_more_the_account_is_found_since_it_is_back_again(
    live: Lives, con: Connection
) -> None:
    live(an_account("bad", state="Deleted"), None, an_account("bad"), None, an_account("bad"))
    assert found(con, "came_back") == {"bad": day(4)}


# ---- unlawful jumps ------------------------------------------------------------------------------

EXPLAINED = {
    "Provisioning awaiting": ["Provisioning failed", "Onboarded", "Update failed", "Deleted"],
    "Provisioning failed": ["Provisioning awaiting", "Onboarded", "Delete awaiting", "Deleted"],
    "Onboarded": ["Update awaiting", "Update failed", "Delete awaiting", "Deleted"],
    "Update ongoing": ["Update awaiting", "Onboarded", "Delete awaiting", "Deleted"],
    "Update failed": ["Update ongoing", "Onboarded", "Delete awaiting", "Deleted"],
    "Delete awaiting": ["Delete failed", "Deleted", "Provisioning awaiting"],
    "Delete failed": ["Delete awaiting", "Deleted", "Provisioning awaiting"],
    "Deleted": ["Provisioning awaiting", "Provisioning failed", "Onboarded"],
}
UNEXPLAINED = {
    "Onboarded": ["Provisioning awaiting", "Provisioning ongoing", "Provisioning failed"],
    "Update awaiting": ["Provisioning awaiting", "Provisioning failed"],
    "Delete awaiting": ["Onboarded", "Update awaiting", "Update failed"],
    "Delete ongoing": ["Onboarded", "Update ongoing"],
    "Delete failed": ["Onboarded", "Update awaiting", "Update ongoing"],
    "Deleted": ["Update awaiting", "Update failed", "Delete awaiting", "Delete failed"],
}


@pytest.mark.parametrize(
    ("before", "after"), [(b, a) for b, afters in EXPLAINED.items() for a in afters]
)
def test_steps_that_go_unseen_between_two_snapshots_explain_a_move(before: str, after: str) -> None:
    assert after in reachable_states(before)


@pytest.mark.parametrize(
    ("before", "after"), [(b, a) for b, afters in UNEXPLAINED.items() for a in afters]
)
def test_two_jobs_unseen_between_two_snapshots_explain_nothing(before: str, after: str) -> None:
    assert after not in reachable_states(before)


def test_an_unexplained_change_is_found_as_long_as_the_state_remains(
    live: Lives, con: Connection
) -> None:
    states = ["Deleted", "Update failed", "Update failed", "Update awaiting"]
    live(*(an_account("bad", state=state, roles=[f"R{n}"]) for n, state in enumerate(states)))
    assert found(con, "unlawful_jump", as_of=day(2)) == {"bad": day(1)}
    assert found(con, "unlawful_jump") == {}


def test_a_change_that_a_job_can_explain_is_not_found(live: Lives, con: Connection) -> None:
    lives = (
        ("Provisioning awaiting", "Onboarded"),
        ("Deleted", None, "Update failed"),
        ("Deleted", "Nobody knows", "Update failed"),
    )
    live(*lived(*lives))
    assert found(con, "unlawful_jump") == {}


def test_a_jump_says_where_the_account_came_from(live: Lives, con: Connection) -> None:
    live(an_account("bad", state="Delete ongoing"), an_account("bad"))
    assert detail(con, "unlawful_jump") == "was Delete ongoing"


# ---- waiting longer than usual -------------------------------------------------------------------


def jobs(count: int, *, days: int = 1) -> list[list[Account]]:
    """As many accounts, the updates of which take so many days, and fail."""
    before = [an_account(f"j{n}", upstream_id=None) for n in range(count)]
    job = [account | {"provisioning_state": "Update ongoing"} for account in before]
    after = [account | {"provisioning_state": "Update failed"} for account in before]
    return [before, *[job] * days, after]


def test_a_job_that_takes_longer_than_its_kind_is_found(live: Lives, con: Connection) -> None:
    waits = an_account("bad", state="Update awaiting", upstream_id=None)
    runs = waits | {"provisioning_state": "Update ongoing"}
    done = jobs(20, days=2)
    live(*done, [*done[-1], waits], [*done[-1], runs], [*done[-1], runs], [*done[-1], runs])
    assert found(con, "waiting_longer_than_usual", as_of=day(6)) == {}
    assert found(con, "waiting_longer_than_usual") == {"bad": day(7)}
    reported = detail(con, "waiting_longer_than_usual")
    assert reported == "since 2026-01-05 00:00; usually up to 48 hours"


def test_few_finished_jobs_define_nothing_as_usual(live: Lives, con: Connection) -> None:
    waits = an_account("bad", state="Update awaiting", upstream_id=None)
    done = jobs(19)
    live(*done, *[[*done[-1], waits]] * 4)
    assert found(con, "waiting_longer_than_usual") == {}


@pytest.mark.parametrize(
    ("state", "integration"), [("Delete awaiting", "figma"), ("Update awaiting", "slack")]
)
def test_jobs_of_another_kind_do_not_count(
    live: Lives, con: Connection, state: str, integration: str
) -> None:
    waits = an_account("bad", state=state, upstream_id=None)
    done = jobs(20)
    live(*done)
    live(*[[waits] + (done[-1] if integration == "figma" else [])] * 6, integration=integration)
    assert found(con, "waiting_longer_than_usual") == {}


def test_a_job_in_twenty_may_take_longer(live: Lives, con: Connection) -> None:
    slow = an_account("slow", upstream_id=None)
    runs = slow | {"provisioning_state": "Update ongoing"}
    waits = an_account("bad", state="Update awaiting", upstream_id=None)
    before, job, after = jobs(19)
    live(
        [*before, slow], [*job, runs], [*after, runs], [*after, runs], *[[*after, slow, waits]] * 3
    )
    assert found(con, "waiting_longer_than_usual") == {"bad": day(6)}


# ---- the last holder of a role -------------------------------------------------------------------


def test_the_last_holder_of_a_role_is_found_since_the_one_before_has_gone(
    live: Lives, con: Connection
) -> None:
    leaves = an_account("bad", state="Delete awaiting", roles=["Admin", "Else", "Owner"])
    remains = an_account("good", roles=["Owner", "Admin"], upstream_id=None)
    live([leaves, remains], [leaves, remains], [leaves, remains | {"roles": ["Admin"]}], [leaves])
    assert found(con, "last_holder", as_of=day(1)) == {}
    assert found(con, "last_holder", as_of=day(2)) == {"bad": day(2)}
    assert found(con, "last_holder") == {"bad": day(2)}
    assert detail(con, "last_holder") == "Admin; Owner"


@pytest.mark.parametrize(
    ("state", "active", "counts"),
    [
        ("Onboarded", "yes", True),
        ("Update failed", "yes", True),
        ("Onboarded", "no", False),
        ("Onboarded", "", False),
        ("Deleted", "yes", False),
        ("Delete failed", "yes", False),
    ],
)
def test_only_active_accounts_that_stay_hold_a_role_on(
    live: Lives, con: Connection, state: str, active: str, counts: bool
) -> None:
    leaves = an_account("bad", state="Delete ongoing", roles=["Admin"])
    live([leaves, an_account("o", state=state, active=active, roles=["Admin"], upstream_id=None)])
    assert ("bad" in found(con, "last_holder")) != counts


def test_a_role_of_another_integration_is_another_role(live: Lives, con: Connection) -> None:
    live(an_account("bad", state="Delete awaiting", roles=["Admin"]))
    live(an_account("good", roles=["Admin"]), integration="slack")
    assert found(con, "last_holder") == {"bad": day(0)}


# ---- one upstream ID on several accounts ---------------------------------------------------------


def test_accounts_with_one_upstream_id_are_found_since_both_have_it(
    live: Lives, con: Connection
) -> None:
    a, b, c = (an_account(name) for name in "abc")
    other = b | {"upstream_user_id": "00u2"}
    live([a, b], [a, other], [a, b], [a, b, c])
    assert found(con, "shared_upstream_id") == {"a": day(2), "b": day(2), "c": day(3)}
    assert found(con, "shared_upstream_id", as_of=day(1)) == {}
    assert found(con, "shared_upstream_id", as_of=day(0)) == {"a": day(0), "b": day(0)}
    assert detail(con, "shared_upstream_id") == "3 accounts: 00u1"


def test_a_guid_in_another_spelling_is_the_same_upstream_id(con: Connection, live: Lives) -> None:
    guid = "0b1d5c1e-0001-4a6e-9a51-00000000000a"
    ids = {"a": guid, "b": f"{{{guid.upper()}}}", "c": "Ab", "d": "ab"}
    live([an_account(name, upstream_id=upstream_id) for name, upstream_id in ids.items()])
    assert found(con, "shared_upstream_id") == {"a": day(0), "b": day(0)}


def test_an_id_that_moves_on_at_once_remains_shared(live: Lives, con: Connection) -> None:
    a, b, c = (an_account(name) for name in "abc")
    live([a, b], [a, c])
    assert found(con, "shared_upstream_id") == {"a": day(0), "c": day(1)}


def test_the_same_id_in_two_integrations_and_no_id_at_all_are_not_shared(
    live: Lives, con: Connection
) -> None:
    nobody = [an_account(name, upstream_id=None) for name in "xy"]
    live([an_account("a"), *nobody])
    live(an_account("a"), integration="slack")
    assert found(con, "shared_upstream_id") == {}


# ---- a job that changed nothing ------------------------------------------------------------------


@pytest.mark.parametrize("job", [["Update awaiting"], ["Update awaiting", "Update ongoing"]])
def test_an_update_that_left_the_account_as_it_was_is_found(
    live: Lives, con: Connection, job: list[str]
) -> None:
    states = ["Onboarded", *job, "Onboarded", "Onboarded"]
    live(
        *(
            an_account("bad", state=state, reason=f"{n}", last_updated=f"2026-01-0{n + 1}")
            for n, state in enumerate(states)
        )
    )
    assert found(con, "nothing_changed") == {"bad": day(len(job) + 1)}


@pytest.mark.parametrize(
    "roles", [["A", "A", "B"], ["A", "B", "B"], ["A", "B", "A"], ["A", "A", "A", "B"]]
)
def test_an_update_with_any_change_by_now_is_not_found(
    live: Lives, con: Connection, roles: list[str]
) -> None:
    states = ["Onboarded", "Update ongoing", "Onboarded", "Onboarded"]
    live(
        *(
            an_account("good", state=state, roles=[role])
            for state, role in zip(states, roles, strict=False)
        )
    )
    assert found(con, "nothing_changed") == {}


def test_an_account_that_nobody_saw_before_its_update_is_not_found(
    live: Lives, con: Connection
) -> None:
    live(*(an_account("good", state=state) for state in ["Update ongoing", "Onboarded"]))
    assert found(con, "nothing_changed") == {}


@pytest.mark.parametrize("states", [["Update failed", "Onboarded"], ["Update ongoing"] * 2])
def test_only_an_update_that_was_seen_to_succeed_is_found(
    live: Lives, con: Connection, states: list[str]
) -> None:
    live(*(an_account("good", state=state) for state in ["Onboarded", *states]))
    assert found(con, "nothing_changed") == {}


def test_an_old_update_is_forgotten(live: Lives, con: Connection) -> None:
    states = ["Onboarded", "Update ongoing", *["Onboarded"] * 4]
    live(*(an_account("bad", state=state) for state in states))
    assert found(con, "nothing_changed", limits=RuleSettings(unchanged_days=3)) == {"bad": day(2)}
    assert found(con, "nothing_changed", limits=RuleSettings(unchanged_days=2)) == {}


# ---- the rules as a whole ------------------------------------------------------------------------


def test_every_rule_is_listed_once_the_severest_first_and_says_its_limits() -> None:
    assert len(RULE_BY_NAME) == len(RULES)
    severities = [SEVERITIES.index(each.severity) for each in RULES]
    assert severities == sorted(severities)
    for each in RULES:
        words = each.describe(RuleSettings(privileged=("{x}",)))
        assert words.endswith(".")
        assert "{x}" in words or "{" not in words


def test_rules_ask_only_the_chosen_integrations(live: Lives, con: Connection) -> None:
    live(an_account("a", state="Deleted"))
    live(an_account("b", state="Deleted"), integration="slack")
    assert set(found(con, "deleted_but_active", integration=("slack",))) == {"b"}
    assert set(found(con, "deleted_but_active", integration=("slack",), as_of=day(0))) == {"b"}
    assert set(found(con, "deleted_but_active")) == {"a", "b"}


def test_an_empty_store_has_no_findings(con: Connection) -> None:
    for each in RULES:
        assert found(con, each.name) == {}
        assert found(con, each.name, as_of=day(0)) == {}


# ---- accepted ------------------------------------------------------------------------------------

BAD = FindingKey("deleted_but_active", "figma", "bad")
FINE = RiskException("Kept for the audit", "Grace")


def test_an_accepted_finding_does_not_count_and_tells_why(
    live: Lives, store: Engine, con: Connection
) -> None:
    live(an_account("bad", state="Deleted"))
    add_exceptions(store, [(BAD, day(0))], FINE)
    assert found(con, BAD.rule) == {}
    assert found(con, BAD.rule, accepted=True) == {"bad": day(0)}
    (row,) = page_of_findings(con, View(), RULE_BY_NAME[BAD.rule], 1, with_exception=True)
    assert (row.reason, row.accepted_by, row.until) == ("Kept for the audit", "Grace", None)


def test_an_acceptance_is_of_one_rule_only(live: Lives, store: Engine, con: Connection) -> None:
    live(an_unmatched_account("bad", state="Deleted"))
    add_exceptions(store, [(BAD, day(0))], FINE)
    assert found(con, "active_and_unmatched") == {"bad": day(0)}


def test_a_finding_that_ends_and_begins_again_needs_another_word(
    live: Lives, store: Engine, con: Connection
) -> None:
    bad = an_account("bad", state="Deleted")
    live(bad)
    add_exceptions(store, [(BAD, day(0))], FINE)
    live(bad, bad | {"state_reason": "x"})
    assert found(con, BAD.rule) == {}
    live(bad, bad | {"state_reason": "x"}, an_account("bad"), bad)
    assert found(con, BAD.rule) == {"bad": day(3)}


def test_an_earlier_snapshot_that_comes_late_does_not_undo_an_acceptance(
    live: Lives, snapshots: Deliveries, store: Engine, con: Connection
) -> None:
    bad = an_account("bad", state="Deleted")
    live(bad)
    add_exceptions(store, [(BAD, day(0))], FINE)
    snapshots.take(bad, at=day(-1))
    assert found(con, BAD.rule, accepted=True) == {"bad": day(-1)}


def test_an_acceptance_ends_after_its_last_day(live: Lives, store: Engine, con: Connection) -> None:
    live(an_account("bad", state="Deleted"))
    add_exceptions(store, [(BAD, day(0))], FINE._replace(until=day(5).date()), accepted_at=day(1))
    assert found(con, BAD.rule, evaluated_at=day(6) - timedelta(seconds=1)) == {}
    assert found(con, BAD.rule, evaluated_at=day(6)) == {"bad": day(0)}


def test_a_withdrawn_acceptance_counts_no_more_but_did_then(
    live: Lives, store: Engine, con: Connection
) -> None:
    bad = an_account("bad", state="Deleted")
    live(bad, bad, bad, bad)
    add_exceptions(store, [(BAD, day(0))], FINE, accepted_at=day(1))
    EXCEPTIONS.withdraw(store, [BAD._asdict()], "Ada", day(3))
    assert found(con, BAD.rule) == {"bad": day(0)}
    assert found(con, BAD.rule, as_of=day(2)) == {}
    assert found(con, BAD.rule, as_of=day(0)) == {"bad": day(0)}


def test_a_second_word_takes_the_place_of_the_first(
    live: Lives, store: Engine, con: Connection
) -> None:
    live(an_account("bad", state="Deleted"))
    add_exceptions(store, [(BAD, day(0))], FINE)
    add_exceptions(store, [(BAD, day(0))], RiskException("Another reason", "Ada"))
    (row,) = page_of_findings(con, View(), RULE_BY_NAME[BAD.rule], 1, with_exception=True)
    assert row.reason == "Another reason"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (RiskException(" \n", "Grace"), "reason"),
        (RiskException("Because", "\0 "), "name"),
        (RiskException("Because", "Grace", datetime(2000, 1, 1).date()), "2000-01-01 has passed"),
    ],
)
def test_an_acceptance_without_reason_or_name_is_none(
    store: Engine, texts: RiskException, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        add_exceptions(store, [(BAD, day(0))], texts)


def test_settings_are_saved_in_the_store(store: Engine, con: Connection) -> None:
    assert read_rule_settings(con) == RuleSettings()
    con.rollback()
    wanted = RuleSettings(privileged=("*boss*",), inactive_days=12)
    save_rule_settings(store, wanted)
    assert read_rule_settings(con) == wanted


@pytest.mark.parametrize("reported", [{}, {"inactive_days": -1}, {"inactive_days": "9"}, {"x": 1}])
def test_limits_that_make_no_sense_are_the_usual_ones(reported: dict[str, Any]) -> None:
    assert RuleSettings.from_dict(reported) == RuleSettings()


# ---- whole histories -----------------------------------------------------------------------------

rows = st.fixed_dictionaries(
    {
        "username": st.sampled_from(["ada", "bob", "cy"]),
        "state": st.sampled_from([*STATE_NAMES, UNRECOGNIZED.name]),
        "active": st.sampled_from(["yes", "no", ""]),
        "email": st.sampled_from([None, "a@x.io"]),
        "roles": st.sampled_from([[], ["Admin"], ["Admin", "Editor"]]),
        "upstream_id": st.sampled_from([None, "1", "2"]),
    }
)
listed = st.lists(rows, max_size=3, unique_by=lambda row: row["username"])
histories = st.lists(listed, min_size=1, max_size=6)
some = settings(max_examples=3, phases=(Phase.reuse, Phase.generate))
SHORT = RuleSettings(delete_awaiting_days=1, inactive_days=1, unchanged_days=3)


def all_found(con: Connection, at: datetime | None) -> dict[str, FoundSince]:
    return {each.name: found(con, each.name, as_of=at, limits=SHORT) for each in RULES}


@some
@given(histories)
def test_a_past_moment_shows_the_findings_of_that_time(history: list[list[dict[str, Any]]]) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(f"duckdb:///{folder}/store.duckdb")
        snapshots, then = Deliveries(store, Path(folder)), {}
        for number, accounts in enumerate(history):
            listed = [an_account(user=None, **facts) for facts in accounts]
            snapshots.take(*listed, at=day(number))
            if number == len(history) // 2:
                with store.connect() as con:
                    then[day(number)] = all_found(con, None)
        with store.connect() as con:
            assert {at: all_found(con, at) for at in then} == then
        store.dispose()


@some
@given(histories, st.data())
def test_open_and_accepted_findings_are_all_that_is_found(
    history: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(f"duckdb:///{folder}/store.duckdb")
        snapshots = Deliveries(store, Path(folder))
        for number, accounts in enumerate(history):
            snapshots.take(*(an_account(user=None, **f) for f in accounts), at=day(number))
        with store.connect() as con:
            before = all_found(con, None)
        every = [(name, who) for name, reported in before.items() for who in reported]
        chosen = data.draw(st.sets(st.sampled_from(every))) if every else set()
        newest = day(len(history) - 1)
        add_exceptions(
            store, [(FindingKey(name, "figma", who), newest) for name, who in chosen], FINE
        )
        with store.connect() as con:
            for name, reported in before.items():
                agreed = found(con, name, accepted=True, limits=SHORT)
                assert set(agreed) == {who for rule, who in chosen if rule == name}
                assert agreed | found(con, name, limits=SHORT) == reported
        store.dispose()
