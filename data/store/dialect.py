"""SQL functions that DuckDB and PostgreSQL spell differently.

Queries are written once, with these functions. SQLAlchemy compiles each to the SQL of the database.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import Any
from unicodedata import category

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, column, func
from sqlalchemy.dialects.postgresql import BIT, JSONB, aggregate_order_by, array
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction
from sqlalchemy.types import TypeEngine

CODE_POINT_COLLATION = "C"
"""PostgreSQL's collation that compares texts as DuckDB does."""

Expression = Callable[..., ColumnElement[Any]]


def _sql_function(
    name: str, type_: TypeEngine[Any], *, duckdb: Expression, postgresql: Expression
) -> type[GenericFunction[Any]]:
    """A function of SQL that is one expression in DuckDB and another one in PostgreSQL."""
    function: type[GenericFunction[Any]] = type(
        name, (GenericFunction,), {"type": type_, "inherit_cache": True}
    )

    def compile_as(expression: Expression) -> Callable[..., str]:
        def to_sql(element: Any, compiler: SQLCompiler, **options: Any) -> str:
            return compiler.process(expression(*element.clauses), **options)

        return to_sql

    compiles(function)(compile_as(postgresql))
    compiles(function, "duckdb")(compile_as(duckdb))
    return function


# ---- texts ---------------------------------------------------------------------------------------


class lower(GenericFunction[str]):  # noqa: N801 - replaces the usual `func.lower`
    """A text in lower case. In PostgreSQL, columns have a collation that knows only ASCII case."""

    type = sa.String()
    inherit_cache = True


@compiles(lower, "postgresql")
def _lower(element: lower, compiler: SQLCompiler, **options: Any) -> str:
    """The two conversions give the text the collation of the database, which knows all letters.

    `COLLATE "default"` would do the same, but Citus drops it on the way to a worker.
    """
    text_sql = compiler.process(func.textin(func.varcharout(*element.clauses)), **options)
    return f'(lower({text_sql}) COLLATE "{CODE_POINT_COLLATION}")'


@cache
def _mark_ranges() -> str:
    """All characters that Unicode calls marks, as the ranges of a regular expression."""
    marks = [code for code in range(sys.maxunicode + 1) if category(chr(code))[0] == "M"]
    runs = groupby(enumerate(marks), key=lambda place: place[1] - place[0])
    ends = ([code for _, code in run] for _, run in runs)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)


def _without_marks(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Decompose letters, drop their marks and compose them again. This needs no extension.

    Most texts are ASCII and have no marks. Such a text has as many bytes as characters.
    """
    text = func.lower(text)
    decomposed = func.normalize(text, sa.literal_column("NFD"))
    without_marks = func.regexp_replace(decomposed, f"[{_mark_ranges()}]", "", "g")
    composed = func.normalize(without_marks, sa.literal_column("NFC"), type_=sa.String)
    return case((func.octet_length(text) == func.char_length(text), text), else_=composed)


search_normalized = _sql_function(
    "search_normalized",
    sa.String(),
    duckdb=lambda text: func.strip_accents(func.lower(text)),
    postgresql=_without_marks,
)
"""A text without case and accents: `search_normalized("Zoë")` is `zoe`."""


def _like(word: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[bool]:
    """LIKE uses an index of trigrams where there is one."""
    for wildcard in ("\\", "%", "_"):
        word = func.replace(word, wildcard, f"\\{wildcard}", type_=sa.String)
    return text.like(sa.literal("%") + word + sa.literal("%"))


def _composed(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """An ASCII text has as many bytes as characters, and needs no composing."""
    composed = func.normalize(text, sa.literal_column("NFC"), type_=sa.String)
    return case((func.octet_length(text) == func.char_length(text), text), else_=composed)


nfc = _sql_function("nfc", sa.String(), duckdb=func.nfc_normalize, postgresql=_composed)
"""A text in Unicode's composed form: letters and their marks as one character."""

occurs_in = _sql_function(
    "occurs_in",
    sa.Boolean(),
    duckdb=lambda word, text: func.strpos(text, word) > 0,
    postgresql=_like,
)
"""Whether a text occurs in another one, to the letter: `occurs_in(word, text)`."""

regex_matches = _sql_function(
    "regex_matches",
    sa.Boolean(),
    duckdb=func.regexp_matches,
    postgresql=lambda text, pattern: text.op("~")(pattern),
)
"""Whether a regular expression matches a part of the text: `regex_matches(text, pattern)`."""


def join_sorted(texts: ColumnElement[Any], separator: str) -> ColumnElement[str]:
    """The texts of a group in order, as one text."""
    return func.string_agg(texts, aggregate_order_by(sa.literal(separator, sa.String), texts))


# ---- lists and values ----------------------------------------------------------------------------

has_role = _sql_function(
    "has_role",
    sa.Boolean(),
    # It uses no index, but is eight times as fast as `= ANY`.
    duckdb=func.list_contains,
    postgresql=lambda roles, role: roles.op("@>")(sa.cast(array([role]), roles.type)),
)
"""Whether an account has a role: `has_role(accounts.c.roles, name)`."""


def has_only(texts: ColumnElement[Any], allowed: Sequence[str]) -> ColumnElement[bool]:
    """Whether all texts of a list are allowed; NULL for no list."""
    return is_part_of(texts, sa.cast(array(allowed), sa.ARRAY(sa.String)))


def is_part_of(texts: ColumnElement[Any], others: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether all texts of a list are in another one; NULL if either is no list."""
    return texts.op("<@", return_type=sa.Boolean())(others)


_is_one_of = _sql_function(
    "is_one_of",
    sa.Boolean(),
    duckdb=lambda column, *texts: func.list_contains(array(texts), column),
    postgresql=lambda column, *texts: column.in_(texts),
)


def is_one_of(column: ColumnElement[Any], texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column holds one of some texts.

    DuckDB turns `IN` with more than five values into a join. It then reads every column of every
    row to find the first fifty rows.
    """
    return _is_one_of(column, *(sa.literal(text, sa.String) for text in texts))


class is_in_query(GenericFunction[bool]):  # noqa: N801 - a function of SQL
    """Whether a column holds one of the few values of a query that does not depend on the row.

    PostgreSQL runs the query first, and can use an index of the column together with another one.
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], values: sa.Select[Any]) -> None:
        super().__init__(column, values.scalar_subquery())


@compiles(is_in_query)
def _any_of(element: is_in_query, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{values})"


@compiles(is_in_query, "duckdb")
def _in_query(element: is_in_query, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {values}"


either_condition = _sql_function(
    "either_condition",
    sa.Boolean(),
    duckdb=lambda duckdb_condition, _: duckdb_condition,
    postgresql=lambda _, postgresql_condition: postgresql_condition,
)
"""The first condition in DuckDB, the second one in PostgreSQL."""


class sql_lambda(FunctionElement[Any]):  # noqa: N801 - a function of SQL
    """A DuckDB lambda over the items of a list. Its expression calls an item `item`."""

    inherit_cache = True

    def __init__(
        self, expression: ColumnElement[Any], item: ColumnElement[Any] | None = None
    ) -> None:
        super().__init__(LAMBDA_ITEM if item is None else item, expression)


@compiles(sql_lambda)
def _compile_lambda(element: sql_lambda, compiler: SQLCompiler, **options: Any) -> str:
    item, expression = (compiler.process(clause, **options) for clause in element.clauses)
    return f"lambda {item}: {expression}"


LAMBDA_ITEM: ColumnElement[Any] = column("role_item", sa.JSON)

# ---- JSON ----------------------------------------------------------------------------------------

unnest_json_keys = _sql_function(
    "unnest_json_keys",
    sa.String(),
    duckdb=lambda text: func.unnest(func.json_keys(text)),
    postgresql=lambda text: func.json_object_keys(sa.cast(text, sa.JSON), type_=sa.String),
)
"""One row per key of a JSON object, which is given as text."""

json_text = _sql_function(
    "json_text",
    sa.String(),
    duckdb=lambda text, key: func.json_extract_string(text, sa.literal("/").concat(key)),
    postgresql=lambda text, key: sa.cast(text, JSONB).op("->>")(key),
)
"""The value of a key in a JSON object, as text: `json_text(attributes, "Email")`."""

unnest_matches = _sql_function(
    "unnest_matches",
    sa.String(),
    duckdb=lambda text, pattern: func.unnest(func.regexp_extract_all(text, pattern, 1)),
    postgresql=lambda text, pattern: func.regexp_matches(
        text, pattern, sa.literal("g"), type_=sa.ARRAY(sa.String)
    )[1],
)
"""One row per match of a regular expression: its first group. `unnest_matches(text, pattern)`."""

# ---- times and numbers ---------------------------------------------------------------------------

format_minute = _sql_function(
    "format_minute",
    sa.String(),
    duckdb=lambda moment: func.strftime(moment, "%Y-%m-%d %H:%M"),
    postgresql=lambda moment: func.to_char(moment, "YYYY-MM-DD HH24:MI"),
)
"""A moment as `2026-11-23 06:00`."""


def interval_seconds(interval: ColumnElement[Any]) -> ColumnElement[float]:
    """The length of an interval in seconds."""
    return sa.cast(sa.extract("epoch", interval), sa.Float)


def _trimmed(number: ColumnElement[Any]) -> ColumnElement[str]:
    number = sa.cast(number, sa.Numeric)
    places = 2 - sa.cast(func.floor(func.log(func.greatest(number, 0.001))), sa.Integer)
    return sa.cast(func.trim_scale(func.round(number, places)), sa.String)


format_three_digits = _sql_function(
    "format_three_digits",
    sa.String(),
    duckdb=lambda number: func.format("{:.3g}", sa.cast(number, sa.Float)),
    postgresql=_trimmed,
)
"""A number from 0.001 to 999 in three digits, without trailing zeros: `4.5`, `52.3`."""

# ---- bytes ---------------------------------------------------------------------------------------

sha256_of = _sql_function(
    "sha256_of",
    sa.LargeBinary(),
    duckdb=lambda content: func.unhex(func.sha256(content)),
    postgresql=func.sha256,
)
"""The SHA-256 of bytes, as bytes."""

utf8_bytes = _sql_function(
    "utf8_bytes",
    sa.LargeBinary(),
    duckdb=func.encode,
    postgresql=lambda text: func.convert_to(text, sa.literal("UTF8")),
)
"""A text in UTF-8."""


def _hex_in_duckdb(content: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(content, sha256_of):  # DuckDB's own function returns digits
        return func.sha256(*content.clauses)
    return func.lower(func.hex(content))


hex_of = _sql_function(
    "hex_of",
    sa.String(),
    duckdb=_hex_in_duckdb,
    postgresql=lambda content: func.encode(content, sa.literal("hex")),
)
"""Bytes as hexadecimal digits, in lower case."""

hex_to_int = _sql_function(
    "hex_to_int",
    sa.BigInteger(),
    duckdb=lambda digits: sa.cast(sa.literal("0x").concat(digits), sa.BigInteger),
    postgresql=lambda digits: sa.cast(
        sa.cast(sa.literal("x").concat(digits), BIT(60)), sa.BigInteger
    ),
)
"""The number that up to 15 hexadecimal digits spell."""


def digest_of(text: ColumnElement[Any]) -> ColumnElement[int]:
    """60 bits of a text's SHA-256. Different digests mean different texts."""
    return hex_to_int(func.left(hex_of(sha256_of(utf8_bytes(text))), 15))


session_bytes = _sql_function(
    "session_bytes",
    sa.LargeBinary(),
    duckdb=lambda name: func.from_hex(func.getvariable(sa.literal("rollcall_").concat(name))),
    postgresql=lambda name: func.decode(
        func.current_setting(sa.literal("rollcall.").concat(name)), sa.literal("hex")
    ),
)
"""Bytes that the transaction was given before, by `DatabaseAdapter.set_session_bytes`."""
