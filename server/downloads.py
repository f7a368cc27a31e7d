"""Every route under /export/: what is downloaded, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from data.access.roles import Act
from data.files.naming import moment_of
from data.records.audit_log import Event
from data.records.exceptions import limits_of
from queries.audit import events_ndjson
from queries.changes.diff import KINDS, Listed
from queries.changes.window import asked_between, usual_moments
from queries.evidence.accounts import Accounts
from queries.evidence.findings import Findings, chosen_rules
from queries.evidence.pack import chunks_of
from queries.export.changes import CHUNKS, ChangesFile
from queries.export.formats import FORMATS
from queries.export.listing import Listing, UnknownColumns, Wanted
from queries.export.manifest import ABOUT, about
from queries.filters import Filters
from queries.rejected_rows import count_rejected, rejected_csv
from queries.review.duration import View
from queries.snapshots import params_of, snapshot_at
from queries.users.accounts import integration_names
from server.authorize import allowed, is_sample, noted, reading
from server.session import principal
from server.streaming import Streamed, named_so, what_was_taken


async def send_audit(_: Request) -> Response:
    """`/export/audit.ndjson`: every event, oldest first."""
    allowed(Act.AUDIT)
    noted(Event.DOWNLOADED, file="audit.ndjson")
    return StreamingResponse(
        iterate_in_threadpool(_audit_lines()),
        media_type="application/x-ndjson",
        headers={
            "Content-Disposition": 'attachment; filename="audit.ndjson"',
            "Cache-Control": "no-store",
        },
    )


def _audit_lines() -> Iterator[bytes]:
    with reading(Act.AUDIT) as con:
        yield from events_ndjson(con)


async def send_changes(request: Request) -> Response:
    """`/export/changes.<format>?from=&to=&integration=&list=&…`: the whole list.

    `/export/changes.about.json` with the same parameters tells what the list is of.
    """
    allowed(Act.DOWNLOAD)
    form = request.path_params["form"]
    params = {name: request.query_params.getlist(name) for name in request.query_params}
    listed = Listed.from_params(params)
    if not listed or (form not in CHUNKS and form != ABOUT):
        known = f"No such list, or format: {', '.join(KINDS)}; {', '.join(CHUNKS)}."
        return PlainTextResponse(known, status_code=404)
    with ExitStack() as opened:
        con = await run_in_threadpool(opened.enter_context, reading(Act.CHANGES))
        usual = await run_in_threadpool(usual_moments, con, params.get("integration", []))
        if not usual:
            return PlainTextResponse("There is no snapshot of these integrations.", status_code=404)
        file = ChangesFile(con, asked_between(params, usual), listed)
        facts = await run_in_threadpool(file.facts)
        noted(Event.DOWNLOADED, file=f"changes.{form}", **facts)
        if form == ABOUT:
            content = {"file": file.name(ABOUT), **facts}
            return JSONResponse(content, headers=named_so(file.name(ABOUT)))
        chunks = await run_in_threadpool(CHUNKS[form], file)
        return Streamed(chunks, FORMATS[form].media_type, opened.pop_all(), file.name(form))


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


async def send_findings(request: Request) -> Response:
    """`/export/evidence.zip?integration=&rule=&severity=&as_of=`: findings that can be proved."""
    params = request.query_params
    rules = chosen_rules(params.getlist("rule"), params.getlist("severity"))
    at = moment_of(params.get("as_of", ""))

    def asked(con: Connection) -> tuple[Findings, dict[str, Any]]:
        named = _seen(con, params.getlist("integration"))
        evidence = Findings(con, View(named, at, limits_of(con)), rules)
        of = {"rules": [rule.name for rule in rules], "integrations": list(named)}
        return evidence, of | {"rows": evidence.how_many(), "as_of": params.get("as_of")}

    return await _send_pack(Act.REVIEW, asked)


async def send_users_pack(request: Request) -> Response:
    """`/export/users.evidence.zip?<filters>`: a list of accounts that can be proved."""
    params = request.query_params
    filters = Filters.from_params({name: params.getlist(name) for name in params})

    def asked(con: Connection) -> tuple[Accounts, dict[str, Any]]:
        named = _seen(con, filters.integration)
        evidence = Accounts.asked(con, replace(filters, integration=named))
        return evidence, what_was_taken(evidence.about)

    return await _send_pack(Act.USERS, asked)


def _seen(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """Those of the integrations that who asks may see: a pack has to say of which it is."""
    if principal().integrations is None:
        return tuple(integrations)
    known = integration_names(con)
    return tuple(name for name in integrations if name in known) or tuple(known)


async def _send_pack(
    act: Act, asked: Callable[[Connection], tuple[Findings | Accounts, dict[str, Any]]]
) -> Response:
    """The pack as a file; the audit log says what it is of."""
    allowed(Act.PROVE)
    if await run_in_threadpool(is_sample):
        return PlainTextResponse("Sample data has no archive to prove it from.", status_code=404)
    with ExitStack() as opened:
        con = await run_in_threadpool(opened.enter_context, reading(act))
        evidence, of = await run_in_threadpool(asked, con)
        name = evidence.file_name()
        noted(Event.DOWNLOADED, file=name, **of)
        return Streamed(chunks_of(evidence), "application/zip", opened.pop_all(), name)


async def send_rejected(request: Request) -> Response:
    """`/export/rejected.csv?integration=<name>&taken_at=<moment>`: all of them, safe to open."""
    allowed(Act.DOWNLOAD)
    name = request.query_params.get("integration", "")
    taken_at = moment_of(request.query_params.get("taken_at", ""))
    with ExitStack() as opened:
        con = await run_in_threadpool(opened.enter_context, reading(Act.SNAPSHOTS))
        if not taken_at or not await run_in_threadpool(snapshot_at, con, name, taken_at):
            return PlainTextResponse("There is no such snapshot.", status_code=404)
        rows = await run_in_threadpool(count_rejected, con, name, taken_at)
        noted(Event.DOWNLOADED, file="rejected.csv", **params_of(name, taken_at), rows=rows)
        chunks = _closing(opened.pop_all(), rejected_csv(con, name, taken_at))
        file = f"rejected {name} {taken_at:%Y-%m-%dT%H-%M-%SZ}.csv"
        plain = "".join(c for c in file if c.isascii() and c.isprintable() and c not in '"\\')
        return StreamingResponse(
            iterate_in_threadpool(chunks),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file)}"
                ),
                "Cache-Control": "no-store",
            },
        )


def _closing(opened: ExitStack, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks; after the last one, or when nobody waits any more, what was opened is closed."""
    with opened:
        yield from chunks
