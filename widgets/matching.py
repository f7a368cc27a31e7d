"""Owners that Rollcall suggests for unmatched accounts, and the decisions about them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from data.people.directories import save_directories
from data.records.audit_log import MAX_NAMES_LOGGED, Event
from data.records.decisions import MATCH_OVERRIDES
from data.records.matches import (
    MatchOverride,
    save_match_overrides,
)
from queries.account_links import account_link
from queries.matching import MAX_SHOWN, MatchCandidates, MatchKind, evidence_text
from server.authorize import authorize, record_decision, writable_store
from server.session import current_principal
from widgets import timezone
from widgets import users_table as ut
from widgets.account_row import COPIED_TEXTS
from widgets.address import update_address
from widgets.confirmation import decide
from widgets.people.address import person_address
from widgets.signer import name_input, remember_name
from widgets.users_table.marks import Marked, Marks

KIND_LABELS: dict[str, str] = {
    "suggested": "Suggested",
    "doubtful": "Ambiguous",
    "nobody": "No candidate",
    "decided": "Decided",
}
"""Kind of account → its name on the page."""

KIND_DESCRIPTIONS: dict[str, str] = {
    "suggested": "One person has the same upstream ID or email as the account.",
    "doubtful": "Several people match. Correct the data in the source to make it clear.",
    "nobody": "Nobody in the directories has the upstream ID or email of the account.",
    "decided": "A person decided who owns these accounts. You can withdraw a decision.",
}
"""Kind of account → what it means, and what to do."""

DIRECTORIES_TEXT = (
    "The integrations that list your people. Okta, Microsoft Entra ID and Google Workspace are "
    "recognized; add a list of your own, such as one of HR."
)
NO_OWNER = "No owner"

MAX_NAMES_SHOWN = 8
"""Accounts that a dialog names; it has the number of all."""

COLUMNS: dict[str, tuple[str, float, ut.Place | None]] = {
    "username_in_app": ("Username in app", 1.6, "title"),
    "integration": ("Integration", 0.9, "app"),
    "person": ("Person", 1.8, "name"),
    "directory": ("Directory", 0.9, None),
    "evidence": ("Evidence", 1.7, "fact"),
    "upstream_user_id": ("Upstream user ID", 1, None),
    "email": ("Email", 1.8, None),
    "decided_by": ("Decided by", 1, None),
    "decided_at": ("Decided at", 1.3, None),
}
"""Column → its heading, width and place on a phone."""


def choose_directories(integrations: Sequence[str], current: Sequence[str]) -> None:
    """Select the integrations that list people, as an identity provider does."""
    with st.expander("Directories", expanded=not current, key="directories"):
        st.text(DIRECTORIES_TEXT)
        chosen = st.multiselect("Directory integrations", integrations, list(current))
        if changed := set(chosen) ^ set(current):
            st.button(
                "Save directories",
                type="primary",
                key="save_directories",
                on_click=_save_directories,
                args=({name: name in chosen for name in sorted(changed)},),
                disabled=not current_principal().is_allowed_everywhere(Permission.CHANGE_SETTINGS),
            )


def _save_directories(words: dict[str, bool]) -> None:
    save_directories(writable_store(Permission.CHANGE_SETTINGS), words)
    record_decision(Event.SETTING_CHANGED, setting="Directories", integrations=words)


def choose_kind(kinds: Sequence[MatchKind]) -> MatchKind:
    """Select which unmatched accounts to list."""
    chosen = st.segmented_control(
        "Unmatched accounts",
        kinds,
        default=kinds[0],
        format_func=KIND_LABELS.__getitem__,
        key="kind",
        required=True,
    )
    return kinds[[*kinds].index(chosen)] if chosen in kinds else kinds[0]


def show_matches(result: MatchCandidates, kind: MatchKind) -> None:
    """The accounts of one kind with their evidence; marked ones can be decided about."""
    counts = [
        f"{result.counts.get(name, 0):,} {label.lower()}" for name, label in KIND_LABELS.items()
    ]
    st.caption(f"Unmatched accounts: {', '.join(counts)}.")
    st.text(KIND_DESCRIPTIONS[kind])
    if not result.rows:
        st.text("No accounts.")
        return
    _show_table(result.rows, kind)
    if len(result.rows) < result.counts[kind]:
        st.text(f"The first {MAX_SHOWN:,} of {result.counts[kind]:,}.")


@st.fragment
def _show_table(rows: Sequence[sa.Row[Any]], kind: MatchKind) -> None:
    authorize(Permission.MATCH)
    by_id = {account_link(row.integration, row.account_id): row for row in rows}
    texts = {id: _texts(row, kind) for id, row in by_id.items()}
    sort = st.query_params.get("sort", "")
    order, descending = sort.removeprefix("-"), sort.startswith("-")
    ids = sorted(texts, key=lambda id: texts[id].get(order, "").casefold(), reverse=descending)

    def sort_by(key: str) -> None:
        update_address(sort=f"-{key}" if key == order and not descending else key)

    def ask(label: str, marked: Marked) -> None:
        _decide_dialog(label, [row for id, row in by_id.items() if id in marked])

    ut.users_table(
        [_table_row(id, by_id[id], texts[id]) for id in ids],
        columns=[
            ut.column(name, heading, width=width, place=place)
            for name, (heading, width, place) in COLUMNS.items()
            if name in texts[ids[0]]
        ],
        details=lambda opened: {id: [_facts(by_id[id], texts[id])] for id in opened},
        caption=f"Unmatched accounts: {KIND_LABELS[kind]}",
        empty="No accounts.",
        key="matches",
        sort=order,
        descending=descending,
        on_sort=sort_by,
        marks=Marks(
            scope=f"{kind} {hash(frozenset((id, row.person_id) for id, row in by_id.items()))}",
            most=MAX_SHOWN,
            actions=[(label, label) for label in ACTIONS.get(kind, {})],
            on_action=ask,
            total=len(rows),
            copies=[(label, name) for name, label in COPIED_TEXTS.items()],
        ),
    )


def _person(row: sa.Row[Any]) -> str:
    """The suggested or decided owner."""
    return " · ".join(filter(None, (row.user_name, row.user_email))) or NO_OWNER


def _texts(row: sa.Row[Any], kind: MatchKind) -> dict[str, str]:
    """Column → its text; only the columns of this kind."""
    texts = {name: getattr(row, name) or "" for name in ("username_in_app", "integration")}
    if kind in ("suggested", "decided"):
        texts |= {"person": _person(row), "directory": row.person_integration or ""}
    texts["evidence"] = row.evidence if kind == "decided" else evidence_text(row)
    texts |= {"upstream_user_id": row.upstream_user_id or "", "email": row.email or ""}
    if kind == "decided":
        decided_at = timezone.format_with_zone(row.decided_at)
        texts |= {"decided_by": row.decided_by, "decided_at": decided_at}
    return texts


def _table_row(id: str, row: sa.Row[Any], texts: Mapping[str, str]) -> ut.TableRow:
    cells = {name: ut.text(text) for name, text in texts.items()}
    cells["username_in_app"] = ut.person(texts["username_in_app"])
    known = {"user_email": row.email, "account_id": row.account_id, **texts}
    copied = {name: known[name] for name in COPIED_TEXTS}
    return {**ut.row(id, row.username_in_app, **cells), "texts": copied}


def _facts(row: sa.Row[Any], texts: Mapping[str, str]) -> ut.Block:
    """All of a row, which is cut in the table."""
    values = [(COLUMNS[name][0], ut.text(text)) for name, text in texts.items()]
    if row.person_id:
        page = person_address(row.person_integration, row.person_id, None)
        values.append(("History of the person", ut.link("Open person", page)))
    return ut.facts([("Account ID", ut.copyable(ut.text(row.account_id))), *values])


# ---- decisions -----------------------------------------------------------------------------------


@st.dialog("Decide")
def _decide_dialog(label: str, rows: Sequence[sa.Row[Any]]) -> None:
    """Confirm a decision about the marked accounts, under a name."""
    st.text(f"{label}: {count_of(len(rows), 'account')}.")
    named = [f"{row.username_in_app} – {_person(row)}" for row in rows[:MAX_NAMES_SHOWN]]
    more = [f"and {len(rows) - len(named):,} more"] if len(rows) > len(named) else []
    st.text("\n".join([*named, *more]))
    author = name_input()
    action = {**ACTIONS["suggested"], **ACTIONS["decided"]}[label]
    if st.button(label, type="primary", key="decide", disabled=not rows):
        decide(_run_action, action, rows, author)
        st.rerun()


def _run_action(
    action: Callable[[Sequence[sa.Row[Any]], str], None], rows: Sequence[sa.Row[Any]], author: str
) -> None:
    """Decide about the rows, if the reader may decide for each of their integrations."""
    for row in rows:
        authorize(Permission.MATCH, row.integration)
    action(rows, author)
    remember_name(author)
    event = Event.MATCH_OVERRIDE_WITHDRAWN if action is _withdraw else Event.MATCH_OVERRIDDEN
    accounts = [f"{row.integration}/{row.account_id}" for row in rows[:MAX_NAMES_LOGGED]]
    owner = "none" if action is _assign_nobody else ""
    record_decision(event, number=len(rows), accounts=accounts, owner=owner)


def _assign(rows: Sequence[sa.Row[Any]], author: str) -> None:
    overrides = [
        MatchOverride(
            row.integration,
            row.account_id,
            evidence_text(row),
            row.person_integration,
            row.person_id,
            row.user_name,
            row.user_email,
        )
        for row in rows
    ]
    save_match_overrides(_store(rows), overrides, author)


def _assign_nobody(rows: Sequence[sa.Row[Any]], author: str) -> None:
    overrides = [
        MatchOverride(
            row.integration, row.account_id, f"{evidence_text(row)} The suggestion was rejected."
        )
        for row in rows
    ]
    save_match_overrides(_store(rows), overrides, author)


def _withdraw(rows: Sequence[sa.Row[Any]], author: str) -> None:
    accounts = [{"integration": row.integration, "account_id": row.account_id} for row in rows]
    MATCH_OVERRIDES.withdraw(_store(rows), accounts, author)


def _store(rows: Sequence[sa.Row[Any]]) -> sa.Engine:
    return writable_store(Permission.MATCH, rows[0].integration)


ACTIONS: dict[str, dict[str, Callable[[Sequence[sa.Row[Any]], str], None]]] = {
    "suggested": {"Assign to this person": _assign, NO_OWNER: _assign_nobody},
    "decided": {"Withdraw": _withdraw},
}
"""Kind of account → the decisions about it."""
