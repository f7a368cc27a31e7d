"""Random questions: filters, a moment or a period, a reader, and an order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from data.access.roles import PersonalData, Visibility
from data.store.engine import restricted_engine
from queries.during import During
from queries.filters import Filters
from simulation.facts import LIFECYCLE, Facts, Key
from simulation.model import Model
from simulation.world import CODES, PEOPLE, ROLES


@dataclass(frozen=True)
class Question:
    """Filters of accounts; empty ones keep all."""

    as_of: datetime | None = None
    words: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    active: str = ""
    match: str = ""
    failures: tuple[str, ...] = ()
    updated_from: date | None = None
    updated_to: date | None = None
    note: str = ""
    during: tuple[datetime, datetime] | None = None  # instead of a moment


class Reader(NamedTuple):
    """A reader: the visible integrations (None: all), and whether names are pseudonyms."""

    integrations: tuple[str, ...] | None = None
    sees_pseudonyms: bool = False

    def engine(self, engine: sa.Engine) -> sa.Engine:
        """The engine for this reader."""
        shown = PersonalData.PSEUDONYMS if self.sees_pseudonyms else PersonalData.SHOWN
        return restricted_engine(engine, Visibility(self.integrations, shown))

    def visible(self, accounts: dict[Key, Facts]) -> dict[Key, Facts]:
        """The accounts that this reader sees."""
        names = self.integrations
        return {key: facts for key, facts in accounts.items() if not names or key[0] in names}


READERS = (
    Reader(), Reader(), Reader(("figma",)), Reader(("slack", "jira")),
    Reader(sees_pseudonyms=True), Reader(("jira",), sees_pseudonyms=True),
)  # fmt: skip


class Inquiry(NamedTuple):
    """A question, its reader, and the order of the list."""

    question: Question
    reader: Reader
    sort: str
    descending: bool


NOTED = Inquiry(Question(note="yes"), READERS[0], "user", descending=False)
"""The accounts with a note, which ends with a day."""


def noted_at(moment: datetime) -> Inquiry:
    """The accounts with a note at the moment."""
    return NOTED._replace(question=Question(note="yes", as_of=moment))


def any_inquiry(chance: random.Random, model: Model) -> Inquiry:
    """A question that anybody could ask."""
    question, reader = any_question(chance, model), chance.choice(READERS)
    if reader.sees_pseudonyms:  # names, reasons and notes are hidden
        question = replace(question, words=(), failures=(), note="")
    return Inquiry(question, reader, chance.choice(list(RANKS)), chance.random() < 0.5)


def any_question(chance: random.Random, model: Model) -> Question:
    """Filters that keep some accounts, often."""
    moments = model.all_moments()

    def sometimes(values: Iterable[Any], count: int = 2) -> tuple[Any, ...]:
        if chance.random() < 0.75 or not (choices := [*values]):
            return ()
        return tuple(dict.fromkeys(chance.choices(choices, k=chance.randint(1, count))))

    has_period = moments and chance.random() < 0.25
    during = tuple(sorted(chance.choices(moments, k=2))) if has_period else None
    as_of = chance.choice((None, *moments)) if not during and chance.random() < 0.6 else None
    end = during[1] if during else as_of or model.now
    day = (end - timedelta(days=chance.randint(0, 5))).date()  # when many accounts changed
    words = [word for name, email, upstream in PEOPLE for word in (*name.split(), email, upstream)]
    return Question(
        as_of=as_of,
        during=during,  # type: ignore[arg-type]
        words=sometimes((*words, "a-1", "a-2", "admin", "lead")),
        integrations=sometimes(model.lists),
        states=sometimes(LIFECYCLE, 4),
        roles=sometimes(ROLES),
        active=next(iter(sometimes(("yes", "no", "unknown"), 1)), ""),
        match=next(iter(sometimes(("matched", "unmatched"), 1)), ""),
        failures=sometimes((*(code for code in CODES if code), "No reason given")),
        updated_from=day if chance.random() < 0.15 else None,
        updated_to=day if chance.random() < 0.15 else None,
        note=next(iter(sometimes(("yes", "yes", "no"), 1)), ""),
    )


def filters_of(question: Question) -> Filters:
    """The same question, as Rollcall understands it."""
    return Filters(
        integration=question.integrations,
        as_of=question.as_of,
        q=" ".join(question.words),
        state=question.states,
        role=question.roles,
        active=question.active or None,  # type: ignore[arg-type]
        match=question.match or None,  # type: ignore[arg-type]
        reason=question.failures,
        updated_from=question.updated_from,
        updated_to=question.updated_to,
        note=question.note or None,  # type: ignore[arg-type]
        during=During(*question.during) if question.during else None,
    )


RANKS: dict[str, Callable[[Key, Facts], Any]] = {
    "user": lambda _, facts: (facts.name or facts.email or "").lower() or None,
    "username_in_app": lambda _, facts: facts.username.lower(),
    "integration": lambda key, _: key[0],
    "roles": lambda _, facts: len(facts.roles),
    "active_in_app": lambda _, facts: facts.active,
    "upstream_user_id": lambda _, facts: facts.upstream,
    "provisioning_state": lambda _, facts: LIFECYCLE.index(facts.state),
    "last_updated": lambda _, facts: facts.updated,
    "account_id": lambda key, _: key,
    "user_email": lambda _, facts: facts.email,
    "state_reason": lambda _, facts: facts.reason,
    "failure_code": lambda _, facts: facts.code,
}
"""Order of a list → what rises in it; None comes last either way."""
