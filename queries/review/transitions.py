"""State changes between two snapshots, and which of them a single job can explain.

A snapshot shows the state of an account, not how it got there: short states go unseen.
"""

from data.states import STATES

SETTLED_STATES = {"provision": "Onboarded", "update": "Onboarded", "delete": "Deleted"}
"""Operation → the state after its job succeeds."""

NEXT_JOBS = {
    "Onboarded": ("Update awaiting", "Delete awaiting"),
    "Deleted": ("Provisioning awaiting",),
}
"""Settled state → the states with which the next job begins."""


def allowed_transitions() -> dict[str, set[str]]:
    """State → the states that can follow directly.

    A job waits, runs, then fails or settles the account. A failed job is retried, or the account
    is deleted instead.
    """
    transitions: dict[str, set[str]] = {name: set(after) for name, after in NEXT_JOBS.items()}
    for state in STATES:
        if state.operation:
            states_by_phase = {s.phase: s.name for s in STATES if s.operation == state.operation}
            transitions[state.name] = {
                "awaiting": {states_by_phase["ongoing"]},
                "ongoing": {states_by_phase["failed"], SETTLED_STATES[state.operation]},
                "failed": {states_by_phase["awaiting"], "Delete awaiting"},
                "settled": set[str](),
            }[state.phase]
    return transitions


def reachable_states(before: str) -> set[str]:
    """The states that the snapshot after one with the state `before` can show.

    Any number of steps can go unseen, but at most one job begins and at most one succeeds.
    """
    transitions = allowed_transitions()
    operation = {s.name: s.operation for s in STATES}
    visited: set[tuple[str, int, int]] = set()
    queue = [(before, 0, 0)]
    while queue:
        current = queue.pop()
        if current in visited or current[1] > 1 or current[2] > 1:
            continue
        visited.add(current)
        for after in transitions[current[0]]:
            starts_job = operation[after] not in (None, operation[current[0]])
            settles_job = operation[after] is None
            queue.append((after, current[1] + starts_job, current[2] + settles_job))
    return {state for state, _, _ in visited}


DISALLOWED_TRANSITIONS = tuple(
    f"{before.name}>{after.name}"
    for before in STATES
    for after in STATES
    if after.name not in reachable_states(before.name)
)
"""State changes that no single job explains: `before>after`. Unrecognised states have none."""
