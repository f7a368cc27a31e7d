"""Pages of a list, counted from 1."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select

Query = TypeVar("Query", bound=Select[Any])


def page_count(total: int, page_size: int) -> int:
    """The number of pages; an empty list has one."""
    return max(1, -(-total // page_size))


def cut_page(query: Query, page: int, page_size: int) -> Query:
    """The rows of one page of an ordered query."""
    return query.limit(page_size).offset((max(1, page) - 1) * page_size)
