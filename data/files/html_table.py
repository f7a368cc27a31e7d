"""Copies a table of a web page as CSV. Runs in the process of `converter.py`.

Many products' “Excel” exports are web pages, or the XML that Excel 2003 wrote. Their tables differ
in the names of the tags only.
"""

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

from data.files.sheets import LINE_BREAK, Summary, account_score, number_text, write_csv

ROW_TAGS = ("tr", "row")
CELL_TAGS = ("td", "th", "cell")
BREAK_TAGS = ("br", "li", "p", "div")

MAX_COLUMNS, MAX_ROWS = 16_384, 1_048_576
"""Of a sheet in Excel: no table can claim more."""


def copy_table(path: str, copy_path: str, name: str = "") -> Summary:
    """Copy the table that looks most like accounts, else the largest. `name`: of its sheet."""
    parser = _TableParser(name)
    parser.feed(Path(path).read_text(encoding="utf-8-sig"))
    parser.close()
    while parser.open_tables:
        parser.close_table()
    table, sheets = parser.best, [*filter(None, parser.sheets)]
    if parser.has_password_field or not (table or sheets):
        return Summary(error="no table")
    if not table:
        return Summary(sheets, error="no sheet" if name else "empty")
    width = max(map(len, table.rows))
    padded = (row + [""] * (width - len(row)) if any(row) else [] for row in table.rows)
    write_csv(copy_path, padded)
    return Summary(sheets, table.name, has_merged_rows=table.has_merged_rows)


class _Table:
    """The rows of one table."""

    def __init__(self, name: str) -> None:
        self.name, self.rows, self.has_merged_rows = name, list[list[str]](), False
        self._row: list[str] | None = None
        self._text: list[str] | None = None  # of the open cell
        self._kind = ""  # of the value in it, in Excel's XML
        self._spans = 1, 1  # columns and rows of the open cell
        self._running: dict[int, tuple[int, str]] = {}  # column → last row and text of a cell

    @property
    def score(self) -> tuple[int, int]:
        """How much it looks like accounts, and its size."""
        return account_score(self.rows)[0], sum(map(len, self.rows))

    def start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        """A tag within the table."""
        if tag in ROW_TAGS:
            self.end_row()
            self._row = []
            skipped = _number(attributes, "ss:index", MAX_ROWS) - 1 - len(self.rows)
            self.rows += [[] for _ in range(skipped)]
        elif tag in CELL_TAGS:
            self.end_cell()
            self._row = [] if self._row is None else self._row
            skipped = _number(attributes, "ss:index", MAX_COLUMNS) - 1 - len(self._row)
            self._row += [""] * skipped
            across = _number(attributes, "colspan", MAX_COLUMNS) or 1
            down = _number(attributes, "rowspan", MAX_ROWS) or 1
            across += _number(attributes, "ss:mergeacross", MAX_COLUMNS)
            down += _number(attributes, "ss:mergedown", MAX_ROWS)
            self._text, self._kind, self._spans = [], "", (across, down)
        elif tag == "data":
            self._kind = attributes.get("ss:type") or ""
        elif tag in BREAK_TAGS:
            self.add(LINE_BREAK)

    def end(self, tag: str) -> None:
        """The end of a tag within the table."""
        if tag in ROW_TAGS:
            self.end_row()
        elif tag in CELL_TAGS:
            self.end_cell()

    def add(self, text: str) -> None:
        """Text of the open cell. A line break is one in Excel's XML, and a space in HTML."""
        if self._text is not None:
            self._text.append(text.replace("\n", LINE_BREAK) if self._kind else text)

    def end_cell(self) -> None:
        """Add the open cell to its row, and note how many rows it is in."""
        if self._text is None or self._row is None:
            return
        lines = (" ".join(line.split()) for line in "".join(self._text).split(LINE_BREAK))
        text = _typed_text(LINE_BREAK.join(filter(None, lines)), self._kind)
        self._text, (across, down) = None, self._spans
        self._fill_running()
        if down > 1:
            self.has_merged_rows = True
            self._running[len(self._row)] = len(self.rows) + down - 1, text
        self._row += [text] + [""] * (across - 1)

    def end_row(self) -> None:
        """Add the open row to the table."""
        self.end_cell()
        if self._row is not None:
            self._fill_running()
            self.rows.append(self._row)
            self._row = None

    def _fill_running(self) -> None:
        """The text of cells that started in a row above and reach into this place."""
        row = self._row if self._row is not None else []
        while (cell := self._running.get(len(row))) and cell[0] >= len(self.rows):
            row.append(cell[1])


class _TableParser(HTMLParser):
    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.sheets: list[str] = []
        self.open_tables: list[_Table] = []
        self.best: _Table | None = None
        self.has_password_field = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "worksheet":
            self.sheets.append(attributes.get("ss:name") or "")
        elif tag == "table":
            self.open_tables.append(_Table(self.sheets[-1] if self.sheets else ""))
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.has_password_field = True
        elif self.open_tables:
            self.open_tables[-1].start(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self.open_tables:
            self.close_table()
        elif self.open_tables:
            self.open_tables[-1].end(tag)

    def handle_data(self, data: str) -> None:
        if self.open_tables and not self.cdata_elem:  # that is a script or a style
            self.open_tables[-1].add(data)

    def close_table(self) -> None:
        table = self.open_tables.pop()
        table.end_row()
        is_wanted = not self.wanted or table.name == self.wanted
        if is_wanted and any(map(any, table.rows)):
            self.best = max(filter(None, (self.best, table)), key=lambda each: each.score)


def _number(attributes: Mapping[str, str | None], name: str, most: int) -> int:
    text = attributes.get(name) or ""
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _typed_text(text: str, kind: str) -> str:
    """The text of a value in Excel's XML; any other text as it is."""
    if kind == "Error":
        return ""
    if kind == "Boolean":
        return "true" if text == "1" else "false"
    try:
        return number_text(float(text)) if kind == "Number" else text
    except ValueError:
        return text
