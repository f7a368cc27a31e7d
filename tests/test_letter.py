"""What a letter says: each number is that of the list it opens, and nobody reads too much."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from builders import TODAY, YESTERDAY, Account, Deliveries, an_account, an_unmatched_account
from dropped_files import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from letterboxes import by_mail, configure
from sqlalchemy import Connection, Engine

import rollcall
from data.access.roles import Principal
from data.inbox.quarantine import record_quarantined
from data.objectives import Objective, save_objectives
from data.people.directories import save_directories
from data.records.exceptions import FindingKey, RiskException, add_exceptions, read_rule_settings
from data.records.pull_failures import record_pull
from data.records.rounds import NewRound, start_round
from data.records.tables import quarantined_file
from data.schema import integration, snapshot
from data.states import FAILED_STATES
from data.store.engine import open_store
from queries.changes.accounts import count_changes
from queries.changes.diff import ChangeFilter
from queries.changes.window import SnapshotMoments, window_from_params
from queries.filters import Filters
from queries.letter import write
from queries.letter.kinds import KINDS
from queries.letter.letter import Item, Letter, Link
from queries.letter.render import letter_data, letter_html, letter_subject, letter_text
from queries.letter.schedule import Schedule, Sent
from queries.letter.write import (
    current_alarms,
    due_letter,
    read_items,
    write_letter,
)
from queries.people.cells import matrix_cells
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULE_BY_NAME
from queries.rounds.items import count_outcomes
from queries.rounds.lists import find_round
from queries.rounds.population import freeze_list
from queries.scope import Params, Scope, moment_param
from queries.snapshots import count_quarantined, file_filter_from_params
from queries.users.accounts import count_accounts

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW, BEFORE = TODAY + 2 * HOUR, YESTERDAY + 2 * HOUR
BASE = "https://rollcall.example.com"
OWNER = Principal("", ("Owner",))
MANAGER = Principal("", ("Manager",))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the key of pseudonyms is."""
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path))


def opened(con: Connection, params: Params, page: str) -> int:
    """The number of rows on the page at an address, by what the page itself asks."""
    if page == "changes":
        window = window_from_params(params, SnapshotMoments(BEFORE, None, NOW))
        chosen = ChangeFilter.from_params(params)
        assert chosen
        return count_changes(con, window, chosen)
    if page == "review":
        moments = {name: moment_param(params, name) for name in ("found_after", "gone_by")}
        scope = Scope.from_params(params)
        view = View(
            integration=scope.integration,
            as_of=scope.as_of,
            limits=read_rule_settings(con),
            **moments,
        )
        return count_findings(con, view, RULE_BY_NAME[params["rule"][0]]).open
    if page == "snapshots":
        return sum(count_quarantined(con, file_filter_from_params(params)).values())
    if page == "rounds":
        round_ = find_round(con, params["round"][0])
        assert round_
        return count_outcomes(con, round_)[params["show"][0]]
    if page == "people":
        cells = matrix_cells(con, Scope.from_params(params), None)
        return sum(c.accounts for c in cells if (c.person, c.account) == ("left", "active"))
    assert page == "users"
    return count_accounts(con, Filters.from_params(params))


def check_numbers(store: Engine, letter: Letter) -> None:
    """Every number is that of its text, and of the list that its link opens."""
    with store.connect() as con:
        for item in letter.items:
            if item.count is None or item.link is None:
                continue
            address = urlsplit(item.link.url(BASE))
            params = parse_qs(address.query)
            assert opened(con, params, address.path.strip("/")) == item.count, item
            assert item.text.startswith(f"{item.count:,} ")


def texts(letter: Letter) -> list[str]:
    return [item.text + item.detail for item in letter.items]


def letter_of(store: Engine, reader: Principal = OWNER) -> Letter:
    return write_letter(store, reader, BEFORE, NOW)


# ---- a day on which everything happens -----------------------------------------------------------

FAILED = {"state": "Update failed", "code": "E42", "reason": "Seat limit reached"}


def a_person(number: int, **facts: str) -> Account:
    """An account whose every field names somebody, or is hostile."""
    text = HOSTILE[number % len(HOSTILE)]
    return an_account(
        f"zaphod.b{number}",
        user=f"Zaphod Beeblebrox {text}",
        email=f"zaphod@magrathea.example{number}",
        roles=[f"Role of Zaphod Beeblebrox {text}"],
        upstream_id=f"{text}{number}",
        **facts,
    )


@pytest.fixture(scope="module")
def a_busy_day(a_store_to_read: Callable[[], Deliveries]) -> Engine:
    """One item of nearly each kind, between yesterday and today."""
    snapshots = a_store_to_read()
    store = snapshots.store
    for days in (5, 4, 3):  # a rhythm, and then nothing
        snapshots.take(a_person(80), integration="slack", at=TODAY - days * DAY)
    before = [a_person(n) for n in range(5)]
    mended = a_person(9, state="Update failed", reason="For zaphod.b9: Zaphod Beeblebrox")
    leaver = [a_person(70), a_person(71)]
    snapshots.take(*leaver, integration="hr", at=YESTERDAY)
    snapshots.take(*before, *leaver, mended, a_person(10, active="no"), at=YESTERDAY)
    snapshots.take(a_person(70), integration="hr", at=TODAY)
    failed = [a_person(n, **FAILED) for n in range(3)]
    deleted = [a_person(n, state="Deleted") for n in (3, 4)]
    joined = a_person(11, state="Provisioning failed", reason="No seat for Zaphod Beeblebrox")
    snapshots.take(*failed, *deleted, joined, a_person(9), *leaver, a_person(10, active="no"))
    key = FindingKey("deleted_but_active", "figma", "zaphod.b3")
    accepted = RiskException("known", "Grace")
    add_exceptions(store, [(key, TODAY)], accepted, accepted_at=NOW - HOUR)
    save_directories(store, {"hr": True})
    for status, name in (("on hold", "a.csv"), ("rejected", "b.csv"), ("rejected", "c.csv")):
        path = Path("quarantine") / "figma" / name
        record_quarantined(store, path, status, "zaphod.b listed twice")  # type: ignore[arg-type]
    with store.begin() as con:
        con.execute(sa.update(quarantined_file).values(quarantined_at=NOW - HOUR))
    freeze = freeze_list(Filters(as_of=BEFORE), is_by_role=False)
    new = NewRound("For Zaphod Beeblebrox", date(2026, 11, 22))
    start_round(store, new, freeze, "Zaphod Beeblebrox", started_at=YESTERDAY)
    return store


def test_a_letter_says_what_changed_the_worst_first_and_each_number_opens_its_list(
    a_busy_day: Engine,
) -> None:
    letter = letter_of(a_busy_day)
    check_numbers(a_busy_day, letter)
    assert texts(letter) == [
        "slack has been silent for 3 days; it usually sends a snapshot every 24 h",
        "1 file of figma is on hold; review needed",
        "4 new failures in figma, most often “E42: Seat limit reached”",
        "1 new finding: Deleted but still active",
        "1 new finding: Person left, account active",
        "2 files of figma are rejected; not loaded",
        "12 accounts still undecided after the last day: round “For Zaphod Beeblebrox”",
        "1 failure resolved in figma, with “For …: …”",
    ]
    assert len(letter.alarms) == 2


WHO = {
    "Owner": OWNER,
    "Analyst": Principal("", ("Analyst",)),
    "Manager": MANAGER,
    "pseudonyms": Principal("", ("Owner",), uses_pseudonyms=True),
}


@pytest.mark.parametrize("who", WHO)
def test_everybody_reads_only_what_their_role_may_open(a_busy_day: Engine, who: str) -> None:
    letter = letter_of(a_busy_day, WHO[who])
    kinds = {item.kind for item in letter.items}
    assert ("found" in kinds) == (who in ("Owner", "pseudonyms"))
    assert ("leavers" in kinds) == (who in ("Analyst", "Manager"))
    assert ("silent" in kinds) == (who != "Analyst")
    assert ("round" in kinds) == (who == "Owner")
    pages = {item.link.page for item in letter.items if item.link}
    if who == "Manager":
        assert pages == {"health", "people"}
    if who == "Analyst":
        assert pages == {"changes", "users"}
        check_numbers(a_busy_day, letter)
    if who in ("Manager", "pseudonyms"):
        everything = json.dumps(letter_data(letter, BASE), ensure_ascii=False)
        everything += letter_text(letter, BASE) + letter_html(letter, BASE)
        assert not [text for text in (*HOSTILE, "aphod", "eebl", "agrat") if text in everything]


def test_a_reader_of_one_integration_reads_of_no_other(a_busy_day: Engine) -> None:
    letter = letter_of(a_busy_day, Principal("", ("Owner",), ("slack",)))
    assert [item.text for item in letter.items] == [
        "slack has been silent for 3 days",
        "1 account still undecided after the last day",
    ]


# ---- histories -----------------------------------------------------------------------------------

LISTS = st.dictionaries(
    st.sampled_from(["ada", "bob", "cy", "dot"]),
    st.sampled_from(["Onboarded", "Update failed", "Delete failed", "Update ongoing"]),
    min_size=1,
)


ONLY_FAILURES = [kind for kind in KINDS if kind.name in ("failed", "resolved")]


@settings(max_examples=3)
@given(days=st.lists(st.tuples(LISTS, LISTS, st.booleans()), min_size=2, max_size=3))
def test_each_failure_is_in_one_letter_also_where_a_snapshot_comes_late(
    days: list[tuple[dict[str, str], dict[str, str], bool]],
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "KINDS", ONLY_FAILURES)
        store = open_store(f"duckdb:///{folder}/store.duckdb")
        deliveries = Deliveries(store, Path(folder) / "delivered")
        seen: dict[str, set[str]] = {}
        waiting: list[tuple[str, datetime, dict[str, str]]] = []
        for number, (figma, okta, is_late) in enumerate(days):
            at = TODAY + number * DAY
            arrived, waiting = [*waiting, ("figma", at, figma)], []
            (waiting if is_late and number else arrived).append(("okta", at, okta))
            new = resolved = 0
            for name, moment, states in arrived:
                accounts = [an_account(who, state=state) for who, state in states.items()]
                deliveries.take(*accounts, integration=name, at=moment)
                _set_loaded_at(store, name, moment, at + HOUR)
            for name in {name for name, *_ in arrived}:
                states = next(s for n, _, s in reversed(arrived) if n == name)
                failed = {who for who, state in states.items() if state in FAILED_STATES}
                new += len(failed - seen.get(name, failed))
                resolved += len(seen.get(name, failed) - failed)
                seen[name] = failed
            letter = write_letter(store, OWNER, at + 2 * HOUR - DAY, at + 2 * HOUR)
            check_numbers(store, letter)
            counts = Counter({item.kind: 0 for item in letter.items})
            for item in letter.items:
                counts[item.kind] += item.count or 0
            assert counts == Counter(failed=new, resolved=resolved)
        store.dispose()


def _set_loaded_at(store: Engine, name: str, taken_at: datetime, loaded_at: datetime) -> None:
    with store.begin() as con:
        of = sa.select(integration.c.integration_id).where(integration.c.name == name)
        is_it = sa.and_(snapshot.c.taken_at == taken_at, snapshot.c.integration_id.in_(of))
        con.execute(sa.update(snapshot).where(is_it).values(loaded_at=loaded_at))


def test_a_quiet_day_has_no_letter_but_a_week_of_them_is_well(
    store: Engine, snapshots: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in range(2):
        snapshots.take(an_account(), an_unmatched_account("bob"), at=TODAY - days * DAY)
    daily = Schedule(says_all_is_well=True)
    sent = Sent(BEFORE, BEFORE)
    letter, sent = due_letter(store, OWNER, daily, sent, NOW)
    assert letter is None
    assert (sent.since, sent.last_letter) == (NOW, BEFORE)
    monkeypatch.setattr(write, "KINDS", ONLY_FAILURES)
    letter, sent = due_letter(store, OWNER, daily, Sent(BEFORE, NOW - 7 * DAY), NOW)
    assert letter is not None
    assert letter.is_quiet
    assert letter_subject(letter) == "Rollcall: all is well"
    assert "All is well" in letter_text(letter, BASE)
    assert "All is well" in letter_html(letter, BASE)


def test_a_pull_that_fails_is_one_alarm_until_it_works(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets.toml"
    section = '[pull.{}]\nsource = "scim"\nurl = "https://x.io"\ntoken = "x"\n'
    secrets.write_text(section.format("figma") + section.format("okta"))
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    for name, failure in (("figma", "401: <b>no</b>"), ("okta", None), ("removed", "No answer.")):
        record_pull(store, name, failure, BEFORE)

    def alarms(reader: Principal = OWNER, at: datetime = NOW) -> list[str]:
        return [alarm.text + alarm.detail for alarm in current_alarms(store, reader, at)]

    assert alarms() == ["The pull of figma fails: 401: <b>no</b>"]
    assert not alarms(MANAGER) + alarms(WHO["pseudonyms"]), "they load no files"
    assert not alarms(at=BEFORE - HOUR), "it worked then"
    record_pull(store, "figma", None, NOW)
    assert not alarms()
    letter = write_letter(store, OWNER, BEFORE, NOW, alarms=(), ended={"pull:figma", "pull:x"})
    assert texts(letter) == ["The pull of figma no longer fails", "The pull of x no longer fails"]


def test_an_objective_is_an_alarm_when_it_begins_to_break(
    store: Engine, snapshots: Deliveries
) -> None:
    save_objectives(store, "", {"failing": Objective(10), "snapshot": None, "failing_for": None})
    for day in range(26):
        states = ["Update failed" if day > 21 and n < 7 else "Onboarded" for n in range(10)]
        rows = [an_account(f"a{n}", state=state) for n, state in enumerate(states)]
        snapshots.take(*rows, at=TODAY - (25 - day) * DAY)
    alarms = [current_alarms(store, OWNER, NOW - ago * DAY) for ago in (3, 2, 0)]
    assert [[alarm.text + alarm.detail for alarm in found] for found in alarms] == [
        [],
        [
            "7 accounts of figma begin to break an objective: at most 10% of accounts failing; "
            "5.9% of accounts failing in 30 days; at this rate its budget is gone on 27 Nov"
        ],
        [
            "7 accounts of figma break an objective: at most 10% of accounts failing; "
            "10.8% of accounts failing in 30 days"
        ],
    ]


ACCESS = """
[access]
pseudonyms = ["Analyst"]
[access.people]
"ada@x.io" = "Owner"
[access.integrations]
Admin = ["hr"]
"""


@pytest.mark.parametrize(
    ("to", "line"),
    [
        (("--as", "Admin"), "Rollcall: 2 accounts still undecided after the last day"),
        (("--as", "Analyst"), "• 4 new failures in figma, most often “E42”"),
        (("--to", "ada"), "  https://rollcall.example.com/snapshots?integration=slack"),
    ],
)
def test_a_dry_run_shows_what_a_signed_in_person_of_the_role_may_read(
    a_busy_day: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    to: tuple[str, str],
    line: str,
) -> None:
    secrets = tmp_path / "secrets.toml"
    configure(secrets, ada=f'{by_mail()}\nintegrations = ["slack"]')
    secrets.write_text(secrets.read_text() + ACCESS)
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", str(a_busy_day.url))
    monkeypatch.setattr(rollcall, "close_stores", lambda: None)
    period = ("--since", BEFORE.isoformat(), "--until", NOW.isoformat())
    assert rollcall.main(["letter", "--dry-run", *to, *period]) == 0
    assert line in capsys.readouterr().out.splitlines()


# ---- how it looks --------------------------------------------------------------------------------


def a_letter(*names: str) -> Letter:
    items = tuple(
        Item("failed", f"failed:{n}", "bad", f"1 new failure in {name}", f", with “{name}”", 1,
             Link("changes", (("integration", name),)))
        for n, name in enumerate(names)
    )  # fmt: skip
    return Letter(BEFORE, NOW, items, "Europe/Berlin")


class Tags(HTMLParser):
    """The tags of a document, their styles, and the attributes that load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.addresses: list[str] = []
        self.styles: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attrs)
        style = dict(attrs).get("style") or ""
        pairs = [pair.split(":", 1) for pair in style.split(";") if pair]
        self.styles += [(tag, name.strip(), value) for name, value in pairs]
        if tag == "table":
            missing = {"width", "cellpadding", "cellspacing", "border"} - dict(attrs).keys()
            assert not missing, "Word has other defaults"


def test_text_from_the_data_is_inert_in_a_mail_and_in_a_chat() -> None:
    names = [*HOSTILE[:-1], "<!channel> @here <@U1>", "http://evil.example", "_a_ ~b~ *c* `d`"]
    letter = a_letter(*names)
    text, html = letter_text(letter, BASE), letter_html(letter, BASE)
    words = "\n".join(line for line in text.splitlines() if not line.startswith("  http"))
    for live in ("<", ">", "@", "*", "`", "[x]", "://", ":smile:", "evil.example", "_a_"):
        assert live not in words, live
    tags = Tags()
    tags.feed(html)
    assert tags.names <= set("html head meta title style body table tr td div a b".split())
    assert all(address.startswith(f"{BASE}/") for address in tags.addresses)


DRAWN_BY_WORD = set(
    "background border color font-family font-size font-weight height line-height margin padding "
    "text-decoration".split()
)
ONLY_NICER = {"border-radius", "max-width", "min-width", "word-break"}
"""Word ignores these; a table of 600 is around the letter."""


def test_outlook_for_windows_draws_the_letter_too() -> None:
    tags, html = Tags(), letter_html(a_letter(*(f"app{n}" for n in range(16))), BASE)
    tags.feed(html)
    assert {name for _, name, _ in tags.styles} <= DRAWN_BY_WORD | ONLY_NICER
    assert {tag for tag, name, _ in tags.styles if name == "padding"} <= {"td", "body"}
    colors = [value for _, name, value in tags.styles if name in ("color", "background")]
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)
    assert '<!--[if mso]><table role="presentation" width="600" ' in html
    assert not re.search(r"<v:|url\(|flex|grid|float|position", html)
    assert html.count("word-break") == html.count('class="text"'), "a phone shows long names whole"
    assert len(html) < 102_000, "Gmail cuts it off"


def test_a_letter_is_at_most_a_screen_and_opens_the_rest() -> None:
    letter = a_letter(*(f"app{n}" for n in range(16)))
    text = letter_text(letter, BASE)
    assert text.count("new failure") == 12
    assert "and 4 more: https://rollcall.example.com/letter?from=" in text
    assert "and 4 more" in letter_html(letter, BASE)
    assert text.startswith("Rollcall, 22 Nov 09:00 → 23 Nov 09:00, Europe/Berlin\n")
    assert letter_subject(letter) == "Rollcall: 1 new failure in app0, 1 new failure in app1"


def test_the_page_lists_what_a_letter_had_no_room_for(a_busy_day: Engine) -> None:
    letter = letter_of(a_busy_day)
    keys = [item.key for item in letter.items[5:]]
    with a_busy_day.connect() as con:
        rest = read_items(con, OWNER, BEFORE, NOW, [*keys, "silent:hr", "silent:nobody"])
    over = [item.text for item in rest if item not in letter.items]
    assert over == ["hr sends snapshots again"]
    assert [item for item in rest if item.key != "silent:hr"] == list(letter.items[5:])


def test_the_command_prints_the_letter_of_a_period_as_a_role_may_read_it(
    a_busy_day: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", str(a_busy_day.url))
    monkeypatch.setattr(rollcall, "close_stores", lambda: None)
    period = ("--since", BEFORE.isoformat(), "--until", NOW.isoformat())
    command = ["letter", "--dry-run", "--as", "Manager", "--integration", "slack", *period]
    assert rollcall.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Rollcall: slack has been silent for 3 days"
    assert lines[-2].startswith("! slack has been silent for 3 days; it usually")
    assert lines[-1] == "  http://localhost:8501/health?integration=slack"
    assert (
        rollcall.main(["letter", "--dry-run", "--since", "2026-12-02", "--until", "2026-12-01"])
        == 2
    )
    for wrong in (["letter"], ["letter", "--dry-run", "--as", "King"]):
        with pytest.raises(SystemExit) as ended:
            rollcall.main(wrong)
        assert ended.value.code == 2
