"""The person of one account, how that is known, or why nobody is."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.records.exceptions import read_rule_settings
from data.schema import account, person
from queries.cache import cached
from queries.people.accounts import Source, owned_accounts
from queries.people.persons import with_profiles

SOURCE_TEXTS: dict[str, str] = {
    "directory": "The account is in the directory",
    "snapshot": "The snapshot names the user",
    "decision": "Decided on Matching",
    "upstream ID": "Only this person has the upstream user ID",
    "email": "Only this person has the email",
    "named": "Named by this address",
    "same ID": "Upstream user ID",
    "same email": "Email",
}
"""Source → how the person of an account is known; the last three without a directory."""


class AccountOwner(NamedTuple):
    """What the directories say of an account's person."""

    owned: sa.Row[Any]
    """See `owned_accounts`."""
    directory: sa.Row[Any] | None
    """The newest profile of the person, see `with_profiles`."""

    @property
    def explanation(self) -> str:
        """How the person is known, or why nobody is."""
        source: Source | None = self.owned.source
        by_id, by_email = self.owned.by_id, self.owned.by_email
        if self.directory:
            return SOURCE_TEXTS[source or "directory"]
        if source == "decision":
            return "Decided on Matching: no owner who is in a directory"
        if by_id == by_email == 1:
            return "Upstream user ID and email belong to different people"
        if by_id > 1 or by_email > 1:
            clue = "upstream user ID" if by_id > 1 else "email"
            return f"{max(by_id, by_email):,} people have the {clue}"
        return "Nobody in the directories has its upstream user ID or email"


@cached(200)
def account_owner(con: Connection, as_of: datetime | None, account_key: int) -> AccountOwner | None:
    """The person of an account at the moment; None if there is no directory."""
    if not con.scalar(select(sa.exists().select_from(person))):
        return None
    grace = read_rule_settings(con).grace_days
    key = select(account.c.account_key).where(account.c.account_key == account_key)
    row = con.execute(owned_accounts(as_of, grace, key)).first()
    return AccountOwner(row, _last_listed(con, as_of, row.person_key)) if row else None


def _last_listed(
    con: Connection, as_of: datetime | None, person_key: int | None
) -> sa.Row[Any] | None:
    if person_key is None:
        return None
    query = with_profiles(person, as_of).where(person.c.person_key == person_key)
    return con.execute(query.limit(1)).first()
