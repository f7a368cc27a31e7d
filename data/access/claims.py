"""Maps the claims of an ID token to a principal, and checks that they are still valid."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from data.access.roles import ROLES, Principal

Claims = Mapping[str, Any]

CLOCK_LEEWAY_SECONDS = 60
"""Seconds that the provider's clock can be ahead."""

MIN_SECRET_LENGTH = 32
"""Characters of a secret that nobody can guess."""

MAX_NAME_LENGTH = 200
"""Characters of a stored name."""


MAX_HOURS = 24 * 30
"""Hours of the longest session."""


class ConfigError(Exception):
    """A setting is wrong; the message names it and its section."""


@dataclass(frozen=True)
class RoleMapping:
    """Who has which role: section [access] of secrets.toml."""

    claim: str = "roles"
    """The claim that lists a person's groups: its name, or a path with dots."""
    roles: Mapping[str, str] | None = None
    """Value of the claim → role."""
    people: Mapping[str, str] | None = None
    """Email address → role."""
    integrations: Mapping[str, Sequence[str]] | None = None
    """Role, value of the claim or email address → the only integrations to show."""
    pseudonyms: bool | Sequence[str] = False
    """Whether everybody sees pseudonyms instead of names; or the roles that do."""
    unverified_emails: bool = False
    """Whether to accept an email address that the provider has not verified."""
    hours: float = 8
    """Hours from the sign-in to the end of a session, unless its token ends first."""
    idle_hours: float = 2
    """Hours without use after which a session ends."""
    contact: str = ""
    """The person to ask for a role."""
    metrics_token: str = ""
    """The token for /metrics; without one, monitoring has no access."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> RoleMapping:
        """Validate the settings. Raises ConfigError."""
        field_names = {f.name for f in fields(cls)}
        if unknown := sorted(set(settings) - field_names):
            expected = ", ".join(sorted(field_names))
            raise ConfigError(
                f"[access] has unknown settings: {', '.join(unknown)}. Known: {expected}."
            )
        for name, value in settings.items():
            is_valid, expected = SETTINGS[name]
            if not is_valid(value):
                raise ConfigError(f"{name} in [access] must be {expected}.")
        role_mapping = cls(**settings)
        assigned_roles = {**(role_mapping.roles or {}), **(role_mapping.people or {})}
        if not assigned_roles:
            raise ConfigError(
                "[access] gives nobody a role. Add [access.roles] or [access.people]."
            )
        if unknown_roles := sorted({role for role in assigned_roles.values() if role not in ROLES}):
            raise ConfigError(
                f"No such role: {', '.join(unknown_roles)}. Known: {', '.join(ROLES)}."
            )
        return role_mapping

    def to_principal(self, claims: Claims) -> Principal:
        """The principal of the claims, with roles, integrations and pseudonyms."""
        email = self._verified_email(claims)
        values = _claim_values(claims, self.claim)
        roles_by_email = {
            comparable(address): role for address, role in (self.people or {}).items()
        }
        granted_roles = [(self.roles or {}).get(value) for value in values] + [
            roles_by_email.get(email)
        ]
        roles = tuple(role for role in ROLES if role in granted_roles)
        name = email or str(claims.get("email") or claims.get("sub") or "")
        integrations = self.visible_integrations({*roles, *values, email})
        return Principal(
            name[:MAX_NAME_LENGTH],
            roles,
            integrations,
            uses_pseudonyms=self.uses_pseudonyms(roles),
        )

    def to_reader(self, role: str, integrations: tuple[str, ...] | None = None) -> Principal:
        """Whoever reads a letter as this role. `integrations`: instead of those of the role."""
        return Principal(
            "",
            (role,),
            integrations or self.visible_integrations({role}),
            uses_pseudonyms=self.uses_pseudonyms((role,)),
        )

    def uses_pseudonyms(self, roles: Sequence[str]) -> bool:
        """Only if none of the person's roles shows names."""
        if isinstance(self.pseudonyms, bool):
            return self.pseudonyms
        return all(
            role in self.pseudonyms for role in roles if ROLES[role].personal_data == "shown"
        )

    def _verified_email(self, claims: Claims) -> str:
        """The address in lower case, if it can be trusted."""
        email, is_verified = claims.get("email"), claims.get("email_verified")
        is_trusted = is_verified is True or is_verified == "true" or self.unverified_emails
        return comparable(email) if isinstance(email, str) and is_trusted else ""

    def visible_integrations(self, subjects: set[str]) -> tuple[str, ...] | None:
        """The integrations of all matching entries; None if no entry restricts the person."""
        names_by_subject = {
            comparable(key): names for key, names in (self.integrations or {}).items()
        }
        lists = [
            names_by_subject[key]
            for key in {comparable(subject) for subject in subjects}
            if key in names_by_subject
        ]
        return tuple(sorted({name for names in lists for name in names})) if lists else None


def is_pseudonymized() -> bool:
    """Whether ROLLCALL_PSEUDONYMS shows pseudonyms to everybody."""
    return os.environ.get("ROLLCALL_PSEUDONYMS", "") not in ("", "0")


def comparable(text: str) -> str:
    """An address or a group as it is compared: in lower case. Other letters are other people.

    Case folding would make ß equal to ss.
    """
    return unicodedata.normalize("NFC", text).lower()


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
    return type(value) in (int, float) and 0 < value <= MAX_HOURS


SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "claim": (_is_text, 'a text, such as "roles"'),
    "roles": (_are_texts, 'a table of texts, such as "rollcall-admins" = "Admin"'),
    "people": (_are_texts, 'a table of texts, such as "ada@example.com" = "Owner"'),
    "integrations": (_are_lists, 'a table of lists, such as "Analyst" = ["figma"]'),
    "pseudonyms": (_are_roles, 'true, false, or a list of roles, such as ["Analyst"]'),
    "unverified_emails": (lambda value: isinstance(value, bool), "true or false"),
    "hours": (_are_hours, "a number above 0, at most 720"),
    "idle_hours": (_are_hours, "a number above 0, at most 720"),
    "contact": (_is_text, "a text"),
    "metrics_token": (
        lambda value: _is_text(value) and len(value) >= MIN_SECRET_LENGTH,
        f"a text of at least {MIN_SECRET_LENGTH} characters",
    ),
}
"""Setting → its check, and a description of a correct value."""


def _claim_values(claims: Claims, name: str) -> list[str]:
    """The values of a claim; `realm_access.roles` can be its name or its path."""
    value: Any = claims
    if name in claims:
        value = claims[name]
    else:
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
    value = [value] if isinstance(value, str) else value
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def are_valid_claims(claims: Claims, *, client_id: str, hours: float, now: float) -> bool:
    """Checks the token's audience and expiry. `now`: seconds since 1970.

    Authlib has checked its signature and issuer, but not its audience.
    """
    return (
        _has_audience(claims, client_id)
        and session_end(claims, hours) > now >= issued_at(claims) - CLOCK_LEEWAY_SECONDS
    )


def session_end(claims: Claims, hours: float) -> float:
    """The end of the session of a token, in seconds since 1970; 0 if the token does not say."""
    return min(_to_seconds(claims.get("exp")), issued_at(claims) + hours * 3600)


def issued_at(claims: Claims) -> float:
    """When the provider made the token, in seconds since 1970; 0 if the token does not say."""
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
