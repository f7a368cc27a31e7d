"""Which integrations and which moment a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, select, true

from data.schema import integration


def in_integrations(rows: FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row is of these; of any where none is named."""
    if not integrations:
        return true()
    ids = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return rows.c.integration_id.in_(ids)


def is_past(moment: ColumnElement[Any], as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a moment had come."""
    return true() if as_of is None else moment <= as_of
