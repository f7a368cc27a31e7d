"""The parts of the Changes page: two moments, what changed in words and counts, and which ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pandas as pd
import streamlit as st
from sqlalchemy import Row
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from data.loading import moment_of
from data.states import FAILED, STATE_BY_NAME
from queries.account import known_of
from queries.changes import (
    KINDS,
    PAGE_SIZE,
    VALUES,
    Between,
    Listed,
    Summary,
    Usual,
    asked_between,
    changes_csv,
    count_changes,
    file_name,
    moment_text,
    page_of_changes,
    usual_moments,
)
from queries.filters import Filters
from widgets import account
from widgets import users_table as ut
from widgets.figures import PLOTLY_CONFIG, state_moves_figure
from widgets.filters import address, go, page_of
from widgets.store import reading

LOOKED = "rollcall_looked"
"""The cookie with the moment up to which a reader has looked; it stays in that browser."""

MOST_ROLES = 3
"""Roles that the words name; of more they say how many."""

MOST_NAMED = 5
"""Integrations that the words name."""

ROLES_SHOWN = 100
"""Roles in the table of them, those that changed most."""

FRIDAY = 4


# ---- the address ---------------------------------------------------------------------------------


def ask(between: Between, listed: Listed | None = None) -> None:
    """Show these moments, and of them a list, in one step for the browser's history."""
    params: dict[str, list[str]] = {}
    for name, value in [*between.params(), *(listed.params() if listed else [])]:
        params.setdefault(name, []).append(value)
    st.query_params.from_dict(params)


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
    from_, to = st.columns(2)
    with from_:
        _moment("From", "since", between, usual)
    with to:
        _moment("To", "until", between, usual)
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
    key = f"moment_{side}"
    st.session_state[key] = min(max(getattr(between, side), usual.first), usual.newest)

    def choose() -> None:
        chosen = st.session_state[key]
        if chosen:
            ask(_in_order(replace(between, **{side: chosen})))
        else:
            go(**{label.lower(): None})

    st.datetime_input(
        f"{label} (UTC)",
        key=key,
        value=None,
        min_value=usual.first,
        max_value=usual.newest,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD",
        on_change=choose,
    )


def _in_order(between: Between) -> Between:
    earlier, later = sorted((between.since, between.until))
    return replace(between, since=earlier, until=later)


def _quick(usual: Usual) -> dict[str, datetime]:
    """Words → the earlier moment; only where there is something to compare with.

    Days are told from the newest snapshot back, and by their names, so that no label lies where
    nothing was loaded for a while. A day's moment is its end: what has changed since then.
    """
    today = usual.newest.date()
    yesterday = today - timedelta(days=1)
    friday = today - timedelta(days=(today.weekday() - FRIDAY - 1) % 7 + 1)
    quick = {
        f"Since {day:%A, %-d %b}": datetime.combine(day, time(23, 59, 59))
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
        st.html(f"<script>document.cookie = '{cookie}'</script>", unsafe_allow_javascript=True)
        st.toast(f"Looked until {between.until:%Y-%m-%d %H:%M} UTC.")


def explain(between: Between, usual: Usual, compared: pd.DataFrame) -> None:
    """What is odd about the moments, and the way on."""
    asked = {name: moment_of(next(iter(address().get(name, [])), "")) for name in ("from", "to")}
    if asked["from"] and asked["to"] and asked["from"] > asked["to"]:
        st.text("“From” was later than “to”, so they are swapped.")
    if usual.first == usual.newest:
        st.text("There is one snapshot only so far; changes show from the second one on.")
    elif not is_comparable(compared):
        st.text(
            f"Nothing was loaded yet for {_moment_words(between.since)} UTC, so nothing can be "
            f"compared: the first snapshot is of {_moment_words(usual.first)} UTC."
        )
        first = replace(between, since=usual.first, until=max(between.until, usual.first))
        st.button("From the first snapshot", key="from_first", on_click=ask, args=(first,))
    elif between.since == between.until:
        st.text("Both moments are the same, so nothing has changed. Choose an earlier “from”.")


def is_comparable(compared: pd.DataFrame) -> bool:
    """Whether any integration had a snapshot at both moments."""
    return bool(compared["taken_then"].notna().any())


# ---- in words ------------------------------------------------------------------------------------


def in_words(between: Between, summary: Summary, compared: pd.DataFrame) -> str:
    """What changed, as plain sentences for a ticket or a chat."""
    told = [_who(between, compared) + f": {_changes_in_words(summary)}."]
    known = compared[compared["taken_then"].notna()]
    if len(known):
        then, now = int(known["accounts_then"].sum()), int(known["accounts_now"].sum())
        told.append(f"{_number(then, 'account')} then, {now:,} now.")
    new = compared[compared["taken_then"].isna()]
    if len(new):
        names = _listed([f"{r.integration} ({_number(r.accounts_now)})" for r in new.itertuples()])
        told.append(f"New to Rollcall, and not counted as joined: {names}.")
    still = known[known["taken_then"] == known["taken_now"]]
    if len(still) and between.since != between.until:
        told.append(f"No snapshot in between: {_listed(list(still['integration']))}.")
    return "\n".join(told)


def _who(between: Between, compared: pd.DataFrame) -> str:
    names = list(between.integration or compared["integration"])
    who = _listed(names, 3) if between.integration or len(names) == 1 else "All integrations"
    return f"{who}, {_moment_words(between.since)} → {_moment_words(between.until)} UTC"


def _moment_words(moment: datetime) -> str:
    return f"{moment:%-d %b %Y %H:%M}"


def _changes_in_words(summary: Summary) -> str:
    counts, turned = summary.counts, summary.turned
    failed = f" ({summary.newly_failed:,} newly failed)" if summary.newly_failed else ""
    values = ", ".join(f"{VALUES[name].label} {n:,}" for name, n in summary.values.items() if n)
    told = [
        (counts["joined"], "joined"),
        (counts["back"], "came back"),
        (counts["gone"], "gone"),
        (counts["moved"], f"changed state{failed}"),
        *_roles_in_words(summary),
        (turned["matched"], "now matched with a user"),
        (turned["unmatched"], "now unmatched"),
        (turned["active"], "now active"),
        (turned["inactive"], "now not active"),
        (turned["unknown"], "now of unknown activity"),
        (counts["other"], f"otherwise changed ({values})"),
    ]
    said = [(count, words) for count, words in told if count]
    if not said:
        return "nothing changed"
    first, *others = said
    return ", ".join([f"{_number(first[0])} {first[1]}", *(f"{n:,} {w}" for n, w in others)])


def _roles_in_words(summary: Summary) -> Iterator[tuple[int, str]]:
    """Role by role where they are few; the accounts and the foremost roles where they are many."""
    each = summary.roles
    if len(each) > MOST_ROLES:
        gained, lost, first = (
            summary.counts["gained"],
            summary.counts["lost"],
            each.head(MOST_ROLES),
        )
        named = [
            role + "".join(f" {n:+,}" for n in (up, -down) if n) for role, up, down in _rows(first)
        ]
        roles = f"{', '.join(named)} and {len(each) - MOST_ROLES:,} more"
        yield _gained_and_lost(gained, lost, f"roles ({roles})")
    else:
        for role, gained, lost in _rows(each):
            yield _gained_and_lost(gained, lost, f"the role {role}")


def _rows(roles: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    return zip(roles["role"], roles["gained"].map(int), roles["lost"].map(int), strict=True)


def _gained_and_lost(gained: int, lost: int, what: str) -> tuple[int, str]:
    if gained and lost:
        return gained, f"gained and {lost:,} lost {what}"
    return (gained, f"gained {what}") if gained else (lost, f"lost {what}")


def _number(count: Any, noun: str = "account") -> str:
    return f"{int(count):,} {noun}{'' if count == 1 else 's'}"


def _listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
    total = _number(summary.counts["moved"])
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
        st.dataframe(
            compared,
            key="compared",
            hide_index=True,
            alt="One row per integration: the snapshots compared and their accounts",
            column_config={
                "integration": st.column_config.TextColumn("Integration", pinned=True),
                "taken_then": st.column_config.DatetimeColumn(
                    "Snapshot then (UTC)", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_then": st.column_config.NumberColumn("Accounts", format="localized"),
                "taken_now": st.column_config.DatetimeColumn(
                    "Snapshot now (UTC)", format="YYYY-MM-DD HH:mm"
                ),
                "accounts_now": st.column_config.NumberColumn("Accounts now", format="localized"),
            },
        )


# ---- a list --------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """One column that a list has besides who it is."""

    label: str
    cell: Callable[[Any], ut.Cell]


def _state(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name = getattr(row, f"{side}_provisioning_state")
        if name is None:
            return ut.quiet("Not listed")
        return ut.mark(name, *(account.MARKS.get(name) or account.MARKS[STATE_BY_NAME[name].phase]))

    return cell


def _activity(side: str) -> Callable[[Any], ut.Cell]:
    marks = {True: ut.mark("Yes", "good", "check"), False: ut.mark("No", "quiet", "dash")}
    return lambda row: marks.get(getattr(row, f"{side}_active_in_app"), ut.quiet("Unknown"))


def _person(side: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        name, email = getattr(row, f"{side}_user_name"), getattr(row, f"{side}_user_email")
        if not name and not email:
            return ut.quiet("Unmatched")
        return ut.person(name or email, email if name and email else "")

    return cell


def _roles_of(side: str, shown: int = 2) -> Callable[[Any], ut.Cell]:
    return lambda row: ut.tags(getattr(row, f"{side}_roles") or [], shown=shown)


def _roles_only(side: str, other: str) -> Callable[[Any], ut.Cell]:
    def cell(row: Any) -> ut.Cell:
        without = set(getattr(row, f"{other}_roles"))
        return ut.tags([r for r in getattr(row, f"{side}_roles") if r not in without], shown=6)

    return cell


def _values_of(row: Any) -> ut.Cell:
    names = [name for name in VALUES if getattr(row, f"value_{name}")]
    return ut.tags([VALUES[name].label for name in names], shown=6)


STATES = [Shown("State then", _state("was")), Shown("State now", _state("is"))]
ROLES = [Shown("Gained", _roles_only("is", "was")), Shown("Lost", _roles_only("was", "is"))]
COLUMNS: dict[str, list[Shown]] = {
    "joined": [Shown("State now", _state("is")), Shown("App access", _roles_of("is"))],
    "back": [Shown("State now", _state("is")), Shown("App access", _roles_of("is"))],
    "gone": [Shown("State then", _state("was")), Shown("App access then", _roles_of("was"))],
    "moved": [*STATES, Shown("Reason now", lambda row: ut.text(row.is_state_reason))],
    "gained": ROLES,
    "lost": ROLES,
    "match": [Shown("User then", _person("was")), Shown("User now", _person("is"))],
    "activity": [Shown("Active then", _activity("was")), Shown("Active now", _activity("is"))],
    "other": [Shown("Changed", _values_of)],
}
"""Kind → what its list shows besides who an account is."""


def list_in_words(listed: Listed) -> str:
    """`Changed state, from Onboarded, to Update failed`."""
    parts = [KINDS[listed.kind].label]
    parts += [f"from {' or '.join(listed.was)}"] if listed.was else []
    parts += [f"to {' or '.join(listed.now)}"] if listed.now else []
    parts += [f"role {listed.role}"] if listed.role else []
    parts += [VALUES[listed.value].label] if listed.value else []
    return ", ".join(parts)


@st.fragment
def accounts(between: Between, listed: Listed, *, several_integrations: bool) -> None:
    """The accounts of a list, a page at a time; each opens what differs and its history."""
    with reading() as con:
        found = count_changes(con, between, listed)
        pages = max(1, -(-found // PAGE_SIZE))
        page = min(page_of(st.query_params.get("page", "")), pages)
        rows = page_of_changes(con, between, listed, page)

    def panels(ids: Sequence[str]) -> Mapping[str, list[ut.Block]]:
        return _panels(between, [row for row in rows if str(row.account_key) in ids])

    with st.container(horizontal=True, horizontal_alignment="distribute", key="list_head"):
        st.text(f"{_number(found)} · {list_in_words(listed)}", width="content")
        st.html(_download(between, listed), width="content")
    st.caption(KINDS[listed.kind].words)
    ut.users_table(
        [_row(row, listed) for row in rows],
        columns=_columns(listed, several_integrations),
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption=KINDS[listed.kind].label,
        empty="No accounts changed in this way.",
        key="changed",
    )
    if pages > 1:
        st.session_state["page"] = page
        st.pagination(pages, key="page", on_change=lambda: go(page=str(st.session_state["page"])))


def _columns(listed: Listed, several_integrations: bool) -> list[ut.Column]:
    who = [
        ut.column("user", "User", sortable=False, width=1.6),
        ut.column("username", "Username in app", sortable=False, width=1.4),
    ]
    where = [ut.column("integration", "Integration", sortable=False)] * several_integrations
    own = [
        ut.column(f"c{n}", shown.label, sortable=False, width=1.5)
        for n, shown in enumerate(COLUMNS[listed.kind])
    ]
    return [*who, *where, *own]


def _row(row: Row[Any], listed: Listed) -> ut.Row:
    username = row.is_username_in_app or row.was_username_in_app
    own = {f"c{n}": shown.cell(row) for n, shown in enumerate(COLUMNS[listed.kind])}
    return ut.row(
        str(row.account_key),
        username,
        user=_person("is" if row.is_there else "was")(row),
        username=ut.text(username),
        integration=ut.text(row.integration),
        **own,
    )


def _panels(between: Between, rows: Sequence[Row[Any]]) -> dict[str, list[ut.Block]]:
    """What differs, and then all that is known of the account where it is listed."""
    found: dict[str, list[ut.Block]] = {}
    for moment, is_there in ((between.until, True), (between.since, False)):
        keys = [row.account_key for row in rows if row.is_there is is_there]
        with reading() as con:
            known = known_of(con, Filters(as_of=moment), keys) if keys else {}
        for key, one in known.items():
            # without other accounts: what leads to them is an address of Users
            found[str(key)] = account.panel(one._replace(others=[]), as_of=moment)
    differences = {str(row.account_key): _differences(row) for row in rows}
    return {key: [differences[key], *blocks] for key, blocks in found.items()}


def _differences(row: Row[Any]) -> ut.Block:
    pairs = {
        "User": _person,
        "Provisioning state": _state,
        "App access": lambda side: _roles_of(side, shown=30),
        "Active in app": _activity,
        "Username in app": _text("username_in_app"),
        "Upstream user ID": _text("upstream_user_id"),
        "Reason": _text("state_reason"),
        "Failure code": _text("failure_code"),
        "Last updated": _time("last_updated"),
    }
    absent = ut.quiet("Not listed")
    sides = {
        label: [
            cell(side)(row) if there else absent
            for side, there in (("was", row.was_there), ("is", row.is_there))
        ]
        for label, cell in pairs.items()
    }
    rows = [[label, *cells] for label, cells in sides.items() if cells[0] != cells[1]]
    return ut.table("What differs", ["", "Then", "Now"], rows)


def _text(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.text(getattr(row, f"{side}_{name}"))


def _time(name: str) -> Callable[[str], Callable[[Any], ut.Cell]]:
    return lambda side: lambda row: ut.time(getattr(row, f"{side}_{name}"))


# ---- the download --------------------------------------------------------------------------------


def _download(between: Between, listed: Listed) -> str:
    href = escape(f"export/changes.csv?{urlencode([*between.params(), *listed.params()])}")
    return (
        '<nav class="downloads" aria-label="Download this list">'
        f'<a href="{href}" download title="All pages, safe in a spreadsheet">CSV</a></nav>'
    )


async def send_changes(request: Request) -> Response:
    """`/export/changes.csv?from=&to=&integration=&list=&…`: the whole list, safe to open."""
    params = {name: request.query_params.getlist(name) for name in request.query_params}
    listed = Listed.from_params(params)
    if not listed:
        return PlainTextResponse(f"No such list: {', '.join(KINDS)}.", status_code=404)
    usual = await run_in_threadpool(_usual, params.get("integration", []))
    if not usual:
        return PlainTextResponse("There is no snapshot of these integrations.", status_code=404)
    between = asked_between(params, usual)
    name = file_name(between, listed)
    plain = name.encode("ascii", "ignore").decode()
    return StreamingResponse(
        iterate_in_threadpool(_sent(between, listed)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": (
                f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
            ),
            "Content-Encoding": "identity",  # or the server packs it, at a tenth of the speed
            "Cache-Control": "no-store",
        },
    )


def _usual(integrations: Sequence[str]) -> Usual | None:
    with reading() as con:
        return usual_moments(con, integrations)


def _sent(between: Between, listed: Listed) -> Iterator[bytes]:
    with reading() as con:
        yield from changes_csv(con, between, listed)
