"""The reference model: what Rollcall must say, in lists and dictionaries, without SQL.

It shares no code with the product but the names of the eleven states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

OPERATIONS = {"Provisioning": "provision", "Update": "update", "Delete": "delete"}
LIFECYCLE = (
    "Provisioning awaiting", "Provisioning ongoing", "Provisioning failed", "Onboarded",
    "Update awaiting", "Update ongoing", "Update failed",
    "Delete awaiting", "Delete ongoing", "Delete failed", "Deleted",
)  # fmt: skip
DELETION_LIMIT = 0.2  # share of the accounts that a file can remove or start to delete


class Facts(NamedTuple):
    """One account in one snapshot, as its file says."""

    username: str
    name: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()  # sorted
    active: bool | None = None
    upstream: str | None = None
    state: str = "Onboarded"
    reason: str | None = None
    code: str | None = None
    updated: datetime | None = None

    @property
    def operation(self) -> str | None:
        """The operation of its job; None in a settled state."""
        word, _, phase = self.state.partition(" ")
        return OPERATIONS[word] if phase else None

    @property
    def phase(self) -> str:
        """awaiting, ongoing, failed or settled."""
        return self.state.partition(" ")[2] or "settled"

    @property
    def is_matched(self) -> bool:
        """Whether the account has a person."""
        return bool(self.name or self.email)

    @property
    def failure(self) -> str | None:
        """The code of the failure, if it failed; the texts have no words that differ."""
        return None if self.phase != "failed" else self.code or self.reason or "No reason given"


Key = tuple[str, str]  # integration, account ID
Accounts = dict[str, Facts]  # account ID → the account


class Owner(NamedTuple):
    """Whom a person named as the owner of an account; without a name, nobody."""

    account: Key
    name: str | None
    email: str | None
    decided_at: datetime


@dataclass
class Model:
    """All snapshots, and what people decided."""

    lists: dict[str, dict[datetime, Accounts]] = field(default_factory=dict)
    owners: dict[Key, Owner] = field(default_factory=dict)

    # ---- what happens ----------------------------------------------------------------------------

    def take(self, integration: str, at: datetime, accounts: Accounts) -> None:
        """A snapshot is loaded, or takes the place of another."""
        self.lists.setdefault(integration, {})[at] = dict(accounts)

    def remove(self, integration: str, at: datetime) -> None:
        """A snapshot is removed; the last one takes its integration with it."""
        del self.lists[integration][at]
        if not self.lists[integration]:
            del self.lists[integration]

    def must_be_confirmed(self, integration: str, at: datetime, accounts: Accounts) -> bool:
        """Whether a file is on hold: it removes, or starts to delete, too many accounts."""
        before = self.previous(integration, at)
        removed = [before[key] for key in before.keys() - accounts.keys()]
        deleting = [
            key
            for key in before.keys() & accounts.keys()
            if accounts[key].state in LIFECYCLE[-4:] and before[key].state not in LIFECYCLE[-4:]
        ]
        names = {facts.username.lower() for facts in removed}
        other_ids = sum(
            accounts[key].username.lower() in names
            for key in accounts.keys() - self.ever_listed(integration)
        )
        count = len(removed) + len(deleting)
        is_mass_deletion = count >= 2 and count > DELETION_LIMIT * len(before)
        is_renumbered = len(removed) > len(before) / 2 and other_ids >= max(2, 0.8 * len(removed))
        return is_mass_deletion or is_renumbered

    # ---- the state of things ---------------------------------------------------------------------

    def moments(self, integration: str, until: datetime | None = None) -> list[datetime]:
        """When its snapshots were taken, up to a moment, the first one first."""
        taken = sorted(self.lists.get(integration, ()))
        return [at for at in taken if until is None or at <= until]

    def all_moments(self) -> list[datetime]:
        """When any snapshot was taken, each moment once."""
        return sorted({at for taken in self.lists.values() for at in taken})

    def ever_listed(self, integration: str) -> set[str]:
        """The IDs of all accounts that any snapshot lists."""
        return {key for accounts in self.lists.get(integration, {}).values() for key in accounts}

    def previous(self, integration: str, at: datetime) -> Accounts:
        """The accounts of the snapshot before."""
        earlier = [moment for moment in self.moments(integration) if moment < at]
        return self.lists[integration][earlier[-1]] if earlier else {}

    def listed(self, integration: str, as_of: datetime | None) -> Accounts:
        """The accounts of the last snapshot up to a moment."""
        moments = self.moments(integration, as_of)
        return self.lists[integration][moments[-1]] if moments else {}

    def accounts(self, as_of: datetime | None = None) -> dict[Key, Facts]:
        """All accounts at a moment, with the owners that people named by then."""
        return {
            (integration, account_id): self._with_owner((integration, account_id), facts, as_of)
            for integration in self.lists
            for account_id, facts in self.listed(integration, as_of).items()
        }

    def _with_owner(self, key: Key, facts: Facts, as_of: datetime | None) -> Facts:
        owner = self.owners.get(key)
        if facts.is_matched or not owner or (as_of and owner.decided_at > as_of):
            return facts
        return facts._replace(name=owner.name, email=owner.email)

    def since(
        self, key: Key, as_of: datetime | None, value: Callable[[Facts], Any]
    ) -> datetime | None:
        """Since when a listed account has had this value, in snapshot after snapshot."""
        integration, account_id = key
        moments = self.moments(integration, as_of)
        start, last = None, self.lists[integration][moments[-1]][account_id]
        for moment in reversed(moments):
            facts = self.lists[integration][moment].get(account_id)
            if facts is None or value(facts) != value(last):
                break
            start = moment
        return start

    def state_counts(self, integration: str, at: datetime) -> dict[str, tuple[int, ...]]:
        """State → accounts, active, unmatched, entered, left, changed."""
        now, before = self.lists[integration][at], self.previous(integration, at)
        counts: dict[str, Counter[str]] = {}
        for key, facts in now.items():
            count = counts.setdefault(facts.state, Counter())
            count["accounts"] += 1
            count["active"] += facts.active is True
            count["unmatched"] += not facts.is_matched
            count["entered"] += key not in before or before[key].state != facts.state
            count["changed"] += key in before and before[key] != facts
        for key, facts in before.items():
            count = counts.setdefault(facts.state, Counter())
            count["left"] += key not in now or now[key].state != facts.state
        names = ("accounts", "active", "unmatched", "entered", "left", "changed")
        return {
            state: values
            for state, count in counts.items()
            if any(values := tuple(count[name] for name in names))
        }

    def state_changes(self, integration: str, at: datetime) -> Counter[tuple[str | None, ...]]:
        """(state before, state after) → accounts; None where the account is not listed."""
        now, before = self.lists[integration][at], self.previous(integration, at)
        pairs = (
            tuple(each[key].state if key in each else None for each in (before, now))
            for key in before.keys() | now.keys()
        )
        return Counter(pair for pair in pairs if pair[0] != pair[1])

    def changes(self, since: datetime, until: datetime) -> dict[str, int]:
        """Kind of change between two moments → accounts."""
        counts: Counter[str] = Counter()
        for integration in self.lists:
            if not self.moments(integration, since):
                continue  # it is new to Rollcall, so nothing is compared
            before, after = (self.listed(integration, moment) for moment in (since, until))
            counts["failed"] += len(_failed(after) - _failed(before))
            counts["resolved"] += len(_failed(before) - _failed(after))
            counts["gone"] += len(before.keys() - after.keys())
            for key in after.keys() - before.keys():
                is_back = self._was_listed(integration, key, after[key].username, since, until)
                counts["back" if is_back else "joined"] += 1
            for key in before.keys() & after.keys():
                old, new = before[key], after[key]
                counts["moved"] += old.state != new.state
                counts["gained"] += not set(new.roles) <= set(old.roles)
                counts["lost"] += not set(old.roles) <= set(new.roles)
                counts["match"] += old.is_matched != new.is_matched
                counts["activity"] += old.active is not new.active
        return dict(counts)

    def _was_listed(
        self, integration: str, key: str, username: str, since: datetime, until: datetime
    ) -> bool:
        """Whether an account had been there: itself, or one of its username that is gone."""
        earlier = [self.lists[integration][at] for at in self.moments(integration, since)]
        on_a_side = {*self.listed(integration, since), *self.listed(integration, until)}
        return any(
            account == key
            or (account not in on_a_side and facts.username.lower() == username.lower())
            for accounts in earlier
            for account, facts in accounts.items()
        )

    # ---- questions -------------------------------------------------------------------------------

    def ask(self, question: Question) -> dict[Key, Facts]:
        """The accounts that a question is about."""
        return {
            key: facts
            for key, facts in self.accounts(question.as_of).items()
            if all(self._keeps(question, key, facts))
        }

    def _keeps(self, ask: Question, key: Key, facts: Facts) -> Iterator[bool]:
        text = " ".join(
            str(each).lower()
            for each in (
                facts.name, facts.email, facts.username, facts.upstream, key[1], *facts.roles
            )
            if each
        )  # fmt: skip
        yield all(word.lower() in text for word in ask.words)
        yield not ask.integrations or key[0] in ask.integrations
        yield not ask.states or facts.state in ask.states
        yield not ask.roles or bool(set(ask.roles) & set(facts.roles))
        yield ask.active == "" or {"yes": True, "no": False, "unknown": None}[ask.active] is (
            facts.active
        )
        yield ask.match == "" or facts.is_matched == (ask.match == "matched")
        yield not ask.failures or facts.failure in ask.failures
        day = facts.updated.date() if facts.updated else None
        yield not ask.updated_from or (day is not None and day >= ask.updated_from)
        yield not ask.updated_to or (day is not None and day <= ask.updated_to)


def _failed(accounts: dict[Key, Facts]) -> set[Key]:
    return {key for key, facts in accounts.items() if facts.state.endswith(" failed")}


@dataclass(frozen=True)
class Question:
    """Filters of accounts; empty ones keep all."""

    as_of: datetime | None = None
    words: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    active: str = ""
    match: str = ""
    failures: tuple[str, ...] = ()
    updated_from: date | None = None
    updated_to: date | None = None
