"""Match overrides: whom people name as the owner of an account that no snapshot matches."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from data.records.decisions import MATCH_OVERRIDES


class MatchOverride(NamedTuple):
    """An account and its owner; without `person_integration`, it has none."""

    integration: str
    account_id: str
    evidence: str
    person_integration: str | None = None
    person_id: str | None = None
    user_name: str | None = None
    user_email: str | None = None


def save_match_overrides(
    engine: sa.Engine,
    overrides: Sequence[MatchOverride],
    decided_by: str,
    *,
    decided_at: datetime | None = None,
) -> None:
    """Save overrides, which replace earlier ones for the same accounts. Raises InvalidInput."""
    rows = (override._asdict() for override in overrides)
    MATCH_OVERRIDES.save(engine, rows, decided_by, decided_at)
