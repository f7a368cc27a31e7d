"""The whole filtered list as queries: its columns, and its rows in the order shown.

All queries run in the transaction of one connection and see one state of the store. So a list, its
count and its snapshots agree even while a load happens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.json import json_pointer
from data.files.own_list import (
    FURTHER_HEADINGS,
    HEADINGS,
    UTC_SUFFIX,
    attribute_heading,
    join_roles,
)
from data.history.normalize import REPORTED
from data.schema import account, integration, is_same_account
from data.states import STATE_BY_NAME, UNRECOGNIZED
from data.store.output import iso_text
from data.store.transfer import as_workspace, fetch_batches, scan
from queries.export.columns import (
    ALL_COLUMNS,
    ATTRIBUTE_PREFIX,
    COMPUTED,
    LISTING_COLUMNS,
    ListingColumn,
    attribute_of,
    column_of,
    column_value,
    columns_text,
    parse_columns,
)
from queries.filters import Filters
from queries.notes import notes_in_force
from queries.users.accounts import attribute_names, parse_sort, sorted_accounts

MAX_ATTRIBUTE_COLUMNS = 200
"""Attributes that get a column each. More share one column, as JSON objects."""


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
        pairs = [("sort", self.sort), ("columns", columns_text(self.columns))]
        return [*self.filters.params(), *((name, value) for name, value in pairs if value)]


@dataclass(frozen=True)
class Listing:
    """One list at one moment: everything it reads is in the connection's transaction."""

    con: Connection
    request: ListRequest
    on_batch: Callable[[], None] = lambda: None
    """Runs before each batch of a long export; can raise to end it."""

    @cached_property
    def columns(self) -> list[ListingColumn]:
        """The requested columns, or all, with one column per attribute.

        All columns include those without which the list would not load as the same accounts.
        """
        if self.request.columns:
            return _distinct_headings(self._expanded(self.request.columns))
        names = (*ALL_COLUMNS, "stretches") if self.request.filters.during else ALL_COLUMNS
        columns = self._expanded(names)
        rows = self._sorted_query().subquery("listed")
        counts = self.con.execute(select(*(func.count(rows.c[name]) for name in OPTIONAL_COLUMNS)))
        needed = [name for name, count in zip(OPTIONAL_COLUMNS, counts.one(), strict=True) if count]
        return columns + [ListingColumn(name, FURTHER_HEADINGS[name], 40) for name in needed]

    def _expanded(self, names: Iterable[str]) -> list[ListingColumn]:
        """The columns of these names; `attributes` are those of each attribute."""
        columns: dict[str, ListingColumn] = {}
        for name in names:
            found = self._attribute_columns if name == "attributes" else [column_of(name)]
            columns |= {column.name: column for column in found}
        return list(columns.values())

    @property
    def is_complete(self) -> bool:
        """Whether the list has all columns, so that it loads as the same accounts."""
        columns = self.request.columns
        return not columns or set(ALL_COLUMNS) - {"integration"} <= set(columns)

    @cached_property
    def attribute_names(self) -> Sequence[str]:
        """The attributes that any account of the list has, sorted."""
        return attribute_names(self.con, self.request.filters)

    @property
    def _attribute_columns(self) -> list[ListingColumn]:
        """One column per attribute, and one with JSON for those that cannot have a column.

        That are names which other programs take for one another, and all beyond the first ones.
        """
        columns: dict[str, ListingColumn] = {}
        for name in self.attribute_names[: MAX_ATTRIBUTE_COLUMNS + 1]:
            heading = attribute_heading(name)
            if name.isprintable() and name and name == name.strip():
                columns.setdefault(
                    heading.casefold(), ListingColumn(f"{ATTRIBUTE_PREFIX}{name}", heading)
                )
        if len(self.attribute_names) > MAX_ATTRIBUTE_COLUMNS:
            columns = {}
        is_complete = len(columns) == len(self.attribute_names)
        return [*columns.values(), *[LISTING_COLUMNS["attributes"]] * (not is_complete)]

    def text_rows(self, columns: Sequence[ListingColumn]) -> sa.Select[Any]:
        """One row per account with the page's texts, in columns c0, c1 …; times stay times."""
        rows = self._sorted_rows(columns)
        texts = {"roles": join_roles(rows.c.roles), "active_in_app": _yes_or_no(rows)}
        texts["attributes"] = self._further_attributes(rows, columns)
        if not any(column.name == "user_email" for column in columns):
            texts["user_name"] = func.coalesce(rows.c.user_name, rows.c.user_email)
        values = [texts.get(c.name, column_value(rows, c.name)) for c in columns]
        return select(*(value.label(f"c{number}") for number, value in enumerate(values)))

    def typed_rows(self, columns: Sequence[ListingColumn]) -> sa.Select[Any]:
        """One row per account, with the names of a snapshot file; roles as lists."""
        rows = self._sorted_rows(columns)
        values = {"attributes": self._further_attributes(rows, columns)}
        return select(
            *(
                values.get(c.name, column_value(rows, c.name)).label(
                    c.heading if c.attribute else c.name
                )
                for c in columns
            )
        )

    def json_rows(self, names: Sequence[str]) -> sa.Select[Any]:
        """One row per account: an object of a snapshot file as JSON text.

        It holds unrecognized values as the file had them, and attributes beside the other keys.
        Loaded again, it gives the same account.
        """
        rows = self._sorted_rows([column_of(name) for name in names])
        column_names = [name for name in names if name != "attributes"]
        values = _snapshot_values(rows) | {
            name: func.json_extract(sa.cast(rows.c.attributes, sa.JSON), json_pointer(attribute))
            for name in names
            if (attribute := attribute_of(name))
        }
        pairs = [
            part for name in column_names for part in (sa.literal(_json_key(name)), values[name])
        ]
        text: ColumnElement[Any] = sa.cast(func.json_object(*pairs), sa.String)
        if "attributes" in names and column_names:
            text = _merge_attributes(text, self._renamed_attributes(rows))
        elif "attributes" in names:
            text = func.coalesce(self._renamed_attributes(rows), "{}")
        return select(text.label("account"))

    def _further_attributes(
        self, rows: sa.FromClause, columns: Sequence[ListingColumn]
    ) -> ColumnElement[Any]:
        """The attributes without a column of their own, as a JSON object."""
        names = [c.attribute for c in columns if c.attribute]
        if not names:
            return rows.c.attributes
        pairs = (part for name in names for part in (sa.literal(name), sa.null()))
        return _patch_object(rows.c.attributes, pairs)

    def _renamed_attributes(self, rows: sa.FromClause) -> ColumnElement[Any]:
        """The attributes by their headings."""
        attributes = rows.c.attributes
        headings = {name: attribute_heading(name) for name in self.attribute_names}
        if all(name == heading for name, heading in headings.items()):
            return attributes
        pairs: list[Any] = []
        for name, heading in headings.items():
            if name != heading:
                value = func.json_extract_string(attributes, json_pointer(name))
                pairs += [sa.literal(name), sa.null(), sa.literal(heading), value]
        return _patch_object(attributes, pairs)

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
        query = self._sorted_query({column.name for column in columns})
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

    def _sorted_query(self, names: Collection[str] = ()) -> sa.Select[Any]:
        """The list in its order; of the columns in other tables, those that are named."""
        sort, descending = parse_sort(self.request.sort)
        query = sorted_accounts(
            self.con,
            self.request.filters,
            sort=sort,
            descending=descending,
            further=names,
        )
        source = query.selected_columns.account_key.table
        further = [name for name in ("last_sign_in", "stretches") if name in names]
        query = query.add_columns(*(source.c[name] for name in further if name in source.c))
        state = source.c.provisioning_state
        state_place = case(*((state == name, n) for n, name in enumerate(STATE_BY_NAME)))
        query = query.add_columns(
            *(source.c[n] for n in ("integration_id", "role_details", "flags")),
            sa.cast(state_place, sa.SmallInteger).label("state_place"),
        )
        if "account_id" in names:
            is_same = is_same_account(account, source)
            query = query.add_columns(account.c.account_id).join(account, is_same)
        if "note" in names:
            notes = notes_in_force(self.request.filters.moment)
            is_noted = notes.c.account_key == source.c.account_key
            query = query.add_columns(notes.c.text.label("note")).outerjoin(notes, is_noted)
        return query


ROLE_COLUMNS = ("integration", "user_name", "user_email", "username_in_app", "account_id")
ROLE_HEADINGS = (
    *(HEADINGS[name] for name in ROLE_COLUMNS),
    "Role",
    "Role ID",
    "Type",
    "Description",
    "Via",
    f"Since{UTC_SUFFIX}",
)

OPTIONAL_COLUMNS = ("role_details", "flags")
"""Columns that a list has where any of its accounts needs them."""


def _json_key(name: str) -> str:
    """The key of a column's value in an object of a snapshot file."""
    return column_of(name).heading if attribute_of(name) else name


def _distinct_headings(columns: Iterable[ListingColumn]) -> list[ListingColumn]:
    """The columns, with a number after a heading that is there already, in any case."""
    counts: dict[str, int] = {}
    distinct: list[ListingColumn] = []
    for column in columns:
        key = column.heading.casefold()
        counts[key] = counts.get(key, 0) + 1
        number = f" ({counts[key]})" if counts[key] > 1 else ""
        distinct.append(column._replace(heading=f"{column.heading}{number}"))
    return distinct


def _name_of(number: ColumnElement[Any], names: Mapping[int, str]) -> ColumnElement[Any]:
    """The name that belongs to a number."""
    position = func.list_position(sa.cast(array(list(names)), sa.ARRAY(sa.Integer)), number)
    return func.list_extract(sa.cast(array(list(names.values())), sa.ARRAY(sa.String)), position)


def _role_values(rows: sa.FromClause) -> list[ColumnElement[Any]]:
    """The account and the details of each role of the rows, as in ROLE_HEADINGS."""
    roles_json = func.coalesce(sa.cast(rows.c.role_details, sa.JSON), func.to_json(rows.c.roles))
    identity = [rows.c[name] for name in ROLE_COLUMNS]
    query = select(*identity, func.unnest(func.json_extract(roles_json, "$[*]")).label("role"))
    columns = query.subquery("account_role").c
    is_object = func.json_type(columns.role) == "OBJECT"

    def detail(key: str) -> ColumnElement[Any]:
        return case((is_object, func.json_extract_string(columns.role, f"$.{key}")))

    name = func.coalesce(detail("name"), func.json_extract_string(columns.role, "$"))
    details = [detail(key) for key in ("id", "type", "description", "via", "since")]
    return [*(columns[name] for name in ROLE_COLUMNS), name, *details]


def _yes_or_no(rows: sa.FromClause) -> ColumnElement[Any]:
    active = rows.c.active_in_app
    return case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="")


def _snapshot_values(rows: sa.FromClause) -> dict[str, ColumnElement[Any]]:
    """Column → its value in a snapshot file; an unrecognized value as the file had it."""
    state = case(
        (rows.c.provisioning_state != UNRECOGNIZED.name, rows.c.provisioning_state),
        else_=_raw_value(rows, "provisioning_state"),
    )
    unread = _raw_value(rows, "roles")
    flagged_roles = func.coalesce(sa.try_cast(unread, sa.JSON), func.to_json(unread))
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
    values |= {
        name: iso_text(value) if isinstance(value.type, sa.DateTime) else value
        for name in COMPUTED
        if name not in values and (name != "last_sign_in" or name in rows.c)
        for value in [column_value(rows, name)]
    }
    stored = {name: rows.c[name] for name in LISTING_COLUMNS if name in rows.c}
    return stored | values


def _raw_value(rows: sa.FromClause, name: str) -> ColumnElement[Any]:
    return func.json_extract_string(rows.c.flags, f"$.{name}")


def _patch_object(text: ColumnElement[Any], pairs: Iterable[Any]) -> ColumnElement[Any]:
    """The JSON object with the values in place of its own; NULL takes a key away.

    DuckDB would keep the NULLs where it has no object to take keys from.
    """
    target = sa.cast(func.coalesce(text, "{}"), sa.JSON)
    patched = func.json_merge_patch(target, func.json_object(*pairs))
    return func.nullif(sa.cast(patched, sa.String), "{}")


def _merge_attributes(
    text: ColumnElement[Any], attributes: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Both objects as one; no attribute is named like a column."""
    return case(
        (sa.or_(attributes.is_(None), attributes == "{}"), text),
        else_=func.concat(func.left(text, func.len(text) - 1), ",", func.substr(attributes, 2)),
    )
