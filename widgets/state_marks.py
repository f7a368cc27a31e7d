"""The mark of a provisioning state."""

from data.states import STATE_BY_NAME, UNRECOGNIZED
from widgets import users_table as ut

STATE_MARKS: dict[str, tuple[ut.Tone, ut.Icon]] = {
    "awaiting": ("awaiting", "clock"),
    "ongoing": ("ongoing", "spinner"),
    "failed": ("bad", "cross"),
    "Onboarded": ("good", "check"),
    "Deleted": ("quiet", "dash"),
    UNRECOGNIZED.name: ("warn", "question"),
}
"""Phase, or name of a settled state → how it is drawn."""


def state_mark(name: str) -> ut.Cell:
    return ut.mark(name, *tone_and_icon(name))


def tone_and_icon(name: str) -> tuple[ut.Tone, ut.Icon]:
    return STATE_MARKS.get(name) or STATE_MARKS[STATE_BY_NAME[name].phase]
