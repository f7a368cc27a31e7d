"""SCIM 2.0 (RFC 7643 and 7644) and 1.1: lists of users, in one answer or in many pages.

SCIM lists accounts but no jobs, so every state is inferred. It has no persons either. The owner of
an account follows from `externalId` or the email, if there is an identity provider's list.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.formatting import count_of
from data.sources.documents import Document, Page, Prefix, read_pages
from data.sources.http import ApiClient, PullFailed
from data.sources.settings import PullConfig
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dicts,
    as_list,
    join_names,
    lower_keys,
    make_account,
    make_role,
)

PAGE_SIZE = 200
"""Users per request; a server can give fewer."""

URN_PREFIXES = ("urn:ietf:params:scim:", "urn:scim:schemas:")
ENTERPRISE_EXTENSION = "enterprise:"
GUEST_EXTENSION = "slack:guest:"
ROLE_LISTS = {"roles": "Role", "entitlements": "Entitlement", "groups": "Group"}
ATTRIBUTE_LABELS = {
    "displayname": "Display name",
    "title": "Title",
    "usertype": "User type",
    "preferredlanguage": "Preferred language",
    "timezone": "Time zone",
}
ENTERPRISE_LABELS = {
    "employeenumber": "Employee number",
    "costcenter": "Cost center",
    "organization": "Organization",
    "division": "Division",
    "department": "Department",
}


def detect(prefix: Prefix) -> bool:
    """By its schemas, or by the names of the envelope, in any case as the standard allows."""
    schemas = [*_schemas(prefix.keys), *_schemas(prefix.first_in_list)]
    if any(str(schema).casefold().startswith(URN_PREFIXES) for schema in schemas):
        return True
    record_keys, envelope_keys = lower_keys(prefix.first_in_list), lower_keys(prefix.keys)
    is_list = prefix.list_key.casefold() == "resources" and "resource" not in record_keys
    return is_list or "totalresults" in envelope_keys


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user. Groups give their members a role where the users do not list it."""
    memberships = _read_memberships(documents)
    counter, user_count = _ResourceCounter(), 0
    for page in read_pages(documents, "Resources"):
        _reject_errors(page)
        for resource in counter.track(_normalize_list_page(page)):
            is_user = bool(resource) and not _is_group(resource)
            user_count += is_user
            yield _map_account(resource, memberships) if is_user else None if resource else {}
    counter.finish(report, user_count)


class _ResourceCounter:
    """Counts while the pages are read."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {"user": set(), "group": set()}
        self.expected_totals: dict[str, int] = {"user": 0, "group": 0}
        self.list_count = self.single_count = self.group_count = 0

    def track(self, page: Page) -> Iterator[Row]:
        """The page's resources, with keys in lower case."""
        resources = [lower_keys(resource) for resource in page.records]
        kind = "group" if resources and all(map(_is_group, resources)) else "user"
        self.list_count += page.is_list
        self.single_count += not page.is_list
        if page.is_list:
            total = _parse_count(lower_keys(page.envelope).get("totalresults"))
            self.expected_totals[kind] = max(self.expected_totals[kind], total)
        for resource in resources:
            self.group_count += _is_group(resource)
            self.ids[kind].add(str(resource.get("id") or resource.get("username")))
            yield resource

    def finish(self, report: SourceReport, user_count: int) -> None:
        """Report the counts. Raises NotAListOfAccounts without users."""
        groups = count_of(self.group_count, "group")
        if not user_count and (self.group_count or self.single_count):
            content = groups if self.group_count else "another kind of resource"
            raise NotAListOfAccounts(
                f"The SCIM file lists no users, only {content}. Expected answers to GET /Users."
            )
        if self.group_count:
            report.remarks.append(f"Left out {groups}: groups are not accounts.")
        for kind, ids in self.ids.items():
            total = self.expected_totals[kind]
            report.require_total(total, len(ids), kind, "the server", "totalResults")
        if self.single_count == 1 and not self.list_count:
            report.incomplete_reason = "it has a single resource, not the list of all users"


def pull_accounts(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Every page of `/Users`, and of `/Groups` where `groups` is set.

    By cursor where the server supports it (RFC 9865), else by `startIndex`.
    """
    api.authorize(f"Bearer {config['token']}")
    for path in ("Users", "Groups")[: 1 + (config.get("groups").casefold() == "true")]:
        yield from _get_pages(api, path, int(config.get("page_size", str(PAGE_SIZE))))


def _get_pages(api: ApiClient, path: str, size: int) -> Iterator[Any]:
    start, params = 1, {"startIndex": 1, "count": size}
    previous_resources, cached_total = None, None
    while True:
        payload, _, is_cached = api.get(path, params)
        envelope = lower_keys(payload)
        resources = as_list(envelope.get("resources"))
        total = _parse_count(envelope.get("totalresults"))
        if not is_cached and cached_total not in (None, total):
            raise PullFailed(f"The number of {path} changed since the pull was interrupted.")
        cached_total = total if is_cached else None
        if resources and resources == previous_resources:
            raise PullFailed(f"{api.url.host} gives the same page of {path} again, not the next.")
        yield payload
        previous_resources = resources
        start += len(resources)
        if cursor := envelope.get("nextcursor"):
            params = {"cursor": cursor, "count": size}
        elif not resources or start > total:
            return
        else:
            params = {"startIndex": start, "count": size}


def _normalize_list_page(page: Page) -> Page:
    """An empty list can lack `Resources`."""
    if page.is_list or "totalresults" not in lower_keys(page.envelope):
        return page
    return Page(page.envelope, [], is_list=True)


def _reject_errors(page: Page) -> None:
    if any(str(schema).casefold().endswith(":error") for schema in _schemas(page.envelope)):
        envelope = lower_keys(page.envelope)
        message = join_names(envelope.get("status"), envelope.get("detail"))
        raise NotAListOfAccounts(f"The SCIM server answered with an error, not a list: {message}")


def _map_account(resource: Row, memberships: dict[str, list[Row]]) -> Row:
    meta, guest = lower_keys(resource.get("meta")), _extension(resource, GUEST_EXTENSION)
    roles = [
        _map_role(item, kind)
        for key, kind in ROLE_LISTS.items()
        for item in as_list(resource.get(key))
        if item
    ]
    if guest:
        roles.append(make_role(f"Guest ({guest.get('type') or 'any'})", "Guest"))
    if not as_list(resource.get("groups")):
        roles += memberships.get(str(resource.get("id")), [])
    return make_account(
        resource.get("username"),
        account_id=resource.get("id"),
        roles=roles,
        active=resource.get("active"),
        upstream_id=resource.get("externalid"),
        state_source="inferred",
        last_updated=meta.get("lastmodified"),
        attributes=_map_attributes(resource)
        | {"Created": meta.get("created"), "Guest until": guest.get("expiration")},
    )


def _map_attributes(resource: Row) -> Row:
    name, enterprise = lower_keys(resource.get("name")), _extension(resource, ENTERPRISE_EXTENSION)
    emails = [lower_keys(email) for email in as_list(resource.get("emails"))] or [{}]
    email = next((email for email in emails if email.get("primary") is True), emails[0])
    manager = enterprise.get("manager")
    details = lower_keys(manager)
    return {
        "Email": email.get("value"),
        "Name": name.get("formatted") or join_names(name.get("givenname"), name.get("familyname")),
        **{label: resource.get(key) for key, label in ATTRIBUTE_LABELS.items()},
        **{label: enterprise.get(key) for key, label in ENTERPRISE_LABELS.items()},
        "Manager": details.get("displayname") or details.get("value") or manager,
    }


def _map_role(item: Any, kind: str) -> Row:
    fields = lower_keys(item) if isinstance(item, dict) else {"value": item}
    role_id = fields.get("value") or fields.get("id")
    name = fields.get("display") or fields.get("displayname") or role_id
    via = "indirect" if kind == "Group" and fields.get("type") == "indirect" else ""
    return make_role(name, kind, id=role_id if role_id != name else "", via=via)


def _read_memberships(documents: Sequence[Document]) -> dict[str, list[Row]]:
    """ID of a user → the groups that list it as a member."""
    roles_by_member: dict[str, list[Row]] = {}
    group_documents = [
        document for document in documents if _is_group(lower_keys(document.prefix.first_record))
    ]
    for page in read_pages(group_documents, "Resources"):
        for group in filter(_is_group, map(lower_keys, page.records)):
            role = _map_role({"display": group.get("displayname"), "id": group.get("id")}, "Group")
            for member in map(lower_keys, as_dicts(group.get("members"))):
                roles_by_member.setdefault(str(member.get("value")), []).append(role)
    return roles_by_member


def _is_group(resource: Row) -> bool:
    """Whether the resource is something else than a user."""
    kind = lower_keys(resource.get("meta")).get("resourcetype")
    schemas = [str(schema).casefold() for schema in as_list(resource.get("schemas"))]
    if kind or any(":user" in schema for schema in schemas):
        return str(kind or "User").casefold() != "user"
    if any(schema.endswith(":group") for schema in schemas):
        return True
    return "username" not in resource and "members" in resource


def _extension(resource: Row, name: str) -> Row:
    keys = (key for key in resource if key.startswith(URN_PREFIXES) and name in key)
    return lower_keys(resource.get(next(keys, "")))


def _schemas(resource: Row) -> list[Any]:
    return as_list(lower_keys(resource).get("schemas"))


def _parse_count(value: Any) -> int:
    return int(value) if str(value).isdecimal() else 0


SCIM = Source("SCIM users", detect, read_accounts)
