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
from data.store.dialect import bytes_of, hex_of, sha256_of, tell_in_hex, told_in_hex
from data.store.search_text import SEARCHED

BLOCK = 64
"""Bytes of a block of SHA-256, to which HMAC fills its key up."""

LENGTH = 12
"""Hexadecimal digits: among a million values, two have the same once in five hundred stores."""

Mask = Callable[[ColumnElement[Any]], ColumnElement[Any]]


def key_of(home: Home) -> bytes:
    """The key of a home, made where there is none; readable for its owner alone."""
    file = home.root / "pseudonym-key"
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_hex(32), encoding="ascii")
    except FileExistsError:
        pass
    return bytes.fromhex(file.read_text(encoding="ascii"))


def with_key(key: bytes, dialect: str) -> list[str]:
    """What a transaction has to execute before it works out pseudonyms."""
    filled = key.ljust(BLOCK, b"\0")
    pads = {"inner_pad": 0x36, "outer_pad": 0x5C}
    return [tell_in_hex(n, bytes(b ^ pad for b in filled), dialect) for n, pad in pads.items()]


def keyed(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The HMAC-SHA256 of `<kind>:<text>`, cut off."""
    inner, outer = told_in_hex(literal("inner_pad")), told_in_hex(literal("outer_pad"))
    first = sha256_of(inner.op("||")(bytes_of(func.concat(f"{kind}:", text))))
    return func.left(hex_of(sha256_of(outer.op("||")(first))), LENGTH)


def _masked(kind: str, before: str, after: str = "") -> Mask:
    """NULL stays NULL: who is unmatched stays so."""

    def mask(text: ColumnElement[Any]) -> ColumnElement[Any]:
        told = func.concat(before, keyed(kind, _alike(kind, text)), after)
        return case((text.is_not(None), told))

    return mask


def _alike(kind: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """E-mail addresses are the same in any case; that is how accounts of one person are found."""
    return func.lower(text, type_=String) if kind == "email" else text


class Form(NamedTuple):
    """How a pseudonym of a kind looks: what is before its digits, and after."""

    kind: str
    before: str
    after: str = ""


FORMS = {
    "user_name": Form("name", "Person "),
    "user_email": Form("email", "p-", "@pseudonym.invalid"),
    "username_in_app": Form("username", "user-"),
    "upstream_user_id": Form("upstream", "id-"),
    "account_id": Form("account", "account-"),
    "decided_by": Form("email", "p-", "@pseudonym.invalid"),
    "accepted_by": Form("email", "p-", "@pseudonym.invalid"),
    "withdrawn_by": Form("email", "p-", "@pseudonym.invalid"),
}
MASKS: dict[str, Mask] = {column: _masked(*form) for column, form in FORMS.items()}
"""Column → what stands for its values."""


def is_called(accounts: FromClause, text: str) -> ColumnElement[bool] | None:
    """Whether it is an account's pseudonym, of the columns that are searched; None: it is none.

    To work out one column is a quarter of working out all that a search looks through.
    """
    for name in SEARCHED:
        _, before, after = FORMS[name]
        pattern = rf"{before}([0-9a-f]{{{LENGTH}}}){re.escape(after)}"
        if found := re.fullmatch(pattern, text, re.IGNORECASE):
            return accounts.c[name] == f"{before}{found[1].lower()}{after}"
    return None


KNOWN = {
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
    found = {text: re.search(rf"[0-9a-f]{{{LENGTH}}}", text) for text in texts}
    digits = {text: match[0] for text, match in found.items() if match}
    for statement in with_key(key_of(home), con.dialect.name):
        con.exec_driver_sql(statement)
    revealed: dict[str, list[str]] = {text: [] for text in texts}
    for kind, column in KNOWN.items():
        stands = keyed(kind, _alike(kind, column)).label("stands")
        asked = select(column.label("value"), stands).where(column.is_not(None)).distinct()
        known = asked.subquery("known")
        for row in con.execute(select(known).where(known.c.stands.in_(digits.values()))):
            for text, digit in digits.items():
                if digit == row.stands:
                    revealed[text].append(f"{kind}: {row.value}")
    return revealed
