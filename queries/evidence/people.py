"""What a pack needs where its rows depend on people: the directories, and what people decided."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.people.directories import directory_names, save_directories
from data.records.exceptions import read_rule_settings, save_rule_settings
from data.records.matches import link_account_keys
from data.schema import integration, match_override
from data.store.engine import write_transaction
from queries.evidence.pack import ReadJson, json_bytes, parse_time, row_to_json
from queries.owners import OVERRIDE_COLUMNS, active_overrides

PEOPLE_FILE, OVERRIDES_FILE = "people.json", "match_overrides.json"


def with_directories(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """The integrations whose snapshots people's statuses follow from; none named means all."""
    return (*integrations, *directory_names(con)) if integrations else ()


def people_members(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> dict[str, bytes]:
    """The files: the directories by a person's word, the grace period, and the match overrides."""
    words = select(integration.c.name, integration.c.is_directory)
    words = words.where(integration.c.is_directory.is_not(None)).order_by(integration.c.name)
    return {
        PEOPLE_FILE: json_bytes(
            {
                "directories": {row[0]: row[1] for row in con.execute(words)},
                "grace_days": read_rule_settings(con).grace_days,
            }
        ),
        OVERRIDES_FILE: overrides_json(con, integrations, as_of),
    }


def overrides_json(con: Connection, integrations: Sequence[str], as_of: datetime | None) -> bytes:
    """The match overrides in force."""
    rows = active_overrides(con, integrations, as_of)
    return json_bytes([row_to_json(row) for row in rows])


def restore_people(engine: sa.Engine, read_json: ReadJson) -> None:
    """Put what a pack has of these files into a store that holds its snapshots."""
    with suppress(KeyError):
        overrides = [
            {name: row[name] for name in OVERRIDE_COLUMNS}
            | {"decided_at": parse_time(row["decided_at"])}
            for row in read_json(OVERRIDES_FILE)
        ]
        with write_transaction(engine) as con:
            con.execute(sa.insert(match_override), overrides) if overrides else None
            link_account_keys(con)
    with suppress(KeyError):
        records = read_json(PEOPLE_FILE)
        with engine.connect() as con:
            settings = replace(read_rule_settings(con), grace_days=records["grace_days"])
        save_rule_settings(engine, settings)
        save_directories(engine, records["directories"])
