"""The history: what a snapshot says of a span of time, written into the account versions.

Every way in which a snapshot enters or leaves the store is the same act: over
[taken_at, until) the accounts are those that a list gives, where `until` is the moment of the
next snapshot, or FOREVER. Loading the newest, loading out of order, replacing and removing
differ only in where the list comes from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    FromClause,
    Integer,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from data.tables import (
    CONTENT,
    FOREVER,
    account,
    account_current,
    account_version,
    load_content,
    load_delta,
    load_joined,
    load_news,
    state_change,
    state_count,
)

version = account_version


def write_span(
    con: Connection, integration_id: int, taken_at: datetime, until: datetime, *, anew: bool = False
) -> None:
    """Make the accounts over [taken_at, until) what `load_content` says of them.

    Accounts that `load_news` calls not listed are gone over the span. Accounts in neither stay
    what the store has them to be at `taken_at`. `anew`: the store had a snapshot of `taken_at`.
    """
    before = accounts_at(integration_id, None if until == FOREVER else taken_at)
    _find_differences(con, integration_id, before)
    _cut_out(con, taken_at, until)
    _put_in(con, integration_id, taken_at, until)
    if anew:
        _join_equal_neighbours(con, taken_at)
    if until < FOREVER:
        _join_equal_neighbours(con, until)
    _copy_open_versions(con)
    count_states(con, integration_id, taken_at, newest=until == FOREVER)
    if until < FOREVER:
        count_states(con, integration_id, until)


def accounts_at(integration_id: int, at: datetime | None) -> FromClause:
    """One row per account of the integration at a moment; None is now."""
    if at is None:
        now = account_current
        return select(now).where(now.c.integration_id == integration_id).subquery("accounts")
    return (
        select(version)
        .where(
            version.c.integration_id == integration_id,
            version.c.valid_from <= at,
            version.c.valid_to > at,
        )
        .subquery("accounts")
    )


def _find_differences(con: Connection, integration_id: int, before: FromClause) -> None:
    """Fill `load_delta`; an account seen for the first time gets its key here."""
    new, seen = load_content, account
    top = con.scalar(select(func.coalesce(func.max(account.c.account_key), 0)))
    number = func.row_number().over(
        partition_by=seen.c.account_key.is_(None), order_by=new.c.account_id
    )
    key = func.coalesce(seen.c.account_key, literal(top, BigInteger) + number)
    changed = (
        select(key, new.c.account_id, literal(True), *(new.c[n] for n in CONTENT))
        .select_from(
            new.outerjoin(seen, _same_identity(integration_id, new)).outerjoin(
                before, before.c.account_key == seen.c.account_key
            )
        )
        .where(or_(before.c.account_key.is_(None), _differs(new, before)))
    )
    news = load_news
    gone = (
        select(
            before.c.account_key,
            news.c.account_id,
            literal(False),
            *(before.c[n] for n in CONTENT),
        )
        .select_from(
            news.join(seen, _same_identity(integration_id, news)).join(
                before, before.c.account_key == seen.c.account_key
            )
        )
        .where(~news.c.listed)
    )
    columns = ["account_key", "account_id", "now", *CONTENT]
    con.execute(delete(load_delta))
    con.execute(insert(load_delta).from_select(columns, changed))
    con.execute(insert(load_delta).from_select(columns, gone))
    con.execute(
        insert(account).from_select(
            ["account_key", "integration_id", "account_id"],
            select(
                load_delta.c.account_key, literal(integration_id, Integer), load_delta.c.account_id
            ).where(load_delta.c.account_key > top),
        )
    )


def _same_identity(integration_id: int, named: FromClause) -> ColumnElement[bool]:
    return and_(
        account.c.integration_id == integration_id, account.c.account_id == named.c.account_id
    )


def _differs(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return or_(*(one.c[n].is_distinct_from(other.c[n]) for n in CONTENT))


def _touched() -> ColumnElement[bool]:
    return version.c.account_key.in_(select(load_delta.c.account_key))


def _cut_out(con: Connection, taken_at: datetime, until: datetime) -> None:
    """End what the touched accounts were at `taken_at`; what they are from `until` on stays."""
    running = and_(_touched(), version.c.valid_from <= taken_at, version.c.valid_to > taken_at)
    if until < FOREVER:
        rest = _columns(version, valid_from=until, valid_to=version.c.valid_to)
        follows = select(*rest).where(running, version.c.valid_to > until)
        con.execute(insert(version).from_select([c.name for c in version.c], follows))
    con.execute(delete(version).where(running, version.c.valid_from == taken_at))
    con.execute(update(version).where(running).values(valid_to=taken_at))


def _put_in(con: Connection, integration_id: int, taken_at: datetime, until: datetime) -> None:
    """One version per account that is now in the list with other content than before."""
    span = _columns(
        load_delta, integration_id=integration_id, valid_from=taken_at, valid_to=until
    )
    con.execute(
        insert(version).from_select(
            [c.name for c in version.c], select(*span).where(load_delta.c.now)
        )
    )


def _columns(source: FromClause, **given: Any) -> list[ColumnElement[Any]]:
    """The columns of `account_version`, from `source` where they are not given."""
    return [
        cast(literal(given[c.name], c.type), c.type)
        if c.name in given and not isinstance(given[c.name], ColumnElement)
        else given.get(c.name, source.c.get(c.name))
        for c in version.c
    ]


def _join_equal_neighbours(con: Connection, moment: datetime) -> None:
    """Where the touched accounts are the same before and after `moment`, make it one version."""
    before, after = version.alias("before"), version.alias("after")
    con.execute(delete(load_joined))
    con.execute(
        insert(load_joined).from_select(
            ["account_key", "valid_from", "valid_to"],
            select(before.c.account_key, before.c.valid_from, after.c.valid_to)
            .select_from(before.join(after, before.c.account_key == after.c.account_key))
            .where(
                before.c.valid_to == moment,
                after.c.valid_from == moment,
                before.c.account_key.in_(select(load_delta.c.account_key)),
                ~_differs(before, after),
            ),
        )
    )
    longer = and_(
        version.c.account_key == load_joined.c.account_key,
        version.c.valid_from == load_joined.c.valid_from,
    )
    joined = exists().where(version.c.account_key == load_joined.c.account_key)
    con.execute(delete(version).where(version.c.valid_from == moment, joined))
    con.execute(update(version).where(longer).values(valid_to=load_joined.c.valid_to))


def _copy_open_versions(con: Connection) -> None:
    """Bring `account_current` up to date for the touched accounts."""
    touched = select(load_delta.c.account_key)
    con.execute(delete(account_current).where(account_current.c.account_key.in_(touched)))
    con.execute(
        insert(account_current).from_select(
            [c.name for c in account_current.c],
            select(*(version.c[c.name] for c in account_current.c)).where(
                version.c.valid_to == FOREVER, _touched()
            ),
        )
    )


def count_states(
    con: Connection, integration_id: int, moment: datetime, *, newest: bool = False
) -> None:
    """Write `state_change` and `state_count` of one snapshot anew, from the versions alone."""
    for rollup in (state_change, state_count):
        con.execute(
            delete(rollup).where(
                rollup.c.integration_id == integration_id, rollup.c.taken_at == moment
            )
        )
    here = [literal(integration_id, Integer), literal(moment, DateTime)]
    ended = _states_of(integration_id, version.c.valid_to == moment, "ended")
    began = _states_of(integration_id, version.c.valid_from == moment, "began")
    con.execute(
        insert(state_change).from_select(
            [c.name for c in state_change.c],
            select(*here, ended.c.state, began.c.state, func.count())
            .select_from(ended.join(began, ended.c.key == began.c.key, full=True))
            .where(ended.c.state.is_distinct_from(began.c.state))
            .group_by(ended.c.state, began.c.state),
        )
    )
    counted = _counted(integration_id, None if newest else moment)
    entered = _moved(integration_id, moment, state_change.c.to_state, "entered")
    left = _moved(integration_id, moment, state_change.c.from_state, "left_")
    name = func.coalesce(counted.c.state, entered.c.state, left.c.state)
    numbers = (
        counted.c.accounts, counted.c.active, counted.c.unmatched, entered.c.n, left.c.n
    )  # fmt: skip
    con.execute(
        insert(state_count).from_select(
            [c.name for c in state_count.c],
            select(*here, name, *(func.coalesce(n, 0) for n in numbers)).select_from(
                counted.join(entered, counted.c.state == entered.c.state, full=True).join(
                    left, func.coalesce(counted.c.state, entered.c.state) == left.c.state, full=True
                )
            ),
        )
    )


def _states_of(integration_id: int, which: ColumnElement[bool], name: str) -> FromClause:
    return (
        select(version.c.account_key.label("key"), version.c.provisioning_state.label("state"))
        .where(version.c.integration_id == integration_id, which)
        .subquery(name)
    )


def _counted(integration_id: int, at: datetime | None) -> FromClause:
    """One row per state: accounts in it, active ones, unmatched ones."""
    accounts = accounts_at(integration_id, at)
    unmatched = and_(accounts.c.user_name.is_(None), accounts.c.user_email.is_(None))
    return (
        select(
            accounts.c.provisioning_state.label("state"),
            func.count().label("accounts"),
            func.count().filter(accounts.c.active_in_app).label("active"),
            func.count().filter(unmatched).label("unmatched"),
        )
        .group_by(accounts.c.provisioning_state)
        .subquery("counted")
    )


def _moved(
    integration_id: int, moment: datetime, state: ColumnElement[Any], name: str
) -> FromClause:
    """One row per state: how many accounts came into it, or left it, at the moment."""
    return (
        select(state.label("state"), func.sum(state_change.c.accounts).label("n"))
        .where(
            state_change.c.integration_id == integration_id,
            state_change.c.taken_at == moment,
            state.is_not(None),
        )
        .group_by(state)
        .subquery(name)
    )
