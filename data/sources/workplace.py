"""Further declarations: directories of a workplace, and service desks. As in `products.py`."""

from data.sources.product import Product, Proof, RoleField

WORKPLACE_PRODUCTS = (
    Product(
        key="microsoft-365",
        name="Microsoft 365 users",
        proofs=(Proof(("User principal name", "Block credential", "Licenses", "DirSyncEnabled")),),
        username="User principal name",
        account_id="Object Id",
        user_name=("Display name", "First name + Last name"),
        user_email="User principal name",
        upstream_id="Object Id",
        roles=(RoleField("Licenses", "License", words={"unlicensed": ""}, separator="+"),),
        inactive=("Block credential",),
        deleted="Soft deletion time stamp",
        attributes={
            "Title": "Title",
            "Department": "Department",
            "Created": "When created",
            "Deleted at": "Soft deletion time stamp",
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
        roles=(RoleField("roles", separator=","),),
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
    Product(
        key="jumpcloud",
        name="JumpCloud users",
        proofs=(
            Proof(("username", "state", "suspended", "account_locked", "totp_enabled")),
            Proof(("username", "account_locked", "ldap_binding_user")),
        ),
        username="username",
        account_id=("_id", "id"),
        user_name=("displayname", "firstname + lastname"),
        user_email="email",
        active="state",
        active_words={"activated": True, "suspended": False, "staged": None},
        inactive=("suspended", "account_locked"),
        attributes={
            "Department": "department",
            "Employee ID": "employeeIdentifier",
            "Two-factor authentication": "totp_enabled",
            "Created": "created",
        },
    ),
)
