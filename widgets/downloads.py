"""Downloads of the filtered list: links on a page, and the routes that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from html import escape
from urllib.parse import urlencode

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from data.access.roles import Act
from data.records.audit_log import Event
from queries.export.formats import FORMATS
from queries.export.listing import COLUMNS, Listing, UnknownColumns, Wanted
from queries.export.manifest import ABOUT, about
from queries.filters import Filters
from widgets.evidence import can_be_proved, users_pack
from widgets.sending import Streamed, named_so, what_was_taken
from widgets.signed_in import principal
from widgets.store import allowed, noted, reading

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


async def send_users(request: Request) -> Response:
    """`/export/users.<format>?<filters>&sort=<[-]column>&columns=<names>`: the whole list.

    `/export/users.about.json` with the same parameters tells what the list is of.
    """
    allowed(Act.DOWNLOAD)
    form, params = request.path_params["form"], request.query_params
    if form not in FORMATS and form != ABOUT:
        return PlainTextResponse(f"No such format: {', '.join(FORMATS)}.", status_code=404)
    try:
        wanted = Wanted.from_params({name: params.getlist(name) for name in params})
    except UnknownColumns as fault:
        return PlainTextResponse(str(fault), status_code=400)
    with ExitStack() as opened:
        listing = Listing(await run_in_threadpool(opened.enter_context, reading(Act.USERS)), wanted)
        found = await run_in_threadpool(about, listing)
        noted(Event.DOWNLOADED, file=f"users.{form}", **what_was_taken(found))
        if form == ABOUT:
            content = {"file": found.file_name(ABOUT), **found.facts()}
            return JSONResponse(content, headers=named_so(found.file_name(form)))
        chunks = FORMATS[form].chunks(listing)
        name = found.file_name(form)
        return Streamed(chunks, FORMATS[form].media_type, opened.pop_all(), name)
