"""Maps ID-token claims to a principal.

Only this module decides whether claims are valid, and which roles of data/access/roles.py they
give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from data.access.roles import ROLES, Principal

Claims = Mapping[str, Any]

CLOCK_LEEWAY_SECONDS = 60
"""Seconds by which the provider's clock may be ahead."""

MIN_SECRET_LENGTH = 32
"""Characters of a secret that nobody can guess."""

MAX_NAME_LENGTH = 200
"""Characters of a name that are kept."""


class ConfigError(Exception):
    """A setting of sign-in is wrong. The message names the setting and the expected value."""


@dataclass(frozen=True)
class RoleMapping:
    """The roles of people: section [access] of secrets.toml."""

    claim: str = "roles"
    """The claim with the groups or roles of a person: its name, or a path with dots."""
    roles: Mapping[str, str] | None = None
    """Value of the claim → role."""
    people: Mapping[str, str] | None = None
    """Email address → role."""
    integrations: Mapping[str, Sequence[str]] | None = None
    """Role, value of the claim or email address → the only visible integrations."""
    pseudonyms: bool | Sequence[str] = False
    """Whether people see pseudonyms instead of names, or the roles that do."""
    unverified_emails: bool = False
    """Whether to accept an address that the provider does not call verified."""
    hours: float = 8
    """Hours after the sign-in when a session ends, unless its token ends earlier."""
    contact: str = ""
    """The person to ask for a role."""
    metrics_token: str = ""
    """The token of a monitoring system for /metrics. Without it, none has access."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> RoleMapping:
        """Read the settings. Raises ConfigError."""
        field_names = {f.name for f in fields(cls)}
        if unknown := sorted(set(settings) - field_names):
            raise ConfigError(
                f"[access] has unknown settings: {', '.join(unknown)}. Expected: "
                f"{', '.join(sorted(field_names))}."
            )
        for name, is_valid in VALIDATORS.items():
            if name in settings and not is_valid(settings[name]):
                raise ConfigError(
                    f"{name} in [access] is not valid. Expected: {EXPECTED_VALUES[name]}."
                )
        role_mapping = cls(**settings)
        assigned_roles = {**(role_mapping.roles or {}), **(role_mapping.people or {})}
        if not assigned_roles:
            raise ConfigError("Nobody has a role. Add roles to [access.roles] or [access.people].")
        if unknown_roles := sorted({role for role in assigned_roles.values() if role not in ROLES}):
            raise ConfigError(
                f"Unknown role: {', '.join(unknown_roles)}. Expected: {', '.join(ROLES)}."
            )
        return role_mapping

    def to_principal(self, claims: Claims) -> Principal:
        """The person of the claims, with their roles."""
        email = self._verified_email(claims)
        values = _claim_values(claims, self.claim)
        roles_by_email = {address.casefold(): role for address, role in (self.people or {}).items()}
        granted_roles = [(self.roles or {}).get(value) for value in values] + [
            roles_by_email.get(email)
        ]
        roles = tuple(role for role in ROLES if role in granted_roles)
        name = email or str(claims.get("email") or claims.get("sub") or "")
        integrations = self._visible_integrations({*roles, *values, email})
        return Principal(
            name[:MAX_NAME_LENGTH],
            roles,
            integrations,
            uses_pseudonyms=self._uses_pseudonyms(roles),
        )

    def _uses_pseudonyms(self, roles: Sequence[str]) -> bool:
        """Whether none of the roles sees names."""
        if isinstance(self.pseudonyms, bool):
            return self.pseudonyms
        return all(
            role in self.pseudonyms for role in roles if ROLES[role].personal_data == "shown"
        )

    def _verified_email(self, claims: Claims) -> str:
        """The address in lower case, or nothing if it is not verified."""
        email, is_verified = claims.get("email"), claims.get("email_verified")
        is_trusted = is_verified is True or is_verified == "true" or self.unverified_emails
        return email.casefold() if isinstance(email, str) and is_trusted else ""

    def _visible_integrations(self, subjects: set[str]) -> tuple[str, ...] | None:
        """The integrations of all roles, values and addresses together. None means all."""
        names_by_subject = {
            key.casefold(): names for key, names in (self.integrations or {}).items()
        }
        lists = [
            names_by_subject[key]
            for key in {subject.casefold() for subject in subjects}
            if key in names_by_subject
        ]
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


VALIDATORS: dict[str, Callable[[Any], bool]] = {
    "claim": _is_text,
    "roles": _are_texts,
    "people": _are_texts,
    "integrations": _are_lists,
    "pseudonyms": _are_roles,
    "unverified_emails": lambda value: isinstance(value, bool),
    "hours": _are_hours,
    "contact": _is_text,
    "metrics_token": lambda value: _is_text(value) and len(value) >= MIN_SECRET_LENGTH,
}
EXPECTED_VALUES = {
    "claim": 'a text, such as "roles"',
    "roles": 'a table of texts, such as "rollcall-admins" = "Admin"',
    "people": 'a table of texts, such as "ada@example.com" = "Owner"',
    "integrations": 'a table of lists, such as "Analyst" = ["figma"]',
    "pseudonyms": 'true, false, or a list of roles, such as ["Analyst"]',
    "unverified_emails": "true or false",
    "hours": "a number above 0, at most 720",
    "contact": "a text",
    "metrics_token": f"a text of at least {MIN_SECRET_LENGTH} characters",
}


def _claim_values(claims: Claims, name: str) -> list[str]:
    """The values of a claim. `realm_access.roles` can be its name or its path."""
    value: Any = claims
    if name in claims:
        value = claims[name]
    else:
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
    value = [value] if isinstance(value, str) else value
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def are_valid_claims(claims: Claims, *, client_id: str, hours: float, now: float) -> bool:
    """Check the token's audience and expiry. `now` is in seconds since 1970.

    Authlib has checked signature and issuer at the sign-in, but not the audience.
    """
    return (
        _has_audience(claims, client_id)
        and session_end(claims, hours) > now >= _issued_at(claims) - CLOCK_LEEWAY_SECONDS
    )


def session_end(claims: Claims, hours: float) -> float:
    """The end of a token's session, in seconds since 1970; long past if a time is missing."""
    return min(_to_seconds(claims.get("exp")), _issued_at(claims) + hours * 3600)


def _issued_at(claims: Claims) -> float:
    return _to_seconds(claims.get("iat"))


def _to_seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else 0.0


def _has_audience(claims: Claims, client_id: str) -> bool:
    audience = claims.get("aud")
    audience = [audience] if isinstance(audience, str) else audience
    if not isinstance(audience, list) or client_id not in audience:
        return False
    return claims.get("azp", client_id) == client_id
