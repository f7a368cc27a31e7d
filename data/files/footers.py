"""What lines around a list say, and those that are padded to the width of its rows."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func

TOTALS = (
    r"(?:grand |sub)?totals?", "sum", "count", "summe", "(?:ins)?gesamt", "anzahl", "somme",
    "totaux", "nombre total", "suma", "totales", "soma", "totais", "totaal", "aantal", "totale",
    "somma", "合計", "総計",
)  # fmt: skip
"""First words of a line of totals, in the languages of headings."""

COUNTED = "(?:(?:row|record|user|account|member|result|item|zeile|ligne|fila|linha)n?s?|entries)"
"""What a line counts, as in “2 rows”."""

NOTES = (
    r"(?:report |file |list )?(?:generated|exported|created|printed|downloaded)"
    r"(?: (?:by|on|at|from)\b|:| \d)",
    r"end of (?:the )?(?:report|file|list|export)", r"this (?:report|file|document|export) ",
    r"page \d+\b", rf"\(?\d+ {COUNTED}\b",
    "copyright ", "©", "confidential(?:ity)? ", "strictly confidential", "company confidential",
    "internal use only", "for internal use", "vertraulich ", "erstellt (?:am|von) ", "stand: ",
    "confidentiel ", "généré (?:le|par) ", "confidencial ", "generado (?:el|por) ",
    "gerado (?:em|por) ", "社外秘", "作成日",
)  # fmt: skip
"""Beginnings of a note on the report itself."""

COLONS = ":\uff1a"  # the second one is Japanese

FOOTER_PATTERN = (
    rf"(?is)\s*(?:(?:{'|'.join(TOTALS)})(?:\s*[{COLONS}=(]|\s+\D*\d|\s*$).*"
    rf"|(?:{'|'.join(NOTES)}).*|confidential[.!]?|[-=_*#~]{{3,}}\s*)"
)


def is_footer(
    text: ColumnElement[Any], others: Iterable[ColumnElement[Any]]
) -> ColumnElement[bool]:
    """Whether a row has this text alone, and it is about the list: a total, a date, a notice."""
    matches = func.regexp_full_match(text, FOOTER_PATTERN)
    # DuckDB evaluates all of AND, but CASE only as far as needed: nearly always one other cell.
    return case(*((other != "", sa.false()) for other in others), else_=matches)
