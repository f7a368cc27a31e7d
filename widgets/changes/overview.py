"""The overview of the Changes page: tiles, state changes, roles, other changes and snapshots."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from data.formatting import count_of
from data.states import FAILED_STATES, STATE_BY_NAME
from queries.changes.diff import CHANGE_KINDS, VALUE_CHANGES, ChangeFilter
from queries.changes.summary import ChangeSummary
from queries.changes.window import Window
from widgets import timezone
from widgets.changes.flow_figure import state_transitions_figure
from widgets.changes.window_bar import open_changes
from widgets.figure_theme import PLOTLY_CONFIG

MAX_ROLES_SHOWN = 100
"""Roles in the table of them, those that changed most."""

TRANSITIONS_HELP = "Earlier state (left) to later state (right). Click a cell to list its accounts."
ROLES_HELP = "Accounts listed at both moments. Click a cell to list them."
VALUES_HELP = "Other fields that changed."
SNAPSHOTS_HELP = "Compares the latest snapshot before each date; changes in between are not shown."


def change_tiles(window: Window, summary: ChangeSummary, selected: ChangeFilter | None) -> None:
    """The number of accounts per kind of change; each tile opens its list."""
    with st.grid(5, min_column_width=150, gap="small", key="counts"):
        for name, kind in CHANGE_KINDS.items():
            _tile(kind.label, summary.counts[name], window, ChangeFilter(name), selected)
            if name == "moved":
                failed = ChangeFilter("moved", after=FAILED_STATES)
                _tile("Newly failed", summary.newly_failed, window, failed, selected)


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
    """The state changes as flows, and as a table with cells that open their accounts."""
    transitions = summary.transitions
    failed = f", {summary.newly_failed:,} newly failed" if summary.newly_failed else ""
    largest = "; ".join(
        f"{row.before} to {row.after}: {row.accounts:,}"
        for row in transitions.head(10).itertuples()
    )
    with st.container(border=True, key="card_moves"):
        accounts = count_of(summary.counts["moved"], "account")
        st.subheader(f"{accounts} changed state{failed}", anchor=False)
        st.caption(TRANSITIONS_HELP)
        st.plotly_chart(
            state_transitions_figure(transitions),
            key="moves",
            theme="streamlit",
            config=PLOTLY_CONFIG,
            alt=f"Flows from state before to state after. The largest: {largest or 'none'}.",
        )
        if not transitions.empty:
            _transitions_table(window, _transition_matrix(transitions))


def _transitions_table(window: Window, matrix: pd.DataFrame) -> None:
    def open_cell(row: int, column: str) -> None:
        if column in matrix.columns:
            before = str(matrix.index[row])
            open_changes(window, ChangeFilter("moved", before=(before,), after=(column,)))

    _cell_table(
        matrix,
        "matrix",
        open_cell,
        alt="Accounts by state before, one row each, and state after, one column each",
        column_config={
            "before": st.column_config.TextColumn("Before ↓  After →", pinned=True),
            **{name: _number_column(name) for name in matrix.columns},
        },
    )


def _transition_matrix(transitions: pd.DataFrame) -> pd.DataFrame:
    """One row per state before, one column per state after, in lifecycle order; empty for none."""
    wide = transitions.pivot(index="before", columns="after", values="accounts").astype("Int64")
    rows, columns = ([n for n in STATE_BY_NAME if n in set(side)] for side in (wide.index, wide))
    return wide.reindex(index=rows, columns=columns)


def roles_card(window: Window, summary: ChangeSummary) -> None:
    """The number of accounts that gained and lost each role; a cell opens its accounts."""
    roles = summary.roles.head(MAX_ROLES_SHOWN)

    def open_cell(row: int, column: str) -> None:
        if column in ("gained", "lost"):
            open_changes(window, ChangeFilter(column, role=str(roles.iloc[row]["role"])))

    with st.container(border=True, key="card_roles"):
        st.subheader("Roles gained and lost", anchor=False)
        st.caption(ROLES_HELP)
        if roles.empty:
            st.text("No account gained or lost a role.")
            return
        _cell_table(
            roles,
            "roles",
            open_cell,
            hide_index=True,
            alt="One row per role: the accounts that gained and lost it",
            column_config={
                "role": st.column_config.TextColumn("Role", width="medium"),
                "gained": _number_column("Gained"),
                "lost": _number_column("Lost"),
            },
        )
        if (more := len(summary.roles) - len(roles)) > 0:
            st.text(f"{count_of(more, 'more role')} in the lists of accounts")


def _cell_table(
    data: pd.DataFrame, key: str, on_cell: Callable[[int, str], None], **options: Any
) -> None:
    """A table with selectable cells."""

    def open_selected() -> None:
        if cells := st.session_state[key]["selection"]["cells"]:
            on_cell(*cells[0])

    st.dataframe(
        data,
        key=key,
        on_select=open_selected,
        selection_mode="single-cell",
        placeholder="",
        **options,
    )


def _number_column(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="localized")


def values_card(window: Window, summary: ChangeSummary) -> None:
    """The number of accounts per other change; each row opens its accounts."""
    counts = {name: count for name, count in summary.value_changes.items() if count}
    with st.container(border=True, key="card_values"):
        st.subheader("Other changes", anchor=False)
        st.caption(VALUES_HELP)
        if not counts:
            st.text("No other changes.")
        for name, count in counts.items():
            st.button(
                f"{VALUE_CHANGES[name].label} :gray[{count:,}]",
                key=f"value_{name}",
                type="tertiary",
                on_click=open_changes,
                args=(window, ChangeFilter("other", value=name)),
            )


def snapshots_expander(snapshots: pd.DataFrame) -> None:
    """The snapshots that are compared."""
    columns = {"integration": st.column_config.TextColumn("Integration", pinned=True)}
    for side in ("before", "after"):
        columns[f"taken_{side}"] = st.column_config.DatetimeColumn(
            f"Snapshot {side} ({timezone.current_zone()})", format="YYYY-MM-DD HH:mm"
        )
        columns[f"accounts_{side}"] = _number_column(f"Accounts {side}")
    local_times = {
        name: snapshots[name].map(timezone.to_reader_time, na_action="ignore")
        for name in ("taken_before", "taken_after")
    }
    with st.expander("Compared snapshots", key="sources"):
        st.caption(SNAPSHOTS_HELP)
        st.dataframe(
            snapshots.assign(**local_times),
            key="compared",
            hide_index=True,
            alt="One row per integration: the snapshots compared and their accounts",
            column_config=columns,
        )
