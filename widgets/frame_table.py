"""A frame of numbers or texts as one of the app's tables, without a panel for its rows."""

from datetime import datetime
from numbers import Integral, Real
from typing import Any

import pandas as pd
import streamlit as st

from data.files.headers import column_title
from widgets import timezone
from widgets import users_table as ut

MAX_ROWS = 500
"""Rows that are drawn; a download has the others."""

MIN_WIDTH, MAX_WIDTH = 6, 32
"""Characters by which columns share the width."""


def frame_table(frame: pd.DataFrame, caption: str, key: str) -> None:
    """The first rows, numbers on the right; it scrolls on its card, and is whole on paper."""
    shown = frame.head(MAX_ROWS)
    texts = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    names = [f"c{number}" for number in range(len(frame.columns))]
    with st.container(key=f"boxed_{key}"):
        ut.users_table(
            [
                ut.row(str(n), caption, **dict(zip(names, row, strict=True)))
                for n, row in enumerate(texts)
            ],
            columns=[
                ut.column(
                    name,
                    column_title(str(frame.columns[n])),
                    sortable=False,
                    numeric=pd.api.types.is_numeric_dtype(frame.dtypes.iloc[n]),
                    width=_width(str(frame.columns[n]), [row[n] for row in texts]),
                )
                for n, name in enumerate(names)
            ],
            caption=caption,
            empty="No rows.",
            key=key,
        )
    if len(frame) > MAX_ROWS:
        st.caption(f"The first {MAX_ROWS:,} of {len(frame):,} rows.")


def _cell(value: Any) -> ut.Cell:
    """Times to the minute, days without a time, shares and other numbers with few digits."""
    if not isinstance(value, str | list) and pd.isna(value):
        return ut.quiet()
    if isinstance(value, datetime):
        is_day = value == value.replace(hour=0, minute=0, second=0, microsecond=0)
        return ut.text(f"{value:%Y-%m-%d}" if is_day else timezone.format_moment(value))
    if isinstance(value, bool):
        return ut.text("Yes" if value else "No")
    if isinstance(value, Integral):
        return ut.text(f"{int(value):,}")
    if isinstance(value, Real):
        return ut.text(f"{float(value):,.3g}" if abs(float(value)) < 1000 else f"{value:,.0f}")
    return ut.text(str(value))


def _width(heading: str, cells: list[ut.Cell]) -> float:
    longest = max([len(heading), *(len(cell.get("text", "")) for cell in cells)])
    return min(max(longest, MIN_WIDTH), MAX_WIDTH) / 10
