"""A store that Citus distributes over several machines.

Citus limits queries, and tests check them: joins of two large tables include the integration,
windows partition by it, and a load changes rows of one integration only.
"""

import sqlalchemy as sa
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import REGCLASS

from data.schema import account_version, metadata, rejected_row
from data.staging import staging_metadata

DISTRIBUTION_COLUMN = "integration_id"
"""All rows of an integration are on one machine, so a load and most joins stay there."""

REFERENCE_TABLES = {"integration", "snapshot", "layout", "person", "person_clue"} | {
    t.name
    for t in metadata.sorted_tables
    if not {DISTRIBUTION_COLUMN, "snapshot_id"} & set(t.c.keys())
}
"""Small tables: records, and tables of most joins. Every machine has a full copy."""


def distribute(engine: sa.Engine) -> list[str]:
    """Distribute the tables of a store over a Citus cluster, and return their names.

    Tables that are already distributed stay. Raises ClusterError where the database is not a
    cluster.
    """
    with engine.connect() as con:
        with con.begin():
            if not _is_cluster(con):
                raise ClusterError(
                    "The database has no Citus. Run CREATE EXTENSION citus in it, on every machine."
                )
            if not con.scalar(select(sa.literal("B") < "a")):
                raise ClusterError(
                    "The databases of a cluster must sort by code points. Run on every machine: "
                    "CREATE DATABASE rollcall TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'."
                )
        table_names = {*metadata.tables, *staging_metadata.tables, *REFERENCE_TABLES}
        pending = [name for name in table_names if not _is_distributed(con, name)]
        con.rollback()
        for name in sorted(
            pending, key=lambda name: (name not in REFERENCE_TABLES, name != COLOCATION_TABLE, name)
        ):
            with con.begin():
                _distribute_table(con, name)
    return pending


class ClusterError(Exception):
    """The database is not a cluster. The message says what to do."""


COLOCATION_TABLE = account_version.name
"""The table that decides where the shards of the others are."""


def _distribute_table(con: Connection, name: str) -> None:
    """Citus's functions take names as untyped constants."""
    if name in REFERENCE_TABLES:
        con.execute(sa.text("SELECT create_reference_table(:name)"), {"name": name})
        return
    distribution_column, colocate_with = (
        DISTRIBUTION_COLUMN,
        "default" if name == COLOCATION_TABLE else COLOCATION_TABLE,
    )
    if name == rejected_row.name:  # joined with small tables only
        distribution_column, colocate_with = "snapshot_id", "none"
    con.execute(
        sa.text("SELECT create_distributed_table(:name, :by, colocate_with => :beside)"),
        {"name": name, "by": distribution_column, "beside": colocate_with},
    )


def _is_distributed(con: Connection, name: str) -> bool:
    partitions = sa.table("pg_dist_partition", sa.column("logicalrelid"))
    is_this_table = partitions.c.logicalrelid == sa.cast(name, REGCLASS)
    return bool(con.scalar(select(func.count()).select_from(partitions).where(is_this_table)))


def _is_cluster(con: Connection) -> bool:
    return bool(con.scalar(select(func.to_regclass("pg_dist_partition").is_not(None))))


def distribute_like(con: Connection, target: sa.Engine) -> None:
    """Distribute the target if the store of the connection is distributed."""
    with con.begin():
        is_distributed = _is_cluster(con) and _is_distributed(con, COLOCATION_TABLE)
    if is_distributed:
        distribute(target)
