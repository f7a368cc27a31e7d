"""How a workbook shows whole numbers: 123 in a cell of the format `00000` is the text 00123.

The library that reads workbooks gives the numbers without their formats.
"""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from zipfile import ZipFile, is_zipfile

FORMAT = re.compile(r'(?:[-+ ()0]|\\.|"[^"]*")+')
"""A number format of zeros and texts between them; those of dates and shares have other signs."""
PART = re.compile(r'0|\\(.)|"([^"]*)"|(.)')
COLOR = re.compile(r"\[[^<>=\]]*\]")  # or the language of a format

STYLED_CELL = re.compile(rb'<(?:\w+:)?c\b(?=[^<>]*\br="([A-Z]{1,3})(\d+)")[^<>]*\bs="(\d+)"')
ATTRIBUTE = re.compile(r'([\w:]+)="([^"]*)"')
CHUNK_BYTES = 1 << 20

OTHER_WORKBOOKS = {  # ending → part of the workbook, and its format of zeros alone
    ".xls": ("", rb"\x1e\x04....([\x02-\x14])\x00\x00(0+)"),
    ".xlsb": ("xl/styles.bin", rb"([\x02-\x14])\x00\x00\x00((?:0\x00)+)"),
    ".ods": ("content.xml", rb'<number:number-style[^>]*>\s*<number:number[^>]*digits="([2-9])()"'),
}

Cells = dict[int, str]
"""Column, from 0 → number format."""


def formatted_cells(path: str, sheet: str) -> Iterator[tuple[int, Cells]]:
    """The rows of a sheet, from 0, that have cells with such a format, from the top."""
    if not is_zipfile(path):
        return
    with ZipFile(path) as workbook:
        names = set(workbook.namelist())
        if "xl/styles.xml" not in names or not (formats := _formats(_text(workbook, "styles.xml"))):
            return
        part = _sheet_part(workbook, sheet)
        if part in names:
            yield from _rows(workbook, part, formats)


def unread_places(path: str) -> int:
    """To how many places a workbook of another kind can fill numbers with zeros; 0 if to none."""
    part, pattern = OTHER_WORKBOOKS.get(Path(path).suffix, ("", rb"(?!)"))
    if part:
        with ZipFile(path) as workbook:
            content = workbook.read(part) if part in workbook.namelist() else b""
    else:
        content = Path(path).read_bytes()
    found = re.findall(pattern, content, re.DOTALL)
    if not any(zeros for _, zeros in found):  # the length is a digit, and not a byte
        return max((int(length) for length, _ in found), default=0)
    return max((length[0] for length, zeros in found if zeros.count(b"0") == length[0]), default=0)


def show_number(value: int, number_format: str) -> str:
    """The number in the format: `00123`, or `EMP-00123`."""
    parts = list(PART.finditer(number_format))
    places = sum(part[0] == "0" for part in parts)  # a zero in quotes is text
    digits = str(value).zfill(places)
    rest, shown = len(digits) - places, ""
    for part in parts:
        if part[0] == "0":
            shown, digits, rest = shown + digits[: rest + 1], digits[rest + 1 :], 0
        else:
            shown += part[1] or part[2] or part[3] or ""
    return shown


def _text(workbook: ZipFile, name: str) -> str:
    return workbook.read(f"xl/{name}").decode("utf-8", "replace")


def _tags(text: str, name: str) -> Iterator[dict[str, str]]:
    """The attributes of each tag of this name."""
    for tag in re.finditer(rf"<(?:\w+:)?{name}\b([^<>]*)>", text):
        yield {key.split(":")[-1]: unescape(value) for key, value in ATTRIBUTE.findall(tag[1])}


def _formats(styles: str) -> dict[bytes, str]:
    """Number of a style → its format, where that has zeros and texts alone."""
    codes = {tag.get("numFmtId"): tag.get("formatCode", "") for tag in _tags(styles, "numFmt")}
    plain = {key: COLOR.sub("", code.split(";")[0]) for key, code in codes.items()}
    known = {key: code for key, code in plain.items() if _shows_zeros(code) and code != "0"}
    _, _, cell_styles = styles.partition("cellXfs")
    numbers = (tag.get("numFmtId") for tag in _tags(cell_styles.partition("cellXfs>")[0], "xf"))
    return {b"%d" % n: known[key] for n, key in enumerate(numbers) if key in known}


def _shows_zeros(code: str) -> bool:
    return bool(FORMAT.fullmatch(code)) and any(part[0] == "0" for part in PART.finditer(code))


def _sheet_part(workbook: ZipFile, sheet: str) -> str:
    """The name of the part that has the cells of the sheet."""
    ids = {
        tag.get("name"): tag.get("id") for tag in _tags(_text(workbook, "workbook.xml"), "sheet")
    }
    relations = _tags(_text(workbook, "_rels/workbook.xml.rels"), "Relationship")
    targets = {tag.get("Id"): tag.get("Target", "") for tag in relations}
    target = targets.get(ids.get(sheet), "")
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _rows(workbook: ZipFile, part: str, formats: dict[bytes, str]) -> Iterator[tuple[int, Cells]]:
    row, cells = -1, Cells()
    for letters, number, style in _styled_cells(workbook, part):
        if style not in formats:
            continue
        if int(number) - 1 != row:
            if cells:
                yield row, cells
            row, cells = int(number) - 1, {}
        column = 0
        for letter in letters:
            column = 26 * column + letter - 64
        cells[column - 1] = formats[style]
    if cells:
        yield row, cells


def _styled_cells(workbook: ZipFile, part: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    with workbook.open(part) as sheet:
        rest = b""
        while chunk := sheet.read(CHUNK_BYTES):
            text, tag, rest = (rest + chunk).rpartition(b"<")
            yield from STYLED_CELL.findall(text)
            rest = tag + rest
        yield from STYLED_CELL.findall(rest)
