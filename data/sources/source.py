"""What a source is, and what it says: the accounts of its files, in the words of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from data.files.headers import CREDENTIAL_PATTERN
from data.schema import RAW_COLUMNS
from data.sources.documents import Document, Prefix

Row = dict[str, Any]
"""A row of a snapshot, as `account` makes it; one without a username is rejected, and shown."""

StateSource = Literal["reported", "inferred", "default"]
"""Whether a source reports an account's state, Rollcall infers it from other facts, or it is what
is usual where nothing is provisioned at all."""

ROW_COLUMNS = ("account_id", *(name for name in RAW_COLUMNS if name != "attributes"))


@dataclass
class SourceReport:
    """What reading brought to light beside the accounts. Full sentences, for a person."""

    integration: str = ""  # whose accounts are wanted, where a file has those of several
    remarks: list[str] = field(default_factory=list)  # worth knowing
    warnings: list[str] = field(default_factory=list)  # worth a look
    incomplete_reason: str = ""  # why this cannot be the whole list; it is held then
    source: str = ""  # the source's name; empty for a file of Rollcall's own columns


class Source(NamedTuple):
    """One kind of file that people have, and what to do with it."""

    name: str  # as in “Read as …”
    detect: Callable[[Prefix], bool]  # whether a file that begins so is of this source
    read_accounts: Callable[[Sequence[Document], SourceReport], Iterator[Row | None]]
    """One row per record, in their order, and None for a record that is no account's. Raises
    NotAListOfAccounts where the files are of the source but list no accounts."""


def make_account(
    username: Any,
    *,
    account_id: Any = None,
    name: Any = None,
    email: Any = None,
    roles: Iterable[Any] = (),
    active: Any = None,
    upstream_id: Any = None,
    state: str = "Onboarded",
    state_source: StateSource = "reported",
    reason: Any = None,
    code: Any = None,
    last_updated: Any = None,
    attributes: Mapping[str, Any] | None = None,
) -> Row:
    """One account, as a row. `name` and `email` are the matched person's, not the account's own.

    `more` is shown with the account, but for empty values and what is named like a credential.
    """
    values = {
        "username_in_app": username,
        "account_id": account_id,
        "user_name": name,
        "user_email": email,
        "roles": list(roles),
        "active_in_app": active,
        "upstream_user_id": upstream_id,
        "provisioning_state": state,
        "state_source": state_source,
        "state_reason": reason,
        "failure_code": code,
        "last_updated": last_updated,
    }
    extra_columns = {
        key: value
        for key, value in (attributes or {}).items()
        if value not in (None, "", [], {}) and not CREDENTIAL_PATTERN.search(key)
    }
    return extra_columns | dict.fromkeys(ROW_COLUMNS) | values


def make_role(name: Any, kind: str = "", **details: Any) -> Row:
    """One role: its name, which list it is from, and what else is known of it."""
    fields = {"name": name, "type": kind} | details
    return {key: value for key, value in fields.items() if value not in (None, "")}


def join_names(*names: Any) -> str:
    """The names that there are, with a space between."""
    return " ".join(str(name) for name in names if name)


def as_list(value: Any) -> list[Any]:
    """The value as a list: of none, of one, or as it is."""
    if value in (None, "", {}):
        return []
    return value if isinstance(value, list) else [value]


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects with something in them that the value lists."""
    return [item for item in as_list(value) if isinstance(item, dict) and item]


def as_dict(value: Any) -> dict[str, Any]:
    """The value where it is an object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def pluralize(number: int, noun: str) -> str:
    """`1 group`, `2 groups`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
