"""The address of a person."""

from dataclasses import replace
from datetime import datetime

from queries.filters import Filters
from queries.people.dossier import person_params
from queries.people.named_person import NamedPerson
from queries.scope import first_value
from widgets import timezone
from widgets.address import address_params


def requested_person() -> Filters:
    """The person in the address, at the moment or in the period in it."""
    params = address_params()
    app, link = first_value(params, "integration"), first_value(params, "account")
    times = {name: params.get(name, []) for name in ("as_of", "during")}
    return replace(Filters.from_params(times), of_person=NamedPerson(app, link))


def person_address(app: str, account_id: str, as_of: datetime | None) -> str:
    """The page of an account's person, at a moment (None: now)."""
    return f"person?{timezone.query_with_zone(person_params(app, account_id, as_of))}"


def page_of_person(filters: Filters) -> str:
    """The page of the person whom filters name, at their moment or in their period."""
    who = filters.of_person
    named = [("integration", who.integration), ("account", who.link)] if who else []
    times = [(n, value) for n, value in filters.params() if n in ("as_of", "during")]
    return f"person?{timezone.query_with_zone([*named, *times])}"
