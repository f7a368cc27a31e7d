"""A thousand decisions against a history with late, replaced and removed snapshots."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from builders import TODAY, Account, Deliveries, a_snapshot_file, an_account
from servers import Server
from sqlalchemy import Engine, func, select

from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.remove import remove_snapshot
from data.records.decisions import REVIEW_DECISIONS
from data.records.rounds import Decision, DecisionOn, ItemKey, NewRound, decide, start_round
from data.records.tables import review_decision
from data.store.engine import close_store, open_store
from queries.filters import Filters
from queries.rounds.items import all_items
from queries.rounds.lists import find_round
from queries.rounds.population import freeze_list

DAYS = [TODAY + timedelta(days=n) for n in range(6)]
DECIDED = TODAY + timedelta(hours=12)
QUARTER = NewRound("Q4", date(2099, 1, 1), late_days=2)


class Life(NamedTuple):
    """What people decide on some accounts, what the snapshots show, and what is true of them."""

    accounts: int
    decision: Decision
    shown: str  # a letter per day: here, gone, Deleted, inactive, with another role
    outcome: str
    proved_on: int | None = None  # which day
    note: str = ""


LIVES = [
    Life(380, "keep", "hhhhhh", "kept"),
    Life(30, "keep", "hhrrrr", "changed", 2),
    Life(10, "keep", "hhggrh", "kept"),
    Life(20, "unsure", "hggggg", "unsure"),
    Life(50, "revoke", "hhhhhh", "late", 3, "Done in the app, says the ticket."),
    Life(20, "revoke", "hhgghh", "came back", 4),
    Life(200, "revoke", "hhgggg", "done", 2),
    Life(150, "revoke", "hhhDDD", "done", 3),
    Life(80, "revoke", "hiiiii", "done", 1),
    Life(40, "revoke", "hghggg", "done", 3),
    Life(20, "revoke", "hhhhhg", "done", 5),
]
"""They are 1,000. The snapshots of days 3 and 5 come late or in place of others."""

LOOKS = {
    "h": {},
    "D": {"state": "Deleted"},
    "i": {"active": "no"},
    "r": {"roles": ["Editor", "Admin"]},
}


def lives() -> Iterator[tuple[str, Life]]:
    number = 0
    for life in LIVES:
        for _ in range(life.accounts):
            number += 1
            yield f"u{number}", life


def listed(day: int) -> list[Account]:
    shown = ((name, life.shown[day]) for name, life in lives())
    return [an_account(name, **LOOKS[look]) for name, look in shown if look != "g"]  # type: ignore[arg-type]


def test_a_thousand_outcomes_are_right_and_none_is_a_false_done(snapshots: Deliveries) -> None:
    store, everybody = snapshots.store, listed(0)
    snapshots.take(*everybody)
    freeze = freeze_list(Filters(), is_by_role=False)
    round_id = start_round(store, QUARTER, freeze, "Grace", started_at=DECIDED)
    decisions = [
        DecisionOn(ItemKey("figma", name), life.decision, life.note) for name, life in lives()
    ]
    assert len(decisions) == 1_000
    decide(store, round_id, decisions, "Grace", decided_at=DECIDED)
    assert outcomes(store, round_id)["done"] == 0

    snapshots.take(*everybody[:400], at=DAYS[5])  # a report that was cut off: 600 are missing
    assert outcomes(store, round_id)["done"] > 500
    snapshots.take(*listed(4), at=DAYS[4])
    snapshots.take(*everybody[:900], at=DAYS[4] + timedelta(hours=6))  # of another app, by mistake
    for day in (2, 1):  # both late
        snapshots.take(*listed(day), at=DAYS[day])
    remove_snapshot(store, "figma", DAYS[4] + timedelta(hours=6))
    snapshots.take(*listed(3), at=DAYS[3])
    path = a_snapshot_file(snapshots.folder, listed(5), at=DAYS[5])
    load(store, SnapshotFile(path, "figma", DAYS[5]), replace=True, confirmed=True)

    with store.connect() as con:
        round_ = find_round(con, round_id)
        assert round_
        found = {r.account_id: (r.outcome, r.proved_at) for r in all_items(con, round_)}
    assert found == {
        name: (life.outcome, DAYS[life.proved_on] if life.proved_on else None)
        for name, life in lives()
    }


def outcomes(store: Engine, round_id: str) -> Counter[str]:
    with store.connect() as con:
        round_ = find_round(con, round_id)
        assert round_
        return Counter(row.outcome for row in all_items(con, round_))


DECIDE = """
import sys
from data.records.rounds import DecisionOn, ItemKey, decide
from data.store.engine import open_store
url, round_id, name = sys.argv[1:]
for number in range(10):
    answer = DecisionOn(ItemKey("figma", f"u{number}"), "revoke" if number % 2 else "keep", name)
    decide(open_store(url), round_id, [answer], name)
"""


def test_processes_that_decide_at_once_on_a_server_lose_no_decision(
    postgresql: Server, tmp_path: Path
) -> None:
    """The last one on an account counts, and the ones before stay."""
    url = postgresql.new_store()
    store = open_store(url)
    Deliveries(store, tmp_path).take(*(an_account(f"u{number}") for number in range(10)))
    round_id = start_round(store, QUARTER, freeze_list(Filters(), is_by_role=False), "Owner")
    people = ["Ada", "Grace", "Hal"]
    arguments = [[sys.executable, "-c", DECIDE, url, round_id, name] for name in people]
    processes = [subprocess.Popen(line, cwd=Path.cwd()) for line in arguments]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    decided = review_decision.c
    with store.connect() as con:
        by_author = select(decided.decided_by, func.count()).group_by(decided.decided_by)
        assert dict(map(tuple, con.execute(by_author))) == dict.fromkeys(people, 10)
        newest = select(func.max(decided.decided_at)).group_by(decided.account_id)
        in_force = select(decided.decided_at).where(REVIEW_DECISIONS.is_in_force())
        assert sorted(con.scalars(in_force)) == sorted(con.scalars(newest))
    close_store(url)
