"""The count of the list, and its pages."""

import streamlit as st

from queries.filters import Filters
from queries.paging import page_count
from queries.users.accounts import PAGE_SIZE, PAGE_SIZES, AccountPage
from widgets.address import show_pagination, update_address


def requested_page_size() -> int:
    """The rows of a page in the address."""
    return next(
        (size for size in PAGE_SIZES if st.query_params.get("rows") == str(size)), PAGE_SIZE
    )


def show_count(page: AccountPage, filters: Filters, size: int) -> None:
    """`1-50 of 1,821 accounts`, and the ways to the pages beside this one."""
    pages, count = page_count(page.count, size), f"**{page.count:,}**"
    is_filtered = filters != filters.cleared()
    with st.container(
        horizontal=True, vertical_alignment="center", gap=None, width="content", key="count"
    ):
        if pages > 1:
            first = (page.page - 1) * size + 1
            last = min(page.page * size, page.count)
            st.markdown(f"{first:,}–{last:,} of {count} accounts", width="content")
            for label, icon, other in (
                ("Previous accounts", "chevron_left", page.page - 1),
                ("Next accounts", "chevron_right", page.page + 1),
            ):
                st.button(
                    f":small[{label}]",
                    key=label,
                    icon=f":material/{icon}:",
                    type="tertiary",
                    disabled=not 1 <= other <= pages,
                    on_click=update_address,
                    kwargs={"page": str(other)},
                )
        else:
            accounts = f"of {page.total:,} accounts" if is_filtered else "accounts"
            st.markdown(f"{count} {accounts}", width="content")


def show_pages(page: AccountPage, size: int) -> None:
    """All pages and the rows of each, below a list that is longer than the smallest page."""
    if page.count <= PAGE_SIZE:
        return
    st.session_state["rows"] = size

    def apply_size() -> None:
        chosen = st.session_state["rows"]
        update_address(rows=None if chosen == PAGE_SIZE else str(chosen), page=None)

    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="pages"
    ):
        with st.container(width="stretch"):  # in less room, pages fold into one number
            show_pagination(page.page, page.count, size)
        st.selectbox(
            "Rows per page",
            PAGE_SIZES,
            key="rows",
            format_func="{} rows per page".format,
            label_visibility="collapsed",
            width=180,
            on_change=apply_size,
        )
