"""The two moments of the Changes page: their pickers, presets and notes."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from html import escape

import pandas as pd
import streamlit as st

from data.files.naming import parse_moment
from data.formatting import iso_z
from queries.changes.diff import ChangeFilter
from queries.changes.window import SnapshotMoments, Window
from queries.scope import moment_param
from server.headers import KEEP_COOKIE_SCRIPT
from widgets import timezone
from widgets.address import address_params, group_params, update_address, write_address
from widgets.changes.sentences import moment_text

REVIEWED_COOKIE = "rollcall_reviewed"
"""The cookie with the moment up to which a reader has reviewed changes, in that browser only."""

FRIDAY = 4

REVIEWED_HELP = "Next time, this browser offers “Since my last review”."
SWAPPED = "“From” was later than “to”, so they are swapped."
ONE_SNAPSHOT = "There is only one snapshot. Changes show from the second one on."
SAME_MOMENT = "Both moments are the same. Choose an earlier “from”."


# ---- the address ---------------------------------------------------------------------------------


def open_changes(window: Window, change_filter: ChangeFilter | None = None) -> None:
    """Show the changes of this window, or one list of them."""
    params = [*window.params(), *(change_filter.params() if change_filter else [])]
    write_address(timezone.with_zone(group_params(params)))


def ignored_params(window: Window, change_filter: ChangeFilter | None) -> list[tuple[str, str]]:
    """The parameters of the address that have no effect: (name, value)."""
    params = address_params()
    used_params = {*window.params(), *(change_filter.params() if change_filter else [])}
    moments = [(name, value) for name in ("from", "to") for value in params.get(name, [])[:1]]
    names = ("integration", "list", "was", "now", "role", "value")
    others = [(name, value) for name in names for value in params.get(name, [])]
    return [
        *((name, value) for name, value in moments if value and not parse_moment(value)),
        *((name, value) for name, value in others if value and (name, value) not in used_params),
    ]


# ---- pickers -------------------------------------------------------------------------------------


def window_picker(window: Window, moments: SnapshotMoments) -> None:
    """From and to, and the usual windows by one press."""
    from_, to, zone = st.columns(3)
    with from_:
        _moment_picker("From", "since", window, moments)
    with to:
        _moment_picker("To", "until", window, moments)
    with zone:
        timezone.choose_zone()
    with st.container(horizontal=True, gap="small", key="presets"):
        for label, since in _preset_moments(moments).items():
            preset = replace(window, since=since, until=moments.newest)
            st.button(
                label,
                key=f"since_{label}",
                type="primary" if preset == window else "tertiary",
                on_click=open_changes,
                args=(preset,),
            )
        _mark_reviewed_button(window)


def _moment_picker(label: str, side: str, window: Window, moments: SnapshotMoments) -> None:
    def choose(moment: datetime | None) -> None:
        if not moment:
            update_address(**{label.lower(): None})
            return
        chosen = replace(window, **{side: moment})
        since, until = sorted((chosen.since, chosen.until))
        open_changes(replace(window, since=since, until=until))

    span = (moments.first, moments.newest)
    timezone.choose_moment(label, f"moment_{side}", getattr(window, side), span, choose)


def _preset_moments(moments: SnapshotMoments) -> dict[str, datetime]:
    """Label → the earlier moment, for windows that reach back to a snapshot.

    Days count back from the newest snapshot and have names, so that labels stay true if nothing
    was loaded for a while. A day stands for its start.
    """
    today = timezone.to_reader_time(moments.newest).date()
    yesterday = today - timedelta(days=1)
    friday = today - timedelta(days=(today.weekday() - FRIDAY - 1) % 7 + 1)
    presets = {"Last two snapshots": moments.previous} if moments.previous else {}
    for day in (yesterday, friday):
        day_start = timezone.from_reader_time(datetime.combine(day, time.min))
        presets[f"Since {day:%A, %-d %b}"] = day_start
    for days in (7, 30):
        presets[f"{days} days"] = moments.newest - timedelta(days=days)
    if reviewed_until := _reviewed_until():
        presets["Since my last review"] = min(reviewed_until, moments.newest)
    return {label: moment for label, moment in presets.items() if moment >= moments.first}


def _reviewed_until() -> datetime | None:
    """The moment up to which this browser's reader has reviewed changes."""
    return parse_moment(
        str(st.session_state.get(REVIEWED_COOKIE) or st.context.cookies.get(REVIEWED_COOKIE))
    )


def _mark_reviewed_button(window: Window) -> None:
    """Sets the cookie by a press, not by every visit: a reload loses nothing."""
    if _reviewed_until() == window.until:
        return
    reviewed_until = iso_z(window.until)
    if st.button(
        "Mark as reviewed",
        key="mark_reviewed",
        type="tertiary",
        icon=":material/done_all:",
        help=REVIEWED_HELP,
    ):
        st.session_state[REVIEWED_COOKIE] = reviewed_until
        cookie = f"{REVIEWED_COOKIE}={reviewed_until}; path=/; max-age=31536000; SameSite=Strict"
        st.html(
            f'<span id="cookie-to-keep" data-cookie="{escape(cookie)}"></span>'
            f"<script>{KEEP_COOKIE_SCRIPT}</script>",
            unsafe_allow_javascript=True,
        )
        st.toast(f"Reviewed up to {timezone.format_with_zone(window.until)}.")


# ---- notes ---------------------------------------------------------------------------------------


def window_notes(window: Window, moments: SnapshotMoments, snapshots: pd.DataFrame) -> None:
    """Why the window shows nothing, or another order of moments than the address gives."""
    params = address_params()
    requested = moment_param(params, "from"), moment_param(params, "to")
    if requested[0] and requested[1] and requested[0] > requested[1]:
        st.text(SWAPPED)
    if moments.first == moments.newest:
        st.text(ONE_SNAPSHOT)
    elif not is_comparable(snapshots):
        zone = timezone.current_zone()
        st.text(
            f"There is no snapshot by {moment_text(window.since)} {zone} to compare with. "
            f"The first one is from {moment_text(moments.first)} {zone}."
        )
        first_window = replace(window, since=moments.first, until=max(window.until, moments.first))
        st.button(
            "From the first snapshot", key="from_first", on_click=open_changes, args=(first_window,)
        )
    elif window.since == window.until:
        st.text(SAME_MOMENT)


def is_comparable(snapshots: pd.DataFrame) -> bool:
    """Whether any integration had a snapshot by both moments."""
    return bool(snapshots["taken_before"].notna().any())
