"""The Review page: rules with their counts, and the findings of one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of, plural
from data.records.exceptions import RuleSettings
from queries.filters import Filters
from queries.review.duration import View
from queries.review.findings import (
    PAGE_SIZE,
    FindingCount,
    RuleSummary,
    count_findings,
    page_of_findings,
    summarize_rule,
)
from queries.review.rules import RULE_BY_NAME, SEVERITIES, Rule
from queries.scope import moment_param
from queries.users.accounts import integration_names
from queries.users.detail import account_details
from queries.users.facets import snapshot_times
from server.authorize import authorize, store_connection
from server.session import current_principal
from widgets import account_panel, timezone
from widgets import users_table as ut
from widgets.account_row import Account, default_columns, table_columns, table_row
from widgets.address import (
    address_params,
    go_to_moment,
    requested_page,
    show_narrowing,
    show_pagination,
    update_address,
)
from widgets.filters import choose_as_of, open_users, requested_moment
from widgets.review.exceptions import exception_form, withdraw_form
from widgets.rounds.start import can_start_rounds, go_to_start

BADGES: dict[str, tuple[str, str, Any]] = {
    "high": ("High", ":material/gpp_bad:", "red"),
    "medium": ("Medium", ":material/warning:", "orange"),
    "low": ("Low", ":material/info:", "blue"),
}
"""Severity → its label, icon and color."""

SEVERITY_MARKS: dict[str, tuple[ut.Tone, ut.Icon]] = {
    "high": ("bad", "alert"),
    "medium": ("warn", "alert"),
    "low": ("quiet", "question"),
}
"""Severity → how the table marks it."""

RULE_COLUMNS = [
    ut.column("severity", "Severity", sortable=False, width=1.1),
    ut.column("rule", "Rule", sortable=False, width=2.4),
    ut.column("meaning", "Finds", sortable=False, width=3.4),
    ut.column("open", "Open", sortable=False, numeric=True, width=0.7),
    ut.column("new", "New this week", sortable=False, numeric=True, width=0.9),
    ut.column("oldest", "Oldest", sortable=False, width=0.9),
    ut.column("exceptions", "Exceptions", sortable=False, numeric=True, width=0.8),
]

NOT_NARROWED = {"found_after": None, "gone_by": None}
"""Changes of the address that list all findings of a rule."""

EXEMPT = "Person exempt: "
NO_FINDINGS = "No open findings."
NO_EXCEPTIONS = "This rule has no exceptions."
PSEUDONYMS_NOTE = "Exceptions are added by people who see names instead of pseudonyms."

# ---- the address ---------------------------------------------------------------------------------


def selected_rule() -> Rule | None:
    """The rule in the address."""
    return RULE_BY_NAME.get(st.query_params.get("rule", ""))


def view_of(limits: RuleSettings, integrations: Sequence[str]) -> View:
    """The view of these integrations at the moment in the address."""
    return View(integration=tuple(integrations), as_of=requested_moment(), limits=limits)


def narrowed(view: View) -> View:
    """The view with only the findings that the address asks for: the new ones, or those gone."""
    params = address_params()
    moments = {name: moment_param(params, name) for name in ("found_after", "gone_by")}
    return replace(view, **moments)


def view_facts(view: View, rules: Sequence[Rule]) -> list[str]:
    """What the page shows, in words, for paper."""
    severities = ", ".join(
        s.capitalize() for s in SEVERITIES if any(s == r.severity for r in rules)
    )
    return [
        ", ".join(view.integration) or "All integrations",
        rules[0].title if len(rules) == 1 else f"Severity: {severities}",
        f"As of {timezone.format_with_zone(view.as_of)}" if view.as_of else "",
    ]


def severity_picker() -> list[str]:
    """A selection of severities in the address; none means all."""
    requested = address_params().get("severity", [])
    st.session_state["severity"] = [name for name in SEVERITIES if name in requested]

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
    """The moment of the findings, in a popover."""
    with store_connection(Permission.REVIEW) as con:
        moments = snapshot_times(con)

    def choose(moment: datetime | None) -> None:
        go_to_moment(moment, page=None)

    with st.popover("As of", icon=":material/history:", key="as_of"):
        choose_as_of(view.as_of, moments, choose)


# ---- all rules -----------------------------------------------------------------------------------


def rules_overview(view: View, rules: Sequence[Rule]) -> None:
    """A row per rule, those with findings first; a row opens the rule."""
    head = st.empty()
    head.text("Counting …")
    with store_connection(Permission.REVIEW) as con:
        summaries = {rule: summarize_rule(con, view, rule) for rule in rules}
    head.text(summary_text(summaries))
    _rules_table(view, summaries)


@st.fragment
def _rules_table(view: View, summaries: dict[Rule, RuleSummary]) -> None:
    authorize(Permission.REVIEW)
    ut.users_table(
        [_rule_row(rule, view.limits, summaries[rule]) for rule in _worst_first(summaries)],
        columns=RULE_COLUMNS,
        caption="Rules",
        empty=NO_FINDINGS,
        key="rules",
        on_row=_open_rule,
    )


def _worst_first(summaries: dict[Rule, RuleSummary]) -> list[Rule]:
    """By severity and number of findings; rules without any come last."""
    return sorted(
        summaries,
        key=lambda rule: (
            not summaries[rule].open,
            SEVERITIES.index(rule.severity),
            -summaries[rule].open,
        ),
    )


def _rule_row(rule: Rule, limits: RuleSettings, summary: RuleSummary) -> ut.TableRow:
    label, _, _ = BADGES[rule.severity]
    tone, icon = SEVERITY_MARKS[rule.severity] if summary.open else ("quiet", "dash")
    oldest = summary.oldest
    return ut.row(
        rule.name,
        rule.title,
        severity=ut.mark(label, tone, icon),
        rule=ut.text(rule.title),
        meaning=ut.text(rule.describe(limits)),
        open=ut.number(summary.open),
        new=ut.number(summary.new),
        oldest=ut.time(oldest, f"{timezone.format_moment(oldest):.10}") if oldest else ut.quiet(),
        exceptions=ut.number(summary.exceptions),
    )


def _open_rule(name: str) -> None:
    update_address(rule=name, page=None, accepted=None, **NOT_NARROWED)
    st.rerun()


def summary_text(counts: Mapping[Rule, RuleSummary]) -> str:
    """`31 findings · 4 of 12 rules · 2 exceptions`."""
    open_count = sum(count.open for count in counts.values())
    rule_count = sum(count.open > 0 for count in counts.values())
    exceptions = sum(count.exceptions for count in counts.values())
    exceptions_text = count_of(exceptions, "exception") if exceptions else ""
    if not open_count:
        return NO_FINDINGS + (f" {exceptions_text}." if exceptions else "")
    parts = [count_of(open_count, "finding"), f"{rule_count} of {count_of(len(counts), 'rule')}"]
    return " · ".join(filter(None, (*parts, exceptions_text)))


# ---- one rule ------------------------------------------------------------------------------------

SINCE_COLUMN = ut.column("since", "Found since", sortable=False, width=1.05, place="fact")
DETAIL_COLUMN = ut.column("detail", "Details", sortable=False, width=1.5, place="fact")
EXCEPTION_COLUMNS = [
    ut.column("reason", "Reason", sortable=False, width=1.6, place="fact"),
    ut.column("by", "Added by", sortable=False, width=1.1, place="fact"),
    ut.column("until", "Until", sortable=False, width=0.8, place="fact"),
]
HIDDEN_COLUMNS = ("upstream_user_id", "last_updated")
HIDDEN_FOR_EXCEPTIONS = ("roles", "active_in_app")


def rule_section(view: View, rule: Rule) -> None:
    """The rule and its open findings, or its exceptions."""
    label, icon, color = BADGES[rule.severity]
    with st.container(gap="small", key="rule"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(rule.title, anchor=False, width="content")
            st.badge(label, icon=icon, color=color)
        st.text(rule.describe(view.limits))
    _rule_findings(narrowed(view), rule)


@st.fragment
def _rule_findings(view: View, rule: Rule) -> None:
    shows_exceptions = "yes" in address_params().get("accepted", [])
    with store_connection(Permission.REVIEW) as con:
        count = count_findings(con, view, rule)
        total = count.exceptions if shows_exceptions else count.open
        page = requested_page(total, PAGE_SIZE)
        rows = page_of_findings(con, view, rule, page, with_exception=shows_exceptions)
        several = len(view.integration or integration_names(con)) > 1
    if view.is_narrowed:
        _show_narrowing(view)
    earliest = rows[0].since if rows and page == 1 and not shows_exceptions else None
    _rule_header(view, rule, count, earliest, shows_exceptions=shows_exceptions)
    if not total:
        st.text(NO_EXCEPTIONS if shows_exceptions else NO_FINDINGS)
        return
    _findings_table(view, rows, several=several, shows_exceptions=shows_exceptions)
    show_pagination(page, total, PAGE_SIZE)
    if view.as_of is not None:
        return
    if not current_principal().is_allowed(Permission.ADD_EXCEPTIONS):
        st.text(PSEUDONYMS_NOTE)
    elif shows_exceptions:
        withdraw_form(rule, rows)
    else:
        exception_form(view, rule, rows, total)


def _show_narrowing(view: View) -> None:
    """Which of the findings are listed, and a button that lists all."""
    texts = {"Found after": view.found_after, "No longer found at": view.gone_by}
    parts = [f"{text} {timezone.format_with_zone(at)}" for text, at in texts.items() if at]
    show_narrowing(
        f"{'; '.join(parts)}.", "All findings", "findings", {**NOT_NARROWED, "page": None}
    )


def _rule_header(
    view: View,
    rule: Rule,
    count: FindingCount,
    earliest: datetime | None,
    *,
    shows_exceptions: bool,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="summary"):
        since = f", the earliest since {timezone.format_with_zone(earliest)}" if earliest else ""
        st.markdown(f"**{count.open:,}** {plural(count.open, 'account')}{since}", width="content")
        if count.exceptions or shows_exceptions:
            exceptions = count_of(count.exceptions, "exception")
            st.button(
                "Back to open findings" if shows_exceptions else exceptions,
                key="accepted",
                type="tertiary",
                on_click=update_address,
                kwargs={"accepted": None if shows_exceptions else "yes", "page": None},
            )
        if view.is_narrowed:
            return
        if rule.users and st.button("Open in Users", key="open_users", type="tertiary"):
            open_users(replace(rule.users, integration=view.integration, as_of=view.as_of))
        can_start = bool(count.open) and can_start_rounds()
        if can_start and st.button("Start review round", key="round", type="tertiary"):
            go_to_start(view, rule)


def _findings_table(
    view: View, rows: Sequence[sa.Row[Any]], *, several: bool, shows_exceptions: bool
) -> None:
    hidden = (*HIDDEN_COLUMNS, *(HIDDEN_FOR_EXCEPTIONS if shows_exceptions else ()))
    names = [n for n in default_columns(several_integrations=several) if n not in hidden]
    columns: list[ut.TableColumn] = [
        {**column, "sortable": False} for column in table_columns(names)
    ]
    columns.append(SINCE_COLUMN)
    if shows_exceptions:
        columns += EXCEPTION_COLUMNS
    elif any(row.detail for row in rows):
        columns.append(DETAIL_COLUMN)

    def panels(ids: Sequence[str]) -> dict[str, list[ut.Block]]:
        with store_connection(Permission.REVIEW) as con:
            details = account_details(con, Filters(as_of=view.as_of), [int(id_) for id_ in ids])
        return {
            str(key): account_panel.panel(account._replace(other_accounts=[]), as_of=view.as_of)
            for key, account in details.items()
        }

    ut.users_table(
        [_finding_row(row, names) for row in rows],
        columns=columns,
        details=panels,
        caption="Findings",
        empty=NO_FINDINGS,
        key="exceptions" if shows_exceptions else "findings",
    )


def _finding_row(row: sa.Row[Any], names: Sequence[str]) -> ut.TableRow:
    account_row = table_row(Account(row), names)
    finding_cells = {
        "since": ut.time(row.since),
        "detail": ut.text(row.detail),
        "reason": ut.text(EXEMPT * (row.exception_of == "person") + (row.reason or "")),
        "by": ut.text(row.accepted_by),
        "until": ut.text(f"{row.until:%Y-%m-%d}" if row.until else "until it is resolved"),
    }
    return {**account_row, "cells": {**account_row["cells"], **finding_cells}}
