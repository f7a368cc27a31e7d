"""Takes the names of other accounts out of failure reasons.

A name is sought as a whole: a username, an ID, an email, its part before or after the @, the name
of a user; of every account of the integration in all its history. First names alone are not: in a
large integration, somebody has most words as one.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.history.as_of import Span
from data.history.failure_reasons import (
    PART_SEPARATOR,
    PLACEHOLDER,
    SHORT_NUMBER,
    VARIABLE_PARTS,
)
from data.schema import (
    account,
    account_current,
    account_profile,
    account_version,
    failure_reason,
    insert_rows,
    is_same_account,
)
from data.staging import stage_delta
from data.states import NO_REASON
from data.store.dialect import occurs_in

NAME_COLUMNS = ("username_in_app", "user_name", "user_email", "upstream_user_id")

MAX_NAME_LENGTH = 200
NAME_START = re.compile(r"(?<![^\W_])[^\W_]|(?<!\S)\S")
NAME_END = re.compile(r"[^\W_](?![^\W_])|\S(?=[.,;:!?]*(?!\S))")
"""Letters and digits that begin or end there, or what stands beside a space."""


def update_failure_reasons(con: Connection, span: Span) -> None:
    """Bring `failure_reason` up to date, after the span was written into the versions.

    A snapshot that extends the history adds texts, which are compared with all names, and names,
    which are compared with all texts. After any other change, names and texts may be gone, so that
    all are compared: the order of loading makes no difference.
    """
    known = _texts(con, failure_reason, span) if span.is_append else set()
    listed = _texts(con, stage_delta if span.is_append else account_version, span)
    is_added = and_(_is_of(stage_delta, span), stage_delta.c.content_since == span.taken_at)
    added_names = _names_in(con, known, stage_delta, is_added)
    outdated = {text for text in known if _without_names(text, added_names) != text}
    texts = sorted(listed - known | outdated)
    names = _names_in(con, texts, account_profile, _is_of(account_profile, span))
    is_outdated = failure_reason.c.failure_text.in_(outdated) if span.is_append else sa.true()
    con.execute(sa.delete(failure_reason).where(_is_of(failure_reason, span), is_outdated))
    _add_reasons(con, span, texts, [_without_names(text, names) for text in texts])
    if names or not span.is_append or _has_cleaned(con, span, listed):
        for table in (account_version, account_current):
            _update_reasons(con, span, table)


def _has_cleaned(con: Connection, span: Span, texts: Set[str]) -> bool:
    """Whether a name was taken out of one of the texts, now or by an earlier load."""
    shown = failure_reason.c
    rows = con.execute(select(shown.failure_text, shown.reason).where(_is_of(failure_reason, span)))
    return any(text in texts and _shown(text)[0] != reason for text, reason in rows)


def _shown(text: str) -> tuple[str, str | None]:
    """The reason and the template of a text without names."""
    code, _, template = text.partition(PART_SEPARATOR)
    return code or template or NO_REASON, template or None


def _is_of(rows: sa.FromClause, span: Span) -> ColumnElement[bool]:
    return rows.c.integration_id == span.integration_id


def _texts(con: Connection, rows: sa.FromClause, span: Span) -> set[str]:
    text = rows.c.failure_text
    return set(con.scalars(select(text).distinct().where(_is_of(rows, span), text.is_not(None))))


def _names_in(
    con: Connection, texts: Iterable[str], rows: sa.FromClause, condition: ColumnElement[bool]
) -> set[str]:
    """The parts of the texts that name an account of the rows, spelled as in the texts."""
    parts = {text[start:end] for text in texts for start, end in _parts(text)}
    if not parts:
        return set()
    part = select(_unnested(sorted(parts)).label("text")).subquery("part")
    key = func.lower(part.c.text)
    name = _names(rows, condition).subquery("name")
    found = select(name.c.key).where(name.c.key.in_(select(key))).distinct().subquery("found")
    return set(con.scalars(select(part.c.text).join_from(part, found, found.c.key == key)))


def _names(rows: sa.FromClause, condition: ColumnElement[bool]) -> sa.CompoundSelect[str]:
    """All names of accounts in lower case. The parts of an email take longer than all the rest."""
    email, username = rows.c.user_email, rows.c.username_in_app
    is_other_address = and_(occurs_in("@", username), username.is_distinct_from(email))
    wholes = (select(func.lower(rows.c[column]).label("key")) for column in NAME_COLUMNS)
    ids = select(func.lower(account.c.account_id)).join_from(
        account, rows, is_same_account(account, rows)
    )
    parts = [
        (func.lower(func.split_part(a, "@", n)), c)
        for n in (1, 2)
        for a, c in ((email, sa.true()), (username, is_other_address))
    ]
    return sa.union_all(
        *(q.where(condition) for q in (*wholes, ids)),
        *(select(p).where(condition, c) for p, c in parts),
    )


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Where a part of the text that can be a name starts and ends."""
    ends = [match.end() for match in NAME_END.finditer(text)]
    for match in NAME_START.finditer(text):
        start = match.start()
        for end in ends[bisect_right(ends, start) :]:
            part = text[start:end]
            if len(part) > MAX_NAME_LENGTH or part.endswith((PLACEHOLDER, PART_SEPARATOR)):
                break
            if any(map(str.isalnum, part)) and not re.match(SHORT_NUMBER, part):
                yield start, end


def _without_names(text: str, names: Set[str]) -> str:
    """The text with a placeholder for all that belongs to a name."""
    result, done = "", 0
    for start, end in _parts(text) if names else ():
        if text[start:end] in names:
            if start >= done:
                result += text[done:start] + PLACEHOLDER
            done = max(done, end)
    list_of_placeholders, _ = VARIABLE_PARTS[-1]
    return re.sub(list_of_placeholders, PLACEHOLDER, result + text[done:])


def _unnested(texts: Sequence[str | None]) -> ColumnElement[str]:
    return func.unnest(sa.literal(texts, sa.ARRAY(sa.String)))


def _add_reasons(con: Connection, span: Span, texts: list[str], shown_texts: list[str]) -> None:
    """One row per text; a list for each column, as DuckDB inserts rows one by one."""
    if not texts:
        return
    reasons, templates = zip(*map(_shown, shown_texts), strict=True)
    columns = (texts, list(reasons), list(templates))
    integration_id = sa.literal(span.integration_id, sa.Integer)
    insert_rows(con, failure_reason, select(integration_id, *map(_unnested, columns)))


def _update_reasons(con: Connection, span: Span, table: sa.Table) -> None:
    shown = failure_reason.c
    con.execute(
        sa.update(table)
        .values(failure_reason=shown.reason)
        .where(
            *(_is_of(rows, span) for rows in (table, failure_reason)),
            table.c.failure_text == shown.failure_text,
            table.c.failure_reason != shown.reason,
        )
    )
