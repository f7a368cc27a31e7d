"""The whole filtered list as queries: its columns, and its rows in the order shown.

All queries run in the transaction of one connection and see one state of the store. So a list, its
count and its snapshots agree even while a load happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.headers import heading_key
from data.history.normalize import REPORTED
from data.schema import account, integration, is_same_account
from data.states import STATE_BY_NAME, UNRECOGNIZED
from data.store.dialect import unnest_json_keys
from data.store.output import iso_text
from data.store.transfer import as_workspace, fetch_batches, scan
from queries.filters import Filters
from queries.users.accounts import parse_sort, sorted_accounts

MAX_ATTRIBUTE_COLUMNS = 200
"""Attributes that get a column each. More share one column, as JSON objects."""


class ListingColumn(NamedTuple):
    """A column of the list."""

    name: str  # in a snapshot file
    heading: str  # on the page
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
"""All columns to choose from. `attributes` stands for every further column of the snapshots."""


class UnknownColumns(ValueError):
    """The request names a column that the list does not have."""


def parse_columns(texts: Iterable[str]) -> tuple[str, ...]:
    """The names of the columns in texts such as `user_email,App access`, in order, each once.

    Accepts names and headings, ignoring case, spaces, underscores and dashes.
    Raises UnknownColumns.
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
    """Which accounts to list, in which order, with which columns."""

    filters: Filters
    sort: str = ""  # as in an address: `-last_updated`
    columns: tuple[str, ...] = ()  # none: the default of the format

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> ListRequest:
        """The request of an address. Raises UnknownColumns."""
        sort = next(iter(params.get("sort", ())), "")
        return cls(Filters.from_params(params), sort, parse_columns(params.get("columns", ())))

    def params(self) -> list[tuple[str, str]]:
        """The request as parameters of an address."""
        pairs = [("sort", self.sort), ("columns", ",".join(self.columns))]
        return [*self.filters.params(), *((name, value) for name, value in pairs if value)]


@dataclass(frozen=True)
class Listing:
    """One list at one moment: everything it reads is in the connection's transaction."""

    con: Connection
    request: ListRequest
    on_batch: Callable[[], None] = lambda: None
    """Runs before each batch of a long export; can raise to end it."""

    def columns(self, default_names: Sequence[str]) -> list[ListingColumn]:
        """The requested columns, or the default ones, with one column per attribute."""
        columns: list[ListingColumn] = []
        for name in self.request.columns or default_names:
            columns += self.attribute_columns if name == "attributes" else [LISTING_COLUMNS[name]]
        return columns

    @cached_property
    def attribute_columns(self) -> list[ListingColumn]:
        """One column per attribute that any account of the list has, by name."""
        rows = self._sorted_query().subquery("listed")
        keys = select(unnest_json_keys(rows.c.attributes).label("key"))
        key = keys.where(rows.c.attributes.is_not(None)).subquery("keys").c.key
        query = select(key).distinct().order_by(key).limit(MAX_ATTRIBUTE_COLUMNS + 1)
        names = self.con.scalars(query).all()
        if len(names) > MAX_ATTRIBUTE_COLUMNS:
            return [LISTING_COLUMNS["attributes"]]
        return [ListingColumn(f"{ATTRIBUTE_PREFIX}{name}", name) for name in names]

    def text_rows(self, columns: Sequence[ListingColumn]) -> sa.Select[Any]:
        """One row per account with the page's texts, in columns c0, c1 …; times stay times."""
        rows = self._sorted_rows(columns)
        texts = {"roles": _join_roles(rows.c.roles), "active_in_app": _yes_or_no(rows)}
        values = [texts.get(c.name, _stored_value(rows, c)) for c in columns]
        return select(*(value.label(f"c{number}") for number, value in enumerate(values)))

    def typed_rows(self, columns: Sequence[ListingColumn]) -> sa.Select[Any]:
        """One row per account, with the names of a snapshot file; roles as lists."""
        rows = self._sorted_rows(columns)
        return select(
            *(_stored_value(rows, c).label(c.name.removeprefix(ATTRIBUTE_PREFIX)) for c in columns)
        )

    def json_rows(self, names: Sequence[str]) -> sa.Select[Any]:
        """One row per account: an object of a snapshot file as JSON text.

        It holds unrecognized values as the file had them, and attributes beside the other keys.
        Loaded again, it gives the same account.
        """
        rows = self._sorted_rows([LISTING_COLUMNS[name] for name in names])
        values, column_names = _snapshot_values(rows), [n for n in names if n != "attributes"]
        pairs = [part for name in column_names for part in (sa.literal(name), values[name])]
        text: ColumnElement[Any] = sa.cast(func.json_object(*pairs), sa.String)
        if "attributes" in names and column_names:
            text = _merge_attributes(text, rows.c.attributes)
        elif "attributes" in names:
            text = func.coalesce(rows.c.attributes, "{}")
        return select(text.label("account"))

    def role_rows(self) -> sa.Select[Any]:
        """One row per account and role, with the details of the role: ROLE_HEADINGS."""
        return select(*_role_values(self._sorted_rows([LISTING_COLUMNS["account_id"]])))

    def batches(self, rows: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow batches."""
        with fetch_batches(self.workspace, rows) as batches:
            for batch in batches:
                self.on_batch()
                yield batch

    @cached_property
    def workspace(self) -> Connection:
        """DuckDB, which turns rows into texts and files, whatever the store is."""
        return as_workspace(self.con)

    def _sorted_rows(self, columns: Iterable[ListingColumn]) -> sa.FromClause:
        """The list in its order, with everything that the columns need.

        DuckDB skips the columns that nobody uses. States and integrations are numbers until the
        sort is done, as it holds its rows in memory.
        """
        with_account_id = any(column.name == "account_id" for column in columns)
        query = self._sorted_query(with_account_id=with_account_id)
        rows = scan(self.con, query, self.workspace, "sorted")
        replacements = {
            "integration": _name_of(rows.c.integration_id, self._integration_names),
            "provisioning_state": _name_of(rows.c.state_place, dict(enumerate(STATE_BY_NAME))),
        }
        unchanged = [column for column in rows.c if column.name not in replacements]
        return select(
            *unchanged, *(text.label(name) for name, text in replacements.items())
        ).subquery("listed")

    @cached_property
    def _integration_names(self) -> dict[int, str]:
        """Number → name."""
        return {row.integration_id: row.name for row in self.con.execute(select(integration))}

    def _sorted_query(self, *, with_account_id: bool = False) -> sa.Select[Any]:
        sort, descending = parse_sort(self.request.sort)
        query = sorted_accounts(self.con, self.request.filters, sort=sort, descending=descending)
        source = query.selected_columns.account_key.table
        state = source.c.provisioning_state
        state_place = case(*((state == name, n) for n, name in enumerate(STATE_BY_NAME)))
        query = query.add_columns(
            *(source.c[n] for n in ("integration_id", "role_details", "attributes", "flags")),
            sa.cast(state_place, sa.SmallInteger).label("state_place"),
        )
        if not with_account_id:
            return query
        return query.add_columns(account.c.account_id).join(
            account, is_same_account(account, source)
        )


ATTRIBUTE_PREFIX = "attributes/"
"""Starts the internal name of an attribute's column, as an attribute can be named like a column."""

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


def _name_of(number: ColumnElement[Any], names: Mapping[int, str]) -> ColumnElement[Any]:
    """The name that belongs to a number."""
    position = func.list_position(sa.cast(array(list(names)), sa.ARRAY(sa.Integer)), number)
    return func.list_extract(sa.cast(array(list(names.values())), sa.ARRAY(sa.String)), position)


def _stored_value(rows: sa.FromClause, column: ListingColumn) -> ColumnElement[Any]:
    """The value in the store, which keeps no state source where it is the usual one."""
    if column.name == "state_source":
        return func.coalesce(rows.c.state_source, REPORTED)
    if not column.name.startswith(ATTRIBUTE_PREFIX):
        return rows.c[column.name]
    key = column.name.removeprefix(ATTRIBUTE_PREFIX).replace("~", "~0").replace("/", "~1")
    return func.json_extract_string(rows.c.attributes, f"/{key}")


def _role_values(rows: sa.FromClause) -> list[ColumnElement[Any]]:
    """The account and the details of each role of the rows, as in ROLE_HEADINGS."""
    roles_json = func.coalesce(sa.cast(rows.c.role_details, sa.JSON), func.to_json(rows.c.roles))
    identity = [rows.c[name] for name in ("integration", "username_in_app", "account_id")]
    query = select(*identity, func.unnest(func.json_extract(roles_json, "$[*]")).label("role"))
    columns = query.subquery("account_role").c
    is_object = func.json_type(columns.role) == "OBJECT"

    def detail(key: str) -> ColumnElement[Any]:
        return case((is_object, func.json_extract_string(columns.role, f"$.{key}")))

    name = func.coalesce(detail("name"), func.json_extract_string(columns.role, "$"))
    details = [detail(key) for key in ("id", "type", "description", "via", "since")]
    return [columns.integration, columns.username_in_app, columns.account_id, name, *details]


def _yes_or_no(rows: sa.FromClause) -> ColumnElement[Any]:
    active = rows.c.active_in_app
    return case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="")


def _join_roles(names: ColumnElement[Any]) -> ColumnElement[Any]:
    """The names with semicolons between them, or a JSON list where that would be ambiguous.

    It is ambiguous where a name holds a semicolon, starts or ends with white space, or is the only
    one and holds a comma. Splitting the text and comparing is simpler, but takes longer than the
    rest of a download.
    """
    joined = func.array_to_string(names, ";")
    semicolons = func.len(joined) - func.len(func.replace(joined, ";", ""))
    ambiguous = sa.or_(
        semicolons >= func.len(names),
        and_(semicolons == 0, func.contains(joined, ",")),
        func.regexp_matches(joined, r"^[\[{\s;]|\s;|;[\s;]|[\s;]$"),
    )
    return case(
        (func.len(names) == 0, ""),
        (ambiguous, sa.cast(func.to_json(names), sa.String)),
        else_=func.array_to_string(names, "; "),
    )


def _snapshot_values(rows: sa.FromClause) -> dict[str, ColumnElement[Any]]:
    """Column → its value in a snapshot file; an unrecognized value as the file had it."""
    state = case(
        (rows.c.provisioning_state != UNRECOGNIZED.name, rows.c.provisioning_state),
        else_=_raw_value(rows, "provisioning_state"),
    )
    flagged_roles = sa.cast(_raw_value(rows, "roles"), sa.JSON)
    details = sa.cast(rows.c.role_details, sa.JSON)
    active = _raw_value(rows, "active_in_app")
    values: dict[str, ColumnElement[Any]] = {
        "roles": func.coalesce(flagged_roles, details, func.to_json(rows.c.roles)),
        "active_in_app": func.coalesce(func.to_json(active), func.to_json(rows.c.active_in_app)),
        "provisioning_state": state,
        "state_source": func.coalesce(
            _raw_value(rows, "state_source"), rows.c.state_source, REPORTED
        ),
        "last_updated": func.coalesce(
            iso_text(rows.c.last_updated), _raw_value(rows, "last_updated")
        ),
    }
    return {
        c.name: values.get(c.name, rows.c[c.name])
        for c in LISTING_COLUMNS.values()
        if c.name in rows.c
    }


def _raw_value(rows: sa.FromClause, name: str) -> ColumnElement[Any]:
    return func.json_extract_string(rows.c.flags, f"$.{name}")


def _merge_attributes(
    text: ColumnElement[Any], attributes: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Both objects as one; a column wins over an attribute of its name."""
    column_nulls = func.json_object(
        *(part for name in LISTING_COLUMNS for part in (sa.literal(name), sa.null()))
    )
    remaining = sa.cast(
        func.json_merge_patch(sa.cast(attributes, sa.JSON), column_nulls), sa.String
    )
    return case(
        (sa.or_(attributes.is_(None), remaining == "{}"), text),
        else_=func.concat(func.left(text, func.len(text) - 1), ",", func.substr(remaining, 2)),
    )
