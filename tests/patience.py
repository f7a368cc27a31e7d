"""How long a test waits for what must come about: long, as a busy machine is no mistake."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 90
"""Seconds. Only a test that fails waits as long."""


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.05)
