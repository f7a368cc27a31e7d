"""The list of review rounds."""

from collections.abc import Mapping, Sequence

import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from queries.rounds.items import TO_DO
from queries.rounds.lists import Round
from server.authorize import authorize
from widgets import users_table as ut
from widgets.address import update_address

COLUMNS = [
    ut.column("name", "Round", sortable=False, width=2.6),
    ut.column("decided", "Decided", sortable=False, numeric=True, width=1),
    ut.column("outcome", "Outcome", sortable=False, width=4.4),
    ut.column("last_day", "Last day (UTC)", sortable=False, width=1),
    ut.column("status", "Status", sortable=False, width=1),
    ut.column("started", "Started", sortable=False, width=1.1),
    ut.column("by", "By", sortable=False, width=1),
]

NO_ROUNDS = (
    "No review rounds yet. On Users, filter the accounts to review and choose Export, Start review "
    "round. Or open a rule on Review."
)


@st.fragment
def show_rounds(rounds: Sequence[Round], by_round: Mapping[str, Mapping[str, int]]) -> None:
    """A row per round, with its items by outcome; a row opens it."""
    authorize(Permission.REVIEW_ROUNDS)
    if not rounds:
        st.text(NO_ROUNDS)
        with st.container(horizontal=True):
            st.page_link("users.py", label="Users", icon=":material/group:")
            st.page_link("review.py", label="Review", icon=":material/fact_check:")
        return
    ut.users_table(
        [_row(each, by_round[each.round_id]) for each in rounds],
        columns=COLUMNS,
        caption="Review rounds",
        empty="",
        key="rounds",
        on_row=_open,
    )


def outcome_words(counts: Mapping[str, int]) -> str:
    """`3 open, 12 kept`: the outcomes of what is decided, what is still to do first."""
    names = [name for name in counts if name != "undecided" and counts[name]]
    names.sort(key=lambda name: name not in TO_DO)
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def _status_mark(round_: Round, undecided: int) -> ut.Cell:
    """Closed, complete, late or open."""
    if round_.closed_at:
        return ut.mark("Closed", "quiet", "dash")
    if not undecided:
        return ut.mark("All decided", "good", "check")
    if round_.last_day < utc_now().date():
        return ut.mark("Late", "warn", "alert")
    return ut.mark("Open", "ongoing", "clock")


def _row(round_: Round, counts: Mapping[str, int]) -> ut.TableRow:
    total, undecided = sum(counts.values()), counts["undecided"]
    return ut.row(
        round_.round_id,
        round_.name,
        name=ut.person(round_.name, round_.population),
        decided=ut.text(f"{total - undecided:,} of {total:,}"),
        outcome=ut.text(outcome_words(counts)),
        last_day=ut.text(f"{round_.last_day}"),
        status=_status_mark(round_, undecided),
        started=ut.time(round_.started_at),
        by=ut.text(round_.started_by),
    )


def _open(round_id: str) -> None:
    update_address(round=round_id, show=None, page=None)
    st.rerun()
