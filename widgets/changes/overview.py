"""The overview of the Changes page: tiles, state changes, roles, other changes and snapshots."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.summary import ChangeSummary
from queries.changes.window import Window
from server.authorize import authorize
from widgets import timezone
from widgets import users_table as ut
from widgets.changes.flow_figure import state_transitions_figure
from widgets.changes.sentences import changes_markdown, changes_text
from widgets.changes.window_bar import open_changes
from widgets.figure_theme import PLOTLY_CONFIG
from widgets.state_marks import state_mark

MAX_ROLES_SHOWN = 100
"""Rows in the table of roles, those of most accounts."""

SIDES = ("before", "after")

TRANSITIONS_HELP = "Earlier state (left) to later state (right). Click a row to list its accounts."
ROLES_HELP = "Accounts listed at both moments. Click a row to list them."
VALUES_HELP = "Other fields that changed. Click a row to list its accounts."
SNAPSHOTS_HELP = "Compares the latest snapshot before each date; changes in between are not shown."


def show_summary(window: Window, summary: ChangeSummary, snapshots: pd.DataFrame) -> None:
    """The changes in sentences, to read and to copy."""
    text = escape(changes_text(window, summary, snapshots))
    with st.container(border=True, key="in_words"):
        st.markdown(changes_markdown(window, summary, snapshots))
        button = f'<button type="button" class="copy-text" data-copy="{text}">Copy</button>'
        st.html(button, width="content")


def change_tiles(window: Window, summary: ChangeSummary, selected: ChangeFilter | None) -> None:
    """The number of accounts per kind of change; each tile opens its list."""
    with st.grid(6, min_column_width=150, gap="small", key="counts"):
        for name, kind in CHANGE_KINDS.items():
            _tile(kind.label, summary.counts[name], window, ChangeFilter(name), selected)


def _tile(
    label: str,
    count: int,
    window: Window,
    change_filter: ChangeFilter,
    selected: ChangeFilter | None,
) -> None:
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
    """The state changes as flows, and as a table, most accounts first."""
    transitions = summary.transitions
    largest = "; ".join(
        f"{row.before} to {row.after}: {row.accounts:,}"
        for row in transitions.head(10).itertuples()
    )
    with st.container(border=True, key="card_moves"):
        accounts = count_of(summary.counts["moved"], "account")
        st.subheader(f"{accounts} changed state", anchor=False)
        st.caption(TRANSITIONS_HELP)
        st.plotly_chart(
            state_transitions_figure(transitions),
            key="moves",
            theme="streamlit",
            config=PLOTLY_CONFIG,
            alt=f"Flows from state before to state after. The largest: {largest or 'none'}.",
        )
        rows = [
            ChangeRow(
                (state_mark(before), state_mark(after)),
                int(accounts),
                ChangeFilter("moved", before=(before,), after=(after,)),
            )
            for before, after, accounts in transitions.itertuples(index=False)
        ]
        _counts_table("matrix", "State changes", ("Before", "After"), rows, window)


def roles_card(window: Window, summary: ChangeSummary) -> None:
    """The number of accounts that gained and lost each role; a row opens its accounts."""
    changes = [
        ChangeRow((ut.text(role), ut.text(label)), count, ChangeFilter(kind, role=role))
        for role, gained, lost in summary.roles.itertuples(index=False)
        for kind, label, count in (("gained", "Gained", int(gained)), ("lost", "Lost", int(lost)))
        if count
    ]
    rows = sorted(changes, key=lambda row: -row.accounts)
    with st.container(border=True, key="card_roles"):
        st.subheader("Roles gained and lost", anchor=False)
        st.caption(ROLES_HELP)
        if not rows:
            st.text("No account gained or lost a role.")
            return
        _counts_table("roles", "Roles", ("Role", "Change"), rows[:MAX_ROLES_SHOWN], window)
        if (more := len(rows) - MAX_ROLES_SHOWN) > 0:
            st.text(f"{count_of(more, 'more change')} in the lists of accounts")


class ChangeRow(NamedTuple):
    """A change, the accounts with it, and the list that shows them."""

    cells: Sequence[ut.Cell]
    accounts: int
    opens: ChangeFilter


@st.fragment
def _counts_table(
    key: str, caption: str, headings: Sequence[str], rows: Sequence[ChangeRow], window: Window
) -> None:
    """Changes with their accounts, as given; each row opens its accounts."""
    authorize(Permission.CHANGES)
    names = [f"c{number}" for number in range(len(headings))]

    def open_row(number: str) -> None:
        open_changes(window, rows[int(number)].opens)
        st.rerun()

    with st.container(key=f"boxed_{key}"):
        ut.users_table(
            [
                ut.row(
                    str(number),
                    " ".join(cell.get("text", "") for cell in row.cells),
                    accounts=ut.number(row.accounts),
                    **dict(zip(names, row.cells, strict=True)),
                )
                for number, row in enumerate(rows)
            ],
            columns=[
                *(
                    ut.column(name, label, sortable=False, width=2)
                    for name, label in zip(names, headings, strict=True)
                ),
                ut.column("accounts", "Accounts", sortable=False, numeric=True),
            ],
            caption=caption,
            empty="No changes.",
            key=key,
            on_row=open_row,
        )


def values_card(window: Window, summary: ChangeSummary) -> None:
    """The number of accounts per other change; each row opens its accounts."""
    rows = [
        ChangeRow((ut.text(VALUE_CHANGES[name].label),), count, ChangeFilter("other", value=name))
        for name, count in sorted(summary.value_changes.items(), key=lambda item: -item[1])
        if count
    ]
    with st.container(border=True, key="card_values"):
        st.subheader("Other changes", anchor=False)
        st.caption(VALUES_HELP)
        if rows:
            _counts_table("values", "Other changes", ("Field",), rows, window)
        else:
            st.text("No other changes.")


def snapshots_expander(snapshots: pd.DataFrame) -> None:
    """The snapshots that are compared."""
    with st.expander("Compared snapshots", key="sources"):
        st.caption(SNAPSHOTS_HELP)
        ut.users_table(
            [
                ut.row(
                    row["integration"],
                    row["integration"],
                    integration=ut.text(row["integration"]),
                    **{f"taken_{side}": _moment(row[f"taken_{side}"]) for side in SIDES},
                    **{f"accounts_{side}": _count(row[f"accounts_{side}"]) for side in SIDES},
                )
                for row in snapshots.to_dict("records")
            ],
            columns=[
                ut.column("integration", "Integration", sortable=False, width=1.5),
                *(column for side in SIDES for column in _side_columns(side)),
            ],
            caption="Compared snapshots",
            empty="No snapshots.",
            key="compared",
        )


def _side_columns(side: str) -> list[ut.TableColumn]:
    taken = f"Snapshot {side} ({timezone.current_zone()})"
    return [
        ut.column(f"taken_{side}", taken, sortable=False, width=1.5),
        ut.column(f"accounts_{side}", f"Accounts {side}", sortable=False, numeric=True),
    ]


def _moment(value: Any) -> ut.Cell:
    return ut.quiet() if pd.isna(value) else ut.time(value)


def _count(value: Any) -> ut.Cell:
    return ut.quiet() if pd.isna(value) else ut.number(value)
