"""What a review round freezes: the accounts of a filtered list, or those that a rule finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import capitalize_first, utc_now
from data.records.decisions import InvalidInput
from data.records.exceptions import RuleSettings, read_rule_settings
from data.records.rounds import Population
from data.records.tables import review_item
from data.schema import account, integration, is_same_account, snapshot
from queries.account_rows import account_rows
from queries.evidence.people import directory_words, with_directories
from queries.export.columns import column_value
from queries.filter_sentence import filter_sentence
from queries.filters import Filters, conditions
from queries.review.duration import View
from queries.review.findings import finding_rows
from queries.review.rules import RULE_BY_NAME, Rule
from queries.scope import Scope, in_integrations, now_or_newest

Freeze = Callable[[Connection, str], Population]
"""(the connection that writes, the ID of the round) → what it freezes."""

AccountIds = Mapping[str, Sequence[str]]
"""Integration → IDs of accounts."""

ALL_ACCOUNTS = "All accounts"

LIMITS, DIRECTORIES, ACCOUNTS = "limits", "directories", "accounts"
"""Settings of a round: limits of rules, which integrations are directories, IDs of accounts."""

SIGN_INS_OF_NOW = (
    "Last sign-ins are as of the newest snapshot. Remove the filter “Last sign-in”, or the moment."
)


class _Found(NamedTuple):
    """The accounts to freeze, and what they follow from."""

    title: str
    address: str
    moment: datetime
    accounts: sa.FromClause
    integrations: Sequence[str]  # none: all
    settings: Mapping[str, Any]
    reads_people: bool = False


def freeze_list(filters: Filters, *, is_by_role: bool, at: datetime | None = None) -> Freeze:
    """The accounts of a filtered list at its moment, or `at` one (naive UTC), or now.

    A period has no one moment.
    """

    def find(con: Connection) -> _Found:
        if filters.as_of and filters.last_sign_in:
            raise InvalidInput(SIGN_INS_OF_NOW)
        moment = filters.as_of or at or now_or_newest(con, utc_now())
        fixed = replace(filters, as_of=moment)
        rows = account_rows(con, fixed)
        return _Found(
            capitalize_first(filter_sentence(filters)) or ALL_ACCOUNTS,
            urlencode(replace(filters, as_of=None).params()),
            moment,
            select(rows).where(*conditions(fixed, rows)).subquery("listed"),
            filters.integration,
            {LIMITS: read_rule_settings(con).to_dict()},
            reads_people=bool(filters.person or filters.of_person),
        )

    return _freeze(find, is_by_role=is_by_role)


def freeze_findings(view: View, rule: Rule, *, is_by_role: bool) -> Freeze:
    """The accounts that a rule finds at the moment of a view, or now, without exceptions."""

    def find(con: Connection) -> _Found:
        moment = view.as_of or now_or_newest(con, utc_now())
        fixed = replace(view, as_of=moment)
        found, rows = finding_rows(fixed, rule), fixed.accounts()
        keys = select(found.c.account_key).where(found.c.reason.is_(None))
        return _Found(
            rule.title,
            urlencode([("rule", rule.name), *replace(view, as_of=None).params()]),
            moment,
            select(rows).where(rows.c.account_key.in_(keys)).subquery("listed"),
            view.integration,
            {LIMITS: view.limits.to_dict()},
            rule.reads_people,
        )

    return _freeze(find, is_by_role=is_by_role)


def freeze_accounts(
    accounts: AccountIds, title: str, address: str, *, is_by_role: bool, at: datetime | None = None
) -> Freeze:
    """These accounts, as far as they are listed at a moment (naive UTC), or now."""

    def find(con: Connection) -> _Found:
        moment = at or now_or_newest(con, utc_now())
        rows = account_rows(con, Filters(as_of=moment))
        listed = select(rows).where(rows.c.account_key.in_(_keys(accounts))).subquery("listed")
        settings = {LIMITS: read_rule_settings(con).to_dict(), ACCOUNTS: accounts}
        return _Found(title, address, moment, listed, tuple(accounts), settings)

    return _freeze(find, is_by_role=is_by_role)


def _freeze(find: Callable[[Connection], _Found], *, is_by_role: bool) -> Freeze:
    def freeze(con: Connection, round_id: str) -> Population:
        found = find(con)
        return Population(
            found.title,
            found.address,
            {DIRECTORIES: directory_words(con), **found.settings},
            found.moment,
            _items(found.accounts, round_id, is_by_role=is_by_role),
            _snapshots(con, found, round_id),
        )

    return freeze


def _keys(accounts: AccountIds) -> sa.Select[tuple[int]]:
    """The keys of accounts."""
    is_named = (
        sa.and_(
            integration.c.name == name,
            account.c.account_id.in_(select(func.unnest(sa.literal([*ids], sa.ARRAY(sa.String))))),
        )
        for name, ids in accounts.items()
    )
    return (
        select(account.c.account_key)
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(sa.or_(sa.false(), *is_named))
    )


def freeze_again(
    address: str, moment: datetime, settings: Mapping[str, Any], *, is_by_role: bool
) -> Freeze:
    """What the address and settings of a round freeze at a moment (naive UTC), in another store."""
    params = parse_qs(address)
    if ACCOUNTS in settings:
        return freeze_accounts(settings[ACCOUNTS], "", address, is_by_role=is_by_role, at=moment)
    if rule := rule_in(address):
        names, limits = Scope.from_params(params).integration, settings[LIMITS]
        view = View(integration=names, as_of=moment, limits=RuleSettings.from_dict(limits))
        return freeze_findings(view, rule, is_by_role=is_by_role)
    return freeze_list(Filters.from_params(params), is_by_role=is_by_role, at=moment)


def rule_in(address: str) -> Rule | None:
    """The rule whose findings a round of this address froze; None for a list."""
    return RULE_BY_NAME.get("".join(parse_qs(address).get("rule", ())))


def _items(
    listed: sa.FromClause, round_id: str, *, is_by_role: bool
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account or, by role, per role of it; one without roles stays one row."""
    values: dict[str, sa.ColumnElement[Any]] = {
        "round_id": sa.literal(round_id),
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "role": sa.literal(""),
    }

    def rows(role: sa.ColumnElement[Any], *only: sa.ColumnElement[bool]) -> sa.Select[Any]:
        columns = {c.name: c for c in listed.c} | values | {"role": role}
        return (
            select(*(columns[c.name].label(c.name) for c in review_item.c))
            .join_from(listed, account, is_same_account(account, listed))
            .join(integration, integration.c.integration_id == listed.c.integration_id)
            .where(*only)
        )

    if not is_by_role:
        return rows(values["role"])
    has_roles = column_value(listed, "role_count") > 0
    both = sa.union_all(
        rows(func.unnest(listed.c.roles), has_roles), rows(values["role"], ~has_roles)
    ).subquery("items")
    return select(both)


def _snapshots(con: Connection, found: _Found, round_id: str) -> sa.Select[*tuple[Any, ...]]:
    """One row per snapshot up to the moment: since when something holds follows from all."""
    names = found.integrations
    if found.reads_people:
        names = with_directories(con, names)
    return (
        select(sa.literal(round_id), integration.c.name, snapshot.c.taken_at, snapshot.c.sha256)
        .join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(in_integrations(snapshot, names), snapshot.c.taken_at <= found.moment)
    )
