"""The parts of the Changes page: two moments, and what changed in counts, flows and tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from html import escape

import pandas as pd
import streamlit as st

from data.files.naming import moment_of
from data.states import FAILED, STATE_BY_NAME
from queries.changes.diff import KINDS, VALUES, Listed
from queries.changes.summary import Summary
from queries.changes.window import Between, Usual, moment_text
from server.headers import KEEP_COOKIE
from widgets import timezone
from widgets.address import address, by_name, go, write
from widgets.changes.flow_figure import state_moves_figure
from widgets.changes.sentences import moment_in_words, number_of
from widgets.figure_theme import PLOTLY_CONFIG

LOOKED = "rollcall_looked"
"""The cookie with the moment up to which a reader has looked; it stays in that browser."""

ROLES_SHOWN = 100
"""Roles in the table of them, those that changed most."""

FRIDAY = 4


# ---- the address ---------------------------------------------------------------------------------


def ask(between: Between, listed: Listed | None = None) -> None:
    """Show these moments, and of them a list."""
    params = [*between.params(), *(listed.params() if listed else [])]
    write(timezone.with_zone(by_name(params)))


def ignored(between: Between, listed: Listed | None) -> list[tuple[str, str]]:
    """What the address names and nothing came of: parameter and value."""
    shown = {*between.params(), *(listed.params() if listed else [])}
    names = ("integration", "list", "was", "now", "role", "value")
    pairs = [(n, v) for n in names for v in address().get(n, []) if v and (n, v) not in shown]
    moments = ((n, v) for n in ("from", "to") for v in address().get(n, [])[:1])
    return [*((n, v) for n, v in moments if v and not moment_of(v)), *pairs]


# ---- the moments ---------------------------------------------------------------------------------


def choose_moments(between: Between, usual: Usual) -> None:
    """From and to, and what people ask for most at one click."""
    from_, to, zone = st.columns(3)
    with from_:
        _moment("From", "since", between, usual)
    with to:
        _moment("To", "until", between, usual)
    with zone:
        timezone.choose_zone()
    with st.container(horizontal=True, gap="small", key="presets"):
        for label, since in _quick(usual).items():
            wanted = replace(between, since=since, until=usual.newest)
            st.button(
                label,
                key=f"since_{label}",
                type="primary" if wanted == between else "tertiary",
                on_click=ask,
                args=(wanted,),
            )
        _offer_to_remember(between)


def _moment(label: str, side: str, between: Between, usual: Usual) -> None:
    def choose(moment: datetime | None) -> None:
        if moment:
            ask(_in_order(replace(between, **{side: moment})))
        else:
            go(**{label.lower(): None})

    span = (usual.first, usual.newest)
    timezone.choose_moment(label, f"moment_{side}", getattr(between, side), span, choose)


def _in_order(between: Between) -> Between:
    earlier, later = sorted((between.since, between.until))
    return replace(between, since=earlier, until=later)


def _quick(usual: Usual) -> dict[str, datetime]:
    """Words → the earlier moment; only where there is something to compare with.

    Days are told from the newest snapshot back, and by their names, so that no label lies where
    nothing was loaded for a while. A day's moment is its end: what has changed since then.
    """
    today = timezone.here(usual.newest).date()
    yesterday = today - timedelta(days=1)
    friday = today - timedelta(days=(today.weekday() - FRIDAY - 1) % 7 + 1)
    quick = {
        f"Since {day:%A, %-d %b}": timezone.there(datetime.combine(day, time(23, 59, 59)))
        for day in (yesterday, friday)
    }
    quick |= {f"{days} days": usual.newest - timedelta(days=days) for days in (7, 30)}
    if usual.before:
        quick = {"Last two snapshots": usual.before} | quick
    if looked := _looked():
        quick["Since I last looked"] = min(looked, usual.newest)
    return {label: moment for label, moment in quick.items() if moment >= usual.first}


def _looked() -> datetime | None:
    """Up to which moment this browser's reader has looked, as far as it remembers."""
    return moment_of(str(st.session_state.get(LOOKED) or st.context.cookies.get(LOOKED)))


def _offer_to_remember(between: Between) -> None:
    """A cookie, set at a click and not by each visit: a reload forgets nothing."""
    if _looked() == between.until:
        return
    looked = moment_text(between.until)
    if st.button(
        "I have looked",
        key="remember",
        type="tertiary",
        icon=":material/done_all:",
        help="This browser remembers the later moment, and offers what has changed since.",
    ):
        st.session_state[LOOKED] = looked
        cookie = f"{LOOKED}={looked}; path=/; max-age=31536000; SameSite=Strict"
        st.html(
            f'<span id="cookie-to-keep" data-cookie="{escape(cookie)}"></span>'
            f"<script>{KEEP_COOKIE}</script>",
            unsafe_allow_javascript=True,
        )
        st.toast(f"Looked until {timezone.named(between.until)}.")


def explain(between: Between, usual: Usual, compared: pd.DataFrame) -> None:
    """What is odd about the moments, and the way on."""
    asked = {name: moment_of(next(iter(address().get(name, [])), "")) for name in ("from", "to")}
    if asked["from"] and asked["to"] and asked["from"] > asked["to"]:
        st.text("“From” was later than “to”, so they are swapped.")
    if usual.first == usual.newest:
        st.text("There is one snapshot only so far; changes show from the second one on.")
    elif not is_comparable(compared):
        wanted, there = map(moment_in_words, (between.since, usual.first))
        st.text(
            f"Nothing was loaded yet for {wanted} {timezone.zone()}, so nothing can be compared: "
            f"the "
            f"first snapshot is of {there} {timezone.zone()}."
        )
        first = replace(between, since=usual.first, until=max(between.until, usual.first))
        st.button("From the first snapshot", key="from_first", on_click=ask, args=(first,))
    elif between.since == between.until:
        st.text("Both moments are the same, so nothing has changed. Choose an earlier “from”.")


def is_comparable(compared: pd.DataFrame) -> bool:
    """Whether any integration had a snapshot at both moments."""
    return bool(compared["taken_then"].notna().any())


# ---- the overview --------------------------------------------------------------------------------


def tiles(between: Between, summary: Summary, shown: Listed | None) -> None:
    """How many changed in each way; each opens its list."""
    failed = Listed("moved", now=FAILED)
    each = [(kind.label, summary.counts[name], Listed(name)) for name, kind in KINDS.items()]
    at = next(n for n, (_, _, listed) in enumerate(each) if listed.kind == "moved") + 1
    each.insert(at, ("Newly failed", summary.newly_failed, failed))
    with st.grid(5, min_column_width=150, gap="small"):
        for label, count, listed in each:
            with st.container(border=True, gap=None, key=f"tile_{label}"):
                st.metric(label, f"{count:,}", label_visibility="collapsed")
                st.button(
                    label,
                    key=f"open_{label}",
                    icon=":material/chevron_right:",
                    icon_position="right",
                    type="primary" if listed == shown else "tertiary",
                    on_click=ask,
                    args=(between, listed),
                    disabled=not count,
                )


def moves(between: Between, summary: Summary) -> None:
    """The state moves as flows, and as a table whose cells open their accounts."""
    found = summary.moves
    total = number_of(summary.counts["moved"])
    with st.container(border=True, key="card_moves"):
        failed = f", {summary.newly_failed:,} newly failed" if summary.newly_failed else ""
        st.subheader(f"{total} changed state{failed}", anchor=False)
        st.caption(
            "Left the state then, right the state now: where work got stuck, and where it went on. "
            "In the table, a cell opens its accounts."
        )
        told = "; ".join(f"{m.was} to {m.now}: {m.accounts:,}" for m in found.head(10).itertuples())
        st.plotly_chart(
            state_moves_figure(found),
            key="moves",
            theme="streamlit",
            config=PLOTLY_CONFIG,
            alt=f"Flows from the state then to the state now. The largest: {told or 'none'}.",
        )
        if found.empty:
            return
        matrix = _matrix(found)

        def open_cell() -> None:
            cells = st.session_state["matrix"]["selection"]["cells"]
            if cells and (now := cells[0][1]) in matrix.columns:
                ask(between, Listed("moved", was=(str(matrix.index[cells[0][0]]),), now=(now,)))

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


def _matrix(found: pd.DataFrame) -> pd.DataFrame:
    """One row per state then, one column per state now, both in lifecycle order; empty for none."""
    wide = found.pivot(index="was", columns="now", values="accounts").astype("Int64")
    rows, columns = ([n for n in STATE_BY_NAME if n in set(side)] for side in (wide.index, wide))
    return wide.reindex(index=rows, columns=columns)


def roles(between: Between, summary: Summary) -> None:
    """By role, how many gained and lost it; a cell opens its accounts."""
    shown = summary.roles.head(ROLES_SHOWN)
    more = len(summary.roles) - len(shown)
    with st.container(border=True, key="card_roles"):
        st.subheader("Roles gained and lost", anchor=False)
        st.caption("Accounts listed at both moments; a cell opens them.")
        if shown.empty:
            st.text("No account gained or lost a role.")
            return

        def open_cell() -> None:
            cells = st.session_state["roles"]["selection"]["cells"]
            if cells and (kind := cells[0][1]) in ("gained", "lost"):
                role = str(shown.iloc[cells[0][0]]["role"])
                ask(between, Listed(kind, role=role))

        st.dataframe(
            shown,
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


def values(between: Between, summary: Summary) -> None:
    """What else changed, by what; a row opens its accounts."""
    found = {name: n for name, n in summary.values.items() if n}
    with st.container(border=True, key="card_values"):
        st.subheader("Otherwise changed", anchor=False)
        st.caption("What accounts say besides state, roles, match and activity.")
        if not found:
            st.text("Nothing else changed.")
        for name, count in found.items():
            st.button(
                f"{VALUES[name].label} :gray[{count:,}]",
                key=f"value_{name}",
                type="tertiary",
                on_click=ask,
                args=(between, Listed("other", value=name)),
            )


def sources(compared: pd.DataFrame) -> None:
    """Which snapshots were compared."""
    with st.expander("Which snapshots are compared", key="sources"):
        st.caption(
            "An integration is as its last snapshot said; what came and went in between is not "
            "told."
        )
        taken = ("taken_then", "taken_now")
        shown = {name: compared[name].map(timezone.here, na_action="ignore") for name in taken}
        st.dataframe(
            compared.assign(**shown),
            key="compared",
            hide_index=True,
            alt="One row per integration: the snapshots compared and their accounts",
            column_config={
                "integration": st.column_config.TextColumn("Integration", pinned=True),
                "taken_then": st.column_config.DatetimeColumn(
                    f"Snapshot then ({timezone.zone()})", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_then": st.column_config.NumberColumn("Accounts", format="localized"),
                "taken_now": st.column_config.DatetimeColumn(
                    f"Snapshot now ({timezone.zone()})", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_now": st.column_config.NumberColumn("Accounts now", format="localized"),
            },
        )
