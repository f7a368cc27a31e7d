"""Downloads of the filtered list: links on a page, and the routes that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from data.access.roles import Act
from queries.export.formats import FORMATS
from queries.export.listing import COLUMNS, Wanted
from queries.export.manifest import ABOUT
from queries.filters import Filters
from server.authorize import can_be_proved
from server.session import principal
from widgets.evidence import users_pack

COLUMNS_KEY = "download_columns"


def offer_users(filters: Filters, sort: str) -> None:
    """A link per format, and what may be chosen besides.

    Links, not buttons: a file is made, and streamed, when asked for. They are there at once, as
    people come for the same format every day; what explains them opens beside them.
    """
    if not principal().may(Act.DOWNLOAD):
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content", key="downloads"
    ):
        links = st.empty()
        with st.popover("Download options", icon=":material/tune:", key="download_options"):
            chosen = _choose_columns()
            wanted = Wanted(filters, sort, tuple(chosen))
            _explain(wanted)
        links.html(format_links("users", wanted.params()), width="content")


def _choose_columns() -> list[str]:
    """Some columns, in the order of choice; none means what a format has by itself."""
    return st.multiselect(
        "Columns, in this order",
        list(COLUMNS),
        key=COLUMNS_KEY,
        placeholder="All",
        format_func=lambda name: COLUMNS[name].heading,
    )


def _explain(wanted: Wanted) -> None:
    formats = "".join(
        f"<p><strong>{escape(form.label)}</strong> – {escape(form.words)}</p>"
        for form in FORMATS.values()
    )
    about_it = _link(_address("users", ABOUT, wanted.params()), "About this list")
    about_it += " – its filters, its snapshots and its count, to keep beside a file."
    st.html(f"{formats}<p>{about_it}</p>")
    if can_be_proved():
        pack = _link(escape(users_pack(wanted.filters)), "Evidence pack")
        st.html(
            f"<p>{pack} – for an auditor: this list with the hashes of the snapshots behind it. "
            "<code>rollcall verify</code> proves every row from the archive.</p>"
        )


def _link(address: str, words: str) -> str:
    return f'<a href="{address}" download style="color: inherit">{words}</a>'


def format_links(of: str, params: Params) -> str:
    """A link to the list in each format: `/export/<of>.<format>?<params>`."""
    links = " ".join(
        f'<a href="{_address(of, ending, params)}" download title="{escape(form.words)}">'
        f"{escape(form.label)}</a>"
        for ending, form in FORMATS.items()
    )
    return f'<nav class="downloads" aria-label="Download this list">{links}</nav>'


Params = Sequence[tuple[str, str]]


def _address(of: str, ending: str, params: Params) -> str:
    return escape(f"export/{of}.{ending}?{urlencode(params)}")
