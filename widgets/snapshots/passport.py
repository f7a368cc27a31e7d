"""A loaded snapshot in words and marks: a row of the list, its passport, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from sqlalchemy import Row

from data.access.roles import Act
from data.files.formats import place_word
from data.files.naming import moment_of
from data.history.passport import DEPARTURE_LIMIT, Passport, set_departure_limit
from data.home import here
from data.inbox.quarantine import remove_snapshot
from data.records.audit_log import Event
from data.states import STATE_BY_NAME
from queries.snapshots import params_of
from server.authorize import changing, noted
from server.session import principal
from widgets import timezone
from widgets import users_table as ut
from widgets.address import address
from widgets.state_marks import MARKS

REJECTED_SHOWN = 100
"""Rejected rows that a passport lists; the download has them all."""


def columns() -> list[ut.Column]:
    """The columns of the list; times are those of the reader's clock."""
    zone = timezone.zone()
    return [
        ut.column("integration", "Integration", sortable=False, width=1.4),
        ut.column("taken_at", f"Taken at ({zone})", sortable=False, width=1.25),
        ut.column("grade", "Grade", sortable=False, width=1.05),
        ut.column("accounts", "Accounts", sortable=False, width=0.85),
        ut.column("joined", "Joined", sortable=False, width=0.75),
        ut.column("changed", "Changed", sortable=False, width=0.85),
        ut.column("gone", "Gone", sortable=False, width=0.65),
        ut.column("rejected", "Rejected", sortable=False, width=0.85),
        ut.column("flagged", "Flagged", sortable=False, width=0.75),
        ut.column("file", "File", sortable=False, width=2.1),
        ut.column("loaded_at", f"Loaded at ({zone})", sortable=False, width=1.25),
    ]


def asked_snapshot() -> tuple[str, datetime] | None:
    """The one snapshot that the address names."""
    names = address().get("integration", [])
    taken_at = moment_of(next(iter(address().get("taken_at", [])), ""))
    return (names[0], taken_at) if names and taken_at else None


# ---- the list ------------------------------------------------------------------------------------


def id_of(passport: Passport) -> str:
    """What tells the row of a snapshot from all others."""
    return f"{passport.taken_at.isoformat()} {passport.integration}"


def table_row(passport: Passport) -> ut.Row:
    """One snapshot of the list; its moment leads to its own address."""
    when = timezone.told(passport.taken_at)
    own = urlencode(params_of(passport.integration, passport.taken_at))
    compares = passport.before is not None
    return ut.row(
        id_of(passport),
        f"{passport.integration} at {when}",
        integration=ut.text(passport.integration),
        taken_at=ut.link(when, f"?{own}"),
        grade=grade_mark(passport),
        accounts=ut.text(f"{passport.accepted:,}"),
        joined=_count(passport.joined) if compares else ut.quiet("first"),
        changed=_count(passport.changed),
        gone=_count(passport.gone),
        rejected=_count(passport.rejected),
        flagged=_count(passport.flagged),
        file=ut.text(passport.file_name),
        loaded_at=ut.time(passport.loaded_at),
    )


def grade_mark(passport: Passport) -> ut.Cell:
    """The grade as a word, a colour and a shape."""
    if passport.grade == "good":
        return ut.mark("Good", "good", "check")
    return ut.mark("Look at it", "wait", "alert")


def _count(number: int) -> ut.Cell:
    return ut.text(f"{number:,}") if number else ut.quiet()


# ---- the passport --------------------------------------------------------------------------------


def panel(passport: Passport, rejected: Sequence[Row[Any]]) -> list[ut.Block]:
    """All that a passport says; `rejected` are the first of its rejected rows."""
    return [
        *(ut.note(sentence, "warn") for sentence in passport.findings()),
        *([] if passport.findings() else [ut.note("Nothing here needs a person.", "good")]),
        *(ut.note(sentence) for sentence in passport.remarks()),
        ut.facts(_facts(passport)),
        ut.table(
            "Provisioning states" + (", against the snapshot before" if passport.before else ""),
            ["State", "Accounts", "Share", *(["Before", "Change"] if passport.before else [])],
            list(_state_rows(passport)),
        ),
        *_rejected_block(passport, rejected),
    ]


def _facts(passport: Passport) -> list[tuple[str, ut.Cell]]:
    before = passport.before
    against = [
        ("Compared with", ut.time(before and before.taken_at)),
        ("Joined", ut.text(f"{passport.joined:,}")),
        ("Changed", ut.text(f"{passport.changed:,}")),
        ("Gone", ut.text(f"{passport.gone:,}")),
        ("Fallen into a Delete state", ut.text(f"{passport.removed:,}")),
        ("Left at once", ut.text(f"{passport.departing:.1%}, {passport.limit:.0%} may")),
        ("Moved to other states", ut.text(f"{passport.shift:.1%} of the accounts")),
    ]
    return [
        ("Rows in the file", ut.text(f"{passport.rows_read:,}")),
        ("Accounts", ut.text(f"{passport.accepted:,}")),
        ("Rejected rows", ut.text(f"{passport.rejected:,}")),
        ("Accounts with a flagged value", ut.text(f"{passport.flagged:,}")),
        ("Rows that repeat an account", ut.text(f"{passport.facts.repeated:,}")),
        ("Times without an offset", ut.text(f"{passport.facts.without_offset:,}")),
        *(against if before else [("Compared with", ut.quiet("nothing: the first one"))]),
        ("File", ut.code(passport.file_name)),
        ("SHA-256", ut.code(passport.sha256)),
        ("Loaded at", ut.time(passport.loaded_at)),
        ("Columns", ut.tags(list(passport.facts.headings), shown=30)),
        *([("Columns missing", ut.tags(passport.missing, shown=30))] if passport.missing else []),
        *([("Columns new", ut.tags(passport.new, shown=30))] if passport.new else []),
    ]


def _state_rows(passport: Passport) -> Iterator[list[ut.Cell | str]]:
    """One row per state that has accounts, or had some before."""
    before = passport.before
    for state in STATE_BY_NAME.values():
        now, then = passport.states.get(state.name, 0), before and before.states.get(state.name, 0)
        if not now and not then:
            continue
        mark = ut.mark(state.name, *(MARKS.get(state.name) or MARKS[state.phase]))
        share = passport.share(state.name)
        row = [mark, f"{now:,}", f"{share:.1%}"]
        if before:
            points = 100 * (share - before.share(state.name))
            row += [
                f"{then:,} · {before.share(state.name):.1%}",
                f"{points:+.1f} points" if round(points, 1) else "±0",
            ]
        yield row


def _rejected_block(passport: Passport, rejected: Sequence[Row[Any]]) -> list[ut.Block]:
    if not rejected:
        return []
    more = f": the first {len(rejected):,}" if len(rejected) < passport.rejected else ""
    rows = [[f"{row.line:,}", ut.text(row.reason), ut.code(row.text)] for row in rejected]
    caption = f"Rejected rows{more}"
    place = place_word(passport.file_name).capitalize()
    return [ut.table(caption, [place, "Reason", "Text"], rows, searchable=len(rows) > 10)]


# ---- what to do with one -------------------------------------------------------------------------


def act_on(passport: Passport, *, is_sample: bool) -> None:
    """The ways from one snapshot: its accounts, its rejected rows, and out of the store."""
    with st.container(horizontal=True, vertical_alignment="center", key="acts"):
        named = params_of(passport.integration, passport.taken_at)
        at = {"as_of": named["taken_at"], "integration": passport.integration}
        links = [("Accounts at this moment", f"users?{urlencode(at)}", "")]
        if passport.rejected > passport.facts.exact_repeats:
            rejected = f"export/rejected.csv?{urlencode(named)}"
            links.append(("Rejected rows as CSV", rejected, " download"))
        items = "".join(
            f'<a href="{escape(href)}" target="_self"{how}>{words}</a>'
            for words, href, how in links
        )
        st.html(
            f'<nav class="downloads" aria-label="This snapshot">{items}</nav>',
            width="content",
        )
        may_remove = not is_sample and principal().may(Act.REMOVE, passport.integration)
        if may_remove and st.button("Remove snapshot", icon=":material/delete:", key="remove"):
            _ask_to_remove(passport)


@st.dialog("Remove this snapshot?")
def _ask_to_remove(passport: Passport) -> None:
    st.text(
        f"{passport.integration}, taken at {timezone.named(passport.taken_at, seconds=True)}, with "
        f"{passport.accepted:,} accounts, is taken out as if it had never been loaded: from the "
        "history of its accounts and from every chart."
    )
    st.text(f"Its file is kept, in {here().removed}; put it into the inbox to have it back.")
    with st.container(horizontal=True):
        sure = st.button(
            "Remove it", type="primary", key="remove_sure", on_click=_remove, args=(passport,)
        )
        if sure or st.button("Keep it", key="remove_not"):
            st.rerun()


def _remove(passport: Passport) -> None:
    store = changing(Act.REMOVE, passport.integration)
    remove_snapshot(store, here(), passport.integration, passport.taken_at)
    named = params_of(passport.integration, passport.taken_at)
    noted(Event.REMOVED, **named, sha256=passport.sha256, accounts=passport.accepted)
    st.query_params.clear()
    st.toast("The snapshot was removed.")


def set_limits(limits: dict[str, float], chosen: Sequence[str]) -> None:
    """How many of an integration's accounts may leave at once, before a person is asked."""
    with st.expander("When a file is held", key="limits"):
        st.text(
            "A file that takes away more than this share of an integration’s accounts at once – "
            "gone, or fallen into a Delete state – is held until a person confirms it."
        )
        names = list(limits)
        first = names.index(chosen[0]) if chosen and chosen[0] in limits else 0
        of, share, save = st.columns([3, 2, 2], vertical_alignment="bottom")
        name = of.selectbox("Integration", names, index=first, key="limit_of")
        percent = share.number_input(
            "May leave at once (%)",
            0,
            100,
            round(100 * limits.get(name, DEPARTURE_LIMIT)),
            key=f"limit_{names.index(name)}",
        )
        if save.button("Save", key="limit_save", width="stretch"):
            set_departure_limit(changing(Act.SET, name), name, percent / 100)
            noted(Event.SET, setting="May leave at once", integration=name, percent=percent)
            st.toast("Saved: it counts from the next file on.")
            st.rerun()
        others = {n: s for n, s in limits.items() if round(s, 4) != DEPARTURE_LIMIT}
        told = ", ".join(f"{n} {s:.0%}" for n, s in others.items())
        st.text(f"Usually {DEPARTURE_LIMIT:.0%}." + (f" Otherwise: {told}." if told else ""))


# ---- the download of rejected rows ---------------------------------------------------------------
