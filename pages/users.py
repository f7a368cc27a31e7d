"""Who has an account, with which roles, in which state."""

from collections.abc import Sequence

import streamlit as st

from queries.account import known_of
from queries.filters import Filters
from queries.users import (
    PAGE_SIZE,
    count_accounts,
    integration_names,
    order_of,
    page_of_accounts,
    roles_in_use,
)
from widgets import account, empty
from widgets.downloads import offer_users
from widgets.filters import asked, choose_accounts, mark_past, offer_presets
from widgets.store import reading
from widgets.users_table import Block, users_table

st.title("Users")

with reading() as con:
    integrations = integration_names(con)
    if not integrations:
        empty.no_snapshots()
        st.stop()
    roles = roles_in_use(con, asked())

filters = choose_accounts(integrations, roles)
offer_presets()
mark_past(filters)


@st.fragment
def list_of_accounts(filters: Filters) -> None:
    sort = st.query_params.get("sort", "")
    order, descending = order_of(sort)

    listed, below = st.container(), st.container()
    with reading() as con, listed:
        found = count_accounts(con, filters)
        everything = count_accounts(con, filters.without_any())
        pages = max(1, -(-found // PAGE_SIZE))
        page = below.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
        rows = page_of_accounts(con, filters, sort=order, descending=descending, page=page)

        def sort_by(key: str) -> None:
            st.query_params["sort"] = f"-{key}" if key == order and not descending else key
            st.session_state["page"] = 1

        def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
            known = known_of(con, filters, [int(id_) for id_ in ids])
            return {str(k): account.panel(v, as_of=filters.as_of) for k, v in known.items()}

        with st.container(
            horizontal=True,
            horizontal_alignment="distribute",
            vertical_alignment="center",
            key="found",
        ):
            st.markdown(count_in_words(found, everything), width="content")
            offer_users(filters, sort)
        users_table(
            [account.table_row(row) for row in rows],
            columns=account.columns(
                several_integrations=len(filters.integration or integrations) > 1
            ),
            sort=order,
            descending=descending,
            details=panels,
            on_sort=sort_by,
            caption="Users",
            empty="No accounts match these filters. Clear one to see more.",
            key="users",
        )


def count_in_words(found: int, everything: int) -> str:
    if found == everything:
        return f"**{found:,}** accounts"
    return f"**{found:,}** of {everything:,} accounts"


list_of_accounts(filters)
