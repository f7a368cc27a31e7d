"""What an error of a PostgreSQL server means for the store."""

import re

import psycopg
import sqlalchemy as sa

from data.store.errors import DiskFull, StoreError, StoreUnreachable

DISK_FULL = "53100"
AWAY_CLASSES = ("08", "53", "57", "58")
"""Classes of errors: connections, resources, the operator's intervention, the system."""

NODE_ERROR = re.compile(r"connection|\bnode\b|\bworker\b")
"""How Citus words the loss of a worker, where the error has no code of its own."""


def explain_server_error(
    url: str | sa.URL, error: BaseException, *, is_lost: bool = False
) -> StoreError | None:
    """The error of a server that is away, restarts or has no resources; None for any other.

    `is_lost`: whether the connection is known to be lost.
    """
    code = getattr(error, "sqlstate", None) or ""
    if code == DISK_FULL:
        return DiskFull(f"The disk of {display_address(url)} is full. Free some space there.")
    is_node_away = isinstance(error, psycopg.InternalError) and NODE_ERROR.search(str(error))
    if not (is_lost or is_node_away or code.startswith(AWAY_CLASSES)):
        return None
    message = ". ".join(line.strip() for line in str(error).splitlines())
    return StoreUnreachable(
        f"{display_address(url)} cannot be reached. PostgreSQL reports: “{message}”."
    )


def display_address(address: str | sa.URL) -> str:
    """Host, port and database, without the password."""
    url = sa.make_url(address)
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database}"
