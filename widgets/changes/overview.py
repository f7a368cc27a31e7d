"""The parts of the Changes page: two moments, and what changed in counts, flows and tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from html import escape

import pandas as pd
import streamlit as st

from data.files.naming import parse_moment
from data.states import FAILED_STATES, STATE_BY_NAME
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.summary import ChangeSummary
from queries.changes.window import SnapshotMoments, Window, format_moment
from server.headers import KEEP_COOKIE_SCRIPT
from widgets import timezone
from widgets.address import address_params, group_params, update_address, write_address
from widgets.changes.flow_figure import state_transitions_figure
from widgets.changes.sentences import count_text, moment_text
from widgets.figure_theme import PLOTLY_CONFIG

REVIEWED_COOKIE = "rollcall_looked"
"""The cookie with the moment up to which a reader has looked; it stays in that browser."""

MAX_ROLES_SHOWN = 100
"""Roles in the table of them, those that changed most."""

FRIDAY = 4


# ---- the address ---------------------------------------------------------------------------------


def open_changes(window: Window, change_filter: ChangeFilter | None = None) -> None:
    """Show these moments, and of them a list."""
    params = [*window.params(), *(change_filter.params() if change_filter else [])]
    write_address(timezone.with_zone(group_params(params)))


def ignored_params(window: Window, change_filter: ChangeFilter | None) -> list[tuple[str, str]]:
    """What the address names and nothing came of: parameter and value."""
    used_params = {*window.params(), *(change_filter.params() if change_filter else [])}
    names = ("integration", "list", "was", "now", "role", "value")
    pairs = [
        (n, v)
        for n in names
        for v in address_params().get(n, [])
        if v and (n, v) not in used_params
    ]
    moments = ((n, v) for n in ("from", "to") for v in address_params().get(n, [])[:1])
    return [*((n, v) for n, v in moments if v and not parse_moment(v)), *pairs]


# ---- the moments ---------------------------------------------------------------------------------


def window_picker(window: Window, moments: SnapshotMoments) -> None:
    """From and to, and what people ask for most at one click."""
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
        if moment:
            open_changes(_ordered(replace(window, **{side: moment})))
        else:
            update_address(**{label.lower(): None})

    span = (moments.first, moments.newest)
    timezone.choose_moment(label, f"moment_{side}", getattr(window, side), span, choose)


def _ordered(window: Window) -> Window:
    earlier, later = sorted((window.since, window.until))
    return replace(window, since=earlier, until=later)


def _preset_moments(moments: SnapshotMoments) -> dict[str, datetime]:
    """Words → the earlier moment; only where there is something to compare with.

    Days are told from the newest snapshot back, and by their names, so that no label lies where
    nothing was loaded for a while. A day's moment is its end: what has changed since then.
    """
    today = timezone.to_reader_time(moments.newest).date()
    yesterday = today - timedelta(days=1)
    friday = today - timedelta(days=(today.weekday() - FRIDAY - 1) % 7 + 1)
    presets = {
        f"Since {day:%A, %-d %b}": timezone.from_reader_time(
            datetime.combine(day, time(23, 59, 59))
        )
        for day in (yesterday, friday)
    }
    presets |= {f"{days} days": moments.newest - timedelta(days=days) for days in (7, 30)}
    if moments.previous:
        presets = {"Last two snapshots": moments.previous} | presets
    if reviewed_until := _reviewed_until():
        presets["Since I last looked"] = min(reviewed_until, moments.newest)
    return {label: moment for label, moment in presets.items() if moment >= moments.first}


def _reviewed_until() -> datetime | None:
    """Up to which moment this browser's reader has looked, as far as it remembers."""
    return parse_moment(
        str(st.session_state.get(REVIEWED_COOKIE) or st.context.cookies.get(REVIEWED_COOKIE))
    )


def _mark_reviewed_button(window: Window) -> None:
    """A cookie, set at a click and not by each visit: a reload forgets nothing."""
    if _reviewed_until() == window.until:
        return
    reviewed_until = format_moment(window.until)
    if st.button(
        "I have looked",
        key="remember",
        type="tertiary",
        icon=":material/done_all:",
        help="This browser remembers the later moment, and offers what has changed since.",
    ):
        st.session_state[REVIEWED_COOKIE] = reviewed_until
        cookie = f"{REVIEWED_COOKIE}={reviewed_until}; path=/; max-age=31536000; SameSite=Strict"
        st.html(
            f'<span id="cookie-to-keep" data-cookie="{escape(cookie)}"></span>'
            f"<script>{KEEP_COOKIE_SCRIPT}</script>",
            unsafe_allow_javascript=True,
        )
        st.toast(f"Looked until {timezone.format_with_zone(window.until)}.")


def window_notes(
    window: Window, snapshot_moments: SnapshotMoments, snapshots: pd.DataFrame
) -> None:
    """What is odd about the moments, and the way on."""
    moments = {
        name: parse_moment(next(iter(address_params().get(name, [])), ""))
        for name in ("from", "to")
    }
    if moments["from"] and moments["to"] and moments["from"] > moments["to"]:
        st.text("“From” was later than “to”, so they are swapped.")
    if snapshot_moments.first == snapshot_moments.newest:
        st.text("There is one snapshot only so far; changes show from the second one on.")
    elif not is_comparable(snapshots):
        requested, available = map(moment_text, (window.since, snapshot_moments.first))
        st.text(
            f"Nothing was loaded yet for {requested} {timezone.current_zone()}, so nothing can "
            "be compared: "
            f"the "
            f"first snapshot is of {available} {timezone.current_zone()}."
        )
        first_window = replace(
            window, since=snapshot_moments.first, until=max(window.until, snapshot_moments.first)
        )
        st.button(
            "From the first snapshot", key="from_first", on_click=open_changes, args=(first_window,)
        )
    elif window.since == window.until:
        st.text("Both moments are the same, so nothing has changed. Choose an earlier “from”.")


def is_comparable(snapshots: pd.DataFrame) -> bool:
    """Whether any integration had a snapshot at both moments."""
    return bool(snapshots["taken_then"].notna().any())


# ---- the overview --------------------------------------------------------------------------------


def change_tiles(window: Window, summary: ChangeSummary, selected: ChangeFilter | None) -> None:
    """How many changed in each way; each opens its list."""
    failed = ChangeFilter("moved", now=FAILED_STATES)
    entries = [
        (kind.label, summary.counts[name], ChangeFilter(name))
        for name, kind in CHANGE_KINDS.items()
    ]
    position = (
        next(n for n, (_, _, change_filter) in enumerate(entries) if change_filter.kind == "moved")
        + 1
    )
    entries.insert(position, ("Newly failed", summary.newly_failed, failed))
    with st.grid(5, min_column_width=150, gap="small"):
        for label, count, change_filter in entries:
            with st.container(border=True, gap=None, key=f"tile_{label}"):
                st.metric(label, f"{count:,}", label_visibility="collapsed")
                st.button(
                    label,
                    key=f"open_{label}",
                    icon=":material/chevron_right:",
                    icon_position="right",
                    type="primary" if change_filter == selected else "tertiary",
                    on_click=open_changes,
                    args=(window, change_filter),
                    disabled=not count,
                )


def transitions_card(window: Window, summary: ChangeSummary) -> None:
    """The state moves as flows, and as a table whose cells open their accounts."""
    transitions = summary.transitions
    total = count_text(summary.counts["moved"])
    with st.container(border=True, key="card_moves"):
        failed = f", {summary.newly_failed:,} newly failed" if summary.newly_failed else ""
        st.subheader(f"{total} changed state{failed}", anchor=False)
        st.caption(
            "Left the state then, right the state now: where work got stuck, and where it went on. "
            "In the table, a cell opens its accounts."
        )
        largest = "; ".join(
            f"{m.was} to {m.now}: {m.accounts:,}" for m in transitions.head(10).itertuples()
        )
        st.plotly_chart(
            state_transitions_figure(transitions),
            key="moves",
            theme="streamlit",
            config=PLOTLY_CONFIG,
            alt=f"Flows from the state then to the state now. The largest: {largest or 'none'}.",
        )
        if transitions.empty:
            return
        matrix = _transition_matrix(transitions)

        def open_cell() -> None:
            cells = st.session_state["matrix"]["selection"]["cells"]
            if cells and (after_state := cells[0][1]) in matrix.columns:
                open_changes(
                    window,
                    ChangeFilter(
                        "moved", was=(str(matrix.index[cells[0][0]]),), now=(after_state,)
                    ),
                )

        st.dataframe(
            matrix,
            key="matrix",
            on_select=open_cell,
            selection_mode="single-cell",
            placeholder="",
            alt="Accounts by state then, a row each, and state now, a column each",
            column_config={
                "was": st.column_config.TextColumn("Then ↓  Now →", pinned=True),
                **{
                    name: st.column_config.NumberColumn(name, format="localized")
                    for name in matrix.columns
                },
            },
        )


def _transition_matrix(transitions: pd.DataFrame) -> pd.DataFrame:
    """One row per state then, one column per state now, both in lifecycle order; empty for none."""
    wide = transitions.pivot(index="was", columns="now", values="accounts").astype("Int64")
    rows, columns = ([n for n in STATE_BY_NAME if n in set(side)] for side in (wide.index, wide))
    return wide.reindex(index=rows, columns=columns)


def roles_card(window: Window, summary: ChangeSummary) -> None:
    """By role, how many gained and lost it; a cell opens its accounts."""
    top_roles = summary.roles.head(MAX_ROLES_SHOWN)
    more = len(summary.roles) - len(top_roles)
    with st.container(border=True, key="card_roles"):
        st.subheader("Roles gained and lost", anchor=False)
        st.caption("Accounts listed at both moments; a cell opens them.")
        if top_roles.empty:
            st.text("No account gained or lost a role.")
            return

        def open_cell() -> None:
            cells = st.session_state["roles"]["selection"]["cells"]
            if cells and (kind := cells[0][1]) in ("gained", "lost"):
                role = str(top_roles.iloc[cells[0][0]]["role"])
                open_changes(window, ChangeFilter(kind, role=role))

        st.dataframe(
            top_roles,
            key="roles",
            hide_index=True,
            on_select=open_cell,
            selection_mode="single-cell",
            alt="One row per role: how many accounts gained and lost it",
            column_config={
                "role": st.column_config.TextColumn("Role", width="medium"),
                "gained": st.column_config.NumberColumn("Gained", format="localized"),
                "lost": st.column_config.NumberColumn("Lost", format="localized"),
            },
        )
        if more > 0:
            st.text(f"and {more:,} roles more, each in the lists of accounts")


def values_card(window: Window, summary: ChangeSummary) -> None:
    """What else changed, by what; a row opens its accounts."""
    counts = {name: n for name, n in summary.value_changes.items() if n}
    with st.container(border=True, key="card_values"):
        st.subheader("Otherwise changed", anchor=False)
        st.caption("What accounts say besides state, roles, match and activity.")
        if not counts:
            st.text("Nothing else changed.")
        for name, count in counts.items():
            st.button(
                f"{VALUE_CHANGES[name].label} :gray[{count:,}]",
                key=f"value_{name}",
                type="tertiary",
                on_click=open_changes,
                args=(window, ChangeFilter("other", value=name)),
            )


def snapshots_expander(snapshots: pd.DataFrame) -> None:
    """Which snapshots were compared."""
    with st.expander("Which snapshots are compared", key="sources"):
        st.caption(
            "An integration is as its last snapshot said; what came and went in between is not "
            "told."
        )
        columns = ("taken_then", "taken_now")
        local_times = {
            name: snapshots[name].map(timezone.to_reader_time, na_action="ignore")
            for name in columns
        }
        st.dataframe(
            snapshots.assign(**local_times),
            key="compared",
            hide_index=True,
            alt="One row per integration: the snapshots compared and their accounts",
            column_config={
                "integration": st.column_config.TextColumn("Integration", pinned=True),
                "taken_then": st.column_config.DatetimeColumn(
                    f"Snapshot then ({timezone.current_zone()})", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_then": st.column_config.NumberColumn("Accounts", format="localized"),
                "taken_now": st.column_config.DatetimeColumn(
                    f"Snapshot now ({timezone.current_zone()})", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_now": st.column_config.NumberColumn("Accounts now", format="localized"),
            },
        )
