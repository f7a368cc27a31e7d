"""Settings that people change on the pages, as JSON."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.records.tables import setting
from data.store.engine import write_transaction


def read_setting(con: Connection, name: str) -> Any:
    """The value of a setting; None if nobody has set it."""
    value = con.scalar(select(setting.c.value).where(setting.c.name == name))
    return json.loads(value) if value else None


def save_setting(engine: sa.Engine, name: str, value: Any) -> None:
    """Set a setting."""
    with write_transaction(engine) as con:
        con.execute(sa.delete(setting).where(setting.c.name == name))
        con.execute(sa.insert(setting).values(name=name, value=json.dumps(value)))
