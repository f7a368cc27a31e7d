"""The filtered list, whole: its columns, and its rows as Arrow batches in the order shown.

Everything asked of one connection is of one state of the store, so a list, its count and the
snapshots that it came from agree even while a load happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    SmallInteger,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array

from data.files.headers import squash
from data.history.normalize import REPORTED
from data.schema import account, integration, same_account
from data.states import STATE_BY_NAME, UNRECOGNISED
from data.store.dialect import each_key
from data.store.transfer import at_a_desk, fetched, in_batches
from queries.filters import Filters
from queries.users.accounts import Part, all_accounts, order_of, parts_of

MOST_FURTHER = 200
"""Attributes that get a column each; of more, all come in one column, as JSON objects."""


class Column(NamedTuple):
    """One thing that a list can say of an account."""

    name: str  # as a snapshot file names it
    heading: str  # as the page does
    width: int = 20  # in a spreadsheet, in characters


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("integration", "Integration", 18),
        Column("user_name", "User", 24),
        Column("user_email", "Email", 30),
        Column("username_in_app", "Username in app", 24),
        Column("roles", "App access", 40),
        Column("active_in_app", "Active in app", 12),
        Column("upstream_user_id", "Upstream user ID", 24),
        Column("provisioning_state", "Provisioning state", 22),
        Column("state_source", "State source", 14),
        Column("state_reason", "Reason", 40),
        Column("failure_code", "Failure code", 14),
        Column("last_updated", "Last updated", 22),
        Column("account_id", "Account ID", 24),
        Column("attributes", "Further columns"),
    )
}
"""What can be chosen. `attributes` stands for every further column of the snapshots."""


class UnknownColumns(ValueError):
    """A chosen column is none of those that a list has."""


def columns_named(texts: Iterable[str]) -> tuple[str, ...]:
    """The columns that texts name, each once and in their order: `user_email,App access`.

    Names and headings, ignoring case, spaces, underscores and dashes; raises UnknownColumns.
    """
    known = {squash(word): c.name for c in COLUMNS.values() for word in (c.heading, c.name)}
    asked = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    if unknown := [word for word in asked if squash(word) not in known]:
        raise UnknownColumns(f"No such column: {', '.join(unknown)}. Known: {', '.join(COLUMNS)}.")
    return tuple(dict.fromkeys(known[squash(word)] for word in asked))


@dataclass(frozen=True)
class Wanted:
    """Which accounts, in which order, and what of each."""

    filters: Filters
    sort: str = ""  # as an address says it: `-last_updated`
    columns: tuple[str, ...] = ()  # none: what the format has by itself

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> Wanted:
        """What an address asks for. Raises UnknownColumns."""
        sort = next(iter(params.get("sort", ())), "")
        return cls(Filters.from_params(params), sort, columns_named(params.get("columns", ())))

    def params(self) -> list[tuple[str, str]]:
        """As an address says it."""
        listed = [("sort", self.sort), ("columns", ",".join(self.columns))]
        return [*self.filters.params(), *((name, value) for name, value in listed if value)]


@dataclass(frozen=True)
class Listing:
    """One list at one moment of the store: the transaction of the connection is that moment."""

    con: Connection
    wanted: Wanted

    def columns(self, usual: Sequence[str]) -> list[Column]:
        """The chosen columns, or the usual ones; with a column per attribute."""
        chosen = self.wanted.columns or usual
        return [
            column
            for name in chosen
            for column in (self.further if name == "attributes" else [COLUMNS[name]])
        ]

    @cached_property
    def further(self) -> list[Column]:
        """A column per attribute that any account of the list has, by name."""
        rows = self._in_order().subquery("listed")
        keys = select(each_key(rows.c.attributes).label("key"))
        key = keys.where(rows.c.attributes.is_not(None)).subquery("keys").c.key
        found = list(self.con.scalars(select(key).distinct().order_by(key).limit(MOST_FURTHER + 1)))
        if len(found) > MOST_FURTHER:
            return [COLUMNS["attributes"]]
        return [Column(f"{ATTRIBUTE}{name}", name) for name in found]

    def texts(self, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        """One row per account, what the page says of it; times stay times."""

        def values(rows: FromClause) -> list[ColumnElement[Any]]:
            said = {"roles": _roles(rows.c.roles), "active_in_app": _yes_or_no(rows)}
            return [said.get(c.name, _plain(rows, c)) for c in columns]

        return self._batches(columns, values, [c.heading for c in columns])

    def typed(self, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        """One row per account, under the names of a snapshot file; roles as a list."""
        names = [c.name.removeprefix(ATTRIBUTE) for c in columns]
        return self._batches(columns, lambda rows: [_plain(rows, c) for c in columns], names)

    def objects(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """One row per account: a JSON object as in a snapshot file, text not understood included.

        Loaded again it is the same account. Attributes are keys beside the others.
        """
        own = [name for name in names if name != "attributes"]

        def values(rows: FromClause) -> list[ColumnElement[Any]]:
            said = _as_delivered(rows)
            parts = [part for name in own for part in (literal(name), said[name])]
            text = cast(func.json_object(*parts), String)
            if "attributes" in names:
                text = _joined(text, rows.c.attributes) if own else _or_nothing(rows.c.attributes)
            return [text]

        return self._batches([COLUMNS[name] for name in names], values, ["account"])

    def roles(self) -> Iterator[pa.RecordBatch]:
        """One row per account and role, with what is known of the role."""
        return self._batches([COLUMNS["account_id"]], _each_role, ROLE_HEADINGS)

    def _rows(self, columns: Iterable[Column], part: Part) -> FromClause:
        """A part of the list in its order, with whatever the columns are made of.

        What is not used is not read: DuckDB prunes it. The sort holds every row in memory, so the
        rows in it are small: states and integrations are numbers until they have come out of it.
        """
        identified = any(column.name == "account_id" for column in columns)
        listed, names = self._in_order(part, identified=identified), self._integrations
        rows = fetched(self.con, listed, self._desk, "sorted")
        said = {
            "integration": _named(rows.c.integration_id, names),
            "provisioning_state": _named(rows.c.state_place, dict(enumerate(STATE_BY_NAME))),
        }
        kept = [column for column in rows.c if column.name not in said]
        return select(*kept, *(text.label(name) for name, text in said.items())).subquery("listed")

    @cached_property
    def _desk(self) -> Connection:
        """Where rows are made into text: DuckDB, whatever the store is."""
        return at_a_desk(self.con)

    @cached_property
    def _integrations(self) -> dict[int, str]:
        """Number → name."""
        return {row.integration_id: row.name for row in self.con.execute(select(integration))}

    def _in_order(self, part: Part | None = None, *, identified: bool = False) -> Select[Any]:
        column, descending = order_of(self.wanted.sort)
        listed = all_accounts(
            self.con, self.wanted.filters, sort=column, descending=descending, part=part
        )
        rows = listed.selected_columns
        content = rows.account_key.table
        more = [content.c[n] for n in ("integration_id", "role_details", "attributes", "flags")]
        state = content.c.provisioning_state
        places = case(*((state == name, n) for n, name in enumerate(STATE_BY_NAME)))
        more.append(cast(places, SmallInteger).label("state_place"))
        if not identified:
            return listed.add_columns(*more)
        return listed.add_columns(*more, account.c.account_id).join(
            account, same_account(account, content)
        )

    def _batches(
        self,
        columns: Sequence[Column],
        values: Callable[[FromClause], list[ColumnElement[Any]]],
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """The rows as they come out of DuckDB, after a batch of none that has the names alone."""
        sort, descending = order_of(self.wanted.sort)
        schema: pa.Schema | None = None
        for part in parts_of(self.con, self.wanted.filters, sort=sort, descending=descending):
            # A name is the data's, and may be there twice: as an SQL name it would be changed.
            said = [
                value.label(f"c{n}") for n, value in enumerate(values(self._rows(columns, part)))
            ]
            with in_batches(self._desk, select(*said)) as batches:
                if schema is None:
                    types = [field.type for field in batches.schema]
                    schema = pa.schema([*map(pa.field, names, types)])
                    yield _none(schema)
                for batch in _read_ahead(batches):
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; while one is made into a file, the next comes out of the store."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        following = reader.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = reader.submit(next, batches, None)
            yield batch


ATTRIBUTE = "attributes/"
"""Before the name of a further column, which could be that of another."""

ROLE_HEADINGS = (
    "Integration",
    "Username in app",
    "Account ID",
    "Role",
    "Role ID",
    "Type",
    "Description",
    "Via",
    "Since",
)


def times_told(times: pa.Array) -> pa.Array:
    """`2026-11-23T06:00:00Z`, with a fraction where there is one.

    Casts take a thirtieth of the time of `strftime`, as long as they are of naive times.
    """
    seconds = pc.cast(times, pa.timestamp("s"), safe=False)
    whole = pc.equal(pc.cast(seconds, times.type), times)  # pyright: ignore[reportAttributeAccessIssue]
    text = pc.if_else(whole, pc.cast(seconds, pa.string()), pc.cast(times, pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
    text = pc.replace_substring(text, " ", "T")  # pyright: ignore[reportAttributeAccessIssue]
    return pc.binary_join_element_wise(text, "Z", "")  # pyright: ignore[reportAttributeAccessIssue]


def _named(number: ColumnElement[Any], names: Mapping[int, str]) -> ColumnElement[Any]:
    """The name that stands for a number."""
    place = func.list_position(cast(array(list(names)), ARRAY(Integer)), number)
    return func.list_extract(cast(array(list(names.values())), ARRAY(String)), place)


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _plain(rows: FromClause, column: Column) -> ColumnElement[Any]:
    """The value as the store has it; what most states are is not kept, but told."""
    if column.name == "state_source":
        return func.coalesce(rows.c.state_source, REPORTED)
    if not column.name.startswith(ATTRIBUTE):
        return rows.c[column.name]
    key = column.name.removeprefix(ATTRIBUTE).replace("~", "~0").replace("/", "~1")
    return func.json_extract_string(rows.c.attributes, f"/{key}")


def _each_role(rows: FromClause) -> list[ColumnElement[Any]]:
    """Of each role that the rows have: whose it is, and what is known of it."""
    known = func.coalesce(cast(rows.c.role_details, JSON), func.to_json(rows.c.roles))
    whose = [rows.c[name] for name in ("integration", "username_in_app", "account_id")]
    held = select(*whose, func.unnest(func.json_extract(known, "$[*]")).label("role"))
    one = held.subquery("held").c
    is_object = func.json_type(one.role) == "OBJECT"

    def fact(key: str) -> ColumnElement[Any]:
        return case((is_object, func.json_extract_string(one.role, f"$.{key}")))

    name = func.coalesce(fact("name"), func.json_extract_string(one.role, "$"))
    facts = [fact(key) for key in ("id", "type", "description", "via", "since")]
    return [one.integration, one.username_in_app, one.account_id, name, *facts]


def _yes_or_no(rows: FromClause) -> ColumnElement[Any]:
    active = rows.c.active_in_app
    return case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="")


def _roles(names: ColumnElement[Any]) -> ColumnElement[Any]:
    """Names with semicolons between them; as a JSON list where that would say something else.

    It would where a name holds a semicolon, starts or ends with white space, or is the only one
    and holds a comma. To split the text again and compare is simpler, but took longer than all
    else in a download.
    """
    joined = func.array_to_string(names, ";")
    semicolons = func.len(joined) - func.len(func.replace(joined, ";", ""))
    ambiguous = or_(
        semicolons >= func.len(names),
        and_(semicolons == 0, func.contains(joined, ",")),
        func.regexp_matches(joined, r"^[\[{\s;]|\s;|;[\s;]|[\s;]$"),
    )
    return case(
        (func.len(names) == 0, ""),
        (ambiguous, cast(func.to_json(names), String)),
        else_=func.array_to_string(names, "; "),
    )


def _as_delivered(rows: FromClause) -> dict[str, ColumnElement[Any]]:
    """Column → its value in a snapshot file; what was not understood, as it was delivered."""
    state = case(
        (rows.c.provisioning_state != UNRECOGNISED.name, rows.c.provisioning_state),
        else_=_flagged(rows, "provisioning_state"),
    )
    moment = func.concat(func.replace(cast(rows.c.last_updated, String), " ", "T"), "Z")
    flagged_roles = cast(_flagged(rows, "roles"), JSON)
    details = cast(rows.c.role_details, JSON)
    active = _flagged(rows, "active_in_app")
    told: dict[str, ColumnElement[Any]] = {
        "roles": func.coalesce(flagged_roles, details, func.to_json(rows.c.roles)),
        "active_in_app": func.coalesce(func.to_json(active), func.to_json(rows.c.active_in_app)),
        "provisioning_state": state,
        "state_source": func.coalesce(
            _flagged(rows, "state_source"), rows.c.state_source, REPORTED
        ),
        "last_updated": case(
            (rows.c.last_updated.is_(None), _flagged(rows, "last_updated")), else_=moment
        ),
    }
    return {c.name: told.get(c.name, rows.c[c.name]) for c in COLUMNS.values() if c.name in rows.c}


def _flagged(rows: FromClause, name: str) -> ColumnElement[Any]:
    return func.json_extract_string(rows.c.flags, f"$.{name}")


def _joined(text: ColumnElement[Any], attributes: ColumnElement[Any]) -> ColumnElement[Any]:
    """Both objects as one; a key that is a column's name is the column's."""
    names = func.json_object(*(part for name in COLUMNS for part in (literal(name), null())))
    others = cast(func.json_merge_patch(cast(attributes, JSON), names), String)
    return case(
        (or_(attributes.is_(None), others == "{}"), text),
        else_=func.concat(func.left(text, func.len(text) - 1), ",", func.substr(others, 2)),
    )


def _or_nothing(attributes: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(attributes, "{}")
