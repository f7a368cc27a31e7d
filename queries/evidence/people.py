"""What a pack needs where its rows depend on people: the directories, and what people decided."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.people.directories import directory_names, save_directories
from data.records.decisions import MATCH_OVERRIDES, NOTES, Decisions, link_account_keys
from data.records.exceptions import read_rule_settings, save_rule_settings
from data.schema import integration
from data.store.engine import write_transaction
from queries.evidence.pack import ReadJson, json_bytes, row_from_json, row_to_json
from queries.scope import in_integrations

PEOPLE_FILE, OVERRIDES_FILE = "people.json", "match_overrides.json"
NOTES_FILE = "notes.json"


def with_directories(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """The integrations whose snapshots people's statuses follow from; none named means all."""
    return (*integrations, *directory_names(con)) if integrations else ()


def people_members(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> dict[str, bytes]:
    """The files: the directories by a person's word, the grace period, and the match overrides."""
    return {
        PEOPLE_FILE: json_bytes(
            {
                "directories": directory_words(con),
                "grace_days": read_rule_settings(con).grace_days,
            }
        ),
        OVERRIDES_FILE: decisions_json(con, MATCH_OVERRIDES, integrations, as_of),
    }


def directory_words(con: Connection) -> dict[str, bool]:
    """Integration → whether it is a directory, where a person has said so."""
    words = select(integration.c.name, integration.c.is_directory)
    words = words.where(integration.c.is_directory.is_not(None)).order_by(integration.c.name)
    return {row[0]: row[1] for row in con.execute(words)}


def decisions_json(
    con: Connection, kind: Decisions, integrations: Sequence[str], as_of: datetime | None
) -> bytes:
    """The decisions in force, with the columns that mean something in another store."""
    columns = kind.table.c
    left_out = ("account_key", "withdrawn_by", "withdrawn_at")
    query = (
        select(*(column for column in columns if column.name not in left_out))
        .where(kind.is_in_force(as_of), in_integrations(kind.table, integrations))
        .order_by(columns.integration, columns.account_id)
    )
    return json_bytes([row_to_json(row) for row in con.execute(query).mappings()])


def restore_people(engine: sa.Engine, read_json: ReadJson) -> None:
    """Put what a pack has of these files into a store that holds its snapshots."""
    for file, kind in ((OVERRIDES_FILE, MATCH_OVERRIDES), (NOTES_FILE, NOTES)):
        with suppress(KeyError), write_transaction(engine) as con:
            rows = [row_from_json(kind.table, row) for row in read_json(file)]
            con.execute(sa.insert(kind.table), rows) if rows else None
            link_account_keys(con)
    with suppress(KeyError):
        records = read_json(PEOPLE_FILE)
        with engine.connect() as con:
            settings = replace(read_rule_settings(con), grace_days=records["grace_days"])
        save_rule_settings(engine, settings)
        save_directories(engine, records["directories"])
