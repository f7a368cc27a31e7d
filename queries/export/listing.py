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

from data.files.headers import heading_key
from data.history.normalize import REPORTED
from data.schema import account, integration, is_same_account
from data.states import STATE_BY_NAME, UNRECOGNIZED
from data.store.dialect import unnest_json_keys
from data.store.transfer import as_workspace, fetch_batches, scan
from queries.filters import Filters
from queries.users.accounts import ListSlice, parse_sort, sorted_accounts, split_list

MAX_ATTRIBUTE_COLUMNS = 200
"""Attributes that get a column each; of more, all come in one column, as JSON objects."""


class ListingColumn(NamedTuple):
    """One thing that a list can say of an account."""

    name: str  # as a snapshot file names it
    heading: str  # as the page does
    width: int = 20  # in a spreadsheet, in characters


LISTING_COLUMNS: dict[str, ListingColumn] = {
    column.name: column
    for column in (
        ListingColumn("integration", "Integration", 18),
        ListingColumn("user_name", "User", 24),
        ListingColumn("user_email", "Email", 30),
        ListingColumn("username_in_app", "Username in app", 24),
        ListingColumn("roles", "App access", 40),
        ListingColumn("active_in_app", "Active in app", 12),
        ListingColumn("upstream_user_id", "Upstream user ID", 24),
        ListingColumn("provisioning_state", "Provisioning state", 22),
        ListingColumn("state_source", "State source", 14),
        ListingColumn("state_reason", "Reason", 40),
        ListingColumn("failure_code", "Failure code", 14),
        ListingColumn("last_updated", "Last updated", 22),
        ListingColumn("account_id", "Account ID", 24),
        ListingColumn("attributes", "Further columns"),
    )
}
"""What can be chosen. `attributes` stands for every further column of the snapshots."""


class UnknownColumns(ValueError):
    """A chosen column is none of those that a list has."""


def parse_columns(texts: Iterable[str]) -> tuple[str, ...]:
    """The columns that texts name, each once and in their order: `user_email,App access`.

    Names and headings, ignoring case, spaces, underscores and dashes; raises UnknownColumns.
    """
    names = {
        heading_key(word): c.name for c in LISTING_COLUMNS.values() for word in (c.heading, c.name)
    }
    requested = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    if unknown := [word for word in requested if heading_key(word) not in names]:
        raise UnknownColumns(
            f"No such column: {', '.join(unknown)}. Known: {', '.join(LISTING_COLUMNS)}."
        )
    return tuple(dict.fromkeys(names[heading_key(word)] for word in requested))


@dataclass(frozen=True)
class ListRequest:
    """Which accounts, in which order, and what of each."""

    filters: Filters
    sort: str = ""  # as an address says it: `-last_updated`
    columns: tuple[str, ...] = ()  # none: what the format has by itself

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> ListRequest:
        """What an address asks for. Raises UnknownColumns."""
        sort = next(iter(params.get("sort", ())), "")
        return cls(Filters.from_params(params), sort, parse_columns(params.get("columns", ())))

    def params(self) -> list[tuple[str, str]]:
        """As an address says it."""
        pairs = [("sort", self.sort), ("columns", ",".join(self.columns))]
        return [*self.filters.params(), *((name, value) for name, value in pairs if value)]


@dataclass(frozen=True)
class Listing:
    """One list at one moment of the store: the transaction of the connection is that moment."""

    con: Connection
    request: ListRequest

    def columns(self, default_names: Sequence[str]) -> list[ListingColumn]:
        """The chosen columns, or the usual ones; with a column per attribute."""
        names = self.request.columns or default_names
        return [
            column
            for name in names
            for column in (
                self.attribute_columns if name == "attributes" else [LISTING_COLUMNS[name]]
            )
        ]

    @cached_property
    def attribute_columns(self) -> list[ListingColumn]:
        """A column per attribute that any account of the list has, by name."""
        rows = self._sorted_query().subquery("listed")
        keys = select(unnest_json_keys(rows.c.attributes).label("key"))
        key = keys.where(rows.c.attributes.is_not(None)).subquery("keys").c.key
        names = list(
            self.con.scalars(select(key).distinct().order_by(key).limit(MAX_ATTRIBUTE_COLUMNS + 1))
        )
        if len(names) > MAX_ATTRIBUTE_COLUMNS:
            return [LISTING_COLUMNS["attributes"]]
        return [ListingColumn(f"{ATTRIBUTE_PREFIX}{name}", name) for name in names]

    def text_batches(self, columns: Sequence[ListingColumn]) -> Iterator[pa.RecordBatch]:
        """One row per account, what the page says of it; times stay times."""

        def values(rows: FromClause) -> list[ColumnElement[Any]]:
            expressions = {"roles": _join_roles(rows.c.roles), "active_in_app": _yes_or_no(rows)}
            return [expressions.get(c.name, _stored_value(rows, c)) for c in columns]

        return self._batches(columns, values, [c.heading for c in columns])

    def typed_batches(self, columns: Sequence[ListingColumn]) -> Iterator[pa.RecordBatch]:
        """One row per account, under the names of a snapshot file; roles as a list."""
        names = [c.name.removeprefix(ATTRIBUTE_PREFIX) for c in columns]
        return self._batches(columns, lambda rows: [_stored_value(rows, c) for c in columns], names)

    def json_batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """One row per account: a JSON object as in a snapshot file, text not understood included.

        Loaded again it is the same account. Attributes are keys beside the others.
        """
        column_names = [name for name in names if name != "attributes"]

        def values(rows: FromClause) -> list[ColumnElement[Any]]:
            expressions = _snapshot_values(rows)
            pairs = [part for name in column_names for part in (literal(name), expressions[name])]
            text = cast(func.json_object(*pairs), String)
            if "attributes" in names:
                text = (
                    _merge_attributes(text, rows.c.attributes)
                    if column_names
                    else _or_empty_object(rows.c.attributes)
                )
            return [text]

        return self._batches([LISTING_COLUMNS[name] for name in names], values, ["account"])

    def role_batches(self) -> Iterator[pa.RecordBatch]:
        """One row per account and role, with what is known of the role."""
        return self._batches([LISTING_COLUMNS["account_id"]], _role_values, ROLE_HEADINGS)

    def _sorted_rows(self, columns: Iterable[ListingColumn], list_slice: ListSlice) -> FromClause:
        """A part of the list in its order, with whatever the columns are made of.

        What is not used is not read: DuckDB prunes it. The sort holds every row in memory, so the
        rows in it are small: states and integrations are numbers until they have come out of it.
        """
        with_account_id = any(column.name == "account_id" for column in columns)
        query, names = (
            self._sorted_query(list_slice, with_account_id=with_account_id),
            self._integration_names,
        )
        rows = scan(self.con, query, self._workspace, "sorted")
        replacements = {
            "integration": _name_of(rows.c.integration_id, names),
            "provisioning_state": _name_of(rows.c.state_place, dict(enumerate(STATE_BY_NAME))),
        }
        unchanged = [column for column in rows.c if column.name not in replacements]
        return select(
            *unchanged, *(text.label(name) for name, text in replacements.items())
        ).subquery("listed")

    @cached_property
    def _workspace(self) -> Connection:
        """Where rows are made into text: DuckDB, whatever the store is."""
        return as_workspace(self.con)

    @cached_property
    def _integration_names(self) -> dict[int, str]:
        """Number → name."""
        return {row.integration_id: row.name for row in self.con.execute(select(integration))}

    def _sorted_query(
        self, list_slice: ListSlice | None = None, *, with_account_id: bool = False
    ) -> Select[Any]:
        sort, descending = parse_sort(self.request.sort)
        query = sorted_accounts(
            self.con, self.request.filters, sort=sort, descending=descending, list_slice=list_slice
        )
        selected = query.selected_columns
        source = selected.account_key.table
        extra_columns = [
            source.c[n] for n in ("integration_id", "role_details", "attributes", "flags")
        ]
        state = source.c.provisioning_state
        state_position = case(*((state == name, n) for n, name in enumerate(STATE_BY_NAME)))
        extra_columns.append(cast(state_position, SmallInteger).label("state_place"))
        if not with_account_id:
            return query.add_columns(*extra_columns)
        return query.add_columns(*extra_columns, account.c.account_id).join(
            account, is_same_account(account, source)
        )

    def _batches(
        self,
        columns: Sequence[ListingColumn],
        values: Callable[[FromClause], list[ColumnElement[Any]]],
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """The rows as they come out of DuckDB, after a batch of none that has the names alone."""
        sort, descending = parse_sort(self.request.sort)
        schema: pa.Schema | None = None
        for list_slice in split_list(
            self.con, self.request.filters, sort=sort, descending=descending
        ):
            # A name is the data's, and may be there twice: as an SQL name it would be changed.
            labeled_values = [
                value.label(f"c{n}")
                for n, value in enumerate(values(self._sorted_rows(columns, list_slice)))
            ]
            with fetch_batches(self._workspace, select(*labeled_values)) as batches:
                if schema is None:
                    types = [field.type for field in batches.schema]
                    schema = pa.schema([*map(pa.field, names, types)])
                    yield _empty_batch(schema)
                for batch in _read_ahead(batches):
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; while one is made into a file, the next comes out of the store."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        next_batch = reader.submit(next, batches, None)
        while (batch := next_batch.result()) is not None:
            next_batch = reader.submit(next, batches, None)
            yield batch


ATTRIBUTE_PREFIX = "attributes/"
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


def format_times(times: pa.Array) -> pa.Array:
    """`2026-11-23T06:00:00Z`, with a fraction where there is one.

    Casts take a thirtieth of the time of `strftime`, as long as they are of naive times.
    """
    seconds = pc.cast(times, pa.timestamp("s"), safe=False)
    is_whole_second = pc.equal(pc.cast(seconds, times.type), times)  # pyright: ignore[reportAttributeAccessIssue]
    text = pc.if_else(is_whole_second, pc.cast(seconds, pa.string()), pc.cast(times, pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
    text = pc.replace_substring(text, " ", "T")  # pyright: ignore[reportAttributeAccessIssue]
    return pc.binary_join_element_wise(text, "Z", "")  # pyright: ignore[reportAttributeAccessIssue]


def _name_of(number: ColumnElement[Any], names: Mapping[int, str]) -> ColumnElement[Any]:
    """The name that stands for a number."""
    position = func.list_position(cast(array(list(names)), ARRAY(Integer)), number)
    return func.list_extract(cast(array(list(names.values())), ARRAY(String)), position)


def _empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _stored_value(rows: FromClause, column: ListingColumn) -> ColumnElement[Any]:
    """The value as the store has it; what most states are is not kept, but told."""
    if column.name == "state_source":
        return func.coalesce(rows.c.state_source, REPORTED)
    if not column.name.startswith(ATTRIBUTE_PREFIX):
        return rows.c[column.name]
    key = column.name.removeprefix(ATTRIBUTE_PREFIX).replace("~", "~0").replace("/", "~1")
    return func.json_extract_string(rows.c.attributes, f"/{key}")


def _role_values(rows: FromClause) -> list[ColumnElement[Any]]:
    """Of each role that the rows have: whose it is, and what is known of it."""
    roles_json = func.coalesce(cast(rows.c.role_details, JSON), func.to_json(rows.c.roles))
    identity = [rows.c[name] for name in ("integration", "username_in_app", "account_id")]
    query = select(*identity, func.unnest(func.json_extract(roles_json, "$[*]")).label("role"))
    columns = query.subquery("held").c
    is_object = func.json_type(columns.role) == "OBJECT"

    def detail(key: str) -> ColumnElement[Any]:
        return case((is_object, func.json_extract_string(columns.role, f"$.{key}")))

    name = func.coalesce(detail("name"), func.json_extract_string(columns.role, "$"))
    details = [detail(key) for key in ("id", "type", "description", "via", "since")]
    return [columns.integration, columns.username_in_app, columns.account_id, name, *details]


def _yes_or_no(rows: FromClause) -> ColumnElement[Any]:
    active = rows.c.active_in_app
    return case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="")


def _join_roles(names: ColumnElement[Any]) -> ColumnElement[Any]:
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


def _snapshot_values(rows: FromClause) -> dict[str, ColumnElement[Any]]:
    """Column → its value in a snapshot file; what was not understood, as it was delivered."""
    state = case(
        (rows.c.provisioning_state != UNRECOGNIZED.name, rows.c.provisioning_state),
        else_=_raw_value(rows, "provisioning_state"),
    )
    iso_time = func.concat(func.replace(cast(rows.c.last_updated, String), " ", "T"), "Z")
    flagged_roles = cast(_raw_value(rows, "roles"), JSON)
    details = cast(rows.c.role_details, JSON)
    active = _raw_value(rows, "active_in_app")
    values: dict[str, ColumnElement[Any]] = {
        "roles": func.coalesce(flagged_roles, details, func.to_json(rows.c.roles)),
        "active_in_app": func.coalesce(func.to_json(active), func.to_json(rows.c.active_in_app)),
        "provisioning_state": state,
        "state_source": func.coalesce(
            _raw_value(rows, "state_source"), rows.c.state_source, REPORTED
        ),
        "last_updated": case(
            (rows.c.last_updated.is_(None), _raw_value(rows, "last_updated")), else_=iso_time
        ),
    }
    return {
        c.name: values.get(c.name, rows.c[c.name])
        for c in LISTING_COLUMNS.values()
        if c.name in rows.c
    }


def _raw_value(rows: FromClause, name: str) -> ColumnElement[Any]:
    return func.json_extract_string(rows.c.flags, f"$.{name}")


def _merge_attributes(
    text: ColumnElement[Any], attributes: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Both objects as one; a key that is a column's name is the column's."""
    column_nulls = func.json_object(
        *(part for name in LISTING_COLUMNS for part in (literal(name), null()))
    )
    remaining = cast(func.json_merge_patch(cast(attributes, JSON), column_nulls), String)
    return case(
        (or_(attributes.is_(None), remaining == "{}"), text),
        else_=func.concat(func.left(text, func.len(text) - 1), ",", func.substr(remaining, 2)),
    )


def _or_empty_object(attributes: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(attributes, "{}")
