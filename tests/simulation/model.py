"""The reference model: what Rollcall must say, in lists and dictionaries, without SQL.

It shares no code with the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from simulation.facts import LIFECYCLE, Accounts, Facts, Key

if TYPE_CHECKING:
    from simulation.questions import Question

RULES: dict[str, Callable[[Facts], bool]] = {
    "deleted_but_active": lambda facts: facts.state == "Deleted" and facts.active is True,
    "delete_failed_but_active": lambda f: f.state == "Delete failed" and f.active is True,
    "active_and_unmatched": lambda facts: facts.active is True and not facts.is_matched,
    "unmatched_and_privileged": lambda facts: (
        not facts.is_matched and bool({"Admin", "Owner"} & {*facts.roles})
    ),
}
START, END = datetime(2026, 1, 1), datetime(9999, 1, 1)
DELETION_LIMIT = 0.2  # share of the accounts that a file can remove or start to delete


@dataclass
class Decision:
    """What a person decided, up to a last day, or until it is withdrawn."""

    value: Any
    made_at: datetime
    until: date | None
    withdrawn_at: datetime | None = None

    def is_in_force(self, moment: datetime) -> bool:
        """Whether it counts at the moment."""
        has_ended = self.until and self.until < moment.date()
        is_withdrawn = self.withdrawn_at and self.withdrawn_at <= moment
        return self.made_at <= moment and not has_ended and not is_withdrawn


@dataclass
class Model:
    """All snapshots, and what people decided."""

    lists: dict[str, dict[datetime, Accounts]] = field(default_factory=dict)
    decisions: dict[tuple[str, Key], list[Decision]] = field(default_factory=dict)
    now: datetime = START

    # ---- what happens ----------------------------------------------------------------------------

    def take(self, integration: str, at: datetime, accounts: Accounts) -> None:
        """A snapshot is loaded, or takes the place of another."""
        self.lists.setdefault(integration, {})[at] = dict(accounts)

    def remove(self, integration: str, at: datetime) -> None:
        """A snapshot is removed; the last one takes its integration with it."""
        del self.lists[integration][at]
        if not self.lists[integration]:
            del self.lists[integration]

    def decide(self, subject: tuple[str, Key], value: Any, until: date | None = None) -> None:
        """A decision takes the place of the one before; None only ends that."""
        decisions = self.decisions.setdefault(subject, [])
        if decisions and decisions[-1].withdrawn_at is None:
            decisions[-1].withdrawn_at = self.now
        if value is not None:
            decisions.append(Decision(value, self.now, until))

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
        """When a snapshot was taken or a decision made or withdrawn, each moment once."""
        taken = {at for moments in self.lists.values() for at in moments}
        return sorted(taken.union(self.decided_moments()))

    def decided_moments(self) -> list[datetime]:
        """When a decision was made or withdrawn."""
        made = [each for decisions in self.decisions.values() for each in decisions]
        return [at for each in made for at in (each.made_at, each.withdrawn_at) if at]

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
        owner = None if facts.is_matched else self.decision("owner", key, as_of)
        return facts._replace(name=owner[0], email=owner[1]) if owner else facts

    def decision(self, kind: str, key: Key, as_of: datetime | None = None) -> Any:
        """What is in force at a moment; None without a decision."""
        made = self.decisions.get((kind, key), [])
        return next((each.value for each in made if each.is_in_force(as_of or self.now)), None)

    def findings(self, rule: str, as_of: datetime | None = None) -> dict[Key, tuple[Any, bool]]:
        """Account → since when the rule holds, and whether an exception covers that."""
        found: dict[Key, tuple[Any, bool]] = {}
        for integration in self.lists:
            for account_id, facts in self.listed(integration, as_of).items():
                if RULES[rule](facts):
                    key = integration, account_id
                    since = self.since(key, as_of, RULES[rule])
                    accepted = self.decision(rule, key, as_of)
                    found[key] = since, bool(accepted and accepted >= since)
        return found

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
        """The accounts that a question is about; in a period, as they were last."""
        if question.during:
            return {key: facts for key, facts, *_ in self._versions(question, *question.during)}
        accounts = self.accounts(question.as_of).items()
        return {key: facts for key, facts in accounts if all(self._keeps(question, key, facts))}

    def _versions(
        self, question: Question, start: datetime, end: datetime
    ) -> Iterator[tuple[Key, Facts, datetime, datetime]]:
        """What a question keeps of each snapshot of a period, and until when the snapshot holds."""
        for integration in self.lists:
            moments = [*self.moments(integration), END]
            for at, next_at in pairwise(moments):
                for account_id in self.lists[integration][at] if at <= end else ():
                    key = integration, account_id
                    facts = self._with_owner(key, self.lists[integration][at][account_id], end)
                    if next_at > start and all(self._keeps(question, key, facts)):
                        yield key, facts, at, next_at

    def stretches(
        self, question: Question, start: datetime, end: datetime
    ) -> dict[Key, list[tuple[datetime, datetime | None]]]:
        """The times in a period for which the question keeps an account; no end: beyond it."""
        found: dict[Key, list[tuple[datetime, datetime]]] = {}
        for key, _, at, next_at in self._versions(question, start, end):
            parts = found.setdefault(key, [])
            goes_on = parts and parts[-1][1] == at
            parts.append((parts.pop()[0] if goes_on else max(at, start), next_at))
        return {
            key: [(began, until if until <= end else None) for began, until in parts]
            for key, parts in found.items()
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
        if ask.note:
            moment = ask.during[1] if ask.during else ask.as_of
            yield (self.decision("note", key, moment) is not None) == (ask.note == "yes")
        day = facts.updated.date() if facts.updated else None
        yield not ask.updated_from or (day is not None and day >= ask.updated_from)
        yield not ask.updated_to or (day is not None and day <= ask.updated_to)


def _failed(accounts: Accounts) -> set[str]:
    return {key for key, facts in accounts.items() if facts.state.endswith(" failed")}
