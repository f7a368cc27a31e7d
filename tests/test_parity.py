"""The same snapshots give the same query results on both databases."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock
from zipfile import ZipFile

import pandas as pd
import pyarrow as pa
import pytest
from builders import a_snapshot_file, an_account, an_unmatched_account, content_of
from clusters import breaches
from pyarrow import parquet
from servers import Server
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    case,
    collate,
    delete,
    event,
    func,
    select,
    text,
    update,
)
from thorough import or_at_night

from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.load_report import set_deletion_limit
from data.history.preview import preview
from data.history.remove import remove_snapshot
from data.inbox.quarantine import record_quarantined
from data.people.directories import save_directories
from data.records.exceptions import (
    FindingKey,
    RiskException,
    RuleSettings,
    add_exceptions,
    exempt_person,
)
from data.records.matches import MatchOverride, save_match_overrides
from data.records.notes import NamedAccount, save_note
from data.records.rounds import DECISIONS, DecisionOn, ItemKey, NewRound, decide, start_round
from data.records.tables import review_item
from data.sample.files import write_sample
from data.schema import account, account_current, account_version, is_same_account
from data.store.copy_protocol import copied_query
from data.store.engine import open_store, schema_version
from data.store.transfer import fetch_batches
from queries.changes.accounts import count_changes, page_of_changes
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.summary import summarize_changes
from queries.changes.window import (
    Window,
    compared_snapshots,
    known_windows,
    snapshot_moments,
)
from queries.during import During
from queries.evidence.findings import Findings, findings_pack
from queries.evidence.pack import write_pack
from queries.export.changes import WRITERS, ChangesExport
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.filters import FILTERS, Filters
from queries.health.backlog import backlog
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.integrations import integrations_as_of, quarantined_files_by_day
from queries.health.snapshots import adjacent_snapshots, newest_day, oldest_day, snapshot_span
from queries.health.trends import trends
from queries.matching import MATCH_KINDS as MATCHES
from queries.matching import match_candidates
from queries.objectives.results import measure
from queries.parity import EVERY_OBJECTIVE
from queries.people.accounts import owned_accounts
from queries.people.cells import count_people, matrix_cells
from queries.people.dossier import find_dossier
from queries.people.named_person import named_by
from queries.people.persons import people_at
from queries.period import Period
from queries.rejected_rows import rejected_rows, write_rejected_csv
from queries.review.duration import View
from queries.review.findings import all_findings, count_findings, page_of_findings
from queries.review.rules import RULE_BY_NAME, RULES
from queries.rounds.files import RoundFile
from queries.rounds.lists import read_rounds
from queries.rounds.population import freeze_list
from queries.scope import Scope
from queries.snapshots import (
    count_quarantined,
    count_snapshots,
    deletion_limits,
    load_report_at,
    page_of_snapshots,
    quarantined_files,
)
from queries.users.accounts import (
    PAGE_SIZE,
    SORTS,
    count_accounts,
    integration_names,
    page_of_accounts,
    sorted_accounts,
)
from queries.users.detail import account_details
from queries.users.facets import drop_unknown_values, list_choices, snapshot_times

DAYS = 12
END = datetime(2026, 3, 20, 6)
START = END - timedelta(days=DAYS - 1)
MIDDLE = START + timedelta(days=DAYS // 2, hours=5)

ODD = [
    an_account("Zoë", user="Zoë Ångström", email="ZOE@x.io", upstream_id="same"),
    an_account("o'brien", user='quote " back \\ slash', upstream_id="same", roles=["a;b", 'c"d\\']),
    an_account("100%", user="한글 이름", email="i\u0307@x.io", roles=[]),
    an_account("a_b", user="ΟΔΟΣ", roles=[{"name": "Owner", "via": "g,1"}, "Root"], team="=1+1"),
    an_account("line", reason="broken\nline", code="E,1", state="Update failed", **{"a/b~c": "x"}),
    an_account("odd", state="Nonsense", active="perhaps", last_updated="soon", roles=[{"id": "7"}]),
    an_unmatched_account("svc", roles=["super-ADMIN"], upstream_id=None, last_updated=None),
    an_unmatched_account("", roles=["lost"]),
    an_account("LEAVER", state="Delete failed", reason="User 17 of 2026-01-02 not found"),
    an_account("leaver2", state="Delete failed", reason="User 4 of 2026-03-01 not found"),
    an_account("emptied", user=" ", email="", reason=" ", team=""),
    an_account("last", roles=["Sole"], state="Delete awaiting"),
    an_account("kept", state="Deleted"),
    an_account("stale", roles=["Root"], **{"Last sign-in": "2025-01-01T00:00:00Z"}),
    an_account("unused", **{"Last sign-in": "Never"}),
]
"""Text that databases treat in ways of their own, and what rules look for."""


SEEN: dict[str, list[str | None]] = {
    "back": ["Onboarded", "Deleted", None, "Onboarded", "Onboarded", "Onboarded"],
    "slow": ["Provisioning ongoing"] * 6,
    "idle": [*["Onboarded"] * 3, "Update awaiting", *["Onboarded"] * 2],
    "jumper": ["Deleted", *["Update failed"] * 5],
    **{f"quick{n}": ["Provisioning ongoing", *["Onboarded"] * 5] for n in range(20)},
}
"""Username → its state in each snapshot of the odd app; None: it is not there."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[SnapshotFile]:
    """A rich history: what the sample's apps do, and an odd one that comes, goes and changes."""
    folder = tmp_path_factory.mktemp("files")
    made = write_sample(folder, accounts=50, days=DAYS // 2, integrations=2, seed=3, until=END)
    placed = [SnapshotFile.from_path(path) for path in made[::2]]  # each takes two loads
    for day in range(0, DAYS, 2):
        listed = [{**row, "provisioning_state": _state_of(row, day)} for row in ODD[day // 2 :]]
        listed += [an_unmatched_account(f"of {name}", upstream_id=name) for name in ("p1", "p2")]
        if day % 4:
            listed += ODD[:1]
            listed = [{**row, "roles": [*row["roles"], "Later"]} for row in listed]
        seen = ((name, states[day // 2]) for name, states in SEEN.items())
        listed += [an_account(name, upstream_id=None, state=s) for name, s in seen if s]
        if day != 4:
            listed.append(an_account("AGAIN", account_id=f"again {day > 4}", upstream_id=None))
        at = START + timedelta(days=day, hours=1)
        placed.append(
            SnapshotFile(a_snapshot_file(folder, listed, integration="odd", at=at), "odd", at)
        )
        people = [_employee("p1", "no" if day > 2 else "yes"), _employee("p3")]
        people += [_employee("p2")] if day < 4 else []
        placed.append(
            SnapshotFile(a_snapshot_file(folder, people, integration="hr", at=at), "hr", at)
        )
    return placed


def _employee(name: str, active: str = "yes") -> dict[str, Any]:
    aliases = f"SMTP:{name}@x.io {name}@y.io"
    return an_account(
        name, user=name, email=f"{name}@x.io", upstream_id=name, active=active, Aliases=aliases
    )


def _state_of(row: dict[str, Any], day: int) -> str:
    moving = ("Update awaiting", "Update ongoing", "Onboarded", "Deleted")
    return (
        moving[day % 3 + day // 8] if len(row["username_in_app"]) % 2 else row["provisioning_state"]
    )


class Both(NamedTuple):
    """Two stores with the same history."""

    one: Engine
    other: Engine


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, postgresql: Server, files: list[SnapshotFile]
) -> Iterator[Both]:
    file = tmp_path_factory.mktemp("store") / "store.duckdb"
    with postgresql.a_store() as other:
        stores = Both(open_store(f"duckdb:///{file}"), other)
        late = [*files[1::3], *files[0::3], *files[2::3]]  # so that some arrive out of order
        for engine in stores:
            with engine.begin() as con:  # so that both number accounts alike
                con.execute(update(schema_version).values(key="the same"))
            for each in late:
                load(engine, each, confirmed=True)
            _say(engine, file.parent)
        yield stores
        stores.one.dispose()


def _say(engine: Engine, folder: Path) -> None:
    """Records of people, and quarantined files."""
    set_deletion_limit(engine, "odd", 0.5)
    save_directories(engine, {"Figma": True, "hr": True})
    svc = MatchOverride("odd", "svc", "Its owner.", "Figma", "1", "Zoë Decided", None)
    save_match_overrides(engine, [svc], "Ada", decided_at=MIDDLE - timedelta(days=2))
    save_note(engine, [NamedAccount("odd", "a_b")], "=1+1\nof Zoë", "Ada", written_at=MIDDLE)
    record_quarantined(
        engine, folder / "odd" / "2026-03-14T06-00-00Z.csv", "on hold", "Too many leave."
    )
    record_quarantined(engine, folder / "odd" / "unnamed.csv", "rejected", "No headings.")
    rule = RULE_BY_NAME["last_holder"]
    with engine.connect() as con:
        rows = page_of_findings(con, View(), rule, 1)
    found = [
        (FindingKey(rule.name, r.integration, r.account_id), r.snapshot_taken_at) for r in rows[:2]
    ]
    leave = RiskException("on leave", "Ada", date(2030, 1, 1))
    exempt_person(engine, "hr", "p2", leave, accepted_at=MIDDLE)
    add_exceptions(engine, found, RiskException("known", "Ada"), accepted_at=END)
    _review(engine)


def _review(engine: Engine) -> None:
    """A round on every role of the middle, with a decision on each."""
    by_role = NewRound("By role", date(2030, 1, 1), is_by_role=True, late_days=1)
    freeze = freeze_list(Filters(as_of=MIDDLE), is_by_role=True)
    round_id = start_round(engine, by_role, freeze, "Grace", started_at=MIDDLE)
    with engine.connect() as con:
        rows = con.execute(select(*(review_item.c[name] for name in ItemKey._fields)))
        keys = sorted(ItemKey(*row) for row in rows)
    decisions = [DecisionOn(key, DECISIONS[n % 3]) for n, key in enumerate(keys)]
    decide(engine, round_id, decisions, "Grace", decided_at=MIDDLE)


Question = Callable[[Connection], Any]
NOW, THEN = Filters(), Filters(as_of=MIDDLE)
PERIOD = Filters(during=During(START + timedelta(days=2), MIDDLE), active="yes")
SOME = [
    NOW,
    THEN,
    Filters(q="zoe"),
    Filters(q="decided", match="matched"),
    Filters(q="ANGSTRÖM zoë", as_of=MIDDLE),
    Filters(q="100%"),
    Filters(note="yes"),
    Filters(note="no", as_of=MIDDLE),
    Filters(q="a_b"),
    Filters(q="back \\ slash"),
    Filters(q="οδοσ"),
    Filters(q="한글"),
    Filters(role=("a;b", "Later")),
    Filters(role=('c"d\\',), as_of=MIDDLE),
    Filters(state=("Onboarded",), active="yes", match="matched"),
    Filters(integration=("odd",), active="unknown"),
    Filters(match="unmatched", updated_from=date(2026, 1, 1), updated_to=date(2026, 3, 10)),
    Filters(waiting=timedelta(days=1), as_of=END),
    Filters(waiting=timedelta(hours=7), as_of=MIDDLE),
    Filters(unsettled_for=timedelta(days=1), as_of=MIDDLE),
    Filters(failing_for=timedelta(days=2)),
    Filters(left_for=timedelta(days=1)),
    PERIOD,
    Filters(last_sign_in=("never", "before:2026-03-19")),
    Filters(of_person=named_by("hr", "p1")),
    Filters(of_person=named_by("odd", "of p2"), during=PERIOD.during),
    Filters(of_person=named_by("odd", "o'brien"), as_of=MIDDLE),
]
SCOPES = [
    Period(START.date(), END.date()),
    Period(START.date() + timedelta(days=3), END.date(), "Asia/Kolkata", integration=("odd",)),
    Period(START.date() + timedelta(days=6), END.date(), "America/New_York", as_of=MIDDLE),
]
BETWEENS = [
    Window(START + timedelta(days=2), END),
    Window(MIDDLE, MIDDLE + timedelta(days=1), ("odd",)),
    Window(START + timedelta(days=1), MIDDLE + timedelta(days=3)),
]
LISTS = [
    *(ChangeFilter(kind) for kind in CHANGE_KINDS),
    ChangeFilter("moved", before=("Onboarded",), after=("Update awaiting", "Update failed")),
    ChangeFilter("gained", role="Later"),
    *(ChangeFilter("other", value=name) for name in VALUE_CHANGES),
]
ACCEPTED = ("last_holder", "person_left")
"""Rules with findings that have an exception."""

APRIL = datetime(2026, 4, 1)
VIEWS = [
    View(
        evaluated_at=APRIL,
        limits=RuleSettings(inactive_days=3, delete_awaiting_days=1, sign_in_days=2),
    ),
    View(
        as_of=MIDDLE,
        evaluated_at=APRIL,
        limits=RuleSettings(inactive_days=2, unchanged_days=5),
    ),
    View(integration=("odd",), evaluated_at=APRIL, limits=RuleSettings(delete_awaiting_days=1)),
]


def listed_questions() -> Iterator[tuple[str, Question]]:
    """Name and question, of all that queries/ can answer."""
    for filters in SOME:
        words = str(filters.params())
        yield f"count {words}", lambda con, f=filters: count_accounts(con, f)
    for filters in or_at_night(SOME[::3], SOME):
        words = str(filters.params())
        yield f"heard of {words}", lambda con, f=filters: drop_unknown_values(con, f)
    for filters in (NOW, THEN, PERIOD, SOME[2]):
        words = str(filters.params())
        for each in FILTERS:
            if each.group_by or each.name in ("waiting", "role", "integration"):
                name = each.name
                yield (
                    f"choices of {name} {words}",
                    lambda con, f=filters, n=name: list_choices(con, f, n, "e" if f.q else ""),
                )
        sorts = () if filters.q else SORTS  # a search finds too few to be in an order
        for number, sort in enumerate(sorts):
            is_odd = bool(number % 2) == (filters is NOW)
            for descending in or_at_night([is_odd], [False, True]):
                yield (
                    f"page by {sort} {descending} {filters.params()}",
                    lambda con, f=filters, s=sort, d=descending: in_order(con, f, s, d),
                )
        forms = ("csv", "raw.csv", "json", "parquet")
        for form in forms if filters is NOW else or_at_night(["parquet"], forms):
            yield (
                f"{form} {filters.params()}",
                lambda con, f=filters, form=form: exported(con, f, form),
            )
        yield (
            f"roles {filters.params()}",
            lambda con, f=filters: fetched(Listing(con, ListRequest(f)), Listing.role_rows),
        )
        yield (
            f"columns {filters.params()}",
            lambda con, f=filters: fetched(
                Listing(con, ListRequest(f, columns=("roles", "attributes", "note"))),
                lambda one: one.json_rows(["roles", "note"]),
            ),
        )
        yield f"accounts {filters.params()}", lambda con, f=filters: histories(con, f)
    for filters in SOME[-3:]:
        yield f"person {filters.params()}", lambda con, f=filters: find_dossier(con, f)
    yield "moments", snapshot_times
    yield "integrations", integration_names


def trend_questions() -> Iterator[tuple[str, Question]]:
    for number, scope in enumerate(SCOPES):
        yield f"trends {number}", lambda con, s=scope: trends(con, s)
        yield f"durations {number}", lambda con, s=scope: durations(con, s)
        yield f"reasons {number}", lambda con, s=scope: failure_reasons(con, s)
        yield (
            f"waits {number}",
            lambda con, s=scope: backlog(con, s.integration, s.as_of, s.as_of or END),
        )
        at = Scope(integration=scope.integration, as_of=scope.as_of)
        yield (
            f"objectives {number}",
            lambda con, s=at: measure(con, s, EVERY_OBJECTIVE, END + timedelta(days=9)),
        )
        yield f"integrations {number}", lambda con, s=scope: integrations_as_of(con, s)
        yield (
            f"days {number}",
            lambda con, s=scope: (
                newest_day(con, s.integration, s.zone, s.as_of),
                oldest_day(con, s.integration, s.zone),
                snapshot_span(con, s.integration),
                adjacent_snapshots(con, s.integration, s.as_of),
            ),
        )


def change_questions() -> Iterator[tuple[str, Question]]:
    for number, between in enumerate(BETWEENS):
        yield f"summary {number}", lambda con, b=between: summarize_changes(con, b)
        yield f"compared {number}", lambda con, b=between: compared_snapshots(con, b)
        yield f"usual {number}", lambda con, b=between: snapshot_moments(con, b.integration)
        some = LISTS[number :: len(BETWEENS)]
        for listed in LISTS if between is BETWEENS[0] else or_at_night(some, LISTS):
            yield (
                f"{listed.params()} {number}",
                lambda con, b=between, n=listed: (
                    count_changes(con, b, n),
                    page_of_changes(con, b, n, 1),
                ),
            )
        for listed in or_at_night(some, LISTS):
            yield (
                f"file of {listed.params()} {number}",
                lambda con, b=between, n=listed: content_of(
                    WRITERS["csv"], ChangesExport(con, b, n)
                ),
            )
            yield (
                f"typed {listed.kind} {number}",
                lambda con, b=between, n=listed: fetched(
                    ChangesExport(con, b, n), ChangesExport.typed_rows
                ),
            )


def people_questions() -> Iterator[tuple[str, Question]]:
    for as_of in (None, MIDDLE):
        for grace in (None, 3):
            yield (
                f"owned {as_of} {grace}",
                lambda con, at=as_of, days=grace: (
                    con.execute(owned_accounts(at, days)).all(),
                    matrix_cells(con, Scope(as_of=at), days),
                    count_people(con, at, days),
                ),
            )


def review_questions() -> Iterator[tuple[str, Question]]:
    for number, view in enumerate(VIEWS):
        for rule in RULES:
            yield (
                f"{rule.name} {number}",
                lambda con, v=view, r=rule: (
                    count_findings(con, v, r),
                    con.execute(all_findings(v, r)).all(),
                ),
            )
    for view in or_at_night(VIEWS[1:2], VIEWS):
        yield f"evidence of {view.as_of}", lambda con, v=view: packed(con, v)
    for view in (View(as_of=END, found_after=MIDDLE), View(as_of=MIDDLE, gone_by=END)):
        for rule in RULES:
            yield f"narrowed {rule.name}", lambda con, v=view, r=rule: count_findings(con, v, r)
    for rule in RULES:
        for accepted in or_at_night([rule.name in ACCEPTED], [False, True]):
            yield (
                f"page of {rule.name}, exceptions {accepted}",
                lambda con, r=rule, e=accepted: page_of_findings(
                    con, VIEWS[0], r, 1, with_exception=e
                ),
            )
    yield "rounds", lambda con: [RoundFile.read(con, each, ()).rows for each in read_rounds(con)]


def snapshot_questions() -> Iterator[tuple[str, Question]]:
    for kind in MATCHES:
        yield f"matches {kind}", lambda con, k=kind: match_candidates(con, k)
    yield "limits", deletion_limits
    yield "windows of a letter", lambda con: known_windows(con, MIDDLE, END)
    yield "set aside", lambda con: (count_quarantined(con), quarantined_files(con, 1))
    yield (
        "days aside",
        lambda con: quarantined_files_by_day(con, (), date(2026, 3, 1), date(2027, 1, 1)),
    )
    for names in ((), ("odd",)):
        yield (
            f"snapshots of {names}",
            lambda con, n=names: (count_snapshots(con, n), page_of_snapshots(con, n, 1, END)),
        )
    for day in range(0, DAYS, 2):
        at = START + timedelta(days=day, hours=1)
        yield (
            f"rejected {day}",
            lambda con, at=at: (
                rejected_rows(con, "odd", at, limit=9),
                _rejected_csv(con, at),
            ),
        )


def _rejected_csv(con: Connection, taken_at: datetime) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rejected.csv"
        write_rejected_csv(con, "odd", taken_at, path)
        return path.read_bytes()


QUESTIONS = {
    "lists": listed_questions,
    "trends": trend_questions,
    "changes": change_questions,
    "people": people_questions,
    "review": review_questions,
    "snapshots": snapshot_questions,
}


@pytest.mark.parametrize("page", QUESTIONS)
def test_both_databases_give_the_same_results_and_a_cluster_can_run_the_queries(
    page: str, both: Both
) -> None:
    differ, found, seen = [], set[str](), set[str]()

    def check(_: Connection, __: Any, words: str, ___: Any, context: Any, *____: Any) -> None:
        if words not in seen and context.compiled:
            found.update(breaches(context.compiled.statement))
        seen.add(words)

    with both.one.connect() as con, both.other.connect() as other:
        event.listen(other, "before_cursor_execute", check)
        for name, ask in QUESTIONS[page]():
            if result_of(con, ask) != result_of(other, ask):
                differ.append(name)
    assert not differ
    assert seen
    assert not found


def test_both_databases_give_an_account_the_same_key(both: Both) -> None:
    hashes = select(account.c.account_id, account_current.c.content_hash).join_from(
        account, account_current, is_same_account(account, account_current)
    )
    with both.one.connect() as con, both.other.connect() as other:
        numbers = sorted(con.execute(hashes).all())
        assert numbers == sorted(other.execute(hashes).all())
    assert len({number for _, number in numbers}) > len(numbers) / 2


def test_different_results_are_noticed(both: Both) -> None:
    with both.one.connect() as con, both.other.connect() as other:
        assert result_of(con, lambda c: drop_unknown_values(c, NOW)) != result_of(
            other, lambda c: drop_unknown_values(c, THEN)
        )


def test_every_rule_finds_something_to_compare(both: Both) -> None:
    with both.other.connect() as con:
        found = {rule.name: [sum(count_findings(con, v, rule)) for v in VIEWS] for rule in RULES}
    assert not [name for name, counts in found.items() if not any(counts)]


def test_previews_agree_and_change_nothing(
    both: Both, files: list[SnapshotFile], tmp_path: Path
) -> None:
    path = tmp_path / "next.ndjson"
    path.write_text(files[-1].path.read_text() + "{}\nbroken\n")
    file = SnapshotFile(path, "odd", END + timedelta(days=1))
    seen = [preview(engine, file) for engine in both]
    with both.one.connect() as con:
        assert plain(con, seen[0]) == plain(con, seen[1])
    with both.other.connect() as con:
        assert load_report_at(con, "odd", file.taken_at) is None


# ---- answers as texts that can be compared -------------------------------------------------------


def result_of(con: Connection, ask: Question) -> Any:
    return plain(con, ask(con))


def plain(con: Connection, answer: Any) -> Any:
    """Without the keys of accounts and the times of loading, which are each store's own."""
    if isinstance(answer, pd.DataFrame):
        return [sorted(answer.columns), sorted(map(str, answer.astype(object).to_dict("records")))]
    if isinstance(answer, Row):
        return plain(con, dict(answer._mapping))
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return plain(con, {f.name: getattr(answer, f.name) for f in dataclasses.fields(answer)})
    if isinstance(answer, tuple) and hasattr(answer, "_asdict"):
        return plain(con, answer._asdict())
    if isinstance(answer, Mapping):
        mine = ("account_key", "loaded_at", "quarantined_at")
        return {str(k): plain(con, v) for k, v in answer.items() if k not in mine}
    if isinstance(answer, list | tuple):
        return sorted((plain(con, one) for one in answer), key=str)
    return str(answer)


def in_order(con: Connection, filters: Filters, sort: str, descending: bool) -> Any:
    """The first page and a far one, which comes from the cached order of the whole list."""
    with mock.patch("queries.users.accounts.DEEP_OFFSET", PAGE_SIZE):
        pages = [
            page_of_accounts(con, filters, sort=sort, descending=descending, page=n) for n in (1, 2)
        ]
    assert pages[1], "there is no far page"
    names = [(row.integration, row.username_in_app) for page in pages for row in page]
    return str(names), count_accounts(con, filters)


def exported(con: Connection, filters: Filters, form: str) -> Any:
    """The whole file, in its order."""
    content = content_of(FORMATS[form].write, Listing(con, ListRequest(filters)))
    if form == "parquet":
        table = parquet.read_table(pa.BufferReader(content))
        return table.schema.remove_metadata().to_string(), str(table.to_pylist())
    return content


def fetched(file: Any, rows_of: Callable[[Any], Any]) -> Any:
    with fetch_batches(file.workspace, rows_of(file)) as batches:
        table = batches.read_all()
    return table.schema.names, str(table.to_pylist())


def histories(con: Connection, filters: Filters) -> Any:
    """All that is known of some accounts, by their names."""
    listed = con.execute(select(account).order_by(account.c.integration_id, account.c.account_id))
    named = {row.account_key: f"{row.integration_id} {row.account_id}" for row in listed}
    known = account_details(con, filters, list(named)[::19])
    return {named[key]: one for key, one in known.items()}


def packed(con: Connection, view: View) -> Any:
    with ZipFile(io.BytesIO(content_of(write_pack, findings_pack(Findings(con, view))))) as pack:
        return {name: pack.read(name) for name in pack.namelist() if "manifest" not in name}


# ---- how a server joins -------------------------------------------------------------------------


def test_a_server_looks_no_finding_up_row_by_row(both: Both) -> None:
    """Where it expects one row and there are thousands, it would compare each with all others."""
    plans = list[str]()

    def explain(_: Connection, cursor: Any, words: str, values: Any, *__: Any) -> None:
        if "AS dated" in words or "AS people" in words:
            plan = cursor.execute(f"EXPLAIN {words}", values)
            plans.append("\n".join(line for (line,) in plan))

    with both.other.connect() as con:
        event.listen(con, "before_cursor_execute", explain)
        for rule in RULES:
            page_of_findings(con, VIEWS[0], rule, 1)
        assert len(plans) >= len(RULES)
        assert not [plan for plan in plans if "Nested Loop" in plan and "Citus" not in plan]
        con.execute(select(people_at(None, None).subquery("people")))
        assert "CTE Scan" not in plans[-1], "people are not joined with themselves"
        assert con.scalar(text("SHOW enable_nestloop")) == "on", "for what follows"


# ---- what a cluster asks of all of these statements ----------------------------------------------


@pytest.mark.parametrize("as_of", [None, MIDDLE])
def test_rows_leave_a_cluster_in_the_order_of_the_whole_statement(
    both: Both, as_of: datetime | None
) -> None:
    """Citus sorts a subquery on each machine only, so the order belongs at the very end."""
    with both.other.connect() as con:
        query = sorted_accounts(con, Filters(as_of=as_of), sort="roles", descending=True)
        words = str(copied_query(query).compile(con))
    assert words.count("(") == words.count(")")
    outermost = words.rsplit("ORDER BY", 1)[-1]
    assert outermost.count("(") == outermost.count(")"), "it is not inside of parentheses"
    assert outermost.strip().endswith("account_key"), outermost


def test_a_list_without_match_overrides_runs_on_a_cluster(postgresql: Server) -> None:
    found = set[str]()
    with postgresql.a_store() as engine, engine.connect() as con:
        event.listen(con, "before_execute", lambda _, s, *__: found.update(breaches(s)))
        for sort in SORTS:
            page_of_accounts(con, NOW, sort=sort, descending=False, page=1)
    assert not found


def test_every_load_runs_on_a_cluster(postgresql: Server, files: list[SnapshotFile]) -> None:
    found = set[str]()
    with postgresql.a_store() as engine:
        event.listen(engine, "before_execute", lambda _, s, *__: found.update(breaches(s)))
        odd = [file for file in files if file.integration == "odd"]
        for file in (odd[0], odd[2], odd[1]):
            load(engine, file, confirmed=True)
        load(
            engine, SnapshotFile(odd[3].path, "odd", odd[1].taken_at), replace=True, confirmed=True
        )
        remove_snapshot(engine, "odd", odd[2].taken_at)
    assert not found


def test_a_statement_that_a_cluster_rejects_is_noticed() -> None:
    now, v = account_current, account_version
    by_key = now.c.account_key == v.c.account_key
    assert breaches(select(now.c.account_key).join_from(now, v, by_key))
    assert breaches(select(now.c.account_key).where(by_key))
    assert not breaches(select(now.c.account_key).join_from(now, v, is_same_account(now, v)))
    assert breaches(select(func.lag(v.c.valid_to).over(partition_by=v.c.account_key)))
    assert breaches(delete(v).where(v.c.account_key == 1))
    assert not breaches(delete(v).where(v.c.account_key == 1, v.c.integration_id == 1))
    assert breaches(select(case({"Deleted": 1}, value=v.c.provisioning_state)))
    assert breaches(select(collate(now.c.user_name, "default")))
