"""Pages of a list, counted from 1."""

from typing import Any, TypeVar

import sqlalchemy as sa

Query = TypeVar("Query", bound=sa.Select[Any])


def page_count(total: int, page_size: int) -> int:
    """The number of pages; an empty list has one."""
    return max(1, -(-total // page_size))


def cut_page(query: Query, page: int, page_size: int) -> Query:
    """The rows of one page of an ordered query."""
    return query.limit(page_size).offset((max(1, page) - 1) * page_size)
