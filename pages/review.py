"""Who still has access but should not: the findings of each rule, and the exceptions."""

import streamlit as st

from data.access.roles import Permission
from data.records.exceptions import read_rule_settings
from queries.evidence.findings import select_rules
from queries.users.accounts import integration_names
from server.authorize import store_connection
from server.session import current_principal
from widgets import evidence, status
from widgets.address import update_address
from widgets.filters import choose_integrations, show_past_banner
from widgets.report import print_header, report_button
from widgets.review import findings
from widgets.review.limits import limits_form
from widgets.rounds.start import rounds_link

with store_connection(Permission.REVIEW) as con:
    integrations = integration_names(con)
    limits = read_rule_settings(con)

with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Review")
    if integrations:
        rounds_link()
        report_button()
if not integrations:
    status.show_no_snapshots()
    st.stop()

rule = findings.selected_rule()
with st.container(horizontal=True, vertical_alignment="bottom", key="review_of"):
    chosen = choose_integrations(integrations)
    severities = [] if rule else findings.severity_picker()
    view = findings.view_of(limits, chosen)
    findings.moment_picker(view)
rules = (rule,) if rule else select_rules((), severities)
show_past_banner(
    view.as_of,
    lambda: update_address(as_of=None, page=None),
    "Findings and exceptions at that moment, with today’s rule settings.",
)

with st.container(horizontal=True, vertical_alignment="center", key="review_head"):
    if rule:
        st.button(
            "All rules",
            key="all_rules",
            icon=":material/arrow_back:",
            type="tertiary",
            on_click=update_address,
            kwargs={"rule": None, "page": None, "accepted": None, **findings.NOT_NARROWED},
        )
    evidence.show_findings_download(view, rules)
print_header("Review", findings.view_facts(view, rules))

if rule:
    findings.rule_section(view, rule)
    st.stop()

findings.rules_overview(view, rules)
if view.as_of is None and current_principal().is_allowed_everywhere(Permission.CHANGE_SETTINGS):
    limits_form(limits)
