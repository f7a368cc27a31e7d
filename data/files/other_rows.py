"""Rows that are no accounts: totals, headings of groups, notes on the list, groups of users.

A row is judged by itself, so it does not matter where in the file it is. The pattern is applied to
the cells of a row that have a text, with line breaks between them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func

from data.files.text import is_word, trim_or_null

ALONE, GROUP, FOOTER = 2048, 4096, 8192
"""Marks of a row, beside those of `data.values.column_reading`. ALONE: nothing but a name."""

NOT_AN_ACCOUNT = "The row is a heading, a total or a note on the list, not an account."

TOTALS = (
    r"(?:grand[ -]|sub-?)?totals?", "(?:zwischen|gesamt)?summe", "(?:ins)?gesamt",
    "(?:gesamt|teil)?ergebnis", "totaux", "sous-total", "nombre total", "totales", "totais",
    "(?:sub|eind)?totaal", "(?:sub)?totale", "合計", "総計", "小計",
)  # fmt: skip
"""First words of a line of totals, in the languages of headings."""

COUNTS = ("sum", "(?:grand )?count", "anzahl", "somme", "suma", "soma", "aantal", "somma")
"""Other ones, which are names of people, too."""

WORDS = "|".join((*TOTALS, *COUNTS))

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

THOUSANDS = ".,'’ \u00a0\u202f"
COLONS = ":\uff1a"  # the second one is Japanese

NUMBER = (
    rf"[-+(]?[$€£¥]? ?(?:\d{{1,3}}(?:[{THOUSANDS}]\d{{3}})+|\d+)(?:[.,]\d+)?\)?(?: ?%| {COUNTED})?"
)
"""The cell of a total. A date is none."""

NUMBERS = rf"(?:\n(?:{NUMBER}|{WORDS}))*"
NOTE_PATTERN = (
    rf"(?:{WORDS})(?:\s*[{COLONS}=(]|[^\S\n]+[^\d\n]*\d)[^\n]*|(?:{WORDS})[^\S\n]+{COUNTED}"
    rf"|(?:{'|'.join(NOTES)})[^\n]*|confidential[.!]?|[-=_*#~]{{3,}}"
)
"""What no username is."""

HEADING_PATTERN = rf"[^\n@:]+: [^\n]+|[^\n]*\S \(\d+(?: {COUNTED})?\)"
"""`Department: Sales` or `Sales (12)`, above the rows of a group."""

TITLES = "|".join((*TOTALS, "count", "anzahl"))
SUBTOTAL_PATTERN = (
    rf"(?:(?:{'|'.join(TOTALS)}|(?:sum|count) of)[^\S\n]+[^\n]+|[^\n]*\S[^\S\n]+(?:{TITLES}))\n"
)
"""`Total Sales` or `Sales Total`, with a number behind it."""


GROUP_WORDS = frozenset(
    "group groups security_group securitygroup gruppe sicherheitsgruppe groupe grupo gruppo groep"
    " グループ".split()
)
"""What a row is that lists no user."""

KIND_WORDS = GROUP_WORDS | frozenset(
    "user users person people human member account guest admin owner service_account"
    " serviceaccount service_principal serviceprincipal service system bot robot application app"
    " role contact device computer machine managed_identity managedidentity employee external"
    " benutzer dienstkonto person utilisateur usuario usuário utente gebruiker ユーザー".split()
)
"""What rows can be, where their kind says it."""


def footer_pattern(width: int, *, has_id: bool) -> str:
    """What a row about the list looks like, where rows have so many cells besides their ID.

    With an ID, “Total” can be an account.
    """
    is_wide, is_wider = width > 1, width > 2
    patterns = [NOTE_PATTERN, *[HEADING_PATTERN, f"{SUBTOTAL_PATTERN}{NUMBER}"] * is_wide]
    words = [*TOTALS * is_wide, *COUNTS * is_wider] if not has_id else []
    return rf"(?is)(?:{'|'.join(patterns + words)}){NUMBERS}"


def marks_of_row(
    cells: Sequence[ColumnElement[Any]],
    usual: Sequence[ColumnElement[Any]],
    own_id: ColumnElement[Any] | None,
    kinds: Iterable[ColumnElement[Any]],
) -> ColumnElement[int]:
    """FOOTER, GROUP or ALONE; 0 for an account.

    `cells`: all of the row but its ID, in the order of the file. `usual`: those that nearly every
    account has. `kinds`: those that say what a row is.
    """
    joined = func.concat_ws("\n", *map(trim_or_null, cells))
    has_no_id = sa.true() if own_id is None else trim_or_null(own_id).is_(None)
    sure, likely = (
        func.regexp_full_match(joined, footer_pattern(len(cells), has_id=has_id))
        for has_id in (True, False)
    )
    found = [(sure, FOOTER), (likely, case((has_no_id, FOOTER), else_=ALONE))]
    if len(cells) > 2:
        is_alone = func.regexp_full_match(joined, rf"[^\n]+{NUMBERS}")
        found.append((and_(has_no_id, is_alone), ALONE))
    # DuckDB evaluates all of AND, but CASE only as far as needed: nearly always two cells.
    groups = [(is_word(func.replace(func.lower(k), " ", "_"), GROUP_WORDS), GROUP) for k in kinds]
    are_texts = [case((cell >= ":", 1), else_=0) for cell in usual]
    others = case((sum(are_texts, sa.literal(0)) > 2, 0), *found, else_=0)
    if len(usual) > 1:
        others = case((case((usual[0] >= ":", usual[1] >= ":")), 0), else_=others)
    return case(*groups, else_=others) if groups else others


def is_account(marks: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a row with these marks can be an account."""
    return marks < GROUP
