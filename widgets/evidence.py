"""Evidence packs: the links to them, and the routes that answer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import Rule
from server.authorize import can_download_evidence

FINDINGS_ADDRESS, USERS_ADDRESS = "export/evidence.zip", "export/users.evidence.zip"


def show_findings_download(view: View, rules: Sequence[Rule]) -> None:
    """The pack of what the rules find: one link, made when it is asked for."""
    if not can_download_evidence():
        return
    params = [("integration", name) for name in view.integration]
    params += [("rule", rule.name) for rule in rules]
    params += Filters(as_of=view.as_of).params()
    link = escape(f"{FINDINGS_ADDRESS}?{urlencode(params)}")
    st.html(
        '<nav class="downloads" aria-label="Download the evidence">'
        f'<a href="{link}" download title="Findings, snapshots with their hashes, rules: '
        'rollcall verify proves it from the archive">Evidence pack</a></nav>',
        width="content",
    )


def users_pack_address(filters: Filters) -> str:
    """The address of the pack of a list of accounts."""
    return f"{USERS_ADDRESS}?{urlencode(filters.params())}"
