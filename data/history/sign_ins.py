"""The last sign-in of each account, as the newest snapshot of its integration reports it.

It changes daily, so it is no part of an account's content: it opens no version, and an unchanged
row stays known by its fingerprint. Each load of a newest snapshot changes the rows that differ.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.files.text import meaningful_or_null, trim_or_null
from data.history.reject import Validated
from data.history.session import LoadSession
from data.schema import insert_rows, last_sign_in
from data.staging import (
    stage_changed,
    stage_known_sign_in,
    stage_reported_sign_in,
    stage_row,
    stage_sign_in,
)
from data.values.column_reading import column_reading, time_marks
from data.values.times import NEVER_SIGNED_IN, with_moment

PLAIN_TIME = "____-__-__ __:__:__"
"""The shape of a time without an offset, as many products write it. It is UTC."""


def stage_sign_ins(
    session: LoadSession, columns: Collection[str], counts: Validated, baseline_rows: sa.FromClause
) -> int:
    """Fill `stage_sign_in` with what the file changes, if it is the newest of its integration.

    Returns the number of accounts whose text could not be read. `columns` are those of the file,
    `baseline_rows` the accounts that it is compared with.
    """
    is_reported = "last_sign_in" in columns
    if is_reported:
        texts = _texts_by_account(baseline_rows, has_repeats=counts.rows_read > counts.accepted)
        insert_rows(
            session.workspace, stage_reported_sign_in, _reported(session.workspace, texts, counts)
        )
    if session.span.is_newest:
        known = select(last_sign_in.c.account_key, last_sign_in.c.signed_in_at).where(
            last_sign_in.c.integration_id == session.span.integration_id
        )
        known_rows = session.materialize(known, stage_known_sign_in)
        session.copy_to_store(_changes(session.span.integration_id, known_rows), stage_sign_in)
    if not is_reported:
        return 0
    unread = (
        select(func.count())
        .select_from(stage_reported_sign_in)
        .where(~stage_reported_sign_in.c.is_reported)
    )
    return session.workspace.scalar(unread) or 0


def write_sign_ins(con: Connection, integration_id: int) -> None:
    """Apply `stage_sign_in` to the store."""
    changed = stage_sign_in.c
    keys = select(changed.account_key).where(changed.integration_id == integration_id)
    con.execute(
        sa.delete(last_sign_in).where(
            last_sign_in.c.integration_id == integration_id, last_sign_in.c.account_key.in_(keys)
        )
    )
    reported = select(*(changed[c.name] for c in last_sign_in.c))
    insert_rows(con, last_sign_in, reported.where(changed.is_reported))


def delete_sign_ins(con: Connection, integration_id: int) -> None:
    """Make the last sign-ins of an integration unknown."""
    con.execute(sa.delete(last_sign_in).where(last_sign_in.c.integration_id == integration_id))


def _texts_by_account(baseline_rows: sa.FromClause, *, has_repeats: bool) -> sa.Subquery:
    """One row per text: [account_key, text]. An account of several rows can have several.

    A changed row is found by its account ID, any other one by the fingerprint that it had before.
    """
    row, known, changed = stage_row.c, baseline_rows.c, stage_changed.c
    is_changed = and_(changed.account_id == row.account_id, changed.is_listed)
    text = (
        func.unnest(func.string_split(row.last_sign_in, "\n")) if has_repeats else row.last_sign_in
    )
    account_key = func.coalesce(changed.account_key, known.account_key)
    return (
        select(account_key.label("account_key"), text.label("text"))
        .select_from(stage_row)
        .outerjoin(stage_changed, is_changed)
        .outerjoin(baseline_rows, known.fingerprint == row.fingerprint)
        .where(row.last_sign_in.is_not(None))
        .subquery("sign_in_text")
    )


def _reported(
    workspace: Connection, texts: sa.FromClause, counts: Validated
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account with a text that says anything: the rows of `stage_reported_sign_in`."""
    trimmed = trim_or_null(texts.c.text)
    utc_text = case((trimmed.like(PLAIN_TIME), trimmed.concat("Z")), else_=trimmed)
    rows = select(texts.c.account_key, utc_text.label("text")).subquery("trimmed")
    marks = workspace.scalar(select(func.bit_or(time_marks(rows.c.text)))) or 0
    day_first = column_reading(marks).day_first
    if day_first is None:  # no date of the column decides; perhaps those of the last update do
        day_first = column_reading(counts.marks).day_first
    timed = with_moment(rows, "text", day_first=day_first).c
    never = func.regexp_full_match(func.lower(timed.text), NEVER_SIGNED_IN)
    is_reported = case((timed.moment.is_(None), never), else_=sa.true())
    return (
        select(
            timed.account_key,
            func.bool_or(is_reported),
            func.date_trunc("second", func.max(timed.moment)),
        )
        .where(sa.or_(is_reported, meaningful_or_null(timed.text).is_not(None)))
        .group_by(timed.account_key)
    )


def _changes(integration_id: int, known: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """The rows of `stage_sign_in`."""
    reported = (
        select(stage_reported_sign_in)
        .where(stage_reported_sign_in.c.is_reported)
        .subquery("reported")
    )
    both = reported.join(known, known.c.account_key == reported.c.account_key, full=True)
    is_reported: ColumnElement[bool] = reported.c.account_key.is_not(None)
    return (
        select(
            sa.literal(integration_id, sa.Integer),
            func.coalesce(reported.c.account_key, known.c.account_key),
            is_reported,
            reported.c.signed_in_at,
        )
        .select_from(both)
        .where(
            sa.or_(
                reported.c.account_key.is_(None),
                known.c.account_key.is_(None),
                reported.c.signed_in_at.is_distinct_from(known.c.signed_in_at),
            )
        )
    )
