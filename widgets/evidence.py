"""Links to evidence packs."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import Rule
from server.authorize import can_download_evidence

FINDINGS_ADDRESS, USERS_ADDRESS = "export/evidence.zip", "export/users.evidence.zip"

LINK_TITLE = (
    "Findings, rules, and snapshots with their hashes. rollcall verify proves it from the archive."
)


def show_findings_download(view: View, rules: Sequence[Rule]) -> None:
    """The link to the evidence pack of the rules' findings."""
    if not can_download_evidence():
        return
    params = [*view.params(), *(("rule", rule.name) for rule in rules)]
    link = escape(f"{FINDINGS_ADDRESS}?{urlencode(params)}")
    st.html(
        '<nav class="downloads" aria-label="Download the evidence">'
        f'<a href="{link}" download title="{LINK_TITLE}">Evidence pack</a></nav>',
        width="content",
    )


def users_pack_address(filters: Filters) -> str:
    """The address of the evidence pack of a list of accounts."""
    return f"{USERS_ADDRESS}?{urlencode(filters.params())}"
