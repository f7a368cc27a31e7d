"""One snapshot file into the store, in one transaction; or not at all, with the reason in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    select,
)

from data.files.errors import Held, MostlyRejected, NoAccounts, OtherContentKnown
from data.files.formats import place_word
from data.files.headers import columns_of
from data.files.mapping import NO_MAPPING
from data.files.naming import SnapshotFile
from data.history.as_of import accounts_at
from data.history.delta import (
    Known,
    find_news,
    find_news_unless_odd,
    known_accounts,
    remember_delivered,
    without_fingerprint,
)
from data.history.normalize import understood
from data.history.passport import (
    FileFacts,
    departure_in_words,
    incomplete_in_words,
    passport_of,
    too_many_leave,
)
from data.history.reject import Sifted, sift
from data.history.rollups import forget_counts
from data.history.stage import Read, fill_load_row
from data.history.versions import Span, find_differences, write_span
from data.records.matches import forget_keys
from data.schema import (
    CONTENT,
    DELIVERED,
    FOREVER,
    account,
    account_current,
    delivered_row,
    integration,
    rejected_row,
    snapshot,
)
from data.sources.delivery import Opened, opened
from data.staging import load_delta, load_meant, load_news, load_told, load_unfit
from data.store.dialect import each_key
from data.store.engine import writing
from data.store.transfer import count_anew, desk, hand_over, handed, step, with_staging

BEFORE_ALL = datetime(1, 1, 1)
MOST_REJECTED = 0.5
"""Share of a file's rows; with more rejected, the file is not what it seems."""


@dataclass(frozen=True)
class Loaded:
    """What became of a file; accepted + rejected = rows_read."""

    file: SnapshotFile
    rows_read: int
    accepted: int
    rejected: int
    flagged: int  # accepted accounts with a value that was not understood
    already: bool = False  # the very same file was loaded before: nothing changed


def load(
    engine: Engine, file: SnapshotFile, *, replace: bool = False, confirmed: bool = False
) -> Loaded:
    """Load a snapshot file; with `replace`, in place of what is loaded for the same moment.

    `confirmed`: a person has looked at it, so that it may say what is hard to believe.
    Raises a SnapshotRefused; the store is then as it was.
    """
    with at_work(engine, file) as (con, at, beside, task):
        if task.is_known_word_for_word:
            return _known_already(task)
        if task.known and not replace:
            raise OtherContentKnown(_other_content(file, task.known))
        found = understand(con, at, task, beside, confirmed=confirmed)
        with step(con, at):
            flagged = write(con, at, task, found)
            if not confirmed:
                _hold_mass_departure(con, task, found.sifted.accepted)
        with con.begin():
            count_anew(con, account, account_current, delivered_row, after=load_delta)
    return Loaded(file, *found.sifted[:3], flagged)


class _Task(NamedTuple):
    """A file to load, where it belongs, and what is loaded there already."""

    file: SnapshotFile
    opened: Future[Opened]
    span: Span
    known: Row[Any] | None
    is_known_word_for_word: bool


@contextmanager
def at_work(
    engine: Engine, file: SnapshotFile
) -> Iterator[tuple[Connection, Connection, Executor, _Task]]:
    """The store, the desk, who works beside them on what needs neither, and what there is to do."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        delivered = beside.submit(opened, file.path, file.integration)
        with writing(engine) as con, with_staging(con), desk(con) as at:
            yield con, at, beside, _task(con, file, delivered)


class _Found(NamedTuple):
    read: Read
    sifted: Sifted
    news: FromClause  # in the store
    sha256: Future[str]  # of the file; it takes longer than most steps, and one core


def _task(con: Connection, file: SnapshotFile, delivered: Future[Opened]) -> _Task:
    file.path.open("rb").close()  # one that cannot be opened is no fault of its content
    with con.begin():
        known = _find(con, file.integration, file.taken_at)
        span = _span(con, file.integration, file.taken_at, anew=bool(known))
    same = known is not None and known.sha256 == _sha256(file.path)
    return _Task(file, delivered, span, known, same)


def _known_already(task: _Task) -> Loaded:
    counts = ("rows_read", "accepted", "rejected", "flagged")
    return Loaded(task.file, *(getattr(task.known, name) for name in counts), already=True)


def understand(
    con: Connection,
    at: Connection,
    task: _Task,
    beside: Executor,
    *,
    confirmed: bool,
    whole: bool = False,
) -> _Found:
    """Fill the tables of a load with what the file changes; the store is only read.

    Each is committed by itself, which lets DuckDB read it on several cores. `whole`: every row
    is read with its texts, whether they are known or not.
    """
    with step(con, at):
        known = known_accounts(con, at, task.span)
    quick = None
    if known.with_rows and not whole:
        quick = _read_news(con, at, task, known, confirmed=confirmed)
    read, sifted = quick or _read_whole(con, at, task, known, confirmed=confirmed)
    sha256 = beside.submit(_sha256, task.file.path)
    with step(con, at):
        here = literal(task.span.integration_id, Integer).label("integration_id")
        told = select(here, load_news.c.account_key, load_news.c.listed, load_news.c.fingerprint)
        news = handed(at, told, con, load_told)
        means = _meaning_of_news().subquery("means")
        meant = handed(at, select(here, *(means.c[n] for n in MEANT)), con, load_meant)
        find_differences(con, task.span, meant, news)
    return _Found(read, sifted, news, sha256)


def _read_news(
    con: Connection, at: Connection, task: _Task, known: Known, *, confirmed: bool
) -> tuple[Read, Sifted] | None:
    """Fill `load_news` from the rows that are not known; None where the file is too odd."""
    read = _fill(at, task, known.rows, confirmed=confirmed)
    with step(con, at):
        sifted = find_news_unless_odd(con, at, read, known, task.span)
        if sifted:
            _refuse_implausible(con, at, task, sifted, confirmed=confirmed)
    return (read, sifted) if sifted else None


def _read_whole(
    con: Connection, at: Connection, task: _Task, known: Known, *, confirmed: bool
) -> tuple[Read, Sifted]:
    """Fill `load_news` from all rows, and `load_unfit` with those that are no account."""
    read = _fill(at, task, None, confirmed=confirmed)
    with step(con, at):
        sifted = sift(at, read)
        _refuse_implausible(con, at, task, sifted, confirmed=confirmed)
    with step(con, at):
        find_news(con, at, known.rows, task.span)
    return read, sifted


def _fill(at: Connection, task: _Task, known: FromClause | None, *, confirmed: bool) -> Read:
    file = task.file
    delivered = task.opened.result()
    with at.begin():
        read = fill_load_row(at, delivered, file.columns or NO_MAPPING, known)
    if read.said.incomplete and not confirmed:
        raise Held(f"{file.name} is held: {incomplete_in_words(read.said.incomplete)}")
    return read


def write(con: Connection, at: Connection, task: _Task, found: _Found) -> int:
    """The one transaction that changes the store; how many accounts have a flag."""
    file, sifted, span = task.file, found.sifted, task.span
    _name_integration(con, span.integration_id, file.integration)
    write_span(con, span)
    if span.is_newest:
        remember_delivered(con, span.integration_id, found.news)
    if task.known:
        _forget(con, task.known)
    flagged = _count_flagged(con, span)
    snapshot_id = con.scalar(select(func.coalesce(func.max(snapshot.c.snapshot_id), 0) + 1))
    if sifted.rejected:
        rows = select(literal(snapshot_id, BigInteger).label("snapshot_id"), *load_unfit.c)
        hand_over(at, rows, con, rejected_row)
    con.execute(
        insert(snapshot).values(
            snapshot_id=snapshot_id,
            integration_id=span.integration_id,
            taken_at=file.taken_at,
            loaded_at=datetime.now(UTC).replace(tzinfo=None),
            file_name=file.name,
            sha256=found.sha256.result(),
            rows_read=sifted.rows_read,
            accepted=sifted.accepted,
            rejected=sifted.rejected,
            flagged=flagged,
            facts=FileFacts(
                headings=found.read.headings,
                notes=found.read.notes,
                remarks=tuple(found.read.said.remarks),
                incomplete=found.read.said.incomplete,
                states_not_reported=_states_not_reported(con, span, found.read.headings),
                repeated=sifted.repeated,
                exact_repeats=sifted.exact_repeats,
                without_offset=sifted.without_offset,
                flags=_flags_by_column(con, span) if flagged else {},
            ).as_json(),
        )
    )
    return flagged


def _hold_mass_departure(con: Connection, task: _Task, accounts: int) -> None:
    """Raises Held, which undoes the load."""
    file = task.file
    if too_many_leave(con, task.span.integration_id, file.taken_at, accounts):
        passport = passport_of(con, file.integration, file.taken_at)  # a tenth of a small load
        raise Held(f"{file.name} is held: {departure_in_words(passport)}")


def remove(engine: Engine, integration_name: str, taken_at: datetime) -> bool:
    """Take a snapshot out, as if it had never been loaded. False where there is none."""
    with writing(engine) as con, with_staging(con), con.begin():
        found = _find(con, integration_name, taken_at)
        if not found:
            return False
        span = _span(con, integration_name, taken_at, anew=True)
        before = _accounts_of_snapshot_before(con, span)
        _find_missing_from(con, span, before)
        find_differences(con, span, before.subquery("listed"), load_told)
        write_span(con, span)
        con.execute(
            delete(delivered_row).where(delivered_row.c.integration_id == span.integration_id)
        )
        _forget(con, found)
        forget_counts(con, span.integration_id, taken_at)
        _forget_integration_without_snapshots(con, span.integration_id)
    return True


def _forget_integration_without_snapshots(con: Connection, integration_id: int) -> None:
    """With its last snapshot an integration goes, name and all: it is as if it had never been."""
    left = select(func.count()).where(snapshot.c.integration_id == integration_id)
    if not con.scalar(left):
        forget_keys(con, integration_id)
        for table in (account, integration):
            con.execute(delete(table).where(table.c.integration_id == integration_id))


def _refuse_implausible(
    con: Connection, at: Connection, task: _Task, sifted: Sifted, *, confirmed: bool
) -> None:
    name = task.file.name
    if sifted.rejected > sifted.rows_read * MOST_REJECTED:
        first = at.execute(select(load_unfit).order_by(load_unfit.c.line)).first()
        place = place_word(name)
        example = f" The first: {place} {first.line}: {first.reason}" if first else ""
        repeats = f" {sifted.exact_repeats:,} repeat a row word for word." * bool(
            sifted.exact_repeats
        )
        raise MostlyRejected(
            f"{name}: {sifted.rejected:,} of {sifted.rows_read:,} rows are no accounts, which is "
            f"more than half; nothing was loaded.{repeats}{example}"
        )
    if sifted.accepted or confirmed:
        return
    before = _accounts_of_snapshot_before(con, task.span).limit(1).subquery()
    if con.scalar(select(func.count()).select_from(before)):
        raise NoAccounts(
            f"{name} lists no accounts, but the snapshot before does; nothing was loaded. "
            "An empty list is more often a failed export than an app without users."
        )


MEANT = ("account_key", "account_id", *CONTENT)


@cache
def _meaning_of_news() -> Select[*tuple[Any, ...]]:
    columns = [load_news.c[name] for name in ("account_key", "account_id", *DELIVERED)]
    news = select(*columns)
    return understood(news.where(load_news.c.listed).subquery("news"))


def _accounts_of_snapshot_before(con: Connection, span: Span) -> Select[*tuple[Any, ...]]:
    """The accounts of the snapshot before the span's, as if they had been delivered again."""
    before = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(
            snapshot.c.integration_id == span.integration_id,
            snapshot.c.taken_at < span.taken_at,
        )
    )
    then = accounts_at(span.integration_id, before or BEFORE_ALL)
    nobody_new = cast(null(), String).label("account_id")
    return select(
        then.c.integration_id, then.c.account_key, nobody_new, *(then.c[n] for n in CONTENT)
    )


def _find_missing_from(con: Connection, span: Span, listed: Select[*tuple[Any, ...]]) -> None:
    """Fill `load_told` with the accounts of the span that are not listed."""
    known = without_fingerprint(span).subquery("known")
    missing = known.c.account_key.not_in(select(listed.subquery("listed").c.account_key))
    here = literal(span.integration_id, Integer)
    con.execute(
        insert(load_told).from_select(
            ["integration_id", "account_key", "listed"],
            select(here, known.c.account_key, false()).where(missing),
        )
    )


def _forget(con: Connection, old: Row[Any]) -> None:
    for table in (snapshot, rejected_row):
        con.execute(delete(table).where(table.c.snapshot_id == old.snapshot_id))


def _span(con: Connection, integration_name: str, taken_at: datetime, *, anew: bool) -> Span:
    """Over which time a snapshot of the moment is what is known of the integration."""
    known = con.scalar(
        select(integration.c.integration_id).where(integration.c.name == integration_name)
    )
    key = con.scalar(select(func.max(account.c.account_key))) or 0
    if known is None:
        highest = con.scalar(select(func.max(integration.c.integration_id))) or 0
        return Span(highest + 1, taken_at, FOREVER, anew, key)
    later = select(func.min(snapshot.c.taken_at)).where(
        snapshot.c.integration_id == known, snapshot.c.taken_at > taken_at
    )
    return Span(known, taken_at, con.scalar(later) or FOREVER, anew, key)


def _name_integration(con: Connection, integration_id: int, name: str) -> None:
    """Keep the name of an integration that is seen for the first time."""
    named = select(integration.c.name).where(integration.c.integration_id == integration_id)
    if con.scalar(named) is None:
        con.execute(insert(integration).values(integration_id=integration_id, name=name))


def _find(con: Connection, integration_name: str, taken_at: datetime) -> Row[Any] | None:
    return con.execute(
        select(snapshot)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == integration_name, snapshot.c.taken_at == taken_at)
    ).first()


def _count_flagged(con: Connection, span: Span) -> int:
    then = span.accounts_in_store()
    return con.scalar(select(func.count()).select_from(then).where(then.c.flags.is_not(None))) or 0


def _flags_by_column(con: Connection, span: Span) -> dict[str, int]:
    """Column → accounts with text in it that was not understood."""
    then = span.accounts_in_store()
    columns = select(each_key(then.c.flags).label("name")).where(then.c.flags.is_not(None))
    each = columns.subquery()
    counted = select(each.c.name, func.count().label("accounts"))
    grouped = counted.group_by(each.c.name).order_by(each.c.name)
    return {row.name: row.accounts for row in con.execute(grouped)}


def _states_not_reported(con: Connection, span: Span, headings: Sequence[str]) -> dict[str, int]:
    """How a state is known → accounts, where it is not the source that reports it."""
    if "state_source" not in columns_of(headings):
        return {}
    how = span.accounts_in_store().c.state_source
    counted = select(how, func.count()).where(how.is_not(None)).group_by(how).order_by(how)
    return {row[0]: row[1] for row in con.execute(counted)}


def _other_content(file: SnapshotFile, known: Row[Any]) -> str:
    return (
        f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC is loaded already, from "
        f"{known.file_name} with other content. To put {file.name} in its place: "
        "rollcall load --replace."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()
