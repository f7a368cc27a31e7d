"""The rule for accounts that were created again: another account ID, the same username."""

import sqlalchemy as sa
from sqlalchemy import and_, func, select

from data.files.text import username_key
from data.schema import account, account_version, is_same_account, join_profile, state_change
from data.store.dialect import format_minute, join_sorted
from queries.review.duration import View, unbroken_since
from queries.review.history_rules import Findings


def recreated_accounts(view: View) -> Findings:
    """Accounts that were first listed once another account of their username was removed.

    Since the first snapshot from which they are listed without a break.
    """
    accounts, removed = view.accounts(), _removed_accounts(view)
    is_same_username = and_(
        removed.c.integration_id == accounts.c.integration_id,
        removed.c.username == username_key(accounts.c.username_in_app),
    )
    pairs = (
        select(accounts.c.account_key, removed.c.account_id, removed.c.until)
        .join_from(accounts, removed, is_same_username)
        .where(accounts.c.provisioning_state != "Deleted")
        .cte()
    )
    v = account_version.c
    earlier = select(v.account_key).where(
        v.account_key == pairs.c.account_key, v.valid_from < pairs.c.until
    )
    presence = unbroken_since(view, pairs, lambda rows: rows.c.account_key.is_not(None))
    before = func.concat(pairs.c.account_id, " until ", format_minute(pairs.c.until))
    detail = func.concat("was ", join_sorted(before, ", ")).label("detail")
    return (
        select(pairs.c.account_key, presence.c.since, detail)
        .join_from(pairs, presence, presence.c.account_key == pairs.c.account_key)
        .where(~earlier.exists())
        .group_by(pairs.c.account_key, presence.c.since)
    )


def _removed_accounts(view: View) -> sa.FromClause:
    """One row per account that is no longer listed: [integration_id, account_id, username, until].

    Without the integrations that the view leaves out.
    """
    listed, v, removal = view.accounts(), account_version, state_change.c
    removal_times = select(removal.taken_at).where(
        removal.to_state.is_(None), view.is_past(removal.taken_at)
    )
    keys = (v.c.integration_id, v.c.account_key)
    number = func.row_number().over(partition_by=keys, order_by=v.c.valid_to.desc())
    ended = (
        select(v, number.label("number"))
        .where(
            view.includes(v),
            v.c.valid_to.in_(removal_times),
            v.c.account_key.not_in(select(listed.c.account_key)),
        )
        .subquery("ended")
    )
    last = join_profile(select(ended).where(ended.c.number == 1).subquery("last"))
    return (
        select(
            last.c.integration_id,
            account.c.account_id,
            username_key(last.c.username_in_app).label("username"),
            last.c.valid_to.label("until"),
        )
        .join_from(last, account, is_same_account(account, last))
        .cte()
    )
