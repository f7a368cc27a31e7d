"""What DuckDB and PostgreSQL spell differently: each is a function here that both understand.

Statements are written once. What a database has no own word for is not here: text is understood,
and files are written, in DuckDB, whatever the store is (see `handing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
    cast,
    column,
    extract,
    func,
    literal,
)
from sqlalchemy.dialects.postgresql import BIT, JSONB, aggregate_order_by, array
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction

CODE_POINT_COLLATION = "C"
"""The collation of PostgreSQL in which texts compare as they do in DuckDB."""


class lower(GenericFunction[str]):  # noqa: N801 - takes the place of the usual `func.lower`
    """A text in lower case. Columns are sorted by code points, which knows no case but of ASCII."""

    type = String()
    inherit_cache = True


@compiles(lower, "postgresql")
def _lower(element: lower, compiler: SQLCompiler, **options: Any) -> str:
    """Out and in again, a text has the collation of the database, which knows all letters.

    `COLLATE "default"` says so, too, but Citus forgets it on the way to the machine that is asked.
    """
    text_sql = compiler.process(func.textin(func.varcharout(*element.clauses)), **options)
    return f'(lower({text_sql}) COLLATE "{CODE_POINT_COLLATION}")'


class has_role(GenericFunction[bool]):  # noqa: N801 - reads as the function that it is in SQL
    """Whether an account has the role: `has_role(accounts.c.roles, name)`, or a column's."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, roles: ColumnElement[Any], role: ColumnElement[Any] | str) -> None:
        super().__init__(roles, literal(role, String) if isinstance(role, str) else role)


@compiles(has_role)
def _has_role_by_contains(element: has_role, compiler: SQLCompiler, **options: Any) -> str:
    roles, role = element.clauses
    return compiler.process(roles.op("@>")(cast(array([role]), roles.type)), **options)


@compiles(has_role, "duckdb")
def _has_role_by_list_contains(element: has_role, compiler: SQLCompiler, **options: Any) -> str:
    """`list_contains` uses no index, but is eight times as fast as `= ANY`."""
    return compiler.process(func.list_contains(*element.clauses), **options)


class is_one_of(GenericFunction[bool]):  # noqa: N801
    """Whether a column holds one of some texts: `is_one_of(accounts.c.provisioning_state, names)`.

    DuckDB makes a join of `IN` with more than five values, and then reads every column of every
    row to find the first fifty.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], texts: Sequence[str]) -> None:
        super().__init__(column, *(literal(text, String) for text in texts))


@compiles(is_one_of)
def _in(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, *texts = element.clauses
    return compiler.process(column.in_(texts), **options)


@compiles(is_one_of, "duckdb")
def _in_list(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, *texts = element.clauses
    return compiler.process(func.list_contains(array(texts), column), **options)


class is_in_query(GenericFunction[bool]):  # noqa: N801
    """Whether a column holds one of the few values of a query that depends on no row of it.

    PostgreSQL knows them before it begins, and can look for them in an index beside another.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], values: Select[Any]) -> None:
        super().__init__(column, values.scalar_subquery())


@compiles(is_in_query)
def _any_of(element: is_in_query, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{values})"


@compiles(is_in_query, "duckdb")
def _in_query(element: is_in_query, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {values}"


class occurs_in(GenericFunction[bool]):  # noqa: N801
    """Whether a text occurs in another, as it is: `occurs_in(word, text)`."""

    type = Boolean()
    inherit_cache = True


@compiles(occurs_in)
def _like(element: occurs_in, compiler: SQLCompiler, **options: Any) -> str:
    """LIKE finds it by trigrams where there is an index of them."""
    word, text = element.clauses
    for mark in ("\\", "%", "_"):
        word = func.replace(word, mark, f"\\{mark}", type_=String)
    return compiler.process(text.like(literal("%") + word + literal("%")), **options)


@compiles(occurs_in, "duckdb")
def _strpos(element: occurs_in, compiler: SQLCompiler, **options: Any) -> str:
    word, text = element.clauses
    return compiler.process(func.strpos(text, word) > 0, **options)


class regex_matches(GenericFunction[bool]):  # noqa: N801
    """Whether a regular expression matches a part of the text: `matches(text, pattern)`."""

    type = Boolean()
    inherit_cache = True


@compiles(regex_matches)
def _tilde_operator(element: regex_matches, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern = element.clauses
    return compiler.process(text.op("~")(pattern), **options)


@compiles(regex_matches, "duckdb")
def _regexp_matches(element: regex_matches, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.regexp_matches(*element.clauses), **options)


class unnest_json_keys(GenericFunction[str]):  # noqa: N801
    """One row per key of the JSON object that a text is."""

    type = String()
    inherit_cache = True


@compiles(unnest_json_keys)
def _object_keys(element: unnest_json_keys, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    keys = func.json_object_keys(cast(text, JSON), type_=String)
    return compiler.process(keys, **options)


@compiles(unnest_json_keys, "duckdb")
def _unnested_keys(element: unnest_json_keys, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.unnest(func.json_keys(*element.clauses)), **options)


class format_minute(GenericFunction[str]):  # noqa: N801
    """A moment as `2026-11-23 06:00`."""

    type = String()
    inherit_cache = True


@compiles(format_minute)
def _to_char(element: format_minute, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.to_char(*element.clauses, "YYYY-MM-DD HH24:MI"), **options)


@compiles(format_minute, "duckdb")
def _strftime(element: format_minute, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.strftime(*element.clauses, "%Y-%m-%d %H:%M"), **options)


class format_three_digits(GenericFunction[str]):  # noqa: N801
    """A number from 0.001 to 999 in three digits, without zeros at its end: `4.5`, `52.3`."""

    type = String()
    inherit_cache = True


@compiles(format_three_digits)
def _rounded(element: format_three_digits, compiler: SQLCompiler, **options: Any) -> str:
    (number,) = (cast(clause, Numeric) for clause in element.clauses)
    places = 2 - cast(func.floor(func.log(func.greatest(number, 0.001))), Integer)
    return compiler.process(cast(func.trim_scale(func.round(number, places)), String), **options)


@compiles(format_three_digits, "duckdb")
def _formatted(element: format_three_digits, compiler: SQLCompiler, **options: Any) -> str:
    (number,) = element.clauses
    return compiler.process(func.format("{:.3g}", cast(number, Float)), **options)


class sha256_of(GenericFunction[bytes]):  # noqa: N801
    """The SHA-256 of bytes, as bytes."""

    type = LargeBinary()
    inherit_cache = True


@compiles(sha256_of)
def _sha256(element: sha256_of, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.sha256(*element.clauses), **options)


@compiles(sha256_of, "duckdb")
def _unhexed(element: sha256_of, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.unhex(func.sha256(*element.clauses)), **options)


class utf8_bytes(GenericFunction[bytes]):  # noqa: N801
    """A text in UTF-8."""

    type = LargeBinary()
    inherit_cache = True


@compiles(utf8_bytes)
def _converted(element: utf8_bytes, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.convert_to(*element.clauses, literal("UTF8")), **options)


@compiles(utf8_bytes, "duckdb")
def _encoded(element: utf8_bytes, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.encode(*element.clauses), **options)


class hex_of(GenericFunction[str]):  # noqa: N801
    """Bytes as hexadecimal digits, in lower case."""

    type = String()
    inherit_cache = True


@compiles(hex_of)
def _hexed(element: hex_of, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.encode(*element.clauses, literal("hex")), **options)


@compiles(hex_of, "duckdb")
def _lower_hex(element: hex_of, compiler: SQLCompiler, **options: Any) -> str:
    (content,) = element.clauses
    if isinstance(content, sha256_of):  # which it tells in digits by itself
        return compiler.process(func.sha256(*content.clauses), **options)
    return f"lower({compiler.process(func.hex(content), **options)})"


class hex_to_int(GenericFunction[int]):  # noqa: N801
    """The number that up to 15 hexadecimal digits spell."""

    type = BigInteger()
    inherit_cache = True


@compiles(hex_to_int)
def _from_bits(element: hex_to_int, compiler: SQLCompiler, **options: Any) -> str:
    bits = cast(literal("x").concat(*element.clauses), BIT(60))
    return compiler.process(cast(bits, BigInteger), **options)


@compiles(hex_to_int, "duckdb")
def _from_digits(element: hex_to_int, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(cast(literal("0x").concat(*element.clauses), BigInteger), **options)


def digest_of(text: ColumnElement[Any]) -> ColumnElement[int]:
    """60 bits of a text's SHA-256: where they differ, so do the texts."""
    return hex_to_int(func.left(hex_of(sha256_of(utf8_bytes(text))), 15))


class session_bytes(GenericFunction[bytes]):  # noqa: N801
    """Bytes that the transaction was told before, by `tell_in_hex`."""

    type = LargeBinary()
    inherit_cache = True


@compiles(session_bytes)
def _setting(element: session_bytes, compiler: SQLCompiler, **options: Any) -> str:
    (name,) = element.clauses
    hex_value = func.current_setting(literal("rollcall.").concat(name))
    return compiler.process(func.decode(hex_value, literal("hex")), **options)


@compiles(session_bytes, "duckdb")
def _variable(element: session_bytes, compiler: SQLCompiler, **options: Any) -> str:
    (name,) = element.clauses
    hex_value = func.getvariable(literal("rollcall_").concat(name))
    return compiler.process(func.from_hex(hex_value), **options)


def set_session_bytes(name: str, value: bytes, dialect: str) -> str:
    """The statement that tells a transaction some bytes; the name is ours."""
    if dialect == "duckdb":
        return f"SET VARIABLE rollcall_{name} = '{value.hex()}'"
    return f"SET LOCAL rollcall.{name} = '{value.hex()}'"


def interval_seconds(interval: ColumnElement[Any]) -> ColumnElement[float]:
    """How long an interval is."""
    return cast(extract("epoch", interval), Float)


def join_sorted(texts: ColumnElement[Any], separator: str) -> ColumnElement[str]:
    """The texts of a group as one, in order."""
    return func.string_agg(texts, aggregate_order_by(literal(separator, String), texts))


class json_text(GenericFunction[str]):  # noqa: N801 - reads as the function that it is in SQL
    """What a JSON object says under a key, as text: `text_under(attributes, "Email")`."""

    type = String()
    inherit_cache = True


@compiles(json_text)
def _arrow(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    json_object, key = element.clauses
    return compiler.process(cast(json_object, JSONB).op("->>")(key), **options)


@compiles(json_text, "duckdb")
def _extracted(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    json_object, key = element.clauses
    return compiler.process(
        func.json_extract_string(json_object, literal("/").concat(key)), **options
    )


class sql_lambda(FunctionElement[Any]):  # noqa: N801 — a function of SQL, named like one
    """What becomes of each item of a list, which is called ROLE: `lambda role: …`."""

    inherit_cache = True


@compiles(sql_lambda)
def _compile_lambda(element: sql_lambda, compiler: SQLCompiler, **options: Any) -> str:
    return f"lambda {LAMBDA_ITEM.name}: {compiler.process(element.clauses, **options)}"


LAMBDA_ITEM: ColumnElement[Any] = column("role_item", JSON)
