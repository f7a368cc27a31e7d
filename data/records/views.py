"""Saved views: names for addresses of Users, of one person or of everybody."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.records.decisions import SAVED_VIEWS, InvalidInput, required_text
from data.records.tables import saved_view

MAX_VIEW_NAME_LENGTH = 60
"""Characters of the name of a view."""

MAX_ADDRESS_LENGTH = 4_000
"""Characters of the address of a view; browsers and proxies cut off longer ones."""

MAX_VIEWS = 200
"""Views that one person, or everybody, can have."""


class SavedView(NamedTuple):
    """A name for an address."""

    name: str
    owner: str | None  # None: everybody
    address: str  # the parameters, as in the address bar
    integrations: tuple[str, ...] | None = None  # all that it can show; None: any


def read_views(con: Connection, person: str) -> list[SavedView]:
    """The views of a person and of everybody, by name in any case."""
    columns = saved_view.c
    query = (
        select(columns.name, columns.owner, columns.address)
        .where(SAVED_VIEWS.is_in_force(), columns.owner.is_(None) | (columns.owner == person))
        .order_by(columns.owner.is_(None), func.lower(columns.name), columns.name)
    )
    return [SavedView(*row) for row in con.execute(query)]


def save_view(engine: sa.Engine, view: SavedView, author: str) -> None:
    """Save a view under a new name. Raises InvalidInput."""
    name = required_text(view.name, "name of the view", MAX_VIEW_NAME_LENGTH)
    if len(view.address) > MAX_ADDRESS_LENGTH:
        raise InvalidInput("This list has too many filters for a view. Remove some of them.")
    _check_new(engine, name, view.owner, author)
    SAVED_VIEWS.save(engine, [view._replace(name=name)._asdict()], author)


def rename_view(engine: sa.Engine, view: SavedView, name: str, author: str) -> None:
    """Give a view another name. Raises InvalidInput."""
    name = required_text(name, "name of the view", MAX_VIEW_NAME_LENGTH)
    _check_new(engine, name, view.owner, author)
    with engine.connect() as con:
        row = con.execute(select(saved_view).where(*_is_view(view))).mappings().first()
    if row is None:
        raise InvalidInput(f"The view “{view.name}” was deleted.")
    renamed = {field: row[field] for field in SavedView._fields} | {"name": name}
    SAVED_VIEWS.save(engine, [renamed], author)
    delete_view(engine, view, author)


def delete_view(engine: sa.Engine, view: SavedView, author: str) -> None:
    """Delete a view; its row stays, as evidence."""
    SAVED_VIEWS.withdraw(engine, [view._asdict()], author)


def _is_view(view: SavedView) -> Sequence[sa.ColumnElement[bool]]:
    columns = saved_view.c
    return SAVED_VIEWS.is_in_force(), columns.name == view.name, columns.owner == view.owner


def _check_new(engine: sa.Engine, name: str, owner: str | None, author: str) -> None:
    with engine.connect() as con:
        names = [view.name for view in read_views(con, author) if view.owner == owner]
    if name in names:
        raise InvalidInput(f"There is already a view “{name}”. Choose another name.")
    if len(names) >= MAX_VIEWS:
        raise InvalidInput(f"There are already {MAX_VIEWS} views. Delete one that nobody uses.")
