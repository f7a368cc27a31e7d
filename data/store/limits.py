"""How much memory and disk DuckDB may take."""

from __future__ import annotations

import os

MAX_MEMORY = 512 << 20
"""Bytes that DuckDB may take, where the machine has twice as many; beyond, it spills to disk."""


MAX_SPILL = "8GiB"
"""What it may spill at a time: one question must not fill the disk."""


def memory_limit() -> str:
    """What DuckDB may take: as told, or half of the machine's memory, up to MOST_MEMORY."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    half = f"{min(MAX_MEMORY, there // 2) >> 20}MiB"
    return os.environ.get("ROLLCALL_MEMORY_LIMIT") or half
