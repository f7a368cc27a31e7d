"""The eleven provisioning states: how they are spelled, ordered and defined."""

from typing import Literal, NamedTuple

Operation = Literal["provision", "update", "delete"]
Phase = Literal["awaiting", "ongoing", "failed", "settled"]


class State(NamedTuple):
    """One provisioning state of an account."""

    name: str
    operation: Operation | None  # of its job; None for the two settled states
    phase: Phase
    definition: str


STATES: tuple[State, ...] = (
    State(
        "Provisioning awaiting",
        "provision",
        "awaiting",
        "The provisioning job is queued, waiting to start.",
    ),
    State("Provisioning ongoing", "provision", "ongoing", "The provisioning job is in progress."),
    State("Provisioning failed", "provision", "failed", "The provisioning job failed."),
    State("Onboarded", None, "settled", "The account exists in the app."),
    State("Update awaiting", "update", "awaiting", "The update job is queued, waiting to start."),
    State("Update ongoing", "update", "ongoing", "The update job is in progress."),
    State("Update failed", "update", "failed", "The update job failed."),
    State(
        "Delete awaiting",
        "delete",
        "awaiting",
        "The deprovisioning job is queued, waiting to start.",
    ),
    State("Delete ongoing", "delete", "ongoing", "The deprovisioning job is in progress."),
    State("Delete failed", "delete", "failed", "The deprovisioning job failed."),
    State("Deleted", None, "settled", "The account was removed from the app."),
)
"""All states, in lifecycle order."""

UNRECOGNIZED = State(
    "Unrecognised",
    None,
    "settled",
    "The state in the file is not one that Rollcall knows. The account keeps the original text.",
)
"""Counts the accounts whose state is none of the eleven. It is a bucket, not a state."""

STATE_NAMES: tuple[str, ...] = tuple(state.name for state in STATES)
STATE_BY_NAME: dict[str, State] = {state.name: state for state in (*STATES, UNRECOGNIZED)}
OPERATIONS: tuple[Operation, ...] = ("provision", "update", "delete")


def state_names(*, phase: Phase, operation: Operation | None = None) -> tuple[str, ...]:
    """The states of a phase, of one operation or of all, in lifecycle order."""
    return tuple(
        state.name
        for state in STATES
        if state.phase == phase and operation in (None, state.operation)
    )


FAILED_STATES = state_names(phase="failed")
OPEN_STATES = (*state_names(phase="awaiting"), *state_names(phase="ongoing"))
"""The states of open jobs, queued or in progress."""
UNSETTLED_STATES = (*OPEN_STATES, *FAILED_STATES)
DELETE_STATES = ("Delete awaiting", "Delete ongoing", "Delete failed", "Deleted")
"""The states in which an account is being deleted, or is deleted."""

NO_REASON = "No reason given"
