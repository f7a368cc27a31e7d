"""Joins several files with the same columns to one list."""

import re
from collections.abc import Iterator, Sequence

from data.files.encoding import InputFile
from data.files.errors import NotAListOfAccounts
from data.files.headers import heading_key
from data.files.relation import shorten
from data.files.sheets import TO_COPY, write_csv
from data.sources.documents import Document
from data.tempfiles import TemporaryFile

MAX_NAMES_SHOWN = 10

DATE_PATTERN = re.compile(r"20\d\d[-_.]?[01]\d[-_.]?[0-3]\d")

DIFFERENT_LISTS = (
    "{name} has {count:,} files that are neither pages of one source nor parts of one list: "
    "{files}. Deliver the list of accounts alone."
)
DIFFERENT_DATES = (
    "{name} has lists of several dates: {files}. Deliver each of them as a snapshot of its own."
)
JOINED_FILES = "{count:,} files were read as one list: {files}."


def join_lists(documents: Sequence[Document], names: Sequence[str], name: str) -> InputFile:
    """One list of all the rows, in CSV. `names` are those of all files, `name` the delivery's.

    Raises NotAListOfAccounts where a file is no table, where the files have different columns, or
    where different dates are in their names.
    """
    names = [*map(shorten, names)]
    more = ["…"] if len(names) > MAX_NAMES_SHOWN else []
    words = {"name": name, "count": len(names), "files": ", ".join(names[:MAX_NAMES_SHOWN] + more)}
    tables = [document for document in documents if document.form.label == "CSV"]
    columns = {frozenset(map(heading_key, table.prefix.headings)) for table in tables}
    if len(columns) != 1 or len(tables) < len(names):
        raise NotAListOfAccounts(DIFFERENT_LISTS.format(**words))
    dates = {re.sub(r"\D", "", date) for n in names for date in DATE_PATTERN.findall(n)}
    if len(dates) > 1:
        raise NotAListOfAccounts(DIFFERENT_DATES.format(**words))
    copy = TemporaryFile()
    write_csv(str(copy.path), _joined_rows(documents))
    notes = dict.fromkeys(note for document in documents for note in document.unpacked.notes)
    return InputFile(copy.path, name, tuple(notes), (copy,), (JOINED_FILES.format(**words),))


def _joined_rows(documents: Sequence[Document]) -> Iterator[list[str]]:
    """The headings, then the rows of all files, with their cells in the order of the headings."""
    yield list(documents[0].prefix.headings)
    wanted = [heading_key(heading) for heading in documents[0].prefix.headings]
    for document in documents:
        places = [heading_key(heading) for heading in document.prefix.headings]
        order = [places.index(key) for key in wanted]
        records = document.cells()
        next(records)
        for _, cells in records:
            if any(cells):
                row = [cells[n] for n in order] if len(cells) == len(order) else cells
                yield [cell.translate(TO_COPY) for cell in row]
