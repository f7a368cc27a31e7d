"""Clues to people: what an account has in common with the person who uses it.

A clue is a number, the digest of an email or an ID. Numbers join faster than texts, and readers who
see no names can count by them.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func, select

from data.files.text import id_key, username_key
from data.schema import account, account_profile, is_same_account, person_clue
from data.store.dialect import digest_of, json_text, unnest_matches

EMAIL_PATTERN = r"""([^\s"'\[\](),;:<>]+@[^\s"'\[\](),;:<>]+)"""
"""An email address in a longer text, such as `["SMTP:ada@x.io"]`."""

ALIAS_ATTRIBUTES = (
    *("Email", "Aliases", "Alias", "Email aliases", "aliases", "alias", "email_aliases"),
    *("Other emails", "Secondary email", "Proxy addresses", "proxyAddresses", "otherMails"),
)
"""Attributes of a directory's account with further addresses of the person."""

EMPLOYEE_ATTRIBUTES = ("Employee ID", "Employee number", "employeeId", "employee_id")
"""Attributes with the number that a person keeps through a rename or a rehire."""

TYPE_ATTRIBUTES = (
    *("Type", "User type", "Account type", "Mailbox type", "Recipient type", "Employee type"),
    *("type", "user_type", "account_type", "userType", "accountType", "employeeType"),
)
"""Attributes that say what an account of a directory is for."""

YES_WORDS = ("yes", "true", "1")
NON_PERSON_TYPES = tuple(
    name
    for word in ("service", "shared", "system", "room", "equipment", "resource", "bot", "robot")
    for name in (word, f"{word} account", f"{word} mailbox", f"{word}mailbox", f"{word} user")
)
"""Their values, in lower case, for accounts that are not people."""


def _email_key(email: ColumnElement[Any]) -> ColumnElement[Any]:
    return digest_of(username_key(email))


def _if_email(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((text.like("%_@_%"), text))


def email_clue(accounts: sa.FromClause) -> ColumnElement[Any]:
    """The clue of the user's email; without one, of the account's own: an attribute or username."""
    c = accounts.c
    own_email = json_text(c.attributes, sa.literal("Email"))
    return _email_key(func.coalesce(c.user_email, own_email, _if_email(c.username_in_app)))


def id_clue(accounts: sa.FromClause) -> ColumnElement[Any]:
    """The clue of the upstream user ID."""
    return digest_of(id_key(accounts.c.upstream_user_id))


def is_no_person(attributes: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a directory says that an account is a mailbox, a room or a service."""
    kind = func.lower(_first_attribute(attributes, TYPE_ATTRIBUTES))
    is_service = func.lower(json_text(attributes, sa.literal("Service account")))
    return case(
        (
            sa.or_(attributes.contains("ype"), attributes.contains("ervice")),
            func.coalesce(kind.in_(NON_PERSON_TYPES), False)
            | func.coalesce(is_service.in_(YES_WORDS), False),
        ),
        else_=False,
    )


def _first_attribute(attributes: ColumnElement[Any], names: tuple[str, ...]) -> ColumnElement[Any]:
    return func.coalesce(*(json_text(attributes, sa.literal(name)) for name in names))


def person_clues(directory_ids: list[int]) -> sa.Select[*tuple[Any, ...]]:
    """Rows for `person_clue`: of all accounts that these directories ever listed."""
    p = account_profile.c
    profiles = select(account_profile).where(p.integration_id.in_(directory_ids)).cte("profiles")
    columns = profiles.c
    with_id = select(profiles, account.c.account_id).join_from(
        profiles, account, is_same_account(account, profiles)
    )
    texts = (json_text(columns.attributes, sa.literal(name)) for name in ALIAS_ATTRIBUTES)
    aliases = select(
        profiles, unnest_matches(func.concat_ws(" ", *texts), EMAIL_PATTERN).label("alias")
    ).where(columns.attributes.contains("@"))
    employee = _first_attribute(columns.attributes, EMPLOYEE_ATTRIBUTES)
    employees = select(profiles, employee.label("employee")).where(
        columns.attributes.contains("mployee")
    )
    with_id, aliases, employees = (rows.subquery() for rows in (with_id, aliases, employees))
    found = sa.union_all(
        _clues(profiles, "email", columns.email_clue),
        _clues(profiles, "email", _email_key(_if_email(columns.username_in_app))),
        _clues(aliases, "email", _email_key(aliases.c.alias)),
        _clues(with_id, "account", digest_of(id_key(with_id.c.account_id))),
        _clues(profiles, "upstream", columns.id_clue),
        _clues(employees, "employee", digest_of(id_key(employees.c.employee))),
    ).subquery("found")
    keys = [found.c[c.name] for c in person_clue.c if c.name != "since"]
    since = func.min(found.c.content_since)
    return select(*keys, since).where(found.c.clue.is_not(None)).group_by(*keys)


def _clues(rows: sa.FromClause, kind: str, clue: ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    label = sa.literal(kind, sa.String).label("kind")
    keys = rows.c.integration_id, rows.c.account_key
    return select(*keys, label, clue.label("clue"), rows.c.content_since)
