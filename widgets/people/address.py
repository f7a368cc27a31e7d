"""The address of a person."""

from datetime import datetime
from urllib.parse import urlencode

from queries.people.dossier import person_params
from widgets import timezone
from widgets.address import group_params


def person_address(app: str, account_id: str, as_of: datetime | None) -> str:
    """The page of an account's person, at a moment (None: now)."""
    params = group_params(person_params(app, account_id, as_of))
    return f"person?{urlencode(timezone.with_zone(params), doseq=True)}"
