"""Rows of a table that a reader marks, and what can be done with them all.

The browser holds the marks (marks.js). It says which are marked only when an action needs them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

MAX_AT_ONCE = 10_000
"""Rows of a whole list that are copied, or get an action, at once."""

Marked = list[str] | Literal["all"]
"""IDs of rows, of this page and of others; or the whole list."""


class Marks(NamedTuple):
    """What the marked rows of a list can be used for."""

    scope: str
    """What the list shows; the marks hold for it, on all its pages and in any order."""
    most: int
    """Rows that can be marked one by one."""
    actions: Sequence[tuple[str, ...]]
    """Name and label of each button; for `on_key`, also its key."""
    on_action: Callable[[str, Marked], None]
    total: int | None = None
    """Rows of the whole list; None where they are not counted yet."""
    copies: Sequence[tuple[str, str]] = ()
    """Label and name of the texts of each row that can be copied: `TableRow.texts`."""
    list: str = ""
    """The address of the whole list as JSON, whose `columns=` are the same names."""
    on_key: Callable[[str, Marked, str], None] | None = None
    """For an action by its key: on the marked rows or, without any, on the focused one.

    The last argument is its number; one that has come before is not to be done again."""
    acted: str = ""
    """The number of the last one."""
    files: Sequence[tuple[str, str, str]] = ()
    """Label, address of the whole list, and the address to which `&marked=` adds some rows."""

    def data(self) -> dict[str, Any]:
        """What the browser needs."""
        callbacks = {"on_action": None, "on_key": None}
        return {**self._asdict(), **callbacks, "most_at_once": MAX_AT_ONCE}

    def react(self, state: Any) -> None:
        """Do what a pressed button asks for. The browser can send anything."""
        pressed = state.get("marked") if hasattr(state, "get") else None
        if not isinstance(pressed, list) or len(pressed) not in (2, 3):
            return
        name, claimed = pressed[:2]
        ids = claimed if isinstance(claimed, list) else []
        marked: Marked = [id for id in ids if isinstance(id, str)][: self.most]
        if claimed == "all":
            marked = "all"
        if not marked or name not in [action[0] for action in self.actions]:
            return
        if self.on_key and len(pressed) == 3:
            self.on_key(name, marked, f"{pressed[2]}")
        else:
            self.on_action(name, marked)
