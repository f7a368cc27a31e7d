"""What people decide: on owners, notes and exceptions. They can withdraw it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from data.records.decisions import EXCEPTIONS, MATCH_OVERRIDES, NOTES
from data.records.exceptions import FindingKey, RiskException, add_exceptions
from data.records.matches import MatchOverride, save_match_overrides
from data.records.notes import NamedAccount, save_note
from simulation.model import RULES
from simulation.step import Step
from simulation.world import PEOPLE

if TYPE_CHECKING:
    from datetime import date

    from simulation.life import Life

AUTHOR = "Grace"


def name_owner(life: Life, app: str) -> Step | None:
    """A person names the owner of an account that has none; in the app, if it has one."""
    unmatched = [key for key, facts in life.model.accounts().items() if not facts.is_matched]
    if not unmatched:
        return None
    apps = sorted({key[0] for key in unmatched})
    app = app if app in apps else life.chance.choice(apps)
    key = life.chance.choice(sorted(key for key in unmatched if key[0] == app))
    name, email, upstream = life.chance.choice(PEOPLE)
    override = MatchOverride(*key, "They said so.", "people", upstream, name, email)
    at = life.world.now
    return Step(
        f"{name} owns {key}",
        lambda: save_match_overrides(life.engine, [override], AUTHOR, decided_at=at),
        lambda: life.model.decide(("owner", key), (name, email)),
    )


def write_note(life: Life, app: str) -> Step | None:
    """A person writes a note on an account, perhaps up to a last day."""
    if not (keys := sorted(life.model.accounts())):
        return None
    key, at, until = life.chance.choice(keys), life.world.now, _any_last_day(life)
    text = f"Asked on {at}."
    return Step(
        f"a note on {key} until {until}",
        lambda: save_note(life.engine, [NamedAccount(*key)], text, AUTHOR, until, written_at=at),
        lambda: life.model.decide(("note", key), text, until),
    )


def accept(life: Life, app: str) -> Step | None:
    """A person accepts a finding as it is in the newest snapshot."""
    rule = life.chance.choice(sorted(RULES))
    if not (keys := sorted(life.model.findings(rule))):
        return None
    key, at, until = life.chance.choice(keys), life.world.now, _any_last_day(life)
    newest = life.model.moments(key[0])[-1]
    exception = RiskException("They may.", AUTHOR, until)
    finding = FindingKey(rule, *key), newest
    return Step(
        f"{rule} of {key} is accepted until {until}",
        lambda: add_exceptions(life.engine, [finding], exception, accepted_at=at),
        lambda: life.model.decide((rule, key), newest, until),
    )


def withdraw(life: Life, app: str) -> Step | None:
    """A person withdraws a decision."""
    if not life.model.decisions:
        return None
    kind, key = life.chance.choice(sorted(life.model.decisions))
    decisions = {"owner": MATCH_OVERRIDES, "note": NOTES}.get(kind, EXCEPTIONS)
    at, subject = life.world.now, {"rule": kind, "integration": key[0], "account_id": key[1]}
    return Step(
        f"{kind} of {key} is withdrawn",
        lambda: decisions.withdraw(life.engine, [subject], AUTHOR, at),
        lambda: life.model.decide((kind, key), None),
    )


def _any_last_day(life: Life) -> date | None:
    days = life.chance.choice((None, 0, 1, 3))
    return None if days is None else life.world.now.date() + timedelta(days=days)


DECISIONS: dict[Callable[[Life, str], Step | None], int] = {
    name_owner: 5,
    write_note: 7,
    accept: 7,
    withdraw: 4,
}
"""Kind of step → how often it happens, beside the others."""
