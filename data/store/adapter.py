"""What differs between the databases that can hold a store."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.util import LRUCache

from data.store.errors import StoreError, StoreUnreachable

Rows = sa.Select[*tuple[Any, ...]]


class _CompiledStatements(LRUCache[Any, Any]):
    """The SQL of statements, by statement and kind of database."""

    def get(self, key: Any, default: Any = None) -> Any:
        """The same for each engine of a kind: the key of SQLAlchemy begins with its dialect."""
        dialect, *statement = key
        return super().get((type(dialect), *statement), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        dialect, *statement = key
        super().__setitem__((type(dialect), *statement), value)


SHARED_OPTIONS = {"compiled_cache": _CompiledStatements(1500)}
"""Execution options of every engine. A store that is reopened, and the restricted views of each
role, have engines of their own, and SQLAlchemy would compile every statement again for each. For a
small snapshot that takes as long as the load itself."""


class Replacement(NamedTuple):
    """An empty store that can take the place of another one."""

    url: str
    prepare: Callable[[sa.Engine], object]
    """Set up the new store like the old one, before anything is loaded."""
    install: Callable[[str], str]
    """Put it in place. Returns where the old store is kept, empty where it is not. The argument
    says why the old store is kept; where it is empty, the old store may go."""


class DatabaseAdapter(ABC):
    """One kind of database. An adapter has no state of a single store."""

    is_server: bool
    """Whether it is a server, which other processes use at the same time. Otherwise it is DuckDB
    in this process, which also reads files and sorts in the memory of this process."""
    row_id_columns: tuple[str, ...] = ()
    """Hidden columns of every table that queries use."""

    # ---- connections

    @abstractmethod
    def create_engine(self, url: str) -> sa.Engine:
        """An engine that checks nothing in the store. Raises StoreUnreachable."""

    @abstractmethod
    def exclusive_lock(self, con: Connection) -> AbstractContextManager[None]:
        """Keep other processes from writing for the length of the block."""

    @abstractmethod
    def translate_error(
        self, url: str, context: ExceptionContext
    ) -> tuple[StoreError | None, StoreError | None]:
        """What an error of a statement means for it, and for all until the store is reopened."""

    def has_readers(self, url: str) -> bool:
        """Whether open connections keep a closed store from being opened again."""
        del url
        return False

    @abstractmethod
    def exists(self, url: str) -> bool:
        """Whether there is a database at the address, as far as that is known."""

    # ---- tables

    @abstractmethod
    def check_database(self, con: Connection, *, has_foreign_tables: bool) -> None:
        """Raises StoreUnreachable where the database cannot hold a store."""

    @abstractmethod
    def create_tables(self, con: Connection) -> None:
        """Create the tables of a store."""

    @abstractmethod
    def check_complete(self, con: Connection) -> None:
        """Raises StoreDamaged where a part of the store is missing."""

    @abstractmethod
    def source_schema(self, cursor: Any, quote: Callable[[str], str]) -> str:
        """The quoted schema of the store's tables, for a view that hides one of them."""

    @abstractmethod
    def set_session_bytes(self, name: str, value: bytes) -> str:
        """The statement that gives a transaction bytes to read with `session_bytes`."""

    @abstractmethod
    def replacement(self, url: str) -> AbstractContextManager[Replacement]:
        """An empty store beside the one at the address. It is deleted unless it is installed."""

    # ---- rows

    @abstractmethod
    def staging_tables(self, con: Connection) -> AbstractContextManager[None]:
        """The empty staging tables of a load."""

    @abstractmethod
    def read_batches(self, con: Connection, rows: Rows, batch_size: int) -> pa.RecordBatchReader:
        """The rows as Arrow. A server gives lists as JSON."""

    def write_batches(
        self, con: Connection, table: sa.Table, workspace: Connection, rows: Rows, batch_size: int
    ) -> None:
        """Write rows of the workspace into a table of a server."""
        raise NotImplementedError

    def plan_for_whole_tables(self, con: Connection) -> AbstractContextManager[None]:
        """What is executed in the block looks nothing up row by row."""
        del con
        return nullcontext()

    @abstractmethod
    def analyze(self, con: Connection, *tables: sa.Table) -> None:
        """Update the planner's statistics of the tables."""


ADAPTERS: dict[str, DatabaseAdapter] = {}
"""SQLAlchemy's name of a database → its adapter. The module of each adapter adds it."""


def adapter_of(con: Connection | sa.Engine) -> DatabaseAdapter:
    """The adapter of an open store."""
    return ADAPTERS[con.dialect.name]


def adapter_for(url: str) -> DatabaseAdapter:
    """The adapter for an address. Raises StoreUnreachable for a database of another kind."""
    name = sa.make_url(url).get_backend_name()
    if name not in ADAPTERS:
        raise StoreUnreachable(
            f"{name} cannot hold a store. Expected duckdb:///… or postgresql+psycopg://…"
        )
    return ADAPTERS[name]
