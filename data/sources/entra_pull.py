"""Microsoft Graph: the provisioning log of an app with who is assigned to it, or all people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2

from data.sources.http import ApiClient, PullFailed
from data.sources.settings import PullConfig

GRAPH_URL = "https://graph.microsoft.com"
AUTHORITY_URL = "https://login.microsoftonline.com"
LOG_RETENTION_DAYS = 30
"""How long Microsoft keeps the log, with a licence; without one it is a week."""

USER_FIELDS = (
    "id,displayName,mail,userPrincipalName,accountEnabled,department,jobTitle,employeeId,userType"
)


def pull_accounts(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """The app with its roles, who is assigned to it, and what provisioning did of late."""
    _sign_in(config, api)
    app = quote(config["service_principal"], safe="")
    yield api.get(f"v1.0/servicePrincipals/{app}", {"$select": "id,displayName,appRoles"}).payload
    yield from _get_pages(api, f"v1.0/servicePrincipals/{app}/appRoleAssignedTo", {"$top": 999})
    since = datetime.now(UTC) - timedelta(days=int(config.get("days", str(LOG_RETENTION_DAYS))))
    # From midnight, so that a try which goes on where another was interrupted asks for the same.
    filter_expression = (
        f"activityDateTime gt {since:%Y-%m-%dT00:00:00Z} and servicePrincipal/id eq '{app}'"
    )
    yield from _get_pages(
        api, "v1.0/auditLogs/provisioning", {"$filter": filter_expression, "$top": 1000}
    )


def pull_users(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Everyone in the directory."""
    _sign_in(config, api)
    yield from _get_pages(api, "v1.0/users", {"$select": USER_FIELDS, "$top": 999})


def _get_pages(api: ApiClient, path: str, params: dict[str, Any] | None) -> Iterator[Any]:
    """The next page is in the body, its address whole."""
    while path:
        payload = api.get(path, params).payload
        yield payload
        path, params = payload.get("@odata.nextLink") or "", None


def _sign_in(config: PullConfig, api: ApiClient) -> None:
    """With the credentials of an application, asked for patiently. Raises PullFailed."""
    import msal  # whoever pulls from elsewhere need not wait for it

    authority = f"{config.get('authority', AUTHORITY_URL)}/{quote(config['tenant'], safe='')}"
    try:
        app = msal.ConfidentialClientApplication(
            config["client_id"],
            client_credential=config["client_secret"],
            authority=authority,
            instance_discovery=False,
            http_client=api.http_adapter,
        )
        token_response = app.acquire_token_for_client([f"{config.get('url', GRAPH_URL)}/.default"])
    except (ValueError, httpx2.HTTPStatusError) as error:
        raise PullFailed(
            f"Microsoft does not know the tenant, or does not answer: {error}"
        ) from error
    if not token_response or "access_token" not in token_response:
        message = (
            (token_response or {}).get("error_description")
            or (token_response or {}).get("error")
            or "no token"
        )
        raise PullFailed(
            f"Microsoft refuses the client’s credentials. It says: {str(message)[:300]}"
        )
    api.authorize(f"Bearer {token_response['access_token']}")
