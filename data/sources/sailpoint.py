"""SailPoint Identity Security Cloud: the answers to `GET /accounts`."""

from collections.abc import Iterator, Sequence

from data.files.errors import NotAListOfAccounts
from data.formatting import count_of
from data.sources.documents import Document, Prefix, read_pages
from data.sources.source import Row, Source, SourceReport, as_dict, make_account

FULL_PAGE_SIZE = 250
"""The most accounts in one answer."""


def detect(prefix: Prefix) -> bool:
    """An account of a source, or an account activity, which looks similar."""
    is_activity = prefix.list_key == "accountRequests" or "accountRequests" in prefix.first_in_list
    return is_activity or {"nativeIdentity", "sourceId"} <= {*prefix.first_record}


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per account. Raises NotAListOfAccounts for account activities."""
    account_count = entitled_count = 0
    for page in read_pages(documents, "items"):
        for record in map(as_dict, page.records):
            if "accountRequests" in record:
                raise NotAListOfAccounts(
                    "The SailPoint file lists account activities, not accounts. "
                    "Expected answers to GET /accounts."
                )
            account_count += 1
            entitled_count += record.get("hasEntitlements") is True
            yield _map_account(record)
    if entitled_count:
        report.remarks.append(
            f"The roles of {count_of(entitled_count, 'account')} are unknown: SailPoint lists "
            "entitlements elsewhere."
        )
    report.warn_if_full(documents, account_count, FULL_PAGE_SIZE)


def _map_account(record: Row) -> Row:
    attributes, identity = as_dict(record.get("attributes")), as_dict(record.get("identity"))
    is_matched = record.get("uncorrelated") is not True
    is_disabled = record.get("disabled")
    return make_account(
        record.get("name") or record.get("nativeIdentity"),
        account_id=record.get("id"),
        name=identity.get("name") if is_matched else None,
        email=(attributes.get("email") or attributes.get("mail")) if is_matched else None,
        active=not is_disabled if isinstance(is_disabled, bool) else None,
        upstream_id=record.get("identityId") if is_matched else None,
        state_source="inferred",
        last_updated=record.get("modified"),
        attributes={
            "Native identity": record.get("nativeIdentity"),
            "Source": record.get("sourceName"),
            "Locked": "yes" if record.get("locked") else "",
            "Matched by hand": "yes" if record.get("manuallyCorrelated") else "",
            "Origin": record.get("origin"),
            "Created": record.get("created"),
        },
    )


SAILPOINT = Source("SailPoint accounts", detect, read_accounts)
