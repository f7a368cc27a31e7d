"""The review as a reader sees it: what rules find, the accounts, and the word of who accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Permission
from data.files.naming import parse_moment
from data.records.exceptions import (
    RuleSettings,
)
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import (
    PAGE_SIZE,
    RULE_BY_NAME,
    SEVERITIES,
    FindingCount,
    Rule,
    count_findings,
    page_of_findings,
)
from queries.users.accounts import integration_names
from queries.users.detail import account_details
from queries.users.facets import snapshot_times
from server.authorize import is_sample, store_connection
from server.session import current_principal
from widgets import account_panel, timezone
from widgets import users_table as ut
from widgets.address import address_params, requested_page, show_pagination, update_address
from widgets.filters import open_users
from widgets.review.exceptions import exception_form, withdraw_form
from widgets.users_table import Block, users_table

BADGES: dict[str, tuple[str, str, Any]] = {
    "high": ("High", ":material/gpp_bad:", "red"),
    "medium": ("Medium", ":material/warning:", "orange"),
    "low": ("Low", ":material/info:", "blue"),
}
"""Severity → its word, icon and colour."""


# ---- what is asked -------------------------------------------------------------------------------


def selected_rule() -> Rule | None:
    """The one rule that the address names."""
    return RULE_BY_NAME.get(st.query_params.get("rule", ""))


def selected_severities() -> list[str]:
    """The severities that the address names; none means all."""
    return [name for name in SEVERITIES if name in address_params().get("severity", [])]


def view_of(limits: RuleSettings, integrations: Sequence[str]) -> View:
    """What to ask of which accounts, at the moment that the address names."""
    as_of = parse_moment(st.query_params.get("as_of", ""))
    return View(integration=tuple(integrations), as_of=as_of, limits=limits)


def severity_picker() -> list[str]:
    """Some severities; none chosen means all."""
    st.session_state["severity"] = selected_severities()

    def choose() -> None:
        update_address(severity=st.session_state["severity"])

    return st.pills(
        "Severity",
        SEVERITIES,
        selection_mode="multi",
        format_func=str.capitalize,
        key="severity",
        on_change=choose,
    )


def moment_picker(view: View) -> None:
    """Any moment from the first snapshot to the newest, the last few at a click."""
    with store_connection(Permission.REVIEW) as con:
        *last, first = snapshot_times(con)
    with st.popover("As of", icon=":material/history:", key="as_of"):
        timezone.choose_moment(
            "Moment",
            "moment",
            view.as_of,
            (first, last[0]),
            lambda moment: update_address(as_of=_moment_param(moment), page=None),
        )
        for taken_at in last:
            st.button(
                f"Snapshot of {timezone.format_moment(taken_at)}",
                key=f"as_of_{taken_at:%Y%m%d%H%M%S}",
                type="tertiary",
                on_click=update_address,
                kwargs={"as_of": _moment_param(taken_at), "page": None},
            )
        timezone.choose_zone()


def _moment_param(as_of: datetime | None) -> str | None:
    return f"{as_of.isoformat(timespec='seconds')}Z" if as_of else None


# ---- all rules -----------------------------------------------------------------------------------


def rules_overview(view: View, rules: Sequence[Rule]) -> None:
    """Every rule in words, the severest first; the counts come as they are known."""
    summary, placeholders = st.empty(), {}
    for severity in SEVERITIES:
        severity_rules = [rule for rule in rules if rule.severity == severity]
        if severity_rules:
            with st.container(border=True, key=f"severity_{severity}"):
                label, icon, color = BADGES[severity]
                st.badge(label, icon=icon, color=color)
                placeholders |= {rule: _rule_line(rule, view.limits) for rule in severity_rules}
    summary.text("Counting …")
    with store_connection(Permission.REVIEW) as con:
        counts = {
            rule: _show_count(placeholder, count_findings(con, view, rule))
            for rule, placeholder in placeholders.items()
        }
    summary.text(summary_text(counts))


def _rule_line(rule: Rule, limits: RuleSettings) -> Any:
    """One rule; answers with the place for its count."""
    with st.container(horizontal=True, vertical_alignment="top", key=f"rule_{rule.name}"):
        with st.container(width="content", key=f"count_{rule.name}"):
            placeholder = st.empty()
            placeholder.text("…")
        with st.container(gap=None, width="stretch"):
            _rule_button(rule)
            st.text(rule.describe(limits))
    return placeholder


def _rule_button(rule: Rule) -> None:
    st.button(
        rule.title,
        key=f"open_{rule.name}",
        type="tertiary",
        on_click=update_address,
        kwargs={"rule": rule.name, "page": None, "accepted": None},
    )


def _show_count(placeholder: Any, count: FindingCount) -> FindingCount:
    number = f"**{count.open:,}**" if count.open else ":gray[0]"
    exceptions_text = f"  \n:small[+{count.exceptions:,} accepted]" if count.exceptions else ""
    placeholder.markdown(number + exceptions_text)
    return count


def summary_text(counts: dict[Rule, FindingCount]) -> str:
    """`31 findings by 4 rules`, or that there is nothing to review."""
    total, rule_count = (
        sum(c.open for c in counts.values()),
        sum(c.open > 0 for c in counts.values()),
    )
    exceptions = sum(count.exceptions for count in counts.values())
    exceptions_text = f" {exceptions:,} are accepted." if exceptions else ""
    if not total:
        return (
            f"Nothing to review: none of the rules finds an account that counts.{exceptions_text}"
        )
    noun = "finding" if total == 1 else "findings"
    return f"{total:,} {noun} by {rule_count} of {len(counts)} rules.{exceptions_text}"


# ---- one rule ------------------------------------------------------------------------------------

FINDING_COLUMNS = [
    ut.column("user", "User", sortable=False, width=1.7),
    ut.column("username_in_app", "Username in app", sortable=False, width=1.4),
    ut.column("integration", "Integration", sortable=False, width=1.0),
    ut.column("roles", "App access", sortable=False, width=1.4),
    ut.column("active_in_app", "Active in app", sortable=False, width=0.85),
    ut.column("provisioning_state", "Provisioning state", sortable=False, width=1.4),
    ut.column("since", "Found since", sortable=False, width=1.05),
]
DETAIL_COLUMN = ut.column("detail", "Besides", sortable=False, width=1.5)
EXCEPTION_COLUMNS = [
    ut.column("reason", "Reason", sortable=False, width=1.6),
    ut.column("by", "Accepted by", sortable=False, width=1.1),
    ut.column("until", "Until", sortable=False, width=0.8),
]
HIDDEN_FOR_EXCEPTIONS = ("roles", "active_in_app", "detail")


def rule_section(view: View, rule: Rule) -> None:
    """The rule in words, and its accounts: those that count, or those that are accepted."""
    label, icon, color = BADGES[rule.severity]
    with st.container(gap="small", key="rule"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(rule.title, anchor=False, width="content")
            st.badge(label, icon=icon, color=color)
        st.text(rule.describe(view.limits))
    _rule_findings(view, rule)


@st.fragment
def _rule_findings(view: View, rule: Rule) -> None:
    shows_exceptions = "yes" in address_params().get("accepted", [])
    with store_connection(Permission.REVIEW) as con:
        count = count_findings(con, view, rule)
        total = count.exceptions if shows_exceptions else count.open
        pages = max(1, -(-total // PAGE_SIZE))
        page = min(requested_page(), pages)
        rows = (
            page_of_findings(con, view, rule, page, with_exception=shows_exceptions)
            if total
            else []
        )
        several = len(view.integration or integration_names(con)) > 1
    earliest = rows[0].since if rows and page == 1 and not shows_exceptions else None
    _rule_header(view, rule, count, earliest, shows_exceptions=shows_exceptions)
    if not total:
        st.text("Nobody has accepted a finding of this rule." if shows_exceptions else NO_FINDINGS)
        return
    _findings_table(view, rows, several=several, shows_exceptions=shows_exceptions)
    show_pagination(page, pages)
    if view.as_of is not None:
        return
    if is_sample():
        st.text("This is sample data: its findings cannot be accepted.")
    elif not current_principal().is_allowed(Permission.ADD_EXCEPTIONS):
        st.text("Findings are accepted by those who see names instead of pseudonyms.")
    elif shows_exceptions:
        withdraw_form(rule, rows)
    else:
        exception_form(view, rule, rows, total)


NO_FINDINGS = "Nothing to review: this rule finds no account that counts."


def _rule_header(
    view: View,
    rule: Rule,
    count: FindingCount,
    earliest: datetime | None,
    *,
    shows_exceptions: bool,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="found"):
        noun = "account" if count.open == 1 else "accounts"
        since = f", the earliest since {timezone.format_with_zone(earliest)}" if earliest else ""
        st.markdown(f"**{count.open:,}** {noun}{since}", width="content")
        if count.exceptions or shows_exceptions:
            st.button(
                "Back to those that count"
                if shows_exceptions
                else f"{count.exceptions:,} accepted",
                key="accepted",
                type="tertiary",
                on_click=update_address,
                kwargs={"accepted": None if shows_exceptions else "yes", "page": None},
            )
        if rule.users and st.button("Open in Users", key="users", type="tertiary"):
            open_users(replace(rule.users, integration=view.integration, as_of=view.as_of))


def _findings_table(
    view: View, rows: Sequence[Row[Any]], *, several: bool, shows_exceptions: bool
) -> None:
    """The accounts of the findings; each opens all that is known of it."""
    columns = [c for c in FINDING_COLUMNS if several or c["key"] != "integration"]
    if any(row.detail for row in rows):
        columns.append(DETAIL_COLUMN)
    if shows_exceptions:
        columns = [c for c in columns if c["key"] not in HIDDEN_FOR_EXCEPTIONS] + EXCEPTION_COLUMNS

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        filters = Filters(as_of=view.as_of)
        with store_connection(Permission.REVIEW) as con:
            details = account_details(con, filters, [int(id_) for id_ in ids])
        return {
            str(key): account_panel.panel(detail._replace(others=[]), as_of=view.as_of)
            for key, detail in details.items()
        }

    users_table(
        [_finding_row(row) for row in rows],
        columns=columns,
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption="Findings",
        empty=NO_FINDINGS,
        key="findings_agreed" if shows_exceptions else "findings",
    )


def _finding_row(row: Row[Any]) -> ut.TableRow:
    base_row = account_panel.table_row(row)
    until = f"{row.until:%Y-%m-%d}" if row.until else "as long as it holds"
    extra_cells = {
        "since": ut.time(row.since),
        "detail": ut.text(row.detail),
        "reason": ut.text(row.reason),
        "by": ut.text(row.accepted_by),
        "until": ut.text(until),
    }
    return {**base_row, "cells": {**base_row["cells"], **extra_cells}}


# ---- what a person says --------------------------------------------------------------------------


# ---- limits --------------------------------------------------------------------------------------
