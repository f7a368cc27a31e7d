"""Which rows are one account, worked out in plain Python, without any code of the store."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

Row = dict[str, Any]

COMPARED = (
    "user", "user_name", "user_email", "active_in_app", "external_id", "provisioning_state",
    "state_reason", "failure_code", "last_updated",
)  # fmt: skip
"""Columns in which the rows of an account should agree, in the order of the raw columns."""

GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)


class ExpectedAccount(NamedTuple):
    """One account of a file: the row that is kept, and what the others add to it."""

    row: Row
    roles: list[str]  # the cells of all rows, if they differ; else the one
    rejected: int
    conflicting: int


def accounts_of(rows: Iterable[Row]) -> dict[str, ExpectedAccount]:
    """Account ID → account; rows without a username are none."""
    groups: dict[str, list[Row]] = {}
    listed = [row for row in rows if row["username_in_app"]]
    for row, account_id in zip(listed, account_ids(listed), strict=True):
        groups.setdefault(account_id, []).append(row)
    return {account_id: merge(group) for account_id, group in groups.items()}


def account_ids(rows: list[Row]) -> list[str]:
    """The ID of each row: its own, unless another username has it, too."""
    names = [composed(row["username_in_app"].lower()) for row in rows]
    ids = [
        own_id(row.get("account_id") or "") or name for row, name in zip(rows, names, strict=True)
    ]
    while True:
        shared = {
            account_id
            for account_id in ids
            if len({name for name, other in zip(names, ids, strict=True) if other == account_id})
            > 1
        }
        if not shared:
            return ids
        ids = [name if i in shared else i for i, name in zip(ids, names, strict=True)]


def own_id(text: str) -> str:
    if text.lower() in ("n/a", "-", "0", "none"):
        return ""
    guid = GUID.fullmatch(text)
    return guid[1].lower() if guid else composed(text)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def merge(rows: list[Row]) -> ExpectedAccount:
    names = ("username_in_app", *COMPARED[:3], "roles", *COMPARED[3:])
    distinct = {tuple(row.get(name) for name in names): row for row in rows}
    first = distinct[min(distinct, key=lambda values: [(v is None, v or "") for v in values])]
    values = {name: {trimmed(row, name) for row in rows} - {""} for name in COMPARED}
    agree = all(len(found) <= 1 for found in values.values())
    filled = {name: next(iter(found), None) for name, found in values.items()}
    roles = sorted({trimmed(row, "roles") for row in rows})
    differing = sum(
        any(trimmed(row, name) not in ("", trimmed(first, name)) for name in COMPARED)
        for row in distinct.values()
    )
    username = min(row["username_in_app"] for row in rows)
    row = first | filled | {"username_in_app": username} if agree else first
    return ExpectedAccount(row, roles, *((0, differing) if len(roles) > 1 else (differing, 0)))


def trimmed(row: Row, name: str) -> str:
    return (row.get(name) or "").strip()
