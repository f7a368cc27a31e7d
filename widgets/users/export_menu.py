"""The menu to take the filtered list along: files, and links to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from urllib.parse import urlencode

import streamlit as st

from data.access.roles import Permission
from queries.evidence.accounts import is_provable
from queries.export.columns import columns_text
from queries.export.formats import FORMATS
from queries.export.listing import ListRequest
from queries.export.manifest import MANIFEST_FORMAT
from queries.filters import Filters
from queries.users.facets import snapshot_times
from server.authorize import can_download_evidence, store_connection
from server.session import current_principal
from widgets import timezone
from widgets.address import group_params
from widgets.evidence import users_pack_address
from widgets.report import report_button
from widgets.rounds.start import can_start_rounds, start_address
from widgets.users.columns import Columns

CHOSEN = "Files have the {} chosen columns, in the order of the table."
ALL = "Files have all columns. Choose columns to have only those."

MANIFEST = ("Metadata (JSON)", "Filters, snapshots, row count.")
EVIDENCE = (
    "Evidence pack",
    "For an auditor: this list with the hashes of its snapshots. “rollcall verify” proves every "
    "row from the archive.",
)

ROUND = "Freezes this list. People decide on each account, and later snapshots prove the outcome."

Params = Sequence[tuple[str, str]]


def show_export_menu(filters: Filters, sort: str, columns: Columns) -> None:
    """A link per format, and links to the list itself.

    Links, not buttons: the file is streamed when it is asked for.
    """
    with st.popover("Export", icon=":material/download:", key="export"):
        if current_principal().is_allowed(Permission.DOWNLOAD):
            st.caption(CHOSEN.format(len(columns.chosen)) if columns.chosen else ALL)
            show_files(ListRequest(filters, sort, columns.chosen))
        _show_links_to_list(filters, sort, columns)
        report_button()


def show_files(query: ListRequest) -> None:
    """A link per format of the list, and to its evidence where there can be any."""
    files = [
        (_export_address("users", extension, query.params()), format_.label, format_.description)
        for extension, format_ in FORMATS.items()
    ]
    files.append((_export_address("users", MANIFEST_FORMAT, query.params()), *MANIFEST))
    if can_download_evidence() and is_provable(query.filters):
        files.append((escape(users_pack_address(query.filters)), *EVIDENCE))
    links = "".join(
        f'<a href="{address}" download><strong>{escape(label)}</strong> '
        f"<span>{escape(description)}</span></a>"
        for address, label, description in files
    )
    st.html(f'<nav class="menu" aria-label="Download this list">{links}</nav>')


def _show_links_to_list(filters: Filters, sort: str, columns: Columns) -> None:
    """Links to this view: what it shows now, or always what the latest snapshot shows.

    A period is in both, so one is enough.
    """
    with store_connection(Permission.USERS) as con:
        newest = filters.as_of or snapshot_times(con, newest_count=1)[0]
    params = [
        ("sort", sort),
        ("columns", columns_text(columns.chosen)),
        *((n, value) for n in ("rows", "page", "open") for value in st.query_params.get_all(n)),
    ]
    zone = timezone.with_zone({})
    meanings: list[tuple[str, datetime | None]] = [
        ("Shows the latest data whenever it is opened.", None),
        (f"Always as of {timezone.format_with_zone(newest)}.", newest),
    ]
    if filters.during:
        meanings = [("Shows this period whenever it is opened.", None)]
    links = "".join(
        f'<a class="copy-link" href="{escape(f"?{urlencode(address, doseq=True)}")}">'
        f"<strong>Copy link</strong> <span>{escape(meaning)}</span></a>"
        for meaning, moment in meanings
        for address in [
            group_params([p for p in (*replace(filters, as_of=moment).params(), *params) if p[1]])
            | zone
        ]
    )
    if can_start_rounds() and not filters.during:
        links += (
            f'<a href="{escape(start_address(filters))}" target="_self">'
            f"<strong>Start review round</strong> <span>{ROUND}</span></a>"
        )
    st.html(f'<nav class="menu" aria-label="Links to this list">{links}</nav>')


def format_links(list_name: str, params: Params) -> str:
    """Links to a list in each format: `/export/<list>.<format>?<params>`."""
    links = " ".join(
        f'<a href="{_export_address(list_name, extension, params)}" download '
        f'title="{escape(format_.description)}">'
        f"{escape(format_.label)}</a>"
        for extension, format_ in FORMATS.items()
    )
    return f'<nav class="downloads" aria-label="Download this list">{links}</nav>'


def _export_address(list_name: str, extension: str, params: Params) -> str:
    return escape(f"export/{list_name}.{extension}?{urlencode(params)}")
