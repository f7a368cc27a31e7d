"""Provisioning events of Microsoft Entra, in each of the forms in which they are to be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document, read_pages
from data.sources.source import Row, SourceReport, as_dict, as_dicts

ACTION_ALIASES = {"other": "update", "soft delete": "stageddelete", "softdelete": "stageddelete"}
FRACTION_DIGITS = 6
"""Digits of a second's fraction that a time has here; Azure Monitor writes seven."""

USERNAME_PROPERTIES = ("username", "userprincipalname")

CSV_HEADINGS: dict[str, tuple[str, ...]] = {
    "id": ("id", "logid"),
    "changeid": ("changeid",),
    "activitydatetime": ("activitydatetime", "date", "dateutc", "datetime", "timestamp", "time"),
    "action": ("provisioningaction", "action"),
    "status": ("status", "provisioningstatus", "statusinfostatus", "result"),
    "code": ("errorcode", "statuserrorcode", "code"),
    "reason": ("statusreason", "reason", "errorreason", "failurereason"),
    "advice": ("recommendedaction", "advice"),
    "source_id": ("sourceid", "sourceidentityid", "sourceobjectid"),
    "source_name": ("sourcename", "sourceidentitydisplayname", "sourcedisplayname", "identity"),
    "source_kind": (
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
"""What is wanted → headings of the portal's CSV files, letters and digits only. Nobody publishes
them, so they are taken in any of the spellings that the portal and Graph use."""
PROPERTY_NAME_HEADINGS = ("modifiedpropertyname", "propertyname", "displayname", "name", "property")
NEW_VALUE_HEADINGS = ("newvalue", "modifiedpropertynewvalue", "new")


@dataclass(frozen=True)
class ProvisioningEvent:
    """One thing that provisioning did, or tried to do, with one object of the directory."""

    id: str
    occurred_at: str  # ISO 8601 in UTC, comparable as text; empty where it is not told
    action: str  # create, update, disable, stageddelete, delete
    result: str  # success, failure, skipped, warning
    object_type: str  # what it was about: user, group, …
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
        """What tells one user of the app from another, whatever happened to it."""
        return self.source_id or self.target_id or self.upn or self.username

    @property
    def is_user(self) -> bool:
        """Whether it is about a user; the portal's CSV need not say so."""
        return self.object_type in ("user", "") and bool(self.user_key)

    @property
    def succeeded(self) -> bool:
        """Whether it came to be, with a warning perhaps."""
        return self.result in ("success", "warning")


def read_events(documents: Sequence[Document], report: SourceReport) -> Iterator[ProvisioningEvent]:
    """Every event once, in no order."""
    csv_documents = [document for document in documents if document.prefix.headings]
    if csv_documents:
        yield from _read_csv_events(csv_documents)
    seen_ids, has_next_page = set(), False
    for page in read_pages(
        [document for document in documents if document not in csv_documents], "value"
    ):
        records = _unwrap_records(page.records)
        if not records or not any(map(_is_event, records)):
            continue
        has_next_page = (
            bool(page.envelope.get("@odata.nextLink")) if page.is_list else has_next_page
        )
        for record in records:
            event = _parse_event(record)
            if event.id not in seen_ids or not event.id:
                seen_ids.add(event.id)
                yield event
    if has_next_page:
        report.incomplete_reason = (
            "the last page names another one (@odata.nextLink), which is not here"
        )


def _unwrap_records(records: Iterable[Any]) -> list[Row]:
    """Azure Monitor has each event among `properties`, and some writers put several into one."""
    return [
        as_dict(event_record.get("properties")) | {"activityDateTime": event_record.get("time")}
        if "properties" in event_record and "category" in event_record
        else event_record
        for record in map(as_dict, records)
        for event_record in (as_dicts(record["records"]) if "records" in record else [record])
    ]


def _is_event(record: Row) -> bool:
    return "sourceidentity" in _lower_keys(record)


def _parse_event(raw_event: Row) -> ProvisioningEvent:
    fields = _lower_keys(raw_event)
    source, target = (
        _lower_keys(fields.get("sourceidentity")),
        _lower_keys(fields.get("targetidentity")),
    )
    source_details, app = (
        _lower_keys(source.get("details")),
        _lower_keys(fields.get("serviceprincipal")),
    )
    status = _lower_keys(fields.get("provisioningstatusinfo")) or _lower_keys(
        fields.get("statusinfo")
    )
    error = _lower_keys(status.get("errorinformation")) or status
    steps = [_lower_keys(step) for step in as_dicts(fields.get("provisioningsteps"))]
    details = {
        key: value for step in steps for key, value in _lower_keys(step.get("details")).items()
    }
    new_values = {
        str(name).casefold(): modified_property.get("newvalue")
        for modified_property in map(_lower_keys, as_dicts(fields.get("modifiedproperties")))
        if (name := modified_property.get("displayname") or modified_property.get("name"))
    }
    if "approleassignments" in details:
        new_values.setdefault("approleassignments", details["approleassignments"])
    return _make_event(
        id=fields.get("id"),
        occurred_at=fields.get("activitydatetime"),
        action=fields.get("provisioningaction") or fields.get("action"),
        result=status.get("status"),
        object_type=source.get("identitytype") or target.get("identitytype"),
        app=app.get("id") or _lower_keys(fields.get("targetsystem")).get("id"),
        app_name=_display_name(app) or _display_name(_lower_keys(fields.get("targetsystem"))),
        source_id=source.get("id"),
        name=_display_name(source),
        upn=source_details.get("userprincipalname")
        or _email_or_empty(details.get("reportableidentifier")),
        target_id=target.get("id"),
        target_name=_display_name(target),
        username=new_values.get("username") or details.get("username"),
        code=error.get("errorcode"),
        reason=error.get("reason"),
        advice=error.get("recommendedaction"),
        new_values=new_values,
    )


def _make_event(
    *, occurred_at: Any, action: Any, result: Any, object_type: Any, new_values: Row, **texts: Any
) -> ProvisioningEvent:
    """An event of values that may be missing, capitalised, or None."""
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
    """All with six digits of the second's fraction, so that the order of texts is that of times."""
    seconds, _, fraction = time.rstrip("Zz").partition(".")
    return (
        f"{seconds.replace(' ', 'T')}.{fraction[:FRACTION_DIGITS]:0<{FRACTION_DIGITS}}Z"
        if time
        else ""
    )


def _email_or_empty(text: Any) -> str:
    return text if isinstance(text, str) and "@" in text else ""


def _display_name(fields: Row) -> Any:
    return fields.get("displayname") or fields.get("name")


def _lower_keys(value: Any) -> Row:
    return {key.casefold(): item for key, item in value.items()} if isinstance(value, dict) else {}


# ---- the portal's CSV files ----------------------------------------------------------------------


def _read_csv_events(csv_documents: Sequence[Document]) -> Iterator[ProvisioningEvent]:
    """The log, with what each change modified from the file beside it, joined on the change ID."""
    logs, new_values_by_change = [], {}
    for document in csv_documents:
        headings = {_normalize_heading(heading) for heading in document.prefix.headings}
        if headings & set(CSV_HEADINGS["action"]) and not headings & set(NEW_VALUE_HEADINGS):
            logs.append(document)
        elif headings & set(NEW_VALUE_HEADINGS):
            for _, cells in document.rows():
                row = {_normalize_heading(heading): text for heading, text in cells.items()}
                name = _first_value(row, PROPERTY_NAME_HEADINGS).casefold()
                new_values_by_change.setdefault(row.get("changeid", ""), {})[name] = _first_value(
                    row, NEW_VALUE_HEADINGS
                )
    if not logs:
        raise NotAListOfAccounts(
            "The files are of Microsoft Entra’s provisioning logs, but the log itself is not among "
            "them. Put ProvisioningLogs.csv into the ZIP archive as well."
        )
    for document in logs:
        for _, cells in document.rows():
            row = {_normalize_heading(heading): text for heading, text in cells.items()}
            yield _parse_csv_event(row, new_values_by_change.get(row.get("changeid", ""), {}))


def _parse_csv_event(row: Mapping[str, str], new_values: Row) -> ProvisioningEvent:
    values = {name: _first_value(row, headings) for name, headings in CSV_HEADINGS.items()}
    return _make_event(
        id=values["id"] or values["changeid"],
        occurred_at=values["activitydatetime"],
        action=values["action"],
        result=values["status"],
        object_type=values["source_kind"],
        app=values["app"] or values["app_name"],
        app_name=values["app_name"],
        source_id=values["source_id"],
        name=values["source_name"],
        upn=values["upn"] or _email_or_empty(new_values.get("userprincipalname")),
        target_id=values["target_id"],
        target_name=values["target_name"],
        username=next(
            (new_values[name] for name in USERNAME_PROPERTIES if new_values.get(name)), None
        ),
        code=values["code"],
        reason=values["reason"],
        advice=values["advice"],
        new_values=new_values,
    )


def _normalize_heading(heading: str) -> str:
    return "".join(c for c in heading.casefold() if c.isalnum())


def _first_value(row: Mapping[str, str], headings: Sequence[str]) -> str:
    return next((row[heading] for heading in headings if row.get(heading)), "")
