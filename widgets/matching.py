"""Suggestions of whose an account is, and what a person says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.records.audit_log import Event
from data.records.matches import Match, NobodySays, decide, set_people_lists, withdraw
from queries.matching import SHOWN, Found, Kind, evidence
from server.authorize import allowed, changing, noted
from server.session import principal
from widgets import timezone
from widgets.signer import ask_name, remember_name

LABELS: dict[str, str] = {
    "suggested": "Suggested",
    "doubtful": "In doubt",
    "nobody": "Nobody found",
    "decided": "Decided",
}
"""Kind of account → what it is called on the page."""

WORDS: dict[str, str] = {
    "suggested": "One person has the upstream ID of the account, or its email.",
    "doubtful": "Several people could be meant; the sources have to say it more clearly.",
    "nobody": "Nobody in the list of people has what the account tells of its owner.",
    "decided": "Somebody has said whose these accounts are. It holds until it is withdrawn.",
}
"""Kind of account → what it means, and what to do."""

MOST_NAMED = 100
"""Accounts that one line of the audit log names."""


def choose_people(integrations: Sequence[str], lists: Sequence[str], likely: Sequence[str]) -> None:
    """Which integrations list people, as an identity provider does."""
    known = [name for name in integrations if name in lists]
    with st.expander("Lists of people", expanded=not known, key="people_lists"):
        st.text(
            "Accounts are compared with the people of these integrations: those of an identity "
            "provider, such as Okta or Microsoft Entra."
        )
        default = known or [name for name in integrations if name in likely]
        chosen = st.multiselect("Integrations that list people", integrations, default)
        if sorted(chosen) != sorted(known):
            st.button(
                "Compare with these",
                type="primary",
                key="set_people",
                on_click=_compare_with,
                args=(chosen,),
                disabled=not principal().may_for_all(Act.SET),
            )


def _compare_with(chosen: Sequence[str]) -> None:
    set_people_lists(changing(Act.SET), chosen)
    noted(Event.SET, setting="Lists of people", integrations=list(chosen))


def choose_kind(kinds: Sequence[Kind]) -> Kind:
    """Which accounts to look at."""
    chosen = st.segmented_control(
        "Accounts without a user",
        kinds,
        default=kinds[0],
        format_func=LABELS.__getitem__,
        key="kind",
        required=True,
    )
    place = [*kinds].index(chosen) if chosen in kinds else 0
    return kinds[place]


def listed(found: Found, kind: Kind) -> None:
    """The accounts of a kind, with the evidence, and the ways to decide."""
    counts = [f"{found.counts.get(each, 0):,} {label.lower()}" for each, label in LABELS.items()]
    st.caption(f"Of the accounts without a user: {', '.join(counts)}.")
    st.text(WORDS[kind])
    if not found.rows:
        st.text("There are none.")
        return
    table = st.dataframe(
        pd.DataFrame(_shown(row, kind) for row in found.rows),
        hide_index=True,
        key=f"accounts_{kind}_{_identity(found.rows)}",
        alt=f"Accounts without a user: {LABELS[kind]}",
        on_select="rerun" if kind in ("suggested", "decided") else "ignore",
        selection_mode="multi-row",
    )
    if len(found.rows) < found.counts[kind]:
        st.text(f"The first {SHOWN:,} of {found.counts[kind]:,}.")
    if kind in ("suggested", "decided"):
        places = table.selection.rows  # pyright: ignore[reportAttributeAccessIssue]
        _decide([found.rows[place] for place in places], kind)


def _identity(rows: Sequence[Row[Any]]) -> str:
    """What tells one list from another: what is selected, by place, must not outlive its list."""
    named = repr([(row.integration, row.account_id, row.person_id) for row in rows])
    return hashlib.sha256(named.encode(errors="replace")).hexdigest()[:12]


def _shown(row: Row[Any], kind: Kind) -> dict[str, str]:
    person = " · ".join(filter(None, (row.user_name, row.user_email)))
    told = {
        "Username in app": row.username_in_app,
        "Integration": row.integration,
        "Upstream user ID": row.upstream_user_id or "",
        "Its email": row.email or "",
    }
    if kind in ("suggested", "decided"):
        told |= {"Person": person or "Nobody’s", "Listed in": row.people or ""}
    told["Why"] = row.evidence if kind == "decided" else evidence(row)
    if kind == "decided":
        told |= {"Said by": row.decided_by, "On": timezone.named(row.decided_at)}
    return told


def _decide(rows: Sequence[Row[Any]], kind: Kind) -> None:
    """What a person can say of the rows that are selected."""
    if not rows:
        st.text("Select accounts in the list to decide about them.")
        return
    by = ask_name()
    many = f"{len(rows):,} account{'' if len(rows) == 1 else 's'}"
    acts = (
        {"They are theirs": _take, "They are nobody’s": _refuse}
        if kind == "suggested"
        else {"Withdraw": _withdraw}
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, act in acts.items():
            st.button(
                f"{label} ({many})",
                key=f"act_{label}",
                disabled=not by.strip(),
                on_click=_do,
                args=(act, rows, by),
            )


def _do(act: Any, rows: Sequence[Row[Any]], by: str) -> None:
    """Do it for each integration that the rows are of, where who asks may."""
    for row in rows:
        allowed(Act.MATCH, row.integration)
    try:
        act(rows, by)
    except NobodySays as fault:
        st.toast(str(fault))
        return
    remember_name(by)
    event = Event.UNMATCHED if act is _withdraw else Event.MATCHED
    named = [f"{row.integration}/{row.account_id}" for row in rows[:MOST_NAMED]]
    whose = "nobody’s" if act is _refuse else ""
    noted(event, number=len(rows), accounts=named, whose=whose)


def _take(rows: Sequence[Row[Any]], by: str) -> None:
    matches = [
        Match(
            row.integration,
            row.account_id,
            evidence(row),
            row.people,
            row.person_id,
            row.user_name,
            row.user_email,
        )
        for row in rows
    ]
    decide(changing(Act.MATCH, rows[0].integration), matches, by)


def _refuse(rows: Sequence[Row[Any]], by: str) -> None:
    said = "{} It was suggested, and refused."
    matches = [Match(row.integration, row.account_id, said.format(evidence(row))) for row in rows]
    decide(changing(Act.MATCH, rows[0].integration), matches, by)


def _withdraw(rows: Sequence[Row[Any]], by: str) -> None:
    named = [(row.integration, row.account_id) for row in rows]
    withdraw(changing(Act.MATCH, rows[0].integration), named, by)
