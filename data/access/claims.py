"""Who somebody is to Rollcall, by what the identity provider says of them.

The provider's words are the claims of its ID token. Whether they still hold, and which roles of the
table in data/access.py they give, is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from data.access.roles import ROLES, Principal

Claims = Mapping[str, Any]

LEEWAY = 60
"""Seconds that the provider's clock may be ahead."""

SHORTEST_SECRET = 32
"""Characters of a secret that nobody may guess."""

LONGEST_NAME = 200
"""Characters of a name that are kept."""


class Misconfigured(Exception):
    """The settings of sign-in do not say what they must; the message tells what, and where."""


@dataclass(frozen=True)
class Rules:
    """Which roles people have: section [access] of secrets.toml."""

    claim: str = "roles"
    """The claim that lists what a person is: its name, or names with dots between them."""
    roles: Mapping[str, str] | None = None
    """Value of the claim → role."""
    people: Mapping[str, str] | None = None
    """E-mail address → role."""
    integrations: Mapping[str, Sequence[str]] | None = None
    """Role, value of the claim or e-mail address → the only integrations that they see."""
    pseudonyms: bool | Sequence[str] = False
    """Whether people see pseudonyms instead of names; or the roles that do."""
    unverified_emails: bool = False
    """Whether an address counts that the provider does not call verified."""
    hours: float = 8
    """A session ends so long after the sign-in, or when its token does."""
    contact: str = ""
    """Whom to ask for a role."""
    metrics_token: str = ""
    """What a monitoring system sends to be told /metrics; empty: nothing lets it in."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Rules:
        """As the settings tell them. Raises Misconfigured."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(told) - known):
            raise Misconfigured(
                f"[access] does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}."
            )
        for name, kind in KINDS.items():
            if name in told and not kind(told[name]):
                raise Misconfigured(f"{name} in [access] is not what it must be: {EXPECTED[name]}.")
        rules = cls(**told)
        given = {**(rules.roles or {}), **(rules.people or {})}
        if not given:
            raise Misconfigured(
                "Nobody has a role: [access.roles] or [access.people] has to give some."
            )
        if wrong := sorted({role for role in given.values() if role not in ROLES}):
            raise Misconfigured(f"No such role: {', '.join(wrong)}. Known: {', '.join(ROLES)}.")
        return rules

    def principal(self, claims: Claims) -> Principal:
        """Who the claims speak of, with the roles that they give."""
        email = self._email(claims)
        values = _values(claims, self.claim)
        people = {address.casefold(): role for address, role in (self.people or {}).items()}
        found = [(self.roles or {}).get(value) for value in values] + [people.get(email)]
        roles = tuple(role for role in ROLES if role in found)
        name = email or str(claims.get("email") or claims.get("sub") or "")
        only = self._integrations({*roles, *values, email})
        return Principal(name[:LONGEST_NAME], roles, only, pseudonyms=self._masks(roles))

    def _masks(self, roles: Sequence[str]) -> bool:
        """Not where another role of the same person sees names."""
        if isinstance(self.pseudonyms, bool):
            return self.pseudonyms
        return all(role in self.pseudonyms for role in roles if ROLES[role].personal == "shown")

    def _email(self, claims: Claims) -> str:
        """The address, in lower case, where it is to be believed."""
        email, verified = claims.get("email"), claims.get("email_verified")
        is_believed = verified is True or verified == "true" or self.unverified_emails
        return email.casefold() if isinstance(email, str) and is_believed else ""

    def _integrations(self, of: set[str]) -> tuple[str, ...] | None:
        """All that anything which holds of a person names; None where nothing restricts them."""
        named = {key.casefold(): names for key, names in (self.integrations or {}).items()}
        lists = [named[key] for key in {each.casefold() for each in of} if key in named]
        return tuple(sorted({name for names in lists for name in names})) if lists else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, value.values()))


def _are_lists(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(names, list | tuple) and all(map(_is_text, names)) for names in value.values()
    )


def _are_roles(value: Any) -> bool:
    is_list = isinstance(value, list | tuple)
    return isinstance(value, bool) or (is_list and all(role in ROLES for role in value))


def _are_hours(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 24 * 30


KINDS: dict[str, Callable[[Any], bool]] = {
    "claim": _is_text,
    "roles": _are_texts,
    "people": _are_texts,
    "integrations": _are_lists,
    "pseudonyms": _are_roles,
    "unverified_emails": lambda value: isinstance(value, bool),
    "hours": _are_hours,
    "contact": _is_text,
    "metrics_token": lambda value: _is_text(value) and len(value) >= SHORTEST_SECRET,
}
EXPECTED = {
    "claim": 'a text, such as "roles"',
    "roles": 'a table of texts, such as "rollcall-admins" = "Admin"',
    "people": 'a table of texts, such as "ada@example.com" = "Owner"',
    "integrations": 'a table of lists, such as "Analyst" = ["figma"]',
    "pseudonyms": 'true, false, or a list of roles, such as ["Analyst"]',
    "unverified_emails": "true or false",
    "hours": "a number above 0, at most 720",
    "contact": "a text",
    "metrics_token": f"a text of at least {SHORTEST_SECRET} characters",
}


def _values(claims: Claims, name: str) -> list[str]:
    """What a claim lists; `realm_access.roles` may be its name, or the way to it."""
    found: Any = claims
    if name in claims:
        found = claims[name]
    else:
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    found = [found] if isinstance(found, str) else found
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def hold(claims: Claims, *, client_id: str, hours: float, now: float) -> bool:
    """Whether a token was made for us, and its time is not over. `now`: seconds since 1970.

    Its signature and issuer were checked when it came; for whom it is, Authlib leaves to others.
    """
    return _is_for(claims, client_id) and ends_at(claims, hours) > now >= _began(claims) - LEEWAY


def ends_at(claims: Claims, hours: float) -> float:
    """When the session of a token ends, in seconds since 1970; long ago where it does not say."""
    return min(_seconds(claims.get("exp")), _began(claims) + hours * 3600)


def _began(claims: Claims) -> float:
    return _seconds(claims.get("iat"))


def _seconds(told: Any) -> float:
    is_number = isinstance(told, int | float) and not isinstance(told, bool)
    return float(told) if is_number else 0.0


def _is_for(claims: Claims, client_id: str) -> bool:
    audience = claims.get("aud")
    audience = [audience] if isinstance(audience, str) else audience
    if not isinstance(audience, list) or client_id not in audience:
        return False
    return claims.get("azp", client_id) == client_id
