"""The review as a reader sees it: what rules find, the accounts, and the word of who accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import LOCAL, Act
from data.files.naming import moment_of
from data.records.audit_log import Event
from data.records.exceptions import (
    LONGEST_NAME,
    LONGEST_REASON,
    MOST_DAYS,
    Finding,
    Limits,
    Said,
    SaysNothing,
    accept,
    patterns,
    set_limits,
    withdraw,
)
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import (
    MOST_AT_ONCE,
    PAGE_SIZE,
    RULE_BY_NAME,
    SEVERITIES,
    Count,
    Rule,
    count_findings,
    findings_to_accept,
    page_of_findings,
)
from queries.users.accounts import integration_names
from queries.users.detail import known_of
from queries.users.facets import moments
from widgets import account, clock
from widgets import users_table as ut
from widgets.address import address, go, page_asked, turn_pages
from widgets.filters import open_users, plain_label
from widgets.signed_in import principal
from widgets.store import allowed, changing, is_sample, noted, reading
from widgets.users_table import Block, users_table

BADGES: dict[str, tuple[str, str, Any]] = {
    "high": ("High", ":material/gpp_bad:", "red"),
    "medium": ("Medium", ":material/warning:", "orange"),
    "low": ("Low", ":material/info:", "blue"),
}
"""Severity → its word, icon and colour."""

MOST_NAMED = 100
"""Accounts that an event of the audit log names; of more it says how many."""

NAME_KEY = "_reviewer"
"""Where the name is remembered that a person has typed last."""


# ---- what is asked -------------------------------------------------------------------------------


def asked_rule() -> Rule | None:
    """The one rule that the address names."""
    return RULE_BY_NAME.get(st.query_params.get("rule", ""))


def asked_severities() -> list[str]:
    """The severities that the address names; none means all."""
    return [name for name in SEVERITIES if name in address().get("severity", [])]


def view_of(limits: Limits, integrations: Sequence[str]) -> View:
    """What to ask of which accounts, at the moment that the address names."""
    at = moment_of(st.query_params.get("as_of", ""))
    return View(integration=tuple(integrations), at=at, limits=limits)


def choose_severities() -> list[str]:
    """Some severities; none chosen means all."""
    st.session_state["severity"] = asked_severities()

    def choose() -> None:
        go(severity=st.session_state["severity"])

    return st.pills(
        "Severity",
        SEVERITIES,
        selection_mode="multi",
        format_func=str.capitalize,
        key="severity",
        on_change=choose,
    )


def choose_moment(view: View) -> None:
    """Any moment from the first snapshot to the newest, the last few at a click."""
    with reading(Act.REVIEW) as con:
        *last, first = moments(con)
    with st.popover("As of", icon=":material/history:", key="as_of"):
        clock.choose_moment(
            "Moment",
            "moment",
            view.at,
            (first, last[0]),
            lambda moment: go(as_of=_param(moment), page=None),
        )
        for at in last:
            st.button(
                f"Snapshot of {clock.told(at)}",
                key=f"as_of_{at:%Y%m%d%H%M%S}",
                type="tertiary",
                on_click=go,
                kwargs={"as_of": _param(at), "page": None},
            )
        clock.choose_zone()


def _param(at: datetime | None) -> str | None:
    return f"{at.isoformat(timespec='seconds')}Z" if at else None


# ---- all rules -----------------------------------------------------------------------------------


def overview(view: View, rules: Sequence[Rule]) -> None:
    """Every rule in words, the severest first; the counts come as they are known."""
    total, places = st.empty(), {}
    for severity in SEVERITIES:
        those = [rule for rule in rules if rule.severity == severity]
        if those:
            with st.container(border=True, key=f"severity_{severity}"):
                words, icon, color = BADGES[severity]
                st.badge(words, icon=icon, color=color)
                places |= {rule: _line(rule, view.limits) for rule in those}
    total.text("Counting …")
    with reading(Act.REVIEW) as con:
        counts = {
            rule: _counted(place, count_findings(con, view, rule)) for rule, place in places.items()
        }
    total.text(in_words(counts))


def _line(rule: Rule, limits: Limits) -> Any:
    """One rule; answers with the place for its count."""
    with st.container(horizontal=True, vertical_alignment="top", key=f"rule_{rule.name}"):
        with st.container(width="content", key=f"count_{rule.name}"):
            place = st.empty()
            place.text("…")
        with st.container(gap=None, width="stretch"):
            _title(rule)
            st.text(rule.in_words(limits))
    return place


def _title(rule: Rule) -> None:
    st.button(
        rule.title,
        key=f"open_{rule.name}",
        type="tertiary",
        on_click=go,
        kwargs={"rule": rule.name, "page": None, "accepted": None},
    )


def _counted(place: Any, count: Count) -> Count:
    number = f"**{count.open:,}**" if count.open else ":gray[0]"
    also = f"  \n:small[+{count.accepted:,} accepted]" if count.accepted else ""
    place.markdown(number + also)
    return count


def in_words(counts: dict[Rule, Count]) -> str:
    """`31 findings by 4 rules`, or that there is nothing to review."""
    found, by = sum(c.open for c in counts.values()), sum(c.open > 0 for c in counts.values())
    agreed = sum(count.accepted for count in counts.values())
    also = f" {agreed:,} are accepted." if agreed else ""
    if not found:
        return f"Nothing to review: none of the rules finds an account that counts.{also}"
    return (
        f"{found:,} {'finding' if found == 1 else 'findings'} by {by} of {len(counts)} rules.{also}"
    )


# ---- one rule ------------------------------------------------------------------------------------

COLUMNS = [
    ut.column("user", "User", sortable=False, width=1.7),
    ut.column("username_in_app", "Username in app", sortable=False, width=1.4),
    ut.column("integration", "Integration", sortable=False, width=1.0),
    ut.column("roles", "App access", sortable=False, width=1.4),
    ut.column("active_in_app", "Active in app", sortable=False, width=0.85),
    ut.column("provisioning_state", "Provisioning state", sortable=False, width=1.4),
    ut.column("since", "Found since", sortable=False, width=1.05),
]
DETAIL = ut.column("detail", "Besides", sortable=False, width=1.5)
AGREED = [
    ut.column("reason", "Reason", sortable=False, width=1.6),
    ut.column("by", "Accepted by", sortable=False, width=1.1),
    ut.column("until", "Until", sortable=False, width=0.8),
]
FEWER_WHERE_AGREED = ("roles", "active_in_app", "detail")


def one_rule(view: View, rule: Rule) -> None:
    """The rule in words, and its accounts: those that count, or those that are accepted."""
    words, icon, color = BADGES[rule.severity]
    with st.container(gap="small", key="rule"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(rule.title, anchor=False, width="content")
            st.badge(words, icon=icon, color=color)
        st.text(rule.in_words(view.limits))
    _accounts(view, rule)


@st.fragment
def _accounts(view: View, rule: Rule) -> None:
    shows_agreed = "yes" in address().get("accepted", [])
    with reading(Act.REVIEW) as con:
        count = count_findings(con, view, rule)
        found = count.accepted if shows_agreed else count.open
        pages = max(1, -(-found // PAGE_SIZE))
        page = min(page_asked(), pages)
        rows = page_of_findings(con, view, rule, page, accepted=shows_agreed) if found else []
        several = len(view.integration or integration_names(con)) > 1
    earliest = rows[0].since if rows and page == 1 and not shows_agreed else None
    _head(view, rule, count, earliest, shows_agreed=shows_agreed)
    if not found:
        st.text("Nobody has accepted a finding of this rule." if shows_agreed else NOTHING)
        return
    _table(view, rows, several=several, agreed=shows_agreed)
    turn_pages(page, pages)
    if view.at is not None:
        return
    if is_sample():
        st.text("This is sample data: its findings cannot be accepted.")
    elif not principal().may(Act.ACCEPT):
        st.text("Findings are accepted by those who see names instead of pseudonyms.")
    elif shows_agreed:
        _offer_to_withdraw(rule, rows)
    else:
        _offer_to_accept(view, rule, rows, found)


NOTHING = "Nothing to review: this rule finds no account that counts."


def _head(
    view: View, rule: Rule, count: Count, earliest: datetime | None, *, shows_agreed: bool
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="found"):
        noun = "account" if count.open == 1 else "accounts"
        since = f", the earliest since {clock.named(earliest)}" if earliest else ""
        st.markdown(f"**{count.open:,}** {noun}{since}", width="content")
        if count.accepted or shows_agreed:
            st.button(
                "Back to those that count" if shows_agreed else f"{count.accepted:,} accepted",
                key="accepted",
                type="tertiary",
                on_click=go,
                kwargs={"accepted": None if shows_agreed else "yes", "page": None},
            )
        if rule.users and st.button("Open in Users", key="users", type="tertiary"):
            open_users(replace(rule.users, integration=view.integration, as_of=view.at))


def _table(view: View, rows: Sequence[Row[Any]], *, several: bool, agreed: bool) -> None:
    """The accounts of the findings; each opens all that is known of it."""
    columns = [c for c in COLUMNS if several or c["key"] != "integration"]
    if any(row.detail for row in rows):
        columns.append(DETAIL)
    if agreed:
        columns = [c for c in columns if c["key"] not in FEWER_WHERE_AGREED] + AGREED

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        at = Filters(as_of=view.at)
        with reading(Act.REVIEW) as con:
            known = known_of(con, at, [int(id_) for id_ in ids])
        return {
            str(key): account.panel(each._replace(others=[]), as_of=view.at)
            for key, each in known.items()
        }

    users_table(
        [_row(row) for row in rows],
        columns=columns,
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption="Findings",
        empty=NOTHING,
        key="findings_agreed" if agreed else "findings",
    )


def _row(row: Row[Any]) -> ut.Row:
    drawn = account.table_row(row)
    until = f"{row.until:%Y-%m-%d}" if row.until else "as long as it holds"
    more = {
        "since": ut.time(row.since),
        "detail": ut.text(row.detail),
        "reason": ut.text(row.reason),
        "by": ut.text(row.accepted_by),
        "until": ut.text(until),
    }
    return {**drawn, "cells": {**drawn["cells"], **more}}


# ---- what a person says --------------------------------------------------------------------------


def _offer_to_accept(view: View, rule: Rule, rows: Sequence[Row[Any]], found: int) -> None:
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


def _offer_to_withdraw(rule: Rule, rows: Sequence[Row[Any]]) -> None:
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


def ask_name() -> str:
    """The name of who is signed in; without sign-in they say it."""
    who = principal()
    if who.name != LOCAL.name:
        st.text(f"In the name of {who.name}.")
        return who.name
    known = st.session_state.get(NAME_KEY, "")
    return st.text_input("Your name", known, key="said_by", max_chars=LONGEST_NAME) or ""


def remember_name(name: str) -> None:
    st.session_state[NAME_KEY] = name


def _finding(rule: Rule, row: Row[Any]) -> Finding:
    return Finding(rule.name, row.integration, row.account_id)


# ---- limits --------------------------------------------------------------------------------------


def choose_limits(limits: Limits) -> None:
    """From where on rules find something: for everybody, from now on."""
    with st.expander("Limits of the rules", icon=":material/tune:", key="limits"):
        names = st.text_area(
            "Privileged roles, one pattern a line; * stands for any text, ? for one character",
            "\n".join(limits.privileged),
            key="limit_privileged",
            height=120,
        )
        columns = st.columns(len(DAYS))
        days = {
            name: column.number_input(
                label, 0, MOST_DAYS, getattr(limits, name), key=f"limit_{name}"
            )
            for column, (name, label) in zip(columns, DAYS.items(), strict=True)
        }
        if st.button("Save", key="limits_save"):
            chosen = Limits(patterns(names.splitlines()), **days)
            set_limits(changing(Act.SET), chosen)
            noted(Event.SET, setting="Limits of the rules", **chosen.facts())
            st.toast("Saved: all rules look again.")
            st.rerun()


DAYS = {
    "delete_awaiting_days": "Delete awaiting, at most (days)",
    "inactive_days": "Onboarded and not active, at most (days)",
    "unchanged_days": "Look back for updates that changed nothing (days)",
}
