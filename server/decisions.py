"""Decisions in review rounds: taken, and recorded in the audit log."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from data.access.roles import LOCAL, NotAllowed, Permission
from data.records.audit_log import Event, append_once
from data.records.decisions import InvalidInput
from data.records.rounds import DECISIONS, DecisionOn, ItemKey, decide, logged_decisions
from queries.rounds.lists import find_round
from server.authorize import (
    authorize,
    denial_text,
    store_connection,
    writable_store,
)
from server.session import current_principal

NO_SUCH_ROUND = "This round does not exist."


class _TakenAlready(Exception):
    """A page that has no answer sends its decisions again."""


def record_in(
    con: Connection, event: Event, *details: Mapping[str, Any], sent_as: str = ""
) -> bool:
    """Record what the principal does in the transaction that does it: both happen, or neither.

    False if it was recorded already as sent by the principal under this ID.
    """
    name = current_principal().name
    return append_once(con, name, event, f"{name} {sent_as or uuid4()}", details)


def take_decisions(
    round_id: str, decisions: Sequence[DecisionOn], author: str, sent_as: str = ""
) -> None:
    """Take decisions of the principal, and record them. Raises InvalidInput.

    What was taken as the same `sent_as` is not taken again, whichever process answered.
    """
    names = {each.item.integration for each in decisions}
    for name in names:
        authorize(Permission.REVIEW_ROUNDS, name)
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        round_ = find_round(con, round_id)
    if round_ is None:
        raise InvalidInput(NO_SUCH_ROUND)
    store = writable_store(Permission.REVIEW_ROUNDS, min(names))
    of_round = {"round": round_.name, "id": round_id, "by": author}

    def record(con: Connection, at: datetime) -> None:
        more = of_round | {"decided_at": at.isoformat()}
        events = (details | more for details in logged_decisions(decisions))
        if not record_in(con, Event.ROUND_DECIDED, *events, sent_as=sent_as):
            raise _TakenAlready

    try:
        decide(store, round_id, decisions, author, record=record)
    except _TakenAlready:
        return


def answer_decisions(body: bytes) -> Response:
    """`POST /decide`: `[{"id": text, "round": ID, "by": name, "action": decision, "rows": […]}]`.

    The answer has a text for each: why it was not taken, or an empty one. A page that is left can
    send one twice; it is taken once. With sign-in, `by` does not count. One call at a time.
    """
    authorize(Permission.REVIEW_ROUNDS)
    try:
        return JSONResponse([_answer(**each) for each in json.loads(body)])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return PlainTextResponse(f"These are no decisions: {error!r}.", 400)


def _answer(*, id: str, round: str, by: str, action: Any, rows: Sequence[str]) -> str:
    name = current_principal().name
    author = by if name == LOCAL.name else name
    items = [ItemKey(*map(str, json.loads(row))) for row in rows]
    if action not in DECISIONS or not items:
        raise ValueError(action)
    try:
        take_decisions(round, [DecisionOn(item, action) for item in items], author, id)
    except InvalidInput as error:
        return str(error)
    except NotAllowed as error:
        return denial_text(error)
    return ""
