"""The list of review rounds."""

from collections.abc import Sequence

import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from queries.rounds.lists import Progress, Round
from server.authorize import authorize
from widgets import users_table as ut
from widgets.address import update_address

COLUMNS = [
    ut.column("name", "Round", sortable=False, width=2),
    ut.column("population", "Accounts", sortable=False, width=2.4),
    ut.column("share", "Progress", sortable=False, width=0.8),
    ut.column("decided", "Decided", sortable=False, numeric=True, width=1),
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
def show_rounds(rounds: Sequence[tuple[Round, Progress]]) -> None:
    """A row per round; a row opens it."""
    authorize(Permission.REVIEW_ROUNDS)
    ut.users_table(
        [_row(round_, progress) for round_, progress in rounds],
        columns=COLUMNS,
        caption="Review rounds",
        empty=NO_ROUNDS,
        key="rounds",
        on_row=_open,
    )


def status_mark(round_: Round, progress: Progress) -> ut.Cell:
    """Closed, complete, late or open."""
    if round_.closed_at:
        return ut.mark("Closed", "quiet", "dash")
    if progress.decided == progress.items:
        return ut.mark("All decided", "good", "check")
    if round_.last_day < utc_now().date():
        return ut.mark("Late", "warn", "alert")
    return ut.mark("Open", "ongoing", "clock")


def _row(round_: Round, progress: Progress) -> ut.TableRow:
    return ut.row(
        round_.round_id,
        round_.name,
        name=ut.text(round_.name),
        population=ut.text(round_.population),
        share=ut.bar(progress.decided / max(1, progress.items), "good"),
        decided=ut.text(f"{progress.decided:,} of {progress.items:,}"),
        last_day=ut.text(f"{round_.last_day}"),
        status=status_mark(round_, progress),
        started=ut.time(round_.started_at),
        by=ut.text(round_.started_by),
    )


def _open(round_id: str) -> None:
    update_address(round=round_id, show=None, page=None)
    st.rerun()
