"""Owners that Rollcall suggests for unmatched accounts, and the decisions about them."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
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
from queries.matching import MAX_SHOWN, MatchCandidates, MatchKind, evidence_text
from server.authorize import authorize, record_decision, writable_store
from server.session import current_principal
from widgets import timezone
from widgets.confirmation import decide
from widgets.signer import name_input, remember_name

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
NONE_SELECTED = "Select accounts in the list to decide about them."


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
    """The accounts of one kind with their evidence, and the buttons to decide."""
    counts = [
        f"{result.counts.get(name, 0):,} {label.lower()}" for name, label in KIND_LABELS.items()
    ]
    st.caption(f"Unmatched accounts: {', '.join(counts)}.")
    st.text(KIND_DESCRIPTIONS[kind])
    if not result.rows:
        st.text("No accounts.")
        return
    can_decide = kind in ("suggested", "decided")
    table = st.dataframe(
        pd.DataFrame(_table_row(row, kind) for row in result.rows),
        hide_index=True,
        key=f"accounts_{kind}_{_list_hash(result.rows)}",
        alt=f"Unmatched accounts: {KIND_LABELS[kind]}",
        on_select="rerun" if can_decide else "ignore",
        selection_mode="multi-row",
    )
    if len(result.rows) < result.counts[kind]:
        st.text(f"The first {MAX_SHOWN:,} of {result.counts[kind]:,}.")
    if can_decide:
        selected = table.selection.rows  # pyright: ignore[reportAttributeAccessIssue]
        _show_decisions([result.rows[index] for index in selected], kind)


def _list_hash(rows: Sequence[sa.Row[Any]]) -> str:
    """Identifies a list: Streamlit remembers selected positions, which belong to one list only."""
    identifiers = repr([(row.integration, row.account_id, row.person_id) for row in rows])
    return hashlib.sha256(identifiers.encode(errors="replace")).hexdigest()[:12]


def _table_row(row: sa.Row[Any], kind: MatchKind) -> dict[str, str]:
    person = " · ".join(filter(None, (row.user_name, row.user_email)))
    cells = {
        "Username in app": row.username_in_app,
        "Integration": row.integration,
        "Upstream user ID": row.upstream_user_id or "",
        "Email": row.email or "",
    }
    if kind in ("suggested", "decided"):
        cells |= {"Person": person or NO_OWNER, "Directory": row.person_integration or ""}
    cells["Evidence"] = row.evidence if kind == "decided" else evidence_text(row)
    if kind == "decided":
        decided_at = timezone.format_with_zone(row.decided_at)
        cells |= {"Decided by": row.decided_by, "Decided at": decided_at}
    return cells


# ---- decisions -----------------------------------------------------------------------------------


def _show_decisions(rows: Sequence[sa.Row[Any]], kind: MatchKind) -> None:
    """A button per decision about the selected rows."""
    if not rows:
        st.text(NONE_SELECTED)
        return
    author = name_input()
    actions = (
        {"Assign to this person": _assign, NO_OWNER: _assign_nobody}
        if kind == "suggested"
        else {"Withdraw": _withdraw}
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, action in actions.items():
            st.button(
                f"{label} ({count_of(len(rows), 'account')})",
                key=f"decide_{label}",
                disabled=not author.strip(),
                on_click=decide,
                args=(_run_action, action, rows, author),
            )


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
