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

from data.schema import exception, setting
from data.store.engine import write_transaction

MAX_REASON_LENGTH = 1_000
MAX_NAME_LENGTH = 200
"""Characters of what a person types."""

MAX_PATTERNS = 50
MAX_PATTERN_LENGTH = 100
MAX_DAYS = 3_650


@dataclass(frozen=True)
class RuleSettings:
    """From where on a rule finds something; a person can set each."""

    privileged: tuple[str, ...] = ("*admin*", "*owner", "*root*", "*superuser*")
    """Role names in any case; `*` stands for any text, `?` for one character."""
    delete_awaiting_days: int = 7
    inactive_days: int = 90
    unchanged_days: int = 30

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RuleSettings:
        """What is told, as far as it makes sense; the usual for the rest."""
        days = {
            f.name: values[f.name]
            for f in fields(cls)
            if type(values.get(f.name)) is int and 0 <= values[f.name] <= MAX_DAYS
        }
        raw_patterns = values.get("privileged")
        privileged = (
            clean_patterns(raw_patterns) if isinstance(raw_patterns, list) else cls.privileged
        )
        return cls(privileged, **days)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self) | {"privileged": list(self.privileged)}


def clean_patterns(texts: Sequence[Any]) -> tuple[str, ...]:
    """The patterns among the texts, each once."""
    stripped = (text.strip()[:MAX_PATTERN_LENGTH] for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(text for text in stripped if text and "\0" not in text))[
        :MAX_PATTERNS
    ]


def read_rule_settings(con: Connection) -> RuleSettings:
    """The limits that hold now."""
    value = con.scalar(select(setting.c.value).where(setting.c.name == "review"))
    return RuleSettings.from_dict(json.loads(value)) if value else RuleSettings()


def save_rule_settings(engine: Engine, settings: RuleSettings) -> None:
    """From now on, rules find what is beyond these."""
    with write_transaction(engine) as con:
        con.execute(delete(setting).where(setting.c.name == "review"))
        con.execute(insert(setting).values(name="review", value=json.dumps(settings.to_dict())))


class FindingKey(NamedTuple):
    """What tells one finding from all others: a rule, and an account by the names it has."""

    rule: str
    integration: str
    account_id: str


class RiskException(NamedTuple):
    """Why a finding is accepted, by whom, and until when."""

    reason: str
    accepted_by: str
    until: date | None = None  # the last UTC day


class InvalidInput(ValueError):
    """A reason or a name is missing, or the day has passed; the message says which."""


def add_exceptions(
    engine: Engine,
    findings: Sequence[tuple[FindingKey, datetime]],
    risk_exception: RiskException,
    *,
    accepted_at: datetime | None = None,
) -> None:
    """Accept findings, each as it held at a snapshot's moment. Raises SaysNothing.

    What was said before of the same findings is withdrawn by the same word. `at`: naive UTC, now.
    """
    accepted_at = accepted_at or datetime.now(UTC).replace(tzinfo=None)
    reason, accepted_by = (
        _required_text(risk_exception.reason, "reason", MAX_REASON_LENGTH),
        _required_text(risk_exception.accepted_by, "name", MAX_NAME_LENGTH),
    )
    if risk_exception.until and risk_exception.until < accepted_at.date():
        raise InvalidInput(f"{risk_exception.until} has passed.")
    with write_transaction(engine) as con:
        for finding, _ in findings:
            con.execute(_withdrawal(finding, accepted_by, accepted_at))
        rows = [
            finding._asdict()
            | {"snapshot_taken_at": snapshot_taken_at, "reason": reason, "accepted_by": accepted_by}
            | {"accepted_at": accepted_at, "until": risk_exception.until}
            for finding, snapshot_taken_at in findings
        ]
        con.execute(insert(exception), rows) if rows else None


def withdraw_exception(
    engine: Engine, finding: FindingKey, withdrawn_by: str, *, withdrawn_at: datetime | None = None
) -> None:
    """The finding counts again. Raises SaysNothing."""
    withdrawn_at = withdrawn_at or datetime.now(UTC).replace(tzinfo=None)
    with write_transaction(engine) as con:
        con.execute(
            _withdrawal(
                finding, _required_text(withdrawn_by, "name", MAX_NAME_LENGTH), withdrawn_at
            )
        )


def is_in_force(moment: datetime) -> ColumnElement[bool]:
    """Whether an acceptance holds at a moment (naive UTC), where its finding does."""
    columns = exception.c
    return and_(
        columns.accepted_at <= moment,
        columns.until.is_(None) | (columns.until >= moment.date()),
        columns.withdrawn_at.is_(None) | (columns.withdrawn_at > moment),
    )


def _withdrawal(finding: FindingKey, withdrawn_by: str, withdrawn_at: datetime) -> Any:
    columns = exception.c
    conditions = [columns[name] == value for name, value in finding._asdict().items()]
    return (
        update(exception)
        .where(*conditions, columns.withdrawn_at.is_(None))
        .values(withdrawn_by=withdrawn_by, withdrawn_at=withdrawn_at)
    )


def _required_text(text: str, label: str, max_length: int) -> str:
    cleaned = " ".join(text.replace("\0", " ").split())
    if not cleaned:
        raise InvalidInput(f"The {label} is missing.")
    return cleaned[:max_length]
