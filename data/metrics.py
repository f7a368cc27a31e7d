"""What this process counts for a monitoring system. It names integrations, never a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

registry = CollectorRegistry()
ProcessCollector(registry=registry)  # memory, CPU, open files

FILES_TOTAL = Counter(
    "rollcall_files",
    "Files that the inbox handled: loaded, known, on hold, rejected or postponed.",
    ["integration", "outcome"],
    registry=registry,
)
ROWS_TOTAL = Counter(
    "rollcall_rows",
    "Rows of loaded files: accepted as accounts or rejected; flagged are some of the accepted.",
    ["integration", "verdict"],
    registry=registry,
)
LOAD_SECONDS = Histogram(
    "rollcall_load_seconds",
    "How long it takes to load a file, or to refuse it.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300),
    registry=registry,
)
PAGE_SECONDS = Histogram(
    "rollcall_page_seconds",
    "How long the script of a page runs, from top to bottom.",
    ["page"],
    buckets=(0.03, 0.1, 0.3, 1, 3, 10, 30),
    registry=registry,
)
LOG_MESSAGES_TOTAL = Counter(
    "rollcall_log_messages",
    "Lines of the log from warnings upwards, the server's own among them.",
    ["level"],
    registry=registry,
)
