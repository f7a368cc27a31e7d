"""Pulls from Microsoft Graph: an app's provisioning log and assignments, or all users."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2

from data.formatting import utc_now
from data.sources.http import ApiClient, FetchedPage, PullFailed
from data.sources.settings import PullConfig

GRAPH_URL = "https://graph.microsoft.com"
AUTHORITY_URL = "https://login.microsoftonline.com"
LOG_RETENTION_DAYS = 30
"""How long Microsoft keeps the log with a licence; without one it is a week."""

USER_FIELDS = (
    "id,displayName,mail,userPrincipalName,accountEnabled,department,jobTitle,employeeId,userType,"
    "proxyAddresses,otherMails"
)


def pull_accounts(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """The app with its roles, its assignments, and its recent provisioning events."""
    _sign_in(config, api)
    app = quote(config["service_principal"], safe="")
    yield api.get(f"v1.0/servicePrincipals/{app}", {"$select": "id,displayName,appRoles"}).payload
    assignments = f"v1.0/servicePrincipals/{app}/appRoleAssignedTo"
    yield from api.pages(assignments, {"$top": 999}, _find_next)
    since = utc_now() - timedelta(days=int(config.get("days", str(LOG_RETENTION_DAYS))))
    # From midnight, so that a resumed pull asks for the same addresses.
    start = f"{since:%Y-%m-%dT00:00:00Z}"
    log_filter = f"activityDateTime gt {start} and servicePrincipal/id eq '{app}'"
    log_params = {"$filter": log_filter, "$top": 1000}
    yield from api.pages("v1.0/auditLogs/provisioning", log_params, _find_next)


def pull_users(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Everyone in the directory."""
    _sign_in(config, api)
    yield from api.pages("v1.0/users", {"$select": USER_FIELDS, "$top": 999}, _find_next)


def _find_next(page: FetchedPage) -> str:
    return page.payload.get("@odata.nextLink") or ""


def _sign_in(config: PullConfig, api: ApiClient) -> None:
    """With an application's credentials. Raises PullFailed."""
    import msal  # slow to import, and only needed here

    authority = f"{config.get('authority', AUTHORITY_URL)}/{quote(config['tenant'], safe='')}"
    try:
        app = msal.ConfidentialClientApplication(
            config["client_id"],
            client_credential=config["client_secret"],
            authority=authority,
            instance_discovery=False,
            http_client=api.http_adapter,
        )
        response = app.acquire_token_for_client([f"{config.get('url', GRAPH_URL)}/.default"]) or {}
    except (ValueError, httpx2.HTTPStatusError) as error:
        raise PullFailed(
            f"Microsoft does not know the tenant, or does not answer: {error}"
        ) from error
    if "access_token" not in response:
        details = response.get("error_description") or response.get("error") or "no token"
        raise PullFailed(
            f"Microsoft does not accept the client’s credentials. Details: {str(details)[:300]}"
        )
    api.authorize(f"Bearer {response['access_token']}")
