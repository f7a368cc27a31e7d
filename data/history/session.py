"""The load session: what each step of loading one file works with."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from data.files.mapping import NO_MAPPING
from data.files.naming import SnapshotFile
from data.history.as_of import Span, find_snapshot, find_span
from data.sources.delivery import OpenedFile, open_file
from data.store import transfer
from data.store.engine import store_key, write_connection


@dataclass(frozen=True)
class LoadSession:
    """The load of one file: its two connections, its place in the history, a second thread.

    The workspace is the DuckDB connection that reads the file. It is `con` itself where the store
    is DuckDB, too.
    """

    con: Connection
    workspace: Connection
    file: SnapshotFile
    confirmed: bool  # a person has looked at the file
    was_loaded: bool  # the file is from the archive, and cannot be refused as something else
    span: Span
    loaded_snapshot: sa.Row[Any] | None  # which the store has for the file's moment
    is_identical: bool  # whether that comes from the very same file
    store_key: str
    opened_file: Future[OpenedFile]
    executor: Executor

    def transaction(self, *, commit: bool = True) -> AbstractContextManager[None]:
        """One transaction of both connections; rolled back at its end without `commit`."""
        return transfer.transaction(self.con, self.workspace, commit=commit)

    def materialize(self, rows: transfer.Rows, target: sa.Table) -> sa.FromClause:
        """Rows of the store, readable in the workspace more than once."""
        return transfer.materialize(self.con, rows, self.workspace, target)

    def materialize_in_store(self, rows: transfer.Rows, target: sa.Table) -> sa.FromClause:
        """Rows of the workspace, readable in the store.

        A statement that reads them has the parameters of the span, as the rows can have.
        """
        return transfer.materialize_in_store(
            self.workspace, rows, self.con, target, self.span.parameters
        )

    def copy_to_store(self, rows: transfer.Rows, target: sa.Table) -> None:
        """Insert rows of the workspace into a table of the store."""
        transfer.copy_to_store(self.workspace, rows, self.con, target)

    def hash_file(self) -> Future[str]:
        """The file's SHA-256, computed on the second thread: it takes longer than most steps."""
        return self.executor.submit(sha256_of, self.file.path)


@contextmanager
def open_session(
    engine: sa.Engine, file: SnapshotFile, *, confirmed: bool = False, was_loaded: bool = False
) -> Iterator[LoadSession]:
    """Open the file, the store and the workspace, with empty stage tables in both."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        mapping = file.mapping or NO_MAPPING
        opened_file = executor.submit(open_file, file.path, file.integration, file.name, mapping)
        with (
            write_connection(engine) as con,
            transfer.staging_tables(con),
            transfer.open_workspace(con) as workspace,
        ):
            file.path.open("rb").close()  # raises OSError now: the content is not to blame
            with con.begin():
                loaded = find_snapshot(con, file.integration, file.taken_at)
                span = find_span(con, file.integration, file.taken_at, had_snapshot=bool(loaded))
                key = store_key(con)
            yield LoadSession(
                con,
                workspace,
                file,
                confirmed,
                was_loaded,
                span,
                loaded,
                loaded is not None and loaded.sha256 == sha256_of(file.path),
                key,
                opened_file,
                executor,
            )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as binary_file:
        return hashlib.file_digest(binary_file, "sha256").hexdigest()
