"""Which accounts: one set of filters for pages, addresses, downloads and the command line.

FILTERS is the list of them. Each says how an address names it, what a row must fulfil, and how a
sentence puts it; pages draw its control, and count its choices, from the same entry. A new filter
is a field of `Filters`, and an entry of the same name here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, or_, select

from data.files.naming import moment_of
from data.schema import (
    account_current,
    account_version,
    held_at,
    integration,
    is_unmatched,
    with_profile,
)
from data.states import STATE_BY_NAME, WAITING
from data.store.dialect import has_role, is_one_of
from data.store.pseudonyms import is_called
from data.store.search_text import searched
from queries.owners import as_decided, found_in_search, is_anything_decided
from queries.search import found_in

Active = Literal["yes", "no", "unknown"]
Match = Literal["matched", "unmatched"]

LONGEST_SEARCH = 200
"""Characters of a search text; more is cut off."""

MOST_WORDS = 8
"""Words of a search that are looked for one by one; what comes after them is one text."""

MOST_VALUES = 50
"""Values of one filter in an address; more are not asked."""


@dataclass(frozen=True)
class Filters:
    """What a reader asked to see. Empty means: not asked; several values of one kind mean: any."""

    q: str = ""
    state: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    integration: tuple[str, ...] = ()
    active: Active | None = None
    match: Match | None = None
    updated_from: date | None = None  # UTC days, both of them included
    updated_to: date | None = None
    waiting: timedelta | None = None  # longer than
    waiting_upto: timedelta | None = None
    reason: tuple[str, ...] = ()  # that accounts fail for: failure codes, and templates of texts
    as_of: datetime | None = None  # naive UTC; None is now

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> Filters:
        """The filters that an address names; what is not understood is not asked."""
        read = {f.name: f.read(params.get(f.name, ())[:MOST_VALUES]) for f in FILTERS}
        moment = moment_of(next(iter(params.get("as_of", ())), ""))
        return cls(**read, as_of=moment)

    def params(self) -> list[tuple[str, str]]:
        """The filters as an address names them."""
        named = [(f.name, value) for f in FILTERS for value in f.write(getattr(self, f.name))]
        if self.as_of:
            named.append(("as_of", f"{self.as_of.isoformat(timespec='seconds')}Z"))
        return named

    def without_any(self) -> Filters:
        """Everything at the same moment."""
        return Filters(as_of=self.as_of)

    def without(self, name: str, value: str | None = None) -> Filters:
        """All but one filter, or but one of its values as the address has it."""
        left = [v for n, v in self.params() if n == name and value not in (None, v)]
        return replace(self, **{name: FILTER_BY_NAME[name].read(left)})

    def with_(self, name: str, value: str) -> Filters:
        """A value more, as the address has it; in place of the one before, where one is all."""
        before = self.values(name) if isinstance(getattr(self, name), tuple) else []
        return replace(self, **{name: FILTER_BY_NAME[name].read([*before, value])})

    def values(self, name: str) -> list[str]:
        """What is asked of one filter, as the address has it."""
        return FILTER_BY_NAME[name].write(getattr(self, name))


@dataclass(frozen=True)
class Filter:
    """One filter: a field of `Filters` by its name, and a parameter of the address."""

    name: str
    label: str
    read: Callable[[Sequence[str]], Any]
    """What an address asks; what is not understood in it is not asked."""
    write: Callable[[Any], list[str]]
    """What is asked, as the address has it; empty where nothing is."""
    condition: Callable[[FromClause, Any, datetime | None], ColumnElement[bool]]
    """What a row of `accounts` must fulfil at the moment, which None says is now."""
    words: Callable[[str], str] = str
    """One value, as the address has it, in a sentence."""
    lead: str = ","
    """What links it to the words before it in the sentence."""
    choices: tuple[str, ...] = ()
    """All that can be asked, as the address has it; empty where the store knows, or it is open."""
    counted_by: Callable[[FromClause], ColumnElement[Any]] | None = None
    """Which of its choices a row counts for, where it is exactly one."""
    of_profile: bool = False
    """Whether it asks for something of PROFILE."""


# ---- what an address asks, and how it asks it ----------------------------------------------------


def _any_texts(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value.strip() and "\0" not in value))


def _states(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value in STATE_BY_NAME))


def _one_of(known: Sequence[str]) -> Callable[[Sequence[str]], str | None]:
    return lambda values: next((value for value in values if value in known), None)


def _search(values: Sequence[str]) -> str:
    return next(iter(values), "").replace("\0", "")[:LONGEST_SEARCH].strip()


def _day(values: Sequence[str]) -> date | None:
    try:
        return datetime.strptime(next(iter(values), ""), "%Y-%m-%d").date()
    except ValueError:
        return None


def _span(values: Sequence[str]) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,4})([hd])", next(iter(values), ""))
    if not found or not int(found[1]):
        return None
    return timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])})


def _span_text(span: timedelta | None) -> list[str]:
    if span is None:
        return []
    hours = int(span.total_seconds()) // 3600
    return [f"{hours}h" if hours % 24 else f"{hours // 24}d"]


def _if_any(value: Any) -> list[str]:
    return [str(value)] if value else []


# ---- what a row must fulfil ----------------------------------------------------------------------


def _found(rows: FromClause, text: str, at: datetime | None) -> ColumnElement[bool]:
    """Every word occurs in one of the columns, each where it likes; or it is a pseudonym."""
    words = text.split(None, MOST_WORDS)
    if "search" in rows.c:
        found = found_in_search(rows, text, words, at)
    else:
        found = and_(*(found_in(searched(rows), word) for word in words))
    called = is_called(rows, text)
    return found if called is None else or_(found, called)


def _in_state(rows: FromClause, states: Sequence[str], _: Any) -> ColumnElement[bool]:
    return is_one_of(rows.c.provisioning_state, states)


def _holds(rows: FromClause, roles: Sequence[str], _: Any) -> ColumnElement[bool]:
    return or_(*(has_role(rows.c.roles, role) for role in roles))


def _belongs(rows: FromClause, names: Sequence[str], _: Any) -> ColumnElement[bool]:
    named = select(integration.c.integration_id).where(integration.c.name.in_(names))
    return rows.c.integration_id.in_(named)


def _fails_for(rows: FromClause, reasons: Sequence[str], _: Any) -> ColumnElement[bool]:
    return rows.c.failure_reason.in_(reasons)


def _active(rows: FromClause, value: Active, _: Any) -> ColumnElement[bool]:
    return rows.c.active_in_app.is_({"yes": True, "no": False, "unknown": None}[value])


def _match(rows: FromClause, value: Match, _: Any) -> ColumnElement[bool]:
    return is_unmatched(rows) if value == "unmatched" else ~is_unmatched(rows)


def _updated_from(rows: FromClause, day: date, _: Any) -> ColumnElement[bool]:
    return rows.c.last_updated >= datetime.combine(day, time.min)


def _updated_to(rows: FromClause, day: date, _: Any) -> ColumnElement[bool]:
    return rows.c.last_updated <= datetime.combine(day, time.max)


def _waits(rows: FromClause, span: timedelta, at: datetime | None) -> ColumnElement[bool]:
    return and_(rows.c.provisioning_state.in_(WAITING), rows.c.state_since < begun(span, at))


def _waits_no_longer(rows: FromClause, span: timedelta, at: datetime | None) -> ColumnElement[bool]:
    return and_(rows.c.provisioning_state.in_(WAITING), rows.c.state_since >= begun(span, at))


def begun(span: timedelta, at: datetime | None) -> datetime:
    """When what has lasted for the span at the moment has begun (naive UTC)."""
    end = at or datetime.now(UTC).replace(tzinfo=None)
    return end - min(span, end - datetime(1, 1, 1))


# ---- in words ------------------------------------------------------------------------------------


def span_words(value: str) -> str:
    """`1 hour`, `3 days`."""
    number, unit = int(value[:-1]), {"h": "hour", "d": "day"}[value[-1]]
    return f"{number} {unit}{'s' if number > 1 else ''}"


ACTIVE_WORDS = {"yes": "active", "no": "not active", "unknown": "activity unknown"}


# ---- the filters, in the order of the bar and of the sentence ------------------------------------

FILTERS: tuple[Filter, ...] = (
    Filter("q", "Search", _search, _if_any, _found, lambda text: f"“{text}”", of_profile=True),
    Filter(
        "state",
        "Provisioning state",
        _states,
        list,
        _in_state,
        choices=tuple(STATE_BY_NAME),
        counted_by=lambda rows: rows.c.provisioning_state,
    ),
    Filter("role", "Role", _any_texts, list, _holds, lead="with role", of_profile=True),
    Filter("integration", "Integration", _any_texts, list, _belongs, lead="in"),
    Filter(
        "active",
        "Active in app",
        _one_of(get_args(Active)),
        _if_any,
        _active,
        ACTIVE_WORDS.__getitem__,
        choices=get_args(Active),
        counted_by=lambda rows: case(
            (rows.c.active_in_app, "yes"), (rows.c.active_in_app.is_(None), "unknown"), else_="no"
        ),
    ),
    Filter(
        "match",
        "User",
        _one_of(get_args(Match)),
        _if_any,
        _match,
        choices=get_args(Match),
        counted_by=lambda rows: case(
            (_match(rows, "unmatched", None), "unmatched"), else_="matched"
        ),
        of_profile=True,
    ),
    Filter(
        "updated_from",
        "Last updated from",
        _day,
        _if_any,
        _updated_from,
        lambda day: f"last updated from {day}",
    ),
    Filter(
        "updated_to",
        "Last updated to",
        _day,
        _if_any,
        _updated_to,
        lambda day: f"last updated to {day}",
    ),
    Filter(
        "waiting",
        "Waiting longer than",
        _span,
        _span_text,
        _waits,
        lambda span: f"waiting longer than {span_words(span)}",
        choices=("1h", "1d", "3d", "7d", "30d"),
    ),
    Filter(
        "waiting_upto",
        "Waiting up to",
        _span,
        _span_text,
        _waits_no_longer,
        lambda span: f"waiting up to {span_words(span)}",
    ),
    Filter(
        "reason", "Failing for", _any_texts, list, _fails_for, lambda why: f"“{why}”", "failing for"
    ),
)
FILTER_BY_NAME = {each.name: each for each in FILTERS}
PARAMS = tuple(field.name for field in fields(Filters))
"""The parameters of an address that filter."""


def accounts(con: Connection, filters: Filters, *, whole: bool = True) -> FromClause:
    """One row per account at the moment that the filters name, before any other of them.

    With the user that the snapshot tells, or that a person has said is theirs. Not `whole`: with
    as much of PROFILE only as the filters ask for, which of the past is quicker.
    """
    asked = any(each.of_profile and getattr(filters, each.name) for each in FILTERS)
    whole = whole or asked or is_anything_decided(con)
    return as_decided(con, delivered(filters.as_of, whole=whole), filters.as_of)


def delivered(at: datetime | None, *, whole: bool = True) -> FromClause:
    """One row per account at the moment, as the snapshots tell it."""
    if at is None:
        return account_current
    rows = select(account_version).where(held_at(account_version, at)).subquery("accounts")
    return with_profile(rows) if whole else rows


def conditions(filters: Filters, of: FromClause) -> list[ColumnElement[bool]]:
    """What a row of `accounts` must fulfil."""
    return [
        each.condition(of, getattr(filters, each.name), filters.as_of)
        for each in FILTERS
        if getattr(filters, each.name)
    ]


# ---- the sentence --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of what is asked: which filter, its value as the address has it, and its words."""

    lead: str
    name: str
    value: str
    words: str


def in_words(filters: Filters) -> list[Part]:
    """What is asked, part by part, as a sentence says it: “Update failed in Figma or Slack”."""
    parts: list[Part] = []
    for each in FILTERS:
        for place, value in enumerate(filters.values(each.name)):
            lead = "or" if place else "" if each.lead == "," and not parts else each.lead
            parts.append(Part(lead, each.name, value, each.words(value)))
    return parts


def ignored(params: Mapping[str, Sequence[str]], filters: Filters) -> list[tuple[str, str]]:
    """What an address names, and the filters that came of it do not ask: parameter and value."""
    kept = set(filters.params())

    def is_kept(name: str, value: str) -> bool:
        alone = Filters.from_params({name: [value]}).params()
        return bool(alone) and set(alone) <= kept

    return [
        (name, value)
        for name in PARAMS
        for value in params.get(name, ())
        if value.strip() and not is_kept(name, value)
    ]
