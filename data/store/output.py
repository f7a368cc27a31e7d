"""Writes the rows of a query to a file, with DuckDB's COPY."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from data.files.own_list import FORMULA_PATTERN
from data.store.transfer import Rows

BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads UTF-8 in the machine's old encoding: “Zoë” becomes “ZoÃ«”."""


def escape_formula(text: str) -> str:
    """The text, after an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if re.match(FORMULA_PATTERN, text) else text


def write_csv(
    workspace: Connection,
    rows: Rows,
    headings: Sequence[str],
    path: Path,
    *,
    is_safe: bool = True,
    mark_heading: str = "",
) -> None:
    """Write the rows under the headings, every value in quotes; times as ISO 8601 in UTC.

    A safe file starts with a byte order mark, and none of its cells is a formula in a spreadsheet.
    A last column of `mark_heading` then says Yes where a cell of the row got an apostrophe.
    Headings come from the data, so they are not SQL names.
    """
    cells = [_cell_text(column) for column in rows.subquery("listed").c]
    if is_safe:
        formulas, headings = [*map(_is_formula, cells)], [*map(escape_formula, headings)]
        cells = [
            case((is_formula, sa.literal("'").concat(cell)), else_=cell)
            for cell, is_formula in zip(cells, formulas, strict=True)
        ]
        if mark_heading:
            cells, headings = [*cells, case((sa.or_(*formulas), "Yes"))], [*headings, mark_heading]
    quoted = ('"' + heading.replace('"', '""') + '"' for heading in headings)
    prefix = (BYTE_ORDER_MARK if is_safe else "") + ",".join(quoted) + "\n"
    options = {"FORCE_QUOTE": ALL_COLUMNS, "PREFIX": prefix, "SUFFIX": "\n"}
    row_count = workspace.scalar(
        _CopyToFile(select(*cells), path, {"FORMAT": "csv", "HEADER": False, **options})
    )
    if not row_count:  # the suffix, which has to be there, makes an empty line
        path.write_text(prefix, encoding="utf-8")


def write_json_list(workspace: Connection, rows: Rows, path: Path) -> None:
    """Write a JSON list; the only column of the rows holds an object as text, for one line each."""
    framing = {"PREFIX": "[\n", "NEW_LINE": ",\n", "SUFFIX": "\n]\n"}
    bare = {"FORMAT": "csv", "HEADER": False, "QUOTE": "", "ESCAPE": "", "DELIMITER": "\n"}
    workspace.execute(_CopyToFile(rows, path, bare | framing))


def write_parquet(
    workspace: Connection, rows: Rows, path: Path, metadata: Mapping[str, str]
) -> None:
    """Write the rows as Parquet; the metadata is that of the file."""
    options = {"FORMAT": "parquet", "COMPRESSION": "zstd", "KV_METADATA": metadata}
    workspace.execute(_CopyToFile(rows, path, options))


def iso_text(time: ColumnElement[Any]) -> ColumnElement[str]:
    """A naive UTC time of the workspace as `2026-11-23T06:00:00Z`, with its fraction if any."""
    return func.replace(sa.cast(time, sa.String), " ", "T", type_=sa.String).concat("Z")


def _cell_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return iso_text(column) if isinstance(column.type, sa.DateTime) else sa.cast(column, sa.String)


def _is_formula(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """DuckDB compiles a pattern once only if it stands in the statement."""
    return func.regexp_matches(text, sa.literal(f"^{FORMULA_PATTERN}", literal_execute=True))


ALL_COLUMNS = object()
"""What FORCE_QUOTE spells as an asterisk."""


class _CopyToFile(sa.Executable, sa.ClauseElement):
    inherit_cache = False

    def __init__(self, rows: Any, path: Path, options: Mapping[str, Any]) -> None:
        self.rows, self.path, self.copy_options = rows, path, options


@compiles(_CopyToFile, "duckdb")
def _compile_copy(element: _CopyToFile, compiler: SQLCompiler, **kwargs: Any) -> str:
    """COPY takes no bound values for its options, so they are literals."""

    def option(value: Any) -> str:
        if value is ALL_COLUMNS:
            return "*"
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{name}: {option(text)}' for name, text in value.items())}}}"
        return compiler.render_literal_value(value, sa.literal(value).type)

    options = ", ".join(f"{name} {option(value)}" for name, value in element.copy_options.items())
    rows = compiler.process(element.rows, **kwargs)
    return f"COPY ({rows}) TO {option(str(element.path))} ({options})"
