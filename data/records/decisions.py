"""What all decisions of people have in common: a subject, an author, and that they can end.

Decisions refer to integrations and accounts by name, not by key, so that they stay valid when the
store is rebuilt. A decision replaces the one before on the same subject; both stay, as evidence.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, select

from data.formatting import utc_now
from data.records.tables import exception, match_override, note, review_decision, saved_view
from data.schema import account, integration
from data.store.engine import write_transaction

MAX_NAME_LENGTH = 200
"""Characters of the name of a person."""

ACCOUNT = ("integration", "account_id")


class InvalidInput(ValueError):
    """A name or a text is missing, or a day has passed; the message says which."""


def required_text(text: str, label: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """The text in one line. Raises InvalidInput if it is empty."""
    cleaned = " ".join(text.replace("\0", " ").split())
    if not cleaned:
        raise InvalidInput(f"The {label} is missing.")
    return cleaned[:max_length]


@dataclass(frozen=True)
class Decisions:
    """One kind of decision. Times are naive UTC; by default, now."""

    table: sa.Table
    subject: tuple[str, ...]
    """The columns that say what a decision is about."""
    verb: str
    """Starts the names of the columns with the author and the time: `decided_by`, `decided_at`."""

    @property
    def made_at(self) -> sa.Column[Any]:
        """When a decision was made."""
        return self.table.c[f"{self.verb}_at"]

    def save(
        self,
        engine: sa.Engine,
        rows: Iterable[Mapping[str, Any]],
        author: str,
        at: datetime | None = None,
        *,
        check: Callable[[Connection, datetime], None] = lambda *_: None,
    ) -> datetime:
        """Add decisions, and withdraw earlier ones on the same subjects. Returns when.

        Raises InvalidInput without an author, and where `until` has passed. `check` can raise it
        for what the transaction sees at the moment of the decision.
        """
        author = required_text(author, "name")
        with write_transaction(engine) as con:
            at = at or utc_now()  # in its turn, so that the later decision is the one that counts
            added = [{**row, f"{self.verb}_by": author, f"{self.verb}_at": at} for row in rows]
            for row in added:
                if row.get("until") and row["until"] < at.date():
                    raise InvalidInput(f"{row['until']} has passed.")
            check(con, at)
            if "account_key" in self.table.c:
                keys = _find_account_keys(con, (_account_of(row) for row in added))
                added = [{**row, "account_key": keys.get(_account_of(row))} for row in added]
            self._withdraw(con, added, author, at)
            if added:
                con.execute(sa.insert(self.table), added)
        return at

    def withdraw(
        self,
        engine: sa.Engine,
        subjects: Iterable[Mapping[str, Any]],
        author: str,
        at: datetime | None = None,
    ) -> None:
        """Withdraw the decisions on each subject, given as column → value. Raises InvalidInput."""
        author = required_text(author, "name")
        with write_transaction(engine) as con:
            self._withdraw(con, subjects, author, at or utc_now())

    def _withdraw(
        self, con: Connection, subjects: Iterable[Mapping[str, Any]], author: str, at: datetime
    ) -> None:
        """The store is asked once which of the subjects have a decision: of thousands, few do."""
        columns = [self.table.c[name] for name in self.subject]
        standing = self.table.c.withdrawn_at.is_(None)
        wanted = {tuple(subject[name] for name in self.subject) for subject in subjects}
        query = select(*columns).where(standing)
        if "account_id" in self.subject:
            place = self.subject.index("account_id")
            query = query.where(columns[place].in_({subject[place] for subject in wanted}))
        decided = {tuple(row) for row in con.execute(query)}
        for subject in decided & wanted:
            is_subject = (column == value for column, value in zip(columns, subject, strict=True))
            con.execute(
                sa.update(self.table)
                .where(*is_subject, standing)
                .values(withdrawn_by=author, withdrawn_at=at)
            )

    def is_in_force(self, as_of: datetime | None = None) -> ColumnElement[bool]:
        """Whether a decision is in force at a moment (None: now)."""
        columns, conditions = self.table.c, []
        if as_of is None:
            conditions.append(columns.withdrawn_at.is_(None))
        else:
            is_withdrawn = and_(columns.withdrawn_at.is_not(None), columns.withdrawn_at <= as_of)
            conditions += [self.made_at <= as_of, ~is_withdrawn]
        if "until" in columns:
            last_day = (as_of or utc_now()).date()
            conditions.append(columns.until.is_(None) | (columns.until >= last_day))
        return and_(*conditions)


EXCEPTIONS = Decisions(exception, ("rule", *ACCOUNT), "accepted")
MATCH_OVERRIDES = Decisions(match_override, ACCOUNT, "decided")
NOTES = Decisions(note, ACCOUNT, "written")
SAVED_VIEWS = Decisions(saved_view, ("owner", "name"), "saved")
REVIEW_DECISIONS = Decisions(review_decision, ("round_id", *ACCOUNT, "role"), "decided")

BY_ACCOUNT_KEY = (match_override, note)
"""Tables that also have the key of the account, because lists are joined with them."""


# ---- keys of accounts ----------------------------------------------------------------------------


def link_account_keys(con: Connection) -> None:
    """Fill `account_key` of the decisions without one.

    A key belongs to one store, and is deleted with the account's integration; decisions stay.
    """
    for table in BY_ACCOUNT_KEY:
        columns = table.c
        unlinked = select(columns.integration, columns.account_id).distinct()
        unlinked = con.execute(unlinked.where(columns.account_key.is_(None)))
        for (name, account_id), key in _find_account_keys(con, map(tuple, unlinked)).items():
            con.execute(
                sa.update(table)
                .where(columns.integration == name, columns.account_id == account_id)
                .values(account_key=key)
            )


def unlink_account_keys(con: Connection, integration_id: int | None = None) -> None:
    """Empty `account_key` of the decisions about one integration, or about all."""
    name = select(integration.c.name).where(integration.c.integration_id == integration_id)
    for table in BY_ACCOUNT_KEY:
        statement = sa.update(table).values(account_key=None)
        if integration_id is not None:
            statement = statement.where(table.c.integration.in_(name))
        con.execute(statement)


def _account_of(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["integration"], row["account_id"]


def _find_account_keys(
    con: Connection, accounts: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Integration and account ID → key, for the accounts in the store."""
    ids: dict[str, list[str]] = defaultdict(list)
    for name, account_id in accounts:
        ids[name].append(account_id)
    rows = select(account.c.account_id, account.c.account_key).join_from(
        account, integration, integration.c.integration_id == account.c.integration_id
    )
    return {
        (name, account_id): key
        for name, account_ids in ids.items()
        for account_id, key in con.execute(
            rows.where(integration.c.name == name, account.c.account_id.in_(account_ids))
        )
    }


# ---- reading -------------------------------------------------------------------------------------


def decisions_by_account(
    con: Connection, kind: Decisions, account_keys: Sequence[int], as_of: datetime | None = None
) -> dict[int, sa.Row[Any]]:
    """Account key → the decision in force at the moment, for the accounts that have one."""
    query = select(kind.table).where(
        kind.is_in_force(as_of), kind.table.c.account_key.in_(account_keys)
    )
    return {row.account_key: row for row in con.execute(query)} if account_keys else {}
