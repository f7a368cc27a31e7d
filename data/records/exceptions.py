"""What people say of the review: which findings they accept, and from where on a rule finds one.

Both are kept in the store by names, not by keys, so that they outlive a rebuild.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, select, update

from data.schema import accepted, setting
from data.store.engine import changing

LONGEST_REASON = 1_000
LONGEST_NAME = 200
"""Characters of what a person types."""

MOST_PATTERNS = 50
LONGEST_PATTERN = 100
MOST_DAYS = 3_650


@dataclass(frozen=True)
class Limits:
    """From where on a rule finds something; a person can set each."""

    privileged: tuple[str, ...] = ("*admin*", "*owner", "*root*", "*superuser*")
    """Role names in any case; `*` stands for any text, `?` for one character."""
    delete_awaiting_days: int = 7
    inactive_days: int = 90
    unchanged_days: int = 30

    @classmethod
    def of(cls, told: dict[str, Any]) -> Limits:
        """What is told, as far as it makes sense; the usual for the rest."""
        days = {
            f.name: told[f.name]
            for f in fields(cls)
            if type(told.get(f.name)) is int and 0 <= told[f.name] <= MOST_DAYS
        }
        listed = told.get("privileged")
        privileged = patterns(listed) if isinstance(listed, list) else cls.privileged
        return cls(privileged, **days)

    def facts(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self) | {"privileged": list(self.privileged)}


def patterns(texts: Sequence[Any]) -> tuple[str, ...]:
    """The patterns among the texts, each once."""
    told = (text.strip()[:LONGEST_PATTERN] for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(text for text in told if text and "\0" not in text))[:MOST_PATTERNS]


def limits_of(con: Connection) -> Limits:
    """The limits that hold now."""
    told = con.scalar(select(setting.c.value).where(setting.c.name == "review"))
    return Limits.of(json.loads(told)) if told else Limits()


def set_limits(engine: Engine, limits: Limits) -> None:
    """From now on, rules find what is beyond these."""
    with changing(engine) as con:
        con.execute(delete(setting).where(setting.c.name == "review"))
        con.execute(insert(setting).values(name="review", value=json.dumps(limits.facts())))


class Finding(NamedTuple):
    """What tells one finding from all others: a rule, and an account by the names it has."""

    rule: str
    integration: str
    account_id: str


class Said(NamedTuple):
    """Why a finding is accepted, by whom, and until when."""

    reason: str
    by: str
    until: date | None = None  # the last UTC day


class SaysNothing(ValueError):
    """A reason or a name is missing, or the day has passed; the message says which."""


def accept(
    engine: Engine,
    findings: Sequence[tuple[Finding, datetime]],
    said: Said,
    *,
    at: datetime | None = None,
) -> None:
    """Accept findings, each as it held at a snapshot's moment. Raises SaysNothing.

    What was said before of the same findings is withdrawn by the same word. `at`: naive UTC, now.
    """
    at = at or datetime.now(UTC).replace(tzinfo=None)
    reason, by = _told(said.reason, "reason", LONGEST_REASON), _told(said.by, "name", LONGEST_NAME)
    if said.until and said.until < at.date():
        raise SaysNothing(f"{said.until} has passed.")
    with changing(engine) as con:
        for finding, _ in findings:
            con.execute(_withdrawn(finding, by, at))
        rows = [
            finding._asdict()
            | {"held_at": held_at, "reason": reason, "accepted_by": by}
            | {"accepted_at": at, "until": said.until}
            for finding, held_at in findings
        ]
        con.execute(insert(accepted), rows) if rows else None


def withdraw(engine: Engine, finding: Finding, by: str, *, at: datetime | None = None) -> None:
    """The finding counts again. Raises SaysNothing."""
    at = at or datetime.now(UTC).replace(tzinfo=None)
    with changing(engine) as con:
        con.execute(_withdrawn(finding, _told(by, "name", LONGEST_NAME), at))


def in_force(at: datetime) -> ColumnElement[bool]:
    """Whether an acceptance holds at a moment (naive UTC), where its finding does."""
    said = accepted.c
    return and_(
        said.accepted_at <= at,
        said.until.is_(None) | (said.until >= at.date()),
        said.withdrawn_at.is_(None) | (said.withdrawn_at > at),
    )


def _withdrawn(finding: Finding, by: str, at: datetime) -> Any:
    said = accepted.c
    named = [said[name] == value for name, value in finding._asdict().items()]
    return (
        update(accepted)
        .where(*named, said.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=at)
    )


def _told(text: str, what: str, most: int) -> str:
    told = " ".join(text.replace("\0", " ").split())
    if not told:
        raise SaysNothing(f"The {what} is missing.")
    return told[:most]
