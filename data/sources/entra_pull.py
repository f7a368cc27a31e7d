"""Microsoft Graph: the provisioning log of an app with who is assigned to it, or all people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2

from data.sources.http import PullFailed, Web
from data.sources.settings import Pull

GRAPH = "https://graph.microsoft.com"
AUTHORITY = "https://login.microsoftonline.com"
DAYS = 30
"""How long Microsoft keeps the log, with a licence; without one it is a week."""

USER_FIELDS = (
    "id,displayName,mail,userPrincipalName,accountEnabled,department,jobTitle,employeeId,userType"
)


def pull(asked: Pull, web: Web) -> Iterator[Any]:
    """The app with its roles, who is assigned to it, and what provisioning did of late."""
    _sign_in(asked, web)
    app = quote(asked["service_principal"], safe="")
    yield web.get(f"v1.0/servicePrincipals/{app}", {"$select": "id,displayName,appRoles"}).document
    yield from _pages(web, f"v1.0/servicePrincipals/{app}/appRoleAssignedTo", {"$top": 999})
    since = datetime.now(UTC) - timedelta(days=int(asked.get("days", str(DAYS))))
    # From midnight, so that a try which goes on where another was interrupted asks for the same.
    wanted = f"activityDateTime gt {since:%Y-%m-%dT00:00:00Z} and servicePrincipal/id eq '{app}'"
    yield from _pages(web, "v1.0/auditLogs/provisioning", {"$filter": wanted, "$top": 1000})


def pull_users(asked: Pull, web: Web) -> Iterator[Any]:
    """Everyone in the directory."""
    _sign_in(asked, web)
    yield from _pages(web, "v1.0/users", {"$select": USER_FIELDS, "$top": 999})


def _pages(web: Web, path: str, params: dict[str, Any] | None) -> Iterator[Any]:
    """The next page is in the body, its address whole."""
    while path:
        document = web.get(path, params).document
        yield document
        path, params = document.get("@odata.nextLink") or "", None


def _sign_in(asked: Pull, web: Web) -> None:
    """With the credentials of an application, asked for patiently. Raises PullFailed."""
    import msal  # whoever pulls from elsewhere need not wait for it

    authority = f"{asked.get('authority', AUTHORITY)}/{quote(asked['tenant'], safe='')}"
    try:
        app = msal.ConfidentialClientApplication(
            asked["client_id"],
            client_credential=asked["client_secret"],
            authority=authority,
            instance_discovery=False,
            http_client=web.client,
        )
        found = app.acquire_token_for_client([f"{asked.get('url', GRAPH)}/.default"])
    except (ValueError, httpx2.HTTPStatusError) as fault:
        raise PullFailed(
            f"Microsoft does not know the tenant, or does not answer: {fault}"
        ) from fault
    if not found or "access_token" not in found:
        why = (found or {}).get("error_description") or (found or {}).get("error") or "no token"
        raise PullFailed(f"Microsoft refuses the client’s credentials. It says: {str(why)[:300]}")
    web.let_in_by(f"Bearer {found['access_token']}")
