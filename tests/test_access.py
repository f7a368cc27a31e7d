"""Permissions of roles, and restricted views of the store."""

from __future__ import annotations

import ast
import json
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from builders import TODAY, YESTERDAY, an_account
from patience import PATIENCE
from signing_in import CLIENT, SECRET
from signing_in import ROLES as GROUPS
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError
from streamlit.testing.v1 import AppTest

from data.access.claims import ConfigError, RoleMapping, are_valid_claims
from data.access.revoked_tokens import RevokedTokens
from data.access.roles import (
    ANONYMOUS,
    FULL_VISIBILITY,
    LOCAL,
    ROLES,
    NotAllowed,
    Permission,
    PersonalData,
    Visibility,
)
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home, current_home
from data.records.exceptions import FindingKey, RiskException, add_exceptions
from data.records.matches import MatchOverride, save_match_overrides
from data.records.notes import NamedAccount, save_note
from data.records.tables import quarantined_file
from data.records.views import SavedView, read_views, save_view
from data.schema import integration, metadata
from data.store.engine import close_stores, open_store, restricted_engine
from queries.account_links import account_link
from queries.filters import Filters
from queries.users.accounts import count_accounts, page_of_accounts
from server import session
from server.authorize import authorize
from server.session import AuthConfig

PAGES = Path(__file__).parent.parent / "pages"
SCRIPTS = {
    "health.py": Permission.HEALTH,
    "users.py": Permission.USERS,
    "people.py": Permission.PEOPLE,
    "person.py": Permission.USERS,
    "changes.py": Permission.CHANGES,
    "review.py": Permission.REVIEW,
    "rounds.py": Permission.REVIEW_ROUNDS,
    "letter.py": Permission.PEOPLE,
    "matching.py": Permission.MATCH,
    "snapshots.py": Permission.SNAPSHOTS,
    "audit.py": Permission.AUDIT,
}
NOW = 1_795_000_000
MARK = "zzmarkzz"
"""Part of everything that a snapshot says of a person here."""

DOOR = AuthConfig("http://127.0.0.1", CLIENT, SECRET, RoleMapping(claim="groups", roles=GROUPS), "")


def claims(*groups: str, **others: Any) -> dict[str, Any]:
    now = time.time()
    token = {"sub": "s", "iss": "x", "aud": [CLIENT], "iat": now, "exp": now + 600}
    token |= {"is_logged_in": True, "email": "olga@x.io", "email_verified": True}
    return token | {"groups": list(groups)} | others


def somebody_marked(number: int, **facts: Any) -> dict[str, Any]:
    return an_account(
        f"{MARK}{number}",
        account_id=f"{MARK}-id-{number}",
        user=f"{MARK} Person {number}",
        email=f"{MARK}{number}@x.io",
        upstream_id=f"{MARK}-up-{number}",
        state="Update failed",
        reason=f"{MARK} has no licence",
        code=f"{MARK} {number}@x.io",
        roles=[{"name": f"{MARK} folder", "description": f"of {MARK}", "via": MARK}],
        manager=f"{MARK} the manager",
        **facts,
    )


def marked(root: Path, engine: Engine) -> None:
    """Two integrations, full of marks wherever text of a person can be; one row is rejected."""
    for name in ("figma", "slack"):
        for at in (YESTERDAY, TODAY):
            people = [somebody_marked(n, active="perhaps" if n else "yes") for n in range(3)]
            people[0]["roles"] = [MARK, f"{at:%d}"]
            rows = "\n".join(map(json.dumps, [*people, {"user_name": f"{MARK} nobody"}]))
            path = root / f"{MARK}-{name}-{at:%Y%m%d}.ndjson"
            path.write_text(rows)
            load(engine, SnapshotFile(path, name, at), confirmed=True)
    finding = FindingKey("deleted_active", "slack", f"{MARK}-id-1")
    add_exceptions(engine, [(finding, TODAY)], RiskException(f"{MARK} may", MARK))
    save_match_overrides(
        engine, [MatchOverride("slack", f"{MARK}-id-1", MARK, "slack", MARK, MARK, MARK)], MARK
    )
    save_note(engine, [NamedAccount("slack", f"{MARK}-id-1")], f"{MARK} slack", MARK)
    for owner, integrations in ((None, None), (MARK, ("slack",)), (None, ("figma", "slack"))):
        view = SavedView(f"{MARK} {integrations}", owner, f"q={MARK}", integrations)
        save_view(engine, view, MARK)
    with engine.begin() as con:
        held = {"integration": "slack", "file_name": f"{MARK}.csv", "status": "on hold"}
        con.execute(insert(quarantined_file).values(**held, reason=MARK, quarantined_at=TODAY))


@pytest.fixture(scope="module")
def marked_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", str(root))
        patch.setenv("ROLLCALL_NO_SAMPLE", "1")
        patch.delenv("ROLLCALL_DATABASE_URL", raising=False)
        home = current_home()
        marked(root, open_store(home.database_url))
        yield home
        close_stores()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "auth_config", lambda: DOOR)


# ---- the table -----------------------------------------------------------------------------------


def test_the_table_defines_the_permissions() -> None:
    assert ROLES["Owner"].permissions == set(Permission)
    assert (
        set(Permission) - ROLES["Super Admin"].permissions
        == {Permission.AUDIT, Permission.LETTERS}
        == set(Permission) - ROLES["Admin"].permissions
    )
    assert ROLES["Analyst"].permissions == {
        Permission.USERS,
        Permission.PEOPLE,
        Permission.CHANGES,
        Permission.DOWNLOAD,
        Permission.SAVE_VIEWS,
    }
    assert ROLES["Manager"].permissions == {Permission.HEALTH, Permission.PEOPLE}
    hidden = [name for name, role in ROLES.items() if role.personal_data is PersonalData.HIDDEN]
    assert hidden == ["Manager"]


def test_nobody_without_a_role_may_do_anything() -> None:
    assert not any(ANONYMOUS.is_allowed(act) for act in Permission)
    assert ANONYMOUS.visibility.personal_data is PersonalData.HIDDEN


def test_a_restriction_to_integrations_covers_every_permission() -> None:
    who = RoleMapping(roles={"a": "Admin"}, integrations={"a": ["figma"]}).to_principal(
        {"roles": ["a"]}
    )
    assert who.is_allowed(Permission.LOAD_FILES, "figma")
    assert not who.is_allowed(Permission.LOAD_FILES, "slack")
    assert who.is_allowed(Permission.LOAD_FILES)
    assert not who.is_allowed_everywhere(Permission.LOAD_FILES)
    assert who.visibility == Visibility(("figma",))


# ---- people --------------------------------------------------------------------------------------

BOTH = RoleMapping(
    claim="realm_access.roles",
    roles={"rc-boss": "Owner", "rc-read": "Analyst", "rc-look": "Manager"},
    people={"Ada@x.io": "Admin", "strau\u00df@x.io": "Manager", "Ren\u00e9@x.io": "Manager"},
    integrations={
        "Analyst": ["figma"],
        "rc-look": ["slack"],
        "ada@X.io": ["jira"],
        "Strau\u00df@x.io": ["zoom"],
    },
)


@pytest.mark.parametrize(
    ("token", "roles", "only"),
    [
        ({}, (), None),
        ({"realm_access": {"roles": ["rc-boss", "else"]}}, ("Owner",), None),
        ({"realm_access.roles": "rc-read"}, ("Analyst",), ("figma",)),
        ({"realm_access": {"roles": ["rc-look", "rc-read"]}}, ("Analyst", "Manager"),
         ("figma", "slack")),
        ({"realm_access": "rc-boss"}, (), None),
        ({"realm_access": {"roles": [["rc-boss"], 7, None]}}, (), None),
        ({"realm_access": {"roles": ["Owner", "RC-BOSS"]}}, (), None),
        ({"roles": ["rc-boss"]}, (), None),
        ({"email": "ADA@x.io", "email_verified": True}, ("Admin",), ("jira",)),
        ({"email": "ada@x.io", "email_verified": False}, (), None),
        ({"email": "ada@x.io"}, (), None),
        ({"email": ["ada@x.io"], "email_verified": True}, (), None),
        ({"email": "strau\u00df@x.io", "email_verified": True}, ("Manager",), ("zoom",)),
        ({"email": "STRAU\u1e9e@x.io", "email_verified": True}, ("Manager",), ("zoom",)),
        ({"email": "strauss@x.io", "email_verified": True}, (), None),
        ({"email": "rene\u0301@x.io", "email_verified": True}, ("Manager",), None),
    ],
)  # fmt: skip
def test_roles_come_from_the_claim_or_a_verified_address(
    token: dict[str, Any], roles: tuple[str, ...], only: tuple[str, ...] | None
) -> None:
    who = BOTH.to_principal(token)
    assert (who.roles, who.integrations) == (roles, only)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "gives nobody a role"),
        ({"roles": {}}, "gives nobody a role"),
        ({"roles": {"x": "King"}}, "No such role: King"),
        ({"people": {"a@x.io": "owner"}}, "No such role: owner"),
        ({"roles": {"x": "Owner"}, "rolls": {}}, "unknown settings: rolls"),
        ({"roles": ["Owner"]}, "roles in .access. must be a table"),
        ({"roles": {"x": "Owner"}, "integrations": {"x": "figma"}}, "a table of lists"),
        ({"roles": {"x": "Owner"}, "hours": 0}, "a number above 0"),
        ({"roles": {"x": "Owner"}, "metrics_token": "short"}, "at least 32 characters"),
        ({"roles": {"x": "Owner"}, "unverified_emails": "no"}, "true or false"),
    ],
)
def test_wrong_settings_of_access_are_rejected(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RoleMapping.from_settings(values)


@pytest.mark.parametrize(
    "lacks",
    [
        {"cookie_secret": "short"},
        {"client_id": ""},
        {"redirect_uri": "http://rollcall.example.com/oauth2callback"},
        {"redirect_uri": "https://rollcall.example.com/"},
        {"server_metadata_url": None},
    ],
)
def test_unsafe_settings_of_sign_in_are_rejected(lacks: dict[str, Any]) -> None:
    auth = {
        "redirect_uri": "https://rollcall.example.com/oauth2callback",
        "cookie_secret": SECRET,
        "client_id": CLIENT,
        "client_secret": "s",
        "server_metadata_url": "https://id.example.com",
    }
    assert AuthConfig.from_settings(auth, {"roles": {"x": "Owner"}}).origin.startswith("https://")
    with pytest.raises(ConfigError):
        AuthConfig.from_settings(auth | lacks, {"roles": {"x": "Owner"}})


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"aud": CLIENT, "azp": CLIENT}, True),
        ({"aud": ["other", CLIENT]}, True),
        ({"aud": "another"}, False),
        ({"aud": []}, False),
        ({"aud": None}, False),
        ({"azp": "another"}, False),
        ({"exp": NOW}, False),
        ({"exp": None}, False),
        ({"exp": "9999999999"}, False),
        ({"exp": True}, False),
        ({"iat": None}, False),
        ({"iat": NOW - 9 * 3600}, False),
        ({"iat": NOW + 120}, False),
    ],
)
def test_a_token_needs_our_audience_and_expires(changed: dict[str, Any], holds: bool) -> None:
    token = {"aud": [CLIENT], "iat": NOW - 100, "exp": NOW + 1} | changed
    assert are_valid_claims(token, client_id=CLIENT, hours=8, now=NOW) is holds


def test_a_restart_keeps_tokens_revoked(tmp_path: Path) -> None:
    mine, later = {"sub": "ada", "iat": 1}, {"sub": "ada", "iat": 2}
    RevokedTokens(tmp_path / "list").add(mine, time.time() + 60)
    known = RevokedTokens(tmp_path / "list")
    assert known.is_revoked(mine, "", 1)
    assert not known.is_revoked(later, "", 2)
    assert "ada" not in (tmp_path / "list").read_text()
    assert (tmp_path / "list").stat().st_mode & 0o077 == 0
    known.add(later, time.time() - 1)
    assert len((tmp_path / "list").read_text().splitlines()) == 1, "its time is over anyway"


def test_the_end_of_a_persons_sessions_counts_in_every_process_and_until_then(
    tmp_path: Path,
) -> None:
    """Two lists of one file are two processes of one home."""
    ours, theirs = RevokedTokens(tmp_path / "list"), RevokedTokens(tmp_path / "list")
    token, now = {"sub": "ada", "iat": NOW}, time.time()
    assert not theirs.is_revoked(token, "ada@x.io", now - 60)
    ours.end_sessions("Ada@x.io", now + 600)
    ours.add({"sub": "another"}, now + 600)
    assert theirs.is_revoked(token, "ada@x.io", now - 60)
    assert not theirs.is_revoked(token, "ada@x.io", time.time() + 1), "she has signed in again"
    assert not theirs.is_revoked(token, "bob@x.io", now - 60)
    ours.end_sessions("strasse@x.io", now + 600)
    assert not theirs.is_revoked(token, "straße@x.io", now - 60), "somebody else"


def test_a_session_ends_with_its_token(door: None) -> None:
    assert session.principal_of(claims("owners")).roles == ("Owner",)
    for ended in ({"exp": time.time() - 1}, {"is_logged_in": "yes"}, {"aud": "another"}):
        who = session.principal_of(claims("owners", **ended))
        assert not who.has_any_role
        assert who.name == "olga@x.io"


def test_without_a_session_and_a_request_there_is_no_principal() -> None:
    with pytest.raises(NotAllowed):
        authorize(Permission.HEALTH)


def test_without_sign_in_only_this_machine_is_served() -> None:
    refuse = session.exposure_error
    for address in ("0.0.0.0", "::", "192.168.1.4", "rollcall.example.com", "", None):  # noqa: S104
        assert "without sign-in" in refuse(address)
    assert not any(map(refuse, ("127.0.0.1", "::1", "localhost", "127.1.2.3")))


# ---- what is seen --------------------------------------------------------------------------------


def everything_seen(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as con:
        return {
            table.name: [tuple(row) for row in con.execute(select(table))]
            for table in metadata.sorted_tables
        }


def test_hidden_visibility_shows_all_accounts_without_personal_data(marked_home: Home) -> None:
    engine = open_store(marked_home.database_url)
    seen_by_all, hidden = (
        everything_seen(engine),
        everything_seen(restricted_engine(engine, ANONYMOUS.visibility)),
    )
    assert MARK in str(seen_by_all)
    assert MARK not in str(hidden)
    for name in (
        "account_current",
        "account_version",
        "account_profile",
        "state_count",
        "snapshot",
    ):
        assert len(hidden[name]) == len(seen_by_all[name]) > 0


def test_restricted_visibility_shows_nothing_of_other_integrations(marked_home: Home) -> None:
    engine = open_store(marked_home.database_url)
    with engine.connect() as con:
        slack = con.scalar(
            select(integration.c.integration_id).where(integration.c.name == "slack")
        )
    figma = restricted_engine(engine, Visibility(("figma", "o'brien")))
    assert "slack" not in str(everything_seen(figma))
    everything = everything_seen(engine)
    for table in metadata.sorted_tables:
        if "integration_id" in table.c:
            with figma.connect() as con:
                ids = set(con.scalars(select(table.c.integration_id)))
            assert ids == ({1, 2} - {slack} if everything[table.name] else set()), table.name
    save_view(engine, SavedView("Ours", None, "state=Deleted", ("figma",)), "ada@x.io")
    with figma.connect() as con:
        assert [view.name for view in read_views(con, MARK)] == ["Ours"]
    rows = everything_seen(restricted_engine(engine, Visibility(())))
    assert not any(rows[t.name] for t in metadata.sorted_tables if t.name != "setting")


def test_cached_results_are_not_shared_between_visibilities(marked_home: Home) -> None:
    engine = open_store(marked_home.database_url)
    visibilities = [
        FULL_VISIBILITY,
        Visibility(("figma",)),
        Visibility((), PersonalData.HIDDEN),
        ANONYMOUS.visibility,
    ]
    for _ in range(2):
        counts, names = [], []
        for visibility in visibilities:
            with restricted_engine(engine, visibility).connect() as con:
                counts.append(count_accounts(con, Filters()))
                rows = page_of_accounts(con, Filters(), sort="user", descending=False, page=1)
                names.append({row.username_in_app for row in rows})
        assert counts == [6, 3, 0, 6]
        assert names[3] == {"•"}
        assert names[0] == names[1] != names[3]


# ---- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, *ROLES])
def test_every_page_checks_permissions(marked_home: Home, door: None, role: str | None) -> None:
    """Each page alone, without the navigation that would not offer it."""
    group = {name: group for group, name in GROUPS.items()}.get(role or "")
    for script, act in SCRIPTS.items():
        run = AppTest.from_file(PAGES / script, default_timeout=PATIENCE)
        run.user = claims(*filter(None, [group]))
        run.run()
        assert not run.exception
        drawn = "".join(str(element.proto) for element in run.main if hasattr(element, "proto"))
        if role and act in ROLES[role].permissions:
            last_word = run.title[0].value.split()[-1]
            assert last_word.capitalize() == script.removesuffix(".py").capitalize()
            if script == "users.py":
                assert (MARK in drawn) is (role != "Manager")
            if script == "health.py":
                assert MARK not in drawn, "reasons name nobody"
                assert ("has no licence" in drawn) is (role != "Manager")
                assert ("Click a row" in drawn) is (role != "Manager"), "they may not see Users"
        else:
            assert MARK not in drawn
            assert "figma" not in drawn
            words = "No access" if role else "Your session has ended"
            assert [title.value for title in run.title][-1] == words


def test_forged_rows_of_a_browser_open_nothing_invisible(
    marked_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither accounts of another integration, nor those of the same person there."""
    rules = replace(DOOR.role_mapping, integrations={"analysts": ["figma"]})
    monkeypatch.setattr(session, "auth_config", lambda: replace(DOOR, role_mapping=rules))
    run = AppTest.from_file(PAGES / "users.py", default_timeout=PATIENCE)
    run.user = claims("analysts")
    everybody = [account_link(n, f"{MARK}-id-{i}") for n in ("figma", "slack") for i in range(3)]
    forged = [*map(str, range(20)), *everybody, "x", ""]
    run.session_state["users"] = {"open": forged, "sort": "search"}
    assert not run.run().exception
    tables = [c.proto for c in run.get("bidi_component") if "users_table" in c.proto.component_name]
    drawn = str(tables)
    assert drawn.count("Assigned roles") == 3
    assert "slack" not in drawn


def test_addresses_of_chart_downloads_cannot_be_guessed(marked_home: Home, door: None) -> None:
    """Streamlit gives what is made when clicked to whoever knows its address."""

    def addresses() -> set[str]:
        run = AppTest.from_file(PAGES / "health.py", default_timeout=PATIENCE)
        run.user = claims("managers")
        return {button.proto.deferred_file_id for button in run.run().get("download_button")}

    ones, others = addresses(), addresses()
    assert len(ones) > 5
    assert not ones & others
    assert {UUID(each).version for each in ones} == {4}, "random"


def test_all_pages_are_tested() -> None:
    scripts = {path.name for path in PAGES.glob("*.py")}
    assert scripts == {*SCRIPTS, "navigation.py", "definitions.py"}


def test_without_sign_in_the_local_user_may_do_everything() -> None:
    assert LOCAL.permissions == set(Permission)


# ---- what the code must not do -------------------------------------------------------------------

SOURCES = [*PAGES.glob("*.py"), *(PAGES.parent / "widgets").rglob("*.py")]
AUTHORIZING = {"authorize", "store_connection", "real_connection", "_upload_progress"}
DRAW_NO_DATA = {"_follow_status"}
"""It shows the status of the store to people who wait for it."""


def calls_in(tree: ast.AST) -> set[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def test_every_fragment_checks_permissions() -> None:
    """Streamlit runs a fragment without the rest of the page, and so without its checks."""
    found = []
    for tree in (ast.parse(path.read_text()) for path in SOURCES):
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        decorated = [f for f in functions.values() if "fragment" in ast.unparse(f).split("def ")[0]]
        made = [
            functions[ast.unparse(call.args[0])]
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and call.args and ast.unparse(call.func) == "st.fragment"
        ]
        found += [f for f in (*decorated, *made) if f.name not in DRAW_NO_DATA]
    assert len(found) > 8
    assert [f.name for f in found if not calls_in(f) & AUTHORIZING] == []


def test_pages_reach_the_store_in_one_way_only() -> None:
    for path in SOURCES:
        text = path.read_text()
        banned_names = r"open_store|restricted_engine|create_unchecked_engine|active_store"
        assert not re.search(rf"import .*\b({banned_names})\b", text), path
        for banned in ("unsafe_allow_html", "persist=", "cache_resource", "st.experimental"):
            assert banned not in text, (path, banned)
        assert text.count("lazy=") == text.count("lazy=False"), path
        assert "download_button" not in text or path.name == "card.py", "a list has a route"
        assert text.count("cache_data") == text.count('cache_data(scope="session"'), path


def test_streamlit_is_configured_to_reveal_nothing() -> None:
    config = tomllib.loads((PAGES.parent / ".streamlit" / "config.toml").read_text())
    assert config["client"]["showErrorDetails"] == "none"
    assert config["client"]["showErrorLinks"] is False
    assert config["client"]["toolbarMode"] == "minimal"
    assert config["client"]["disableDataExport"] is True
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["headless"] is True  # or a browser on this machine may have it write
    assert config["server"].get("enableAgentApi", False) is False
    assert config["server"].get("enableCORS", True) is True
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["maxUploadSize"] <= 200


def test_an_error_of_a_statement_does_not_contain_its_values(marked_home: Home) -> None:
    with open_store(marked_home.database_url).connect() as con, pytest.raises(DBAPIError) as error:
        con.execute(text("SELECT nothing FROM account WHERE account_id = :id"), {"id": MARK})
    assert MARK not in str(error.value)
