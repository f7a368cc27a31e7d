"""Reads workbooks and web pages: the sheet or table with the accounts becomes a copy in CSV."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, func

from data.files.csv import read_csv
from data.files.encoding import MEGABYTE, TOO_LARGE, InputFile, max_unpacked_mb
from data.files.errors import NotAListOfAccounts, TooLarge, UnreadableFile
from data.files.relation import FileRows, shorten
from data.files.sheets import CARRIAGE_RETURN, FROM_COPY, LINE_BREAK
from data.formatting import count_of
from data.home import CHECKOUT
from data.tempfiles import TemporaryFile, temporary_folder

COPY_BREAKS = (LINE_BREAK + CARRIAGE_RETURN, "\n\r")

MAX_SECONDS = 300
"""Of the program that reads a workbook; on a busy machine, its time is not its processor time."""

ERRORS: dict[str, tuple[type[UnreadableFile | NotAListOfAccounts | TooLarge], str]] = {
    "password": (UnreadableFile, "{name} is protected by a password. Deliver it without one."),
    "damaged": (
        UnreadableFile,
        "{name} cannot be read as a workbook. It may be cut off or damaged. Details: {detail}.",
    ),
    "no table": (
        UnreadableFile,
        "{name} is a web page or XML without a list. "
        "It may be a sign-in or error page of the system it is from.",
    ),
    "empty": (NotAListOfAccounts, "{name} has no cells with content."),
    "no sheet": (
        NotAListOfAccounts,
        "{name} has no sheet “{wanted}”, which was chosen for its integration. "
        "Its sheets: {sheets}.",
    ),
    "zeros": (
        UnreadableFile,
        "{name} has numbers that it can show with zeros before them: {detail}. This kind of "
        "workbook does not say so cell by cell. Save it as .xlsx or CSV, and load that.",
    ),
    "resources": (
        TooLarge,
        "{name} takes too much memory or time to read: it has too many cells, or some far from all "
        "others. Copy the list into a new workbook, or save it as CSV UTF-8.",
    ),
    "size": (TooLarge, TOO_LARGE),
}
"""`Summary.error` → error, and message."""

SHEET_READ = "Read sheet “{sheet}” of {count}."
SHEET_HIDDEN = "Sheet “{sheet}” is hidden; no other sheet looks like a list."
OTHER_SHEETS = (
    "Sheet “{sheet}” was read. Other sheets look like such a list, too: {others}. If one of them "
    "is the list, choose it."
)
MERGED_ROWS = "Merged cells have their value in each of their rows."
LOSSY_NUMBERS = (
    "{count} with more than 15 digits, the first in row {row:,}. Excel keeps 15 digits, so the "
    "last ones are lost. Export the column as text, or the list as CSV."
)
FULL_SHEET = "the sheet is filled to the last row that Excel has, so accounts may be left out"


def copy_list(ending: str, file: InputFile, wanted: str) -> InputFile:
    """The sheet `wanted`, or the one that looks most like accounts, as CSV.

    `ending` says what the file is, whatever its name.

    Raises UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    copy = TemporaryFile()
    found = _run(ending, file, copy, wanted)
    sheets, sheet = found["sheets"], shorten(found["sheet"])
    if found["error"]:
        error, message = ERRORS[found["error"]]
        shown = ", ".join(f"“{shorten(name)}”" for name in sheets)
        words = {"wanted": shorten(wanted), "sheets": shown, "detail": shorten(found["detail"])}
        raise error(message.format(name=file.name, most=max_unpacked_mb(), **words))
    notes = []
    if found["others"]:
        others = ", ".join(f"“{shorten(name)}”" for name in found["others"])
        notes.append(OTHER_SHEETS.format(sheet=sheet, others=others))
    if found["is_hidden"] and not wanted:
        notes.append(SHEET_HIDDEN.format(sheet=sheet))
    if found["lossy_numbers"]:
        count = count_of(found["lossy_numbers"], "number")
        notes.append(LOSSY_NUMBERS.format(count=count, row=found["lossy_row"]))
    remarks = [SHEET_READ.format(sheet=sheet, count=len(sheets))] if sheets else []
    remarks += [MERGED_ROWS] * found["has_merged_rows"]
    return InputFile(
        copy.path,
        file.name,
        file.notes + tuple(notes),
        (copy,),
        file.remarks + tuple(remarks),
        FULL_SHEET if found["is_full"] else "",
        tuple(sheets),
        found["sheet"],
    )


def _run(ending: str, file: InputFile, copy: TemporaryFile, wanted: str) -> dict[str, Any]:
    """What the program found. One that was ended has reached a limit."""
    max_bytes = str(max_unpacked_mb() * MEGABYTE)
    with TemporaryDirectory(dir=temporary_folder()) as folder:
        link = Path(folder) / f"list{ending}"
        link.symlink_to(file.path.absolute())
        arguments = [str(link), str(copy.path), wanted, max_bytes]
        try:
            done = subprocess.run(  # noqa: S603 - a program of our own
                [sys.executable, "-m", "data.files.converter", *arguments],
                cwd=CHECKOUT,
                capture_output=True,
                timeout=MAX_SECONDS,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return {"sheets": (), "sheet": "", "error": "resources", "detail": ""}
    return json.loads(done.stdout)


def read_sheet(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """The copy of a sheet; a line of it is a row of the sheet."""
    input_file, rows = read_csv(con, input_file)
    cells = {
        " ".join(heading.translate(FROM_COPY).split()): func.translate(cell, *COPY_BREAKS)
        for heading, cell in rows.cells.items()
    }
    return input_file, rows._replace(cells=cells)
