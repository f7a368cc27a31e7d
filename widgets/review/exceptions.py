"""Forms to add and to withdraw exceptions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from data.records.audit_log import MAX_NAMES_LOGGED, Event
from data.records.decisions import EXCEPTIONS, InvalidInput
from data.records.exceptions import (
    MAX_REASON_LENGTH,
    FindingKey,
    RiskException,
    add_exceptions,
)
from queries.review.duration import View
from queries.review.findings import MAX_EXCEPTIONS_AT_ONCE, open_findings
from queries.review.rules import Rule
from server.authorize import authorize, record_decision, store_connection, writable_store
from widgets.labels import escape_label
from widgets.signer import last_day_input, name_input, remember_name

EXCEPTION_HELP = (
    "A finding with an exception is no longer open. It stays in the evidence with your reason. If "
    "it is resolved and comes back, it is open again."
)
NO_ACCOUNTS = "Choose accounts first."
OF_PEOPLE = "These people are exempt. Open the page of a person to withdraw that."

Findings = Sequence[tuple[FindingKey, datetime]]
"""Findings, each with the moment of the snapshot that shows it."""


def exception_form(view: View, rule: Rule, rows: Sequence[sa.Row[Any]], total: int) -> None:
    """Add an exception to some findings on the page, or to all findings of the rule."""
    with st.expander("Add exception", icon=":material/done:", key="add_exception"):
        st.text(EXCEPTION_HELP)
        selected = _account_picker(rows, "exception")
        applies_to_all = total > len(rows) and st.checkbox(
            f"All {min(total, MAX_EXCEPTIONS_AT_ONCE):,} findings of this rule",
            key="exception_all",
        )
        reason = st.text_area(
            "Reason", key="exception_reason", max_chars=MAX_REASON_LENGTH, height=80
        )
        left, right = st.columns(2)
        with left:
            name = name_input()
        with right:
            last_day = last_day_input("Until (UTC; empty: until it is resolved)", "exception_until")
        if not st.button("Add", type="primary", key="exception_save"):
            return
        findings = _findings(rule, selected)
        if applies_to_all:
            with store_connection(Permission.REVIEW) as con:
                findings = open_findings(con, view, rule)
        _add_exceptions(findings, RiskException(reason, name, last_day))


def _add_exceptions(findings: Findings, exception: RiskException) -> None:
    if not findings:
        st.warning(NO_ACCOUNTS, icon=":material/person_search:")
        return
    with _invalid_input_shown():
        save_exceptions(findings, exception)
        st.toast(f"Exception added for {count_of(len(findings), 'finding')}.")
        st.rerun()


def save_exceptions(findings: Findings, exception: RiskException) -> None:
    """Add an exception to each finding, and record it in the audit log. Raises InvalidInput."""
    for finding, _ in findings:
        authorize(Permission.ADD_EXCEPTIONS, finding.integration)
    store = writable_store(Permission.ADD_EXCEPTIONS, findings[0][0].integration)
    add_exceptions(store, findings, exception)
    remember_name(exception.accepted_by)
    until = {"until": f"{exception.until}"} if exception.until else {}
    _record(Event.EXCEPTION_ADDED, findings, reason=exception.reason, **until)


def withdraw_form(rule: Rule, rows: Sequence[sa.Row[Any]]) -> None:
    """Withdraw the exceptions of some findings on the page."""
    rows = [row for row in rows if row.exception_of == "finding"]
    if not rows:
        st.text(OF_PEOPLE)
        return
    with st.expander("Withdraw exceptions", icon=":material/undo:", key="withdraw_exceptions"):
        findings, name = _findings(rule, _account_picker(rows, "withdraw")), name_input()
        if not st.button("Withdraw", type="primary", key="withdraw_now"):
            return
        if not findings:
            st.warning(NO_ACCOUNTS, icon=":material/person_search:")
            return
        with _invalid_input_shown():
            for finding, _ in findings:
                store = writable_store(Permission.ADD_EXCEPTIONS, finding.integration)
                EXCEPTIONS.withdraw(store, [finding._asdict()], name)
            remember_name(name)
            _record(Event.EXCEPTION_WITHDRAWN, findings)
            st.toast("Withdrawn. The findings are open again.")
            st.rerun()


@contextmanager
def _invalid_input_shown() -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        st.warning(escape_label(str(error)), icon=":material/edit:")


def _account_picker(rows: Sequence[sa.Row[Any]], key_prefix: str) -> list[sa.Row[Any]]:
    """A selection of the accounts on the page."""
    by_key = {row.account_key: row for row in rows}
    labels = {
        key: f"{row.username_in_app} · {row.integration} · {row.account_id}"
        for key, row in by_key.items()
    }
    keys = st.multiselect(
        "Accounts on this page",
        list(by_key),
        format_func=labels.__getitem__,
        placeholder="Choose accounts",
        key=f"{key_prefix}_accounts",
    )
    return [by_key[key] for key in keys if key in by_key]


def _findings(rule: Rule, rows: Sequence[sa.Row[Any]]) -> Findings:
    return [
        (FindingKey(rule.name, row.integration, row.account_id), row.snapshot_taken_at)
        for row in rows
    ]


def _record(event: Event, findings: Findings, **details: str) -> None:
    """One event of the audit log for all of the findings, which are of one rule."""
    accounts = [f"{finding.integration}/{finding.account_id}" for finding, _ in findings]
    record_decision(
        event,
        rule=findings[0][0].rule,
        findings=len(accounts),
        accounts=accounts[:MAX_NAMES_LOGGED],
        **details,
    )
