"""Downloads of the filtered list: links on a page, and the routes that answer them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import streamlit as st
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from data.access import Act
from data.audit import Event
from queries.about import About, about
from queries.export import FORMATS, Chunks
from queries.filters import Filters
from queries.listing import COLUMNS, Listing, UnknownColumns, Wanted
from widgets.signed_in import principal
from widgets.store import allowed, noted, reading

ABOUT = "about.json"
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
    about_it = f'href="{_address("users", ABOUT, wanted.params())}" download'
    about_it += ' style="color: inherit"'
    st.html(
        f"{formats}<p><a {about_it}>About this list</a> – "
        "its filters, its snapshots and its count, to keep beside a file.</p>"
    )


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
        noted(Event.DOWNLOADED, **what_was_taken(found, f"users.{form}"))
        if form == ABOUT:
            content = {"file": found.file_name(ABOUT), **found.facts()}
            return JSONResponse(content, headers=named_so(found.file_name(form)))
        chunks = FORMATS[form].chunks(listing)
        return Streamed(chunks, form, opened.pop_all(), named_so(found.file_name(form)))


def what_was_taken(found: About, file: str) -> dict[str, Any]:
    """For the audit log."""
    return {
        "file": file,
        "accounts": found.accounts,
        "filters": found.filters,
        "rows": found.rows,
        "snapshots": [source.facts() for source in found.snapshots],
    }


class Streamed(StreamingResponse):
    """A list that is made while it is sent; the work ends when nobody waits for it any more.

    An error on the way ends the connection, so that no short file is taken for a whole one.
    """

    def __init__(
        self, chunks: Chunks, form: str, opened: ExitStack, headers: dict[str, str]
    ) -> None:
        self._opened, self._chunks = opened, chunks
        self._sending = self._sent()
        super().__init__(self._sending, media_type=FORMATS[form].media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._sending.aclose()
                await run_in_threadpool(self._close)

    async def _sent(self) -> AsyncGenerator[bytes]:
        async for chunk in iterate_in_threadpool(self._chunks):
            if chunk:
                yield chunk

    def _close(self) -> None:
        with self._opened:
            self._chunks.close()


def named_so(name: str) -> dict[str, str]:
    """Headers with the file's name: in ASCII for old programs, and in full, as RFC 6266 has it."""
    plain = name.encode("ascii", "ignore").decode()
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
        "Content-Encoding": "identity",  # or Streamlit's server packs it, at a tenth of the speed
        "Cache-Control": "no-store",
    }
