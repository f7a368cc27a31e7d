"""Prometheus metrics of this process. They contain names of integrations and no personal data."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

registry = CollectorRegistry()
ProcessCollector(registry=registry)  # memory, CPU, open files

FILES_TOTAL = Counter(
    "rollcall_files",
    "Handled files by outcome: loaded, known, on hold, rejected or postponed.",
    ["integration", "outcome"],
    registry=registry,
)
ROWS_TOTAL = Counter(
    "rollcall_rows",
    "Rows of loaded files: accepted or rejected. Flagged rows are among the accepted.",
    ["integration", "outcome"],
    registry=registry,
)
LOAD_SECONDS = Histogram(
    "rollcall_load_seconds",
    "Time to load or reject a file.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300),
    registry=registry,
)
PAGE_SECONDS = Histogram(
    "rollcall_page_seconds",
    "Time to run the script of a page.",
    ["page"],
    buckets=(0.03, 0.1, 0.3, 1, 3, 10, 30),
    registry=registry,
)
LOG_MESSAGES_TOTAL = Counter(
    "rollcall_log_messages",
    "Log lines at WARNING or above, the server's own included.",
    ["level"],
    registry=registry,
)
