"""A made world: apps with accounts that come, go and change, and the files that list them."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from simulation.facts import LIFECYCLE, Accounts, Facts

PEOPLE = [
    (f"{first} {last}", f"{first}.{last}@x.io".lower(), f"00u{number:03}")
    for number, (first, last) in enumerate(
        (first, last) for first in ("Ada", "Bob", "Cyd", "Dan", "Eve") for last in ("Lee", "Moe")
    )
]
ROLES = ("Admin", "Editor", "Owner", "Viewer", "Team lead", "Billing")
APPS = {"figma": 12, "jira": 12, "slack": 12, "zoom": 3}
"""App → its first accounts; it keeps at least half of them."""

CODES = ("E401", "E429", None)
REASONS = ("Quota reached", "License missing", None)
START = datetime(2026, 3, 1, 6)

NDJSON_NAMES = (
    "username_in_app", "user_name", "user_email", "roles", "active_in_app", "upstream_user_id",
    "provisioning_state", "state_reason", "failure_code", "last_updated",
)  # fmt: skip
CSV_HEADINGS = (
    "Username in app", "User name", "Email", "App access", "Active in app", "Upstream user ID",
    "Provisioning state", "Reason", "Failure code", "Last updated",
)  # fmt: skip


class File(NamedTuple):
    """A file, the accounts that it lists, and the rows that are none."""

    content: bytes
    ending: str
    accounts: Accounts
    rejected: int
    merged: int


class World:
    """The accounts of some apps as they are now, behind Rollcall's back."""

    def __init__(self, chance: random.Random):
        self.chance, self.now, self.number = chance, START, 0
        self.apps: dict[str, Accounts] = {app: {} for app in APPS}
        for app, count in APPS.items():
            self.join(app, count)

    def pass_time(self) -> None:
        """A day or less goes by, to the second."""
        self.now += timedelta(seconds=self.chance.randint(3_600, 86_400))

    def join(self, app: str, count: int) -> None:
        """New accounts, of people or of nobody."""
        for _ in range(count):
            self.number += 1
            name, email, upstream = self.chance.choice(PEOPLE)
            known = self.chance.random() < 0.8
            self.apps[app][f"A-{self.number}"] = Facts(
                username=f"{email.split('@')[0]}{self.number}",
                name=name if known else None,
                email=email if known and self.chance.random() < 0.9 else None,
                upstream=upstream if self.chance.random() < 0.8 else None,
                **self._changing(),
            )

    def live(self, app: str, share: float = 0.2) -> None:
        """Some accounts change; one joins or leaves."""
        accounts, chance = self.apps[app], self.chance
        for key in list(accounts):
            if chance.random() < share:
                accounts[key] = self._changed(accounts[key])
        if chance.random() < 0.4:
            self.join(app, 1)
        if chance.random() < 0.3 and len(accounts) > APPS.get(app, 12) / 2:
            del accounts[chance.choice(sorted(accounts))]

    def shrink(self, app: str) -> Accounts:
        """What an export that stopped early lists."""
        keys = sorted(self.apps[app])
        return {key: self.apps[app][key] for key in keys[: len(keys) // 2]}

    def file(self, accounts: Accounts) -> File:
        """A file that lists the accounts in any order, with rows that are none."""
        keys = list(accounts)
        self.chance.shuffle(keys)
        rows = [(key, accounts[key]) for key in keys]
        repeated = rows[: self.chance.randint(0, 2)]
        rows += repeated
        rejected = min(self.chance.choice((0, 0, 1)), len(rows))
        write = self.chance.choice((_ndjson, _csv))
        content, ending = write(rows, rejected)
        return File(content, ending, dict(accounts), rejected, len(repeated))

    def _changing(self) -> dict[str, Any]:
        chance = self.chance
        state = chance.choice((*LIFECYCLE, "Onboarded", "Onboarded", "Onboarded", "Onboarded"))
        failed = state.endswith("failed")
        return {
            "roles": tuple(sorted(chance.sample(ROLES, chance.choice((0, 1, 1, 2, 3))))),
            "active": chance.choice((True, True, True, False, None)),
            "state": state,
            "code": chance.choice(CODES) if failed else None,
            "reason": chance.choice(REASONS) if failed else None,
            "updated": None
            if chance.random() < 0.1
            else self.now.replace(microsecond=0) - timedelta(minutes=chance.randint(0, 9_000)),
        }

    def _changed(self, facts: Facts) -> Facts:
        changing, chance = self._changing(), self.chance
        if chance.random() < (0.5 if facts.is_matched else 0.2):
            names = ("state", "code", "reason", "updated")
            return facts._replace(**{name: changing[name] for name in names})
        if chance.random() < (0.2 if facts.is_matched else 0.5):
            name, email, upstream = chance.choice((*PEOPLE, (None, None, None)))
            return facts._replace(name=name, email=email, upstream=upstream)
        if chance.random() < 0.1:
            return facts._replace(username=f"{facts.username}x")
        return facts._replace(roles=changing["roles"], active=changing["active"])


def _values(facts: Facts) -> list[Any]:
    active = {True: "yes", False: "no", None: ""}[facts.active]
    updated = f"{facts.updated.isoformat()}Z" if facts.updated else None
    person = facts.username, facts.name, facts.email, list(facts.roles)
    return [*person, active, facts.upstream, facts.state, facts.reason, facts.code, updated]


def _ndjson(rows: list[tuple[str, Facts]], rejected: int) -> tuple[bytes, str]:
    records = [
        {"account_id": key, **dict(zip(NDJSON_NAMES, _values(facts), strict=True))}
        for key, facts in rows
    ]
    records += [{"account_id": f"none{n}", "username_in_app": ""} for n in range(rejected)]
    return "".join(f"{json.dumps(record)}\n" for record in records).encode(), "ndjson"


def _csv(rows: list[tuple[str, Facts]], rejected: int) -> tuple[bytes, str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Account ID", *CSV_HEADINGS))
    for key, facts in rows:
        values = _values(facts)
        values[3] = "; ".join(facts.roles)
        writer.writerow((key, *values))
    for number in range(rejected):
        writer.writerow((f"none{number}", "", *("x" for _ in CSV_HEADINGS[1:])))
    return text.getvalue().encode(), "csv"
