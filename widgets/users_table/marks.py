"""Rows of a table that a reader marks, and what can be done with them all.

The browser holds the marks (marks.js). It says which are marked only when an action needs them.
"""

from collections.abc import Callable, Mapping, Sequence
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
    """Name and label of each button; for `keys`, also its key."""
    on_action: Callable[[str, Marked], None]
    total: int | None = None
    """Rows of the whole list; None where they are not counted yet."""
    copies: Sequence[tuple[str, str]] = ()
    """Label and name of the texts of each row that can be copied: `TableRow.texts`."""
    list: str = ""
    """The address of the whole list as JSON, whose `columns=` are the same names."""
    keys: Mapping[str, Any] | None = None
    """How an action by its key is done at once, on the marked rows or on the focused one.

    It is posted `to` an address with these `fields`; the column `shown_in` shows it. None, or all
    of a list: it is asked about as by its button."""
    on_done: Callable[[], None] = lambda: None
    """Called some time after actions by keys, when the list is to be drawn again."""
    files: Sequence[tuple[str, str, str]] = ()
    """Label, address of the whole list, and the address to which `&marked=` adds some rows."""

    def data(self) -> dict[str, Any]:
        """What the browser needs."""
        callbacks = {"on_action": None, "on_done": None}
        return {**self._asdict(), **callbacks, "most_at_once": MAX_AT_ONCE}

    def react(self, state: Any) -> None:
        """Do what a pressed button asks for. The browser can send anything."""
        if hasattr(state, "get") and state.get("done"):
            return self.on_done()
        pressed = state.get("marked") if hasattr(state, "get") else None
        if not isinstance(pressed, list) or len(pressed) != 2:
            return None
        name, claimed = pressed
        ids = claimed if isinstance(claimed, list) else []
        marked: Marked = [id for id in ids if isinstance(id, str)][: self.most]
        if claimed == "all":
            marked = "all"
        if marked and name in [action[0] for action in self.actions]:
            self.on_action(name, marked)
        return None
