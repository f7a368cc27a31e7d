"""Who still has access who should not: what each rule finds, and what people said of it."""

from pathlib import Path

import streamlit as st

from data.access.roles import Act
from data.records.exceptions import limits_of
from queries.evidence.findings import chosen_rules
from queries.users.accounts import integration_names
from server.authorize import is_sample, reading
from server.session import principal
from widgets import evidence, status
from widgets.address import go
from widgets.filters import choose_integrations, mark_past
from widgets.review import findings
from widgets.review.limits import choose_limits

CSS = Path(__file__).parent.parent / "widgets" / "look" / "review.css"

with reading(Act.REVIEW) as con:
    integrations = integration_names(con)
    limits = limits_of(con)

st.html(CSS)
st.title("Review")
if not integrations:
    status.no_snapshots()
    st.stop()

one = findings.asked_rule()
with st.container(horizontal=True, vertical_alignment="bottom", key="review_of"):
    chosen = choose_integrations(integrations)
    severities = [] if one else findings.choose_severities()
    view = findings.view_of(limits, chosen)
    findings.choose_moment(view)
rules = (one,) if one else chosen_rules((), severities)
mark_past(
    view.at,
    lambda: go(as_of=None, page=None),
    "Findings, and what was accepted by then, with today’s limits.",
)

with st.container(horizontal=True, vertical_alignment="center", key="review_head"):
    if one:
        st.button(
            "All rules",
            key="all_rules",
            icon=":material/arrow_back:",
            type="tertiary",
            on_click=go,
            kwargs={"rule": None, "page": None, "accepted": None},
        )
    evidence.offer_findings(view, rules)

if one:
    findings.one_rule(view, one)
    st.stop()

findings.overview(view, rules)
if view.at is None and not is_sample() and principal().may_for_all(Act.SET):
    choose_limits(limits)
