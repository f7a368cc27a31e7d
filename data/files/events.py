"""Logs of events: a row per sign-in or change, not per account."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from data.files.headers import heading_words
from data.files.profile import Profile
from data.files.proposal import Proposal, quote_headings
from data.files.relation import FileRows
from data.files.text import trim_or_null, username_key
from data.formatting import count_of

EVENT_HEADINGS = """
    event, event name, event type, event id, event description, event category, event action
    audit event, action, action name, action type, operation, operations, operation name
    operation type, activity, activity name, activity type, activity display name, change type
    log type, display message, request type, ereignis, aktion, vorgang, aktivität
    événement, opération, activité, evento, acción, operación, actividad, ação, operação, atividade
    azione, operazione, attività, gebeurtenis, actie, イベント, アクション, 操作
"""
"""Headings of what happened."""

MOMENT_HEADINGS = """
    time, timestamp, time stamp, date, date time, date and time, event time, event date
    event timestamp, event date time, time generated, time created, generated time, logged at
    log time, log date, occurred at, occurred on, occurred, performed at, performed on, action time
    action date, action timestamp, activity date, activity time, activity date time, when
    zeit, zeitstempel, zeitpunkt, datum, datum uhrzeit, datum und uhrzeit, date heure
    date et heure, horodatage, fecha, fecha hora, fecha y hora, data hora, data e hora, data ora
    data e ora, tijd, tijdstip, datum en tijd, 日時, 発生日時, 日付, タイムスタンプ
"""
"""Headings of when it happened."""

MIN_SHARE = 0.2
"""Of the rows: so many are of a username or a role that another row gives another time for."""

DIFFERS = "{heading} differs between the rows of one username: {rows} of {usernames}"
NAMED = "each row has {event} and {moment}"


def _keys(headings: str) -> frozenset[str]:
    names = (name for line in headings.splitlines() for name in line.split(","))
    return frozenset(heading_words(name).replace(" ", "") for name in names if name.strip())


EVENTS, MOMENTS = _keys(EVENT_HEADINGS), _keys(MOMENT_HEADINGS)


def find_events(
    con: Connection,
    rows: FileRows,
    proposal: Proposal,
    profiles: Mapping[str, Profile],
    decided: Sequence[str],
) -> str:
    """Why the rows are events; empty where they are not.

    `decided`: headings whose column a person has chosen. Their times are no events.
    """
    columns = proposal.mapping.columns
    used = {h for name, found in columns.items() if name != "last_updated" for h in found}
    free = [h for h in rows.cells if h not in used and h not in decided]
    times = [h for h in free if profiles[h].share("time", "digits") >= 0.9]
    keys = {h: heading_words(h).replace(" ", "") for h in free}
    moment = next((h for h in times if keys[h] in MOMENTS), "")
    event = next((h for h in free if keys[h] in EVENTS and profiles[h].filled), "")
    if moment and event:
        return NAMED.format(event=quote_headings([event]), moment=quote_headings([moment]))
    username = next(iter(columns.get("username_in_app", ())), "")
    if not (times and username) or profiles[username].distinct == profiles[username].filled:
        return ""
    roles = (*columns.get("roles", ()), *columns.get("role_resource", ()))
    if guess := proposal.unsure.get("roles"):
        roles += guess.headings
    counts = con.execute(select(*_counts(rows, username, roles, times))).one()
    most = counts.rows * MIN_SHARE
    found = (h for h, count in zip(times, counts[3:], strict=True) if count - counts.keys >= most)
    if not (heading := next(found, "")):
        return ""
    return DIFFERS.format(
        heading=quote_headings([heading]),
        rows=count_of(counts.rows, "row"),
        usernames=count_of(counts.usernames, "username"),
    )


def _counts(
    rows: FileRows, username: str, roles: Sequence[str], times: Sequence[str]
) -> list[ColumnElement[Any]]:
    """Rows, usernames, usernames with a role; and for each of the times, these with a time."""
    name = username_key(trim_or_null(rows.cells[username])).label("username")
    key = func.hash(name, *(trim_or_null(rows.cells[h]) for h in roles)).label("role")
    texts = [rows.cells[h].label(f"time_{n}") for n, h in enumerate(times)]
    c = select(name, key, *texts).select_from(rows.records).subquery("cell").c
    is_row = c.username.is_not(None)
    distinct = [func.hash(c.role, c[text.name]).distinct() for text in texts]
    counted = [func.count(d).filter(is_row) for d in (c.username.distinct(), c.role.distinct())]
    return [
        func.count(c.username).label("rows"),
        counted[0].label("usernames"),
        counted[1].label("keys"),
        *(func.count(d).filter(is_row) for d in distinct),
    ]
