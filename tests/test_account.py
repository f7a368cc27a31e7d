"""One account in full: its details in the store, and the panel that shows them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account
from dropped_files import HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from data.schema import OPEN_END, TRACKED_COLUMNS
from data.states import STATE_NAMES
from queries.filters import Filters
from queries.users import detail as queries
from queries.users.accounts import page_of_accounts
from queries.users.detail import AccountDetails, account_details
from widgets.account_panel import panel

DAYS = [TODAY - timedelta(days=ago) for ago in (4, 3, 2, 1, 0)]


def keys_of(con: Connection, *names: str, **params: Any) -> list[int]:
    rows = page_of_accounts(con, Filters(**params), sort="user", descending=False, page=1)
    return [row.account_key for row in rows if row.username_in_app in names]


def details_of(con: Connection, username: str = "ada", **params: Any) -> AccountDetails:
    filters = Filters(**params)
    [key] = keys_of(con, username, **params)
    return account_details(con, filters, [key])[key]


def panel_of(con: Connection, username: str = "ada", **params: Any) -> list[Any]:
    """The blocks of the account's panel."""
    return panel(details_of(con, username, **params), as_of=params.get("as_of"))


def block(blocks: list[Any], caption: str) -> Any:
    return next(b for b in blocks if b.get("caption", "").startswith(caption))


def cell_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else cell["text"]


def roles(blocks: list[Any]) -> list[list[str]]:
    return [[cell_text(cell) for cell in row] for row in blocks[1]["rows"]]


def other_accounts(
    con: Connection, username: str = "ada", **params: Any
) -> list[tuple[str, str, bool]]:
    rows = details_of(con, username, **params).other_accounts
    return [(row.integration, row.username_in_app, row.same_id) for row in rows]


def history(blocks: list[Any]) -> list[tuple[int, str]]:
    """Day before today, and what happened."""
    return [
        ((TODAY - datetime.fromisoformat(e["iso"]).replace(tzinfo=None)).days, e["title"])
        for e in block(blocks, "History")["items"]
    ]


# ---- details ------------------------------------------------------------------------------------


def test_details_include_every_delivered_value(snapshots: Deliveries, con: Connection) -> None:
    admin = {"name": "Admin", "id": "r1", "type": "seat", "via": "sg-admins"}
    snapshots.take(
        an_account(
            "ada",
            account_id="A-1",
            roles=[admin],
            active="perhaps",
            state="Update failed",
            reason="Quota exceeded",
            code="FIG-429",
            team="Research",
        ),
        an_account("bob"),
    )
    ada = details_of(con).account
    assert (ada.integration, ada.account_id, ada.username_in_app) == ("figma", "A-1", "ada")
    assert (ada.roles, json.loads(ada.role_details)) == (["Admin"], [admin])
    assert (ada.state_reason, ada.failure_code) == ("Quota exceeded", "FIG-429")
    assert json.loads(ada.attributes) == {"team": "Research"}
    assert json.loads(ada.flags) == {"active_in_app": "perhaps"}
    assert ada.active_in_app is None


def test_details_are_those_of_the_moment(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(reason="old"), at=YESTERDAY)
    snapshots.take(an_account(reason="new"), at=TODAY)
    assert details_of(con).account.state_reason == "new"
    assert details_of(con, as_of=YESTERDAY).account.state_reason == "old"


def test_the_history_has_one_version_per_span_without_changes(
    snapshots: Deliveries, con: Connection
) -> None:
    states = ["Provisioning awaiting", "Onboarded", "Onboarded", None, "Update failed"]
    for day, state in zip(DAYS, states, strict=True):
        listed = [an_account("ada", state=state)] if state else []
        snapshots.take(*listed, an_account("bob"), at=day)
    spans = [
        (row.provisioning_state, row.valid_from, row.valid_to.year)
        for row in details_of(con).versions
    ]
    assert spans == [
        ("Provisioning awaiting", DAYS[0], 2026),
        ("Onboarded", DAYS[1], 2026),
        ("Update failed", DAYS[4], 9999),
    ]
    assert len(details_of(con, "bob").versions) == 1


def test_a_history_ends_at_the_requested_moment(snapshots: Deliveries, con: Connection) -> None:
    for day, state in zip(DAYS, ("Onboarded", "Update awaiting", "Update failed"), strict=False):
        snapshots.take(an_account(state=state), at=day)
    versions = details_of(con, as_of=DAYS[1] + timedelta(hours=1)).versions
    spans = [(row.provisioning_state, row.valid_to.year) for row in versions]
    assert spans == [("Onboarded", 2026), ("Update awaiting", 9999)]


def test_of_a_long_history_only_the_newest_part_is_shown(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_VERSIONS", 2)
    for number, day in enumerate(DAYS):
        snapshots.take(an_account(reason=f"{number}"), an_account("bob"), at=day)
    rows = details_of(con).versions
    assert [(row.state_reason, row.number) for row in rows] == [("3", 4), ("4", 5)]
    assert history(panel_of(con))[-1] == (1, "Earlier history is not shown")


def test_other_accounts_have_the_same_upstream_id_or_else_the_same_email(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(
        an_account(upstream_id="U", email="ada@x.io"),
        an_account("twin", upstream_id="U", email="ada@x.io"),
        an_account("other", upstream_id="V", email="bob@x.io"),
    )
    snapshots.take(
        an_account("by-id", upstream_id="U", email="old@x.io"),
        an_account("by-email", upstream_id=None, email="ADA@X.io"),
        an_account("no-one", upstream_id=None, email=None),
        integration="slack",
    )
    assert other_accounts(con) == [
        ("figma", "twin", True),
        ("slack", "by-email", False),
        ("slack", "by-id", True),
    ]
    assert other_accounts(con, "by-email") == [("figma", "ada", False), ("figma", "twin", False)]
    assert other_accounts(con, "no-one") == []
    assert other_accounts(con, "other") == []


def test_other_accounts_are_those_of_the_moment(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    snapshots.take(an_account("slack-ada"), integration="slack", at=TODAY)
    assert other_accounts(con) == [("slack", "slack-ada", True)]
    assert other_accounts(con, as_of=YESTERDAY) == []


def test_of_many_other_accounts_the_first_are_listed_and_all_are_counted(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_OTHER_ACCOUNTS", 2)
    snapshots.take(an_account(), *(an_account(f"n{n}") for n in range(4)))
    assert [name for _, name, _ in other_accounts(con)] == ["n0", "n1"]
    caption = "Other accounts of the same person (first 2 of 4)"
    assert block(panel_of(con), caption)


# ---- the state -----------------------------------------------------------------------------------


def test_the_state_is_shown_with_definition_reason_and_start(
    snapshots: Deliveries, con: Connection
) -> None:
    for day, state in zip(DAYS, ("Update ongoing", *["Update failed"] * 4), strict=True):
        snapshots.take(an_account(state=state, reason=f"{day:%d}", code="E1"), at=day)
    state = panel_of(con)[0]
    assert (state["mark"]["text"], state["tone"]) == ("Update failed", "bad")
    assert state["text"] == "The update job failed."
    assert state["since"]["text"] == f"since {DAYS[1]:%-d %b %Y} or earlier"
    assert [(label, cell_text(cell)) for label, cell in state["items"]] == [
        ("Reason", "23"),
        ("Code", "E1"),
    ]


def test_values_that_could_not_be_read_are_shown_with_their_text(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account(state="<b>odd</b>", last_updated="tomorrow", active="perhaps"))
    state, *blocks = panel_of(con)
    assert state["text"] == "The state in the file, “<b>odd</b>”, is not one Rollcall knows."
    assert {b["text"] for b in blocks if b.get("tone") == "warn"} == {
        "Could not read “Active in app”: “perhaps”",
        "Could not read “Last updated”: “tomorrow”",
    }


# ---- roles ---------------------------------------------------------------------------------------


def test_a_role_starts_as_the_file_says_or_when_first_seen_without_interruption(
    snapshots: Deliveries, con: Connection
) -> None:
    dated = {"name": "Dated", "since": "2020-05-01"}
    roles_by_day = (["Lost"], ["Broken"], ["Kept"], ["Broken", "Kept"], [dated, "Broken", "Kept"])
    for day, names in zip(DAYS, roles_by_day, strict=True):
        role_objects = [{"name": n} if isinstance(n, str) else n for n in names]
        snapshots.take(an_account(roles=role_objects), at=day)
    assert roles(panel_of(con)) == [
        ["Broken", f"first seen {DAYS[3]:%-d %b %Y}"],
        ["Dated", "2020-05-01"],
        ["Kept", f"first seen {DAYS[2]:%-d %b %Y}"],
    ]


def a_version(names: frozenset[str], state: str, start: datetime, end: datetime) -> Any:
    nothing = dict.fromkeys(TRACKED_COLUMNS)
    return SimpleNamespace(
        **nothing
        | {"username_in_app": "ada", "account_id": "ada", "integration": "figma"}
        | {"roles": sorted(names), "provisioning_state": state}
        | {"valid_from": start, "valid_to": end, "number": 1, "last_sign_in": None}
    )


@given(
    st.lists(
        st.tuples(
            st.frozensets(st.sampled_from("ABC")), st.sampled_from(STATE_NAMES[:2]), st.booleans()
        ),
        min_size=1,
        max_size=8,
    )
)
def test_since_is_the_start_of_the_last_span_without_interruption(
    spans: list[tuple[frozenset[str], str, bool]],
) -> None:
    """Each span ends where the next begins, or earlier: then the account was removed."""
    starts = [TODAY + timedelta(days=n) for n in range(len(spans))]
    ends = [
        start + timedelta(hours=12 if is_removed else 24)
        for start, (*_, is_removed) in zip(starts, spans, strict=True)
    ]
    versions = [
        a_version(names, state, start, end)
        for (names, state, _), start, end in zip(spans, starts, [*ends[:-1], OPEN_END], strict=True)
    ]

    def start_of(holds: Any) -> str:
        first = len(spans) - 1
        while first and not spans[first - 1][2] and holds(spans[first - 1]):
            first -= 1
        return f"{starts[first]:%-d %b %Y}"

    blocks: list[Any] = panel(AccountDetails(versions[-1], versions, []), as_of=None)
    names, state, _ = spans[-1]
    assert dict(roles(blocks)) == {
        role: f"first seen {start_of(lambda span, role=role: role in span[0])}" for role in names
    }
    since = start_of(lambda span: span[1] == state)
    assert blocks[0]["since"]["text"] == f"since {since} or earlier"


def test_a_removal_interrupts_state_and_roles(snapshots: Deliveries, con: Connection) -> None:
    for day in DAYS:
        listed = [] if day == DAYS[2] else [an_account()]
        snapshots.take(*listed, an_account("bob"), at=day)
    blocks = panel_of(con)
    assert roles(blocks) == [["Editor", f"first seen {DAYS[3]:%-d %b %Y}"]]
    assert blocks[0]["since"]["text"] == f"since {DAYS[3]:%-d %b %Y} or earlier"


def test_a_role_held_in_two_ways_has_two_rows(snapshots: Deliveries, con: Connection) -> None:
    ways = [{"name": "Admin", "via": via} for via in ("sg-it", "sg-ops")]
    snapshots.take(an_account(roles=ways))
    blocks = panel_of(con)
    assert blocks[1]["caption"] == "Assigned roles (1)"
    assert blocks[1]["columns"] == ["Role", "Via", "Since"]
    assert [row[:2] for row in roles(blocks)] == [["Admin", "sg-it"], ["Admin", "sg-ops"]]


def test_white_space_around_a_role_name_is_ignored(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(roles=[{"name": " Admin\n", "via": "sg-it"}]))
    assert [row[:2] for row in roles(panel_of(con))] == [["Admin", "sg-it"]]


def test_all_of_five_hundred_roles_are_listed_and_can_be_searched(
    snapshots: Deliveries, con: Connection
) -> None:
    names = [f"Role {n:03}" for n in range(500)]
    snapshots.take(an_account(roles=names[:20]), at=YESTERDAY)
    snapshots.take(an_account(roles=names), at=TODAY)
    assert not panel_of(con, as_of=YESTERDAY)[1]["searchable"]
    blocks = panel_of(con)
    assert [row[0] for row in roles(blocks)] == names
    assert blocks[1]["searchable"]
    [gained] = [e for e in block(blocks, "History")["items"] if e["title"] == "480 roles gained"]
    assert (len(gained["tags"]["items"]), gained["tags"]["more"]) == (100, 380)


def test_hostile_role_texts_are_shown_unchanged(snapshots: Deliveries, con: Connection) -> None:
    hostile = [{"name": text, "description": text, "via": text, "since": text} for text in HOSTILE]
    snapshots.take(an_account(roles=hostile))
    assert roles(panel_of(con)) == [[text] * 4 for text in sorted(HOSTILE)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (True, "true"), (["a"], '["a"]'), (None, "–"), ({"k": 1}, '{"k":')],
)
def test_the_details_of_a_role_can_be_any_value(
    snapshots: Deliveries, con: Connection, value: Any, text: str
) -> None:
    snapshots.take(an_account(roles=[{"name": "A", "type": "x"}, {"name": "B", "type": value}]))
    assert roles(panel_of(con))[1][1].startswith(text)


# ---- history -------------------------------------------------------------------------------------


def test_the_history_shows_every_kind_of_change(snapshots: Deliveries, con: Connection) -> None:
    day = an_account(account_id="1", roles=["A", "B"], team="red")
    snapshots.take(day, at=DAYS[0])
    snapshots.take(an_unmatched_account(account_id="1", roles=["A", "B"], team="red"), at=DAYS[1])
    snapshots.take(
        an_account(account_id="1", roles=["B", "C"], active="no", team="blue", state="Deleted"),
        at=DAYS[2],
    )
    snapshots.take(
        an_account("ada.l", account_id="1", roles=["B", "C"], active="no", state="Deleted",
                   email="al@x.io", upstream_id="U2", team="blue", reason="why"),
        at=DAYS[3],
    )  # fmt: skip
    blocks = panel_of(con, "ada.l")
    assert history(blocks) == [
        (1, "User changed"),
        (1, "Username in app changed"),
        (1, "Upstream user ID changed"),
        (1, "Details changed"),
        (2, "Onboarded → Deleted"),
        (2, "1 role gained"),
        (2, "1 role lost"),
        (2, "Matched with a user"),
        (2, "Active in app: yes → no"),
        (2, "Details changed"),
        (3, "Became unmatched"),
        (4, "First seen"),
    ]
    events = block(blocks, "History")["items"]
    assert [e["change"] for e in events[:3]] == [
        ("Ada Lovelace · ada@x.io", "Ada Lovelace · al@x.io"),
        ("ada", "ada.l"),
        ("00u1", "U2"),
    ]
    named = [e["tags"]["items"] for e in events if e["tags"]]
    assert named == [["Reason"], ["C"], ["A"], ["team"]]


def test_a_removed_account_can_return(snapshots: Deliveries, con: Connection) -> None:
    for day in DAYS:
        state = "Onboarded" if day < DAYS[3] else "x"
        listed = [] if day in DAYS[1:3] else [an_account(state=state)]
        snapshots.take(*listed, an_account("bob"), at=day)
    assert history(panel_of(con)) == [
        (1, "Returned"),
        (1, "Onboarded → Unrecognised"),
        (3, "Removed"),
        (4, "First seen"),
    ]


def test_a_new_last_updated_alone_is_no_event(snapshots: Deliveries, con: Connection) -> None:
    for day in DAYS:
        snapshots.take(an_account(last_updated=f"{day:%Y-%m-%dT%H:%M:%SZ}"), at=day)
    assert history(panel_of(con)) == [(4, "First seen")]


def test_the_panel_shows_the_account_as_of_the_moment(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account(roles=["Old"]), at=DAYS[0])
    snapshots.take(an_account(roles=["New"]), at=DAYS[2])
    blocks = panel_of(con, as_of=DAYS[1])
    assert history(blocks) == [(4, "First seen")]
    assert [row[0] for row in roles(blocks)] == ["Old"]


# ---- other accounts, and what else the snapshot says ---------------------------------------------


@pytest.mark.parametrize("name", [*HOSTILE, "?x=1#y", "a&integration=b", "//evil.example/"])
def test_another_account_is_a_link_within_the_page(
    snapshots: Deliveries, con: Connection, name: str
) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    snapshots.take(an_account(name), integration="R&D #1", at=YESTERDAY)
    table = block(panel_of(con, as_of=YESTERDAY), "Other accounts of the same person (1)")
    [[link, *cells]] = table["rows"]
    assert link["text"] == name
    assert [cell_text(cell) for cell in cells] == ["R&D #1", "Onboarded", "Yes", "Upstream user ID"]
    assert link["href"][0] == "?"
    assert parse_qs(link["href"][1:]) == {
        "integration": ["R&D #1"],
        "q": [name[:200].strip()],
        "as_of": [f"{YESTERDAY.isoformat()}Z"],
    }


def test_a_person_with_one_account_has_no_list_of_others(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account())
    assert not [b for b in panel_of(con) if b.get("caption", "").startswith("Other accounts")]


def test_other_columns_are_shown_in_a_readable_way(snapshots: Deliveries, con: Connection) -> None:
    manager = {"name": "Grace", "teams": ["a", "b"]}
    deep = "[" * 50_000 + "]" * 50_000
    snapshots.take(
        an_account(
            team="Research",
            groups=json.dumps(["x", "y"]),
            manager=json.dumps(manager),
            deep=deep,
            broken="{no json",
        )
    )
    cells = dict(block(panel_of(con), "Also in the snapshot")["items"])
    assert {name: cell["kind"] for name, cell in cells.items()} == {
        "team": "text",
        "groups": "tags",
        "manager": "lines",
        "deep": "text",
        "broken": "text",
    }
    assert cells["groups"]["items"] == ["x", "y"]
    assert cells["manager"]["text"].splitlines()[:2] == ["{", '  "name": "Grace",']
    assert (cells["deep"]["text"], cells["broken"]["text"]) == (deep, "{no json")
