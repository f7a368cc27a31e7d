"""What /metrics answers, in the text format of Prometheus: data/measures.py, and of the store.

The gate lets in who has the token for it, and whoever may see Health; nobody's person is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from data.access.roles import Act, NotAllowed
from data.home import here
from data.inbox.inbox import waiting_files
from data.metrics import registry
from queries.metrics import newest_snapshots
from queries.snapshots import count_unloaded
from server.authorize import allowed, delivered, state


def send_metrics(_: Request) -> Response:
    """Not for who is kept to some integrations: what is counted names all. Raises NotAllowed."""
    if not allowed(Act.HEALTH).may_for_all(Act.HEALTH):
        raise NotAllowed(Act.HEALTH)
    now = CollectorRegistry()
    now.register(_Store(delivered(Act.HEALTH) if state().is_open else None))
    text = generate_latest(registry) + generate_latest(now)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Store(Collector):
    """How the store is at the moment of asking; None: it cannot be read."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        is_open = self._engine is not None
        yield GaugeMetricFamily(
            "rollcall_store_open", "1: it is open, and pages are drawn.", is_open
        )
        waiting = len(waiting_files(here()))
        yield GaugeMetricFamily("rollcall_files_waiting", "Files in the inbox.", waiting)
        if self._engine:
            yield from _told_by(self._engine)


def _told_by(engine: Engine) -> list[GaugeMetricFamily]:
    by_name = {
        name: GaugeMetricFamily(f"rollcall_{name}", words, labels=["integration"])
        for name, words in OF_INTEGRATIONS.items()
    }
    aside = GaugeMetricFamily(
        "rollcall_files_set_aside", "Files that a person has to look at.", labels=["verdict"]
    )
    with engine.connect() as con:
        for row in newest_snapshots(con):
            taken_at = row.taken_at.replace(tzinfo=UTC).timestamp()
            by_name["snapshots"].add_metric([row.name], row.snapshots)
            by_name["accounts"].add_metric([row.name], row.accounts)
            by_name["newest_snapshot_timestamp_seconds"].add_metric([row.name], taken_at)
        counted = {"held": 0, "refused": 0} | count_unloaded(con)
    for verdict, files in counted.items():
        aside.add_metric([verdict], files)
    return [*by_name.values(), aside]


OF_INTEGRATIONS = {
    "snapshots": "Snapshots that are loaded.",
    "accounts": "Accounts in the newest snapshot.",
    "newest_snapshot_timestamp_seconds": "When the newest snapshot was taken.",
}
