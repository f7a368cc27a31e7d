"""Why accounts fail: their reasons, those that differ in names and numbers only taken as one."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, and_, cast, func, select

from data.states import FAILED
from data.tables import FOREVER, account_version
from queries.days import Scope
from queries.durations import known
from queries.remembering import remembered

GAP = "…"
"""What stands in a template where texts differ."""

DAY = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?"

DIFFER: tuple[tuple[str, str], ...] = (
    (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+", GAP),  # addresses of pages
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", GAP),  # and of mail
    ("\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|\u2018[^\u2019]*\u2019|«[^»]*»|`[^`]*`", GAP),
    (r"(^|[\s(:=,])'[^']*'", rf"\1{GAP}"),  # not the apostrophe of a word
    (rf"{DAY}([T ]{CLOCK})?|{CLOCK}", GAP),
    (r"(\w[\w.+/-]*)?\d([\w.:,+/-]*\w)?", GAP),  # numbers, and words with a digit: ids
    (rf"{GAP}([\s,;/]+{GAP})+", GAP),  # several of them: a list
)  # fmt: skip
"""What is taken out of a reason, in this order, and what comes in its place."""


def template(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without what differs between accounts; an ellipsis stands where something was."""

    def without(left: ColumnElement[Any], differ: tuple[str, str]) -> ColumnElement[Any]:
        pattern, replacement = differ
        return func.regexp_replace(left, pattern, replacement, "g")

    return func.trim(reduce(without, DIFFER, text))


@remembered(16)
def failure_reasons(con: Connection, scope: Scope, *, limit: int = 8) -> pd.DataFrame:
    """One row per reason that accounts fail for at the moment, the most accounts first.

    [reason, words, accounts, before, first_seen]: `words` is the template of one of its texts, NULL
    where there is none; `before` are the accounts that failed for it
    just before the scope, `first_seen` is the first snapshot that tells of it, ever. Accounts with
    a failure code are one reason by the code, the others by the template of their text. Each text
    is taken once, and then its template: texts are many, different ones are fewer.
    """
    version = account_version.c
    texts = (
        select(
            version.failure_code.label("code"),
            version.state_reason.label("text"),
            _there_at(scope.at).label("accounts"),
            _there_at(scope.before.at).label("before"),
            func.min(version.valid_from).label("first_seen"),
        )
        .where(version.provisioning_state.in_(FAILED), *known(scope.integrations, scope.at))
        .group_by(version.failure_code, version.state_reason)
        .subquery("texts")
    )
    words = template(texts.c.text)
    reason = func.coalesce(texts.c.code, words, "No reason given")
    reasons = (
        select(
            reason.label("reason"),
            func.min(words).filter(texts.c.accounts > 0).label("words"),
            cast(func.sum(texts.c.accounts), BigInteger).label("accounts"),
            cast(func.sum(texts.c.before), BigInteger).label("before"),
            func.min(texts.c.first_seen).label("first_seen"),
        )
        .group_by(reason)
        .having(func.sum(texts.c.accounts) > 0)
        .order_by(func.sum(texts.c.accounts).desc(), reason)
        .limit(limit)
    )
    rows = con.execute(reasons)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def _there_at(moment: Any) -> ColumnElement[Any]:
    """How many of the versions hold at the moment, which None says is now."""
    version = account_version.c
    if moment is None:
        holds = version.valid_to == FOREVER
    else:
        holds = and_(version.valid_from <= moment, version.valid_to > moment)
    return func.count().filter(holds)
