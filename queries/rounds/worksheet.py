"""The worksheet of a review round: Excel, to be filled in by others and given back.

A program can save it as an OpenDocument sheet, too.

Only decision and note can be changed. What comes back is compared with the frozen list cell by
cell; nothing is taken while any of it differs.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook
from sqlalchemy import Connection

from data.records.rounds import DECISIONS, Decision, DecisionOn, ItemKey, is_own_account
from queries.export.excel import OPTIONS, truncate_cell
from queries.rounds.files import COLUMNS, RoundFile, write_round_csv, write_round_workbook
from queries.rounds.items import all_items, key_of
from queries.rounds.lists import Round

SHEET, ABOUT = "Worksheet", "About"
FROZEN_COLUMNS = COLUMNS[:8]  # of the account, as it was frozen
ANSWERS = {"Decision": 14, "Note": 50}
"""The columns to fill in → their widths in characters."""

HEADINGS = [*(column.heading for column in FROZEN_COLUMNS), *ANSWERS]
CHOICES = [name.capitalize() for name in DECISIONS]
ALLOWED = {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True}

HOW_TO = (
    "Choose a decision in each row, and write a note if needed. You can hide columns and filter. "
    "Every other cell is locked."
)


class Worksheet(NamedTuple):
    """What a worksheet says, beside what is decided already."""

    decisions: list[DecisionOn]  # that change something
    contradictions: list[str]  # decisions that it would replace, in sentences
    contradicted: set[ItemKey]
    own: list[str]  # accounts of whoever takes it, on which somebody else has to decide
    problems: list[str]  # why nothing of it is taken, in sentences; else none
    empty: int  # rows without a decision


# ---- writing -------------------------------------------------------------------------------------


def write_worksheet(file: RoundFile, path: Path) -> None:
    """Write the worksheet, with the decisions so far."""
    round_, rows = file.round_, file.items
    with xlsxwriter.Workbook(str(path), OPTIONS | {"constant_memory": False}) as book:
        bold, free = book.add_format({"bold": True}), book.add_format({"locked": False})
        sheet = book.add_worksheet(SHEET)
        sheet.protect("", ALLOWED)
        sheet.freeze_panes(1, 0)
        widths = [*(column.width for column in FROZEN_COLUMNS), *ANSWERS.values()]
        for number, (heading, width) in enumerate(zip(HEADINGS, widths, strict=True)):
            sheet.set_column(number, number, width)
            sheet.write_string(0, number, heading, bold)
        first = len(FROZEN_COLUMNS)
        for number, row in enumerate(rows, start=1):
            for place, text in enumerate(_frozen_texts(row)):
                sheet.write_string(number, place, text)
            sheet.write_string(number, first, (row.decision or "").capitalize(), free)
            sheet.write_string(number, first + 1, truncate_cell(row.note or ""), free)
        sheet.data_validation(1, first, max(1, len(rows)), first, _choice())
        sheet.autofilter(0, 0, max(1, len(rows)), len(HEADINGS) - 1)
        about = book.add_worksheet(ABOUT)
        about.protect()
        about.set_column(0, 1, 40)
        facts = {"Review round": round_.name, "Accounts": round_.population, "": HOW_TO}
        for number, (name, text) in enumerate(({"Round": round_.round_id} | facts).items()):
            about.write_string(number, 0, name, bold)
            about.write_string(number, 1, truncate_cell(text))


ROUND_WRITERS = {
    "csv": write_round_csv,
    "xlsx": write_round_workbook,
    "worksheet.xlsx": write_worksheet,
}
"""File name extension of a round's file → its writer."""


def _choice() -> dict[str, Any]:
    return {
        "validate": "list",
        "source": CHOICES,
        "error_title": "Decision",
        "error_message": f"Choose {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.",
    }


def _frozen_texts(row: sa.Row[Any]) -> list[str]:
    return [truncate_cell(column.value(row)) for column in FROZEN_COLUMNS]


# ---- reading -------------------------------------------------------------------------------------


def read_worksheet(con: Connection, round_: Round, path: Path, author: str) -> Worksheet:
    """What a worksheet says that `author` gives back."""
    rows = {key_of(row): row for row in all_items(con, round_)}
    try:
        cells = _read_cells(path, round_)
    except (CalamineError, OSError, ValueError) as error:
        return Worksheet([], [], set(), [], [str(error)], 0)
    answers, problems = _compare(cells, rows)
    own = [k for k in answers if is_own_account(author, rows[k])]
    changes = {
        key: answer
        for key, answer in answers.items()
        if key not in own and answer != (rows[key].decision, rows[key].note or "")
    }
    contradicted = {key for key in changes if rows[key].decision}
    return Worksheet(
        [DecisionOn(key, cast("Decision", text), note) for key, (text, note) in changes.items()],
        [_contradiction(rows[key], *changes[key]) for key in sorted(contradicted)],
        contradicted,
        [_label(rows[key]) for key in own],
        problems,
        len(rows) - len(answers),
    )


def _read_cells(path: Path, round_: Round) -> list[list[str]]:
    """The cells below the headings. Raises ValueError for another file or round."""
    try:
        book = CalamineWorkbook.from_filelike(BytesIO(path.read_bytes()))
        about = book.get_sheet_by_name(ABOUT).to_python()
        cells = book.get_sheet_by_name(SHEET).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise ValueError(f"This file is not a worksheet of a review round: {error}.") from error
    facts = {f"{row[0]}": f"{row[1]}" for row in about if len(row) > 1}
    if facts.get("Round") != round_.round_id:
        name = facts.get("Review round", "without a name")
        raise ValueError(f"This worksheet is of another review round, {name}. Open that round.")
    texts = [[_text(value) for value in row] for row in cells]
    if not texts or texts[0][: len(HEADINGS)] != HEADINGS:
        raise ValueError(
            f"The first row of the sheet {SHEET} is not its headings: {', '.join(HEADINGS)}. "
            "Download the worksheet again, and copy the decisions into it."
        )
    return [row[: len(HEADINGS)] for row in texts[1:]]


def _text(value: object) -> str:
    """A cell as text; a program can have made a number of an ID, or a date of a name."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    if isinstance(value, bool):
        return f"{value}".upper()
    return f"{value}".removesuffix(" 00:00:00")


def _compare(
    cells: Sequence[Sequence[str]], rows: Mapping[ItemKey, sa.Row[Any]]
) -> tuple[dict[ItemKey, tuple[str, str]], list[str]]:
    """The decision and note of each row that has one, and all that differs from the round."""
    places = {name: HEADINGS.index(name) for name in ("Integration", "Account ID", "Role")}
    answers: dict[ItemKey, tuple[str, str]] = {}
    seen: dict[ItemKey, int] = {}
    problems: list[str] = []
    for number, row in enumerate(cells, start=2):
        if not any(text.strip() for text in row):
            continue
        key = ItemKey(*(row[place] for place in places.values()))
        if key not in rows:
            problems.append(f"Row {number}: {_words(key)} is not in this round.")
        elif key in seen:
            problems.append(f"Row {number} repeats row {seen[key]}: {_words(key)}.")
        else:
            seen[key] = number
            problems += _changed_cells(number, row, _frozen_texts(rows[key]))
            decision, note = row[-2].strip().casefold(), row[-1].strip()
            if decision in DECISIONS:
                answers[key] = decision, note
            elif decision:
                problems.append(f"Row {number}, Decision: “{row[-2]}” is not {', '.join(CHOICES)}.")
            elif note:
                problems.append(f"Row {number} has a note, but no decision.")
    problems += [
        f"{_words(key)} is missing: row {number} of the download."
        for number, key in enumerate(rows, start=2)
        if key not in seen
    ]
    return answers, problems


def _changed_cells(number: int, found: Sequence[str], expected: Sequence[str]) -> list[str]:
    return [
        f"Row {number}, {heading}: “{was}” was changed into “{now}”."
        for heading, now, was in zip(HEADINGS, found, expected, strict=False)
        if "".join(now.split()) != "".join(was.split())  # an OpenDocument file loses tabs
    ]


def _words(key: ItemKey) -> str:
    return f"{key.account_id} of {key.integration}" + (f", role {key.role}" if key.role else "")


def _label(row: sa.Row[Any]) -> str:
    return f"{row.username_in_app} in {row.integration}"


def _contradiction(row: sa.Row[Any], decision: str, note: str) -> str:
    """With the notes only where nothing else differs."""
    notes = (row.note or "", note) if row.decision == decision else ("", "")
    before, now = (f" with the note “{text}”" if text else "" for text in notes)
    return (
        f"{_label(row)}: {row.decided_by} decided {row.decision}{before}, "
        f"this file says {decision}{now}."
    )
