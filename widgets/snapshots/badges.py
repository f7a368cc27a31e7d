"""The badges of files, uploads and pulls on the Snapshots page."""

from typing import Any, NamedTuple

import streamlit as st


class Badge(NamedTuple):
    """A status as words, an icon and a color."""

    label: str
    icon: str
    color: Any

    def show(self, area: Any = st) -> None:
        """Draw the badge in an area of the page."""
        area.badge(self.label, icon=f":material/{self.icon}:", color=self.color)


REJECTED = Badge("Rejected", "block", "red")
NEEDS_DETAILS = Badge("Needs details", "edit", "blue")
ALREADY_LOADED = Badge("Already loaded", "done_all", "gray")
NEEDS_CONFIRMATION = Badge("Needs confirmation", "pan_tool", "orange")
REPLACES_FILE = Badge("Replaces a loaded file", "swap_horiz", "orange")
CHECK = Badge("Check", "warning", "orange")
OK = Badge("OK", "check", "green")
RETRYING = Badge("Cannot be loaded now", "sync_problem", "orange")

OUTCOMES: dict[str, Badge] = {
    "loaded": Badge("Loaded", "check", "green"),
    "on hold": Badge("On hold", "pan_tool", "orange"),
    "rejected": REJECTED,
    "not yet": Badge("Loading", "hourglass_top", "blue"),
}
"""What happened to a delivered file → its badge."""
