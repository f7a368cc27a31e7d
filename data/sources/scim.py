"""SCIM 2.0 (RFC 7643 and 7644) and 1.1: lists of users, in one answer or in many pages.

SCIM lists accounts but no jobs, so every state is inferred. It has no persons either. The owner of
an account follows from `externalId` or the email, if there is an identity provider's list.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.files.relation import shorten
from data.formatting import count_of
from data.sources.documents import Document, Prefix
from data.sources.http import ApiClient, PullFailed
from data.sources.pages import Page, iterate_pages, read_pages
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


def detect(prefix: Prefix) -> str:
    """By its schemas, or by the names of the envelope, in any case as the standard allows."""
    schemas = map(str, [*_schemas(prefix.keys), *_schemas(prefix.first_in_list)])
    if urn := next((s for s in schemas if s.casefold().startswith(URN_PREFIXES)), ""):
        return f"schema {shorten(urn)}"
    names, record = lower_keys(prefix.keys), lower_keys(prefix.first_in_list)
    if prefix.list_key.casefold() == "resources" and {"id", "username"} <= {*record}:
        return "keys Resources, id, userName"
    is_empty = "totalresults" in names and bool({"schemas", "resources"} & {*names})
    return "keys totalResults, Resources" if is_empty and not record else ""


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user. Groups give their members a role where the users do not list it."""
    memberships, user_count, group_count, others = _read_memberships(documents), 0, 0, 0
    for page in read_pages(documents, report, "Resources", kind_of=_kind_of):
        _reject_errors(page)
        for resource in map(lower_keys, page.records):
            is_user = bool(resource) and not _is_group(resource)
            user_count += is_user
            group_count += _is_group(resource)
            others += not page.is_list
            yield _map_account(resource, memberships) if is_user else None if resource else {}
    groups = count_of(group_count, "group")
    if not user_count and (group_count or others):
        content = groups if group_count else "another kind of resource"
        raise NotAListOfAccounts(
            f"The SCIM file lists no users, only {content}. Expected answers to GET /Users."
        )
    if group_count:
        report.remarks.append(f"Left out {groups}: groups are not accounts.")


def _kind_of(page: Page) -> str:
    """Whether a page lists groups; users and groups have a total each."""
    resources = list(map(lower_keys, page.records))
    return "group" if resources and all(map(_is_group, resources)) else "user"


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


def _reject_errors(page: Page) -> None:
    if any(str(schema).casefold().endswith(":error") for schema in _schemas(page.envelope)):
        envelope = lower_keys(page.envelope)
        message = join_names(envelope.get("status"), envelope.get("detail"))
        raise NotAListOfAccounts(f"The SCIM server answered with an error, not a list: {message}")


def _map_account(resource: Row, memberships: dict[str, list[Row]]) -> Row:
    meta, guest = lower_keys(resource.get("meta")), _extension(resource, GUEST_EXTENSION)
    deleted_at = resource.get("deleteddatetime") or meta.get("deleteddatetime")
    roles = [
        _map_role(item, kind)
        for key, kind in ROLE_LISTS.items()
        for item in as_list(_parse_json(resource.get(key)))
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
        state="Deleted" if deleted_at else "Onboarded",
        state_source="reported" if deleted_at else "inferred",
        last_updated=meta.get("lastmodified"),
        attributes=_map_attributes(resource)
        | {
            "Created": meta.get("created"),
            "Deleted at": deleted_at,
            "Guest until": guest.get("expiration"),
        },
    )


def _map_attributes(resource: Row) -> Row:
    enterprise, full_name = _extension(resource, ENTERPRISE_EXTENSION), resource.get("name")
    name = {"formatted": full_name} if isinstance(full_name, str) else lower_keys(full_name)
    emails = [
        {"value": email} if isinstance(email, str) else lower_keys(email)
        for email in as_list(resource.get("emails") or resource.get("email"))
    ] or [{}]
    is_primary = (email for email in emails if str(email.get("primary")).casefold() == "true")
    email = next(is_primary, emails[0])
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
    fields = lower_keys(_parse_json(item)) or {"value": item}
    role_id = fields.get("value") or fields.get("id")
    name = fields.get("display") or fields.get("displayname") or role_id
    via = "indirect" if kind == "Group" and fields.get("type") == "indirect" else ""
    return make_role(name, kind, id=role_id if role_id != name else "", via=via)


def _parse_json(item: Any) -> Any:
    """A list or an object that a server sends as text."""
    if isinstance(item, str) and item.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            return json.loads(item)
    return item


def _read_memberships(documents: Sequence[Document]) -> dict[str, list[Row]]:
    """ID of a user → the groups that list it as a member."""
    roles_by_member: dict[str, list[Row]] = {}
    group_documents = [
        document for document in documents if _is_group(lower_keys(document.prefix.first_record))
    ]
    for page in iterate_pages(group_documents, "Resources"):
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


SCIM = Source("scim", "SCIM users", detect, read_accounts)
