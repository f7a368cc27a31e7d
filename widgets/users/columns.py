"""The columns of the Users table: those of the address, and the menu that chooses them."""

from collections.abc import Iterable
from typing import NamedTuple

import streamlit as st
from sqlalchemy import Connection

from data.access.roles import Permission
from queries.export.columns import (
    ATTRIBUTE_PREFIX,
    attribute_of,
    column_of,
    columns_text,
    split_columns,
)
from queries.filters import Filters
from queries.users.accounts import attribute_names
from server.authorize import authorize, store_connection
from widgets.account_row import COLUMNS, default_columns
from widgets.address import update_address
from widgets.columns_menu import ColumnGroup, columns_menu, is_menu_open

MAX_COLUMNS = 50
MENU_KEY = "columns_menu"


class Columns(NamedTuple):
    """The columns that are shown, in order; and what the address has besides."""

    shown: tuple[str, ...]
    usual: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """The columns that a person chose; none for the usual ones."""
        return () if self.shown == self.usual else self.shown


def requested_columns(con: Connection, filters: Filters, *, several_integrations: bool) -> Columns:
    """The columns of the address. Names that nothing has, and all beyond the most, are ignored."""
    usual = default_columns(
        several_integrations=several_integrations, in_period=filters.during is not None
    )
    names, ignored = split_columns(st.query_params.get_all("columns"))
    asks_for_attributes = any(map(attribute_of, names))
    attributes = attribute_names(con, filters.cleared()) if asks_for_attributes else ()
    known = [n for n in names if n in possible_columns(filters) or attribute_of(n) in attributes]
    ignored += [n for n in names if n not in known[:MAX_COLUMNS]]
    return Columns(tuple(known[:MAX_COLUMNS]) or usual, usual, tuple(ignored))


@st.fragment
def show_columns_menu(filters: Filters, columns: Columns) -> None:
    """The menu; the attributes of the shown accounts are read when it opens."""
    authorize(Permission.USERS)
    attributes = [name for name in columns.shown if attribute_of(name)]
    if is_menu_open(MENU_KEY):
        with store_connection(Permission.USERS) as con:
            names = filter(is_shown_name, attribute_names(con, filters))
            attributes += [f"{ATTRIBUTE_PREFIX}{name}" for name in names]
    groups = [
        ColumnGroup("More columns", _labels(possible_columns(filters))),
        ColumnGroup("From the snapshots", _labels(attributes)),
    ]

    def choose(names: list[str]) -> None:
        is_usual = tuple(names) in ((), columns.usual)
        update_address(columns=None if is_usual else columns_text(names))
        st.rerun()

    columns_menu(groups, columns.shown, choose, is_default=not columns.chosen, key=MENU_KEY)


def possible_columns(filters: Filters) -> list[str]:
    """The columns beside those of the snapshots; without a period, no times in it."""
    return [name for name in COLUMNS if filters.during or name != "stretches"]


def is_shown_name(name: str) -> bool:
    """Whether an attribute's name can be a heading and part of an address."""
    return bool(name) and name.isprintable() and name == name.strip()


def _labels(names: Iterable[str]) -> dict[str, str]:
    return {name: column_of(name).heading for name in names}
