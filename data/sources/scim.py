"""SCIM 2.0 (RFC 7643 and 7644) and 1.1: lists of users, in one answer or in many pages.

SCIM knows who has an account, but no jobs: every state is inferred. It knows no person either:
who an account belongs to follows from `externalId` or the email, beside an identity provider's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Page, Part, pages
from data.sources.http import PullFailed, Web
from data.sources.settings import Pull
from data.sources.source import Row, Said, Source, account, counted, joined, listed, objects, role

PAGE = 200
"""Users to ask for at once; servers give fewer where that is too many."""

URNS = ("urn:ietf:params:scim:", "urn:scim:schemas:")
ENTERPRISE = "enterprise:"
GUEST = "slack:guest:"
LISTS = {"roles": "Role", "entitlements": "Entitlement", "groups": "Group"}
PLAIN = {
    "displayname": "Display name",
    "title": "Title",
    "usertype": "User type",
    "preferredlanguage": "Preferred language",
    "timezone": "Time zone",
}
ENTERPRISE_PLAIN = {
    "employeenumber": "Employee number",
    "costcenter": "Cost center",
    "organization": "Organization",
    "division": "Division",
    "department": "Department",
}


def knows(begins: Beginning) -> bool:
    """By its schemas, or by the names of the envelope, which the standard writes in any case."""
    schemas = [*_schemas(begins.keys), *_schemas(begins.record)]
    if any(str(each).casefold().startswith(URNS) for each in schemas):
        return True
    names, keys = _lower(begins.record), _lower(begins.keys)
    is_list = begins.listed_under.casefold() == "resources" and "resource" not in names
    return is_list or "totalresults" in keys


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per user; groups give their members a role, where the users do not say it."""
    memberships = _memberships(parts)
    seen, users = _Seen(), 0
    for page in pages(parts, "Resources"):
        _refuse_errors(page)
        for found in seen.count(_as_list(page)):
            is_user = bool(found) and not _is_group(found)
            users += is_user
            yield _account(found, memberships) if is_user else None if found else {}
    _refuse_unless_users(users, seen)
    _say(said, seen)


class _Seen:
    """What was counted while the pages went by."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {"user": set(), "group": set()}
        self.promised: dict[str, int] = {"user": 0, "group": 0}
        self.lists = self.singles = self.groups = 0

    def count(self, page: Page) -> Iterator[Row]:
        """The page's resources, their names in lower case."""
        found = [_lower(each) for each in page.records]
        kind = "group" if found and all(map(_is_group, found)) else "user"
        self.lists += page.is_list
        self.singles += not page.is_list
        if page.is_list:
            total = _number(_lower(page.envelope).get("totalresults"))
            self.promised[kind] = max(self.promised[kind], total)
        for each in found:
            self.groups += _is_group(each)
            self.ids[kind].add(str(each.get("id") or each.get("username")))
            yield each


def _say(said: Said, seen: _Seen) -> None:
    if seen.groups:
        said.remarks.append(f"{counted(seen.groups, 'group')} left out: no accounts.")
    for kind, ids in seen.ids.items():
        if len(ids) < seen.promised[kind]:
            said.incomplete = (
                f"the server counts {counted(seen.promised[kind], kind)} (totalResults), and "
                f"{len(ids):,} are here; pages are missing"
            )
    if seen.singles == 1 and not seen.lists:
        said.incomplete = "it holds a single resource, not the list of all users"


def pull(asked: Pull, web: Web) -> Iterator[Any]:
    """Every page of `/Users`, and of `/Groups` where `groups` is set.

    By cursor where the server has one (RFC 9865), by `startIndex` elsewhere.
    """
    web.let_in_by(f"Bearer {asked['token']}")
    for path in ("Users", "Groups")[: 1 + (asked.get("groups").casefold() == "true")]:
        yield from _pages(web, path, int(asked.get("page_size", str(PAGE))))


def _pages(web: Web, path: str, size: int) -> Iterator[Any]:
    start, params, before, counted_before = 1, {"startIndex": 1, "count": size}, None, None
    while True:
        document, _, is_kept = web.get(path, params)
        told = _lower(document)
        found, total = listed(told.get("resources")), _number(told.get("totalresults"))
        if not is_kept and counted_before not in (None, total):
            raise PullFailed(f"{path} came or went since the pull was interrupted.")
        counted_before = total if is_kept else None
        if found and found == before:
            raise PullFailed(f"{web.url.host} gives the same page of {path} again, not the next.")
        yield document
        number, before = len(found), found
        start += number
        if cursor := told.get("nextcursor"):
            params = {"cursor": cursor, "count": size}
        elif not number or start > total:
            return
        else:
            params = {"startIndex": start, "count": size}


def _as_list(page: Page) -> Page:
    """Where there is nothing to list, the standard lets `Resources` be left out."""
    if page.is_list or "totalresults" not in _lower(page.envelope):
        return page
    return Page(page.envelope, [], is_list=True)


def _refuse_errors(page: Page) -> None:
    if any(str(each).casefold().endswith(":error") for each in _schemas(page.envelope)):
        told = _lower(page.envelope)
        words = joined(told.get("status"), told.get("detail"))
        raise NotAListOfAccounts(f"The SCIM server answered with an error, not a list: {words}")


def _refuse_unless_users(users: int, seen: _Seen) -> None:
    if not users and (seen.groups or seen.singles):
        what = counted(seen.groups, "group") if seen.groups else "another kind of resource"
        raise NotAListOfAccounts(
            f"The SCIM file lists no users, only {what}. Expected the answers to GET /Users."
        )


def _account(found: Row, memberships: dict[str, list[Row]]) -> Row:
    meta, name = _lower(found.get("meta")), _lower(found.get("name"))
    emails = [_lower(each) for each in listed(found.get("emails"))]
    primary = next((each for each in emails if each.get("primary") is True), (emails or [{}])[0])
    own_groups = listed(found.get("groups"))
    roles = [
        _role(item, kind) for key, kind in LISTS.items() for item in listed(found.get(key)) if item
    ]
    full = name.get("formatted") or joined(name.get("givenname"), name.get("familyname"))
    more = {"Email": primary.get("value"), "Name": full, "Created": meta.get("created")}
    more |= {label: found.get(key) for key, label in PLAIN.items()}
    guest, enterprise = _extension(found, GUEST), _extension(found, ENTERPRISE)
    manager = enterprise.get("manager")
    more |= {label: enterprise.get(key) for key, label in ENTERPRISE_PLAIN.items()}
    more["Manager"] = _lower(manager).get("displayname") or _lower(manager).get("value") or manager
    if guest:
        roles.append(role(f"Guest ({guest.get('type') or 'any'})", "Guest"))
        more["Guest until"] = guest.get("expiration")
    return account(
        found.get("username"),
        account_id=found.get("id"),
        roles=roles + ([] if own_groups else memberships.get(str(found.get("id")), [])),
        active=found.get("active"),
        upstream_id=found.get("externalid"),
        how="inferred",
        last_updated=meta.get("lastmodified"),
        more=more,
    )


def _role(item: Any, kind: str) -> Row:
    told = _lower(item) if isinstance(item, dict) else {"value": item}
    own = told.get("value") or told.get("id")
    name = told.get("display") or told.get("displayname") or own
    via = "indirect" if kind == "Group" and told.get("type") == "indirect" else ""
    return role(name, kind, id=own if own != name else "", via=via)


def _memberships(parts: Sequence[Part]) -> dict[str, list[Row]]:
    """ID of a user → the groups that list it as a member."""
    found: dict[str, list[Row]] = {}
    of_groups = [part for part in parts if _is_group(_lower(part.beginning.first))]
    for page in pages(of_groups, "Resources"):
        for group in filter(_is_group, map(_lower, page.records)):
            held = _role({"display": group.get("displayname"), "value": group.get("id")}, "Group")
            for member in map(_lower, objects(group.get("members"))):
                found.setdefault(str(member.get("value")), []).append(held)
    return found


def _is_group(found: Row) -> bool:
    """Whether a resource says that it is something else than a user."""
    kind = _lower(found.get("meta")).get("resourcetype")
    schemas = [str(each).casefold() for each in listed(found.get("schemas"))]
    if kind or any(":user" in each for each in schemas):
        return str(kind or "User").casefold() != "user"
    if any(each.endswith(":group") for each in schemas):
        return True
    return "username" not in found and "members" in found


def _extension(found: Row, name: str) -> Row:
    for key, value in found.items():
        if key.startswith(URNS) and name in key:
            return _lower(value)
    return {}


def _schemas(found: Row) -> list[Any]:
    return listed(_lower(found).get("schemas"))


def _lower(value: Any) -> Row:
    """An object with its names in lower case, as the standard does not tell them apart."""
    return {key.casefold(): each for key, each in value.items()} if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    return int(value) if str(value).isdecimal() else 0


SCIM = Source("SCIM users", knows, accounts)
