"""Exceptions, which are findings that people accept, and the settings of the review rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from data.formatting import utc_now
from data.records.decisions import EXCEPTIONS, InvalidInput, required_text
from data.records.settings import read_setting, save_setting

MAX_REASON_LENGTH = 1_000
"""Characters of a reason."""

MAX_PATTERNS = 50
MAX_PATTERN_LENGTH = 100
MAX_DAYS = 3_650


@dataclass(frozen=True)
class RuleSettings:
    """The limits of the review rules."""

    privileged: tuple[str, ...] = ("*admin*", "*owner", "*root*", "*superuser*")
    """Role names in any case; `*` stands for any text, `?` for one character."""
    delete_awaiting_days: int = 7
    inactive_days: int = 90
    unchanged_days: int = 30
    sign_in_days: int = 90
    grace_days: int | None = None
    """Days after which a disabled person counts as left; None: never."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RuleSettings:
        """The valid values; defaults for the rest."""
        days = {
            f.name: values[f.name]
            for f in fields(cls)
            if type(values.get(f.name)) is int and 0 <= values[f.name] <= MAX_DAYS
        }
        patterns = values.get("privileged")
        privileged = clean_patterns(patterns) if isinstance(patterns, list) else cls.privileged
        return cls(privileged, **days)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self) | {"privileged": list(self.privileged)}


def clean_patterns(texts: Sequence[Any]) -> tuple[str, ...]:
    """The valid patterns among the texts, without duplicates."""
    stripped = (text.strip()[:MAX_PATTERN_LENGTH] for text in texts if isinstance(text, str))
    patterns = dict.fromkeys(text for text in stripped if text and "\0" not in text)
    return tuple(patterns)[:MAX_PATTERNS]


def read_rule_settings(con: Connection) -> RuleSettings:
    """The current settings."""
    return RuleSettings.from_dict(read_setting(con, "review") or {})


def save_rule_settings(engine: sa.Engine, settings: RuleSettings) -> None:
    """Set the settings of all rules."""
    save_setting(engine, "review", settings.to_dict())


PERSON_RULE = "person"
"""In place of a rule: the exception is of a person, whom an account of a directory names."""


class FindingKey(NamedTuple):
    """What identifies a finding: a rule, and an account by its names."""

    rule: str
    integration: str
    account_id: str


class RiskException(NamedTuple):
    """Why a finding is accepted, by whom, and until when."""

    reason: str
    accepted_by: str
    until: date | None = None  # the last UTC day


def add_exceptions(
    engine: sa.Engine,
    findings: Sequence[tuple[FindingKey, datetime]],
    risk_exception: RiskException,
    *,
    accepted_at: datetime | None = None,
) -> None:
    """Add an exception for each finding, as it was in the snapshot of the moment beside it.

    Replaces earlier exceptions for the same findings. `accepted_at`: naive UTC; default: now.
    Raises InvalidInput.
    """
    reason = required_text(risk_exception.reason, "reason", MAX_REASON_LENGTH)
    rows = [
        {
            **finding._asdict(),
            "snapshot_taken_at": snapshot_taken_at,
            "reason": reason,
            "until": risk_exception.until,
        }
        for finding, snapshot_taken_at in findings
    ]
    EXCEPTIONS.save(engine, rows, risk_exception.accepted_by, accepted_at)


def exempt_person(
    engine: sa.Engine,
    integration: str,
    account_id: str,
    exemption: RiskException,
    *,
    accepted_at: datetime | None = None,
) -> None:
    """Exempt the person of a directory's account from the rules about people, up to the last day.

    `accepted_at`: naive UTC; default: now. Raises InvalidInput.
    """
    if exemption.until is None:
        raise InvalidInput("The last day is missing.")
    at = accepted_at or utc_now()
    key = FindingKey(PERSON_RULE, integration, account_id)
    add_exceptions(engine, [(key, at)], exemption, accepted_at=at)
