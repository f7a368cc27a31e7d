"""What a review round is, how far it is, and what became of what was revoked."""

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import sqlalchemy as sa
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of, iso_z
from queries.rounds.items import TO_DO, all_items, outcomes_by_day
from queries.rounds.lists import Round, frozen_snapshots
from queries.rounds.population import rule_in
from server.authorize import can_download_evidence, store_connection
from server.session import current_principal
from widgets import timezone
from widgets.figure_theme import PHASE_COLORS, PLOTLY_CONFIG, new_figure
from widgets.labels import escape_label
from widgets.rounds.overview import outcome_words

MAX_TICKET_LINES = 200
"""Lines of the text for a ticket; the files have all."""
NO_NEED_TO_CONFIRM = "Nobody has to report back: the next snapshot shows what is gone."
TICKET_WORDS = {"late": "is late", "came back": "was gone and came back"}
"""Outcome → what the text for a ticket adds."""

COURSE: dict[str, tuple[str, str]] = {
    "done": (PHASE_COLORS["settled"], ""),
    "open": (PHASE_COLORS["ongoing"], "."),
    "late": (PHASE_COLORS["awaiting"], "/"),
    "came back": (PHASE_COLORS["failed"], "x"),
}
"""Outcome of what was revoked → color and pattern in the chart."""


def title_of(round_: Round | None) -> str:
    """The name of the round, or of the page."""
    return escape_label(round_.name) if round_ else "Review rounds"


def show_summary(round_: Round, counts: Mapping[str, int]) -> None:
    """The frozen list in words, and the progress."""
    total, undecided = sum(counts.values()), counts["undecided"]
    noun = "role" if round_.is_by_role else "account"
    parts = outcome_words(counts)
    decided = f"**{total - undecided:,} of {count_of(total, noun)}** decided"
    sentence = f"{decided}: {parts}." if parts else f"{decided}."
    st.progress((total - undecided) / max(1, total), text=sentence)
    closed = (
        f"Closed by {round_.closed_by} at {timezone.format_with_zone(round_.closed_at)}."
        if round_.closed_at
        else f"Last day: {round_.last_day} UTC."
    )
    deciders = f"Decided by {', '.join(round_.deciders)}. " if round_.deciders else ""
    st.html(
        f'<a href="{escape(list_address(round_))}" target="_self">{escape(round_.population)}</a>, '
        + escape(
            f"as of {timezone.format_with_zone(round_.frozen_at)}. Started by {round_.started_by}. "
            f"{deciders}{closed} What is revoked is late after "
            f"{count_of(round_.late_days, 'day')}."
        )
    )


def show_snapshots(round_: Round) -> None:
    """The snapshots that the list follows from."""
    with st.expander("Snapshots of this list", key="round_snapshots"):
        with store_connection(Permission.REVIEW_ROUNDS) as con:
            snapshots = frozen_snapshots(con, round_.round_id)
        for name, taken_at, sha256, now in snapshots:
            since = "" if now == "loaded" else f" · {now} since then"
            moment = timezone.format_with_zone(taken_at, seconds=True)
            st.text(f"{name} · {moment} · {sha256}{since}")


def list_address(round_: Round) -> str:
    """The list as of the moment at which the round froze it; of a rest, the round before."""
    params = parse_qsl(round_.address)
    if "round" in dict(params):
        params = [(name, value) for name, value in params if name != "rule"]
        return f"rounds?{timezone.query_with_zone(params)}"
    page = "review" if rule_in(round_.address) else "users"
    params.append(("as_of", iso_z(round_.frozen_at)))
    return f"{page}?{timezone.query_with_zone(params)}"


def show_course(round_: Round, counts: Mapping[str, int]) -> None:
    """What was revoked, by day: open, done, late and came back; nothing if nothing is revoked."""
    if not any(counts[name] for name in COURSE):
        return
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        course = outcomes_by_day(con, round_, timezone.current_zone())
    if len(course) < 2:
        return
    figure = new_figure([], xaxis={"type": "category", "nticks": 8})
    for name, (color, pattern) in COURSE.items():
        figure.add_bar(
            x=[f"{day:%-d %b}" for day, _ in course],
            y=[then[name] for _, then in course],
            name=name.capitalize(),
            marker={"color": color, "pattern": {"shape": pattern}},
            hovertext=[f"{name.capitalize()}: {then[name]:,}" for _, then in course],
        )
    with st.container(border=True, key="round_course"):
        st.markdown("**What was revoked**, at the end of each day")
        st.plotly_chart(
            figure,
            key="round_chart",
            height=figure.layout.height,
            theme="streamlit",
            config=PLOTLY_CONFIG,
            alt="What was revoked, by day: done, open, late and came back.",
        )


def show_downloads(round_: Round, counts: Mapping[str, int]) -> None:
    """Files of all decisions and of what is still to do, and a text for a ticket."""
    with st.popover("Export", icon=":material/download:", key="round_export"):
        if current_principal().is_allowed(Permission.DOWNLOAD):
            links = "".join(
                _link(round_, outcomes, form, label)
                for outcomes, label in (((), "All decisions"), (TO_DO, "To do"))
                for form in ("xlsx", "csv")
            )
            if can_download_evidence(everywhere=True):
                address = f"export/round.evidence.zip?{urlencode({'round': round_.round_id})}"
                links += _menu_link(address, "Evidence pack", "ZIP")
            st.html(f'<nav class="menu" aria-label="Download this round">{links}</nav>')
        if sum(counts[name] for name in TO_DO):
            st.caption("For a ticket")
            st.code(ticket_text(round_), language=None, height=240)


def _link(round_: Round, outcomes: tuple[str, ...], form: str, label: str) -> str:
    params = [("round", round_.round_id), *(("show", name) for name in outcomes)]
    kind = {"xlsx": "Excel", "csv": "CSV"}[form]
    return _menu_link(f"export/round.{form}?{urlencode(params)}", label, kind)


def _menu_link(address: str, label: str, kind: str) -> str:
    return f'<a href="{escape(address)}" download><strong>{label}</strong> <span>{kind}</span></a>'


def ticket_text(round_: Round) -> str:
    """What is still to do, by integration."""
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        rows = all_items(con, round_, TO_DO)
    count = count_of(len(rows), "role" if round_.is_by_role else "account")
    lines = [f"{round_.name}: please remove this access ({count})."]
    integration = None
    for row in rows[:MAX_TICKET_LINES]:
        if row.integration != integration:
            integration = row.integration
            lines += ["", f"{integration}:"]
        lines.append(f"- {_ticket_line(row)}")
    if len(rows) > MAX_TICKET_LINES:
        lines.append(f"And {len(rows) - MAX_TICKET_LINES:,} more, in the file.")
    return "\n".join([*lines, "", NO_NEED_TO_CONFIRM])


def _ticket_line(row: sa.Row[Any]) -> str:
    """What to remove, why, and whom to ask."""
    parts = [
        f"role {row.role} of {row.username_in_app}" if row.role else row.username_in_app,
        *([row.user_name or row.user_email] if row.user_name or row.user_email else []),
        *([f"account ID {row.account_id}"] if row.account_id != row.username_in_app else []),
    ]
    again = "" if row.outcome == "open" else f" It {TICKET_WORDS[row.outcome]}."
    note = f" {row.note}" if row.note else ""
    decided = f"revoked by {row.decided_by} on {row.decided_at:%Y-%m-%d}"
    return " ".join(f"{', '.join(parts)}: {decided}.{again}{note}".split())
