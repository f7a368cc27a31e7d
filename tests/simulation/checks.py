"""What must hold after each step, and random questions: Rollcall's answers beside the model's."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.schema import account, integration, snapshot, state_change, state_count
from queries.account_rows import account_rows
from queries.changes.summary import summarize_changes
from queries.changes.window import Window
from queries.filters import Filters
from queries.review.duration import View
from queries.review.findings import all_findings, count_findings
from queries.review.rules import RULE_BY_NAME
from queries.users.accounts import (
    account_page,
    count_accounts,
    integration_names,
    sorted_accounts,
)
from queries.users.facets import list_choices
from simulation.facts import LIFECYCLE, Facts, Key
from simulation.model import RULES, Model
from simulation.questions import RANKS, Inquiry, Question, filters_of
from simulation.world import PEOPLE, START

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
    """The accounts now and at a moment, with all columns, the apps, and the counts of snapshots."""
    moments = model.all_moments() or [START]
    past = chance.choice(moments) + timedelta(seconds=chance.choice((-1, 0, 1)))
    with engine.connect() as con:
        for as_of in (None, past):
            _check_accounts(con, model, as_of)
        agree("integrations", integration_names(con), sorted(model.lists))
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


def check_inquiry(engine: sa.Engine, model: Model, inquiry: Inquiry) -> None:
    """A list, its count, its pages, its choices, and the parts of the whole."""
    question, reader = inquiry[:2]
    expected = reader.visible(model.ask(question))
    with reader.engine(engine).connect() as con:
        if reader.sees_pseudonyms:
            check_hidden(con, question, expected)
        else:
            check_list(con, model, inquiry, expected)
            check_parts(con, model, inquiry)
        answer = list_choices(con, filters_of(question), "state").shown
        choices = {choice.value: choice.accounts for choice in answer if choice.accounts}
        counts = {
            state: len(reader.visible(model.ask(replace(question, states=(state,)))))
            for state in LIFECYCLE
        }
        agree(f"choices of {question}", choices, {s: count for s, count in counts.items() if count})


def check_changes(engine: sa.Engine, model: Model, chance: random.Random) -> None:
    """What changed between two moments of snapshots, by kind of change."""
    moments = model.all_moments()
    since, until = sorted(chance.choices(moments, k=2)) if moments else (START, START)
    with engine.connect() as con:
        summary = summarize_changes(con, Window(since, until)).counts
    answer = {name: count for name, count in summary.items() if name != "other" and count}
    expected = {name: count for name, count in model.changes(since, until).items() if count}
    agree(f"changes from {since} to {until}", answer, expected)


PAGE_SIZE = 7  # the third page is far behind: it comes from the cached order


def check_list(con: Connection, model: Model, inquiry: Inquiry, expected: dict[Key, Facts]) -> None:
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
    keys = {row.account_key: by_username[row.integration, row.username_in_app][0] for row in listed}
    stretches = model.stretches(question, *question.during) if question.during else {}
    pages = max(1, math.ceil(len(listed) / PAGE_SIZE))
    for number in {pages, min(2, pages)}:
        with mock.patch("queries.users.accounts.DEEP_OFFSET", 2 * PAGE_SIZE):
            page = account_page(con, filters, **order, page=number, size=PAGE_SIZE)
        shown = [row.account_key for row in page.rows]
        part = [row.account_key for row in listed[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]]
        agree(f"page {number} by {sort} of {question}", shown, part)
        answer = {keys[key]: row.text for key, row in page.notes.items()}
        notes = {keys[key]: model.decision("note", keys[key], filters.moment) for key in shown}
        agree(f"notes of {question}", answer, {key: text for key, text in notes.items() if text})
        answer = {keys[key]: parts for key, parts in page.stretches.items()}
        agree(f"stretches of {question}", answer, {k: stretches[k] for k in answer})


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


PARTS = ("active", ("yes", "no", "unknown")), ("match", ("matched", "unmatched")), (
    "note", ("yes", "no")
)  # fmt: skip


def check_parts(con: Connection, model: Model, inquiry: Inquiry) -> None:
    """A filter, its opposite and unknown are what the model says, and so make the whole."""
    question, reader = inquiry[:2]
    name, values = PARTS[len(question.states) % len(PARTS)]
    for value in values:
        part = replace(question, **{name: value})
        expected = len(reader.visible(model.ask(part)))
        agree(f"count of {part}", count_accounts(con, filters_of(part)), expected)


def check_findings(engine: sa.Engine, model: Model, chance: random.Random) -> None:
    """The findings of a rule, now and at a moment: since when, and which have an exception."""
    accepted = [kind for kind, _ in model.decisions if kind in RULES]
    rule = chance.choice(accepted or [*RULES])
    with engine.connect() as con:
        for as_of in (None, chance.choice(model.all_moments() or [START])):
            view = View(as_of=as_of)
            rows = con.execute(all_findings(view, RULE_BY_NAME[rule])).all()
            answer = {(r.integration, r.account_id): (r.since, bool(r.reason)) for r in rows}
            expected = model.findings(rule, as_of)
            agree(f"findings of {rule} as of {as_of}", answer, expected)
            covered = sum(is_covered for _, is_covered in expected.values())
            count = count_findings(con, view, RULE_BY_NAME[rule])
            agree(f"count of {rule} as of {as_of}", count, (len(expected) - covered, covered))
