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

from data.files.naming import parse_moment
from data.schema import (
    account_current,
    account_version,
    integration,
    is_unmatched,
    is_valid_at,
    join_profile,
)
from data.states import OPEN_STATES, STATE_BY_NAME
from data.store.dialect import has_role, is_one_of
from data.store.pseudonyms import match_pseudonym
from data.store.search_text import contains_normalized, search_text
from queries.owners import has_match_overrides, matches_search, with_match_overrides

ActiveFilter = Literal["yes", "no", "unknown"]
MatchFilter = Literal["matched", "unmatched"]

MAX_SEARCH_LENGTH = 200
"""Characters of a search text; more is cut off."""

MAX_SEARCH_WORDS = 8
"""Words of a search that are looked for one by one; what comes after them is one text."""

MAX_VALUES_PER_FILTER = 50
"""Values of one filter in an address; more are not asked."""


@dataclass(frozen=True)
class Filters:
    """What a reader asked to see. Empty means: not asked; several values of one kind mean: any."""

    q: str = ""
    state: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    integration: tuple[str, ...] = ()
    active: ActiveFilter | None = None
    match: MatchFilter | None = None
    updated_from: date | None = None  # UTC days, both of them included
    updated_to: date | None = None
    waiting: timedelta | None = None  # longer than
    waiting_upto: timedelta | None = None
    reason: tuple[str, ...] = ()  # that accounts fail for: failure codes, and templates of texts
    as_of: datetime | None = None  # naive UTC; None is now

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> Filters:
        """The filters that an address names; what is not understood is not asked."""
        values = {f.name: f.parse(params.get(f.name, ())[:MAX_VALUES_PER_FILTER]) for f in FILTERS}
        as_of = parse_moment(next(iter(params.get("as_of", ())), ""))
        return cls(**values, as_of=as_of)

    def params(self) -> list[tuple[str, str]]:
        """The filters as an address names them."""
        pairs = [(f.name, value) for f in FILTERS for value in f.serialize(getattr(self, f.name))]
        if self.as_of:
            pairs.append(("as_of", f"{self.as_of.isoformat(timespec='seconds')}Z"))
        return pairs

    def cleared(self) -> Filters:
        """Everything at the same moment."""
        return Filters(as_of=self.as_of)

    def without(self, name: str, value: str | None = None) -> Filters:
        """All but one filter, or but one of its values as the address has it."""
        remaining = [v for n, v in self.params() if n == name and value not in (None, v)]
        return replace(self, **{name: FILTER_BY_NAME[name].parse(remaining)})

    def with_value(self, name: str, value: str) -> Filters:
        """A value more, as the address has it; in place of the one before, where one is all."""
        current_values = self.values(name) if isinstance(getattr(self, name), tuple) else []
        return replace(self, **{name: FILTER_BY_NAME[name].parse([*current_values, value])})

    def values(self, name: str) -> list[str]:
        """What is asked of one filter, as the address has it."""
        return FILTER_BY_NAME[name].serialize(getattr(self, name))


@dataclass(frozen=True)
class Filter:
    """One filter: a field of `Filters` by its name, and a parameter of the address."""

    name: str
    label: str
    parse: Callable[[Sequence[str]], Any]
    """What an address asks; what is not understood in it is not asked."""
    serialize: Callable[[Any], list[str]]
    """What is asked, as the address has it; empty where nothing is."""
    condition: Callable[[FromClause, Any, datetime | None], ColumnElement[bool]]
    """What a row of `accounts` must fulfil at the moment, which None says is now."""
    value_text: Callable[[str], str] = str
    """One value, as the address has it, in a sentence."""
    conjunction: str = ","
    """What links it to the words before it in the sentence."""
    choices: tuple[str, ...] = ()
    """All that can be asked, as the address has it; empty where the store knows, or it is open."""
    group_by: Callable[[FromClause], ColumnElement[Any]] | None = None
    """Which of its choices a row counts for, where it is exactly one."""
    is_slow_changing: bool = False
    """Whether it asks for something of PROFILE."""


# ---- what an address asks, and how it asks it ----------------------------------------------------


def _parse_texts(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value.strip() and "\0" not in value))


def _parse_states(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value in STATE_BY_NAME))


def _parse_one_of(allowed: Sequence[str]) -> Callable[[Sequence[str]], str | None]:
    return lambda values: next((value for value in values if value in allowed), None)


def _parse_search(values: Sequence[str]) -> str:
    return next(iter(values), "").replace("\0", "")[:MAX_SEARCH_LENGTH].strip()


def _parse_day(values: Sequence[str]) -> date | None:
    try:
        return datetime.strptime(next(iter(values), ""), "%Y-%m-%d").date()
    except ValueError:
        return None


def _parse_duration(values: Sequence[str]) -> timedelta | None:
    match = re.fullmatch(r"([0-9]{1,4})([hd])", next(iter(values), ""))
    if not match or not int(match[1]):
        return None
    return timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})


def _serialize_duration(duration: timedelta | None) -> list[str]:
    if duration is None:
        return []
    hours = int(duration.total_seconds()) // 3600
    return [f"{hours}h" if hours % 24 else f"{hours // 24}d"]


def _serialize_optional(value: Any) -> list[str]:
    return [str(value)] if value else []


# ---- what a row must fulfil ----------------------------------------------------------------------


def _search_condition(rows: FromClause, text: str, as_of: datetime | None) -> ColumnElement[bool]:
    """Every word occurs in one of the columns, each where it likes; or it is a pseudonym."""
    words = text.split(None, MAX_SEARCH_WORDS)
    if "search" in rows.c:
        condition = matches_search(rows, text, words, as_of)
    else:
        condition = and_(*(contains_normalized(search_text(rows), word) for word in words))
    pseudonym_condition = match_pseudonym(rows, text)
    return condition if pseudonym_condition is None else or_(condition, pseudonym_condition)


def _in_state(rows: FromClause, states: Sequence[str], _: Any) -> ColumnElement[bool]:
    return is_one_of(rows.c.provisioning_state, states)


def _has_any_role(rows: FromClause, roles: Sequence[str], _: Any) -> ColumnElement[bool]:
    return or_(*(has_role(rows.c.roles, role) for role in roles))


def _in_any_integration(rows: FromClause, names: Sequence[str], _: Any) -> ColumnElement[bool]:
    integration_ids = select(integration.c.integration_id).where(integration.c.name.in_(names))
    return rows.c.integration_id.in_(integration_ids)


def _has_failure_reason(rows: FromClause, reasons: Sequence[str], _: Any) -> ColumnElement[bool]:
    return rows.c.failure_reason.in_(reasons)


def _has_activity(rows: FromClause, value: ActiveFilter, _: Any) -> ColumnElement[bool]:
    return rows.c.active_in_app.is_({"yes": True, "no": False, "unknown": None}[value])


def _has_match(rows: FromClause, value: MatchFilter, _: Any) -> ColumnElement[bool]:
    return is_unmatched(rows) if value == "unmatched" else ~is_unmatched(rows)


def _is_updated_from(rows: FromClause, day: date, _: Any) -> ColumnElement[bool]:
    return rows.c.last_updated >= datetime.combine(day, time.min)


def _is_updated_to(rows: FromClause, day: date, _: Any) -> ColumnElement[bool]:
    return rows.c.last_updated <= datetime.combine(day, time.max)


def _is_open_longer_than(
    rows: FromClause, duration: timedelta, as_of: datetime | None
) -> ColumnElement[bool]:
    return and_(
        rows.c.provisioning_state.in_(OPEN_STATES),
        rows.c.state_since < latest_start(duration, as_of),
    )


def _is_open_up_to(
    rows: FromClause, duration: timedelta, as_of: datetime | None
) -> ColumnElement[bool]:
    return and_(
        rows.c.provisioning_state.in_(OPEN_STATES),
        rows.c.state_since >= latest_start(duration, as_of),
    )


def latest_start(duration: timedelta, as_of: datetime | None) -> datetime:
    """When what has lasted for the span at the moment has begun (naive UTC)."""
    end = as_of or datetime.now(UTC).replace(tzinfo=None)
    return end - min(duration, end - datetime(1, 1, 1))


# ---- in words ------------------------------------------------------------------------------------


def duration_text(value: str) -> str:
    """`1 hour`, `3 days`."""
    number, unit = int(value[:-1]), {"h": "hour", "d": "day"}[value[-1]]
    return f"{number} {unit}{'s' if number > 1 else ''}"


ACTIVE_LABELS = {"yes": "active", "no": "not active", "unknown": "activity unknown"}


# ---- the filters, in the order of the bar and of the sentence ------------------------------------

FILTERS: tuple[Filter, ...] = (
    Filter(
        "q",
        "Search",
        _parse_search,
        _serialize_optional,
        _search_condition,
        lambda text: f"“{text}”",
        is_slow_changing=True,
    ),
    Filter(
        "state",
        "Provisioning state",
        _parse_states,
        list,
        _in_state,
        choices=tuple(STATE_BY_NAME),
        group_by=lambda rows: rows.c.provisioning_state,
    ),
    Filter(
        "role",
        "Role",
        _parse_texts,
        list,
        _has_any_role,
        conjunction="with role",
        is_slow_changing=True,
    ),
    Filter("integration", "Integration", _parse_texts, list, _in_any_integration, conjunction="in"),
    Filter(
        "active",
        "Active in app",
        _parse_one_of(get_args(ActiveFilter)),
        _serialize_optional,
        _has_activity,
        ACTIVE_LABELS.__getitem__,
        choices=get_args(ActiveFilter),
        group_by=lambda rows: case(
            (rows.c.active_in_app, "yes"), (rows.c.active_in_app.is_(None), "unknown"), else_="no"
        ),
    ),
    Filter(
        "match",
        "User",
        _parse_one_of(get_args(MatchFilter)),
        _serialize_optional,
        _has_match,
        choices=get_args(MatchFilter),
        group_by=lambda rows: case(
            (_has_match(rows, "unmatched", None), "unmatched"), else_="matched"
        ),
        is_slow_changing=True,
    ),
    Filter(
        "updated_from",
        "Last updated from",
        _parse_day,
        _serialize_optional,
        _is_updated_from,
        lambda day: f"last updated from {day}",
    ),
    Filter(
        "updated_to",
        "Last updated to",
        _parse_day,
        _serialize_optional,
        _is_updated_to,
        lambda day: f"last updated to {day}",
    ),
    Filter(
        "waiting",
        "Waiting longer than",
        _parse_duration,
        _serialize_duration,
        _is_open_longer_than,
        lambda span: f"waiting longer than {duration_text(span)}",
        choices=("1h", "1d", "3d", "7d", "30d"),
    ),
    Filter(
        "waiting_upto",
        "Waiting up to",
        _parse_duration,
        _serialize_duration,
        _is_open_up_to,
        lambda span: f"waiting up to {duration_text(span)}",
    ),
    Filter(
        "reason",
        "Failing for",
        _parse_texts,
        list,
        _has_failure_reason,
        lambda why: f"“{why}”",
        "failing for",
    ),
)
FILTER_BY_NAME = {each.name: each for each in FILTERS}
PARAMS = tuple(field.name for field in fields(Filters))
"""The parameters of an address that filter."""


def account_rows(con: Connection, filters: Filters, *, all_columns: bool = True) -> FromClause:
    """One row per account at the moment that the filters name, before any other of them.

    With the user that the snapshot tells, or that a person has said is theirs. Not `whole`: with
    as much of PROFILE only as the filters ask for, which of the past is quicker.
    """
    needs_all_columns = any(
        filter_.is_slow_changing and getattr(filters, filter_.name) for filter_ in FILTERS
    )
    all_columns = all_columns or needs_all_columns or has_match_overrides(con)
    return with_match_overrides(
        con, accounts_as_of(filters.as_of, all_columns=all_columns), filters.as_of
    )


def accounts_as_of(as_of: datetime | None, *, all_columns: bool = True) -> FromClause:
    """One row per account at the moment, as the snapshots tell it."""
    if as_of is None:
        return account_current
    rows = select(account_version).where(is_valid_at(account_version, as_of)).subquery("accounts")
    return join_profile(rows) if all_columns else rows


def conditions(filters: Filters, rows: FromClause) -> list[ColumnElement[bool]]:
    """What a row of `accounts` must fulfil."""
    return [
        filter_.condition(rows, getattr(filters, filter_.name), filters.as_of)
        for filter_ in FILTERS
        if getattr(filters, filter_.name)
    ]


# ---- the sentence --------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterPhrase:
    """One part of what is asked: which filter, its value as the address has it, and its words."""

    conjunction: str
    name: str
    value: str
    text: str


def filter_phrases(filters: Filters) -> list[FilterPhrase]:
    """What is asked, part by part, as a sentence says it: “Update failed in Figma or Slack”."""
    phrases: list[FilterPhrase] = []
    for filter_ in FILTERS:
        for index, value in enumerate(filters.values(filter_.name)):
            conjunction = (
                "or"
                if index
                else ""
                if filter_.conjunction == "," and not phrases
                else filter_.conjunction
            )
            phrases.append(
                FilterPhrase(conjunction, filter_.name, value, filter_.value_text(value))
            )
    return phrases


def ignored_params(params: Mapping[str, Sequence[str]], filters: Filters) -> list[tuple[str, str]]:
    """What an address names, and the filters that came of it do not ask: parameter and value."""
    applied_params = set(filters.params())

    def is_applied(name: str, value: str) -> bool:
        alone = Filters.from_params({name: [value]}).params()
        return bool(alone) and set(alone) <= applied_params

    return [
        (name, value)
        for name in PARAMS
        for value in params.get(name, ())
        if value.strip() and not is_applied(name, value)
    ]
