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

from data.access.roles import Permission
from data.files.naming import parse_moment
from data.records.audit_log import Event
from data.records.exceptions import read_rule_settings
from queries.audit import events_ndjson
from queries.changes.diff import CHANGE_KINDS, ChangeFilter
from queries.changes.window import snapshot_moments, window_from_params
from queries.evidence.accounts import AccountsEvidence
from queries.evidence.findings import FindingsEvidence, select_rules
from queries.evidence.pack import pack_chunks
from queries.export.changes import WRITERS, ChangesExport
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest, UnknownColumns
from queries.export.manifest import MANIFEST_FORMAT, build_manifest
from queries.filters import Filters
from queries.rejected_rows import count_rejected, rejected_csv
from queries.review.duration import View
from queries.snapshots import load_report_at, snapshot_params
from queries.users.accounts import integration_names
from server.authorize import authorize, is_sample, record_action, store_connection
from server.session import current_principal
from server.streaming import StreamedFile, attachment_headers, download_details


async def send_audit(_: Request) -> Response:
    """`/export/audit.ndjson`: every event, oldest first."""
    authorize(Permission.AUDIT)
    record_action(Event.DOWNLOADED, file="audit.ndjson")
    return StreamingResponse(
        iterate_in_threadpool(_audit_lines()),
        media_type="application/x-ndjson",
        headers={
            "Content-Disposition": 'attachment; filename="audit.ndjson"',
            "Cache-Control": "no-store",
        },
    )


def _audit_lines() -> Iterator[bytes]:
    with store_connection(Permission.AUDIT) as con:
        yield from events_ndjson(con)


async def send_changes(request: Request) -> Response:
    """`/export/changes.<format>?from=&to=&integration=&list=&…`: the whole list.

    `/export/changes.about.json` with the same parameters tells what the list is of.
    """
    authorize(Permission.DOWNLOAD)
    export_format = request.path_params["form"]
    params = {name: request.query_params.getlist(name) for name in request.query_params}
    change_filter = ChangeFilter.from_params(params)
    if not change_filter or (export_format not in WRITERS and export_format != MANIFEST_FORMAT):
        message = f"No such list, or format: {', '.join(CHANGE_KINDS)}; {', '.join(WRITERS)}."
        return PlainTextResponse(message, status_code=404)
    with ExitStack() as resources:
        con = await run_in_threadpool(resources.enter_context, store_connection(Permission.CHANGES))
        moments = await run_in_threadpool(snapshot_moments, con, params.get("integration", []))
        if not moments:
            return PlainTextResponse("There is no snapshot of these integrations.", status_code=404)
        file = ChangesExport(con, window_from_params(params, moments), change_filter)
        manifest = await run_in_threadpool(file.manifest)
        record_action(Event.DOWNLOADED, file=f"changes.{export_format}", **manifest)
        if export_format == MANIFEST_FORMAT:
            content = {"file": file.name(MANIFEST_FORMAT), **manifest}
            return JSONResponse(content, headers=attachment_headers(file.name(MANIFEST_FORMAT)))
        chunks = await run_in_threadpool(WRITERS[export_format], file)
        return StreamedFile(
            chunks, FORMATS[export_format].media_type, resources.pop_all(), file.name(export_format)
        )


async def send_users(request: Request) -> Response:
    """`/export/users.<format>?<filters>&sort=<[-]column>&columns=<names>`: the whole list.

    `/export/users.about.json` with the same parameters tells what the list is of.
    """
    authorize(Permission.DOWNLOAD)
    format_name, params = request.path_params["form"], request.query_params
    if format_name not in FORMATS and format_name != MANIFEST_FORMAT:
        return PlainTextResponse(f"No such format: {', '.join(FORMATS)}.", status_code=404)
    try:
        query = ListRequest.from_params({name: params.getlist(name) for name in params})
    except UnknownColumns as error:
        return PlainTextResponse(str(error), status_code=400)
    with ExitStack() as resources:
        listing = Listing(
            await run_in_threadpool(resources.enter_context, store_connection(Permission.USERS)),
            query,
        )
        list_manifest = await run_in_threadpool(build_manifest, listing)
        record_action(
            Event.DOWNLOADED, file=f"users.{format_name}", **download_details(list_manifest)
        )
        if format_name == MANIFEST_FORMAT:
            content = {"file": list_manifest.file_name(MANIFEST_FORMAT), **list_manifest.as_dict()}
            return JSONResponse(
                content, headers=attachment_headers(list_manifest.file_name(format_name))
            )
        chunks = FORMATS[format_name].chunks(listing)
        name = list_manifest.file_name(format_name)
        return StreamedFile(chunks, FORMATS[format_name].media_type, resources.pop_all(), name)


async def send_findings(request: Request) -> Response:
    """`/export/evidence.zip?integration=&rule=&severity=&as_of=`: findings that can be proved."""
    params = request.query_params
    rules = select_rules(params.getlist("rule"), params.getlist("severity"))
    moment = parse_moment(params.get("as_of", ""))

    def build_pack(con: Connection) -> tuple[FindingsEvidence, dict[str, Any]]:
        named = _visible_integrations(con, params.getlist("integration"))
        evidence = FindingsEvidence(
            con, View(integration=named, as_of=moment, limits=read_rule_settings(con)), rules
        )
        of = {"rules": [rule.name for rule in rules], "integrations": list(named)}
        return evidence, of | {"rows": evidence.count_rows(), "as_of": params.get("as_of")}

    return await _send_pack(Permission.REVIEW, build_pack)


async def send_users_pack(request: Request) -> Response:
    """`/export/users.evidence.zip?<filters>`: a list of accounts that can be proved."""
    params = request.query_params
    filters = Filters.from_params({name: params.getlist(name) for name in params})

    def build_pack(con: Connection) -> tuple[AccountsEvidence, dict[str, Any]]:
        named = _visible_integrations(con, filters.integration)
        evidence = AccountsEvidence.from_filters(con, replace(filters, integration=named))
        return evidence, download_details(evidence.list_manifest)

    return await _send_pack(Permission.USERS, build_pack)


def _visible_integrations(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """Those of the integrations that who asks may see: a pack has to say of which it is."""
    if current_principal().integrations is None:
        return tuple(integrations)
    visible = integration_names(con)
    return tuple(name for name in integrations if name in visible) or tuple(visible)


async def _send_pack(
    act: Permission,
    asked: Callable[[Connection], tuple[FindingsEvidence | AccountsEvidence, dict[str, Any]]],
) -> Response:
    """The pack as a file; the audit log says what it is of."""
    authorize(Permission.EXPORT_EVIDENCE)
    if await run_in_threadpool(is_sample):
        return PlainTextResponse("Sample data has no archive to prove it from.", status_code=404)
    with ExitStack() as opened:
        con = await run_in_threadpool(opened.enter_context, store_connection(act))
        evidence, of = await run_in_threadpool(asked, con)
        name = evidence.file_name()
        record_action(Event.DOWNLOADED, file=name, **of)
        return StreamedFile(pack_chunks(evidence), "application/zip", opened.pop_all(), name)


async def send_rejected(request: Request) -> Response:
    """`/export/rejected.csv?integration=<name>&taken_at=<moment>`: all of them, safe to open."""
    authorize(Permission.DOWNLOAD)
    name = request.query_params.get("integration", "")
    taken_at = parse_moment(request.query_params.get("taken_at", ""))
    with ExitStack() as resources:
        con = await run_in_threadpool(
            resources.enter_context, store_connection(Permission.SNAPSHOTS)
        )
        if not taken_at or not await run_in_threadpool(load_report_at, con, name, taken_at):
            return PlainTextResponse("There is no such snapshot.", status_code=404)
        rows = await run_in_threadpool(count_rejected, con, name, taken_at)
        record_action(
            Event.DOWNLOADED, file="rejected.csv", **snapshot_params(name, taken_at), rows=rows
        )
        chunks = _close_after(resources.pop_all(), rejected_csv(con, name, taken_at))
        file_name = f"rejected {name} {taken_at:%Y-%m-%dT%H-%M-%SZ}.csv"
        ascii_name = "".join(
            c for c in file_name if c.isascii() and c.isprintable() and c not in '"\\'
        )
        return StreamingResponse(
            iterate_in_threadpool(chunks),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file_name)}"
                ),
                "Cache-Control": "no-store",
            },
        )


def _close_after(resources: ExitStack, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks; after the last one, or when nobody waits any more, what was opened is closed."""
    with resources:
        yield from chunks
