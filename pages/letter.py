"""What a letter says, as its reader may see it: of a period, or what a letter had no room for."""

import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from queries.letter.letter import MAX_LINES
from queries.letter.write import read_items
from queries.period import DAY
from queries.scope import moment_param
from queries.users.accounts import integration_names
from server.authorize import store_connection
from server.session import current_principal
from widgets import status, timezone
from widgets.address import address_params, group_params
from widgets.labels import escape_label

params = address_params()
until = moment_param(params, "to") or utc_now()
since = moment_param(params, "from") or until - DAY
with store_connection(Permission.PEOPLE) as con:  # which every role has
    is_empty = not integration_names(con)
    items = read_items(con, current_principal(), since, until, params.get("item", ()))

st.title("Letter")
if is_empty:
    status.show_no_snapshots()
    st.stop()
st.caption(f"{timezone.format_with_zone(since)} → {timezone.format_with_zone(until)}")
if not items:
    st.text("Nothing happened.")
for number, item in enumerate(items):
    with st.container(horizontal=True, gap=None, vertical_alignment="center", key=f"item_{number}"):
        label = escape_label(item.text, 200)
        if item.link:
            query = timezone.with_zone(group_params(item.link.params))
            st.page_link(f"{item.link.page}.py", label=label, query_params=query)
        else:
            st.markdown(label, width="content")
        st.text(item.detail, width="content")
if len(items) > MAX_LINES:
    st.caption(f"A letter has room for {MAX_LINES} of these.")
