"""Answers /metrics in Prometheus's text format: the metrics of data/metrics.py and of the store.

The gate admits requests with the token, and users with access to Health. No metric contains
personal data.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from data.access.roles import NotAllowed, Permission
from data.home import current_home
from data.inbox.delivered import inbox_files
from data.metrics import registry
from queries.metrics import newest_snapshots
from queries.objectives.results import objective_results
from queries.outbox import letter_counts
from queries.snapshots import count_quarantined
from server.authorize import authorize, real_connection, store_status
from server.outage import outage_letters


def send_metrics(_: Request) -> Response:
    """Raises NotAllowed for a user who sees only some integrations: the metrics name them all."""
    if not authorize(Permission.HEALTH).is_allowed_everywhere(Permission.HEALTH):
        raise NotAllowed(Permission.HEALTH)
    store_registry = CollectorRegistry()
    with real_connection(Permission.HEALTH) if store_status().is_open else nullcontext() as con:
        store_registry.register(_StoreCollector(con))
        text = generate_latest(registry) + generate_latest(store_registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _StoreCollector(Collector):
    """The state of the store at the time of the request; None if it cannot be read."""

    def __init__(self, con: Connection | None) -> None:
        self._con = con

    def collect(self) -> Iterator[GaugeMetricFamily]:
        is_open = self._con is not None
        yield GaugeMetricFamily("rollcall_store_open", "1 while the store is open.", is_open)
        file_count = len(inbox_files(current_home()))
        yield GaugeMetricFamily("rollcall_files_in_inbox", "Files in the inbox.", file_count)
        if self._con:
            yield from _integration_metrics(self._con)
            yield from _objective_metrics(self._con)
        yield _letter_metric(self._con)


def _integration_metrics(con: Connection) -> list[GaugeMetricFamily]:
    by_name = {
        name: GaugeMetricFamily(f"rollcall_{name}", description, labels=["integration"])
        for name, description in INTEGRATION_GAUGES.items()
    }
    quarantined = GaugeMetricFamily(
        "rollcall_files_quarantined", "Files that need a person.", labels=["status"]
    )
    for row in newest_snapshots(con):
        taken_at = row.taken_at.replace(tzinfo=UTC).timestamp()
        by_name["snapshots"].add_metric([row.name], row.snapshots)
        by_name["accounts"].add_metric([row.name], row.accounts)
        by_name["newest_snapshot_timestamp_seconds"].add_metric([row.name], taken_at)
    counts = {"on hold": 0, "rejected": 0} | count_quarantined(con)
    for status, count in counts.items():
        quarantined.add_metric([status], count)
    return [*by_name.values(), quarantined]


def _letter_metric(con: Connection | None) -> GaugeMetricFamily:
    """Those in the store, and those that it is closed."""
    letters = GaugeMetricFamily(
        "rollcall_letters",
        "Letters by status: queued, sending, failing, sent, perhaps sent or given up.",
        labels=["status"],
    )
    counts = Counter(letter_counts(con) if con else {})
    if outage := outage_letters.get(current_home()):
        counts.update(outage.counts)
    for status, count in counts.items():
        letters.add_metric([status], count)
    return letters


def _objective_metrics(con: Connection) -> list[GaugeMetricFamily]:
    labels = ["integration", "objective"]
    met, spent, burn = (
        GaugeMetricFamily(f"rollcall_objective_{name}", text, labels=[*labels, *more])
        for name, text, more in (
            ("met", "1 while the objective is met.", []),
            ("budget_spent_ratio", "Share of the error budget of 30 days that is spent.", []),
            ("burn_rate", "How many times too fast the budget is spent.", ["window"]),
        )
    )
    for result in objective_results(con):
        names = [result.integration, result.kind]
        met.add_metric(names, result.is_met)
        if result.budget:
            spent.add_metric(names, result.budget.spent)
            burn.add_metric([*names, "short"], result.budget.short_burn)
            burn.add_metric([*names, "long"], result.budget.long_burn)
    return [met, spent, burn]


INTEGRATION_GAUGES = {
    "snapshots": "Loaded snapshots.",
    "accounts": "Accounts in the newest snapshot.",
    "newest_snapshot_timestamp_seconds": "Time of the newest snapshot.",
}
