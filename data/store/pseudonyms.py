"""Keyed pseudonyms: the same person has the same one everywhere, and only the key reverses it.

A pseudonym is a truncated HMAC-SHA256 of a value and its kind. The database calculates it when a
value is read, so only the key is stored, as a file in the home.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.home import Home
from data.schema import account, account_profile
from data.store.adapter import DatabaseAdapter, adapter_of
from data.store.dialect import hex_of, session_bytes, sha256_of, utf8_bytes
from data.store.search_text import SEARCH_COLUMNS

HMAC_BLOCK_SIZE = 64
"""Bytes of a SHA-256 block. HMAC pads its key to this size."""

DIGEST_LENGTH = 12
"""Hexadecimal digits. With a million values, one store in five hundred has two equal digests."""

Mask = Callable[[ColumnElement[Any]], ColumnElement[Any]]


def read_or_create_key(home: Home) -> bytes:
    """The key of a home. A new key is created where there is none; only its owner can read it."""
    file = home.root / "pseudonym-key"
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_hex(32), encoding="ascii")
    except FileExistsError:
        pass
    return bytes.fromhex(file.read_text(encoding="ascii"))


def key_statements(key: bytes, adapter: DatabaseAdapter) -> list[str]:
    """The statements that a transaction needs before it calculates pseudonyms."""
    padded = key.ljust(HMAC_BLOCK_SIZE, b"\0")
    pads = {"inner_pad": 0x36, "outer_pad": 0x5C}
    return [
        adapter.set_session_bytes(name, bytes(b ^ pad for b in padded))
        for name, pad in pads.items()
    ]


def keyed_digest(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The truncated HMAC-SHA256 of `<kind>:<text>`."""
    inner, outer = session_bytes(sa.literal("inner_pad")), session_bytes(sa.literal("outer_pad"))
    inner_digest = sha256_of(inner.op("||")(utf8_bytes(func.concat(f"{kind}:", text))))
    return func.left(hex_of(sha256_of(outer.op("||")(inner_digest))), DIGEST_LENGTH)


def _pseudonym_mask(kind: str, prefix: str, suffix: str = "") -> Mask:
    """NULL stays NULL, so unmatched accounts remain unmatched."""

    def mask(text: ColumnElement[Any]) -> ColumnElement[Any]:
        pseudonym = func.concat(prefix, keyed_digest(kind, _canonical_text(kind, text)), suffix)
        return case((text.is_not(None), pseudonym))

    return mask


def _canonical_text(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Email addresses are equal in any case, as in the matching of accounts with people."""
    return func.lower(text, type_=sa.String) if kind == "email" else text


class PseudonymFormat(NamedTuple):
    """The text before and after the digits of a pseudonym, by kind."""

    kind: str
    prefix: str
    suffix: str = ""


PSEUDONYM_FORMATS = {
    "user_name": PseudonymFormat("name", "Person "),
    "user_email": PseudonymFormat("email", "p-", "@pseudonym.invalid"),
    "username_in_app": PseudonymFormat("username", "user-"),
    "upstream_user_id": PseudonymFormat("upstream", "id-"),
    "account_id": PseudonymFormat("account", "account-"),
    "decided_by": PseudonymFormat("email", "p-", "@pseudonym.invalid"),
    "accepted_by": PseudonymFormat("email", "p-", "@pseudonym.invalid"),
    "withdrawn_by": PseudonymFormat("email", "p-", "@pseudonym.invalid"),
}
MASKS: dict[str, Mask] = {
    column: _pseudonym_mask(*form) for column, form in PSEUDONYM_FORMATS.items()
}
"""Column → the replacement of its values."""


def match_pseudonym(accounts: sa.FromClause, text: str) -> ColumnElement[bool] | None:
    """The condition that an account has this pseudonym in a searched column; None for other text.

    One column takes a quarter of the time that all searched columns take.
    """
    for name in SEARCH_COLUMNS:
        _, prefix, suffix = PSEUDONYM_FORMATS[name]
        pattern = rf"{prefix}([0-9a-f]{{{DIGEST_LENGTH}}}){re.escape(suffix)}"
        if match := re.fullmatch(pattern, text, re.IGNORECASE):
            return accounts.c[name] == f"{prefix}{match[1].lower()}{suffix}"
    return None


VALUE_COLUMNS = {
    "name": account_profile.c.user_name,
    "email": account_profile.c.user_email,
    "username": account_profile.c.username_in_app,
    "upstream": account_profile.c.upstream_user_id,
    "account": account.c.account_id,
}
"""Kind → the column with its values."""


def reveal(con: Connection, home: Home, texts: Sequence[str]) -> dict[str, list[str]]:
    """Pseudonym → the values behind it, in any spelling, as `kind: value`.

    This calculates the pseudonym of every value in the store.
    """
    matches = {text: re.search(rf"[0-9a-f]{{{DIGEST_LENGTH}}}", text) for text in texts}
    digests = {text: match[0] for text, match in matches.items() if match}
    for statement in key_statements(read_or_create_key(home), adapter_of(con)):
        con.exec_driver_sql(statement)
    revealed: dict[str, list[str]] = {text: [] for text in texts}
    for kind, column in VALUE_COLUMNS.items():
        digest_column = keyed_digest(kind, _canonical_text(kind, column)).label("stands")
        distinct_values = (
            select(column.label("value"), digest_column).where(column.is_not(None)).distinct()
        )
        candidates = distinct_values.subquery("known")
        for row in con.execute(select(candidates).where(candidates.c.stands.in_(digests.values()))):
            for text, digest in digests.items():
                if digest == row.stands:
                    revealed[text].append(f"{kind}: {row.value}")
    return revealed
