"""State changes as flows."""

import pandas as pd
import plotly.graph_objects as go

from data.formatting import count_of
from data.states import STATE_BY_NAME
from widgets.figure_theme import PHASE_COLORS, empty_figure, new_figure

SANKEY_LAYOUT = {
    "arrangement": "fixed",
    "domain": {"x": [0.01, 0.99], "y": [0.02, 0.98]},
    "textfont": {"shadow": "none"},
}

NO_TRANSITIONS = "No account changed state."


def state_transitions_figure(transitions: pd.DataFrame) -> go.Figure:
    """Flows from earlier states (left) to later states (right).

    From one row per pair of states: [before, after, accounts]. Plotly reports no clicks on flows;
    the table beside it opens the accounts.
    """
    if transitions.empty:
        return empty_figure(transitions).update_layout(
            annotations=[{"text": NO_TRANSITIONS, "showarrow": False}]
        )
    before, after = (
        [state for state in STATE_BY_NAME.values() if state.name in set(transitions[side])]
        for side in ("before", "after")
    )
    sources = {state.name: n for n, state in enumerate(before)}
    targets = {state.name: n for n, state in enumerate(after, len(before))}
    flows = go.Sankey(
        SANKEY_LAYOUT,
        node={
            "label": [state.name for state in (*before, *after)],
            "color": [PHASE_COLORS[state.phase] for state in (*before, *after)],
            "line": {"width": 0},
            "pad": 14,
            "thickness": 12,
            "hovertemplate": "%{label}: %{value:,.0f}<extra></extra>",
        },
        link={
            "source": transitions["before"].map(sources).tolist(),
            "target": transitions["after"].map(targets).tolist(),
            "value": transitions["accounts"].tolist(),
            "color": [
                f"{PHASE_COLORS[STATE_BY_NAME[name].phase]}48" for name in transitions["after"]
            ],
            "customdata": [count_of(count, "account") for count in transitions["accounts"]],
            "hovertemplate": "%{source.label} → %{target.label}: %{customdata}<extra></extra>",
        },
    )
    return new_figure(flows, height=120 + 34 * max(len(before), len(after)))
