"""Which states accounts moved between."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from data.states import STATE_BY_NAME
from widgets.figure_theme import PHASE_COLORS, account_count_text, empty_figure, new_figure


def state_transitions_figure(transitions: pd.DataFrame) -> go.Figure:
    """State moves between two moments, as flows. One row per pair of states [was, now, accounts].

    No mark can be clicked, as plotly tells nobody of clicks on flows: a table beside it can.
    """
    if transitions.empty:
        return empty_figure(transitions).update_layout(
            annotations=[{"text": "No account changed state.", "showarrow": False}]
        )
    before_states, after_states = (
        [state for state in STATE_BY_NAME.values() if state.name in set(transitions[side])]
        for side in ("was", "now")
    )
    before_positions = {state.name: n for n, state in enumerate(before_states)}
    after_positions = {state.name: n for n, state in enumerate(after_states, len(before_states))}
    flows = go.Sankey(
        arrangement="fixed",
        domain={"x": [0.01, 0.99], "y": [0.02, 0.98]},
        textfont={"shadow": "none"},
        node={
            "label": [state.name for state in (*before_states, *after_states)],
            "color": [PHASE_COLORS[state.phase] for state in (*before_states, *after_states)],
            "line": {"width": 0},
            "pad": 14,
            "thickness": 12,
            "hovertemplate": "%{label}: %{value:,.0f}<extra></extra>",
        },
        link={
            "source": [before_positions[name] for name in transitions["was"]],
            "target": [after_positions[name] for name in transitions["now"]],
            "value": transitions["accounts"].tolist(),
            "color": [
                f"{PHASE_COLORS[STATE_BY_NAME[name].phase]}48" for name in transitions["now"]
            ],
            "customdata": [account_count_text(count) for count in transitions["accounts"]],
            "hovertemplate": "%{source.label} → %{target.label}: %{customdata}<extra></extra>",
        },
    )
    return new_figure(flows, height=120 + 34 * max(len(before_states), len(after_states)))
