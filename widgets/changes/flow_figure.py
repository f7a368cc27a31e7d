"""Which states accounts moved between."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from data.states import STATE_BY_NAME
from widgets.figure_theme import LOOK, TONES, account_count_text, empty_figure


def state_moves_figure(moves: pd.DataFrame) -> go.Figure:
    """State moves between two moments, as flows. One row per pair of states [was, now, accounts].

    No mark can be clicked, as plotly tells nobody of clicks on flows: a table beside it can.
    """
    if moves.empty:
        return empty_figure(moves).update_layout(
            annotations=[{"text": "No account changed state.", "showarrow": False}]
        )
    was, now = (
        [state for state in STATE_BY_NAME.values() if state.name in set(moves[side])]
        for side in ("was", "now")
    )
    place_was = {state.name: n for n, state in enumerate(was)}
    place_now = {state.name: n for n, state in enumerate(now, len(was))}
    flows = go.Sankey(
        arrangement="fixed",
        domain={"x": [0.01, 0.99], "y": [0.02, 0.98]},
        textfont={"shadow": "none"},
        node={
            "label": [state.name for state in (*was, *now)],
            "color": [TONES[state.phase] for state in (*was, *now)],
            "line": {"width": 0},
            "pad": 14,
            "thickness": 12,
            "hovertemplate": "%{label}: %{value:,.0f}<extra></extra>",
        },
        link={
            "source": [place_was[name] for name in moves["was"]],
            "target": [place_now[name] for name in moves["now"]],
            "value": moves["accounts"].tolist(),
            "color": [f"{TONES[STATE_BY_NAME[name].phase]}48" for name in moves["now"]],
            "customdata": [account_count_text(count) for count in moves["accounts"]],
            "hovertemplate": "%{source.label} → %{target.label}: %{customdata}<extra></extra>",
        },
    )
    return go.Figure(flows, LOOK).update_layout(height=120 + 34 * max(len(was), len(now)))
