"""Decisions in review rounds: taken, and recorded in the audit log."""

import json
from collections.abc import Sequence
from typing import Any

from cachetools import LRUCache
from starlette.responses import JSONResponse, PlainTextResponse, Response

from data.access.roles import LOCAL, NotAllowed, Permission
from data.records.audit_log import Event
from data.records.decisions import InvalidInput
from data.records.rounds import DECISIONS, DecisionOn, ItemKey, decide, logged_decisions
from queries.rounds.lists import find_round
from server.authorize import (
    authorize,
    denial_text,
    record_decision,
    store_connection,
    writable_store,
)
from server.session import current_principal

NO_SUCH_ROUND = "This round does not exist."


_answers: LRUCache[tuple[str, str], str] = LRUCache(maxsize=10_000)
"""Name and ID → the answer to what was sent last."""


def take_decisions(round_id: str, decisions: Sequence[DecisionOn], author: str) -> None:
    """Take decisions of the principal, and record them. Raises InvalidInput."""
    names = {each.item.integration for each in decisions}
    for name in names:
        authorize(Permission.REVIEW_ROUNDS, name)
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        round_ = find_round(con, round_id)
    if round_ is None:
        raise InvalidInput(NO_SUCH_ROUND)
    store = writable_store(Permission.REVIEW_ROUNDS, min(names))
    decided_at = decide(store, round_id, decisions, author)
    of_round = {"round": round_.name, "id": round_id, "by": author}
    for details in logged_decisions(decisions):
        at = decided_at.isoformat()
        record_decision(Event.ROUND_DECIDED, **details, **of_round, decided_at=at)


def answer_decisions(body: bytes) -> Response:
    """`POST /decide`: `[{"id": text, "round": ID, "by": name, "action": decision, "rows": […]}]`.

    The answer has a text for each: why it was not taken, or an empty one. A page that is left can
    send one twice; it is taken once. With sign-in, `by` does not count. One call at a time.
    """
    name = authorize(Permission.REVIEW_ROUNDS).name
    try:
        return JSONResponse([_answer_once(name, each) for each in json.loads(body)])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return PlainTextResponse(f"These are no decisions: {error!r}.", 400)


def _answer_once(name: str, sent: dict[str, Any]) -> str:
    key = name, sent.pop("id")
    if key not in _answers:
        _answers[key] = _answer(**sent)
    return _answers[key]


def _answer(*, round: str, by: str, action: Any, rows: Sequence[str]) -> str:
    name = current_principal().name
    author = by if name == LOCAL.name else name
    items = [ItemKey(*map(str, json.loads(row))) for row in rows]
    if action not in DECISIONS or not items:
        raise ValueError(action)
    try:
        take_decisions(round, [DecisionOn(item, action) for item in items], author)
    except InvalidInput as error:
        return str(error)
    except NotAllowed as error:
        return denial_text(error)
    return ""
