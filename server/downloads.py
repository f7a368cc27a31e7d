"""Every route under /export/: the files to download, each by permission and in the audit log."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from data.access.roles import Permission
from data.files.naming import parse_moment
from data.formatting import file_stamp, utc_now
from data.home import current_home
from data.records.audit_log import Event, flush_pending
from data.records.exceptions import read_rule_settings
from queries.audit import write_events
from queries.changes.diff import CHANGE_KINDS, ChangeFilter
from queries.changes.window import snapshot_moments, window_from_params
from queries.evidence.accounts import accounts_listing, accounts_pack, is_provable
from queries.evidence.findings import Findings, findings_pack, select_rules
from queries.evidence.pack import EvidencePack, write_pack
from queries.evidence.rounds import round_pack
from queries.export.changes import WRITERS, ChangesExport
from queries.export.columns import UnknownColumns
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import MANIFEST_FORMAT, ListManifest, build_manifest, slug
from queries.filters import Filters
from queries.rejected_rows import count_rejected, write_rejected_csv
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.rounds.files import RoundFile
from queries.rounds.items import count_outcomes
from queries.rounds.lists import find_round
from queries.rounds.outcomes import OUTCOMES
from queries.rounds.worksheet import ROUND_WRITERS
from queries.scope import MAX_VALUES_PER_PARAM
from queries.snapshots import load_report_at, snapshot_params
from queries.users.accounts import integration_names
from server.authorize import (
    authorize,
    is_sample,
    record_action,
    store_connection,
    writable_real_store,
)
from server.file_response import attachment_headers, send_file, stop_if_disconnected
from server.session import current_principal

SAMPLE_NOT_PROVABLE = "Sample data has no archive, so there is no evidence for it."

SIGN_INS_NOT_PROVABLE = (
    "Last sign-ins are as of the newest snapshot, so no snapshot of the past proves this list. "
    "Remove the filter “Last sign-in”, or the moment."
)


def send_audit(request: Request) -> Response:
    """`/export/audit.ndjson`: every event, oldest first."""
    authorize(Permission.AUDIT)
    record_action(Event.DOWNLOADED, file="audit.ndjson")  # first, so that the file has it, too
    with store_connection(Permission.AUDIT) as con:
        write = partial(write_events, con, on_batch=partial(stop_if_disconnected, request))
        return send_file("audit.ndjson", "application/x-ndjson", write)


def send_changes(request: Request) -> Response:
    """`/export/changes.<format>?from=&to=&integration=&list=&…`: the whole list.

    `/export/changes.about.json` with the same parameters gives the list's manifest.
    """
    authorize(Permission.DOWNLOAD)
    export_format, params = request.path_params["form"], _params(request)
    change_filter = ChangeFilter.from_params(params)
    if not change_filter or export_format not in (*WRITERS, MANIFEST_FORMAT):
        message = f"No such list, or format: {', '.join(CHANGE_KINDS)}; {', '.join(WRITERS)}."
        return PlainTextResponse(message, 404)
    with store_connection(Permission.CHANGES) as con:
        moments = snapshot_moments(con, params.get("integration", []))
        if not moments:
            return PlainTextResponse("These integrations have no snapshots.", 404)
        window, on_batch = (
            window_from_params(params, moments),
            partial(stop_if_disconnected, request),
        )
        changes = ChangesExport(con, window, change_filter, on_batch)
        manifest = changes.manifest()
        record_action(Event.DOWNLOADED, file=f"changes.{export_format}", **manifest)
        name = changes.name(export_format)
        if export_format == MANIFEST_FORMAT:
            return _send_manifest(name, manifest)
        write = partial(WRITERS[export_format], changes)
        return send_file(name, FORMATS[export_format].media_type, write)


def send_users(request: Request) -> Response:
    """`/export/users.<format>?<filters>&sort=<[-]column>&columns=<names>`: the whole list.

    `/export/users.about.json` with the same parameters gives the list's manifest.
    """
    authorize(Permission.DOWNLOAD)
    export_format = request.path_params["form"]
    if export_format not in (*FORMATS, MANIFEST_FORMAT):
        return PlainTextResponse(f"No such format: {', '.join(FORMATS)}.", 404)
    try:
        query = ListRequest.from_params(_params(request))
    except UnknownColumns as error:
        return PlainTextResponse(str(error), 400)
    with store_connection(Permission.USERS) as con:
        listing = Listing(con, query, partial(stop_if_disconnected, request))
        manifest = build_manifest(listing)
        record_action(
            Event.DOWNLOADED, file=f"users.{export_format}", **_download_details(manifest)
        )
        name = manifest.file_name(export_format)
        if export_format == MANIFEST_FORMAT:
            return _send_manifest(name, manifest.as_dict())
        format_ = FORMATS[export_format]
        return send_file(name, format_.media_type, partial(format_.write, listing))


def send_findings(request: Request) -> Response:
    """`/export/evidence.zip?integration=&rule=&severity=&as_of=`: findings as evidence."""
    params = _params(request)
    rules = select_rules(params.get("rule", []), params.get("severity", []))
    authorize(Permission.EXPORT_EVIDENCE)
    if is_sample():
        return PlainTextResponse(SAMPLE_NOT_PROVABLE, 404)
    with store_connection(Permission.REVIEW) as con:
        integrations = _visible_integrations(con, params.get("integration", []))
        as_of = request.query_params.get("as_of", "")
        view = View(
            integration=integrations, as_of=parse_moment(as_of), limits=read_rule_settings(con)
        )
        details = {
            "rules": [rule.name for rule in rules],
            "integrations": list(integrations),
            "rows": sum(sum(count_findings(con, view, rule)) for rule in rules),
            "as_of": as_of or None,
        }
        return _send_pack(request, findings_pack(Findings(con, view, rules)), details)


def send_users_pack(request: Request) -> Response:
    """`/export/users.evidence.zip?<filters>`: a list of accounts as evidence."""
    filters = Filters.from_params(_params(request))
    authorize(Permission.EXPORT_EVIDENCE)
    if is_sample():
        return PlainTextResponse(SAMPLE_NOT_PROVABLE, 404)
    if not is_provable(filters):
        return PlainTextResponse(SIGN_INS_NOT_PROVABLE, 400)
    with store_connection(Permission.USERS) as con:
        integrations, now = _visible_integrations(con, filters.integration), utc_now()
        listing = accounts_listing(con, replace(filters, integration=integrations), now)
        details = _download_details(build_manifest(listing))
        return _send_pack(request, accounts_pack(listing, now), details)


def send_round_pack(request: Request) -> Response:
    """`/export/round.evidence.zip?round=<ID>`: a review round as evidence, all of it."""
    store = writable_real_store(Permission.EXPORT_EVIDENCE)
    if is_sample():
        return PlainTextResponse(SAMPLE_NOT_PROVABLE, 404)
    flush_pending(store, current_home())
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        round_ = find_round(con, request.query_params.get("round", ""))
        if round_ is None:
            return PlainTextResponse("No such review round.", 404)
        details = {"round": round_.name, "rows": sum(count_outcomes(con, round_).values())}
        return _send_pack(request, round_pack(con, round_, utc_now()), details)


def send_rejected(request: Request) -> Response:
    """`/export/rejected.csv?integration=<name>&taken_at=<moment>`: all of them, safe to open."""
    authorize(Permission.DOWNLOAD)
    integration = request.query_params.get("integration", "")
    taken_at = parse_moment(request.query_params.get("taken_at", ""))
    with store_connection(Permission.SNAPSHOTS) as con:
        if not taken_at or not load_report_at(con, integration, taken_at):
            return PlainTextResponse("This snapshot does not exist or was removed.", 404)
        params = snapshot_params(integration, taken_at)
        rows = count_rejected(con, integration, taken_at)
        record_action(Event.DOWNLOADED, file="rejected.csv", **params, rows=rows)
        name = f"rejected {integration} {file_stamp(taken_at)}.csv"
        write = partial(write_rejected_csv, con, integration, taken_at)
        return send_file(name, FORMATS["csv"].media_type, write)


def send_round(request: Request) -> Response:
    """`/export/round.<csv or xlsx>?round=<ID>&show=<outcome>…`: the items of a review round.

    `/export/round.worksheet.xlsx?round=<ID>` is to be filled in.
    """
    authorize(Permission.DOWNLOAD)
    form, params = request.path_params["form"], _params(request)
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        round_ = find_round(con, next(iter(params.get("round", ())), ""))
        if round_ is None or form not in ROUND_WRITERS:
            return PlainTextResponse(
                f"No such review round, or format: {', '.join(ROUND_WRITERS)}.", 404
            )
        outcomes = [name for name in OUTCOMES if name in params.get("show", ())]
        file = RoundFile.read(con, round_, outcomes)
    details = {"round": round_.name, "id": round_.round_id, "show": outcomes}
    record_action(Event.DOWNLOADED, file=f"round.{form}", **details, rows=len(file.items))
    name = f"{slug(round_.name)}.{form}"
    return send_file(
        name, FORMATS[form.split(".")[-1]].media_type, partial(ROUND_WRITERS[form], file)
    )


def _params(request: Request) -> dict[str, list[str]]:
    params = request.query_params
    return {name: params.getlist(name)[:MAX_VALUES_PER_PARAM] for name in params}


def _send_manifest(name: str, manifest: dict[str, Any]) -> Response:
    return JSONResponse({"file": name, **manifest}, headers=attachment_headers(name))


def _send_pack(request: Request, pack: EvidencePack, details: dict[str, Any]) -> Response:
    record_action(Event.DOWNLOADED, file=pack.file_name, **details)
    write = partial(write_pack, pack, on_member=partial(stop_if_disconnected, request))
    return send_file(pack.file_name, "application/zip", write)


def _visible_integrations(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """The integrations that the principal can see, by name, as a pack has to name its own."""
    if current_principal().integrations is None:
        return tuple(integrations)
    visible = integration_names(con)
    return tuple(name for name in integrations if name in visible) or tuple(visible)


def _download_details(manifest: ListManifest) -> dict[str, Any]:
    """The details of an exported list for the audit log."""
    return {
        "accounts": manifest.accounts,
        "filters": manifest.filters,
        "rows": manifest.rows,
        "snapshots": [source.as_dict() for source in manifest.snapshots],
    }
