"""Takes the names of accounts out of failure reasons, those of other integrations included.

A name is sought as a whole: a username, an ID, an email, its part before or after the @, the name
of a user, and each word of it; of every account in all history. With a domain goes the whole host
or address. A word of a name that is an ordinary word, too, stays unless it is written like a name:
with a capital within a sentence.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.history.as_of import Span
from data.history.failure_reasons import (
    PART_SEPARATOR,
    PLACEHOLDER,
    SHORT_NUMBER,
    VARIABLE_PARTS,
)
from data.history.ordinary_words import ORDINARY_WORDS
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

NAME_PUNCTUATION = ',;.()[]<>"'
"""Beside a word of a name, not in it."""

MAX_NAME_LENGTH = 200
NAME_START = re.compile(r"(?<![^\W_])[^\W_]|(?<!\S)\S")
NAME_END = re.compile(r"[^\W_](?![^\W_])|\S(?=[.,;:!?]*(?!\S))")
"""Letters and digits that begin or end there, or what stands beside a space."""


SENTENCE_START = re.compile(r"(?:^|[.:!?(\x1d…])\s*$")
_Key = tuple[int, str]
"""An integration and a text of its versions."""

_Shown = tuple[str, str | None]
"""The reason and the template that are shown for a text."""


class _Names(NamedTuple):
    """Parts of texts that name an account, spelled as in the texts."""

    anywhere: set[str]
    within_sentences: set[str]  # ordinary words with a capital
    hosts: set[str]


def update_failure_reasons(con: Connection, span: Span) -> None:
    """Bring `failure_reason` up to date, after the span was written into the versions.

    A snapshot that extends the history adds texts, which are compared with all names, and names,
    which are compared with all texts. After any other change, names and texts may be gone, so that
    all are compared: the order of loading makes no difference.
    """
    own = span.integration_id
    stored: dict[_Key, _Shown] = {
        (row.integration_id, row.failure_text): (row.reason, row.template)
        for row in con.execute(select(failure_reason))
    }
    listed = {(own, text) for text in _texts(con, span)}
    keys = listed.union(key for key in stored if span.is_append or key[0] != own)
    known = {text: shown for (_, text), shown in stored.items()} if span.is_append else {}
    shown = _shown_without_names(con, span, known, {text for _, text in keys})
    changed = stored.keys() - keys
    changed |= {key for key in keys if stored.get(key) != shown[key[1]]}
    _replace_reasons(con, changed, {key: shown[key[1]] for key in changed & keys})
    outdated = {integration_id for integration_id, _ in changed - listed}
    if not span.is_append or any(_shown(text) != shown[text] for _, text in listed):
        outdated.add(own)
    for integration_id in sorted(outdated):
        for table in (account_version, account_current):
            _update_reasons(con, integration_id, table)


def _shown_without_names(
    con: Connection, span: Span, known: dict[str, _Shown], texts: set[str]
) -> dict[str, _Shown]:
    """What is shown for each of the texts. `known` is what was, before the span added names."""
    is_of_span = _is_of(stage_delta, span.integration_id)
    is_added = and_(is_of_span, stage_delta.c.content_since == span.taken_at)
    added = _names_in(con, known, stage_delta, is_added)
    stale = {text for text in texts if text not in known or _without_names(text, added) != text}
    names = _names_in(con, stale, account_profile, sa.true())
    return known | {text: _shown(_without_names(text, names)) for text in stale}


def _shown(text: str) -> tuple[str, str | None]:
    """The reason and the template of a text without names."""
    code, _, template = text.partition(PART_SEPARATOR)
    return code or template or NO_REASON, template or None


def _is_of(rows: sa.FromClause, integration_id: int) -> ColumnElement[bool]:
    return rows.c.integration_id == integration_id


def _texts(con: Connection, span: Span) -> set[str]:
    """The texts of the integration; of a snapshot that extends the history, only its own."""
    rows = stage_delta if span.is_append else account_version
    text, is_own = rows.c.failure_text, _is_of(rows, span.integration_id)
    return set(con.scalars(select(text).distinct().where(is_own, text.is_not(None))))


def _names_in(
    con: Connection, texts: Iterable[str], rows: sa.FromClause, condition: ColumnElement[bool]
) -> _Names:
    """The parts of the texts that name an account of the rows."""
    found = _Names(set(), set(), set())
    parts = {part for text in texts for part in _part_texts(text)}
    if not parts:
        return found
    part = select(_unnested(sorted(parts)).label("text")).subquery("part")
    key = func.lower(part.c.text)
    name = sa.union_all(*_names(rows, condition)).subquery("name")
    named = select(name).where(name.c.key.in_(select(key))).distinct().subquery("named")
    query = select(part.c.text, named.c.kind).join_from(part, named, named.c.key == key)
    for text, kind in con.execute(query):
        if kind == "host":
            found.hosts.add(text)
        elif kind == "name" or text.lower() not in ORDINARY_WORDS:
            found.anywhere.add(text)
        elif text.istitle():
            found.within_sentences.add(text)
    return found


_NameKind = Literal["name", "word", "host"]


def _names(
    rows: sa.FromClause, condition: ColumnElement[bool]
) -> Iterator[sa.Select[*tuple[Any, ...]]]:
    """All names of accounts in lower case, with their kinds."""

    def names(key: ColumnElement[Any], kind: _NameKind) -> sa.Select[*tuple[Any, ...]]:
        return select(key.label("key"), sa.literal(kind).label("kind")).where(condition)

    email, username = rows.c.user_email, rows.c.username_in_app
    for column in NAME_COLUMNS:
        yield names(func.lower(rows.c[column]), "name")
    ids = names(func.lower(account.c.account_id), "name")
    yield ids.join_from(account, rows, is_same_account(account, rows))
    yield names(_words(rows.c.user_name), "word")
    is_other_address = and_(occurs_in("@", username), username.is_distinct_from(email))
    for address, is_address in ((email, sa.true()), (username, is_other_address)):
        yield names(func.lower(func.split_part(address, "@", 1)), "name").where(is_address)
        yield names(func.lower(func.split_part(address, "@", 2)), "host").where(is_address)


def _words(name: ColumnElement[Any]) -> ColumnElement[str]:
    """The words of a name in lower case, one a row; of a double name also each half."""
    words = func.translate(func.lower(name), NAME_PUNCTUATION, " " * len(NAME_PUNCTUATION))
    both = func.concat(words, " ", func.replace(words, "-", " "))
    return func.unnest(func.string_to_array(both, " "))


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


@lru_cache(maxsize=10_000)  # most texts are known from earlier loads
def _part_texts(text: str) -> frozenset[str]:
    return frozenset(text[start:end] for start, end in _parts(text))


def _without_names(text: str, names: _Names) -> str:
    """The text with a placeholder for all that belongs to a name."""
    result, done = "", 0
    for start, end in _named(text, names) if any(names) else ():
        if start >= done:
            result += text[done:start] + PLACEHOLDER
        done = max(done, end)
    list_of_placeholders, _ = VARIABLE_PARTS[-1]
    return re.sub(list_of_placeholders, PLACEHOLDER, result + text[done:])


def _named(text: str, names: _Names) -> list[tuple[int, int]]:
    """Where names start and end, in the order of the text; they can overlap."""
    named = []
    for start, end in _parts(text):
        part = text[start:end]
        is_within = part in names.within_sentences and not SENTENCE_START.search(text, 0, start)
        if part in names.hosts:
            named.append(_address(text, start, end))
        elif is_within or part in names.anywhere:
            named.append((start, end))
    return sorted(named)


def _address(text: str, start: int, end: int) -> tuple[int, int]:
    """The domain between start and end with its subdomains, port and path."""
    before = re.split(r"[^\w.-]", text[:start])[-1]
    after = re.split(r"[\s\x1d]", text[end:])[0]
    has_path = re.match("[:/?#].", after) is not None
    return start - len(before) * before.endswith("."), end + len(after) * has_path


def _unnested(values: Sequence[Any], type_: Any = sa.String) -> ColumnElement[Any]:
    return func.unnest(sa.literal([*values], sa.ARRAY(type_)))


def _replace_reasons(con: Connection, old: set[_Key], new: dict[_Key, _Shown]) -> None:
    """A list for each column, as DuckDB inserts rows one by one."""
    for integration_id, keys in groupby(sorted(old), key=itemgetter(0)):
        is_old = failure_reason.c.failure_text.in_([text for _, text in keys])
        con.execute(sa.delete(failure_reason).where(_is_of(failure_reason, integration_id), is_old))
    if new:
        integration_ids, *texts = zip(*((*key, *new[key]) for key in sorted(new)), strict=True)
        columns = (_unnested(integration_ids, sa.Integer), *map(_unnested, texts))
        insert_rows(con, failure_reason, select(*columns))


def _update_reasons(con: Connection, integration_id: int, table: sa.Table) -> None:
    shown = failure_reason.c
    con.execute(
        sa.update(table)
        .values(failure_reason=shown.reason)
        .where(
            *(_is_of(rows, integration_id) for rows in (table, failure_reason)),
            table.c.failure_text == shown.failure_text,
            table.c.failure_reason != shown.reason,
        )
    )
