"""The address of a person."""

from datetime import datetime

from queries.people.dossier import person_params
from widgets import timezone


def person_address(app: str, account_id: str, as_of: datetime | None) -> str:
    """The page of an account's person, at a moment (None: now)."""
    return f"person?{timezone.query_with_zone(person_params(app, account_id, as_of))}"
