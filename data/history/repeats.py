"""The rows of one account: some products list a row per role, group or app.

Nothing here depends on the order of the rows. An account of several rows gets a fingerprint that
no row has, so a later load never takes one of its rows for all of them.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from data.files.text import trim_or_null, username_key, visible_or_null
from data.schema import RAW_COLUMNS, insert_rows
from data.staging import raw_columns, stage_repeat, stage_row
from data.store.dialect import join_sorted
from data.values.roles import role_items

ROW_POSITION = sa.column("rowid", sa.BigInteger)
"""DuckDB numbers the rows of a table from 0, in the order of the file."""

VALUE_COLUMNS = tuple(
    name for name in RAW_COLUMNS if name not in ("username_in_app", "roles", "attributes")
)
"""The columns in which the rows of an account should agree."""

JSON_MAP = '"MAP(VARCHAR, VARCHAR)"'
VALUE_SEPARATOR = "; "

MERGED = "Merged with another row of the account {id}, whose values are kept: "
REPEATED = "Another row has the same account ID, {id}. It differs in: "


class Repeats(NamedTuple):
    """Counts of rows whose account ID another row has, too."""

    shared_ids: int = 0  # with the ID of another username
    exact: int = 0  # that equal another row in all columns
    conflicting: int = 0  # merged, though other values than roles differ
    rejected: int = 0  # with other values and no other role


def separate_shared_ids(workspace: Connection) -> int:
    """Where rows of several usernames share an ID, identify them by username.

    Returns the number of these rows. A username can be the ID of a third account; that ID then
    counts as none, too.
    """
    account_id, key = stage_row.c.account_id, username_key(_username())
    shared_ids = (
        select(account_id).group_by(account_id).having(func.min(key) != func.max(key)).subquery()
    )
    is_shared = and_(account_id.in_(select(shared_ids)), account_id != key)
    total = 0
    while rows := workspace.scalar(select(func.count()).select_from(stage_row).where(is_shared)):
        total += rows
        marked = _fingerprint(stage_row.c.fingerprint, sa.literal("shared ID"))
        workspace.execute(
            sa.update(stage_row).where(is_shared).values(account_id=key, fingerprint=marked)
        )
    return total


def stage_repeats(workspace: Connection, role_separator: str) -> Repeats:
    """Fill `stage_repeat` with one row per account that several rows list; returns their counts."""
    insert_rows(workspace, stage_repeat, _merged_rows(role_separator))
    rows = differing_rows()
    more_roles = rows.c.has_more_roles
    conflicting, rejected = workspace.execute(
        select(func.count().filter(more_roles), func.count().filter(~more_roles)).select_from(rows)
    ).one()
    exact = workspace.scalar(select(func.sum(stage_repeat.c.exact_repeats))) or 0
    return Repeats(exact=int(exact), conflicting=conflicting, rejected=rejected)


def replace_repeats(workspace: Connection) -> None:
    """Put the rows of `stage_repeat` in place of those that they are made of."""
    ids = select(stage_repeat.c.account_id)
    workspace.execute(sa.delete(stage_row).where(stage_row.c.account_id.in_(ids)))
    columns = [stage_repeat.c[c.name] for c in stage_row.c]
    insert_rows(workspace, stage_row, select(*columns).order_by(ROW_POSITION))


def differing_rows() -> sa.Subquery:
    """One row per row that differs from the one first: [position, has_more_roles, reason].

    Of exact repeats only the first. A cell that says nothing differs from none.
    """
    repeat, row = stage_repeat.c, stage_row.alias("listed")
    values, first = raw_columns(row.c.raw_values), raw_columns(repeat.kept_values)
    is_compared = {name: sa.true() for name in VALUE_COLUMNS} | {
        "attributes": ~repeat.has_more_roles
    }
    labels = [
        case((and_(condition, _differs(values[name], first[name])), _label(name)))
        for name, condition in is_compared.items()
    ]
    reason = case((repeat.has_more_roles, MERGED), else_=REPEATED)
    rows = (
        select(
            sa.literal_column("listed.rowid", sa.BigInteger).label("position"),
            repeat.has_more_roles,
            func.concat_ws(", ", *labels).label("differences"),
            func.replace(reason, "{id}", repeat.account_id).label("reason"),
            row.c.raw_values,
        )
        .join_from(row, stage_repeat, repeat.account_id == row.c.account_id)
        .subquery("compared")
    )
    number = func.row_number().over(
        partition_by=[rows.c.reason, rows.c.raw_values], order_by=rows.c.position
    )
    numbered = select(rows, number.label("number")).where(rows.c.differences != "").subquery()
    return (
        select(
            numbered.c.position,
            numbered.c.has_more_roles,
            func.concat(numbered.c.reason, numbered.c.differences, ".").label("reason"),
        )
        .where(numbered.c.number == 1)
        .subquery("differing")
    )


def _merged_rows(role_separator: str) -> sa.Select[*tuple[Any, ...]]:
    """The rows of `stage_repeat`.

    Roles and further columns are united where roles differ. Of the others, the row is kept that
    comes first by its values; where the rows agree, a cell that says nothing gets their value.
    """
    rows = _repeated_rows()
    groups, united = _groups(rows, role_separator), _united_attributes(rows)
    group = groups.c
    first = raw_columns(group.kept_values)
    names = (name for name in RAW_COLUMNS if name in group)
    values: dict[str, ColumnElement[Any]] = {
        name: case((group.agree, group[name]), else_=first[name]) for name in names
    }
    values["roles"] = case((group.has_more_roles, group.united_roles), else_=first["roles"])
    values["attributes"] = func.coalesce(united.c.attributes, first["attributes"])
    fingerprint = case(
        (func.len(group.fingerprints) > 1, _fingerprint(group.fingerprints)),
        else_=group.fingerprints[1],
    )
    is_united = and_(
        united.c.account_id == group.account_id, group.has_more_roles, group.has_more_attributes
    )
    return (
        select(
            group.account_id,
            array([values[name] for name in RAW_COLUMNS]),
            group.marks,
            fingerprint,
            sa.false(),
            group.last_sign_in,
            group.kept_values,
            group.has_more_roles,
            group.exact_repeats,
        )
        .select_from(groups.outerjoin(united, is_united))
        .order_by(group.position)
    )


def _groups(rows: sa.Subquery, role_separator: str) -> sa.Subquery:
    """One row per account with several rows: what they have in common, and what not."""
    c = rows.c
    agree = and_(*(func.count(c[name].distinct()) <= 1 for name in VALUE_COLUMNS))
    fingerprints = func.list_sort(func.list_distinct(func.list(c.fingerprint)))
    sign_ins = func.list_sort(func.list_distinct(func.list(c.last_sign_in)))
    names = [name for name in RAW_COLUMNS if name not in ("roles", "attributes")]
    return (
        select(
            c.account_id,
            func.min(c.position).label("position"),
            func.bit_or(c.marks).label("marks"),
            func.nullif(func.array_to_string(sign_ins, "\n"), "").label("last_sign_in"),
            sa.type_coerce(fingerprints, sa.ARRAY(sa.BigInteger)).label("fingerprints"),
            func.min(c.raw_values).label("kept_values"),
            (func.count(func.coalesce(c.roles, "").distinct()) > 1).label("has_more_roles"),
            (func.count(c.attributes.distinct()) > 1).label("has_more_attributes"),
            (func.count() - func.count(c.raw_values.distinct())).label("exact_repeats"),
            _united_roles(c.roles, role_separator).label("united_roles"),
            agree.label("agree"),
            *(func.min(c[name]).label(name) for name in names),
        )
        .group_by(c.account_id)
        .subquery("groups")
    )


def _repeated_rows() -> sa.Subquery:
    """The rows of `stage_row` whose account has several: position, trimmed RAW_COLUMNS."""
    account_id = stage_row.c.account_id
    repeated_ids = select(account_id).group_by(account_id).having(func.count(account_id) > 1)
    cells = (trim_or_null(text).label(name) for name, text in raw_columns().items())
    rows = select(ROW_POSITION.label("position"), *stage_row.c, *cells)
    return rows.where(account_id.in_(repeated_ids)).subquery("repeated")


def _united_roles(roles: ColumnElement[Any], separator: str) -> ColumnElement[Any]:
    """The roles of all rows as one JSON list."""
    items = func.flatten(func.list(role_items(roles, separator)))
    return sa.cast(func.to_json(func.list_sort(func.list_distinct(items))), sa.String)


def _united_attributes(rows: sa.Subquery) -> sa.Subquery:
    """One row per account: [account_id, attributes], each with its different values."""
    entries = func.unnest(func.map_entries(func.from_json(rows.c.attributes, JSON_MAP)))
    cells = select(rows.c.account_id, entries.label("entry")).subquery("cells")
    name, value = (func.struct_extract(cells.c.entry, part) for part in ("key", "value"))
    named = select(cells.c.account_id, name.label("name"), value.label("value"))
    different = named.distinct().subquery("different")
    keys = (different.c.account_id, different.c.name)
    united = select(*keys, join_sorted(different.c.value, VALUE_SEPARATOR).label("value"))
    each = united.group_by(*keys).subquery("each")
    lists = (func.list(aggregate_order_by(c, each.c.name)) for c in (each.c.name, each.c.value))
    attributes = func.to_json(func.map(*lists))
    return (
        select(each.c.account_id, sa.cast(attributes, sa.String).label("attributes"))
        .group_by(each.c.account_id)
        .subquery("united")
    )


def _username() -> ColumnElement[Any]:
    return visible_or_null(raw_columns()["username_in_app"])


def _differs(value: ColumnElement[Any], first: ColumnElement[Any]) -> ColumnElement[bool]:
    trimmed = trim_or_null(value)
    return and_(trimmed.is_not(None), trimmed.is_distinct_from(trim_or_null(first)))


def _label(column: str) -> str:
    return "Further columns" if column == "attributes" else column.replace("_", " ").capitalize()


def _fingerprint(*values: ColumnElement[Any]) -> ColumnElement[int]:
    """63 bits, as in stage.py; no row has these."""
    return sa.cast(func.hash(*values).op(">>")(1), sa.BigInteger)
