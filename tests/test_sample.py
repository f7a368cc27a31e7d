"""What sample snapshots look like, and how the invented accounts live."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sample.files import latest_morning, sample_snapshots, write_sample
from data.sample.lifecycle import FAILED_STATES, NO_WAVE
from data.sample.population import REMOVED, Population
from data.states import STATE_NAMES, STATES

TODAY = datetime(2026, 11, 23, 6)
ALL_STATES = set(range(REMOVED))
READERS = {
    ".parquet": "read_parquet($1)",
    ".csv": "read_csv($1, all_varchar = true)",
    ".tsv": "read_csv($1, all_varchar = true)",
    ".json": "read_json($1, format = 'array')",
    ".ndjson": "read_json($1, format = 'newline_delimited')",
    ".gz": "read_json($1, format = 'newline_delimited')",
}


def a_population(number=0, accounts=300, days=90, seed=1) -> Population:
    return Population(number, accounts, days, TODAY, seed)


def lives(population: Population, days: int):
    """The states of all accounts, day by day: (days ago, before, after)."""
    for ago in range(days - 1, -1, -1):
        before = population.state.copy()
        population.advance_day(ago)
        yield ago, before, population.state.copy()


def moves(population: Population, days: int) -> Counter[tuple[int, int]]:
    """How often an account went from one state to another."""
    return Counter(
        (int(a), int(b))
        for _, before, after in lives(population, days)
        for a, b in zip(before, after, strict=True)
        if a != b
    )


def is_allowed(before: int, after: int) -> bool:
    if REMOVED in (before, after):
        return STATE_NAMES[(before, after)[before == REMOVED]] in (
            "Deleted",
            "Provisioning awaiting",
        )
    was, now = STATES[before], STATES[after]
    if was.phase == "settled":
        return now.phase == "awaiting" and (was.name == "Deleted") == (now.operation == "provision")
    if was.phase == "ongoing":
        ends = {"Deleted"} if was.operation == "delete" else {"Onboarded"}
        return now.name in ends or (now.phase == "failed" and now.operation == was.operation)
    next_phase = {"awaiting": "ongoing", "failed": "awaiting"}[was.phase]
    return (now.phase, now.operation) == (next_phase, was.operation)


def rows(path: Path) -> list[dict[str, object]]:
    relation = duckdb.execute("FROM " + READERS[path.suffix], [str(path)])
    names = [column[0] for column in relation.description]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def newest(paths: list[Path]) -> dict[str, Path]:
    return {path.parent.name: path for path in paths}


def digests(paths: list[Path]) -> list[tuple[str, str]]:
    return [(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sample(tmp_path_factory.mktemp("sample"), days=3, until=TODAY)


# ---- lives --------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(number=st.integers(0, 7), seed=st.integers(0, 2**32), accounts=st.integers(1, 250))
def test_an_account_only_takes_allowed_steps(number: int, seed: int, accounts: int) -> None:
    forbidden = [
        m for m in moves(a_population(number, accounts, 60, seed), 60) if not is_allowed(*m)
    ]
    assert forbidden == []


def test_every_allowed_step_is_taken_somewhere() -> None:
    taken = set(moves(a_population(number=1, accounts=3000), 90))
    allowed = {
        (a, b) for a in range(REMOVED) for b in range(REMOVED) if a != b and is_allowed(a, b)
    }
    assert allowed <= taken


def test_a_new_account_starts_with_provisioning_awaiting() -> None:
    joins = {after for before, after in moves(a_population(), 90) if before == REMOVED}
    assert [STATE_NAMES[state] for state in joins] == ["Provisioning awaiting"]


def test_a_deleted_account_is_removed_after_ten_to_thirty_days_and_few_return() -> None:
    population, days_deleted, came_back = a_population(accounts=1500), [], 0
    deleted_since: dict[int, int] = {}
    was_there = population.state != REMOVED
    for ago, before, after in lives(population, 90):
        for account in ((before != after) & (after == STATE_NAMES.index("Deleted"))).nonzero()[0]:
            deleted_since[account] = ago
        for account in ((before != after) & (after == REMOVED)).nonzero()[0]:
            if account in deleted_since:
                days_deleted.append(deleted_since[account] - ago)
        came_back += int((was_there & (before == REMOVED) & (after != REMOVED)).sum())
        was_there |= after != REMOVED
    assert min(days_deleted) >= 10
    assert max(days_deleted) <= 31 + 1
    assert 0 < came_back < len(days_deleted) / 4


@settings(max_examples=10)
@given(number=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_all_eleven_states_are_there_on_every_day_from_150_accounts_on(
    number: int, seed: int
) -> None:
    days = lives(a_population(number, 300, 30, seed), 30)
    assert all(set(after.tolist()) >= ALL_STATES for _, _, after in days)


def test_most_accounts_are_onboarded_some_deleted_and_a_few_failed() -> None:
    counts: Counter[str] = Counter()
    for number in range(6):
        *_, (_, _, after) = lives(a_population(number, accounts=1500), 90)
        counts.update(STATE_NAMES[state] for state in after if state != REMOVED)
    share = {state: count / counts.total() for state, count in counts.items()}
    assert 0.75 < share["Onboarded"] < 0.87
    assert 0.035 < share["Deleted"] < 0.065
    assert 0.03 < sum(share[STATE_NAMES[state]] for state in FAILED_STATES) < 0.06


def test_on_a_calm_day_one_to_three_accounts_of_a_hundred_change() -> None:
    population = a_population(accounts=3000)
    assert population.wave is NO_WAVE
    changed = [(before != after).sum() for _, before, after in lives(population, 90)]
    assert 0.01 < sum(changed) / 90 / 3000 < 0.035


@pytest.mark.parametrize("seed", range(3))
def test_a_failure_wave_climbs_for_days_and_recovers(seed: int) -> None:
    failing = failing_share(a_population(number=1, seed=seed))
    assert failing[36] < 0.06
    assert 0.03 < failing[30] < failing[26] < failing[22]
    assert 0.22 < failing[22] < 0.38
    assert max(failing[ago] for ago in range(18)) < 0.07


@pytest.mark.parametrize("seed", range(3))
def test_a_second_smaller_wave_is_not_over_yet(seed: int) -> None:
    failing = failing_share(a_population(number=4, accounts=600, seed=seed))
    assert failing[14] + 0.03 < failing[0] < failing[5] < 0.20


def failing_share(population: Population) -> dict[int, float]:
    """Days ago → the share of accounts whose provision or update job has failed."""
    return {
        ago: float(
            sum((after == state).sum() for state in FAILED_STATES[:2]) / (after != REMOVED).sum()
        )
        for ago, _, after in lives(population, 90)
    }


# ---- files --------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    once, again, other = (
        digests(write_sample(tmp_path / name, days=2, seed=seed, until=TODAY))
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    assert once == again
    assert not {digest for _, digest in once} & {digest for _, digest in other}


def test_an_integration_does_not_depend_on_how_many_others_there_are(tmp_path: Path) -> None:
    alone = write_sample(tmp_path / "alone", days=1, integrations=1, until=TODAY)
    beside = write_sample(tmp_path / "beside", days=1, integrations=3, until=TODAY)
    assert digests(alone) == digests(beside)[:1]


def test_files_come_oldest_first_and_say_integration_and_time(sample: list[Path]) -> None:
    taken_at = [datetime.strptime(p.name.split(".")[0], "%Y-%m-%dT%H-%M-%SZ") for p in sample]
    assert taken_at == sorted(taken_at)
    assert sorted(set(taken_at)) == [TODAY - timedelta(days=ago) for ago in (2, 1, 0)]
    assert [p.parent.name for p in sample[:6]] == [
        "Figma", "Salesforce EMEA", "Slack", "GitHub", "Zoom", "Notion"
    ]  # fmt: skip


def test_each_integration_keeps_one_format_and_together_they_use_all(sample: list[Path]) -> None:
    endings = {(p.parent.name, p.name.split(".", 1)[1]) for p in sample}
    assert len(endings) == 6
    assert {e for _, e in endings} == {"parquet", "csv", "ndjson", "json", "tsv", "jsonl.gz"}


def test_nothing_but_finished_snapshots_is_left_behind(sample: list[Path]) -> None:
    root = sample[0].parent.parent
    assert sorted(p for p in root.rglob("*") if p.is_file()) == sorted(sample)


def test_a_snapshot_can_be_loaded_as_soon_as_it_is_yielded(tmp_path: Path) -> None:
    first = next(sample_snapshots(tmp_path, accounts=20, until=TODAY))
    assert rows(first)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [first]


def test_five_hundred_integrations_have_five_hundred_folders(tmp_path: Path) -> None:
    paths = write_sample(tmp_path, accounts=1, days=1, integrations=500, until=TODAY)
    folders = [p.parent.name for p in paths]
    assert len(set(folders)) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9 ]+", folder) for folder in folders)
    assert "Jira 2" in folders


def test_integrations_differ_in_size_around_the_given_number(sample: list[Path]) -> None:
    sizes = [len(rows(path)) for path in newest(sample).values()]
    assert 300 * 0.45 < min(sizes) < 300 < max(sizes) < 300 * 2.2
    assert 200 < sum(sizes) / 6 < 400


def test_a_csv_has_the_headings_of_the_table(sample: list[Path]) -> None:
    assert newest(sample)["Salesforce EMEA"].read_text(encoding="utf-8").splitlines()[0] == (
        "User,Username in app,App access,Active in app,Upstream user ID,Provisioning state,"
        "Last updated,Last sign-in,Reason,Failure code"
    )


def test_usernames_and_account_ids_are_unique_and_filled(sample: list[Path]) -> None:
    for path in sample:
        accounts = rows(path)
        for heading in {"Username in app", "username_in_app", "account_id"} & set(accounts[0]):
            values = [str(account[heading] or "").lower() for account in accounts]
            assert "" not in values
            assert len(set(values)) == len(values)


def test_no_account_was_updated_after_its_snapshot_was_taken(sample: list[Path]) -> None:
    for path in sample:
        taken_at = datetime.strptime(path.name.split(".")[0], "%Y-%m-%dT%H-%M-%SZ")
        for account in rows(path):
            text = str(account.get("last_updated") or account.get("Last updated"))
            assert datetime.fromisoformat(text).replace(tzinfo=None) < taken_at


def test_last_updated_changes_exactly_when_the_account_does(sample: list[Path]) -> None:
    before, after = (
        {a["account_id"]: {k: v for k, v in a.items() if k != "last_sign_in"} for a in rows(p)}
        for p in (sample[-12], sample[-6])
    )
    assert sample[-6].parent.name == "Figma"
    both = before.keys() & after.keys()
    restamped = {i for i in both if before[i]["last_updated"] != after[i]["last_updated"]}
    assert restamped == {i for i in both if before[i] != after[i]}
    assert 0 < len(restamped) < len(both) / 15


def test_active_is_a_fact_of_its_own(sample: list[Path]) -> None:
    facts = {
        (a.get("provisioning_state") or a.get("Provisioning state"), a_fact(a))
        for path in newest(sample).values()
        for a in rows(path)
    }
    assert facts >= {
        (state, active) for state in ("Onboarded", "Deleted") for active in ("yes", "no")
    }
    assert ("Onboarded", "unknown") in facts


def a_fact(account: dict[str, object]) -> str:
    value = account["active_in_app"] if "active_in_app" in account else account["Active in app"]
    return {True: "yes", "Yes": "yes", False: "no", "No": "no", None: "unknown"}[value]


def test_some_accounts_are_unmatched_and_some_of_them_administer_the_app(tmp_path: Path) -> None:
    (path,) = write_sample(tmp_path, accounts=2000, days=1, integrations=1, until=TODAY)
    accounts = rows(path)
    unmatched = [a for a in accounts if not a["user_name"] and not a["user_email"]]
    assert 0.03 < len(unmatched) / len(accounts) < 0.09
    assert any(str(a["username_in_app"]).startswith("svc-") for a in unmatched)
    assert any(role["type"] == "admin" for a in unmatched for role in a["roles"])


def test_a_person_has_accounts_in_several_integrations(sample: list[Path]) -> None:
    figma, slack = (
        {(a["user_email"], a["upstream_user_id"]) for a in rows(newest(sample)[slug])}
        for slug in ("Figma", "Slack")
    )
    assert len(figma & slack) > 50


def test_now_and_then_two_accounts_of_an_integration_share_an_upstream_id(tmp_path: Path) -> None:
    (path,) = write_sample(tmp_path, accounts=2000, days=1, integrations=1, until=TODAY)
    ids = Counter(a["upstream_user_id"] for a in rows(path) if a["upstream_user_id"])
    assert 0 < sum(count > 1 for count in ids.values()) < 40
    assert max(ids.values()) <= 3


def test_most_accounts_hold_few_roles_and_one_or_two_hold_dozens(sample: list[Path]) -> None:
    accounts = rows(newest(sample)["Figma"])
    counts = [len({role["name"] for role in a["roles"]}) for a in accounts]
    assert counts == [len(a["roles"]) for a in accounts]
    assert sum(1 <= count <= 4 for count in counts) > 0.7 * len(counts)
    assert any(8 <= count <= 17 for count in counts)
    assert 1 <= sum(count >= 28 for count in counts) <= 2
    assert set(accounts[0]["roles"][0]) == {"name", "type", "description", "via", "since"}


def test_a_failed_state_comes_with_its_reason_and_code_and_no_other_does(
    sample: list[Path],
) -> None:
    for account in rows(newest(sample)["GitHub"]):
        failed = str(account["provisioning_state"]).endswith("failed")
        assert bool(account["state_reason"]) == bool(account["failure_code"]) == failed
        assert "{" not in str(account["state_reason"])


def test_addresses_are_reserved_ones_and_nothing_looks_like_a_credential(
    sample: list[Path],
) -> None:
    text = "\n".join(p.read_text("utf-8") for p in sample if p.suffix in (".csv", ".json", ".tsv"))
    domains = set(re.findall(r"@([\w.-]+?)(?:\.emea)?(?=[^\w.-])", text))
    assert domains <= {"northwind.example", "partners.northwind.example", "fabrikam.example"}
    assert not re.search(r"password|secret|bearer|eyJ|token[=:]|AKIA|ghp_|xox[bp]-", text, re.I)


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        (datetime(2026, 11, 23, 6, 0, 1), datetime(2026, 11, 23, 6)),
        (datetime(2026, 11, 23, 5, 59, 59), datetime(2026, 11, 22, 6)),
        (datetime(2026, 1, 1, 0, 0), datetime(2025, 12, 31, 6)),
    ],
)
def test_the_newest_snapshot_is_of_the_latest_six_o_clock(now: datetime, morning: datetime) -> None:
    assert latest_morning(now) == morning
