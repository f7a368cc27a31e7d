"""Downloads of the filtered list: links on a page, and the route that answers them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

import streamlit as st
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from queries.export import FORMATS, listed_batches
from queries.filters import Filters
from queries.users import order_of
from widgets.store import reading

LABELS = {
    "csv": ("CSV", "Safe to open in a spreadsheet"),
    "xlsx": ("Excel", "Text as text, times as times"),
    "raw.csv": ("Raw CSV", "Every text as delivered; formulas are not neutralised"),
}


def offer_users(filters: Filters, sort: str) -> None:
    """One link per format. Links, not buttons: a file is made, and streamed, when asked for."""
    query = urlencode([*filters.params(), ("sort", sort)])
    links = " ".join(
        f'<a href="export/users.{form}?{escape(query)}" download title="{escape(words)}">'
        f"{escape(label)}</a>"
        for form, (label, words) in LABELS.items()
    )
    st.html(
        f'<nav class="downloads" aria-label="Download this list">Download {links}</nav>',
        width="content",
    )


async def send_users(request: Request) -> Response:
    """`/export/users.<format>?<filters>&sort=<[-]column>`: the list that the page shows, whole."""
    form, params = request.path_params["form"], request.query_params
    if form not in FORMATS:
        return PlainTextResponse(f"No such format: {', '.join(FORMATS)}.", status_code=404)
    filters = Filters.from_params({name: params.getlist(name) for name in params})
    name = f"users-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(
        iterate_in_threadpool(_chunks(filters, params.get("sort", ""), form)),
        media_type="text/csv" if form.endswith("csv") else EXCEL,
        headers=headers,
    )


EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _chunks(filters: Filters, sort: str, form: str) -> Iterator[bytes]:
    with reading() as con:
        column, descending = order_of(sort)
        batches = listed_batches(con, filters, sort=column, descending=descending)
        yield from FORMATS[form](batches)
