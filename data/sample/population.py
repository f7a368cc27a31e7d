"""The invented accounts of the sample, which move through the eleven states day by day.

None of these people exists.
"""

import re
from datetime import datetime
from itertools import product
from math import gcd

import numpy as np
import pyarrow as pa

from data.sample import words
from data.sample.lifecycle import (
    ACTIVE_SHARE,
    ALTERNATIVE,
    DAY,
    DELETED,
    FAILED_STATES,
    IS_UNSETTLED,
    MIN_ACCOUNTS_FOR_ALL_STATES,
    NEW_ACCOUNT_RATE,
    NO_WAVE,
    ONBOARDED,
    P_AWAITING,
    REMOVED,
    SIZE_FACTORS,
    TARGET,
    U_ONGOING,
    WARMUP_DAYS,
    WAVES,
)
from data.states import STATE_NAMES


class Population:
    """The accounts of one integration, as columns with a place for each that ever exists."""

    def __init__(self, number: int, accounts: int, days: int, until: datetime, seed: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        self.number, self.app = number, words.APPS[number % len(words.APPS)]
        suffix = f"-{number // len(words.APPS) + 1}" if number >= len(words.APPS) else ""
        self.name = self.app + suffix.replace("-", " ")
        self.slug = self.app.lower().replace(" ", "-") + suffix
        self.wave = WAVES.get(self.slug, NO_WAVE)
        self.days, self.until = days + WARMUP_DAYS, np.datetime64(until, "s")
        self._create_accounts(max(1, round(accounts * SIZE_FACTORS[number % len(SIZE_FACTORS)])))
        self._create_identities()
        self._assign_roles()
        self._assign_sign_in_habits(np.random.default_rng([seed, number, 1]))
        for days_ago in range(self.days - 1, days - 1, -1):
            self.advance_day(days_ago)

    def _create_accounts(self, initial_count: int) -> None:
        """Accounts that exist at the start, and the days on which the others join."""
        days_ago = np.arange(self.days - 1, -1, -1)
        is_wave = [self.wave.is_active(int(day)) for day in days_ago]
        growth = np.where(is_wave, self.wave.new_account_factor, 1)
        joining = np.repeat(days_ago, self.rng.poisson(NEW_ACCOUNT_RATE * initial_count * growth))
        self.joined_days_ago = np.append(np.full(initial_count, self.days), joining)
        self.size = self.joined_days_ago.size
        self.has_every_state = initial_count >= MIN_ACCOUNTS_FOR_ALL_STATES
        self.state = np.where(self.joined_days_ago == self.days, ONBOARDED, REMOVED).astype(np.int8)
        if self.has_every_state:
            self.state[:REMOVED] = range(REMOVED)
        self.changed_at = self.until - self.joined_days_ago * DAY
        self.changed_at[:initial_count] -= self.rng.integers(1, 2 * 365 * 86_400, initial_count)

    def _create_identities(self) -> None:
        """The persons of the accounts, and properties that never change."""
        rng, size = self.rng, self.size
        # The first persons have an account in nearly every integration.
        ranks = np.arange(2 * size) + rng.normal(0, size / 2, 2 * size)
        person = np.argsort(ranks, kind="stable")[:size]
        second_accounts = np.flatnonzero(rng.random(size) < 0.008)[1:]  # of the previous person
        person[second_accounts] = person[second_accounts - 1]
        self.person, self.is_service = person, rng.random(size) < 0.05
        self.identity = _identities(self.slug, person, second_accounts, self.is_service)
        self.is_matched = ~self.is_service
        self.speed = np.where(rng.random(size) < 0.10, 0.05, 1)  # some jobs take weeks
        self.deleted_duration = rng.integers(10, 31, size) * DAY
        self.noise = rng.random(size)  # makes accounts in the same state differ
        self.reason, self.detail = np.zeros(size, np.int8), np.zeros(size, np.int16)

    def _assign_roles(self) -> None:
        """All roles that an account can ever have, in a row; it has the first few of them."""
        rng, size = self.rng, self.size
        self.role_catalog, common_count = _role_catalog(self.app)
        few_roles, many_roles = rng.choice([1, 1, 2, 2, 3, 4], size), rng.integers(8, 16, size)
        self.role_count = np.where(rng.random(size) < 0.06, many_roles, few_roles)
        initial_accounts = np.flatnonzero(self.state == ONBOARDED)
        collectors = rng.permutation(initial_accounts)[:2]
        self.role_count[collectors] = rng.integers(30, 61, collectors.size)
        self.max_role_count = self.role_count + 2
        self.role_offset = np.cumsum(self.max_role_count) - self.max_role_count
        strides = [stride for stride in range(1, common_count) if gcd(stride, common_count) == 1]
        start = (common_count * rng.random(size) ** 2).astype(int)
        start_role = np.repeat(start, self.max_role_count)
        stride = np.repeat(rng.choice(strides, size), self.max_role_count)
        position = _positions(self.max_role_count)
        common_role = (start_role + position * stride) % common_count
        role = np.where(position < common_count, common_role, position + 2)
        admins = np.flatnonzero(rng.random(size) < np.where(self.is_matched, 0.03, 0.4))
        role[self.role_offset[admins]] = common_count + admins % 2
        self.role = role.astype(np.int16)
        is_initial = np.repeat(self.joined_days_ago == self.days, self.max_role_count)
        age = rng.integers(0, 300, role.size) * is_initial
        self.role_since = np.repeat(self.changed_at.astype("M8[D]"), self.max_role_count) - age

    def _assign_sign_in_habits(self, rng: np.random.Generator) -> None:
        """Days between two sign-ins of each account, and seconds before the snapshot; 0: never."""
        self.sign_in_interval = rng.choice([1, 1, 1, 2, 3, 7, 30, 400, 0], self.size)
        self.sign_in_age = rng.integers(1, 86_400, self.size)
        self.has_sign_ins = self.number % 3 < 2

    def advance_day(self, days_ago: int) -> None:
        """Let every account take at most one step."""
        self.days_ago = days_ago
        now, before = self.until - days_ago * DAY, self.state.copy()
        chance, odds = self.wave.chance_and_odds(days_ago)
        is_slow = IS_UNSETTLED[before] & (not self.wave.is_recovering(days_ago))
        speed = np.where(is_slow, self.speed, 1)
        is_expired = (before == DELETED) & (now - self.changed_at > self.deleted_duration)
        moving = is_expired | (self.rng.random(self.size) < chance[before] * speed)
        moving &= self.joined_days_ago > days_ago
        if self.has_every_state:
            moving[self._newest_of_emptied_states(moving)] = False
        takes_alternative = self.rng.random(self.size) < odds[before]
        after = np.where(takes_alternative, ALTERNATIVE[before], TARGET[before])
        self.state[moving] = after[moving]
        self.state[self.joined_days_ago == days_ago] = P_AWAITING
        changed = np.flatnonzero(self.state != before)
        self.changed_at[changed] = now - self.rng.integers(1, 86_400, changed.size)
        failed = changed[np.isin(self.state[changed], FAILED_STATES)]
        self._assign_failure_reasons(failed, is_wave=self.wave.is_active(days_ago))
        is_updated = (before[changed] == U_ONGOING) & (self.state[changed] == ONBOARDED)
        self._update_roles(changed[is_updated])

    def _newest_of_emptied_states(self, moving: np.ndarray) -> np.ndarray:
        """The newest account of each state that all accounts would leave; it stays there."""
        movers = np.flatnonzero(moving & (self.state != REMOVED))
        movers = movers[np.argsort(-self.changed_at[movers].astype(int), kind="stable")]
        states, newest = np.unique(self.state[movers], return_index=True)
        staying = np.bincount(self.state[~moving], minlength=REMOVED + 1)
        return movers[newest[staying[states] == 0]]

    def _assign_failure_reasons(self, failed: np.ndarray, *, is_wave: bool) -> None:
        """Each integration has usual reasons of its own; a wave has one per operation."""
        usual_reason = (self.number + 3 * self.rng.random(failed.size) ** 2).astype(int)
        usual_reason %= words.REASONS_PER_OPERATION
        is_wave_failure = is_wave & (self.rng.random(failed.size) < 0.85)
        operation = np.searchsorted(FAILED_STATES, self.state[failed])
        reason = np.where(is_wave_failure, 0, usual_reason)
        self.reason[failed] = operation * words.REASONS_PER_OPERATION + reason
        self.detail[failed] = self.rng.integers(1000, 9999, failed.size)

    def _update_roles(self, updated: np.ndarray) -> None:
        """An update adds or removes a role; a few also match the account, or unmatch it."""
        gains_role = self.rng.random(updated.size) < 0.6
        gaining = updated[gains_role & (self.role_count[updated] < self.max_role_count[updated])]
        new_role = self.role_offset[gaining] + self.role_count[gaining]
        self.role_since[new_role] = self.changed_at[gaining]
        self.role_count[gaining] += 1
        self.role_count[updated[~gains_role & (self.role_count[updated] > 1)]] -= 1
        self.is_matched[updated] ^= self.rng.random(updated.size) < 0.03

    def to_table(self) -> pa.Table:
        """One row per account that exists today, with the columns of a snapshot file."""
        present = np.flatnonzero(self.state != REMOVED)
        state, noise = self.state[present], self.noise[present]
        identity, is_matched = self.identity.take(present), self.is_matched[present]
        is_failed = np.isin(state, FAILED_STATES)
        codes = pa.array([f"{self.app[:3].upper()}-{code}" for code, _ in words.FAILURE_REASONS])
        columns = {
            "account_id": identity["account_id"],
            "username_in_app": identity["username"],
            "user_name": _where(is_matched, identity["name"]),
            "user_email": _where(is_matched, identity["email"]),
            "roles": self._role_lists(present),
            "active_in_app": pa.array(noise < ACTIVE_SHARE[state], mask=noise * 997 % 1 < 0.02),
            "upstream_user_id": _where(is_matched, identity["upstream_user_id"]),
            "provisioning_state": pa.array(STATE_NAMES).take(pa.array(state)),
            "state_reason": self._reasons(present, is_failed),
            "failure_code": codes.take(pa.array(self.reason[present], mask=~is_failed)),
            "last_updated": self.changed_at[present].astype("M8[us]"),
            "last_sign_in": self._sign_ins(present),
        }
        return pa.table(columns)

    def _sign_ins(self, present: np.ndarray) -> pa.Array:
        """The last sign-ins as text; unknown where the app does not report them."""
        if not self.has_sign_ins:
            return pa.nulls(present.size, pa.string())
        interval = self.sign_in_interval[present]
        days = (self.days - self.days_ago + present) % np.maximum(interval, 1)
        age = self.days_ago * DAY + days * DAY + self.sign_in_age[present].astype("m8[s]")
        texts = np.datetime_as_string(self.until - age, unit="s", timezone="UTC")
        return pa.array(np.where(interval > 0, texts.astype(object), "Never"), pa.string())

    def _reasons(self, present: np.ndarray, is_failed: np.ndarray) -> pa.Array:
        reasons = np.full(present.size, None, object)
        failed = present[is_failed]
        usernames = self.identity["username"].take(pa.array(failed)).to_pylist()
        reasons[is_failed] = [
            words.FAILURE_REASONS[self.reason[account]][1].format(
                app=self.app,
                user=username,
                number=self.detail[account],
                seconds=self.detail[account] % 90,
                when=f"{self.changed_at[account]}Z",
            )
            for account, username in zip(failed, usernames, strict=True)
        ]
        return pa.array(reasons, pa.string())

    def _role_lists(self, present: np.ndarray) -> pa.ListArray:
        has_no_roles = (self.state[present] == DELETED) & (self.noise[present] > 0.2)
        count = np.where(has_no_roles, 0, self.role_count[present])
        role_index = np.repeat(self.role_offset[present], count) + _positions(count)
        role = self.role_catalog.take(self.role[role_index]).combine_chunks()
        role = role.append_column("since", pa.array(self.role_since[role_index]))
        offsets = pa.array(np.append(0, np.cumsum(count)), pa.int32())
        return pa.ListArray.from_arrays(offsets, role.to_struct_array().combine_chunks())


def _where(condition: np.ndarray, texts: pa.ChunkedArray) -> pa.Array:
    """The texts where the condition holds, and NULL elsewhere."""
    return pa.array(np.where(condition, texts, None), pa.string())


def _positions(counts: np.ndarray) -> np.ndarray:
    """Count up to each count: 2 and 3 give 0 1 0 1 2."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _numbered_names(names: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The name at each index; past the end, names repeat with a number: a, b, a2, b2."""
    repeat = index // len(names)
    return names[index % len(names)] + np.where(repeat > 0, _to_text(repeat + 1), "")


def _to_text(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(str).astype(object)


def personal_columns(person: np.ndarray) -> dict[str, np.ndarray]:
    """The handle, name, email and ID that each of the persons has everywhere."""
    handle = _numbered_names(words.HANDLES, person)
    return {
        "handle": handle,
        "name": words.NAMES[person % len(words.NAMES)],
        "email": handle + "@" + np.array(words.DOMAINS, object)[person % len(words.DOMAINS)],
        "id": "00u" + _to_text(1_000_003 + person * 7919),
    }


def _identities(
    slug: str, person: np.ndarray, second_accounts: np.ndarray, is_service: np.ndarray
) -> pa.Table:
    """The unchanging columns of the accounts, and of the persons that they can be matched with."""
    personal = personal_columns(person)
    username = personal["handle"] + words.USERNAME_ENDINGS.get(slug, "@northwind.example")
    username[second_accounts] = "admin-" + username[second_accounts]
    service_names = np.array(words.SERVICE_ACCOUNTS, object)
    username[is_service] = _numbered_names(service_names, np.arange(is_service.sum()))
    upstream = personal["id"]
    upstream[person % 29 == 0] = None
    columns = {
        "account_id": f"{slug}-" + _to_text(100_001 + np.arange(person.size)),
        "username": username,
        "name": personal["name"],
        "email": personal["email"],
        "upstream_user_id": upstream,
    }
    return pa.table(columns)


def _role_catalog(app: str) -> tuple[pa.Table, int]:
    """The roles of an app, and how many are common; then come two admin roles and project roles."""
    names = re.split(r",\s+", words.ROLES_BY_APP.get(app, words.DEFAULT_ROLES))
    kinds = ["seat"] * 3 + ["permission"] * (len(names) - 5) + ["admin"] * 2
    project_roles = [
        f"{p} {role}" for p, role in product(words.PROJECTS, ("viewer", "editor", "owner"))
    ]
    roles = [*zip(names, kinds, strict=True), *((name, "project") for name in project_roles)]
    rows = [
        {
            "name": name,
            "type": kind,
            "description": words.ROLE_DESCRIPTIONS[kind].format(app=app, role=name),
            "via": f"sg-{app} {name}".lower().replace(" ", "-") if index % 4 else None,
        }
        for index, (name, kind) in enumerate(roles)
    ]
    return pa.Table.from_pylist(rows), len(names) - 2
