"""Keyed pseudonyms: the same person gets the same one everywhere, and only the key leads back.

A pseudonym is an HMAC-SHA256 of a value and its kind, cut off. DuckDB works it out when a value is
read, so that nothing but the key, a file in the home, has to be kept or can be forgotten.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, String, case, func, literal, select

from data.home import Home
from data.schema import account, account_profile
from data.store.dialect import hex_of, session_bytes, set_session_bytes, sha256_of, utf8_bytes
from data.store.search_text import SEARCH_COLUMNS

HMAC_BLOCK_SIZE = 64
"""Bytes of a block of SHA-256, to which HMAC fills its key up."""

DIGEST_LENGTH = 12
"""Hexadecimal digits: among a million values, two have the same once in five hundred stores."""

Mask = Callable[[ColumnElement[Any]], ColumnElement[Any]]


def read_or_create_key(home: Home) -> bytes:
    """The key of a home, made where there is none; readable for its owner alone."""
    file = home.root / "pseudonym-key"
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_hex(32), encoding="ascii")
    except FileExistsError:
        pass
    return bytes.fromhex(file.read_text(encoding="ascii"))


def key_statements(key: bytes, dialect: str) -> list[str]:
    """What a transaction has to execute before it works out pseudonyms."""
    padded = key.ljust(HMAC_BLOCK_SIZE, b"\0")
    pads = {"inner_pad": 0x36, "outer_pad": 0x5C}
    return [
        set_session_bytes(name, bytes(b ^ pad for b in padded), dialect)
        for name, pad in pads.items()
    ]


def keyed_digest(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The HMAC-SHA256 of `<kind>:<text>`, cut off."""
    inner, outer = session_bytes(literal("inner_pad")), session_bytes(literal("outer_pad"))
    inner_digest = sha256_of(inner.op("||")(utf8_bytes(func.concat(f"{kind}:", text))))
    return func.left(hex_of(sha256_of(outer.op("||")(inner_digest))), DIGEST_LENGTH)


def _pseudonym_mask(kind: str, prefix: str, suffix: str = "") -> Mask:
    """NULL stays NULL: who is unmatched stays so."""

    def mask(text: ColumnElement[Any]) -> ColumnElement[Any]:
        pseudonym = func.concat(prefix, keyed_digest(kind, _canonical_text(kind, text)), suffix)
        return case((text.is_not(None), pseudonym))

    return mask


def _canonical_text(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """E-mail addresses are the same in any case; that is how accounts of one person are found."""
    return func.lower(text, type_=String) if kind == "email" else text


class PseudonymFormat(NamedTuple):
    """How a pseudonym of a kind looks: what is before its digits, and after."""

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
"""Column → what stands for its values."""


def match_pseudonym(accounts: FromClause, text: str) -> ColumnElement[bool] | None:
    """Whether it is an account's pseudonym, of the columns that are searched; None: it is none.

    To work out one column is a quarter of working out all that a search looks through.
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
"""Kind → where its values are."""


def reveal(con: Connection, home: Home, texts: Sequence[str]) -> dict[str, list[str]]:
    """Pseudonym → the values that it stands for, in any spelling, as `kind: value`.

    There is no way back but to work out the pseudonym of everything that is known.
    """
    matches = {text: re.search(rf"[0-9a-f]{{{DIGEST_LENGTH}}}", text) for text in texts}
    digests = {text: match[0] for text, match in matches.items() if match}
    for statement in key_statements(read_or_create_key(home), con.dialect.name):
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
