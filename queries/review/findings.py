"""The findings of a rule: their number, a page of them, and all of them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.records.decisions import EXCEPTIONS
from data.records.exceptions import PERSON_RULE, FindingKey, read_rule_settings
from data.records.tables import exception
from data.schema import OPEN_END, SnapshotTime, account, integration, is_same_account
from data.store.adapter import adapter_of
from data.store.transfer import fetch_batches
from queries.cache import cached
from queries.paging import cut_page
from queries.people.exemptions import EXEMPTION_COLUMNS, exempt_accounts
from queries.review.duration import View
from queries.review.rules import RULES, Rule
from queries.users.by_key import snapshot_accounts_by_key

PAGE_SIZE = 50
"""Findings on a page."""

NEW_DAYS = 7
"""Days in which a finding is new."""

MAX_EXCEPTIONS_AT_ONCE = 10_000
"""Findings that one exception can cover."""

ACCOUNT_COLUMNS = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "last_updated",
)
"""The columns of a finding that come from its account."""

REASON_COLUMNS = ("state_reason", "failure_code", "attributes")
"""The further columns that a page shows of an account; the evidence does without them."""

EXCEPTION_COLUMNS = (*EXEMPTION_COLUMNS, "exception_of")
"""The columns of a finding that come from its exception; empty for an open finding.

`exception_of` is finding or person.
"""


class FindingCount(NamedTuple):
    """The number of a rule's findings: open ones, and those with an exception."""

    open: int
    exceptions: int


class RuleSummary(NamedTuple):
    """The findings of a rule in numbers; of the open ones, also when they were found."""

    open: int
    exceptions: int
    new: int  # found in the NEW_DAYS up to the newest snapshot
    oldest: datetime | None  # since when the first of them has been found


def count_findings(con: Connection, view: View, rule: Rule) -> FindingCount:
    """The number of findings. Their details are computed only for accounts with an exception.

    Where the view is narrowed, they are computed for all.
    """
    if view.is_narrowed:
        return _count_narrowed(con, view, rule)
    total = _count_all(con, _without_exceptions(view), rule)
    if not total or not _has_exceptions(con, view, rule):
        return FindingCount(total, 0)
    excepted = _excepted_accounts(view, rule).subquery("excepted")
    exceptions = con.scalar(select(func.count()).select_from(excepted)) or 0
    return FindingCount(total - exceptions, exceptions)


def _count_narrowed(con: Connection, view: View, rule: Rule) -> FindingCount:
    is_open = _dated_findings(view, rule).c.reason.is_(None)
    counts = select(func.count().filter(is_open), func.count().filter(~is_open))
    return FindingCount(*execute_for_all(con, counts).one())


def summarize_rule(con: Connection, view: View, rule: Rule) -> RuleSummary:
    """The summary of a rule. Without exceptions it is kept until the next load."""
    if _has_exceptions(con, view, rule):
        return _summarize(con, view, rule)
    return _summarize_all(con, _without_exceptions(view), rule)


def execute_for_all(
    con: Connection, query: sa.Select[*tuple[Any, ...]], **options: Any
) -> sa.CursorResult[Any]:
    """The rows of a query about the findings of all accounts."""
    with adapter_of(con).plan_for_whole_tables(con):
        return con.execute(query, execution_options=options)


def _without_exceptions(view: View) -> View:
    """The view at a moment without exceptions: they change no rule, and the cache can keep it."""
    return replace(view, evaluated_at=datetime(1, 1, 1))


def _has_exceptions(con: Connection, view: View, rule: Rule) -> bool:
    is_of_rule = exception.c.rule.in_(exception_rules([rule]))
    has_exceptions = sa.exists().where(is_of_rule, EXCEPTIONS.is_in_force(view.records_until()))
    return bool(con.scalar(select(has_exceptions)))


def exception_rules(rules: Sequence[Rule]) -> list[str]:
    """The `rule` of exceptions that can cover findings of these rules."""
    reads_people = any(rule.reads_people for rule in rules)
    return [*(rule.name for rule in rules), *([PERSON_RULE] if reads_people else [])]


@cached(256)
def _summarize_all(con: Connection, view: View, rule: Rule) -> RuleSummary:
    return _summarize(con, view, rule)


def _summarize(con: Connection, view: View, rule: Rule) -> RuleSummary:
    newest = con.scalar(select(func.max(view.newest_snapshots().c.at)))
    if newest is None:
        return RuleSummary(0, 0, 0, None)
    found = _dated_findings(view, rule).c
    is_open, is_new = found.reason.is_(None), found.since > newest - timedelta(days=NEW_DAYS)
    numbers = select(
        func.count().filter(is_open),
        func.count().filter(~is_open),
        func.count().filter(is_open, is_new),
        func.min(found.since).filter(is_open),
    )
    return RuleSummary(*execute_for_all(con, numbers).one())


@cached(256)
def _count_all(con: Connection, view: View, rule: Rule) -> int:
    """The number of accounts that a rule finds, exceptions included."""
    accounts = rule.find(view).accounts.subquery("accounts")
    return execute_for_all(con, select(func.count()).select_from(accounts)).scalar_one()


def page_of_findings(
    con: Connection, view: View, rule: Rule, page: int, *, with_exception: bool = False
) -> Sequence[sa.Row[Any]]:
    """One row per open finding of the page (from 1), or per exception; the oldest first.

    Columns as of `finding_rows`, and REASON_COLUMNS; the accounts are read for this page only.
    """
    dated = _dated_findings(view, rule)
    is_shown = dated.c.reason.is_not(None) if with_exception else dated.c.reason.is_(None)
    query = select(dated).where(is_shown).order_by(dated.c.since, dated.c.account_key)
    page_rows = execute_for_all(con, cut_page(query, page, PAGE_SIZE)).all()
    if not page_rows:
        return []
    page_values = sa.values(*(sa.column(c.name, c.type) for c in dated.c), name="shown").data(
        [tuple(row) for row in page_rows]
    )
    accounts = snapshot_accounts_by_key(view, [row.account_key for row in page_rows])
    columns = (*ACCOUNT_COLUMNS, *REASON_COLUMNS)
    rows = _with_account_columns(view, page_values, accounts, columns)
    return con.execute(select(rows).order_by(rows.c.since, rows.c.account_key)).all()


class FoundOn(NamedTuple):
    """A finding on an account; with a reason, it has an exception."""

    rule: str
    title: str
    account_key: int
    since: datetime
    detail: str | None
    reason: str | None


def findings_of(
    con: Connection, as_of: datetime | None, account_keys: tuple[int, ...]
) -> list[FoundOn]:
    """The findings of all rules on few accounts at the moment (None: now), the oldest first.

    The first time after a load it takes as long as to count the findings of all rules.
    """
    view = View(as_of=as_of, limits=read_rule_settings(con))
    found: list[FoundOn] = []
    for rule in RULES if account_keys else ():
        keys = _found_among(con, view, rule, account_keys)
        if not keys:
            continue
        rows = _dated_findings(view, rule, keys)
        found += [
            FoundOn(rule.name, rule.title, row.account_key, row.since, row.detail, row.reason)
            for row in con.execute(select(rows))
        ]
    return sorted(found, key=lambda finding: finding.since)


def _found_among(
    con: Connection, view: View, rule: Rule, account_keys: tuple[int, ...]
) -> tuple[int, ...]:
    """Those of the accounts that the rule finds, exceptions included."""
    found = _found_accounts(con, _without_exceptions(view), rule)
    return tuple(key for key in account_keys if (found == key).any())


@cached(256)
def _found_accounts(con: Connection, view: View, rule: Rule) -> numpy.ndarray[Any, Any]:
    """The keys of all accounts that a rule finds, 8 bytes each."""
    keys = rule.find(view).accounts.subquery("accounts").c.account_key
    with adapter_of(con).plan_for_whole_tables(con), fetch_batches(con, select(keys)) as batches:
        return batches.read_all()["account_key"].to_numpy()


def excepted_among(
    con: Connection, view: View, rule: Rule, account_keys: Sequence[int]
) -> dict[int, sa.Row[Any]]:
    """Account key → the finding, for those of the accounts whose finding has an exception."""
    rows = _dated_findings(view, rule, account_keys)
    query = select(rows).where(rows.c.reason.is_not(None))
    return {row.account_key: row for row in con.execute(query)} if account_keys else {}


def open_findings(
    con: Connection, view: View, rule: Rule, account_ids: Collection[str] | None = None
) -> list[tuple[FindingKey, datetime]]:
    """Open findings, each with the snapshot that shows it; at most MAX_EXCEPTIONS_AT_ONCE.

    Of all accounts, or of those with one of these IDs.
    """
    rows = finding_rows(view, rule)
    query = select(rows.c.integration, rows.c.account_id, rows.c.snapshot_taken_at).where(
        rows.c.reason.is_(None)
    )
    if account_ids is not None:
        query = query.where(rows.c.account_id.in_(account_ids))
    return [
        (FindingKey(rule.name, row.integration, row.account_id), row.snapshot_taken_at)
        for row in execute_for_all(con, query.limit(MAX_EXCEPTIONS_AT_ONCE))
    ]


def all_findings(view: View, rule: Rule) -> sa.Select[*tuple[Any, ...]]:
    """One row per finding, exceptions included, in the same order in every store."""
    rows = finding_rows(view, rule)
    return select(rows).order_by(rows.c.integration, rows.c.account_id)


def finding_rows(view: View, rule: Rule) -> sa.FromClause:
    """One row per finding: its account, since when, and its exception.

    [account_key, integration, account_id, snapshot_taken_at, since, detail, *ACCOUNT_COLUMNS,
    *EXCEPTION_COLUMNS]
    """
    return _with_account_columns(view, _dated_findings(view, rule), view.accounts())


def _with_account_columns(
    view: View,
    dated: sa.FromClause,
    accounts: sa.FromClause,
    columns: Sequence[str] = ACCOUNT_COLUMNS,
) -> sa.FromClause:
    newest = view.newest_snapshots()
    return (
        select(
            accounts.c.account_key,
            integration.c.name.label("integration"),
            account.c.account_id,
            newest.c.at.label("snapshot_taken_at"),
            dated.c.since,
            dated.c.detail,
            *(accounts.c[name] for name in columns),
            *(dated.c[name] for name in EXCEPTION_COLUMNS),
        )
        .join_from(dated, accounts, accounts.c.account_key == dated.c.account_key)
        .join(account, is_same_account(account, accounts))
        .join(integration, integration.c.integration_id == accounts.c.integration_id)
        .join(newest, newest.c.integration_id == accounts.c.integration_id)
        .subquery("findings")
    )


def _dated_findings(
    view: View, rule: Rule, account_keys: Sequence[int] | None = None
) -> sa.FromClause:
    """One row per finding: [account_key, since, detail, *EXCEPTION_COLUMNS].

    Of all accounts, or of these.
    """
    among = None
    if account_keys is not None:
        among = select(account.c.account_key).where(account.c.account_key.in_(account_keys))
        among = among.subquery("among")
    results = rule.find(view).details(among).subquery("results")
    exceptions = _exceptions_in_force(view, rule).subquery("exceptions")
    return (
        select(results, *(exceptions.c[name] for name in EXCEPTION_COLUMNS))
        .select_from(results.outerjoin(exceptions, _is_covered(results, exceptions)))
        .where(*_narrowing(view, rule, results))
        .subquery("dated")
    )


def _narrowing(view: View, rule: Rule, results: sa.FromClause) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if view.found_after:
        conditions.append(results.c.since > view.found_after)
    if view.gone_by:
        later = rule.find(replace(view, as_of=view.gone_by)).accounts.subquery("later")
        conditions.append(results.c.account_key.not_in(select(later.c.account_key)))
    return conditions


def _is_covered(results: sa.FromClause, exceptions: sa.FromClause) -> ColumnElement[bool]:
    """Whether a finding already held when its exception was added; not one that began later."""
    return and_(
        exceptions.c.account_key == results.c.account_key,
        exceptions.c.snapshot_taken_at >= results.c.since,
    )


def _exceptions_in_force(view: View, rule: Rule) -> sa.Select[*tuple[Any, ...]]:
    """One row per account with an exception in force: [account_key, .., *EXCEPTION_COLUMNS].

    That its person is exempt precedes an exception of its own, and covers every finding.
    """
    own = _own_exceptions(view, rule)
    if not rule.reads_people:
        return own
    exempt = exempt_accounts(view.as_of, view.records_until()).cte()
    of_people = select(
        exempt.c.account_key,
        sa.literal(OPEN_END, SnapshotTime).label("snapshot_taken_at"),
        *(exempt.c[name] for name in EXEMPTION_COLUMNS),
        sa.literal("person", sa.String).label("exception_of"),
    )
    others = own.where(account.c.account_key.not_in(select(exempt.c.account_key)))
    return select(sa.union_all(of_people, others).subquery("either"))


def _own_exceptions(view: View, rule: Rule) -> sa.Select[*tuple[Any, ...]]:
    columns = exception.c
    is_its_account = and_(
        account.c.integration_id == integration.c.integration_id,
        account.c.account_id == columns.account_id,
    )
    return (
        select(
            account.c.account_key,
            columns.snapshot_taken_at,
            *(columns[name] for name in EXEMPTION_COLUMNS),
            sa.literal("finding", sa.String).label("exception_of"),
        )
        .join_from(exception, integration, integration.c.name == columns.integration)
        .join(account, is_its_account)
        .where(columns.rule == rule.name, EXCEPTIONS.is_in_force(view.records_until()))
    )


def _excepted_accounts(view: View, rule: Rule) -> sa.Select[*tuple[Any, ...]]:
    """One row per finding that an exception covers: [account_key]."""
    exceptions = _exceptions_in_force(view, rule).subquery("exceptions")
    among = select(exceptions.c.account_key).subquery("among")
    results = rule.find(view).details(among).subquery("results")
    return select(results.c.account_key).join_from(
        results, exceptions, _is_covered(results, exceptions)
    )
