"""One snapshot file into the store, in one transaction; or not at all, with the reason in words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
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
    or_,
    select,
)
from sqlalchemy.schema import CreateTable, DropTable

from data.cleaning import understood
from data.reading import Read, fill_load_row
from data.refusals import MostlyRejected, NoAccounts, NotPlaced, OtherContentKnown
from data.rejecting import Sifted, sift
from data.store import writing
from data.tables import (
    CONTENT,
    DELIVERED,
    FOREVER,
    account,
    account_current,
    account_version,
    delivered_row,
    integration,
    load_content,
    load_news,
    load_row,
    rejected_row,
    scratch,
    snapshot,
    state_change,
    state_count,
)
from data.versions import accounts_at, count_states, write_span

MOMENT = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?:[T_ ](?P<time>\d\d[-:]?\d\d(?:[-:]?\d\d)?(?:\.\d+)?)Z?)?$"
)
MOST_REJECTED = 0.5
"""Share of a file's rows; with more rejected, the file is not what it seems."""


@dataclass(frozen=True)
class SnapshotFile:
    """A file, and what it is a snapshot of."""

    path: Path
    integration: str
    taken_at: datetime  # naive UTC

    @classmethod
    def placed(
        cls, path: Path, integration: str | None = None, taken_at: datetime | None = None
    ) -> SnapshotFile:
        """What `<integration>/<taken_at>.<ext>` says, where the arguments do not.

        Raises NotPlaced where neither says it.
        """
        taken_at = taken_at or moment_of(path.name.split(".", 1)[0])
        name = integration or (path.resolve().parent.name if moment_of(path.name.split(".", 1)[0]) else None)
        if not name or not taken_at:
            missing = "at which moment it was taken" if name else "which integration it lists"
            raise NotPlaced(
                f"{path.name} does not say {missing}. Name it <integration>/<taken_at>.<ext>, "
                "like figma/2026-11-23T06-00-00Z.csv, or give --integration and --taken-at."
            )
        return cls(path, name, taken_at)


@dataclass(frozen=True)
class Loaded:
    """What became of a file; accepted + rejected = rows_read."""

    file: SnapshotFile
    rows_read: int
    accepted: int
    rejected: int
    flagged: int  # accepted accounts with a value that was not understood
    already: bool = False  # the very same file was loaded before: nothing changed


def moment_of(text: str) -> datetime | None:
    """Naive UTC of `2026-11-23T06-00-00Z` and its relatives; None for anything else."""
    found = MOMENT.fullmatch(text)
    if not found:
        return None
    digits = re.sub(r"\D", "", found["date"] + (found["time"] or "").split(".")[0]).ljust(14, "0")
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).replace(tzinfo=None)
    except ValueError:
        return None


def load(engine: Engine, file: SnapshotFile, *, replace: bool = False) -> Loaded:
    """Load a snapshot file; with `replace`, in place of what is loaded for the same moment.

    Raises a SnapshotRefused; the store is then as it was.
    """
    sha256 = _sha256(file.path)
    with writing, _with_scratch(engine) as con:
        with con.begin():
            known = _find(con, file.integration, file.taken_at)
        if known and known.sha256 == sha256:
            counts = (known.rows_read, known.accepted, known.rejected, known.flagged)
            return Loaded(file, *counts, already=True)
        if known and not replace:
            raise OtherContentKnown(_other_content(file, known))
        with con.begin():  # of its own: DuckDB reads only what is committed on several cores
            read = fill_load_row(con, file.path)
        with con.begin():
            return _load(con, file, sha256, read, known)


@contextmanager
def _with_scratch(engine: Engine) -> Iterator[Connection]:
    """A connection with the empty scratch tables, which end with it."""
    with engine.connect() as con:
        with con.begin():
            for table in scratch.tables.values():
                con.execute(CreateTable(table))
        try:
            yield con
        finally:
            con.rollback()
            with con.begin():
                for table in scratch.tables.values():
                    con.execute(DropTable(table))


def remove(engine: Engine, integration_name: str, taken_at: datetime) -> bool:
    """Take a snapshot out, as if it had never been loaded. False where there is none."""
    with writing, _with_scratch(engine) as con, con.begin():
        found = _find(con, integration_name, taken_at)
        if not found:
            return False
        _list_snapshot_before(con, found.integration_id, taken_at)
        until = _next_moment(con, found.integration_id, taken_at)
        write_span(con, found.integration_id, taken_at, until, anew=True)
        con.execute(
            delete(delivered_row).where(delivered_row.c.integration_id == found.integration_id)
        )
        _forget(con, found)
        for rollup in (state_count, state_change):
            con.execute(
                delete(rollup).where(
                    rollup.c.integration_id == found.integration_id, rollup.c.taken_at == taken_at
                )
            )
    return True


def _load(
    con: Connection, file: SnapshotFile, sha256: str, read: Read, known: Row[Any] | None
) -> Loaded:
    integration_id = _integration_id(con, file.integration)
    snapshot_id = con.scalar(select(func.coalesce(func.max(snapshot.c.snapshot_id), 0) + 1))
    sifted = sift(con, snapshot_id, read)
    _refuse_implausible(con, integration_id, file, sifted)
    until = _next_moment(con, integration_id, file.taken_at)
    _find_news(con, integration_id, file.taken_at, until, replaces=bool(known))
    news = select(load_news).where(load_news.c.listed).subquery("news")
    con.execute(insert(load_content).from_select(["account_id", *CONTENT], understood(news)))
    write_span(con, integration_id, file.taken_at, until, anew=bool(known))
    if until == FOREVER:
        _remember_delivered(con, integration_id)
    if known:
        _forget(con, known)
    flagged = _count_flagged(con, integration_id, None if until == FOREVER else file.taken_at)
    con.execute(
        insert(snapshot).values(
            snapshot_id=snapshot_id,
            integration_id=integration_id,
            taken_at=file.taken_at,
            loaded_at=datetime.now(UTC).replace(tzinfo=None),
            file_name=file.path.name,
            sha256=sha256,
            flagged=flagged,
            **sifted._asdict(),
        )
    )
    return Loaded(file, sifted.rows_read, sifted.accepted, sifted.rejected, flagged)


def _refuse_implausible(
    con: Connection, integration_id: int, file: SnapshotFile, sifted: Sifted
) -> None:
    name = file.path.name
    if sifted.rejected > sifted.rows_read * MOST_REJECTED:
        first = con.execute(select(rejected_row).order_by(rejected_row.c.snapshot_id.desc(), rejected_row.c.line)).first()
        example = f" The first: line {first.line}: {first.reason}" if first else ""
        raise MostlyRejected(
            f"{name}: {sifted.rejected:,} of {sifted.rows_read:,} rows are no accounts, which is "
            f"more than half; nothing was loaded.{example}"
        )
    if not sifted.accepted and con.scalar(
        select(func.count()).where(account_current.c.integration_id == integration_id)
    ):
        raise NoAccounts(
            f"{name} lists no accounts, but the snapshot before does; nothing was loaded. "
            "An empty list is more often a failed export than an app without users."
        )


def _find_news(
    con: Connection, integration_id: int, taken_at: datetime, until: datetime, *, replaces: bool
) -> None:
    """Fill `load_news` by comparing the file's text with what is known.

    A file that extends the history is compared with the text of the newest snapshot: what is
    unchanged there means what it meant, and need not be understood again. For any other file
    only the accounts are known, not their text, and every row is news.
    """
    extends = until == FOREVER and not replaces and _remembers_all(con, integration_id)
    known = (
        select(delivered_row).where(delivered_row.c.integration_id == integration_id)
        if extends
        else _without_text(integration_id, None if until == FOREVER else taken_at)
    ).subquery("known")
    row = load_row
    columns = ["listed", *(c.name for c in row.c)]
    news = (
        select(
            row.c.account_id.is_not(None),
            func.coalesce(row.c.account_id, known.c.account_id),
            *(row.c[n] for n in DELIVERED),
        )
        .select_from(row.join(known, known.c.account_id == row.c.account_id, full=True))
        .where(
            or_(
                known.c.account_id.is_(None),
                row.c.account_id.is_(None),
                *(row.c[n].is_distinct_from(known.c[n]) for n in DELIVERED),
            )
        )
    )
    con.execute(insert(load_news).from_select(columns, news))


def _remembers_all(con: Connection, integration_id: int) -> bool:
    """Whether `delivered_row` holds the text of every account of the newest snapshot."""
    sizes = [
        con.scalar(select(func.count()).where(table.c.integration_id == integration_id))
        for table in (delivered_row, account_current)
    ]
    return sizes[0] == sizes[1]


def _without_text(integration_id: int, at: datetime | None) -> Select[Any]:
    then = accounts_at(integration_id, at)
    return select(
        account.c.account_id, *(cast(null(), String).label(name) for name in DELIVERED)
    ).select_from(then.join(account, account.c.account_key == then.c.account_key))


def _remember_delivered(con: Connection, integration_id: int) -> None:
    """Bring `delivered_row` up to date with the newest snapshot's text."""
    con.execute(
        delete(delivered_row).where(
            delivered_row.c.integration_id == integration_id,
            delivered_row.c.account_id.in_(select(load_news.c.account_id)),
        )
    )
    con.execute(
        insert(delivered_row).from_select(
            ["integration_id", *(c.name for c in load_row.c)],
            select(
                literal(integration_id, Integer), *(load_news.c[c.name] for c in load_row.c)
            ).where(load_news.c.listed),
        )
    )


def _list_snapshot_before(con: Connection, integration_id: int, taken_at: datetime) -> None:
    """Fill the scratch tables as if the snapshot before had been delivered again."""
    before = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(
            snapshot.c.integration_id == integration_id, snapshot.c.taken_at < taken_at
        )
    )
    if before is not None:
        then = accounts_at(integration_id, before)
        con.execute(
            insert(load_content).from_select(
                ["account_id", *CONTENT],
                select(account.c.account_id, *(then.c[n] for n in CONTENT)).select_from(
                    then.join(account, account.c.account_key == then.c.account_key)
                ),
            )
        )
    known = _without_text(integration_id, taken_at).subquery("known")
    con.execute(
        insert(load_news).from_select(
            ["listed", "account_id"],
            select(false(), known.c.account_id).where(
                known.c.account_id.not_in(select(load_content.c.account_id))
            ),
        )
    )


def _forget(con: Connection, old: Row[Any]) -> None:
    for table in (snapshot, rejected_row):
        con.execute(delete(table).where(table.c.snapshot_id == old.snapshot_id))


def _next_moment(con: Connection, integration_id: int, taken_at: datetime) -> datetime:
    """When the snapshot after `taken_at` was taken; FOREVER where there is none."""
    later = select(func.min(snapshot.c.taken_at)).where(
        snapshot.c.integration_id == integration_id, snapshot.c.taken_at > taken_at
    )
    return con.scalar(later) or FOREVER


def _integration_id(con: Connection, name: str) -> int:
    known = con.scalar(select(integration.c.integration_id).where(integration.c.name == name))
    if known is not None:
        return known
    new = con.scalar(select(func.coalesce(func.max(integration.c.integration_id), 0) + 1))
    con.execute(insert(integration).values(integration_id=new, name=name))
    return new


def _find(con: Connection, integration_name: str, taken_at: datetime) -> Row[Any] | None:
    return con.execute(
        select(snapshot)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == integration_name, snapshot.c.taken_at == taken_at)
    ).first()


def _count_flagged(con: Connection, integration_id: int, at: datetime | None) -> int:
    then = accounts_at(integration_id, at)
    return con.scalar(select(func.count()).select_from(then).where(then.c.flags.is_not(None))) or 0


def _other_content(file: SnapshotFile, known: Row[Any]) -> str:
    return (
        f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC is loaded already, from "
        f"{known.file_name} with other content. To put {file.path.name} in its place: "
        "rollcall load --replace."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()
