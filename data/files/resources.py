"""Lists with a row per application, project or site: which column says what a role is on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from data.files.headers import heading_words
from data.files.relation import FileRows
from data.files.text import trim_or_null, username_key

RESOURCE_HEADINGS = """
    application, app, application name, app name, application instance, app instance, resource
    resource name, target system, system, system name, project, project name, project key
    repository, repo, workspace, workspace name, site, site name, site url, path, environment
    database, database name, schema, tenant, tenant name, subscription, scope, vault, folder
    account name, aws account, service, service name, server, server name
    anwendung, applikation, ressource, zielsystem, projekt, umgebung, datenbank
    projet, système, espace de travail, aplicación, recurso, proyecto, sistema
    aplicativo, aplicação, projeto, applicazione, risorsa, progetto, applicatie, toepassing
    アプリ, アプリケーション, アプリ名, システム, プロジェクト
"""
"""Headings of what a role is on, the most usual first."""

NAMES = [
    heading_words(name).replace(" ", "")
    for line in RESOURCE_HEADINGS.strip().splitlines()
    for name in line.split(",")
]


def find_resource(
    con: Connection, rows: FileRows, identity: Sequence[ColumnElement[Any]], free: Iterable[str]
) -> str:
    """The heading whose values differ between the rows of one account; empty without one.

    `identity`: the cells that are the same in all rows of an account.
    """
    keys = {heading: heading_words(heading).replace(" ", "") for heading in sorted(free)}
    named = sorted((h for h in keys if keys[h] in NAMES), key=lambda h: NAMES.index(keys[h]))
    if not named:
        return ""
    texts = {f"c{n}": trim_or_null(rows.cells[heading]) for n, heading in enumerate(named)}
    counts = con.execute(select(*_counts(rows, identity, texts))).one()
    found = (h for h, count in zip(named, counts[1:], strict=True) if count > counts[0])
    return next(found, "")


def _counts(
    rows: FileRows, identity: Sequence[ColumnElement[Any]], texts: Mapping[str, ColumnElement[Any]]
) -> list[ColumnElement[int]]:
    """The number of accounts, and for each text that of different pairs of account and text."""
    key = func.hash(*(username_key(trim_or_null(cell)) for cell in identity)).label("account")
    cell = select(key, *(text.label(name) for name, text in texts.items()))
    c = cell.select_from(rows.records).subquery("cell").c
    pairs = (func.hash(c.account, c[name]).distinct() for name in texts)
    counts = (
        func.count(pair).filter(c[name].is_not(None))
        for name, pair in zip(texts, pairs, strict=True)
    )
    return [func.count(c.account.distinct()), *counts]
