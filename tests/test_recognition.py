"""What a file is read as: a product needs proof, and a person has the last word."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deliveries import MONDAY, TUESDAY, account_ids, accounts, deliver, rejections
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from test_sources import loaded, more_of, report_of, roles_of

import commands
import rollcall
from data.files.errors import InvalidMapping, NotAListOfAccounts, OnHold
from data.files.mapping import ColumnMapping, read_mapping
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.sources import SOURCES, recognize, source_choices
from data.sources.delivery import inspect_file
from data.sources.documents import Prefix
from data.sources.pages import (
    LAST_KEYS,
    MORE_KEYS,
    NEXT_KEYS,
    TOTAL_KEYS,
    PageCounter,
    make_page,
)
from data.sources.product import Proof
from data.sources.products import PRODUCTS
from data.sources.source import SourceReport

SLACK = (
    "username,email,status,billing-active,has-2fa,has-sso,userid,fullname\n"
    "mira,mira@x.io,Admin,1,1,0,U1,Mira Solberg\n"
    "wanda,wanda@x.io,Deactivated,0,0,0,U2,Wanda Ruiz\n"
    "otto,otto@x.io,Single-Channel Guest,0,0,0,U3,Otto Guest\n"
)


def seat(path: str, value: Any, record: dict[str, Any]) -> None:
    """Put a value at a path like `profile.login`."""
    *parents, last = path.split(".")
    for parent in parents:
        record = record.setdefault(parent, {})
    record[last] = value


def file_with(proof: Proof) -> Prefix:
    """The beginning of a file with just the proof."""
    keys: dict[str, Any] = {}
    record: dict[str, Any] = {}
    for name in proof.names:
        seat(name, "x", record)
    for name, pattern in proof.values.items():
        value = SAMPLES[pattern]
        if name.startswith("@"):
            keys[name.removeprefix("@")] = value
        else:
            seat(name, value, record)
    return Prefix(keys, "users", record, is_object=True)


SAMPLES = {
    ".*#users.*": "https://graph.microsoft.com/v1.0/$metadata#users",
    "(admin#)?directory#user": "directory#user",
    "(admin#)?directory#users": "admin#directory#users",
    r"(admin#)?directory#(?!users?$).*": "admin#directory#groups",
    "user": "user",
    "users": "users",
    "User": "User",
    "/services/data/.*": "/services/data/v58.0/sobjects/User/005",
    "https://[^/]+/(api/v3/)?users/[^/]+": "https://api.github.com/users/mira",
    "[UW][A-Z0-9]+": "U07AAAA0001",
    "arn:aws[a-z-]*:iam::.*": "arn:aws:iam::1:user/mira",
    ".*/user.*": "https://acme.atlassian.net/rest/api/3/user?accountId=5b10",
    r"https://[^/]+/users/\w+": "https://acme.pagerduty.com/users/PX1",
    r"https://[^/]+/api/v2/(end_)?users/\d+.json": "https://acme.zendesk.com/api/v2/users/1.json",
    "STAGED|PROVISIONED|ACTIVE|RECOVERY|PASSWORD_EXPIRED|LOCKED_OUT|SUSPENDED|DEPROVISIONED": (
        "ACTIVE"
    ),
}
PROOFS = [
    pytest.param(product.key, proof, id=f"{product.key}-{number}")
    for product in PRODUCTS
    for number, proof in enumerate(product.proofs)
]


def claims(prefix: Prefix) -> set[str]:
    return {source.key for source in SOURCES if source.detect(prefix)}


@pytest.mark.parametrize(("key", "proof"), PROOFS)
def test_a_proof_is_of_one_product_and_nothing_of_it_can_be_missing(key: str, proof: Proof):
    assert claims(file_with(proof)) == {key}
    parts = [*proof.names, *proof.values]
    for missing in parts:
        names = tuple(name for name in proof.names if name != missing)
        values = {name: pattern for name, pattern in proof.values.items() if name != missing}
        if names or values:
            assert key not in claims(file_with(Proof(names, values)))


LOOKALIKE_KEYS = (
    "id name email login username userName user users status state type role roles isAdmin active "
    "enabled disabled firstName lastName displayName created last_login profile attributes title "
    "department suspended is_active profile_id userPrincipalName user_id email_verified"
).split()


@given(
    record=st.dictionaries(
        st.sampled_from(LOOKALIKE_KEYS), st.sampled_from(["user", "ada", 1, True, None]), min_size=1
    ),
    list_key=st.sampled_from(["users", "data", "members", "Users", "value", "result", ""]),
)
@example(record=dict.fromkeys(LOOKALIKE_KEYS, "user"), list_key="users")
@example(record={key: {"id": "u1"} for key in LOOKALIKE_KEYS}, list_key="users")
@settings(max_examples=50)
def test_a_list_of_usual_keys_is_no_product_s(record: dict[str, Any], list_key: str):
    nested = {"type": "users", "id": "1", "attributes": record}
    for first in (record, nested):
        assert claims(Prefix({"total": 1}, list_key, first, is_object=bool(list_key))) == set()
    assert claims(Prefix(rows=([*record], ["x"] * len(record)))) == set()


# ---- products ------------------------------------------------------------------------------------


def test_a_slack_member_list_says_who_is_active_by_its_status(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, SLACK)
    assert {
        name: (each["roles"], each["active_in_app"], each["user_name"], each["state_source"])
        for name, each in accounts(store).items()
    } == {
        "mira": (["Admin"], True, "Mira Solberg", "inferred"),
        "wanda": ([], False, "Wanda Ruiz", "inferred"),
        "otto": (["Single-Channel Guest"], True, "Otto Guest", "inferred"),
    }
    assert report_of(store).source_remarks == [
        "Read as Slack member list (columns userid, billing-active, has-2fa)."
    ]


def test_lines_around_a_product_s_table_are_no_accounts(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, f"Members of Acme\n\n{SLACK}\nConfidential\n")
    assert set(accounts(store)) == {"mira", "wanda", "otto"}
    assert [(line, reason) for line, _, reason in rejections(store)] == [
        (8, "The row has no username in app.")
    ]


def datadog(number: int, *roles: str, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "users", "id": f"d{number}",
        "attributes": {"handle": f"u{number}", "service_account": False, **attributes},
        "relationships": {"roles": {"data": [{"type": "roles", "id": role} for role in roles]}},
    }  # fmt: skip


def test_datadog_s_roles_are_named_by_what_is_included(store: Engine, tmp_path: Path):
    page = {
        "data": [
            datadog(1, "r1", name="Mira", status="Active"),
            datadog(2, status="Disabled"),
            datadog(3, status="Pending"),
        ],
        "included": [{"type": "roles", "id": "r1", "attributes": {"name": "Admin Role"}}],
        "meta": {"page": {"total_count": 3}},
    }
    found = loaded(store, tmp_path, page)
    assert [
        (found[name]["roles"], found[name]["active_in_app"]) for name in ("u1", "u2", "u3")
    ] == [(["Admin Role"], True), ([], False), ([], None)]
    page["meta"]["page"]["total_count"] = 4
    with pytest.raises(OnHold, match=r"meta.page.total_count is 4, but the file has 3"):
        loaded(store, tmp_path, page, taken_at=TUESDAY)


def test_an_account_s_status_is_never_a_provisioning_state(store: Engine, tmp_path: Path):
    users = [
        {
            "username": name, "state": state, "access_level": level, "id": number,
            "web_url": f"https://git.x.io/{name}",
        }
        for number, (name, state, level) in enumerate(
            [("ada", "active", 50), ("bob", "blocked", 30), ("cyd", "napping", 10)]
        )
    ]  # fmt: skip
    found = loaded(store, tmp_path, users)
    assert {each["provisioning_state"] for each in found.values()} == {"Onboarded"}
    assert [each["active_in_app"] for each in found.values()] == [True, False, None]
    assert json.loads(found["cyd"]["flags"]) == {"active_in_app": "napping"}
    assert found["ada"]["roles"] == ["Owner"]


def test_a_deleted_user_of_graph_is_deleted(store: Engine, tmp_path: Path):
    users = [
        {"id": "1", "userPrincipalName": "ada@x.io", "deletedDateTime": "2026-11-20T08:00:00Z"},
        {"id": "2", "userPrincipalName": "bob@x.io"},
    ]
    context = "https://graph.microsoft.com/v1.0/$metadata#users"
    found = loaded(store, tmp_path, {"@odata.context": context, "value": users})
    ada, bob = found["ada@x.io"], found["bob@x.io"]
    assert (ada["provisioning_state"], ada["state_source"]) == ("Deleted", None)
    assert (bob["provisioning_state"], bob["state_source"]) == ("Onboarded", "inferred")


def test_scim_is_read_as_servers_send_it(store: Engine, tmp_path: Path):
    role = {"id": "7", "value": "Admin", "displayName": "Administrator"}
    page = {
        "totalResults": 2,
        "Resources": [
            {
                "id": "1", "userName": "ada", "emails": ["ada@x.io"], "name": "Ada L",
                "roles": json.dumps([role]),
            },
            {
                "ID": "2", "USERNAME": "bob", "roles": ["member", json.dumps(role)],
                "emails": [{"value": "home@x.io"}, {"value": "bob@x.io", "primary": "True"}],
                "deletedDateTime": "2026-11-20T08:00:00Z",
                "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"Department": "IT"},
            },
        ],
    }  # fmt: skip
    found = loaded(store, tmp_path, page)
    assert more_of(found["ada"]) == {"Email": "ada@x.io", "Name": "Ada L"}
    assert roles_of(found["ada"]) == {("Administrator", "Role")}
    assert roles_of(found["bob"]) == {("member", "Role"), ("Administrator", "Role")}
    assert more_of(found["bob"])["Email"] == "bob@x.io"
    assert more_of(found["bob"])["Department"] == "IT"
    assert found["bob"]["provisioning_state"] == "Deleted"


def test_a_table_of_log_analytics_is_a_provisioning_log(store: Engine, tmp_path: Path):
    sink = io.StringIO()
    status = {"status": "failure", "errorInformation": {"errorCode": "Conflict", "reason": "409"}}
    source = {"id": "a1", "name": "Ada", "details": {"UserPrincipalName": "ada@x.io"}}
    row = {
        "TimeGenerated [UTC]": "11/22/2026, 10:15:00.000 PM", "ChangeId": "c1", "Id": "e1",
        "ProvisioningAction": "create", "ProvisioningStatusInfo": json.dumps(status),
        "SourceIdentity": json.dumps(source | {"identityType": "User"}),
    }  # fmt: skip
    writer = csv.DictWriter(sink, row)
    writer.writeheader()
    writer.writerow(row)
    deliver(store, tmp_path, sink.getvalue())
    ada = accounts(store)["ada@x.io"]
    assert (ada["provisioning_state"], ada["failure_code"], ada["state_reason"]) == (
        "Provisioning failed", "Conflict", "409",
    )  # fmt: skip
    assert ada["last_updated"].isoformat() == "2026-11-22T22:15:00"


# ---- envelopes -----------------------------------------------------------------------------------


def missing(*envelopes: dict[str, Any]) -> SourceReport:
    """What is said of the pages of one list."""
    counter, report = PageCounter(), SourceReport()
    for envelope in envelopes:
        counter.add(make_page(envelope))
    counter.finish(report)
    return report


CONTAINERS = st.sampled_from([(), ("meta",), ("meta", "page"), ("paging",), ("_links",)])
NEXT_VALUES = st.sampled_from(["https://x.io/?page=2", "abc", 2, {"href": "https://x.io"}])
NO_NEXT_VALUES = st.sampled_from(["", None, 0, False, {}, {"href": None}])


def envelope(count: int, container: tuple[str, ...], /, **statement: Any) -> dict[str, Any]:
    page: dict[str, Any] = {"users": [{"id": n, "login": f"u{n}"} for n in range(count)]}
    inner = page
    for name in container:
        inner = inner.setdefault(name, {})
    inner.update(statement)
    return page


@given(
    container=CONTAINERS,
    count=st.integers(0, 9),
    key=st.sampled_from(sorted(NEXT_KEYS)),
    value=NEXT_VALUES,
    no_value=NO_NEXT_VALUES,
    separator=st.sampled_from(["", "-", "_"]),
)
@settings(max_examples=50)
def test_any_envelope_that_names_a_next_page_is_incomplete(
    container: tuple[str, ...], count: int, key: str, value: Any, no_value: Any, separator: str
):
    spelled = (
        key.removeprefix("odata") if separator == "." else key.replace("next", "next" + separator)
    )
    first = envelope(count, container, **{spelled or key: value})
    last = envelope(count, container, **{spelled or key: no_value})
    assert "names a next one" in missing(first).incomplete_reason
    assert missing(first, last).incomplete_reason == missing(last).incomplete_reason == ""


@given(
    container=CONTAINERS,
    count=st.integers(0, 9),
    key=st.sampled_from(sorted(TOTAL_KEYS)),
    others=st.integers(0, 5),
    as_text=st.booleans(),
)
@settings(max_examples=50)
def test_a_list_with_fewer_records_than_its_total_is_incomplete(
    container: tuple[str, ...], count: int, key: str, others: int, as_text: bool
):
    total = str(count + others) if as_text else count + others
    reason = missing(envelope(count, container, **{key: total})).incomplete_reason
    assert bool(reason) == (others > 0)


@pytest.mark.parametrize("key", sorted(MORE_KEYS | LAST_KEYS))
def test_a_page_that_says_whether_there_are_more_is_believed(key: str):
    has_more = envelope(2, (), **{key: key in MORE_KEYS})
    has_no_more = envelope(2, (), **{key: key not in MORE_KEYS})
    assert "says that there are more" in missing(has_more).incomplete_reason
    assert missing(has_no_more).incomplete_reason == ""


def test_a_list_that_starts_later_or_has_other_pages_is_incomplete():
    assert (
        "not the first of the list (offset is 50)"
        in missing(envelope(2, (), offset=50)).incomplete_reason
    )
    assert (
        "totalPages is 3, but the file has 1"
        in missing(envelope(2, ("page",), totalPages=3)).incomplete_reason
    )
    assert missing(envelope(2, (), page=1, pages=1, startIndex=1)).incomplete_reason == ""


def test_a_full_page_is_worth_a_look_even_if_it_says_that_it_is_all():
    assert missing(envelope(99, (), total=99)).warnings == []
    assert missing(envelope(100, (), total=100)).warnings == [
        "The last page has 100 records, which is a full page. Check that it is the complete list."
    ]


def test_a_list_alone_of_exactly_a_page_is_worth_a_look(store: Engine, tmp_path: Path):
    users: list[dict[str, Any]] = [{"login": f"u{n}"} for n in range(100)]
    loaded(store, tmp_path, users)
    assert report_of(store).notes[0].startswith("The last page has 100 records")
    ours = [user | {"state": "Onboarded"} for user in users]
    loaded(store, tmp_path, ours, taken_at=TUESDAY)
    assert report_of(store, TUESDAY).notes == []


@pytest.mark.parametrize(
    "key", ["data", "users", "members", "value", "result", "Users", "entries", "items", "Resources"]
)
def test_the_list_in_an_envelope_is_found(key: str):
    users = [{"login": "ada"}]
    for found in ({key: users, "ok": True, "errors": []}, {"data": {key: users}, "ok": True}):
        assert make_page(found).records == users
    two = {key: users, "accounts": users, "ok": True}
    assert not make_page(two).is_list


def test_a_list_within_several_objects_is_found_with_what_they_say(store: Engine, tmp_path: Path):
    nodes = {"nodes": [{"login": "ada"}], "pageInfo": {"hasNextPage": True}}
    assert make_page({"data": {"team": {"users": nodes}}}).records == nodes["nodes"]
    assert "hasNextPage" in missing({"data": {"team": {"users": nodes}}}).incomplete_reason
    odata = {"d": {"results": [{"login": "ada"}], "__next": "https://x.io?skip=1"}}
    assert "d.__next" in missing(odata).incomplete_reason
    edges = {"data": {"team": {"edges": [{"node": {"login": "ada"}}], "more": 0}}}
    with pytest.raises(NotAListOfAccounts, match=r"If “data\.team\.edges” is the complete list"):
        loaded(store, tmp_path, edges)


def test_the_envelope_of_a_table_of_one_s_own_is_opened(store: Engine, tmp_path: Path):
    page = {"ok": True, "entries": [{"login": "ada", "price": 1.10}], "total_count": 1}
    found = loaded(store, tmp_path, json.dumps(page).replace("1.1", "1.10"))
    assert more_of(found["ada"]) == {"price": "1.10"}
    assert report_of(store).notes == []
    with pytest.raises(OnHold, match="total_count is 2, but the file has 1"):
        loaded(store, tmp_path, page | {"total_count": 2}, taken_at=TUESDAY)


def test_an_envelope_that_does_not_say_whether_it_is_complete_is_worth_a_look(
    store: Engine, tmp_path: Path
):
    loaded(store, tmp_path, {"result": {"members": [{"login": "ada"}]}, "ok": True})
    assert "does not say whether that is complete" in report_of(store).warnings()[0]


# ---- a person chooses ----------------------------------------------------------------------------


def load_as(store: Engine, folder: Path, content: str, key: str, name: str = "a.csv") -> Any:
    (folder / name).write_text(content)
    load(store, SnapshotFile(folder / name, "figma", MONDAY, ColumnMapping(read_as=key)))
    return accounts(store)


def test_a_file_can_be_read_as_a_table_though_a_product_is_proved(store: Engine, tmp_path: Path):
    text = "login,userid,billing-active,has-2fa,Active\nada,U1,1,1,no\n"
    found = load_as(store, tmp_path, text, "table")
    assert account_ids(store) == {"U1"}
    assert more_of(found["ada"]) == {"billing-active": "1", "has-2fa": "1"}
    assert "Read as a table of your own (as chosen)." in report_of(store).remarks()


def test_a_file_can_be_read_as_a_product_without_its_proof(store: Engine, tmp_path: Path):
    found = load_as(store, tmp_path, "username,status\nada,Deactivated\nbob,Member\n", "slack")
    assert (found["ada"]["active_in_app"], found["bob"]["roles"]) == (False, ["Member"])


@pytest.mark.parametrize(
    ("key", "name", "content", "words"),
    [
        ("okta", "a.csv", SLACK, "as chosen: expected JSON or NDJSON, found CSV. Choose another"),
        ("conductorone", "a.json", "[]", "as chosen: expected CSV, found JSON"),
        ("slack", "a.json", '[{"login": "ada"}]', "no record has a username where the product has"),
        ("baton", "a.json", '[{"login": "ada"}]', "list no users"),
        ("scim", "a.json", '{"members": [{"id": 1}]}', "lists no users"),
        ("okta-users", "a.json", "[[1], 2]", "as chosen: no record has a username"),
    ],
)
def test_a_choice_that_does_not_fit_is_rejected_with_the_way_on(
    store: Engine, tmp_path: Path, key: str, name: str, content: str, words: str
):
    with pytest.raises(NotAListOfAccounts, match=words):
        load_as(store, tmp_path, content, key, name)


def test_an_unknown_choice_in_a_mapping_names_the_known_ones(store: Engine, tmp_path: Path):
    with pytest.raises(InvalidMapping, match="read_as is “jira”; expected one of scim, okta"):
        load_as(store, tmp_path, SLACK, "jira")


def test_a_choice_on_the_command_line_is_saved_for_the_integration(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "members.csv"
    path.write_text(SLACK)
    mapping = tmp_path / "m.toml"
    mapping.write_text('[columns]\nstate_reason = "status"\n')
    how = ["--integration", "figma", "--taken-at", "2026-11-23"]
    saved = [*how, "--mapping", str(mapping), "--as", "table", "--confirm"]
    assert rollcall.main(["load", str(path), *saved]) == commands.EXIT_OK
    assert rollcall.main(["load", str(path), *how, "--as", "slack"]) == commands.EXIT_OK
    assert read_mapping(home, "figma") == ColumnMapping(
        {"state_reason": ("status",)}, read_as="slack"
    )
    capsys.readouterr()
    with pytest.raises(SystemExit) as usage:
        rollcall.main(["check", str(path), *how, "--as", "jira"])
    assert usage.value.code == commands.EXIT_USAGE
    assert "invalid choice: 'jira' (choose from 'scim'" in capsys.readouterr().err


def test_a_file_says_what_it_is_before_it_is_loaded(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text(SLACK)
    with sa.create_engine("duckdb:///:memory:").connect() as con:
        found = inspect_file(con, path)
        as_table = inspect_file(con, path, mapping=ColumnMapping(read_as="table"))
        path.write_text("login\nada\n")
        assert inspect_file(con, path).recognition.key == "table"
    assert (found.proposal, found.error) == (None, "")
    assert found.recognition.sentence == (
        "Read as Slack member list (columns userid, billing-active, has-2fa)."
    )
    assert as_table.recognition.reason == "as chosen"
    assert as_table.proposal
    assert [*source_choices()][-1] == recognize([]).key == "table"
