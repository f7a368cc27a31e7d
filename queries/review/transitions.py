"""Which moves between two snapshots a job can explain, and which none does.

A snapshot shows where an account is, not how it came there: quick states go unseen.
"""

from __future__ import annotations

from data.states import STATES

SETTLES = {"provision": "Onboarded", "update": "Onboarded", "delete": "Deleted"}
"""Where the job of an operation leaves the account when it succeeds."""

BEGINS = {
    "Onboarded": ("Update awaiting", "Delete awaiting"),
    "Deleted": ("Provisioning awaiting",),
}
"""Jobs that can begin where an account is settled."""


def lawful_steps() -> dict[str, set[str]]:
    """State → the states that may follow at once.

    A job waits, works, then fails or settles the account; a failed one is tried again, or given up
    for a deletion.
    """
    steps: dict[str, set[str]] = {name: set(after) for name, after in BEGINS.items()}
    for state in STATES:
        if state.operation:
            own = {s.phase: s.name for s in STATES if s.operation == state.operation}
            steps[state.name] = {
                "waiting": {own["working"]},
                "working": {own["failed"], SETTLES[state.operation]},
                "failed": {own["waiting"], "Delete awaiting"},
                "settled": set[str](),
            }[state.phase]
    return steps


def explained(before: str) -> set[str]:
    """The states in which an account may be at the snapshot after one that shows it in `before`.

    Unseen in between, any number of steps, but at most one job begins and at most one succeeds.
    """
    steps = lawful_steps()
    operation = {s.name: s.operation for s in STATES}
    seen: set[tuple[str, int, int]] = set()
    ahead = [(before, 0, 0)]
    while ahead:
        here = ahead.pop()
        if here in seen or here[1] > 1 or here[2] > 1:
            continue
        seen.add(here)
        for after in steps[here[0]]:
            begins = operation[after] not in (None, operation[here[0]])
            again = operation[after] is None
            ahead.append((after, here[1] + begins, here[2] + again))
    return {state for state, _, _ in seen}


UNLAWFUL = tuple(
    f"{before.name}>{after.name}"
    for before in STATES
    for after in STATES
    if after.name not in explained(before.name)
)
"""Moves that no job explains: `from>to`. An unrecognised state is no move."""
