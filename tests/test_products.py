"""Each product's own export, read by its declaration: who has an account, and what it can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.sources.delivery import open_file

GUID = "0b1d5c1e-0001-4a6e-9a51-000000000001"
GITHUB = "login,name,tfa_enabled,is_public,role,last_active\nmira-s,Mira,true,false,Owner,\n"
ENTRA = (
    "userPrincipalName,displayName,mail,objectId,userType,accountEnabled,state,ageGroup\n"
    f"mira@x.io,Mira,mira@x.io,{GUID},Member,True,WA,Adult\n"
)
GOOGLE = (
    "First Name [Required],Last Name [Required],Email Address [Required],Status [READ ONLY],"
    "Last Sign In [READ ONLY],2sv Enrolled [READ ONLY]\n"
    "Mira,Solberg,mira@x.io,Suspended,2026/11/20 08:14:05,True\n"
)
ZOOM = (
    "Email,First Name,Last Name,User Groups,IM Groups,User Type,Status,Last Login(UTC),"
    "Last Client Version\nmira@x.io,Mira,Solberg,Engineering,,Basic,Pending,11/20/2026,5.1\n"
)
AWS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,mfa_active\n"
    "mira,arn:aws:iam::1:user/mira,2024-01-01T00:00:00+00:00,true,N/A,false\n"
)
GITLAB = (
    "Name,Username,Email,Path,Role,Membership type,Membership source,Access granted\n"
    "Mira,mira,mira@x.io,acme/app,Owner,direct,acme,2026-01-01\n"
)
ATLASSIAN = (
    "Name,Email,Status,Billable,SAML single sign-on,Two-step verification\n"
    "Mira,mira@x.io,deactivated,yes,no,no\n"
)
GITLAB_INVITED = (
    "Username,Name,Email,Access granted,Access expires,Max role,Source\n"
    ",,mira@x.io,2026-01-01,,Guest,Direct member\n"
)
MICROSOFT = (
    "Block credential,DirSyncEnabled,Display name,Licenses,Object Id,State,User principal name\n"
    f"True,,Mira,Office 365 E3+Unlicensed+Power BI Pro,{GUID},WA,mira@x.io\n"
)
SERVICENOW = (
    'user_name,email,active,locked_out,sys_id,roles\nmira,mira@x.io,true,true,62826b,"admin,itil"\n'
)
JUMPCLOUD = (
    "username,email,state,suspended,account_locked,totp_enabled\n"
    "mira,mira@x.io,STAGED,false,false,true\n"
)
ZENDESK = {
    "users": [
        {"id": 7, "url": "https://acme.zendesk.com/api/v2/users/7.json", "email": "mira@x.io",
         "role": "agent", "active": True, "suspended": True}
    ],
    "next_page": None, "count": 1,
}  # fmt: skip
ZENDESK_DELETED = {"users": [ZENDESK["users"][0] | {"active": False}], "next_page": None}
SHOWN_AND_STORED = {  # ServiceNow, asked with sysparm_display_value=all
    "result": [
        {
            name: {"display_value": f"shown: {value}", "value": value}
            for name, value in {
                "user_name": "mira", "sys_id": "62826b", "locked_out": "false", "active": "true",
                "roles": "admin,itil",
            }.items()
        }
    ],
    "total": 1,
}  # fmt: skip
SLACK_API = {
    "ok": True,
    "members": [
        {
            "id": "U07AAAA0001", "team_id": "T1", "name": "mira", "deleted": True,
            "profile": {"real_name": "Mira", "email": "mira@x.io"}, "is_admin": True,
        }
    ],
    "response_metadata": {"next_cursor": ""},
}  # fmt: skip
SALESFORCE = (
    "ID,USERNAME,NAME,ISACTIVE,PROFILEID,USERROLEID\n005A,mira@x.io.acme,Mira,false,00eA,00E1\n"
)
DIRECTORY = {
    "kind": "directory#users",
    "users": [{"kind": "directory#user", "primaryEmail": "mira@x.io", "suspended": False}],
}
KEYCLOAK = [
    {
        "id": "k1", "username": "mira", "enabled": False, "emailVerified": True,
        "firstName": "Mira", "requiredActions": [], "realmRoles": ["admin", "user"], "notBefore": 0,
    }
]  # fmt: skip
GRAFANA = {
    "totalCount": 1, "page": 1, "perPage": 1000,
    "users": [
        {
            "id": 1, "login": "admin", "isAdmin": True, "isDisabled": False, "authLabels": [],
            "lastSeenAt": "2026-11-20T08:14:05Z",
        }
    ],
}  # fmt: skip
BOX = {
    "total_count": 1,
    "entries": [
        {"type": "user", "id": "7", "login": "mira@x.io", "space_amount": 1, "status": "active",
         "role": "coadmin"}
    ],
}  # fmt: skip
SNOWFLAKE = [
    {"USER_ID": 7, "NAME": "MIRA", "LOGIN_NAME": "MIRA@X.IO", "DISABLED": "true",
     "SNOWFLAKE_LOCK": "false", "EXT_AUTHN_DUO": "false", "DEFAULT_WAREHOUSE": None,
     "DELETED_ON": "2026-11-01 00:00:00 Z"}
]  # fmt: skip
IDENTITY_STORE = {
    "Users": [
        {"UserName": "mira", "UserId": "u-1", "IdentityStoreId": "d-1", "UserStatus": "ENABLED",
         "Emails": [{"Value": "a@x.io"}, {"Value": "mira@x.io", "Primary": True}]}
    ],
    "NextToken": None,
}  # fmt: skip
IAM = {
    "Users": [
        {"UserName": "mira", "UserId": "AIDA1", "Arn": "arn:aws:iam::1:user/mira",
         "CreateDate": "2024-01-01T00:00:00+00:00"}
    ]
}  # fmt: skip
GITLAB_PER_PATH = (
    "Username,Email,Type,Path,Access Level,Last Activity\nmira,m@x.io,Group,acme,Owner,2026-11-20\n"
)
LICENSES = (
    "github_com_login,github_com_name,license_type,github_com_member_roles,"
    'github_com_enterprise_role\nmira-s,Mira,Enterprise,"acme:Owner, labs:Member",Owner\n'
)
JIRA = [
    {"self": "https://acme.atlassian.net/rest/api/3/user?accountId=5b10", "accountId": "5b10",
     "accountType": "atlassian", "emailAddress": "mira@x.io", "displayName": "Mira", "active": True}
]  # fmt: skip
ONELOGIN = [
    {"id": 1, "username": "mira", "status": 2, "state": 1, "directory_id": 9,
     "distinguished_name": None}
]  # fmt: skip
DUO = {
    "stat": "OK", "metadata": {"total_objects": 1},
    "response": [{"user_id": "DU1", "username": "mira", "realname": "Mira", "is_enrolled": True,
                  "status": "bypass", "groups": [{"group_id": "G1", "name": "VPN"}]}],
}  # fmt: skip
COGNITO = {
    "Users": [{"Username": "mira", "UserStatus": "CONFIRMED", "UserCreateDate": "2024-01-01",
               "Enabled": False, "Attributes": [{"Name": "email", "Value": "mira@x.io"}]}]
}  # fmt: skip
DROPBOX = {
    "members": [{"profile": {"team_member_id": "dbmid:1", "email": "mira@x.io",
                             "status": {".tag": "suspended"}}, "role": {".tag": "team_admin"}}],
    "has_more": False,
}  # fmt: skip
DOCUSIGN = {
    "users": [{"userName": "Mira Solberg", "userId": GUID, "userStatus": "Closed",
               "email": "mira@x.io", "permissionProfileName": "Viewer"}],
    "totalSetSize": "1",
}  # fmt: skip
PAGERDUTY = {
    "users": [{"id": "PX1", "email": "mira@x.io", "role": "admin", "teams": [],
               "html_url": "https://acme.pagerduty.com/users/PX1"}],
    "more": False,
}  # fmt: skip
SENTRY = [
    {"id": "5", "email": "mira@x.io", "name": "Mira", "user": {"isActive": True},
     "orgRole": "owner", "pending": False, "inviteStatus": "approved"}
]  # fmt: skip


def read(folder: Path, content: Any) -> tuple[str, dict[str, Any]]:
    """The name of the source, and the only row of the file."""
    text, name = (content, "a.csv") if isinstance(content, str) else (json.dumps(content), "a.json")
    (folder / name).write_text(text)
    file = open_file(folder / name)
    (row,) = map(json.loads, file.input_file.path.read_text().split("\n")[:-1][-1:])
    assert not file.source_info.incomplete_reason
    return file.source_info.source, row


@pytest.mark.parametrize(
    ("content", "source", "username", "account_id", "active", "roles"),
    [
        (GITHUB, "GitHub organization members", "mira-s", None, None, ["Owner"]),
        (ENTRA, "Microsoft Entra users", "mira@x.io", GUID, "True", []),
        (GOOGLE, "Google Workspace users", "mira@x.io", None, False, []),
        (DIRECTORY, "Google Workspace users", "mira@x.io", None, True, []),
        (ZOOM, "Zoom users", "mira@x.io", None, None, ["Engineering"]),
        (AWS, "AWS IAM users", "mira", "arn:aws:iam::1:user/mira", None, []),
        (GITLAB, "GitLab users", "mira", None, None, ["Owner on acme/app"]),
        (GITLAB_INVITED, "GitLab users", "mira@x.io", None, None, ["Guest"]),
        (
            MICROSOFT,
            "Microsoft 365 users",
            "mira@x.io",
            GUID,
            False,
            ["Office 365 E3", "Power BI Pro"],
        ),
        (SERVICENOW, "ServiceNow users", "mira", "62826b", False, ["admin", "itil"]),
        (JUMPCLOUD, "JumpCloud users", "mira", None, None, []),
        (ZENDESK, "Zendesk users", "mira@x.io", 7, False, ["agent"]),
        (ZENDESK_DELETED, "Zendesk users", "mira@x.io", 7, False, ["agent"]),
        (SHOWN_AND_STORED, "ServiceNow users", "mira", "62826b", "true", ["admin", "itil"]),
        (SLACK_API, "Slack member list", "mira", "U07AAAA0001", False, ["Admin"]),
        (ATLASSIAN, "Atlassian managed accounts", "mira@x.io", None, "deactivated", []),
        (SALESFORCE, "Salesforce users", "mira@x.io.acme", "005A", "false", []),
        (KEYCLOAK, "Keycloak users", "mira", "k1", False, ["admin", "user"]),
        (GRAFANA, "Grafana users", "admin", 1, True, ["Grafana admin"]),
        (BOX, "Box users", "mira@x.io", "7", True, ["coadmin"]),
        (SNOWFLAKE, "Snowflake users", "MIRA@X.IO", 7, False, []),
        (IDENTITY_STORE, "AWS Identity Store users", "mira", "u-1", "ENABLED", []),
        (IAM, "AWS IAM users", "mira", "AIDA1", None, []),
        (GITLAB_PER_PATH, "GitLab users", "mira", None, None, ["Owner on acme"]),
        (
            LICENSES,
            "GitHub Enterprise licenses",
            "mira-s",
            None,
            None,
            ["Enterprise owner", "acme:Owner", "labs:Member"],
        ),
        (JIRA, "Atlassian managed accounts", "mira@x.io", "5b10", True, []),
        (ONELOGIN, "OneLogin users", "mira", 1, False, []),
        (DUO, "Duo users", "mira", "DU1", True, ["VPN"]),
        (COGNITO, "Amazon Cognito users", "mira", None, False, []),
        (DROPBOX, "Dropbox team members", "mira@x.io", "dbmid:1", False, ["team_admin"]),
        (DOCUSIGN, "DocuSign users", "mira@x.io", GUID, False, ["Viewer"]),
        (PAGERDUTY, "PagerDuty users", "mira@x.io", "PX1", None, ["admin"]),
        (SENTRY, "Sentry members", "mira@x.io", "5", True, ["owner"]),
    ],
)
def test_a_product_s_export_is_read_as_its_own(
    tmp_path: Path,
    content: Any,
    source: str,
    username: str,
    account_id: Any,
    active: Any,
    roles: list[str],
):
    name, row = read(tmp_path, content)
    assert name == source
    assert (row["username_in_app"], row["account_id"]) == (username, account_id)
    assert (row["active_in_app"], [role["name"] for role in row["roles"]]) == (active, roles)
    is_deleted = content in (SNOWFLAKE, ZENDESK_DELETED)
    assert row["provisioning_state"] == ("Deleted" if is_deleted else "Onboarded")
    assert row["state_source"] == ("reported" if is_deleted else "inferred")


def test_a_value_that_says_nothing_is_none(tmp_path: Path):
    assert read(tmp_path, AWS)[1]["last_sign_in"] is None
    assert read(tmp_path, GOOGLE)[1]["last_sign_in"] == "2026/11/20 08:14:05"
    assert read(tmp_path, IDENTITY_STORE)[1]["user_email"] == "mira@x.io"
