"""The filters of accounts: one list for pages, addresses, downloads and the command line.

A new filter is a field of `Filters` and an entry of the same name in FILTERS; its control is an
entry in widgets/users/filter_bar.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case

from data.schema import is_unmatched
from data.states import FAILED_STATES, STATE_BY_NAME, UNSETTLED_STATES
from data.store.dialect import has_role, is_one_of
from data.store.search_text import search_key
from data.values.durations import duration_text
from queries.account_links import has_link, parse_links, serialize_links
from queries.during import EXCLUDED_BY_PERIOD, During, parse_during
from queries.export import columns
from queries.filter_conditions import (
    ActiveFilter,
    Condition,
    MatchFilter,
    has_activity,
    has_match,
    holds_for,
    is_open,
    matches_search,
    search_words,
)
from queries.filter_values import DAY, TEXTS, Parse, Serialize, one_of, serialize_optional
from queries.notes import NoteFilter, has_note
from queries.people import accounts as people
from queries.people.named_person import NamedPerson, is_theirs, parse_named_person
from queries.scope import DURATION, Params, Scope, in_integrations
from queries.sign_ins import matches_sign_in, parse_sign_ins, sign_in_kind, sign_in_text

MAX_SEARCH_LENGTH = 200
"""Characters of a search text; the rest is cut off."""


@dataclass(frozen=True)
class Filters(Scope):
    """The accounts that a reader asks for. Several values of one filter mean any of them."""

    q: str = ""
    state: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    active: ActiveFilter | None = None
    match: MatchFilter | None = None
    person: people.Owner | None = None
    account: people.AccountStatus | None = None
    of_person: NamedPerson | None = None
    updated_from: date | None = None  # UTC days, both included
    updated_to: date | None = None
    waiting: timedelta | None = None  # open for longer than
    waiting_upto: timedelta | None = None
    unsettled_for: timedelta | None = None  # at least
    failing_for: timedelta | None = None
    left_for: timedelta | None = None  # the person left
    reason: tuple[str, ...] = ()  # failure codes and templates of failure texts
    during: During | None = None  # instead of a moment: at any time in the period
    last_sign_in: tuple[str, ...] = ()  # never, unknown, before:DAY, from:DAY; see parse_sign_ins
    empty: tuple[str, ...] = ()  # names of columns, as in queries/export/columns.py
    not_empty: tuple[str, ...] = ()
    note: NoteFilter | None = None
    marked: tuple[str, ...] = ()  # links of accounts, as in queries/account_links.py

    @classmethod
    def from_params(cls, params: Params) -> Filters:
        """The filters in an address; values that are not valid are left out."""
        values = {f.name: f.parse(params.get(f.name, ())) for f in FILTERS}
        filters = cls(**values, as_of=Scope.from_params(params).as_of)
        during = parse_during(params.get("during", ()))
        return filters.with_period(during) if during else filters

    def with_period(self, during: During | None) -> Filters:
        """The same filters in a period, without those that a period excludes."""
        empty = Filters()
        excluded = {name: getattr(empty, name) for name in EXCLUDED_BY_PERIOD if during}
        return replace(self, during=during, **excluded)

    @property
    def moment(self) -> datetime | None:
        """The moment of the list; with a period, its end. None for now."""
        return self.during.end if self.during else self.as_of

    def params(self) -> list[tuple[str, str]]:
        """The filters as parameters of an address."""
        pairs = [(f.name, value) for f in FILTERS for value in self.values(f.name)]
        period = [("during", self.during.param())] if self.during else []
        return [*pairs, *period, *Scope(as_of=self.as_of).params()]

    def cleared(self) -> Filters:
        """All accounts at the same moment, or in the same period."""
        return Filters(as_of=self.as_of, during=self.during)

    def without(self, name: str, value: str | None = None) -> Filters:
        """All but one filter, or all but one of its values as an address has it."""
        remaining = [v for v in self.values(name) if value not in (None, v)]
        return replace(self, **{name: FILTER_BY_NAME[name].parse(remaining)})

    def with_value(self, name: str, value: str) -> Filters:
        """One more value, as an address has it; it replaces the old one where only one can be."""
        current_values = self.values(name) if isinstance(getattr(self, name), tuple) else []
        return replace(self, **{name: FILTER_BY_NAME[name].parse([*current_values, value])})

    def values(self, name: str) -> list[str]:
        """The values of one filter, as an address has them."""
        return FILTER_BY_NAME[name].serialize(getattr(self, name))


@dataclass(frozen=True)
class Filter:
    """One filter: a field of `Filters` and a parameter of the address, both of this name."""

    name: str
    label: str
    parse: Parse
    serialize: Serialize
    condition: Condition
    value_text: Callable[[str], str] = str
    """A value, as an address has it, in a sentence."""
    conjunction: str = ","
    """What links the value to the words before it in the sentence."""
    choices: tuple[str, ...] = ()
    """All possible values, as an address has them; empty where the store's data decides."""
    choice_text: Callable[[str], str] = str
    """A choice in the filter's menu."""
    group_by: Callable[[sa.FromClause], ColumnElement[Any]] | None = None
    """The value that a row has, where it has exactly one."""
    is_slow_changing: bool = False  # whether the condition reads slow-changing columns
    changes_with: tuple[str, ...] | None = None
    """Of an account from one version to the next: the since-columns of all that the condition reads
    (see data/history/since.py). None: it reads more."""
    reads_person: bool = False  # whether it reads `person_status`


# ---- addresses -----------------------------------------------------------------------------------


STATE_BY_KEY = {name.casefold(): name for name in STATE_BY_NAME}


def _parse_states(values: Sequence[str]) -> tuple[str, ...]:
    names = (STATE_BY_KEY.get(value.casefold()) for value in values)
    return tuple(dict.fromkeys(name for name in names if name))


def _parse_search(values: Sequence[str]) -> str:
    return next(iter(values), "").replace("\0", "")[:MAX_SEARCH_LENGTH].strip()


COLUMNS = columns.parse_emptiable, columns.serialize_columns


# ---- texts ---------------------------------------------------------------------------------------


def wanted_roles(filters: Filters, roles: Sequence[str]) -> set[str]:
    """The roles that the filters ask for: by name, or by a word of the search."""
    words = [key for word in search_words(filters.q) if len(key := search_key(word)) > 2]
    by_search = {role for role in roles if any(word in search_key(role) for word in words)}
    return by_search | set(filters.role).intersection(roles)


def _has_left(
    rows: sa.FromClause, duration: timedelta, as_of: datetime | None
) -> ColumnElement[bool]:
    has_held = holds_for("person_since")(rows, duration, as_of)
    return sa.and_(rows.c.person_status == "left", has_held)


BY_PROFILE = ("content_since",)
"""With an account's slow-changing columns."""

ACTIVE_TEXTS = {"yes": "active", "no": "not active", "unknown": "activity unknown"}


# ---- the filters, in the order of the bar and of the sentence ------------------------------------

FILTERS: tuple[Filter, ...] = (
    Filter(
        "q",
        "Search",
        _parse_search,
        serialize_optional,
        matches_search,
        lambda text: f"“{text}”",
        is_slow_changing=True,
        changes_with=BY_PROFILE,
    ),
    Filter(
        "state",
        "Provisioning state",
        _parse_states,
        list,
        lambda rows, states, _: is_one_of(rows.c.provisioning_state, states),
        choices=tuple(STATE_BY_NAME),
        group_by=lambda rows: rows.c.provisioning_state,
        changes_with=("state_since",),
    ),
    Filter(
        "role",
        "Role",
        *TEXTS,
        lambda rows, roles, _: sa.or_(*(has_role(rows.c.roles, role) for role in roles)),
        conjunction="with role",
        is_slow_changing=True,
        changes_with=BY_PROFILE,
    ),
    Filter(
        "integration",
        "Integration",
        *TEXTS,
        lambda rows, names, _: in_integrations(rows, names),
        conjunction="in",
        changes_with=(),
    ),
    Filter(
        "active",
        "Active in app",
        *one_of(get_args(ActiveFilter)),
        has_activity,
        ACTIVE_TEXTS.__getitem__,
        choices=get_args(ActiveFilter),
        choice_text=str.capitalize,
        group_by=lambda rows: case(
            (rows.c.active_in_app, "yes"), (rows.c.active_in_app.is_(None), "unknown"), else_="no"
        ),
        changes_with=("active_since",),
    ),
    Filter(
        "match",
        "User",
        *one_of(get_args(MatchFilter)),
        has_match,
        choices=get_args(MatchFilter),
        choice_text=str.capitalize,
        group_by=lambda rows: case((is_unmatched(rows), "unmatched"), else_="matched"),
        is_slow_changing=True,
        changes_with=BY_PROFILE,
    ),
    Filter(
        "person",
        "Person",
        *one_of(people.OWNERS),
        lambda rows, status, _: rows.c.person_status == status,
        people.PERSON_PHRASES.__getitem__,
        "of",
        choices=people.OWNERS,
        choice_text=people.PERSON_TEXTS.__getitem__,
        group_by=lambda rows: rows.c.person_status,
        reads_person=True,
    ),
    Filter(
        "account",
        "Account",
        *one_of(people.ACCOUNT_STATUSES),
        lambda rows, status, _: people.account_status(rows) == status,
        lambda status: f"account {people.ACCOUNT_TEXTS[status].lower()}",
        choices=people.ACCOUNT_STATUSES,
        choice_text=people.ACCOUNT_TEXTS.__getitem__,
        group_by=people.account_status,
        changes_with=("state_since", "active_since"),
    ),
    Filter(
        "of_person",
        "Accounts of",
        parse_named_person,
        serialize_optional,
        is_theirs,
        lambda _: "one person",
        "of",
        choice_text=lambda _: "one person",
    ),
    Filter(
        "updated_from",
        "Last updated from",
        *DAY,
        lambda rows, day, _: rows.c.last_updated >= datetime.combine(day, time.min),
        lambda day: f"last updated from {day}",
    ),
    Filter(
        "updated_to",
        "Last updated to",
        *DAY,
        lambda rows, day, _: rows.c.last_updated <= datetime.combine(day, time.max),
        lambda day: f"last updated to {day}",
    ),
    Filter(
        "waiting",
        "Open longer than",
        *DURATION,
        is_open(is_longer=True),
        lambda duration: f"open longer than {duration_text(duration)}",
        choices=("1h", "1d", "3d", "7d", "30d"),
        choice_text=duration_text,
    ),
    Filter(
        "waiting_upto",
        "Open up to",
        *DURATION,
        is_open(is_longer=False),
        lambda duration: f"open up to {duration_text(duration)}",
    ),
    *(
        Filter(
            name,
            f"{label} for at least",
            *DURATION,
            condition,
            lambda duration, text=text: f"{text} for at least {duration_text(duration)}",
            choices=("1d", "3d", "7d", "30d"),
            choice_text=duration_text,
            reads_person=name == "left_for",
        )
        for name, label, text, condition in (
            ("unsettled_for", "Unsettled", "unsettled", holds_for("job_since", *UNSETTLED_STATES)),
            ("failing_for", "Failing", "failing", holds_for("state_since", *FAILED_STATES)),
            ("left_for", "Left", "person left", _has_left),
        )
    ),
    Filter(
        "reason",
        "Failure reason",
        *TEXTS,
        lambda rows, reasons, _: rows.c.failure_reason.in_(reasons),
        lambda reason: f"“{reason}”",
        "with failure reason",
        group_by=lambda rows: rows.c.failure_reason,
    ),
    Filter(
        "last_sign_in",
        "Last sign-in",
        parse_sign_ins,
        list,
        lambda rows, values, _: matches_sign_in(rows, values),
        sign_in_text,
        choices=("never", "unknown"),
        choice_text=lambda value: value.replace(":", " ").capitalize(),
        group_by=sign_in_kind,
    ),
    Filter(
        "empty",
        "Is empty",
        *COLUMNS,
        lambda rows, names, _: columns.has_empty_column(rows, names),
        columns.column_text,
        "without",
        choices=columns.EMPTIABLE_COLUMNS,
        choice_text=columns.column_text,
        is_slow_changing=True,
    ),
    Filter(
        "not_empty",
        "Is not empty",
        *COLUMNS,
        lambda rows, names, _: columns.has_filled_column(rows, names),
        columns.column_text,
        "with",
        choices=columns.EMPTIABLE_COLUMNS,
        choice_text=columns.column_text,
        is_slow_changing=True,
    ),
    Filter(
        "note",
        "Note",
        *one_of(get_args(NoteFilter)),
        has_note,
        {"yes": "with a note", "no": "without a note"}.__getitem__,
        choices=get_args(NoteFilter),
        choice_text=str.capitalize,
    ),
    Filter(
        "marked",
        "Marked",
        parse_links,
        serialize_links,
        lambda rows, links, _: has_link(rows, links),
        lambda links: f"marked ({len(parse_links([links])):,})",
        changes_with=(),
    ),
)
FILTER_BY_NAME = {filter_.name: filter_ for filter_ in FILTERS}
PARAMS = (*FILTER_BY_NAME, "during", "as_of")
"""The parameters of an address that filter."""


def used_filters(filters: Filters, shown: Filter | None = None) -> list[Filter]:
    """The filters that are set, and the one whose choices are shown."""
    return [f for f in FILTERS if f is shown or getattr(filters, f.name)]


def conditions(
    filters: Filters, rows: sa.FromClause, used: Sequence[Filter] | None = None
) -> list[ColumnElement[bool]]:
    """The conditions on rows of accounts, one for each filter that is set, or for these alone."""
    return [
        f.condition(rows, getattr(filters, f.name), filters.moment)
        for f in (used_filters(filters) if used is None else used)
    ]
