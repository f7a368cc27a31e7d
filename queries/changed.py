"""Which accounts changed between two moments: a page of a list, and the whole of it as a file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from data.handing import in_batches
from data.tables import account, integration, same_account
from queries.about import slug
from queries.between import Between
from queries.comparison import VALUES, Listed, compared, condition_of
from queries.export import as_csv, neutralised, with_times_told

PAGE_SIZE = 50
"""Accounts of a page of a list."""

LONGEST_NAME = 80
"""Characters of a file's name that tell what it lists."""


def count_changes(con: Connection, between: Between, listed: Listed) -> int:
    """How many accounts the list has."""
    c = compared(between).c
    counted = select(func.count()).select_from(c.account_key.table)
    return con.scalar(counted.where(condition_of(between, listed, c))) or 0


def page_of_changes(
    con: Connection, between: Between, listed: Listed, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), by username.

    [`was_…` and `is_…` of each column; `value_…` of each of VALUES: whether it changed]. Its place
    in the order is found by few columns; the others are read for these accounts only.
    """
    keys = list(
        con.scalars(_in_order(between, listed).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE))
    )
    rows = compared(between, keys)
    shown = (
        select(
            rows,
            integration.c.name.label("integration"),
            *(value.changed(rows.c).label(f"value_{name}") for name, value in VALUES.items()),
        )
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key.in_(keys))
        .order_by(*_order(rows.c))
    )
    return con.execute(shown).all() if keys else []


def _in_order(between: Between, listed: Listed) -> Select[Any]:
    c = compared(between).c
    return select(c.account_key).where(condition_of(between, listed, c)).order_by(*_order(c))


def _order(c: Any) -> tuple[ColumnElement[Any], ...]:
    return func.lower(func.coalesce(c.is_username_in_app, c.was_username_in_app)), c.account_key


# ---- as a file -----------------------------------------------------------------------------------


def changes_csv(con: Connection, between: Between, listed: Listed) -> Generator[bytes, None, None]:
    """The whole list as CSV that is safe in a spreadsheet, a batch at a time."""
    yield "\ufeff".encode()
    yield from as_csv(neutralised(with_times_told(b)) for b in _batches(con, between, listed))


def _batches(con: Connection, between: Between, listed: Listed) -> Iterator[pa.RecordBatch]:
    c = compared(between).c
    rows = (
        select(*(value.label(heading) for heading, value in _told(c).items()))
        .join_from(c.account_key.table, account, same_account(account, c.account_key.table))
        .join(integration, integration.c.integration_id == c.integration_id)
        .where(condition_of(between, listed, c))
        .order_by(*_order(c))
    )
    with in_batches(con, rows) as batches:
        yield pa.RecordBatch.from_pylist([], schema=batches.schema)
        yield from batches


def _told(c: Any) -> dict[str, ColumnElement[Any]]:
    """Heading → what the file says: of each account both sides of what can change."""
    told: dict[str, ColumnElement[Any]] = {
        "Integration": integration.c.name,
        "Account ID": account.c.account_id,
        "Username in app": func.coalesce(c.is_username_in_app, c.was_username_in_app),
    }
    pairs: dict[str, Callable[[str], ColumnElement[Any]]] = {
        "Provisioning state": lambda side: c[f"{side}_provisioning_state"],
        "Reason": lambda side: c[f"{side}_state_reason"],
        "User": lambda side: c[f"{side}_user_name"],
        "Email": lambda side: c[f"{side}_user_email"],
        "App access": lambda side: func.array_to_string(c[f"{side}_roles"], "; "),
        "Active in app": lambda side: _active_text(c, side),
        "Upstream user ID": lambda side: c[f"{side}_upstream_user_id"],
        "Last updated": lambda side: c[f"{side}_last_updated"],
    }
    for heading, value in pairs.items():
        told[f"{heading}, then"], told[f"{heading}, now"] = value("was"), value("is")
    return told


def _active_text(c: Any, side: str) -> ColumnElement[Any]:
    active, there = c[f"{side}_active_in_app"], c[f"{side}_there"]
    yes_or_no = case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="Unknown")
    return case((there, yes_or_no))


def file_name(between: Between, listed: Listed) -> str:
    """`changes-figma-moved-onboarded-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv`."""
    named = [*between.integration, *(value for _, value in listed.params())]
    words = slug("-".join(named))[:LONGEST_NAME].strip("-")
    moments = (f"{moment:%Y-%m-%dT%H-%M-%SZ}" for moment in (between.since, between.until))
    return "-".join(("changes", words, *moments)) + ".csv"
