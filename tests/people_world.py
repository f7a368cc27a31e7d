"""A made world whose truth is known: people who come, go, return and change names, and apps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from builders import Account, an_account

from data.files.naming import SnapshotFile

START = datetime(2026, 1, 5, 6)
MONTH = timedelta(days=28)
MONTHS = 8
END = START + (MONTHS - 1) * MONTH
APPS = 12

GIVEN = "Mira Jonas Aïcha Bo Chen Dora Elif Farid Greta Hugo Ines Jakub Kira Liam Maja Nils".split()
FAMILY = (
    "Novak Berg Díaz Eriksen Fischer García Haas Ito Jansen Kaya Lopez Meyer Nagy Olsen".split()
)


@dataclass
class Human:
    """A person, by month: whether the company lists her, and how she is reached."""

    number: int
    name: str
    listed: list[bool]
    emails: list[str]  # by month
    okta_ids: list[str]  # by month
    aliases: list[str] = field(default_factory=list)

    @property
    def has_left(self) -> bool:
        return not self.listed[-1]


class World:
    """`humans`, and for every app its accounts with the person who uses each, or None."""

    def __init__(self, people: int, seed: int) -> None:
        self.random = Random(seed)
        self.humans = [self._human(number) for number in range(people)]
        self._give_addresses_away()
        self.apps = {f"app{n:02}": [*self._accounts(n)] for n in range(APPS)}

    def _human(self, number: int) -> Human:
        """One in 30 is renamed, one in 40 is hired again, half of those under a new ID."""
        r = self.random
        name = f"{r.choice(GIVEN)} {r.choice(FAMILY)}"  # many have the same name
        email = f"{name.lower().replace(' ', '.')}{number}@corp.example"
        joined = r.choice([0] * 6 + [r.randrange(MONTHS)])
        leaves = r.randrange(joined + 1, MONTHS + 1) if r.random() < 0.3 else MONTHS
        listed = [joined <= month < leaves for month in range(MONTHS)]
        human = Human(number, name, listed, [email] * MONTHS, [f"00u{number:06}"] * MONTHS)
        if number % 30 == 0:
            month, renamed = r.randrange(1, MONTHS), f"{r.choice(GIVEN)}.{number}@corp.example"
            human.emails[month:] = [renamed] * (MONTHS - month)
            human.aliases = [email] if r.random() < 0.5 else []
        if number % 40 == 0 and joined < MONTHS - 3:
            human.listed = [month >= joined and month != joined + 1 for month in range(MONTHS)]
            if number % 80 == 0:
                human.okta_ids[joined + 2 :] = [f"00n{number:06}"] * (MONTHS - joined - 2)
        return human

    def _give_addresses_away(self) -> None:
        """A few addresses of people who left go to somebody new."""
        leavers = [
            h for h in self.humans if h.has_left and h.listed[0] and h.listed.index(False) < 5
        ]
        for old, new in zip(leavers[:8], (h for h in self.humans if h.listed[0]), strict=False):
            if new is not old and not new.has_left:
                first = old.listed.index(False) + 1
                new.listed = [month >= first for month in range(MONTHS)]
                new.emails = old.emails[-1:] * MONTHS

    def _accounts(self, app: int) -> Iterator[tuple[Account, Human | None]]:
        r = self.random
        for human in self.humans:
            if r.random() < 0.4 and any(human.listed):
                is_active = r.random() < (0.3 if human.has_left else 0.95)
                yield self._account(human, is_active, f"{app}-{human.number}"), human
        for n in range(20):
            service = f"svc-{n}" if n % 2 else f"team{n}@corp.example"
            yield an_account(service, user=None, email=None, upstream_id=None), None

    def _account(self, human: Human, is_active: bool, account_id: str) -> Account:
        """Apps know people by different things, and some learn of no rename."""
        r, listed_months = self.random, [m for m in range(MONTHS) if human.listed[m]]
        month = r.choice(listed_months)
        email, okta_id = human.emails[month], human.okta_ids[month]
        spelled = email.upper() if r.random() < 0.2 else email
        facts = {"account_id": account_id, "active": "yes" if is_active else "no"}
        nobody: dict[str, Any] = {"user": None, "email": None}
        handle = f"{human.name.split()[0].lower()}{r.randrange(10**6)}"
        way = r.random()
        if way < 0.5:
            upstream = okta_id if r.random() < 0.5 else None
            return an_account(handle, user=human.name, email=spelled, upstream_id=upstream, **facts)
        if way < 0.75:
            return an_account(spelled, upstream_id=None, **nobody, **facts)
        if way < 0.98:
            return an_account(handle, upstream_id=okta_id, **nobody, **facts)
        return an_account(handle, user=human.name, email=None, upstream_id=None, **facts)

    def left_and_active(self) -> set[tuple[str, str]]:
        """The truth: integration and account ID."""
        return {
            (app, account["account_id"])
            for app, accounts in self.apps.items()
            for account, human in accounts
            if human and human.has_left and account["active_in_app"] == "yes"
        }

    def files(self, folder: Path) -> Iterator[SnapshotFile]:
        """The directory every month, and each app at the end."""
        for month in range(MONTHS):
            at = START + month * MONTH
            users = [self._okta_user(h, month) for h in self.humans if h.listed[month]]
            users.append(self._okta_user(ROBOT, month))
            yield _write(folder, "okta", at, users)
        for app, accounts in self.apps.items():
            yield _write(folder, app, END, [account for account, _ in accounts])

    def _okta_user(self, human: Human, month: int) -> dict[str, object]:
        first, last = human.name.split()
        email, is_robot = human.emails[month], human is ROBOT
        profile = {"login": email, "email": email, "firstName": first, "lastName": last}
        profile["employeeNumber"] = f"E{human.number}"
        profile["userType"] = "Service" if is_robot else "Employee"
        if human.aliases and email not in human.aliases:
            profile["secondEmail"] = human.aliases[0]
        return {
            "id": human.okta_ids[month],
            "status": "ACTIVE",
            "created": "2025-01-01T00:00:00Z",
            "profile": profile,
        }


ROBOT = Human(
    -1, "Team Mailbox", [True] * MONTHS, ["team0@corp.example"] * MONTHS, ["00r"] * MONTHS
)


def _write(folder: Path, name: str, at: datetime, rows: list[dict[str, object]]) -> SnapshotFile:
    path = folder / name / f"{at:%Y-%m-%dT%H-%M-%SZ}.ndjson"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return SnapshotFile(path, name, at)
