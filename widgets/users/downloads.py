"""Links to download the filtered list."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from data.access.roles import Permission
from queries.export.formats import FORMATS
from queries.export.listing import LISTING_COLUMNS, ListRequest
from queries.export.manifest import MANIFEST_FORMAT
from queries.filters import Filters
from server.authorize import can_download_evidence
from server.session import current_principal
from widgets.evidence import users_pack_address

COLUMNS_KEY = "download_columns"

MANIFEST_HELP = "filters, snapshots, row count."
LOADING_HELP = (
    "Rollcall loads the list of one integration again as the same accounts, if it has all columns."
)
EVIDENCE_HELP = (
    "for an auditor: this list with the hashes of its snapshots. <code>rollcall verify</code> "
    "proves every row from the archive."
)

Params = Sequence[tuple[str, str]]


def show_downloads(filters: Filters, sort: str) -> None:
    """A link per format, and the options beside them.

    Links, not buttons: the file is streamed when it is asked for.
    """
    if not current_principal().is_allowed(Permission.DOWNLOAD):
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content", key="downloads"
    ):
        links = st.empty()
        with st.popover("Download options", icon=":material/tune:", key="download_options"):
            columns = st.multiselect(
                "Columns",
                list(LISTING_COLUMNS),
                key=COLUMNS_KEY,
                placeholder="All",
                format_func=lambda name: LISTING_COLUMNS[name].heading,
            )
            query = ListRequest(filters, sort, tuple(columns))
            _show_format_help(query)
        links.html(format_links("users", query.params()), width="content")


def _show_format_help(query: ListRequest) -> None:
    formats = "".join(
        f"<p><strong>{escape(format_.label)}</strong> – {escape(format_.description)}</p>"
        for format_ in FORMATS.values()
    )
    manifest_link = _link(
        _export_address("users", MANIFEST_FORMAT, query.params()), "Metadata (JSON)"
    )
    st.html(f"{formats}<p>{manifest_link}: {MANIFEST_HELP}</p><p>{LOADING_HELP}</p>")
    if can_download_evidence():
        pack_link = _link(escape(users_pack_address(query.filters)), "Evidence pack")
        st.html(f"<p>{pack_link}, {EVIDENCE_HELP}</p>")


def _link(address: str, text: str) -> str:
    return f'<a href="{address}" download style="color: inherit">{text}</a>'


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
