"""Directories: integrations that list people, such as an identity provider or an HR list."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.people.identify import identify_people
from data.schema import integration, snapshot
from data.store.dialect import json_text
from data.store.engine import write_transaction

PROVIDERS = ("Okta users", "Microsoft Entra users", "Google Workspace users")
"""The sources that are identity providers, by name: all that they list is people."""


def _is_provider() -> ColumnElement[bool]:
    """Whether the files of the integration are an identity provider's."""
    source = json_text(snapshot.c.facts, sa.literal("source"))
    is_its_own = snapshot.c.integration_id == integration.c.integration_id
    return sa.exists().where(is_its_own, source.in_(PROVIDERS))


def _is_directory() -> ColumnElement[bool]:
    return func.coalesce(integration.c.is_directory, _is_provider())


def directory_names(con: Connection) -> tuple[str, ...]:
    """The integrations that list people: by their files, or by a person's word."""
    query = select(integration.c.name).where(_is_directory()).order_by(integration.c.name)
    return tuple(con.scalars(query))


def save_directories(engine: sa.Engine, words: Mapping[str, bool]) -> None:
    """Say of integrations, by name, whether they list people; their files no longer decide."""
    with write_transaction(engine) as con:
        for name, is_directory in words.items():
            con.execute(
                sa.update(integration)
                .where(integration.c.name == name)
                .values(is_directory=is_directory)
            )
        refresh_people(con)


def refresh_people(con: Connection, integration_id: int | None = None) -> None:
    """Work out again who the people of all directories are.

    With an integration, only if that is a directory.
    """
    query = select(integration.c.integration_id, case((_is_provider(), 1), else_=0))
    directories = {row[0]: bool(row[1]) for row in con.execute(query.where(_is_directory()))}
    if integration_id is None or integration_id in directories:
        identify_people(con, directories)
