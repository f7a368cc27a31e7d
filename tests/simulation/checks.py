"""What must hold after each step, and random questions: Rollcall's answers beside the model's."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.access.roles import PersonalData, Visibility
from data.schema import account, integration, snapshot, state_change, state_count
from data.store.engine import restricted_engine
from queries.changes.summary import summarize_changes
from queries.changes.window import Window
from queries.filters import Filters, account_rows
from queries.users.accounts import account_page, count_accounts, sorted_accounts
from queries.users.facets import list_choices
from simulation.model import LIFECYCLE, Facts, Key, Model, Question
from simulation.world import CODES, PEOPLE, ROLES, START

SINCE = {
    "state_since": lambda facts: facts.state,
    "active_since": lambda facts: facts.active,
    "job_since": lambda facts: facts.operation or facts.state,
}
"""Column → what has to stay the same."""

Snapshot = tuple[str, datetime]


class Disagreement(AssertionError):
    """Rollcall says something else than the model."""


def agree(what: str, answer: object, expected: object) -> None:
    """Raises Disagreement, with what differs."""
    if answer == expected:
        return
    if isinstance(answer, dict) and isinstance(expected, dict):
        answer, expected = (
            {key: value for key, value in each.items() if key not in other or other[key] != value}
            for each, other in ((answer, expected), (expected, answer))
        )
    raise Disagreement(f"{what}\n  Rollcall: {answer}\n  expected: {expected}")


# ---- after each step -----------------------------------------------------------------------------


def loaded_snapshots(engine: sa.Engine) -> dict[Snapshot, tuple[int, int, int]]:
    """Each snapshot → its accepted, rejected and merged rows."""
    counts = snapshot.c.accepted, snapshot.c.rejected, snapshot.c.rows_read
    query = select(integration.c.name, snapshot.c.taken_at, *counts).join_from(
        snapshot, integration, integration.c.integration_id == snapshot.c.integration_id
    )
    with engine.connect() as con:
        return {
            (name, at): (accepted, rejected, rows - accepted - rejected)
            for name, at, accepted, rejected, rows in con.execute(query)
        }


def check_everything(engine: sa.Engine, model: Model, chance: random.Random) -> None:
    """The accounts now and at three moments, with all columns, and the counts of all snapshots."""
    moments = model.all_moments()
    past = [
        at + timedelta(seconds=chance.choice((-1, 0, 1)))
        for at in chance.sample(moments, min(3, len(moments)))
    ]
    with engine.connect() as con:
        for as_of in (None, *past):
            _check_accounts(con, model, as_of)
        _check_counts(con, model)


def _check_accounts(con: Connection, model: Model, as_of: datetime | None) -> None:
    rows = account_rows(con, Filters(as_of=as_of))
    columns = [rows.c[name] for name in (*FACTS, *SINCE)]
    query = (
        select(integration.c.name.label("integration"), account.c.account_id, *columns)
        .join_from(rows, account, account.c.account_key == rows.c.account_key)
        .join(integration, integration.c.integration_id == rows.c.integration_id)
    )
    found = list(con.execute(query).mappings())
    answer = {(row["integration"], row["account_id"]): _facts(row) for row in found}
    agree(f"accounts as of {as_of}", answer, model.accounts(as_of))
    agree(f"rows as of {as_of}", len(found), len(answer))
    for column, value in SINCE.items():
        answer = {(row["integration"], row["account_id"]): row[column] for row in found}
        agree(f"{column} as of {as_of}", answer, {k: model.since(k, as_of, value) for k in answer})


FACTS = (
    "username_in_app", "user_name", "user_email", "roles", "active_in_app", "upstream_user_id",
    "provisioning_state", "state_reason", "failure_code", "last_updated",
)  # fmt: skip


def _facts(row: Any) -> Facts:
    values: dict[str, Any] = {
        name: row[column] for name, column in zip(Facts._fields, FACTS, strict=True)
    }
    values["roles"] = tuple(values["roles"])
    return Facts(**values)


def _check_counts(con: Connection, model: Model) -> None:
    names = dict(con.execute(select(integration.c.integration_id, integration.c.name)).all())
    answer: dict[Any, Any] = {
        (names[row.integration_id], row.taken_at, row.provisioning_state): (
            row.accounts, row.active, row.unmatched, row.entered, row.left, row.changed,
        )
        for row in con.execute(select(state_count))
    }  # fmt: skip
    taken = [(name, at) for name, moments in model.lists.items() for at in moments]
    expected: dict[Any, Any] = {
        (*each, state): counts
        for each in taken
        for state, counts in model.state_counts(*each).items()
    }
    agree("counts by state", answer, expected)
    answer = {
        (names[row.integration_id], row.taken_at, row.from_state, row.to_state): row.accounts
        for row in con.execute(select(state_change))
    }
    expected = {
        (*each, *pair): count
        for each in taken
        for pair, count in model.state_changes(*each).items()
    }
    agree("changes of state", answer, expected)


# ---- random questions ----------------------------------------------------------------------------


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


def any_inquiry(chance: random.Random, model: Model) -> Inquiry:
    """A question that anybody could ask."""
    question, reader = any_question(chance, model), chance.choice(READERS)
    if reader.sees_pseudonyms:  # a name cannot be searched, and reasons are hidden
        question = replace(question, words=(), failures=())
    return Inquiry(question, reader, chance.choice(list(RANKS)), chance.random() < 0.5)


def check_inquiry(engine: sa.Engine, model: Model, inquiry: Inquiry) -> None:
    """A list, its count, its pages, its choices, and the parts of the whole."""
    question, reader = inquiry[:2]
    expected = reader.visible(model.ask(question))
    with reader.engine(engine).connect() as con:
        if reader.sees_pseudonyms:
            check_hidden(con, question, expected)
        else:
            check_list(con, inquiry, expected)
            check_parts(con, question, expected)
        whole = reader.visible(model.ask(replace(question, states=())))
        answer = list_choices(con, filters_of(question), "state").shown
        counts = dict(Counter(facts.state for facts in whole.values()))
        agree(f"choices of {question}", {c.value: c.accounts for c in answer if c.accounts}, counts)


def check_changes(engine: sa.Engine, model: Model, chance: random.Random) -> None:
    """What changed between two moments of snapshots, by kind of change."""
    moments = model.all_moments()
    since, until = sorted(chance.choices(moments, k=2)) if moments else (START, START)
    with engine.connect() as con:
        summary = summarize_changes(con, Window(since, until)).counts
    answer = {name: count for name, count in summary.items() if name != "other" and count}
    expected = {name: count for name, count in model.changes(since, until).items() if count}
    agree(f"changes from {since} to {until}", answer, expected)


def any_question(chance: random.Random, model: Model) -> Question:
    """Filters that keep some accounts, often."""
    moments = model.all_moments()

    def sometimes(values: Iterable[Any], count: int = 2) -> tuple[Any, ...]:
        if chance.random() < 0.75 or not (choices := [*values]):
            return ()
        return tuple(dict.fromkeys(chance.choices(choices, k=chance.randint(1, count))))

    day = chance.choice(moments).date() if moments else None
    words = [word for name, email, upstream in PEOPLE for word in (*name.split(), email, upstream)]
    return Question(
        as_of=chance.choice((None, *moments)) if chance.random() < 0.6 else None,
        words=sometimes((*words, "a-1", "a-2", "admin", "lead")),
        integrations=sometimes(model.lists),
        states=sometimes(LIFECYCLE, 4),
        roles=sometimes(ROLES),
        active=next(iter(sometimes(("yes", "no", "unknown"), 1)), ""),
        match=next(iter(sometimes(("matched", "unmatched"), 1)), ""),
        failures=sometimes((*(code for code in CODES if code), "No reason given")),
        updated_from=day if chance.random() < 0.1 else None,
        updated_to=day if chance.random() < 0.1 else None,
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
    )


def check_list(con: Connection, inquiry: Inquiry, expected: dict[Key, Facts]) -> None:
    """The list has the accounts, in order; its pages are its parts, and the count its length."""
    question, _, sort, descending = inquiry
    filters = filters_of(question)
    order = {"sort": sort, "descending": descending}
    listed = con.execute(sorted_accounts(con, filters, **order)).all()
    answer = Counter((row.integration, row.username_in_app) for row in listed)
    agree(
        str(question), answer, Counter((key[0], facts.username) for key, facts in expected.items())
    )
    by_username = {(key[0], facts.username): (key, facts) for key, facts in expected.items()}
    ranks = [RANKS[sort](*by_username[row.integration, row.username_in_app]) for row in listed]
    filled = [rank for rank in ranks if rank is not None]
    agree(f"order by {sort}", filled, sorted(filled, reverse=descending))
    agree(f"empty values by {sort}", ranks[len(filled) :], [None] * (len(ranks) - len(filled)))
    agree(f"count of {question}", count_accounts(con, filters), len(expected))
    pages = [
        row.account_key
        for page in range(1, 2 + len(listed) // 7)
        for row in account_page(con, filters, **order, page=page, size=7).rows
    ][: len(listed)]
    agree(f"pages by {sort} of {question}", pages, [row.account_key for row in listed])


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


def check_hidden(con: Connection, question: Question, expected: dict[Key, Facts]) -> None:
    """Who sees pseudonyms sees as many accounts, and no name."""
    listed = con.execute(
        sorted_accounts(con, filters_of(question), sort="user", descending=False)
    ).all()
    agree(f"pseudonyms of {question}", len(listed), len(expected))
    texts = " ".join(str(value) for row in listed for value in row).lower()
    for name, email, upstream in PEOPLE:
        if any(word in texts for word in (name.lower(), email.split("@")[0], upstream)):
            raise Disagreement(f"a name is shown in place of a pseudonym: {name}")


def check_parts(con: Connection, question: Question, expected: dict[Key, Facts]) -> None:
    """A filter, its opposite and unknown make the whole."""
    for name, values in (("active", ("yes", "no", "unknown")), ("match", ("matched", "unmatched"))):
        if not getattr(question, name):
            filters = filters_of(question)
            parts = [count_accounts(con, filters.with_value(name, value)) for value in values]
            agree(f"parts by {name} of {question}", sum(parts), len(expected))
