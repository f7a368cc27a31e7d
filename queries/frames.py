"""Rows of the store as frames."""

from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection


def read_frame(con: Connection, query: sa.Select[*tuple[Any, ...]]) -> pd.DataFrame:
    """The rows of a query.

    They become tuples first: pandas inspects every row of another kind, which takes longer than
    the query. All are fetched at once, which takes a third of the time.
    """
    rows = con.execute(query)
    return pd.DataFrame(list(map(tuple, rows.all())), columns=list(rows.keys()))
