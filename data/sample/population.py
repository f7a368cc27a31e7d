"""Invented snapshots: accounts live through the eleven states, one lawful step a day at most.

Nobody in here exists.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import product
from math import gcd

import numpy as np
import pyarrow as pa

from data.sample.lifecycle import (
    ACTIVE,
    CALM,
    DAY,
    DELETED,
    EVERY_STATE_FROM,
    FAILED,
    GONE,
    IS_BUSY,
    JOINS,
    ONBOARDED,
    OTHERWISE,
    P_AWAITING,
    SETTLING_DAYS,
    SIZES,
    TO,
    U_ONGOING,
    WAVES,
)
from data.sample.words import (
    APPS,
    DESCRIPTIONS,
    DOMAINS,
    HANDLES,
    NAMES,
    OTHER_ROLES,
    PROJECTS,
    REASONS,
    REASONS_EACH,
    ROLES,
    SERVICES,
    USERNAME_ENDINGS,
)
from data.states import STATE_NAMES


class Population:
    """The accounts of one integration, as columns with a place for each that will ever exist."""

    def __init__(self, number: int, accounts: int, days: int, until: datetime, seed: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        self.number, self.app = number, APPS[number % len(APPS)]
        again = f"-{number // len(APPS) + 1}" if number >= len(APPS) else ""
        self.name = self.app + again.replace("-", " ")
        self.slug = self.app.lower().replace(" ", "-") + again
        self.wave = WAVES.get(self.slug, CALM)
        self.days, self.until = days + SETTLING_DAYS, np.datetime64(until, "s")
        self._admit(max(1, round(accounts * SIZES[number % len(SIZES)])))
        self._introduce()
        self._assign_roles()
        for ago in range(self.days - 1, days - 1, -1):
            self.live(ago)

    def _admit(self, founders: int) -> None:
        """Those there from the start, and the days on which the others will join."""
        agos = np.arange(self.days - 1, -1, -1)
        rush = np.where([self.wave.is_on(int(ago)) for ago in agos], self.wave.joins, 1)
        joining = np.repeat(agos, self.rng.poisson(JOINS * founders * rush))
        self.joined = np.append(np.full(founders, self.days), joining)
        self.size, self.has_every_state = self.joined.size, founders >= EVERY_STATE_FROM
        self.state = np.where(self.joined == self.days, ONBOARDED, GONE).astype(np.int8)
        if self.has_every_state:
            self.state[:GONE] = range(GONE)
        self.changed_at = self.until - self.joined * DAY
        self.changed_at[:founders] -= self.rng.integers(1, 2 * 365 * 86_400, founders)

    def _introduce(self) -> None:
        """Who they are, and what each of them is inclined to."""
        rng, size = self.rng, self.size
        crowd = np.arange(2 * size)  # its first people have an account nearly everywhere
        person = np.argsort(crowd + rng.normal(0, size / 2, crowd.size), kind="stable")[:size]
        second = np.flatnonzero(rng.random(size) < 0.008)[1:]  # accounts of the person before
        person[second] = person[second - 1]
        service = rng.random(size) < 0.05
        self.identity = _identities(self.slug, person, second, service)
        self.matched = ~service
        self.pace = np.where(rng.random(size) < 0.10, 0.05, 1)  # some jobs are stuck for weeks
        self.stays_deleted = rng.integers(10, 31, size) * DAY
        self.whim = rng.random(size)  # makes accounts in the same state differ
        self.reason, self.detail = np.zeros(size, np.int8), np.zeros(size, np.int16)

    def _assign_roles(self) -> None:
        """All roles that an account may come to hold, in a row; it holds the first few of them."""
        rng, size = self.rng, self.size
        self.catalogue, common = _catalogue(self.app)
        few, several = rng.choice([1, 1, 2, 2, 3, 4], size), rng.integers(8, 16, size)
        self.held = np.where(rng.random(size) < 0.06, several, few)
        founders = np.flatnonzero(self.state == ONBOARDED)
        collectors = rng.permutation(founders)[:2]
        self.held[collectors] = rng.integers(30, 61, collectors.size)
        self.limit = self.held + 2
        self.first_role = np.cumsum(self.limit) - self.limit
        strides = [stride for stride in range(1, common) if gcd(stride, common) == 1]
        start = (common * rng.random(size) ** 2).astype(int)
        walk, stride = (np.repeat(x, self.limit) for x in (start, rng.choice(strides, size)))
        place = _places(self.limit)
        role = np.where(place < common, (walk + place * stride) % common, place + 2)
        chief = np.flatnonzero(rng.random(size) < np.where(self.matched, 0.03, 0.4))
        role[self.first_role[chief]] = common + chief % 2
        self.role = role.astype(np.int16)
        age = rng.integers(0, 300, role.size) * np.repeat(self.joined == self.days, self.limit)
        self.since = np.repeat(self.changed_at.astype("M8[D]"), self.limit) - age

    def live(self, ago: int) -> None:
        """One day: every account takes one step, or none."""
        now, before = self.until - ago * DAY, self.state.copy()
        chance, odds = self.wave.chance_and_odds(ago)
        patience = 1 if self.wave.is_healing(ago) else np.where(IS_BUSY[before], self.pace, 1)
        is_over = (before == DELETED) & (now - self.changed_at > self.stays_deleted)
        moving = is_over | (self.rng.random(self.size) < chance[before] * patience)
        moving &= self.joined > ago
        if self.has_every_state:
            moving[self._last_in_their_state(moving)] = False
        aside = self.rng.random(self.size) < odds[before]
        self.state[moving] = np.where(aside, OTHERWISE[before], TO[before])[moving]
        self.state[self.joined == ago] = P_AWAITING
        changed = np.flatnonzero(self.state != before)
        self.changed_at[changed] = now - self.rng.integers(1, 86_400, changed.size)
        self._explain(changed[np.isin(self.state[changed], FAILED)], self.wave.is_on(ago))
        self._revise(changed[(before[changed] == U_ONGOING) & (self.state[changed] == ONBOARDED)])

    def _last_in_their_state(self, moving: np.ndarray) -> np.ndarray:
        """Of each state that all would leave, the newest account: it waits for another to come."""
        movers = np.flatnonzero(moving & (self.state != GONE))
        movers = movers[np.argsort(-self.changed_at[movers].astype(int), kind="stable")]
        states, newest = np.unique(self.state[movers], return_index=True)
        staying = np.bincount(self.state[~moving], minlength=GONE + 1)
        return movers[newest[staying[states] == 0]]

    def _explain(self, failed: np.ndarray, in_a_wave: bool) -> None:
        """Each integration has its own usual troubles; a wave has one cause per operation."""
        usual = (self.number + 3 * self.rng.random(failed.size) ** 2).astype(int) % REASONS_EACH
        hit = in_a_wave & (self.rng.random(failed.size) < 0.85)
        operation = np.searchsorted(FAILED, self.state[failed])
        self.reason[failed] = operation * REASONS_EACH + np.where(hit, 0, usual)
        self.detail[failed] = self.rng.integers(1000, 9999, failed.size)

    def _revise(self, updated: np.ndarray) -> None:
        """An update gives or takes a role; now and then it finds a user, or loses one."""
        gives = self.rng.random(updated.size) < 0.6
        gaining = updated[gives & (self.held[updated] < self.limit[updated])]
        self.since[self.first_role[gaining] + self.held[gaining]] = self.changed_at[gaining]
        self.held[gaining] += 1
        self.held[updated[~gives & (self.held[updated] > 1)]] -= 1
        self.matched[updated] ^= self.rng.random(updated.size) < 0.03

    def accounts(self) -> pa.Table:
        """One row per account that is there today."""
        here = np.flatnonzero(self.state != GONE)
        state, whim = self.state[here], self.whim[here]
        reason = pa.array(self.reason[here], mask=~np.isin(state, FAILED))
        codes, texts = zip(*REASONS, strict=True)
        columns = {
            "app": pa.repeat(self.app, here.size),
            "matched": self.matched[here],
            "roles": self._roles(here),
            "active": pa.array(whim < ACTIVE[state], mask=whim * 997 % 1 < 0.02),
            "state": pa.array(STATE_NAMES).take(pa.array(state)),
            "code": pa.array(codes).take(reason),
            "reason": pa.array(texts).take(reason),
            "detail": self.detail[here],
            "changed_at": self.changed_at[here].astype("M8[us]"),
        }
        identity = self.identity.take(here)
        return pa.table([*identity.columns, *columns.values()], [*identity.column_names, *columns])

    def _roles(self, here: np.ndarray) -> pa.ListArray:
        lost = (self.state[here] == DELETED) & (self.whim[here] > 0.2)
        count = np.where(lost, 0, self.held[here])
        held = np.repeat(self.first_role[here], count) + _places(count)
        role = self.catalogue.take(self.role[held]).combine_chunks()
        role = role.append_column("since", pa.array(self.since[held]))
        offsets = pa.array(np.append(0, np.cumsum(count)), pa.int32())
        return pa.ListArray.from_arrays(offsets, role.to_struct_array().combine_chunks())


def _places(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2 … as often as each count says: 2 and 3 give 0 1 0 1 2."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _numbered(words: np.ndarray, nth: np.ndarray) -> np.ndarray:
    """The nth word; when the words are used up, again with a number: a, b, a2, b2."""
    again = nth // len(words)
    return words[nth % len(words)] + np.where(again > 0, _text(again + 1), "")


def _text(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(str).astype(object)


def _identities(slug: str, person: np.ndarray, second: np.ndarray, service: np.ndarray) -> pa.Table:
    """What stays the same of an account, and of the person it may be matched with."""
    handle = _numbered(HANDLES, person)
    username = handle + USERNAME_ENDINGS.get(slug, "@northwind.example")
    username[second] = "admin-" + username[second]
    username[service] = _numbered(np.array(SERVICES, object), np.arange(service.sum()))
    upstream = "00u" + _text(1_000_003 + person * 7919)
    upstream[person % 29 == 0] = None
    columns = {
        "account_id": f"{slug}-" + _text(100_001 + np.arange(person.size)),
        "username": username,
        "name": NAMES[person % len(NAMES)],
        "email": handle + "@" + np.array(DOMAINS, object)[person % len(DOMAINS)],
        "upstream_user_id": upstream,
    }
    return pa.table(columns)


def _catalogue(app: str) -> tuple[pa.Table, int]:
    """The roles of an app: so many common ones, two that administer it, and those of projects."""
    names = re.split(r",\s+", ROLES.get(app, OTHER_ROLES))
    kinds = ["seat"] * 3 + ["permission"] * (len(names) - 5) + ["admin"] * 2
    of_projects = [f"{p} {role}" for p, role in product(PROJECTS, ("viewer", "editor", "owner"))]
    roles = [*zip(names, kinds, strict=True), *((name, "project") for name in of_projects)]
    rows = [
        {
            "name": name,
            "type": kind,
            "description": DESCRIPTIONS[kind].format(app=app, role=name),
            "via": f"sg-{app} {name}".lower().replace(" ", "-") if nth % 4 else None,
        }
        for nth, (name, kind) in enumerate(roles)
    ]
    return pa.Table.from_pylist(rows), len(names) - 2


# ---- files --------------------------------------------------------------------------------------
