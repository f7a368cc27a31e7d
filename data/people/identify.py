"""Which accounts of directories are one person.

Accounts are put together by what they share: IDs first, then emails. Two accounts of one directory
are one person only if more speaks for it: addresses are given to others, and there are namesakes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.people.clues import is_no_person, person_clues
from data.schema import (
    account_profile,
    account_version,
    insert_rows,
    is_its_profile,
    person,
    person_clue,
)
from data.store.dialect import search_normalized
from data.store.transfer import copy_to_store, fetch_batches, refresh_statistics, shared_workspace

MAX_SHARED = 20
"""Accounts with one clue; what more accounts share says nothing about people."""


class Entry(NamedTuple):
    """One account of a directory, from its first to its last snapshot."""

    integration_id: int
    account_key: int
    is_provider: bool  # of identities: the directory
    name: str | None  # of the user, without case and accents
    employee: int | None  # a clue that is not the account's own ID
    first: datetime
    last: datetime


Shared = Mapping[tuple[str, int], list[int]]
"""Kind and clue → the accounts that have it, where there are several."""


def identify_people(con: Connection, directories: Mapping[int, bool]) -> None:
    """Fill `person` and `person_clue`. Integration ID → whether it is an identity provider."""
    for table in (person, person_clue):
        con.execute(sa.delete(table))
    if not directories:
        return
    insert_rows(con, person_clue, person_clues(sorted(directories)))
    entries = _entries(sorted(directories), [i for i in directories if directories[i]])
    is_sharing = entries.c.account_key.in_(select(_shared_clues().c.account_key))
    key = entries.c.account_key
    alone = select(entries.c.integration_id, key, key.label("person_key"), entries.c.is_provider)
    insert_rows(con, person, alone.where(~is_sharing))
    _insert_groups(con, select(entries).where(is_sharing))
    refresh_statistics(con, person, person_clue)


def _insert_groups(con: Connection, entries: sa.Select[*tuple[Any, ...]]) -> None:
    """Add the accounts that share a clue with another one."""
    listed = fetch_batches(con, entries).read_all()
    if not listed.num_rows:
        return
    shared = fetch_batches(con, select(_shared_clues())).read_all()
    is_listed = np.isin(shared["account_key"].to_numpy(), listed["account_key"].to_numpy())
    shared = shared.filter(pa.array(is_listed))
    person_keys = plain_groups(listed, shared)
    is_plain = person_keys >= 0
    found = {row[1]: Entry(*row) for row in _rows(listed.filter(pa.array(~is_plain)))}
    clues: dict[tuple[str, int], list[int]] = defaultdict(list)
    for kind, clue, key in _rows(shared):
        if key in found:
            clues[kind, clue].append(key)
    clues = {clue: keys for clue, keys in clues.items() if 1 < len(keys) <= MAX_SHARED}
    person_keys[~is_plain] = list(group_accounts(found, clues).values())
    columns = [listed[name] for name in ("integration_id", "account_key", "is_provider")]
    columns.insert(2, pa.array(person_keys))
    schema = pa.schema(zip(person.c.keys(), COLUMN_TYPES, strict=True))
    with shared_workspace(con) as workspace:
        driver: Any = workspace.connection.driver_connection
        driver.register("people_read", pa.table(columns, names=schema.names).cast(schema))
        read = sa.table("people_read", *(sa.column(c.name, c.type) for c in person.c))
        copy_to_store(workspace, select(*read.c), con, person)
        driver.unregister("people_read")


COLUMN_TYPES = (pa.int32(), pa.int64(), pa.int64(), pa.bool_())
"""Of the columns of `person`."""

# ---- the accounts of directories -----------------------------------------------------------------


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*table.to_pydict().values(), strict=True)


def _entries(directory_ids: list[int], provider_ids: list[int]) -> sa.FromClause:
    """One row per account of these directories that is a person: the fields of Entry."""
    v, p, clue = account_version.c, account_profile, person_clue.c
    spans = (
        select(
            v.integration_id,
            v.account_key,
            func.min(v.valid_from).label("first"),
            func.max(v.valid_to).label("last"),
            func.max(v.content_since).label("content_since"),
        )
        .where(v.integration_id.in_(directory_ids))
        .group_by(v.integration_id, v.account_key)
        .subquery("spans")
    )
    own_id = select(clue.account_key, clue.clue).where(clue.kind == "account").subquery("own_id")
    is_other = and_(clue.kind.in_(("upstream", "employee")), clue.clue != own_id.c.clue)
    employees = (
        select(clue.account_key, func.min(clue.clue).label("employee"))
        .join_from(person_clue, own_id, own_id.c.account_key == clue.account_key)
        .where(is_other)
        .group_by(clue.account_key)
        .subquery("employees")
    )
    is_last = is_its_profile(p, spans)
    return (
        select(
            spans.c.integration_id,
            spans.c.account_key,
            spans.c.integration_id.in_(provider_ids).label("is_provider"),
            search_normalized(p.c.user_name).label("name"),
            employees.c.employee,
            spans.c["first"],
            spans.c["last"],
        )
        .join_from(spans, p, is_last)
        .outerjoin(employees, employees.c.account_key == spans.c.account_key)
        .where(~is_no_person(p.c.attributes))
        .subquery("entries")
    )


def _shared_clues() -> sa.FromClause:
    """One row per clue that several accounts have, and account: [kind, clue, account_key]."""
    clue = person_clue.c
    several = select(clue.clue).group_by(clue.clue)
    several = several.having(func.count(clue.account_key.distinct()) > 1)
    kind = case((clue.kind == "email", "email"), else_="id").label("kind")
    rows = select(kind, clue.clue, clue.account_key).where(clue.clue.in_(several))
    return rows.distinct().order_by(clue.account_key).subquery("shared")


# ---- who is one person ---------------------------------------------------------------------------


def plain_groups(listed: pa.Table, shared: pa.Table) -> np.ndarray[Any, Any]:
    """For each listed account the smallest account key of its person; -1 where that is not plain.

    It is plain, as for most people, where accounts of different directories share a clue, and none
    of them shares one with any other account. `group_accounts` would say the same, more slowly.
    """
    accounts, directories = (listed[name].to_numpy() for name in ("account_key", "integration_id"))
    by_key = np.argsort(accounts)
    row = by_key[np.searchsorted(accounts, shared["account_key"].to_numpy(), sorter=by_key)]
    clue, is_id = shared["clue"].to_numpy(), shared["kind"].to_numpy() == "id"
    order = np.lexsort((clue, is_id))
    row, changes = row[order], [np.diff(column[order]) != 0 for column in (clue, is_id)]
    is_start = np.r_[True, changes[0] | changes[1]][: len(row)]
    starts, group = np.flatnonzero(is_start), np.cumsum(is_start) - 1
    keys = np.full(len(accounts), -1)
    if not len(row):
        return keys
    size = np.bincount(group)
    members = np.add.reduceat(_scattered(accounts[row]), starts)  # equal for the same accounts
    largest = np.zeros(len(accounts), members.dtype)
    by_size = np.argsort(size[group], kind="stable")
    largest[row[by_size]] = members[group[by_size]]
    first, last = (f.reduceat(largest[row], starts) for f in (np.minimum, np.maximum))
    base = directories.max() + 1
    listing = np.bincount(np.unique(group * base + directories[row]) // base)
    is_plain = (first == last) & (listing == size) & (size > 1) & (size <= MAX_SHARED)
    is_whole = members[group] == largest[row]
    smallest = np.minimum.reduceat(accounts[row], starts)
    keys[row[is_whole]] = smallest[group[is_whole]]
    keys[np.isin(largest, largest[row[~is_plain[group]]])] = -1
    return keys


def _scattered(keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers whose sums differ for different sets of keys."""
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


def group_accounts(entries: Mapping[int, Entry], shared: Shared) -> dict[int, int]:
    """Account key → the smallest account key of the same person."""
    groups = _Groups(entries)
    clues = sorted(shared, key=lambda clue: (clue[0] != "id", clue[1]))  # IDs first
    for clue in clues:
        for left, right in combinations(shared[clue], 2):
            if _is_one_person(entries[left], entries[right], clue[0]):
                groups.unite(left, right)
    within = {key: groups.find(key) for key in entries}
    listed_in = {root: {entries[root].integration_id} for root in set(within.values())}
    for clue in clues:
        roots = {within[key] for key in shared[clue]}
        if len({entries[root].integration_id for root in roots}) < len(roots):
            continue  # several people of one directory have it
        for left, right in combinations(sorted(roots), 2):
            one, other = groups.find(left), groups.find(right)
            if one != other and not listed_in[one] & listed_in[other]:
                groups.unite(one, other)
                listed_in[groups.find(one)] = listed_in[one] | listed_in[other]
    return {key: groups.find(key) for key in entries}


def _is_one_person(left: Entry, right: Entry, kind: str) -> bool:
    """Whether two accounts of one directory with the same clue are one person's.

    An ID speaks for a rehire, unless both were listed at once under different names. An email can
    have been given to somebody else, so the name has to be the same, and no ID may say otherwise.
    """
    if left.integration_id != right.integration_id:
        return False
    has_same_name = left.name is not None and left.name == right.name
    if kind == "email":
        has_other_id = None not in (left.employee, right.employee) and (
            left.employee != right.employee
        )
        return has_same_name and not has_other_id
    return has_same_name or left.last <= right.first or right.last <= left.first


class _Groups:
    """Disjoint sets of account keys; the smallest key of a set stands for it."""

    def __init__(self, keys: Iterable[int]) -> None:
        self._parent = {key: key for key in keys}

    def find(self, key: int) -> int:
        """The smallest key of its set."""
        while self._parent[key] != key:
            self._parent[key] = key = self._parent[self._parent[key]]
        return key

    def unite(self, left: int, right: int) -> None:
        """Make one set of two."""
        one, other = sorted((self.find(left), self.find(right)))
        self._parent[other] = one
