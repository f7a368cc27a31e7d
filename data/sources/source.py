"""The contract of a source: it maps the records of another product to the rows of a snapshot."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from data.files.encoding import InputFile
from data.files.headers import CREDENTIAL_PATTERN
from data.schema import RAW_COLUMNS
from data.sources.documents import Document, Prefix

Row = dict[str, Any]
"""A row of a snapshot, from `make_account`. A row without a username is rejected, and listed."""

StateSource = Literal["reported", "inferred", "default"]
"""Whether the source reports the state of an account, Rollcall infers it from other facts, or it is
the usual state of an app without provisioning."""

ROW_COLUMNS = (
    "account_id",
    *(name for name in RAW_COLUMNS if name != "attributes"),
    "last_sign_in",
)


@dataclass
class SourceReport:
    """What a source found besides accounts, in full sentences for a person."""

    integration: str = ""  # whose accounts are wanted, where a file has those of several
    remarks: list[str] = field(default_factory=list)  # for information
    warnings: list[str] = field(default_factory=list)  # to be checked
    incomplete_reason: str = ""  # why this is not the complete list; the file goes on hold
    source: str = ""  # the source's name; empty for a table without a source
    can_be_page: bool = False  # whether it is a list of an API that can be its first page
    sheets: tuple[str, ...] = ()  # names of a workbook's sheets

    def add_file(self, file: InputFile) -> None:
        """Add what the reading of a file found."""
        self.remarks[:0] = file.remarks
        self.incomplete_reason = self.incomplete_reason or file.incomplete_reason
        self.sheets = self.sheets or file.sheets


class Source(NamedTuple):
    """One kind of file, and how to read it."""

    key: str  # a short name, for `--as` and mappings
    name: str  # as in “Read as …”
    detect: Callable[[Prefix], str]
    """What proves that a file with this beginning is of this source, for a person; empty where
    nothing does. What other products also have is no proof."""
    read_accounts: Callable[[Sequence[Document], SourceReport], Iterator[Row | None]]
    """One row per record, in their order; None for a record that is not an account. Raises
    NotAListOfAccounts where the files are of the source but list no accounts."""
    formats: tuple[str, ...] = ("JSON", "NDJSON")  # that it can read


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
    last_sign_in: Any = None,
    attributes: Mapping[str, Any] | None = None,
) -> Row:
    """One account as a row. `name` and `email` are those of the person, not of the account.

    `attributes` are further facts. Empty values and names like a credential's are left out.
    """
    return (
        dict(filter(_is_shown, (attributes or {}).items()))
        | dict.fromkeys(ROW_COLUMNS)
        | {
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
            "last_sign_in": last_sign_in,
        }
    )


def _is_shown(attribute: tuple[str, Any]) -> bool:
    key, value = attribute
    is_empty = value is None or value == "" or value in ([], {})
    return not is_empty and not _is_credential(key)


@lru_cache(maxsize=4096)
def _is_credential(key: str) -> bool:
    return bool(CREDENTIAL_PATTERN.search(key))


def make_role(name: Any, kind: str = "", **details: Any) -> Row:
    """One role: its name, its type, and further details that are not empty."""
    fields = {"name": name, "type": kind} | details
    return {key: value for key, value in fields.items() if value not in (None, "")}


def make_resource_role(name: Any, resource: Any, kind: str, description: Any) -> Row:
    """A role on a resource: `Admin on Billing`."""
    label = f"{name} on {resource}" if resource and resource != name else name
    return make_role(label, kind, description=description)


def join_names(*names: Any) -> str:
    """The names that are not empty, with a space between."""
    return " ".join(str(name) for name in names if name)


def split_names(text: Any, delimiters: str = ",") -> list[str]:
    """The names in a text with delimiters, without empty ones."""
    names = re.split(f"[{delimiters}]", str(text or ""))
    return [name.strip() for name in names if name.strip()]


def as_list(value: Any) -> list[Any]:
    """The value as a list; empty where the value is empty."""
    if value in (None, "", {}):
        return []
    return value if isinstance(value, list) else [value]


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects that the value lists, without empty ones."""
    return [item for item in as_list(value) if isinstance(item, dict) and item]


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def lower_keys(value: Any) -> dict[str, Any]:
    """An object with its keys in lower case; an empty one for any other value."""
    return {key.casefold(): item for key, item in as_dict(value).items()}
