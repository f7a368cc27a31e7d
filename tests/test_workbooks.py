"""Workbooks, web pages and archives of lists become the same rows as a CSV file."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from builders import usernames
from deliveries import MONDAY, accounts, deliver, rejections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import Engine

from commands import EXIT_OK
from data.files.encoding import InputFile
from data.files.errors import SnapshotRejected, TooLarge, UnreadableFile
from data.files.formats import prepare_file
from data.files.mapping import ColumnMapping
from data.files.naming import SnapshotFile
from data.files.number_formats import unread_places
from data.files.sheets import FROM_COPY
from data.history.preview import preview
from data.home import Home
from data.sources.delivery import OpenedFile, open_file
from data.store.engine import open_store
from rollcall import main

WORKBOOKS = Path(__file__).parent / "workbooks"

OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}

Rows = Sequence[Sequence[Any]]
USERS: Rows = [("Username", "User"), ("mira", "Mira Solberg"), ("teo", "Teo Brandt")]
NOTES: Rows = [("Exported on Monday",)]


def workbook(hidden: Sequence[str] = (), **sheets: Rows) -> bytes:
    """A workbook; a float like 45000.25 is a number, and a time is in a cell with its format."""
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, OPTIONS) as book:
        formats = {
            kind: book.add_format({"num_format": text})
            for kind, text in (
                (datetime, "yyyy-mm-dd hh:mm:ss"),
                (date, "dd/mm/yyyy"),
                (time, "hh:mm"),
                (timedelta, "[h]:mm:ss"),
            )
        }
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            if name in hidden:
                sheet.hide()
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    if cell == "#N/A":
                        sheet.write_formula(row, column, "=NA()", None, cell)
                    elif cell is not None:
                        sheet.write(row, column, cell, formats.get(type(cell)))
    return sink.getvalue()


def opened(folder: Path, content: bytes | str, name: str = "a.xlsx", sheet: str = "") -> OpenedFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_file(path, mapping=ColumnMapping(sheet=sheet))


def rows_of(file: OpenedFile) -> list[list[str]]:
    """The cells of the copy that the database reads."""
    with file.input_file.path.open(encoding="utf-8", newline="") as copy:
        return [[cell.translate(FROM_COPY) for cell in row] for row in csv.reader(copy)]


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (12345.0, "12345"),
        (-7, "-7"),
        (1.5, "1.5"),
        (0.1 + 0.2, "0.3"),
        (45000.25, "45000.25"),
        (999_999_999_999_999, "999999999999999"),
        (True, "true"),
        (False, "false"),
        (datetime(2026, 11, 20, 8, 15), "2026-11-20T08:15:00"),
        (datetime(2026, 11, 20, 8, 15, 0, 500_000), "2026-11-20T08:15:00.500000"),
        (date(2026, 4, 3), "2026-04-03"),
        (time(8, 15), "08:15:00"),
        (timedelta(hours=36, seconds=5), "36:00:05"),
        ("#N/A", ""),
        ("00012345", "00012345"),
        ('a,"b"', 'a,"b"'),
    ],
)
def test_a_cell_is_the_text_of_what_it_shows(tmp_path: Path, cell: Any, text: str):
    file = opened(tmp_path, workbook(Users=[("Username", "Fact"), ("mira", cell)]))
    assert rows_of(file) == [["Username", "Fact"], ["mira", text]]
    assert file.input_file.notes == ()


def test_digits_that_excel_loses_are_reported_and_never_made_up(tmp_path: Path):
    rows = [("Username", "Account ID"), ("mira", 1), ("teo", 123456789012345678)]
    file = opened(tmp_path, workbook(Users=rows))
    assert rows_of(file)[2] == ["teo", "1.23456789012346E+17"]
    assert file.input_file.notes == (
        "1 number with more than 15 digits, the first in row 3. Excel keeps 15 digits, so the last "
        "ones are lost. Export the column as text, or the list as CSV.",
    )


def test_a_number_is_the_text_of_its_format(tmp_path: Path):
    shown = [
        ("00000", 123, "00123"),
        ("00000", 1_234_567, "1234567"),
        ("[$-409]00000;-00000", 123, "00123"),
        (r"000\-00\-0000", 12_345_678, "012-34-5678"),
        ('"EMP-"0000', 7, "EMP-0007"),
        ('"A0-"\\0000', 1234, "A0-01234"),
        ("[<=999]000;00000", 12, "12"),
        ("0", 12, "12"),
        ("#,##0.00", 12, "12"),
        ("00000", 1.5, "1.5"),
    ]
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, OPTIONS) as book:
        sheet = book.add_worksheet("A & B")
        sheet.write_row(2, 1, ["Username", "ID", "Plain"])
        for row, (number_format, number, _) in enumerate(shown, 3):
            sheet.write_row(row, 1, [f"u{row}", None, 0])
            sheet.write_number(row, 2, number, book.add_format({"num_format": number_format}))
    rows = rows_of(opened(tmp_path, sink.getvalue()))
    assert [cells[1:] for cells in rows[3:]] == [[text, "0"] for _, _, text in shown]


XLS_FORMAT = b"\x1e\x04\x0a\0\xa4\0%c\0\0%b"
ODS_FORMAT = b'<number:number-style a="b"><number:number c:min-integer-digits="%d"/>'


@pytest.mark.parametrize(
    ("name", "part", "shown", "plain"),
    [
        ("a.xls", "", XLS_FORMAT % (5, b"00000"), XLS_FORMAT % (4, b"0.00")),
        ("a.xlsb", "xl/styles.bin", b"\3\0\0\0" + b"0\0" * 3, b"\4\0\0\x000\0.\0" + b"0\0" * 2),
        ("a.ods", "content.xml", ODS_FORMAT % 5, ODS_FORMAT % 1),
    ],
)
def test_other_workbooks_say_that_zeros_before_numbers_are_not_read(
    tmp_path: Path, name: str, part: str, shown: bytes, plain: bytes
):
    path = tmp_path / name
    for content, expected in ((shown, 3 if name == "a.xlsb" else 5), (plain, 0)):
        path.write_bytes(content)
        if part:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(part, content)
        assert max(unread_places(str(path)) - 1, 0) == max(expected - 1, 0)


@pytest.mark.parametrize(("places", "is_read"), [(5, True), (7, False)])
def test_a_number_that_another_workbook_can_show_with_zeros_is_not_read(
    tmp_path: Path, places: int, is_read: bool
):
    path = tmp_path / "a.ods"
    with zipfile.ZipFile(WORKBOOKS / "users.ods") as users, zipfile.ZipFile(path, "w") as copy:
        for name in users.namelist():
            content = users.read(name)
            copy.writestr(
                name, content.replace(b"<office:body>", ODS_FORMAT % places + b"<office:body>", 1)
            )
    if is_read:
        assert rows_of(opened(tmp_path, path.read_bytes(), "a.ods"))[1][5] == "12345"
    else:
        with pytest.raises(UnreadableFile, match="12345 in row 2 can be 0012345"):
            opened(tmp_path, path.read_bytes(), "a.ods")


def test_a_merged_cell_has_its_value_in_each_row(tmp_path: Path):
    book, sink = Workbook(), io.BytesIO()
    book.active.title = "Users"
    for row in [("Username", "Role"), ("mira", "Admin"), (None, "Viewer"), ("teo", "Viewer")]:
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    book.save(sink)
    file = opened(tmp_path, sink.getvalue())
    assert [cells[0] for cells in rows_of(file)] == ["Username", "mira", "mira", "teo"]
    assert "Merged cells have their value in each of their rows." in file.source_info.remarks


def test_a_line_break_in_a_cell_is_preserved_and_moves_no_row(store: Engine, tmp_path: Path):
    rows = [(), ("Username", "Last\nseen", "Team"), ("mira", "", "A\nB"), (), (None, None, "C")]
    deliver(store, tmp_path, workbook(Users=[*rows, ("teo", "x", "")]), "a.xlsx")
    assert json.loads(accounts(store)["mira"]["attributes"]) == {"Team": "A\nB"}
    assert json.loads(accounts(store)["teo"]["attributes"]) == {"Last seen": "x"}
    assert [line for line, *_ in rejections(store)] == [5]


# ---- sheets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "sheets", "wanted", "read"),
    [
        ((), {"Notes": NOTES, "Users": USERS}, "", "Users"),
        ((), {"Groups": [("Group", "Size"), ("a", 1)], "Users": USERS}, "", "Users"),
        ((), {"Notes": NOTES, "Liste": [("Kennung", "Ort"), ("mira", "Köln")]}, "", "Liste"),
        (("Users",), {"Old": USERS[:2], "Users": USERS}, "", "Old"),
        (("Users",), {"Empty": (), "Users": USERS}, "", "Users"),
        ((), {"Jan": USERS, "Feb": USERS}, "", "Jan"),
        ((), {"Jan": USERS, "Feb": USERS}, "Feb", "Feb"),
        (("Feb",), {"Jan": USERS, "Feb": NOTES}, "Feb", "Feb"),
    ],
)
def test_the_sheet_that_lists_accounts_is_read_unless_another_is_chosen(
    tmp_path: Path, hidden: Sequence[str], sheets: dict[str, Rows], wanted: str, read: str
):
    file = opened(tmp_path, workbook(hidden, **sheets), sheet=wanted)
    filled = [name for name, rows in sheets.items() if rows]
    assert f"Read sheet “{read}” of {len(filled)}." in file.source_info.remarks
    assert file.source_info.sheets == tuple(filled)
    is_ambiguous = sheets.get("Jan") == sheets.get("Feb", ()) and not wanted
    assert any("look like such a list, too: “Feb”" in note for note in file.input_file.notes) == (
        is_ambiguous
    )


def test_a_chosen_sheet_that_is_missing_is_named_with_the_others(tmp_path: Path):
    with pytest.raises(SnapshotRejected, match=r"no sheet “Users”.* Its sheets: “Jan”, “Feb”"):
        opened(tmp_path, workbook(Jan=USERS, Feb=USERS), sheet="Users")


def test_the_load_report_names_the_sheets(store: Engine, tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(Notes=NOTES, Users=[*USERS, (None, "x")]))
    report = preview(store, SnapshotFile(path, "figma", MONDAY)).load_report
    assert (report.sheets, report.row_noun) == (["Notes", "Users"], "row")
    assert report.remarks()[0] == "Read sheet “Users” of 2."


def test_a_chosen_sheet_is_saved_for_the_integration(home: Home, tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(Jan=USERS, Feb=USERS[:2]))
    to = ["--integration", "figma", "--taken-at", "2026-11-22"]
    assert main(["load", str(path), *to, "--sheet", "Feb"]) == EXIT_OK
    assert main(["check", str(path), *to[:3], "2026-11-23"]) == EXIT_OK
    assert main(["rebuild"]) == EXIT_OK
    with open_store(home.database_url).connect() as con:
        assert usernames(con) == ["mira"]
    assert [file.read_bytes() for file in home.archive.rglob("*.xlsx")] == [path.read_bytes()]


@pytest.mark.parametrize("name", ["users.xls", "users.ods"])
def test_older_and_open_workbooks_have_the_same_types(store: Engine, tmp_path: Path, name: str):
    deliver(store, tmp_path, (WORKBOOKS / name).read_bytes(), name)
    mira, teo = accounts(store)["mira"], accounts(store)["teo"]
    assert (mira["active_in_app"], teo["active_in_app"]) == (True, False)
    assert mira["last_updated"] == datetime(2026, 11, 20, 8, 15)
    assert mira["user_email"] == "mira@example.net"


# ---- hostile workbooks --------------------------------------------------------------------------


def with_cells(*cells: tuple[int, str]) -> bytes:
    """A workbook with these cells: row and column."""
    packed, sink = zipfile.ZipFile(io.BytesIO(workbook(Users=NOTES))), io.BytesIO()
    rows = "".join(
        f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row>' for row, column in cells
    )
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in packed.namelist():
            text = packed.read(name)
            if name.endswith("sheet1.xml"):
                start, end = text.index(b"<sheetData>"), text.index(b"</sheetData>")
                text = text[:start] + b"<sheetData>" + rows.encode() + text[end:]
            archive.writestr(name, text)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_cells((1, "A"), (1_048_576, "XFD")), "takes too much memory or time"),
        ((WORKBOOKS / "encrypted.xlsx").read_bytes(), "is protected by a password"),
        (workbook(Users=()), "has no cells with content"),
        (workbook(Users=USERS)[:-100], "cannot be unpacked"),
        (workbook(Users=USERS).replace(b"xl/worksheets/sheet1", b"xl/worksheets/sheet7"), "cannot"),
    ],
)
def test_a_workbook_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, words: str):
    with pytest.raises(SnapshotRejected, match=words) as rejected:
        opened(tmp_path, content)
    assert "a.xlsx" in str(rejected.value)
    assert str(tmp_path) not in str(rejected.value)


def test_a_full_sheet_goes_on_hold(tmp_path: Path):
    file = opened(tmp_path, with_cells((1, "A"), (1_048_576, "A")))
    assert "filled to the last row" in file.source_info.incomplete_reason


def test_the_limit_of_unpacked_files_holds_for_workbooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ROLLCALL_MAX_UNPACKED_MB", "1")
    with pytest.raises(TooLarge, match="unpacks to more than 1 MB"):
        opened(tmp_path, workbook(Users=[*USERS, *[("x" * 30_000, n) for n in range(40)]]))


# ---- files that are not what their name says ----------------------------------------------------

CSV = "Username,User\nmira,Mira Solberg\nteo,Teo Brandt\n"
JSON_LIST = json.dumps([{"Username": "mira"}, {"Username": "teo"}])


def html(rows: Rows) -> str:
    cells = ("".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    return f"<html><body><table>{''.join(f'<tr>{row}' for row in cells)}</table></body></html>"


@pytest.mark.parametrize(
    ("name", "content", "remark"),
    [
        ("a.txt", CSV.replace(",", "\t"), ""),
        ("a.csv", workbook(Users=USERS), "a workbook"),
        ("a.xls", workbook(Users=USERS), ""),
        ("a.xls", CSV, "CSV"),
        ("a.xlsx", html(USERS), "a web page"),
        ("a.csv", html(USERS), "a web page"),
        ("a.html", html(USERS), ""),
        ("a.json", CSV, "CSV"),
        ("a.csv", JSON_LIST, "JSON"),
        ("a.txt", JSON_LIST, "JSON"),
        ("a.ndjson", JSON_LIST, "JSON"),
        ("a.json", '{"Username": "mira"}\n{"Username": "teo"}', "NDJSON"),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, content: str | bytes, remark: str):
    file = opened(tmp_path, content, name)
    expected = f"Read as {remark}, although the file’s name ends in .{name.split('.')[1]}."
    remarks = [text for text in file.source_info.remarks if text.startswith("Read as")]
    assert remarks == ([expected] if remark else [])
    text = file.input_file.path.read_text()
    assert text.index("Username") < text.index("mira") < text.index("teo")


def test_a_file_that_a_browser_has_unpacked_already_is_read(store: Engine, tmp_path: Path):
    assert deliver(store, tmp_path, CSV, "a.csv.gz").accepted == 2


# ---- web pages and the XML of Excel 2003 --------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("windows-1251", "Мира"), ("Shift_JIS", "田中"), ("iso-8859-2", "Łucja"), ("big5", "王小明")],
)
def test_a_web_page_in_the_encoding_that_it_names_is_read(tmp_path: Path, encoding: str, name: str):
    page = (
        f'<meta http-equiv=Content-Type content="text/html; charset={encoding}">'
        f"<table><tr><th>login</th><th>User</th></tr><tr><td>a</td><td>{name}</td></tr></table>"
    )
    (tmp_path / "a.xls").write_bytes(page.encode(encoding))
    assert name in open_file(tmp_path / "a.xls").input_file.path.read_text()


def test_of_a_web_page_the_list_is_read(tmp_path: Path):
    page = (
        "<html><head><style>td {}</style></head><body><table><tr><td>Menu<td>Home<td>Help</tr>"
        "<tr><td>a<td>b<td>c<tr><td>d<td>e<td>f</table><table border=1><tr><th rowspan=2>Username"
        "<th colspan=2>Facts</tr><tr><th>Team<th>Note</th></tr>\n<tr><td> mi&shy;ra&nbsp;</td>\n"
        "<td>A<br>B &amp;\nC<script>x()</script></td><td/></tr></table></body></html>"
    )
    file = opened(tmp_path, page, "a.xls")
    assert rows_of(file) == [
        ["Username", "Facts", ""], ["Username", "Team", "Note"], ["mi\xadra", "A\nB & C", ""],
    ]  # fmt: skip


def test_a_sign_in_page_is_no_list(tmp_path: Path):
    page = "<table><tr><td>Username<td><input><tr><td>Password<td><input type=Password></table>"
    with pytest.raises(SnapshotRejected, match="may be a sign-in or error page"):
        opened(tmp_path, f"<html>{page}</html>", "a.csv")


def test_the_xml_of_excel_2003_is_read(tmp_path: Path):
    def cell(kind: str, text: str, more: str = "") -> str:
        return f'<Cell{more}><Data ss:Type="{kind}">{text}</Data></Cell>'

    headings = cell("String", "Username") + cell("String", "Active", ' ss:Index="3"')
    values = cell("String", "mira&#10;x") + cell("Number", "12345.0") + cell("Boolean", "1")
    sheet = f"<Row>{headings}</Row><Row ss:Index='4'>{values}</Row>"
    content = (
        '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook '
        'xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet ss:Name="Notes"><Table>'
        f'<Row>{cell("String", "x")}</Row></Table></Worksheet><Worksheet ss:Name="Users"><Table>'
        f"{sheet}</Table></Worksheet></Workbook>"
    )
    file = opened(tmp_path, content, "a.xls")
    assert rows_of(file) == [["Username", "", "Active"], [], [], ["mira\nx", "12345", "true"]]
    assert "Read sheet “Users” of 2." in file.source_info.remarks
    assert rows_of(opened(tmp_path, content, "a.xls", sheet="Notes")) == [["x"]]


# ---- several lists in an archive ----------------------------------------------------------------


def archive(**files: str | bytes) -> bytes:
    """`users_csv` becomes `users.csv`."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name, content in files.items():
            packed.writestr(".".join(name.rsplit("_", 1)), content)
    return sink.getvalue()


def test_lists_with_the_same_headings_are_one_list(store: Engine, tmp_path: Path):
    content = archive(
        page1_csv="Username,Team\nmira,A\n",
        page2_csv='Team;USERNAME\n"B\nC";teo\n',
        page3_xlsx=workbook(Users=[("username", "team"), ("otto", "D"), (None, "E")]),
        readme_txt="Exported by Figma\n",
        logo_png=b"\x89PNG",
        manual_pdf=b"%PDF-1.7",
    )
    deliver(store, tmp_path, content, "a.zip")
    assert {name: json.loads(row["attributes"]) for name, row in accounts(store).items()} == {
        "mira": {"Team": "A"}, "teo": {"Team": "B\nC"}, "otto": {"Team": "D"},
    }  # fmt: skip
    assert [line for line, *_ in rejections(store)] == [5]
    assert opened(tmp_path, content, "a.zip").source_info.remarks == [
        "Not read, as they are no lists: logo.png, manual.pdf, readme.txt.",
        "3 files were read as one list: page1.csv, page2.csv, page3.xlsx.",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"users_csv": CSV, "groups_csv": "Group,Size\na,1\n"},
         "parts of one list: groups.csv, users.csv. Deliver the list of accounts alone."),
        ({"x-2026-11-22_csv": CSV, "x-2026-11-23_csv": CSV}, "has lists of several dates: "),
        ({"a_csv": CSV, "b_zip": archive(c_csv=CSV)}, "parts of one list: a.csv, b.zip"),
        ({"logo_png": b"\x89PNG", "manual_pdf": b"%PDF"}, "Its files: logo.png, manual.pdf."),
    ],
)  # fmt: skip
def test_lists_that_are_not_one_are_named(tmp_path: Path, files: dict[str, str], words: str):
    with pytest.raises(SnapshotRejected, match=words):
        opened(tmp_path, archive(**files), "a.zip")


def test_an_archive_in_an_archive_is_not_unpacked(store: Engine, tmp_path: Path):
    with pytest.raises(SnapshotRejected, match="is a ZIP archive in a ZIP archive"):
        deliver(store, tmp_path, archive(b_zip=archive(c_csv=CSV)), "a.zip")


# ---- every format gives the same accounts -------------------------------------------------------

TEXT = st.text(st.sampled_from("ab,;\"' <&>=ü\t|"), max_size=6).map(str.strip)
TABLE = st.lists(st.tuples(st.from_regex(r"[a-z]{1,4}", fullmatch=True), TEXT, TEXT), max_size=5)


def as_csv(rows: Rows) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows(rows)
    return sink.getvalue().encode()


@given(table=TABLE)
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
def test_a_table_is_the_same_in_every_format(tmp_path: Path, table: list[tuple[str, str, str]]):
    rows = [("Username", "Team", "Note"), *table]
    written: dict[str, Callable[[Rows], bytes]] = {
        "a.csv": as_csv,
        "a.xlsx": lambda rows: workbook(Users=rows),
        "a.html": lambda rows: html(rows).encode(),
    }
    for name, write in written.items():
        path = tmp_path / name
        path.write_bytes(write(rows))
        file = prepare_file(InputFile(path, name)).file
        with file.path.open(encoding="utf-8", newline="") as copy:
            read = [[" ".join(cell.split()) for cell in row] for row in csv.reader(copy)]
        assert read == [[" ".join(cell.split()) for cell in row] for row in rows], name
