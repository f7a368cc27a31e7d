"""What a source is, and what it says: the accounts of its files, in the words of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from data.files.headers import CREDENTIAL
from data.schema import DELIVERED
from data.sources.documents import Beginning, Part

Row = dict[str, Any]
"""A row of a snapshot, as `account` makes it; one without a username is rejected, and shown."""

How = Literal["reported", "inferred", "default"]
"""Whether a source reports an account's state, Rollcall infers it from other facts, or it is what
is usual where nothing is provisioned at all."""

COLUMNS = ("account_id", *(name for name in DELIVERED if name != "attributes"))


@dataclass
class Said:
    """What reading brought to light beside the accounts. Full sentences, for a person."""

    integration: str = ""  # whose accounts are wanted, where a file has those of several
    remarks: list[str] = field(default_factory=list)  # worth knowing
    notes: list[str] = field(default_factory=list)  # worth a look
    incomplete: str = ""  # why this cannot be the whole list; it is held then
    source: str = ""  # the source's name; empty for a file of Rollcall's own columns


class Source(NamedTuple):
    """One kind of file that people have, and what to do with it."""

    name: str  # as in “Read as …”
    knows: Callable[[Beginning], bool]  # whether a file that begins so is of this source
    accounts: Callable[[Sequence[Part], Said], Iterator[Row | None]]
    """One row per record, in their order, and None for a record that is no account's. Raises
    NotAListOfAccounts where the files are of the source but list no accounts."""


def account(
    username: Any,
    *,
    account_id: Any = None,
    name: Any = None,
    email: Any = None,
    roles: Iterable[Any] = (),
    active: Any = None,
    upstream_id: Any = None,
    state: str = "Onboarded",
    how: How = "reported",
    reason: Any = None,
    code: Any = None,
    last_updated: Any = None,
    more: Mapping[str, Any] | None = None,
) -> Row:
    """One account, as a row. `name` and `email` are the matched person's, not the account's own.

    `more` is shown with the account, but for empty values and what is named like a credential.
    """
    said = {
        "username_in_app": username,
        "account_id": account_id,
        "user_name": name,
        "user_email": email,
        "roles": list(roles),
        "active_in_app": active,
        "upstream_user_id": upstream_id,
        "provisioning_state": state,
        "state_source": how,
        "state_reason": reason,
        "failure_code": code,
        "last_updated": last_updated,
    }
    others = {
        key: value
        for key, value in (more or {}).items()
        if value not in (None, "", [], {}) and not CREDENTIAL.search(key)
    }
    return others | dict.fromkeys(COLUMNS) | said


def role(name: Any, kind: str = "", **about: Any) -> Row:
    """One role: its name, which list it is from, and what else is known of it."""
    told = {"name": name, "type": kind} | about
    return {key: value for key, value in told.items() if value not in (None, "")}


def joined(*names: Any) -> str:
    """The names that there are, with a space between."""
    return " ".join(str(name) for name in names if name)


def listed(value: Any) -> list[Any]:
    """The value as a list: of none, of one, or as it is."""
    if value in (None, "", {}):
        return []
    return value if isinstance(value, list) else [value]


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects with something in them that the value lists."""
    return [each for each in listed(value) if isinstance(each, dict) and each]


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is an object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def counted(number: int, noun: str) -> str:
    """`1 group`, `2 groups`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
