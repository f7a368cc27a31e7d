"""ConductorOne's CSV files for apps without a connector: identities, and grants beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from data.files.errors import NotAListOfAccounts
from data.files.headers import squash
from data.sources.documents import Beginning, Part
from data.sources.source import Row, Said, Source, account, counted, joined, role

IDENTITY = {"userid", "userstatus", "emailaddress"}
GRANT = {"entitlement", "entitlementslug"}
WHOSE = ("userid", "username", "emailaddress")
"""By what a grant says whose it is, the surest first; the published headings have none of them."""

MORE = {
    "usertype": "User type",
    "managerid": "Manager ID",
    "accountowner": "Account owner",
    "lastlogin": "Last login",
}


def knows(begins: Beginning) -> bool:
    """By the headings of either file."""
    headings = set(map(squash, begins.headings))
    return headings >= IDENTITY or headings >= GRANT | {"resourcename"}


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per identity, with the grants that name it. Raises NotAListOfAccounts."""
    identities = [p for p in parts if set(map(squash, p.beginning.headings)) >= IDENTITY]
    if not identities:
        raise NotAListOfAccounts(
            "The file lists grants, not the accounts that have them. Put ConductorOne’s identity "
            "file and its grant file into one ZIP archive."
        )
    held, nobodys = _grants([part for part in parts if part not in identities])
    if nobodys:
        said.notes.append(
            f"{counted(nobodys, 'grant')} left out: nothing in the row says whose it is (expected "
            "a column User ID, Username or Email Address)."
        )
    line = 0  # the last that was told: a row keeps the line that it is on
    for part in identities:
        for at, cells in part.rows():
            yield from (None for _ in range(line, at - 1)) if len(parts) == 1 else ()
            line = at
            yield _account({squash(heading): text for heading, text in cells.items()}, held)


def _account(cell: Mapping[str, str], held: Mapping[tuple[str, str], list[Row]]) -> Row:
    roles = [role(name, "Role") for name in _names(cell.get("roles", ""))]
    roles += [role(name, "Group") for name in _names(cell.get("groups", ""))]
    for column in WHOSE:
        roles += held.get((column, cell.get(column, "").casefold()), [])
    return account(
        cell.get("username") or cell.get("emailaddress"),
        account_id=cell.get("userid"),
        name=cell.get("fullname") or joined(cell.get("firstname"), cell.get("lastname")),
        email=cell.get("emailaddress"),
        roles=roles,
        active=cell.get("userstatus"),
        how="inferred",
        more={label: cell.get(column) for column, label in MORE.items()},
    )


def _grants(parts: Sequence[Part]) -> tuple[dict[tuple[str, str], list[Row]], int]:
    """Whose → the roles; and how many grants are nobody's."""
    held: dict[tuple[str, str], list[Row]] = {}
    nobodys = 0
    for part in parts:
        for _, cells in part.rows():
            cell = {squash(heading): text for heading, text in cells.items()}
            column = next((name for name in WHOSE if cell.get(name)), "")
            nobodys += not column
            if column:
                held.setdefault((column, cell[column].casefold()), []).append(_role(cell))
    return held, nobodys


def _role(cell: Mapping[str, str]) -> Row:
    name = cell.get("entitlementdisplayname") or cell.get("entitlement")
    on = cell.get("resourcename")
    shown = f"{name} on {on}" if on and on != name else name
    return role(shown, cell.get("resourcetype", ""), description=cell.get("entitlementdescription"))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.replace(",", ";").split(";") if name.strip()]


CONDUCTORONE = Source("ConductorOne identities", knows, accounts)
