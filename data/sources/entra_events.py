"""Provisioning events of Microsoft Entra, from Graph, the portal, or Azure Monitor."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document
from data.sources.pages import Page, normalize_name, read_pages
from data.sources.source import Row, SourceReport, as_dict, as_dicts, lower_keys

ACTION_ALIASES = {"other": "update", "soft delete": "stageddelete", "softdelete": "stageddelete"}
FRACTION_DIGITS = 6
"""Digits of a second's fraction; Azure Monitor writes seven."""

CSV_HEADINGS: dict[str, tuple[str, ...]] = {
    "id": ("id", "logid", "changeid"),
    "occurred_at": ("activitydatetime", "date", "dateutc", "datetime", "timestamp", "time"),
    "action": ("provisioningaction", "action"),
    "result": ("status", "provisioningstatus", "statusinfostatus", "result"),
    "code": ("errorcode", "statuserrorcode", "code"),
    "reason": ("statusreason", "reason", "errorreason", "failurereason"),
    "advice": ("recommendedaction", "advice"),
    "source_id": ("sourceid", "sourceidentityid", "sourceobjectid"),
    "name": ("sourcename", "sourceidentitydisplayname", "sourcedisplayname", "identity"),
    "object_type": (
        "sourceidentitytype",
        "sourcetype",
        "identitytype",
        "sourceobjecttype",
        "objecttype",
    ),
    "upn": ("sourceupn", "userprincipalname", "sourceuserprincipalname", "sourceidentityupn"),
    "target_id": ("targetid", "targetidentityid", "targetobjectid"),
    "target_name": ("targetname", "targetidentitydisplayname", "targetdisplayname"),
    "app": ("serviceprincipalid", "applicationid", "appid"),
    "app_name": (
        "serviceprincipaldisplayname",
        "serviceprincipalname",
        "serviceprincipal",
        "applicationname",
        "application",
        "targetsystemdisplayname",
        "targetsystem",
    ),
}
"""Field of an event → headings of the portal's CSV files, as normalize_name gives them. Microsoft
does not publish the headings, so every spelling of the portal and of Graph is accepted."""
JSON_CELLS = {"provisioningaction", "provisioningstatusinfo", "sourceidentity"}
"""Headings of the table AADProvisioningLogs, as Log Analytics exports it."""
LOG_ANALYTICS_TIME = "%m/%d/%Y, %I:%M:%S.%f %p"
PROPERTY_NAME_HEADINGS = ("modifiedpropertyname", "propertyname", "displayname", "name", "property")
NEW_VALUE_HEADINGS = ("newvalue", "modifiedpropertynewvalue", "new")


@dataclass(frozen=True)
class ProvisioningEvent:
    """One action, or attempt, of provisioning on one object of the directory."""

    id: str
    occurred_at: str  # ISO 8601 in UTC, sortable as text; empty where it is unknown
    action: str  # create, update, disable, stageddelete, delete
    result: str  # success, failure, skipped, warning
    object_type: str  # user, group, …
    app: str
    app_name: str
    source_id: str
    name: str
    upn: str
    target_id: str
    target_name: str
    username: str
    code: str
    reason: str
    advice: str
    new_values: Mapping[str, Any] = field(default_factory=dict)  # property, lower case → new value

    @property
    def user_key(self) -> str:
        """Identifies a user of the app in all its events."""
        return self.source_id or self.target_id or self.upn or self.username

    @property
    def is_user(self) -> bool:
        """Whether the event is about a user; the portal's CSV can lack the type."""
        return self.object_type in ("user", "") and bool(self.user_key)

    @property
    def succeeded(self) -> bool:
        """Whether the action was done, maybe with a warning."""
        return self.result in ("success", "warning")


def read_events(documents: Sequence[Document], report: SourceReport) -> Iterator[ProvisioningEvent]:
    """Every event once, in no order."""
    csv_documents = [document for document in documents if document.prefix.headings]
    json_documents = [document for document in documents if not document.prefix.headings]
    if csv_documents:
        yield from _read_csv_events(csv_documents)
    seen_ids = set()
    for page in read_pages(json_documents, report, kind_of=_kind_of):
        for record in map(lower_keys, _unwrap_records(page.records)):
            event = _parse_event(record) if "sourceidentity" in record else None
            if event and (event.id not in seen_ids or not event.id):
                seen_ids.add(event.id)
                yield event


def _kind_of(page: Page) -> str:
    """Events, assignments and apps are lists of their own."""
    return "events" if any("sourceIdentity" in as_dict(v) for v in page.records) else "others"


def _unwrap_records(records: Iterable[Any]) -> list[Row]:
    """Azure Monitor puts each event into `properties`, and some writers several into a record."""
    return [
        as_dict(event.get("properties")) | {"activityDateTime": event.get("time")}
        if "properties" in event and "category" in event
        else event
        for record in map(as_dict, records)
        for event in (as_dicts(record["records"]) if "records" in record else [record])
    ]


def _parse_event(fields: Row) -> ProvisioningEvent:
    source, target, app, system = (
        lower_keys(fields.get(name))
        for name in ("sourceidentity", "targetidentity", "serviceprincipal", "targetsystem")
    )
    status = lower_keys(fields.get("provisioningstatusinfo") or fields.get("statusinfo"))
    error = lower_keys(status.get("errorinformation")) or status
    details: Row = {}
    for step in map(lower_keys, as_dicts(fields.get("provisioningsteps"))):
        details |= lower_keys(step.get("details"))
    upn = lower_keys(source.get("details")).get("userprincipalname")
    new_values = _parse_new_values(fields, details)
    return _make_event(
        id=fields.get("id"),
        occurred_at=fields.get("activitydatetime"),
        action=fields.get("provisioningaction") or fields.get("action"),
        result=status.get("status"),
        object_type=source.get("identitytype") or target.get("identitytype"),
        app=app.get("id") or system.get("id"),
        app_name=_display_name(app) or _display_name(system),
        source_id=source.get("id"),
        name=_display_name(source),
        upn=upn or _email_or_empty(details.get("reportableidentifier")),
        target_id=target.get("id"),
        target_name=_display_name(target),
        username=new_values.get("username") or details.get("username"),
        code=error.get("errorcode"),
        reason=error.get("reason"),
        advice=error.get("recommendedaction"),
        new_values=new_values,
    )


def _parse_new_values(fields: Row, details: Row) -> Row:
    """Property, in lower case → new value."""
    properties = map(lower_keys, as_dicts(fields.get("modifiedproperties")))
    new_values = {
        str(name).casefold(): modified.get("newvalue")
        for modified in properties
        if (name := _display_name(modified))
    }
    if "approleassignments" in details:
        new_values.setdefault("approleassignments", details["approleassignments"])
    return new_values


def _make_event(
    *, occurred_at: Any, action: Any, result: Any, object_type: Any, new_values: Row, **texts: Any
) -> ProvisioningEvent:
    """An event from values that can be missing, capitalized, or None."""
    action_name = str(action or "").casefold()
    return ProvisioningEvent(
        occurred_at=_sortable_time(str(occurred_at or "")),
        action=ACTION_ALIASES.get(action_name, action_name.replace(" ", "")),
        result=str(result or "").casefold(),
        object_type=str(object_type or "").casefold(),
        new_values=new_values,
        **{name: "" if text is None else str(text) for name, text in texts.items()},
    )


def _sortable_time(time: str) -> str:
    """The time with six digits of a fraction, so that texts sort like times."""
    if not time:
        return ""
    seconds, _, fraction = time.rstrip("Zz").partition(".")
    return f"{seconds.replace(' ', 'T')}.{fraction[:FRACTION_DIGITS]:0<{FRACTION_DIGITS}}Z"


def _email_or_empty(text: Any) -> str:
    return text if isinstance(text, str) and "@" in text else ""


def _display_name(fields: Row) -> Any:
    return fields.get("displayname") or fields.get("name")


# ---- the portal's CSV files ----------------------------------------------------------------------


def _read_csv_events(documents: Sequence[Document]) -> Iterator[ProvisioningEvent]:
    """The log, joined with the file of modified properties beside it by the change ID."""
    logs, has_log = list[Document](), False
    new_values: dict[str, Row] = {}  # by change ID
    for document in documents:
        headings = set(map(normalize_name, document.prefix.headings))
        if headings & set(NEW_VALUE_HEADINGS):
            for row in _rows(document):
                name = _first_value(row, PROPERTY_NAME_HEADINGS).casefold()
                values = new_values.setdefault(row.get("changeid", ""), {})
                values[name] = _first_value(row, NEW_VALUE_HEADINGS)
        elif headings >= JSON_CELLS:
            yield from map(_parse_json_cells, _rows(document))
            has_log = True
        elif headings & set(CSV_HEADINGS["action"]):
            logs.append(document)
    if not logs and not has_log:
        raise NotAListOfAccounts(
            "The files belong to a provisioning log of Microsoft Entra, but the log itself is "
            "missing. Add ProvisioningLogs.csv to the ZIP archive."
        )
    for document in logs:
        for row in _rows(document):
            yield _parse_csv_event(row, new_values.get(row.get("changeid", ""), {}))


def _rows(document: Document) -> Iterator[dict[str, str]]:
    return (cells for _, cells in document.rows(name_of=normalize_name))


def _parse_json_cells(row: Mapping[str, str]) -> ProvisioningEvent:
    """An event of a table of Log Analytics, with objects as JSON in its cells."""
    fields: Row = dict(row)
    for name, text in row.items():
        if text.startswith(("{", "[")):
            with suppress(ValueError, RecursionError):
                fields[name] = json.loads(text)
    time = _first_value(row, ("timegeneratedutc", "timegenerated", "activitydatetime"))
    with suppress(ValueError):
        time = datetime.strptime(time, LOG_ANALYTICS_TIME).isoformat()  # in UTC
    return _parse_event(fields | {"activitydatetime": time})


def _parse_csv_event(row: Mapping[str, str], new_values: Row) -> ProvisioningEvent:
    values = {name: _first_value(row, headings) for name, headings in CSV_HEADINGS.items()}
    upn = new_values.get("userprincipalname")
    values["app"] = values["app"] or values["app_name"]
    values["upn"] = values["upn"] or _email_or_empty(upn)
    username = new_values.get("username") or upn
    return _make_event(**values, username=username, new_values=new_values)


def _first_value(row: Mapping[str, str], headings: Sequence[str]) -> str:
    return next((row[heading] for heading in headings if row.get(heading)), "")
