"""Findings that people live with, each with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.records.audit_log import Event
from data.records.decisions import InvalidInput
from data.records.exceptions import (
    MAX_REASON_LENGTH,
    FindingKey,
    RiskException,
    add_exceptions,
    withdraw_exception,
)
from queries.review.duration import View
from queries.review.rules import MAX_EXCEPTIONS_AT_ONCE, Rule, open_findings
from server.authorize import authorize, record_action, store_connection, writable_store
from widgets.labels import escape_label
from widgets.signer import name_input, remember_name

MAX_LOGGED_ACCOUNTS = 100
"""Accounts that an event of the audit log names; of more it says how many."""


def exception_form(view: View, rule: Rule, rows: Sequence[Row[Any]], total: int) -> None:
    with st.expander("Accept findings", icon=":material/done:", key="accepting"):
        st.text(
            "An accepted finding no longer counts, and is in the evidence with your reason. When "
            "it ends and begins again, it counts again."
        )
        selected = _account_picker(rows, "accept")
        applies_to_all = total > len(rows) and st.checkbox(
            f"All {min(total, MAX_EXCEPTIONS_AT_ONCE):,} that this rule finds", key="accept_all"
        )
        reason = st.text_area("Reason", key="accept_reason", max_chars=MAX_REASON_LENGTH, height=80)
        left, right = st.columns(2)
        with left:
            name = name_input()
        until = right.date_input(
            "Until (the last UTC day; empty: as long as it holds)",
            value=None,
            min_value=datetime.now(UTC).date(),
            format="YYYY-MM-DD",
            key="accept_until",
        )
        if not st.button("Accept", type="primary", key="accept_now"):
            return
        with store_connection(Permission.REVIEW) as con:
            findings = open_findings(con, view, rule) if applies_to_all else [
                (_finding(rule, row), row.snapshot_taken_at) for row in selected
            ]  # fmt: skip
        _add_exceptions(
            findings, RiskException(reason, name, until if isinstance(until, date) else None)
        )


def _add_exceptions(
    findings: Sequence[tuple[FindingKey, datetime]], exception: RiskException
) -> None:
    if not findings:
        st.warning("Choose the accounts first.", icon=":material/person_search:")
        return
    try:
        for finding, _ in findings:
            authorize(Permission.ADD_EXCEPTIONS, finding.integration)
        add_exceptions(
            writable_store(Permission.ADD_EXCEPTIONS, findings[0][0].integration),
            findings,
            exception,
        )
    except InvalidInput as error:
        st.warning(escape_label(str(error)), icon=":material/edit:")
        return
    remember_name(exception.accepted_by)
    until = {"until": f"{exception.until}"} if exception.until else {}
    record_action(
        Event.EXCEPTION_ADDED,
        rule=findings[0][0].rule,
        reason=exception.reason,
        **_audit_details(findings),
        **until,
    )
    st.toast(f"Accepted: {len(findings):,} {'finding' if len(findings) == 1 else 'findings'}.")
    st.rerun()


def withdraw_form(rule: Rule, rows: Sequence[Row[Any]]) -> None:
    with st.expander("Withdraw acceptances", icon=":material/undo:", key="withdrawing"):
        selected, name = _account_picker(rows, "withdraw"), name_input()
        if not st.button("Withdraw", type="primary", key="withdraw_now"):
            return
        if not selected:
            st.warning("Choose the accounts first.", icon=":material/person_search:")
            return
        try:
            for row in selected:
                withdraw_exception(
                    writable_store(Permission.ADD_EXCEPTIONS, row.integration),
                    _finding(rule, row),
                    name,
                )
        except InvalidInput as error:
            st.warning(escape_label(str(error)), icon=":material/edit:")
            return
        remember_name(name)
        findings = [(_finding(rule, row), row.snapshot_taken_at) for row in selected]
        record_action(Event.EXCEPTION_WITHDRAWN, rule=rule.name, **_audit_details(findings))
        st.toast("Withdrawn: they count again.")
        st.rerun()


def _account_picker(rows: Sequence[Row[Any]], key_prefix: str) -> list[Row[Any]]:
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
        key=f"{key_prefix}_accounts",
    )
    return [by_key[key] for key in keys if key in by_key]


def _audit_details(findings: Sequence[tuple[FindingKey, datetime]]) -> dict[str, Any]:
    """For the audit log."""
    accounts = [f"{finding.integration}/{finding.account_id}" for finding, _ in findings]
    return {"findings": len(accounts), "accounts": accounts[:MAX_LOGGED_ACCOUNTS]}


def _finding(rule: Rule, row: Row[Any]) -> FindingKey:
    return FindingKey(rule.name, row.integration, row.account_id)
