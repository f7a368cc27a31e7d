"""Which accounts: one set of filters for pages, addresses, downloads and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import ColumnElement, FromClause, and_, or_, select

from data.loading import moment_of
from data.states import STATE_BY_NAME
from data.tables import account_current, account_version, integration
from queries.text import contains, has_role

Active = Literal["yes", "no", "unknown"]
Match = Literal["matched", "unmatched"]

LONGEST_SEARCH = 200
"""Characters of a search text; more is cut off."""


@dataclass(frozen=True)
class Filters:
    """What a reader asked to see. Empty means: not asked; several values of one kind mean: any."""

    integration: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    active: Active | None = None
    match: Match | None = None
    q: str = ""
    as_of: datetime | None = None  # naive UTC; None is now

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]]) -> Filters:
        """The filters that an address names; what is not understood is not asked."""

        def one(name: str) -> str:
            return next(iter(params.get(name, ())), "")

        active, match = one("active"), one("match")
        return cls(
            integration=tuple(params.get("integration", ())),
            state=tuple(s for s in params.get("state", ()) if s in STATE_BY_NAME),
            role=tuple(params.get("role", ())),
            active=active if active in get_args(Active) else None,  # type: ignore[arg-type]
            match=match if match in get_args(Match) else None,  # type: ignore[arg-type]
            q=one("q")[:LONGEST_SEARCH].strip(),
            as_of=moment_of(one("as_of")),
        )

    def params(self) -> list[tuple[str, str]]:
        """The filters as an address names them."""
        named = [
            *(("integration", name) for name in self.integration),
            *(("state", name) for name in self.state),
            *(("role", name) for name in self.role),
            ("active", self.active or ""),
            ("match", self.match or ""),
            ("q", self.q),
            ("as_of", f"{self.as_of.isoformat(timespec='seconds')}Z" if self.as_of else ""),
        ]
        return [(name, value) for name, value in named if value]

    def without_any(self) -> Filters:
        """Everything at the same moment."""
        return replace(Filters(), as_of=self.as_of)


def accounts(filters: Filters) -> FromClause:
    """One row per account at the moment that the filters name, before any other of them."""
    if filters.as_of is None:
        return account_current
    at = filters.as_of
    return (
        select(account_version)
        .where(account_version.c.valid_from <= at, account_version.c.valid_to > at)
        .subquery("accounts")
    )


def conditions(filters: Filters, of: FromClause) -> list[ColumnElement[bool]]:
    """What a row of `accounts` must fulfil."""
    c = of.c
    asked: list[ColumnElement[bool]] = []
    if filters.integration:
        named = select(integration.c.integration_id).where(
            integration.c.name.in_(filters.integration)
        )
        asked.append(c.integration_id.in_(named))
    if filters.state:
        asked.append(c.provisioning_state.in_(filters.state))
    if filters.role:
        asked.append(or_(*(has_role(c.roles, role) for role in filters.role)))
    if filters.active:
        wanted: dict[str, ColumnElement[bool]] = {
            "yes": c.active_in_app.is_(True),
            "no": c.active_in_app.is_(False),
            "unknown": c.active_in_app.is_(None),
        }
        asked.append(wanted[filters.active])
    if filters.match:
        unmatched = and_(c.user_name.is_(None), c.user_email.is_(None))
        asked.append(unmatched if filters.match == "unmatched" else ~unmatched)
    if filters.q:
        searched = (c.user_name, c.user_email, c.username_in_app, c.upstream_user_id)
        asked.append(or_(*(contains(column, filters.q) for column in searched)))
    return asked
