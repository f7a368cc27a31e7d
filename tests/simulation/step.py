"""Something that happens to Rollcall and to the model."""

from collections.abc import Callable
from typing import NamedTuple


class Step(NamedTuple):
    """Something that happens."""

    words: str
    act: Callable[[], object]  # to Rollcall; taken again after a kill, it changes nothing more
    then: Callable[[], object]  # to the model
    is_risky: bool = False  # it changes the store and then a file
