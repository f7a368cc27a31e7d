"""Customers, support and services."""

from data.sources.product import DELETED, Product, Proof, RoleField

BUSINESS_PRODUCTS = (
    Product(
        key="salesforce",
        name="Salesforce users",
        proofs=(
            Proof(
                ("Id", "Username"),
                {"attributes.type": "User", "attributes.url": "/services/data/.*"},
            ),
            Proof(("Username", "IsActive", "ProfileId", "UserRoleId")),
        ),
        username="Username",
        account_id="Id",
        user_name=("Name", "FirstName + LastName"),
        user_email="Email",
        upstream_id="FederationIdentifier",
        roles=(RoleField("Profile.Name", "Profile"), RoleField("UserRole.Name")),
        active="IsActive",
        last_updated="LastModifiedDate",
        last_sign_in="LastLoginDate",
        attributes={
            "Title": "Title",
            "Department": "Department",
            "User type": "UserType",
            "Profile ID": "ProfileId",
            "Created": "CreatedDate",
        },
    ),
    Product(
        key="zendesk",
        name="Zendesk users",
        proofs=(
            Proof(
                ("id", "role", "suspended"), {"url": r"https://[^/]+/api/v2/(end_)?users/\d+.json"}
            ),
        ),
        username=("email", "name"),
        account_id="id",
        user_name="name",
        user_email="email",
        roles=(RoleField("role"),),
        active="active",
        active_words={"true": True, "false": DELETED},
        inactive=("suspended",),
        last_updated="updated_at",
        last_sign_in="last_login_at",
        attributes={"Created": "created_at"},
    ),
    Product(
        key="servicenow",
        name="ServiceNow users",
        proofs=(
            Proof(("user_name", "sys_id", "locked_out")),
            Proof(("user_name", "sys_id", "web_service_access_only")),
        ),
        username="user_name",
        account_id="sys_id",
        user_name=("name", "first_name + last_name"),
        user_email="email",
        roles=(RoleField(("roles.value", "roles"), separator=","),),
        active="active",
        inactive=("locked_out",),
        last_updated="sys_updated_on",
        last_sign_in="last_login_time",
        attributes={
            "Title": "title",
            "Department": ("department.name", "department.display_value", "department"),
            "Created": "sys_created_on",
        },
    ),
)
