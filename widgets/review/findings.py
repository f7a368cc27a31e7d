"""The review as a reader sees it: what rules find, the accounts, and the word of who accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.files.naming import moment_of
from data.records.exceptions import (
    Limits,
)
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import (
    PAGE_SIZE,
    RULE_BY_NAME,
    SEVERITIES,
    Count,
    Rule,
    count_findings,
    page_of_findings,
)
from queries.users.accounts import integration_names
from queries.users.detail import known_of
from queries.users.facets import moments
from server.authorize import is_sample, reading
from server.session import principal
from widgets import account_panel, timezone
from widgets import users_table as ut
from widgets.address import address, go, page_asked, turn_pages
from widgets.filters import open_users
from widgets.review.exceptions import offer_to_accept, offer_to_withdraw
from widgets.users_table import Block, users_table

BADGES: dict[str, tuple[str, str, Any]] = {
    "high": ("High", ":material/gpp_bad:", "red"),
    "medium": ("Medium", ":material/warning:", "orange"),
    "low": ("Low", ":material/info:", "blue"),
}
"""Severity → its word, icon and colour."""


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
        timezone.choose_moment(
            "Moment",
            "moment",
            view.at,
            (first, last[0]),
            lambda moment: go(as_of=_param(moment), page=None),
        )
        for at in last:
            st.button(
                f"Snapshot of {timezone.told(at)}",
                key=f"as_of_{at:%Y%m%d%H%M%S}",
                type="tertiary",
                on_click=go,
                kwargs={"as_of": _param(at), "page": None},
            )
        timezone.choose_zone()


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
        offer_to_withdraw(rule, rows)
    else:
        offer_to_accept(view, rule, rows, found)


NOTHING = "Nothing to review: this rule finds no account that counts."


def _head(
    view: View, rule: Rule, count: Count, earliest: datetime | None, *, shows_agreed: bool
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="found"):
        noun = "account" if count.open == 1 else "accounts"
        since = f", the earliest since {timezone.named(earliest)}" if earliest else ""
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
            str(key): account_panel.panel(each._replace(others=[]), as_of=view.at)
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
    drawn = account_panel.table_row(row)
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


# ---- limits --------------------------------------------------------------------------------------
