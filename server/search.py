"""`/search?q=`: the first accounts that a search finds, by person; search.js draws them."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from data.access.roles import Permission
from data.states import STATE_BY_NAME
from queries.account_links import account_link
from queries.filters import Filters
from queries.people.dossier import person_params
from queries.users.search import FoundPerson, find_people, matched_texts
from server.authorize import store_connection

MAX_PEOPLE = 8
"""Persons that are shown; the list of all accounts has the others."""

MAX_ACCOUNTS = 5
"""Accounts of a person that are shown."""


def send_search(request: Request) -> Response:
    """Not async, as a search can take a while. Addresses are relative to any page."""
    filters = Filters.from_params({"q": [request.query_params.get("q", "")]})
    with store_connection(Permission.USERS) as con:
        found = find_people(con, filters.q)
    people = [_person(person, filters) for person in found.people[:MAX_PEOPLE]]
    answer = {"people": people, "accounts": found.accounts, "address": _users_address(filters)}
    return JSONResponse(answer)


def person_address(person: FoundPerson) -> str:
    """Where all accounts of a person are shown."""
    account = person.accounts[0]
    return f"person?{urlencode(person_params(account.app, account.account_id))}"


def _person(person: FoundPerson, filters: Filters) -> dict[str, Any]:
    return {
        "name": person.name or person.email,
        "email": person.email if person.name else "",
        "address": person_address(person),
        "accounts": [_account(row, filters) for row in person.accounts[:MAX_ACCOUNTS]],
        "count": len(person.accounts),
    }


def _account(row: Any, filters: Filters) -> dict[str, Any]:
    state = STATE_BY_NAME[row.provisioning_state]
    only = Filters(q=row.username_in_app, integration=(row.app,))
    return {
        "username": row.username_in_app,
        "app": row.app,
        "state": state.name,
        "phase": state.phase if state.operation else state.name,
        "matched": matched_texts(row, filters.q),
        "address": _users_address(only, open=account_link(row.app, row.account_id)),
    }


def _users_address(filters: Filters, **more: Any) -> str:
    return f"users?{urlencode([*filters.params(), *more.items()])}"
