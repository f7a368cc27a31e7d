"""The history: what a snapshot says of a span of time, written into the account versions.

Every way in which a snapshot enters or leaves the store is the same act: over
[taken_at, until) the accounts are those that a list gives, where `until` is the moment of the
next snapshot, or FOREVER. Loading the newest, loading out of order, replacing and removing
differ only in where the list comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from data.history.as_of import accounts_at, fill, is_matched, version
from data.history.failure_reasons import reason_of
from data.history.rollups import (
    count_job_ends,
    count_states,
    forget_counts,
    forget_job_ends,
    tell_oldest_anew,
)
from data.history.since import SUBSTANCE, stays_of, substance_in, substance_of, tell_stays_anew
from data.records.matches import find_keys
from data.schema import (
    CONTENT,
    DERIVED,
    FOREVER,
    Moment,
    account,
    account_current,
    account_profile,
    held_at,
    same_account,
    with_profile,
)
from data.staging import load_delta, load_joined, load_version
from data.store.search_text import searched
from data.store.transfer import count_anew


class Span(NamedTuple):
    """The time over which a snapshot is what is known of an integration: [taken_at, until)."""

    integration_id: int
    taken_at: datetime
    until: datetime  # of the next snapshot; FOREVER for the newest
    anew: bool  # whether the store had a snapshot of `taken_at` before
    highest_key: int  # of all accounts before the span is written; 0 without any

    @property
    def is_newest(self) -> bool:
        """Whether no snapshot of the integration was taken later."""
        return self.until == FOREVER

    @property
    def extends(self) -> bool:
        """Whether it comes after all that is known, as nearly always."""
        return self.is_newest and not self.anew

    def accounts_in_store(self) -> FromClause:
        """One row per account of the integration, as the store has it at the span's start."""
        return accounts_at(self.integration_id, None if self.is_newest else self.taken_at)


def write_span(con: Connection, span: Span) -> None:
    """Make the accounts over the span what `load_delta` says of them; the others stay."""
    _name_new_accounts(con, span)
    if span.extends:
        _append(con, span)
    else:
        _write_anew(con, span)
    _keep_current(con, span)
    count_anew(con, version, account_profile, after=load_delta)
    _count(con, span)


def _count(con: Connection, span: Span) -> None:
    """Write the rollups, as far as the span changes them: of stays also those that come after."""
    here = span.integration_id
    if span.anew:
        forget_counts(con, here, span.taken_at)
    count_states(con, here, span.taken_at, newest=span.is_newest)
    if not span.is_newest:
        forget_counts(con, here, span.until)
        count_states(con, here, span.until)
    if not span.extends:
        forget_job_ends(con, here, span.taken_at)
        tell_oldest_anew(con, here, span.taken_at)
    count_job_ends(con, here, span.taken_at)


def find_differences(con: Connection, span: Span, new: FromClause, news: FromClause) -> None:
    """Fill `load_delta` with what the snapshot changes over the span.

    `new`: integration_id, account_key, account_id and the content, one row per account of the
    snapshot that may have changed. Accounts of the store that `news`, [integration_id,
    account_key, listed], calls not listed are gone.
    """
    before, here = span.accounts_in_store(), literal(span.integration_id, Integer)
    if span.is_newest:
        new = select(*new.c, substance_of(new).label("substance")).subquery("new")
    told = [c for c in new.c if c.name != "integration_id"]
    derived = reason_of(new), *stays_of(new, before, literal(span.taken_at, Moment))
    changed = (
        select(here, literal(True), *told, *derived)
        .select_from(new.outerjoin(before, same_account(before, new)))
        .where(or_(before.c.account_key.is_(None), _differs(new, before)))
    )
    gone = select(here, news.c.account_key, literal(False)).where(~news.c.listed)
    said = ["integration_id", "now", *(c.name for c in told), *DERIVED]
    con.execute(insert(load_delta).from_select(said, changed))
    con.execute(insert(load_delta).from_select(["integration_id", "account_key", "now"], gone))
    count_anew(con, load_delta)


def _name_new_accounts(con: Connection, span: Span) -> None:
    """Keep the identity of the accounts that are seen for the first time."""
    new = select(*(load_delta.c[column.name] for column in account.c)).where(
        load_delta.c.account_key > span.highest_key
    )
    fill(con, account, new)
    find_keys(con)


def _differs(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    rest = [name for name in CONTENT if name not in SUBSTANCE]
    told = ([*substance_in(rows.c), *(rows.c[name] for name in rest)] for rows in (one, other))
    return or_(*(a.is_distinct_from(b) for a, b in zip(*told, strict=True)))


def _touched(of: FromClause, span: Span) -> ColumnElement[bool]:
    """Whether a row is of an account that the snapshot changes."""
    delta = load_delta.c
    keys = select(delta.account_key).where(delta.integration_id == span.integration_id)
    return and_(of.c.integration_id == span.integration_id, of.c.account_key.in_(keys))


def _append(con: Connection, span: Span) -> None:
    """End what the touched accounts were, and begin what they are now."""
    running = and_(_touched(version, span), version.c.valid_to == FOREVER)
    con.execute(update(version).where(running).values(valid_to=span.taken_at))
    fill(con, version, _listed_over(span, version.c.keys()))
    is_another = load_delta.c.same_since == span.taken_at  # others have their profile already
    fill(con, account_profile, _listed_over(span, account_profile.c.keys()).where(is_another))


def _write_anew(con: Connection, span: Span) -> None:
    """Take the history of the touched accounts out, change it, and put it back.

    What comes between others may part what is one profile, or make one of two.
    """
    whole = with_profile(select(version).where(_touched(version, span)).subquery("touched"))
    fill(con, load_version, select(whole))
    count_anew(con, load_version, after=load_delta)
    for table in (version, account_profile):
        con.execute(delete(table).where(_touched(table, span)))
    _cut_out(con, span)
    fill(con, load_version, _listed_over(span, load_version.c.keys()))
    if span.anew:
        _join_equal_neighbours(con, span, span.taken_at)
    if not span.is_newest:
        _join_equal_neighbours(con, span, span.until)
    tell_stays_anew(con, span.integration_id)
    rows = load_version.c
    for table, told in ((version, true()), (account_profile, rows.valid_from == rows.same_since)):
        back = select(*(rows[c.name] for c in table.c))
        fill(con, table, back.where(rows.integration_id == span.integration_id, told))


def _cut_out(con: Connection, span: Span) -> None:
    """End what is in `load_version` at `taken_at`; what it is from `until` on stays."""
    then, rows = span.taken_at, load_version.c
    here = rows.integration_id == span.integration_id
    running = and_(here, held_at(load_version, then))
    if not span.is_newest:
        rest = {c.name: c for c in rows} | {"valid_from": literal(span.until, Moment)}
        follows = select(*rest.values()).where(running, rows.valid_to > span.until)
        fill(con, load_version, follows)
    if span.anew:  # only then does a version begin at this very moment
        con.execute(delete(load_version).where(running, rows.valid_from == then))
    con.execute(update(load_version).where(running).values(valid_to=then))


def _listed_over(span: Span, columns: Iterable[str]) -> Select[*tuple[Any, ...]]:
    """One row per account of `load_delta` that is in the list, with the span's own columns."""
    given = {
        "valid_from": literal(span.taken_at, Moment),
        "valid_to": literal(span.until, Moment),
    }
    told = (given[name] if name in given else load_delta.c[name] for name in columns)
    return select(*told).where(load_delta.c.now)


def _join_equal_neighbours(con: Connection, span: Span, moment: datetime) -> None:
    """Where accounts are the same before and after `moment`, make it one version."""
    before, after = load_version.alias("before"), load_version.alias("after")
    con.execute(delete(load_joined))
    fill(
        con,
        load_joined,
        select(before.c.integration_id, before.c.account_key, before.c.valid_from, after.c.valid_to)
        .select_from(before.join(after, same_account(before, after)))
        .where(
            before.c.integration_id == span.integration_id,
            before.c.valid_to == moment,
            after.c.valid_from == moment,
            ~_differs(before, after),
        ),
    )
    rows = load_version
    joined = and_(rows.c.integration_id == span.integration_id, same_account(rows, load_joined))
    longer = and_(joined, rows.c.valid_from == load_joined.c.valid_from)
    swallowed = and_(rows.c.valid_from == moment, exists().where(joined))
    con.execute(delete(rows).where(rows.c.integration_id == span.integration_id, swallowed))
    con.execute(update(rows).where(longer).values(valid_to=load_joined.c.valid_to))


def _keep_current(con: Connection, span: Span) -> None:
    """Bring `account_current` up to date for the touched accounts."""
    con.execute(delete(account_current).where(_touched(account_current, span)))
    columns = [c.name for c in account_current.c if c.name in load_version.c]
    if span.extends:  # what was put in is what is open
        source, substance = load_delta, load_delta.c.substance
        opened = _listed_over(span, columns)
    else:
        source, substance = load_version, substance_of(load_version)
        opened = select(*(load_version.c[name] for name in columns)).where(
            load_version.c.integration_id == span.integration_id, load_version.c.valid_to == FOREVER
        )
    opened = opened.add_columns(searched(source), substance, is_matched(source))
    columns += ["search", "substance", "is_matched"]
    con.execute(insert(account_current).from_select(columns, opened))
