"""Files as other products give them: recognised by content, and read in that product's terms."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deliveries import MONDAY, TUESDAY, accounts, deliver, rejections, the_account
from sqlalchemy import Engine

from data import sources
from data.files.errors import (
    NotAListOfAccounts,
    NoUsernameColumn,
    OnHold,
    SnapshotRejected,
    TooLarge,
    UnreadableFile,
)
from data.files.naming import SnapshotFile
from data.history.load_report import LoadReport, load_report
from data.history.preview import preview
from data.sources.okta import PRESENT_STATUSES, STAGED_STATUSES
from data.sources.source import Source
from data.tempfiles import temporary_folder

FORMATS = Path(__file__).parent / "formats"
"""Samples from public documentation."""


def report_of(store: Engine, at: datetime = MONDAY) -> LoadReport:
    with store.connect() as con:
        return load_report(con, "figma", at)


def zipped(**files: Any) -> bytes:
    """An archive of JSON files, or texts as they are; `page_2_json` is `page_2.json`."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            archive.writestr(".".join(name.rsplit("_", 1)), text)
    return sink.getvalue()


def loaded(store: Engine, folder: Path, content: Any, name: str = "a.json", **how: Any) -> Any:
    """Deliver it, and tell the accounts by username."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    deliver(store, folder, text, name, **how)
    return accounts(store)


def roles_of(account: dict[str, Any]) -> set[tuple[str, str]]:
    """Name and type of each role."""
    return {(each["name"], each.get("type", "")) for each in json.loads(account["role_details"])}


def more_of(account: dict[str, Any]) -> dict[str, Any]:
    return json.loads(account["attributes"] or "{}")


# ---- every documented sample ---------------------------------------------------------------------

READ = {
    "baton_file_template.json": {"alice.admin", "dave.developer", "ursula.user", "svc.account.01"},
    "c1_identity_file_header.csv": set(),
    "okta_app_users_2026.json": {"saml.test@example.com"},
    "sailpoint_account.json": {"aName"},
    "scim_rfc7644-3.4.2-list_response-partial_attributes.json": {"bjensen", "jsmith"},
}
ON_HOLD = {
    "cerby_api_user_list.json": "meta.page.total is 4, but the file has 1",
    "okta_app_user_profile_update_2026.json": "a single record, not the list",
    "okta_app_user_sso_2026.json": "a single record, not the list",
    "scim_rfc7643-8.1-user-minimal.json": "a single record, not the list",
    "scim_rfc7643-8.2-user-full.json": "a single record, not the list",
    "scim_rfc7643-8.3-enterprise_user.json": "a single record, not the list",
    "scim_rfc7644-3.4.3-list_response-post_query.json": "totalResults is 100, but the file has ",
}
REJECTED = {
    "c1_grant_file_header.csv": "lists grants, not accounts",
    "cerby_api_integration_user_schema.json": "is a JSON Schema, which describes data",
    "cerby_api_job.json": "is one JSON object; expected a list of accounts",
    "cerby_api_job_schema.json": "is a JSON Schema, which describes data",
    "entra_provisioning_failure.json": "has 1 event, none about a user. Found: group",
    "sailpoint_account_activity.json": "lists account activities",
}

WITHOUT_SOURCE = {"cerby_api_integration_entitlements.json": "Found: attributes, id, type."}


def test_every_documented_sample_is_accounted_for():
    names = {*READ, *ON_HOLD, *REJECTED, *WITHOUT_SOURCE}
    assert {path.name for path in FORMATS.iterdir()} == names


@pytest.mark.parametrize("name", READ)
def test_a_documented_list_loads(store: Engine, tmp_path: Path, name: str):
    assert set(loaded(store, tmp_path, (FORMATS / name).read_bytes(), name)) == READ[name]


@pytest.mark.parametrize("name", ON_HOLD)
def test_a_documented_part_of_a_list_goes_on_hold(store: Engine, tmp_path: Path, name: str):
    content = (FORMATS / name).read_bytes()
    with pytest.raises(OnHold, match="is on hold: The list is incomplete") as rejection:
        deliver(store, tmp_path, content, name)
    assert ON_HOLD[name] in str(rejection.value)
    report = preview(store, SnapshotFile(tmp_path / name, "figma", MONDAY)).load_report
    assert ON_HOLD[name] in report.confirmation_reason
    deliver(store, tmp_path, content, name, confirmed=True)
    assert len(accounts(store)) == 1
    assert "t1meMa" not in str(accounts(store))  # RFC 7643 has a password in its samples


@pytest.mark.parametrize("name", REJECTED)
def test_a_documented_file_of_something_else_is_rejected(store: Engine, tmp_path: Path, name: str):
    with pytest.raises(NotAListOfAccounts) as rejection:
        deliver(store, tmp_path, (FORMATS / name).read_bytes(), name)
    assert str(rejection.value).startswith(name)
    assert REJECTED[name] in str(rejection.value)


@pytest.mark.parametrize("name", WITHOUT_SOURCE)
def test_a_documented_file_without_usernames_names_its_columns(
    store: Engine, tmp_path: Path, name: str
):
    with pytest.raises(NoUsernameColumn) as rejection:
        deliver(store, tmp_path, (FORMATS / name).read_bytes(), name)
    assert WITHOUT_SOURCE[name] in str(rejection.value)


# ---- SCIM ----------------------------------------------------------------------------------------

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def a_scim_page(*resources: dict[str, Any], total: Any = None, start: int = 1) -> dict[str, Any]:
    return {
        "schemas": [LIST],
        "totalResults": len(resources) if total is None else total,
        "startIndex": start,
        "Resources": list(resources),
    }


def a_scim_user(number: int, **others: Any) -> dict[str, Any]:
    return {"schemas": [USER], "id": f"id-{number}", "userName": f"user{number}"} | others


def test_a_scim_user_has_every_value_but_the_password(store: Engine, tmp_path: Path):
    user = a_scim_user(
        1,
        externalId="00u1",
        active="True",
        displayName="Ada L",
        emails=[{"value": "home@x.io"}, {"value": "ada@x.io", "primary": True}],
        roles=[{"value": "adm", "display": "Admin"}, {}, "Editor"],
        entitlements=[{"value": "Seat"}],
        groups=[{"value": "g1", "display": "Staff", "type": "indirect"}],
        password="t1meMa$heen",
        meta={"lastModified": "2026-11-01T08:00:00Z"},
    )
    ada = loaded(store, tmp_path, a_scim_page(user))["user1"]
    assert roles_of(ada) == {
        ("Admin", "Role"), ("Editor", "Role"), ("Seat", "Entitlement"), ("Staff", "Group"),
    }  # fmt: skip
    assert (ada["active_in_app"], ada["upstream_user_id"]) == (True, "00u1")
    assert (ada["user_name"], ada["user_email"]) == (None, None)  # SCIM knows no person
    assert more_of(ada) == {"Display name": "Ada L", "Email": "ada@x.io"}
    assert (ada["provisioning_state"], ada["state_source"]) == ("Onboarded", "inferred")
    assert ada["last_updated"] == datetime(2026, 11, 1, 8)
    assert report_of(store).remarks() == [
        f"Read as SCIM users (schema {LIST}).",
        "State inferred for 1 of 1 account, as the source does not report it.",
    ]


def test_scim_names_are_read_in_any_case_and_an_absent_active_is_unknown(
    store: Engine, tmp_path: Path
):
    page = {"TOTALRESULTS": "1", "resources": [{"ID": "1", "username": "Ada", "Meta": {}}]}
    assert loaded(store, tmp_path, page)["Ada"]["active_in_app"] is None


def test_pages_in_one_archive_are_one_snapshot(store: Engine, tmp_path: Path):
    pages = {f"page_{n}_json": a_scim_page(a_scim_user(n), total=11, start=n) for n in range(1, 12)}
    deliver(store, tmp_path, zipped(**pages), "a.zip")
    assert len(accounts(store)) == 11
    assert report_of(store).source_remarks[0] == f"Read as SCIM users (11 files, schema {LIST})."
    del pages["page_7_json"]
    with pytest.raises(OnHold, match="totalResults is 11, but the file has 10"):
        deliver(store, tmp_path, zipped(**pages), "b.zip", TUESDAY)
    assert len(accounts(store)) == 11


@pytest.mark.parametrize("source", ["SCIM users", "Okta application users"])
def test_pages_in_one_list_are_one_snapshot(store: Engine, tmp_path: Path, source: str):
    """As `jq --slurp` puts them together."""
    if source == "SCIM users":
        pages = [a_scim_page(a_scim_user(n), total=2, start=n) for n in (1, 2)]
    else:
        names = [{"userName": f"user{n}"} for n in (1, 2)]
        pages = [[an_okta_user("ACTIVE", None, id=str(n), credentials=n)] for n in names]
    assert len(loaded(store, tmp_path, pages)) == 2
    assert report_of(store).source_remarks[0].startswith(f"Read as {source} (")


def test_a_repeated_user_does_not_replace_another(store: Engine, tmp_path: Path):
    first, second = (a_scim_page(a_scim_user(1), a_scim_user(n), total=3) for n in (2, 3))
    deliver(store, tmp_path, zipped(a_json=first, b_json=second), "a.zip")
    assert set(accounts(store)) == {"user1", "user2", "user3"}


def test_groups_beside_the_users_give_their_members_a_role(store: Engine, tmp_path: Path):
    group = {
        "schemas": [GROUP], "id": "g1", "displayName": "Staff", "members": [{"value": "id-2"}],
    }  # fmt: skip
    users = a_scim_page(a_scim_user(1), a_scim_user(2))
    deliver(store, tmp_path, zipped(users_json=users, groups_json=a_scim_page(group)), "a.zip")
    found = accounts(store)
    assert (found["user1"]["roles"], found["user2"]["roles"]) == ([], ["Staff"])
    assert "Left out 1 group: groups are not accounts." in report_of(store).remarks()


def test_slack_s_scim_1_1_is_read_with_its_guests(store: Engine, tmp_path: Path):
    page = {
        "schemas": ["urn:scim:schemas:core:1.0"], "totalResults": 1, "Errors": [],
        "Resources": [{
            "schemas": ["urn:scim:schemas:core:1.0"], "id": "U1", "userName": "ada",
            "active": False, "meta": {"created": "2026-01-01T00:00:00Z"}, "emails": [{}],
            "groups": [{"id": "S1", "displayName": "Staff"}],
            "urn:scim:schemas:extension:slack:guest:1.0": {
                "type": "multi", "expiration": "2026-12-01T00:00:00Z"
            },
        }],
    }  # fmt: skip
    ada = loaded(store, tmp_path, page)["ada"]
    assert roles_of(ada) == {("Staff", "Group"), ("Guest (multi)", "Guest")}
    assert (ada["active_in_app"], ada["last_updated"]) == (False, None)


def test_a_scim_error_or_a_list_of_groups_is_no_list_of_accounts(store: Engine, tmp_path: Path):
    error = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "401", "detail": "Token expired",
    }  # fmt: skip
    with pytest.raises(NotAListOfAccounts, match="answered with an error, not a list: 401 Token"):
        loaded(store, tmp_path, error)
    group = {"schemas": [GROUP], "id": "g1", "displayName": "Staff"}
    with pytest.raises(NotAListOfAccounts, match="lists no users, only 1 group"):
        loaded(store, tmp_path, a_scim_page(group))


def test_an_empty_scim_list_is_a_list(store: Engine, tmp_path: Path):
    assert loaded(store, tmp_path, {"schemas": [], "totalResults": 0}) == {}
    loaded(store, tmp_path, a_scim_page(a_scim_user(1)), taken_at=TUESDAY)
    with pytest.raises(SnapshotRejected, match="lists no accounts, but the previous snapshot does"):
        loaded(store, tmp_path, a_scim_page(), taken_at=TUESDAY + timedelta(days=1))


# ---- Okta ----------------------------------------------------------------------------------------


def an_okta_user(status: str, sync: str | None, external: str | None = "x1", **others: Any):
    return {
        "id": "00u1", "externalId": external, "status": status, "syncState": sync, "scope": "USER",
        "lastUpdated": "2026-11-01T08:00:00.000Z", "statusChanged": "2026-11-02T08:00:00.000Z",
        "credentials": {"userName": "ada"}, "profile": {"email": "ada@x.io"},
    } | others  # fmt: skip


OKTA_STATES = [
    *((status, "SYNCHRONIZED", "x", "Onboarded", None) for status in PRESENT_STATUSES),
    *((status, "OUT_OF_SYNC", "x", "Update awaiting", None) for status in PRESENT_STATUSES),
    *((status, "SYNCING", "x", "Update ongoing", None) for status in PRESENT_STATUSES),
    *((status, "ERROR", "x", "Update failed", None) for status in PRESENT_STATUSES),
    *(
        (status, "ERROR", None, "Provisioning failed", None)
        for status in (*PRESENT_STATUSES, *STAGED_STATUSES)
    ),
    *((status, "SYNCHRONIZED", None, "Provisioning awaiting", None) for status in STAGED_STATUSES),
    *((status, "SYNCING", None, "Provisioning ongoing", None) for status in STAGED_STATUSES),
    ("ACTIVE", "DISABLED", None, "Onboarded", "default"),
    ("REVOKED", "OUT_OF_SYNC", "x", "Delete awaiting", None),
    ("REVOKED", "SYNCING", "x", "Delete ongoing", None),
    ("REVOKED", "ERROR", "x", "Delete failed", None),
    ("DEPROVISIONED", "ERROR", "x", "Deleted", None),
    ("IMPORTED", "SYNCHRONIZED", "x", "Onboarded", "inferred"),
    ("NEW_WORD", "SYNCHRONIZED", "x", "Unrecognised", None),
]


def test_okta_s_two_states_are_one_of_ours(store: Engine, tmp_path: Path):
    users = [
        an_okta_user(status, sync, external, id=f"00u{n}", credentials={"userName": f"u{n}"})
        for n, (status, sync, external, *_) in enumerate(OKTA_STATES)
    ]
    found = loaded(store, tmp_path, users)
    states = [
        (found[f"u{n}"]["provisioning_state"], found[f"u{n}"]["state_source"])
        for n in range(len(users))
    ]
    assert states == [(state, how) for *_, state, how in OKTA_STATES]
    reported = {state for *_, state, how in OKTA_STATES if how is None}
    assert len(reported - {"Unrecognised"}) == 11


def test_an_okta_assignment_is_one_account_before_and_after_it_is_provisioned(
    store: Engine, tmp_path: Path
):
    loaded(store, tmp_path, [an_okta_user("STAGED", "OUT_OF_SYNC", None)])
    later = [an_okta_user("PROVISIONED", "SYNCHRONIZED", "x9"), {}]
    loaded(store, tmp_path, later, taken_at=TUESDAY)
    assert report_of(store, TUESDAY).added == report_of(store, TUESDAY).removed == 0
    assert the_account(store)["last_updated"] == datetime(2026, 11, 2, 8)
    assert rejections(store) == [(2, "{}", "The row is empty.")]


def test_okta_s_person_is_who_is_embedded_and_roles_are_what_the_profile_calls_so(
    store: Engine, tmp_path: Path
):
    profile = {
        "email": "own@app.io", "Role": "Admin", "salesforceGroups": ["A", "B"], "city": "Oslo",
        "apiToken": "s3cret", "profile": "https://x.io/ada",
    }  # fmt: skip
    person = {"profile": {"firstName": "Ada", "lastName": "L", "login": "ada.l", "email": "a@x.io"}}
    users = [
        an_okta_user("ACTIVE", "SYNCHRONIZED", profile=profile, _embedded={"user": person}),
        an_okta_user("UNASSIGNED", "SYNCHRONIZED", id="00u2", credentials={"userName": "bob"}),
    ]
    found = loaded(store, tmp_path, users)
    assert (found["ada"]["user_name"], found["ada"]["user_email"]) == ("Ada L", "a@x.io")
    assert roles_of(found["ada"]) == {
        ("Admin", "Role"), ("A", "salesforceGroups"), ("B", "salesforceGroups"),
    }  # fmt: skip
    assert more_of(found["ada"])["city"] == "Oslo"
    assert "s3cret" not in str(found)
    assert [found["bob"][c] for c in ("user_name", "user_email", "active_in_app")] == [None] * 3


def test_an_okta_app_without_sign_in_names_its_users_by_their_login(store: Engine, tmp_path: Path):
    person = {"user": {"profile": {"login": "ada@x.io", "email": "a@x.io"}}}
    bookmark = an_okta_user("ACTIVE", "DISABLED", credentials=None, _embedded=person)
    unknown = an_okta_user(
        "ACTIVE", "DISABLED", id="2", credentials={}, profile={"email": "b@x.io"}
    )
    assert set(loaded(store, tmp_path, [bookmark, unknown])) == {"ada@x.io", "b@x.io"}


def test_a_full_page_of_okta_users_is_a_warning(store: Engine, tmp_path: Path):
    users = [
        an_okta_user("ACTIVE", "SYNCHRONIZED", id=f"{n}", credentials={"userName": f"u{n}"})
        for n in range(50)
    ]
    loaded(store, tmp_path, users)
    assert "Check that it is the complete list" in report_of(store).warnings()[0]


# ---- Microsoft Entra -----------------------------------------------------------------------------


def an_event(number: int, action: str, status: str, who: str = "ada", **others: Any):
    return {
        "id": f"e{number}", "activityDateTime": f"2026-11-{number:02}T08:00:00Z",
        "changeId": f"c{number}", "provisioningAction": action,
        "servicePrincipal": {"id": "sp1", "displayName": "Figma"},
        "sourceIdentity": {
            "id": f"obj-{who}", "displayName": who.title(), "identityType": "User",
            "details": {"UserPrincipalName": f"{who}@x.io"},
        },
        "targetIdentity": {"id": "", "displayName": "", "identityType": "User", "details": {}},
        "provisioningStatusInfo": {"status": status, "errorInformation": None},
        "provisioningSteps": [], "modifiedProperties": [],
    } | others  # fmt: skip


def modified(**values: str) -> list[dict[str, Any]]:
    return [{"displayName": k, "oldValue": None, "newValue": v} for k, v in values.items()]


def test_an_entra_account_has_the_state_of_its_latest_event(store: Engine, tmp_path: Path):
    error = {"errorCode": "Conflict", "reason": "409", "recommendedAction": "Remove the other."}
    failure = {"status": "failure", "errorInformation": error}
    first = [
        an_event(5, "update", "failure", provisioningStatusInfo=failure),
        an_event(
            1, "create", "success",
            modifiedProperties=modified(userName="ada.l", active="True", Roles="Admin, Editor"),
        ),
        an_event(2, "create", "skipped", "bob"),
        an_event(3, "create", "success", "cyd"),
    ]  # fmt: skip
    second = [
        an_event(6, "update", "skipped"),
        an_event(4, "disable", "success", "cyd"),
        an_event(7, "create", "failure", "dan"),
        an_event(8, "delete", "success", "eve"),
    ]
    more = {"@odata.nextLink": "https://graph.example/next"}
    page = zipped(a_json={"value": first} | more, b_json={"value": second})
    deliver(store, tmp_path, page, "a.zip")
    found = accounts(store)
    assert {
        name: (each["provisioning_state"], each["active_in_app"]) for name, each in found.items()
    } == {
        "ada.l": ("Update failed", True),
        "cyd@x.io": ("Onboarded", False),
        "dan@x.io": ("Provisioning failed", None),
        "eve@x.io": ("Deleted", False),
    }
    ada = found["ada.l"]
    assert (ada["user_name"], ada["user_email"]) == ("Ada", "ada@x.io")
    assert (ada["roles"], ada["state_reason"], ada["failure_code"]) == (
        ["Admin", "Editor"], "409", "Conflict",
    )  # fmt: skip
    assert more_of(ada)["Recommended action"] == "Remove the other."
    assert (ada["state_source"], ada["last_updated"]) == (None, datetime(2026, 11, 5, 8))
    remarks = report_of(store).remarks()
    assert (
        "Left out 1 user that provisioning skipped, so the app has no account for them." in remarks
    )
    assert "The log covers 2026-11-01 to 2026-11-08." in remarks[2]


def test_an_entra_log_without_its_next_page_goes_on_hold(store: Engine, tmp_path: Path):
    page = {"@odata.nextLink": "https://x", "value": [an_event(1, "create", "success")]}
    with pytest.raises(OnHold, match=r"names a next one \(@odata.nextLink\)"):
        loaded(store, tmp_path, page)


def test_of_a_log_of_several_apps_only_the_integration_s_app_is_read(store: Engine, tmp_path: Path):
    slack = {"id": "sp2", "displayName": "Slack"}
    log = [
        an_event(1, "create", "success"),
        an_event(2, "create", "success", "bob", servicePrincipal=slack),
    ]
    assert set(loaded(store, tmp_path, log)) == {"ada@x.io"}
    log[0]["servicePrincipal"] = {"id": "sp3", "displayName": "Zoom"}
    with pytest.raises(NotAListOfAccounts, match="has events of 2 apps: Slack, Zoom"):
        loaded(store, tmp_path, log, taken_at=TUESDAY)


def test_the_portal_s_older_json_and_azure_monitor_s_lines_say_the_same(
    store: Engine, tmp_path: Path
):
    event = an_event(1, "create", "success", modifiedProperties=modified(userName="ada.l"))
    portal = {**event, "action": "Create", "statusInfo": {"status": "Success"}}
    del portal["provisioningAction"], portal["provisioningStatusInfo"]
    monitor = {
        "time": "2026-11-01T08:00:00.1234567Z", "category": "ProvisioningLogs",
        "resultType": "Failure", "durationMs": "12",
        "properties": event | {
            "action": "Create", "provisioningStatusInfo": {"Status": "Success"},
            "servicePrincipal": {"Id": "sp1", "Name": "Figma"},
            "sourceIdentity": {
                "Id": "obj-ada", "Name": "Ada", "identityType": "User",
                "details": {"UserPrincipalName": "ada@x.io"},
            },
        },
    }  # fmt: skip
    for number, (content, name) in enumerate(
        (([portal], "a.json"), (f"{json.dumps(monitor)}\n" * 2, "PT1H.json"))
    ):
        loaded(store, tmp_path, content, name, taken_at=MONDAY + timedelta(days=number))
        ada = the_account(store)
        assert (ada["username_in_app"], ada["user_name"]) == ("ada.l", "Ada")
        assert (ada["provisioning_state"], ada["active_in_app"]) == ("Onboarded", True)
    assert report_of(store, TUESDAY).added == report_of(store, TUESDAY).removed == 0


def test_the_portal_s_three_csv_files_are_joined_on_the_change_id(store: Engine, tmp_path: Path):
    log = (
        "ID,Date (UTC),Change ID,Action,Status,Status Reason,Source ID,Source Name,"
        "Source Identity Type,Service Principal Name\n"
        "1,2026-11-01T08:00:00Z,c1,Create,Success,,obj-ada,Ada,User,Figma\n"
        "2,2026-11-02T08:00:00Z,c2,Update,Failure,No seat,obj-ada,Ada,User,Figma\n"
        "3,2026-11-02T08:00:00Z,c3,Create,Success,,obj-g,Staff,Group,Figma\n"
    )
    properties = "Change ID,Display Name,Old Value,New Value\nc1,userName,,ada.l\nc1,active,,True\n"
    steps = "Change ID,Step Name,Status\nc1,EntryImportAdd,Success\n"
    files = {
        "ProvisioningLogs_csv": log,
        "ProvisioningLogs_ModifiedProperties_csv": properties,
        "ProvisioningLogs_ProvisioningSteps_csv": steps,
    }
    deliver(store, tmp_path, zipped(**files), "a.zip")
    ada = the_account(store)
    assert (ada["username_in_app"], ada["active_in_app"]) == ("ada.l", True)
    assert (ada["provisioning_state"], ada["state_reason"]) == ("Update failed", "No seat")
    with pytest.raises(NotAListOfAccounts, match="the log itself is missing"):
        deliver(store, tmp_path, properties, "b.csv", TUESDAY)


def test_an_assignment_without_events_is_awaiting_if_new_and_onboarded_if_old(
    store: Engine, tmp_path: Path
):
    def assigned(who: str, since: str) -> dict[str, Any]:
        return {
            "principalId": f"obj-{who}", "principalType": "User", "appRoleId": "r1",
            "principalDisplayName": who, "createdDateTime": since,
        }  # fmt: skip

    files = {
        "app_json": {"displayName": "Figma", "appRoles": [{"id": "r1", "displayName": "Member"}]},
        "assigned_json": {
            "value": [
                assigned("ada", "2026-01-01T00:00:00Z"),
                assigned("old", "2026-01-01T00:00:00Z"),
                assigned("new", "2026-11-20T00:00:00Z"),
            ]
        },
        "log_json": {"value": [an_event(1, "create", "success")]},
    }
    deliver(store, tmp_path, zipped(**files), "a.zip")
    assert {
        name: (each["provisioning_state"], each["state_source"], each["roles"])
        for name, each in accounts(store).items()
    } == {
        "ada@x.io": ("Onboarded", None, ["Member"]),
        "old": ("Onboarded", "inferred", ["Member"]),
        "new": ("Provisioning awaiting", "inferred", ["Member"]),
    }
    assert accounts(store)["old"]["user_name"] == "old"
    assert more_of(accounts(store)["old"]) == {"Username": "unknown: this is the display name"}


# ---- the others ----------------------------------------------------------------------------------


def test_google_workspace_users_are_read(store: Engine, tmp_path: Path):
    page = {
        "kind": "admin#directory#users",
        "users": [
            {
                "id": "1", "primaryEmail": "ada@x.io", "name": {"fullName": "Ada L"},
                "suspended": False, "archived": True, "isAdmin": True, "orgUnitPath": "/Sales",
                "externalIds": [
                    {"value": "00u1", "type": "custom"}, {"value": "E7", "type": "organization"},
                ],
                "hashFunction": "SHA-1", "password": "s3cret",
            },
            {"id": "2", "primaryEmail": "bob@x.io", "deletionTime": "2026-11-01T00:00:00.000Z"},
        ],
    }  # fmt: skip
    found = loaded(store, tmp_path, page)
    ada = found["ada@x.io"]
    assert (ada["user_name"], ada["active_in_app"], ada["upstream_user_id"], ada["roles"]) == (
        "Ada L", False, "00u1", ["Super admin"],
    )  # fmt: skip
    assert json.loads(ada["attributes"])["Employee ID"] == "E7"
    assert (found["bob@x.io"]["provisioning_state"], found["bob@x.io"]["state_source"]) == (
        "Deleted", None,
    )  # fmt: skip
    assert ada["last_updated"] is None
    assert "s3cret" not in str(found)
    with pytest.raises(OnHold, match="nextPageToken"):
        loaded(store, tmp_path, page | {"nextPageToken": "x"}, taken_at=TUESDAY)


def test_a_baton_connector_s_resources_and_grants_are_joined(store: Engine, tmp_path: Path):
    def resource(kind: str, own: str, name: str, **trait: Any) -> dict[str, Any]:
        annotation = {"@type": "type.googleapis.com/c1.connector.v2.UserTrait"} | trait
        return {
            "resource": {
                "id": {"resourceType": kind, "resource": own},
                "displayName": name,
                "annotations": [annotation] if trait else [],
            }
        }

    ada = resource(
        "user", "u1", "Ada", login="ada", status={"status": "STATUS_DISABLED"},
        emails=[{"address": "ada@x.io", "isPrimary": True}],
    )  # fmt: skip
    team = resource("team", "t1", "Design")
    grant = {
        "grant": {}, "entitlement": {"displayName": "Member"},
        "resource": team["resource"], "principal": ada["resource"],
    }  # fmt: skip
    files = {"resources_json": {"resources": [team, ada]}, "grants_json": {"grants": [grant]}}
    deliver(store, tmp_path, zipped(**files), "a.zip")
    found = the_account(store)
    assert (found["username_in_app"], found["active_in_app"]) == ("ada", False)
    assert roles_of(found) == {("Member on Design", "team")}
    assert more_of(found)["Email"] == "ada@x.io"


def test_inherited_roles_are_found_and_a_circle_of_groups_ends(store: Engine, tmp_path: Path):
    template = json.loads((FORMATS / "baton_file_template.json").read_text())
    template["grants"].append(
        {"principal": "development_workspace:member", "entitlement_id": "app_admin:member"}
    )
    found = loaded(store, tmp_path, template)["ursula.user"]
    assert {"Application User", "Development Workspace Runner", "Production Workspace Owner"} <= {
        *found["roles"]
    }


def test_conductorone_s_grants_are_joined_to_identities_by_their_owner(
    store: Engine, tmp_path: Path
):
    identities, grants = (
        (FORMATS / f"c1_{kind}_file_header.csv").read_text().strip()
        for kind in ("identity", "grant")
    )
    ada = "Lovelace,Ada,Ada Lovelace,7,ada,ada@x.io,Active,,Staff,Admin;Editor,Human,,2026-11-01"
    given = "team,Design,member,,Member,member,,,,,"
    files = {
        "identities_csv": f"{identities}\n{ada}\n",
        "grants_csv": f"{grants},User ID\n{given},7\n{given},\n",
    }
    deliver(store, tmp_path, zipped(**files), "a.zip")
    assert roles_of(the_account(store)) == {
        ("Admin", "Role"), ("Editor", "Role"), ("Staff", "Group"), ("Member on Design", "team"),
    }  # fmt: skip
    assert "Left out 1 grant" in report_of(store).warnings()[0]


def test_rejected_rows_of_a_source_s_csv_have_their_line(store: Engine, tmp_path: Path):
    headings = (FORMATS / "c1_identity_file_header.csv").read_text().strip()
    rows = [headings, "", ",,,1,ada,,,,,,,,", ',,"a\nb",2,,,,,,,,,', ",,,3,cyd,,,,,,,,"]
    deliver(store, tmp_path, "\n".join(rows), "a.csv")
    assert [line for line, *_ in rejections(store)] == [4]


# ---- what is no list, or too much ----------------------------------------------------------------


def test_an_archive_of_one_ordinary_file_is_that_file(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, zipped(accounts_csv="login\nada\n"), "a.zip")
    assert set(accounts(store)) == {"ada"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 and no more", "cannot be unpacked"),
        (zipped(), "is a ZIP archive without files"),
        (zipped(a_csv="login\nada\n", b_csv="login,Team\n"), "neither pages of one source nor"),
        (zipped(a_json=a_scim_page(a_scim_user(1)), b_csv="login\n"), "b.csv does not belong"),
        (zipped(a_zip="x"), "a.zip cannot be read as a ZIP archive"),
        (zipped(a_json='{"Resources": [{"userName": "ada"}, '), "cut off after character 36"),
    ],
)
def test_an_archive_of_anything_else_is_rejected_with_the_reason(
    store: Engine, tmp_path: Path, content: bytes, words: str
):
    with pytest.raises(SnapshotRejected, match=words):
        deliver(store, tmp_path, content, "a.zip")


@pytest.mark.parametrize("to", ["../", "../../", "..\\", "{tmp_path}/", "a/\0../"])
def test_no_name_in_an_archive_becomes_a_path(store: Engine, tmp_path: Path, to: str):
    sink, name = io.BytesIO(), "rollcall-was-here.csv"
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(to.format(tmp_path=tmp_path) + name, "login\nada\n")
    with suppress(SnapshotRejected):
        deliver(store, tmp_path, sink.getvalue(), "a.zip")
    assert not list(tmp_path.parent.rglob(name))
    assert not any(
        (folder / name).exists() for folder in [temporary_folder(), *temporary_folder().parents]
    )


def test_a_link_in_an_archive_is_not_followed(store: Engine, tmp_path: Path):
    (tmp_path / "other.csv").write_text("login\nnobody's business\n")
    link, sink = zipfile.ZipInfo("a.csv"), io.BytesIO()
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(link, f"login\n{tmp_path}/other.csv\n")
    deliver(store, tmp_path, sink.getvalue(), "a.zip")
    assert set(accounts(store)) == {f"{tmp_path}/other.csv"}


@pytest.mark.parametrize(
    ("claim", "words"), [(2**31, "decompression bomb"), (10, "cannot be unpacked")]
)
def test_the_size_that_an_archive_claims_is_not_trusted(
    store: Engine, tmp_path: Path, claim: int, words: str
):
    content = bytearray(zipped(a_csv="login\n" + "a\n" * 1000))
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = claim.to_bytes(4, "little")
    with pytest.raises(SnapshotRejected, match=words):
        deliver(store, tmp_path, bytes(content), "a.zip")


def test_an_archive_of_endless_names_is_not_read(store: Engine, tmp_path: Path):
    """Each takes ten times its place in memory."""
    content = zipped(a_csv="")
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    names = content[start:end] * 250_000
    size = len(names).to_bytes(4, "little")
    content = content[:start] + names + content[end : end + 12] + size + content[end + 16 :]
    with pytest.raises(TooLarge, match="has more than 10,000 files"):
        deliver(store, tmp_path, content, "a.zip")


def test_an_archive_that_unpacks_to_too_much_is_rejected(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ROLLCALL_MAX_UNPACKED_MB", "1")
    with pytest.raises(TooLarge, match="unpacks to more than 1 MB"):
        deliver(store, tmp_path, zipped(a_json=" " * 2_000_000), "a.zip")


def test_broken_json_of_a_source_is_rejected_with_its_place(store: Engine, tmp_path: Path):
    lines = json.dumps(an_event(1, "create", "success"))
    with pytest.raises(UnreadableFile, match=r"is not valid JSON \(line 2\)"):
        loaded(store, tmp_path, f"{lines}\n{lines[:50]}\n", "a.ndjson")


def test_a_credential_deep_within_a_column_is_not_stored(store: Engine, tmp_path: Path):
    row = {"login": "ada", "team": {"name": "x"}, "sso": [{"clientSecret": "s3cret"}]}
    assert more_of(loaded(store, tmp_path, [row])["ada"]) == {"team": {"name": "x"}} or (
        more_of(accounts(store)["ada"]) == {"team": '{"name":"x"}'}
    )


@pytest.mark.parametrize("number", [0, 1])
def test_the_documented_examples_of_a_source_work(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    text = (Path(__file__).parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
    code, names = text.split("```python\n")[1 + number].split("```")[0], {"__name__": "acme"}
    exec(code, names)  # noqa: S102 - it is our own
    acme: Any = names["ACME"]
    source = acme if isinstance(acme, Source) else acme.as_source()
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, source))
    seats = [
        {"seatId": 7, "login": "ada", "plan": "Pro", "status": "queued", "team": "Design"},
        {"seatId": 8, "login": "bob", "plan": "Pro", "status": "napping", "team": ""},
    ]
    found = loaded(store, tmp_path, {"total": 2, "seats": seats})
    assert {name: each["roles"] for name, each in found.items()} == {"ada": ["Pro"], "bob": ["Pro"]}
    assert more_of(found["ada"])["Team"] == "Design"
    assert report_of(store).source_remarks[0].startswith("Read as Acme seats (")
    with pytest.raises(OnHold, match="total is 3, but the file has 2; pages are missing"):
        loaded(store, tmp_path, {"total": 3, "seats": seats}, taken_at=TUESDAY)
