"""Suggestions of whose an account is, and what a person says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.records.audit_log import Event
from data.records.decisions import InvalidInput
from data.records.matches import (
    MatchOverride,
    save_directories,
    save_match_overrides,
    withdraw_match_overrides,
)
from queries.matching import MAX_SHOWN, MatchCandidates, MatchKind, evidence_text
from server.authorize import authorize, record_action, writable_store
from server.session import current_principal
from widgets import timezone
from widgets.signer import name_input, remember_name

KIND_LABELS: dict[str, str] = {
    "suggested": "Suggested",
    "doubtful": "In doubt",
    "nobody": "Nobody found",
    "decided": "Decided",
}
"""Kind of account → what it is called on the page."""

KIND_DESCRIPTIONS: dict[str, str] = {
    "suggested": "One person has the upstream ID of the account, or its email.",
    "doubtful": "Several people could be meant; the sources have to say it more clearly.",
    "nobody": "Nobody in the list of people has what the account tells of its owner.",
    "decided": "Somebody has said whose these accounts are. It holds until it is withdrawn.",
}
"""Kind of account → what it means, and what to do."""

MAX_NAMES_LOGGED = 100
"""Accounts that one line of the audit log names."""


def choose_people_lists(
    integrations: Sequence[str], lists: Sequence[str], likely_lists: Sequence[str]
) -> None:
    """Which integrations list people, as an identity provider does."""
    current = [name for name in integrations if name in lists]
    with st.expander("Lists of people", expanded=not current, key="people_lists"):
        st.text(
            "Accounts are compared with the people of these integrations: those of an identity "
            "provider, such as Okta or Microsoft Entra."
        )
        default = current or [name for name in integrations if name in likely_lists]
        chosen = st.multiselect("Integrations that list people", integrations, default)
        if sorted(chosen) != sorted(current):
            st.button(
                "Compare with these",
                type="primary",
                key="set_people",
                on_click=_save_people_lists,
                args=(chosen,),
                disabled=not current_principal().is_allowed_everywhere(Permission.CHANGE_SETTINGS),
            )


def _save_people_lists(chosen: Sequence[str]) -> None:
    save_directories(writable_store(Permission.CHANGE_SETTINGS), chosen)
    record_action(Event.SETTING_CHANGED, setting="Lists of people", integrations=list(chosen))


def choose_kind(kinds: Sequence[MatchKind]) -> MatchKind:
    """Which accounts to look at."""
    chosen = st.segmented_control(
        "Accounts without a user",
        kinds,
        default=kinds[0],
        format_func=KIND_LABELS.__getitem__,
        key="kind",
        required=True,
    )
    index = [*kinds].index(chosen) if chosen in kinds else 0
    return kinds[index]


def show_matches(result: MatchCandidates, kind: MatchKind) -> None:
    """The accounts of a kind, with the evidence, and the ways to decide."""
    counts = [
        f"{result.counts.get(name, 0):,} {label.lower()}" for name, label in KIND_LABELS.items()
    ]
    st.caption(f"Of the accounts without a user: {', '.join(counts)}.")
    st.text(KIND_DESCRIPTIONS[kind])
    if not result.rows:
        st.text("There are none.")
        return
    table = st.dataframe(
        pd.DataFrame(_table_row(row, kind) for row in result.rows),
        hide_index=True,
        key=f"accounts_{kind}_{_list_hash(result.rows)}",
        alt=f"Accounts without a user: {KIND_LABELS[kind]}",
        on_select="rerun" if kind in ("suggested", "decided") else "ignore",
        selection_mode="multi-row",
    )
    if len(result.rows) < result.counts[kind]:
        st.text(f"The first {MAX_SHOWN:,} of {result.counts[kind]:,}.")
    if kind in ("suggested", "decided"):
        selected = table.selection.rows  # pyright: ignore[reportAttributeAccessIssue]
        _show_decisions([result.rows[index] for index in selected], kind)


def _list_hash(rows: Sequence[Row[Any]]) -> str:
    """What tells one list from another: what is selected, by place, must not outlive its list."""
    identifiers = repr([(row.integration, row.account_id, row.person_id) for row in rows])
    return hashlib.sha256(identifiers.encode(errors="replace")).hexdigest()[:12]


def _table_row(row: Row[Any], kind: MatchKind) -> dict[str, str]:
    person = " · ".join(filter(None, (row.user_name, row.user_email)))
    cells = {
        "Username in app": row.username_in_app,
        "Integration": row.integration,
        "Upstream user ID": row.upstream_user_id or "",
        "Its email": row.email or "",
    }
    if kind in ("suggested", "decided"):
        cells |= {"Person": person or "Nobody’s", "Listed in": row.person_integration or ""}
    cells["Why"] = row.evidence if kind == "decided" else evidence_text(row)
    if kind == "decided":
        cells |= {"Said by": row.decided_by, "On": timezone.format_with_zone(row.decided_at)}
    return cells


def _show_decisions(rows: Sequence[Row[Any]], kind: MatchKind) -> None:
    """What a person can say of the rows that are selected."""
    if not rows:
        st.text("Select accounts in the list to decide about them.")
        return
    author = name_input()
    count = f"{len(rows):,} account{'' if len(rows) == 1 else 's'}"
    actions = (
        {"They are theirs": _assign, "They are nobody’s": _assign_nobody}
        if kind == "suggested"
        else {"Withdraw": _withdraw}
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, action in actions.items():
            st.button(
                f"{label} ({count})",
                key=f"act_{label}",
                disabled=not author.strip(),
                on_click=_run_action,
                args=(action, rows, author),
            )


def _run_action(action: Any, rows: Sequence[Row[Any]], author: str) -> None:
    """Do it for each integration that the rows are of, where who asks may."""
    for row in rows:
        authorize(Permission.MATCH, row.integration)
    try:
        action(rows, author)
    except InvalidInput as error:
        st.toast(str(error))
        return
    remember_name(author)
    event = Event.MATCH_OVERRIDE_WITHDRAWN if action is _withdraw else Event.MATCH_OVERRIDDEN
    account_names = [f"{row.integration}/{row.account_id}" for row in rows[:MAX_NAMES_LOGGED]]
    owner = "nobody’s" if action is _assign_nobody else ""
    record_action(event, number=len(rows), accounts=account_names, whose=owner)


def _assign(rows: Sequence[Row[Any]], author: str) -> None:
    matches = [
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
    save_match_overrides(writable_store(Permission.MATCH, rows[0].integration), matches, author)


def _assign_nobody(rows: Sequence[Row[Any]], author: str) -> None:
    reason = "{} It was suggested, and refused."
    matches = [
        MatchOverride(row.integration, row.account_id, reason.format(evidence_text(row)))
        for row in rows
    ]
    save_match_overrides(writable_store(Permission.MATCH, rows[0].integration), matches, author)


def _withdraw(rows: Sequence[Row[Any]], author: str) -> None:
    account_ids = [(row.integration, row.account_id) for row in rows]
    withdraw_match_overrides(
        writable_store(Permission.MATCH, rows[0].integration), account_ids, author
    )
