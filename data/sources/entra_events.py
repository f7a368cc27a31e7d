"""Provisioning events of Microsoft Entra, in each of the forms in which they are to be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Part, pages
from data.sources.source import Row, Said, mapping, objects

OTHER_ACTIONS = {"other": "update", "soft delete": "stageddelete", "softdelete": "stageddelete"}
FRACTION = 6
"""Digits of a second's fraction that a time has here; Azure Monitor writes seven."""

USERNAMES = ("username", "userprincipalname")

CSV_COLUMNS: dict[str, tuple[str, ...]] = {
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
PROPERTY_NAME = ("modifiedpropertyname", "propertyname", "displayname", "name", "property")
NEW_VALUE = ("newvalue", "modifiedpropertynewvalue", "new")


@dataclass(frozen=True)
class Event:
    """One thing that provisioning did, or tried to do, with one object of the directory."""

    id: str
    at: str  # ISO 8601 in UTC, comparable as text; empty where it is not told
    action: str  # create, update, disable, stageddelete, delete
    result: str  # success, failure, skipped, warning
    kind: str  # what it was about: user, group, …
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
    changed: Mapping[str, Any] = field(default_factory=dict)  # property, lower case → new value

    @property
    def person(self) -> str:
        """What tells one user of the app from another, whatever happened to it."""
        return self.source_id or self.target_id or self.upn or self.username

    @property
    def is_user(self) -> bool:
        """Whether it is about a user; the portal's CSV need not say so."""
        return self.kind in ("user", "") and bool(self.person)

    @property
    def succeeded(self) -> bool:
        """Whether it came to be, with a warning perhaps."""
        return self.result in ("success", "warning")


def events(parts: Sequence[Part], said: Said) -> Iterator[Event]:
    """Every event once, in no order."""
    tables = [part for part in parts if part.beginning.headings]
    if tables:
        yield from _of_tables(tables)
    seen, followed = set(), False
    for page in pages([part for part in parts if part not in tables], "value"):
        found = _records(page.records)
        if not found or not any(map(_is_event, found)):
            continue
        followed = bool(page.envelope.get("@odata.nextLink")) if page.is_list else followed
        for raw in found:
            event = _event(raw)
            if event.id not in seen or not event.id:
                seen.add(event.id)
                yield event
    if followed:
        said.incomplete = "the last page names another one (@odata.nextLink), which is not here"


def _records(found: Iterable[Any]) -> list[Row]:
    """Azure Monitor has each event among `properties`, and some writers put several into one."""
    return [
        mapping(each.get("properties")) | {"activityDateTime": each.get("time")}
        if "properties" in each and "category" in each
        else each
        for record in map(mapping, found)
        for each in (objects(record["records"]) if "records" in record else [record])
    ]


def _is_event(found: Row) -> bool:
    return "sourceidentity" in _lower(found)


def _event(raw: Row) -> Event:
    found = _lower(raw)
    source, target = _lower(found.get("sourceidentity")), _lower(found.get("targetidentity"))
    about, app = _lower(source.get("details")), _lower(found.get("serviceprincipal"))
    status = _lower(found.get("provisioningstatusinfo")) or _lower(found.get("statusinfo"))
    error = _lower(status.get("errorinformation")) or status
    steps = [_lower(step) for step in objects(found.get("provisioningsteps"))]
    details = {key: value for step in steps for key, value in _lower(step.get("details")).items()}
    changed = {
        str(name).casefold(): each.get("newvalue")
        for each in map(_lower, objects(found.get("modifiedproperties")))
        if (name := each.get("displayname") or each.get("name"))
    }
    if "approleassignments" in details:
        changed.setdefault("approleassignments", details["approleassignments"])
    return _made(
        id=found.get("id"),
        at=found.get("activitydatetime"),
        action=found.get("provisioningaction") or found.get("action"),
        result=status.get("status"),
        kind=source.get("identitytype") or target.get("identitytype"),
        app=app.get("id") or _lower(found.get("targetsystem")).get("id"),
        app_name=_name(app) or _name(_lower(found.get("targetsystem"))),
        source_id=source.get("id"),
        name=_name(source),
        upn=about.get("userprincipalname") or _if_email(details.get("reportableidentifier")),
        target_id=target.get("id"),
        target_name=_name(target),
        username=changed.get("username") or details.get("username"),
        code=error.get("errorcode"),
        reason=error.get("reason"),
        advice=error.get("recommendedaction"),
        changed=changed,
    )


def _made(*, at: Any, action: Any, result: Any, kind: Any, changed: Row, **texts: Any) -> Event:
    """An event of values that may be missing, capitalised, or None."""
    did = str(action or "").casefold()
    return Event(
        at=_comparable(str(at or "")),
        action=OTHER_ACTIONS.get(did, did.replace(" ", "")),
        result=str(result or "").casefold(),
        kind=str(kind or "").casefold(),
        changed=changed,
        **{name: "" if text is None else str(text) for name, text in texts.items()},
    )


def _comparable(at: str) -> str:
    """All with six digits of the second's fraction, so that the order of texts is that of times."""
    whole, _, rest = at.rstrip("Zz").partition(".")
    return f"{whole.replace(' ', 'T')}.{rest[:FRACTION]:0<{FRACTION}}Z" if at else ""


def _if_email(text: Any) -> str:
    return text if isinstance(text, str) and "@" in text else ""


def _name(found: Row) -> Any:
    return found.get("displayname") or found.get("name")


def _lower(value: Any) -> Row:
    return {key.casefold(): each for key, each in value.items()} if isinstance(value, dict) else {}


# ---- the portal's CSV files ----------------------------------------------------------------------


def _of_tables(tables: Sequence[Part]) -> Iterator[Event]:
    """The log, with what each change modified from the file beside it, joined on the change ID."""
    logs, changed = [], {}
    for part in tables:
        headings = {_plainly(heading) for heading in part.beginning.headings}
        if headings & set(CSV_COLUMNS["action"]) and not headings & set(NEW_VALUE):
            logs.append(part)
        elif headings & set(NEW_VALUE):
            for _, cells in part.rows():
                cell = {_plainly(heading): text for heading, text in cells.items()}
                name = _first(cell, PROPERTY_NAME).casefold()
                changed.setdefault(cell.get("changeid", ""), {})[name] = _first(cell, NEW_VALUE)
    if not logs:
        raise NotAListOfAccounts(
            "The files are of Microsoft Entra’s provisioning logs, but the log itself is not among "
            "them. Put ProvisioningLogs.csv into the ZIP archive as well."
        )
    for part in logs:
        for _, cells in part.rows():
            cell = {_plainly(heading): text for heading, text in cells.items()}
            yield _of_cells(cell, changed.get(cell.get("changeid", ""), {}))


def _of_cells(cell: Mapping[str, str], changed: Row) -> Event:
    found = {name: _first(cell, headings) for name, headings in CSV_COLUMNS.items()}
    return _made(
        id=found["id"] or found["changeid"],
        at=found["activitydatetime"],
        action=found["action"],
        result=found["status"],
        kind=found["source_kind"],
        app=found["app"] or found["app_name"],
        app_name=found["app_name"],
        source_id=found["source_id"],
        name=found["source_name"],
        upn=found["upn"] or _if_email(changed.get("userprincipalname")),
        target_id=found["target_id"],
        target_name=found["target_name"],
        username=next((changed[name] for name in USERNAMES if changed.get(name)), None),
        code=found["code"],
        reason=found["reason"],
        advice=found["advice"],
        changed=changed,
    )


def _plainly(heading: str) -> str:
    return "".join(c for c in heading.casefold() if c.isalnum())


def _first(cell: Mapping[str, str], headings: Sequence[str]) -> str:
    return next((cell[heading] for heading in headings if cell.get(heading)), "")
