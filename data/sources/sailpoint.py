"""SailPoint Identity Security Cloud: the answers to `GET /accounts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Part, records
from data.sources.source import Row, Said, Source, account, counted, mapping

FULL_PAGE = 250
"""Accounts that one answer holds at most."""


def knows(begins: Beginning) -> bool:
    """An account of a source, or the account activity that is easily taken for it."""
    is_activity = begins.listed_under == "accountRequests" or "accountRequests" in begins.record
    return is_activity or {"nativeIdentity", "sourceId"} <= {*begins.first}


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per account. Raises NotAListOfAccounts for account activities."""
    number = with_entitlements = 0
    for found in map(mapping, records(parts, "items")):
        if "accountRequests" in found:
            raise NotAListOfAccounts(
                "The SailPoint file lists account activities, which tell of requests and not of "
                "who has an account. Expected the answers to GET /accounts."
            )
        number += 1
        with_entitlements += found.get("hasEntitlements") is True
        yield _account(found)
    if with_entitlements:
        said.remarks.append(
            f"{counted(with_entitlements, 'account')} with entitlements, which SailPoint lists "
            "elsewhere: these roles are not known."
        )
    if len(parts) == 1 and number == FULL_PAGE:
        said.notes.append(
            f"It has {FULL_PAGE} accounts, which is a full page: check that it is all."
        )


def _account(found: Row) -> Row:
    about, identity = mapping(found.get("attributes")), mapping(found.get("identity"))
    is_matched = found.get("uncorrelated") is not True
    disabled = found.get("disabled")
    return account(
        found.get("name") or found.get("nativeIdentity"),
        account_id=found.get("id"),
        name=identity.get("name") if is_matched else None,
        email=(about.get("email") or about.get("mail")) if is_matched else None,
        active=not disabled if isinstance(disabled, bool) else None,
        upstream_id=found.get("identityId") if is_matched else None,
        how="inferred",
        last_updated=found.get("modified"),
        more={
            "Native identity": found.get("nativeIdentity"),
            "Source": found.get("sourceName"),
            "Locked": "yes" if found.get("locked") else "",
            "Matched by hand": "yes" if found.get("manuallyCorrelated") else "",
            "Origin": found.get("origin"),
            "Created": found.get("created"),
        },
    )


SAILPOINT = Source("SailPoint accounts", knows, accounts)
