"""Findings that people live with, each with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.records.audit_log import Event
from data.records.exceptions import LONGEST_REASON, Finding, Said, SaysNothing, accept, withdraw
from queries.review.duration import View
from queries.review.rules import MOST_AT_ONCE, Rule, findings_to_accept
from server.authorize import allowed, changing, noted, reading
from widgets.labels import plain_label
from widgets.signer import ask_name, remember_name

MOST_NAMED = 100
"""Accounts that an event of the audit log names; of more it says how many."""


def offer_to_accept(view: View, rule: Rule, rows: Sequence[Row[Any]], found: int) -> None:
    with st.expander("Accept findings", icon=":material/done:", key="accepting"):
        st.text(
            "An accepted finding no longer counts, and is in the evidence with your reason. When "
            "it ends and begins again, it counts again."
        )
        chosen = _choose_accounts(rows, "accept")
        takes_all = found > len(rows) and st.checkbox(
            f"All {min(found, MOST_AT_ONCE):,} that this rule finds", key="accept_all"
        )
        reason = st.text_area("Reason", key="accept_reason", max_chars=LONGEST_REASON, height=80)
        left, right = st.columns(2)
        with left:
            by = ask_name()
        until = right.date_input(
            "Until (the last UTC day; empty: as long as it holds)",
            value=None,
            min_value=datetime.now(UTC).date(),
            format="YYYY-MM-DD",
            key="accept_until",
        )
        if not st.button("Accept", type="primary", key="accept_now"):
            return
        with reading(Act.REVIEW) as con:
            named = findings_to_accept(con, view, rule) if takes_all else [
                (_finding(rule, row), row.held_at) for row in chosen
            ]  # fmt: skip
        _say(named, Said(reason, by, until if isinstance(until, date) else None))


def _say(named: Sequence[tuple[Finding, datetime]], said: Said) -> None:
    if not named:
        st.warning("Choose the accounts first.", icon=":material/person_search:")
        return
    try:
        for finding, _ in named:
            allowed(Act.ACCEPT, finding.integration)
        accept(changing(Act.ACCEPT, named[0][0].integration), named, said)
    except SaysNothing as fault:
        st.warning(plain_label(str(fault)), icon=":material/edit:")
        return
    remember_name(said.by)
    until = {"until": f"{said.until}"} if said.until else {}
    noted(Event.ACCEPTED, rule=named[0][0].rule, reason=said.reason, **_which(named), **until)
    st.toast(f"Accepted: {len(named):,} {'finding' if len(named) == 1 else 'findings'}.")
    st.rerun()


def offer_to_withdraw(rule: Rule, rows: Sequence[Row[Any]]) -> None:
    with st.expander("Withdraw acceptances", icon=":material/undo:", key="withdrawing"):
        chosen, by = _choose_accounts(rows, "withdraw"), ask_name()
        if not st.button("Withdraw", type="primary", key="withdraw_now"):
            return
        if not chosen:
            st.warning("Choose the accounts first.", icon=":material/person_search:")
            return
        try:
            for row in chosen:
                withdraw(changing(Act.ACCEPT, row.integration), _finding(rule, row), by)
        except SaysNothing as fault:
            st.warning(plain_label(str(fault)), icon=":material/edit:")
            return
        remember_name(by)
        found = [(_finding(rule, row), row.held_at) for row in chosen]
        noted(Event.WITHDREW, rule=rule.name, **_which(found))
        st.toast("Withdrawn: they count again.")
        st.rerun()


def _choose_accounts(rows: Sequence[Row[Any]], what: str) -> list[Row[Any]]:
    """Some of the accounts on the page."""
    by_key = {row.account_key: row for row in rows}
    labels = {
        key: f"{row.username_in_app} · {row.integration} · {row.account_id}"
        for key, row in by_key.items()
    }
    keys = st.multiselect(
        "Accounts on this page",
        list(by_key),
        format_func=labels.__getitem__,
        placeholder="Choose some",
        key=f"{what}_accounts",
    )
    return [by_key[key] for key in keys if key in by_key]


def _which(named: Sequence[tuple[Finding, datetime]]) -> dict[str, Any]:
    """For the audit log."""
    accounts = [f"{finding.integration}/{finding.account_id}" for finding, _ in named]
    return {"findings": len(accounts), "accounts": accounts[:MOST_NAMED]}


def _finding(rule: Rule, row: Row[Any]) -> Finding:
    return Finding(rule.name, row.integration, row.account_id)
