"""The worksheet of a round: download it, and take it back after a look at what it decides."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from data.records.rounds import DECISIONS
from data.tempfiles import TemporaryFile
from queries.rounds.lists import Round
from queries.rounds.worksheet import Worksheet, read_worksheet
from server.authorize import store_connection
from server.session import current_principal
from widgets.labels import escape_label
from widgets.rounds.decide import save_decisions
from widgets.signer import name_input

ABOUT = (
    "For people who do not use Rollcall: an Excel file with a choice per row. Everything else in "
    "it is locked, and nothing of it is taken until it fits this round."
)
NOT_TAKEN = "Nothing of this worksheet was taken. Correct it, and upload it again."
NOTHING_NEW = "This worksheet has no decision that is not taken already."
MAX_MEGABYTES = 50
MAX_LISTED = 10
TAKE_ANYWAY = "Replace those decisions"


@st.dialog("Worksheet", width="medium")
def show_worksheet(round_: Round) -> None:
    """Links to the worksheet, and the upload of one that is filled in."""
    st.text(ABOUT)
    if current_principal().is_allowed(Permission.DOWNLOAD):
        href = escape(f"export/round.worksheet.xlsx?{urlencode({'round': round_.round_id})}")
        link = f'<a href="{href}" download>Download worksheet</a>'
        st.html(f'<nav class="downloads" aria-label="Worksheet">{link}</nav>')
    if round_.closed_at:
        return
    file = st.file_uploader(
        "Filled-in worksheet",
        type=["xlsx", "ods"],
        max_upload_size=MAX_MEGABYTES,
        key="worksheet_file",
    )
    if not file:
        return
    author, copy = name_input(), TemporaryFile()
    copy.path.write_bytes(file.getvalue())
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        read = read_worksheet(con, round_, copy.path, author)
    _show_preview(round_, read, author)


def _show_preview(round_: Round, read: Worksheet, author: str) -> None:
    if read.problems:
        st.error(NOT_TAKEN, icon=":material/block:")
        _show_list(read.problems)
        return
    if not read.decisions and not read.own:
        st.text(NOTHING_NEW)
        return
    counts = Counter(each.decision for each in read.decisions)
    parts = ", ".join(f"{counts[name]:,} {name}" for name in DECISIONS if counts[name])
    st.markdown(
        f"**{count_of(len(read.decisions), 'new decision')}**{parts and f': {parts}'}. "
        f"{count_of(read.empty, 'row')} without a decision."
    )
    if read.own:
        st.text("Your own accounts are left to somebody else:")
        _show_list(read.own)
    replaces = False
    if read.contradictions:
        st.text("These are decided already, and differ:")
        _show_list(read.contradictions)
        replaces = st.checkbox(TAKE_ANYWAY, key="worksheet_replace")
    taken = [d for d in read.decisions if replaces or d.item not in read.contradicted]
    if taken and st.button(
        f"Take {count_of(len(taken), 'decision')}", type="primary", key="worksheet_take"
    ):
        save_decisions(round_, taken, author)


def _show_list(sentences: Sequence[str]) -> None:
    shown = [f"- {escape_label(text, 300)}" for text in sentences[:MAX_LISTED]]
    more = len(sentences) - MAX_LISTED
    st.markdown("\n".join([*shown, f"- And {more:,} more."] if more > 0 else shown))
