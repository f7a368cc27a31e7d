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
from widgets.address import address_params
from widgets.letter import show_items

params = address_params()
until = moment_param(params, "to") or utc_now()
since = moment_param(params, "from") or until - DAY

st.title("Letter")
st.caption(f"{timezone.format_with_zone(since)} → {timezone.format_with_zone(until)}")
with store_connection(Permission.PEOPLE) as con:  # which every role has
    is_empty = not integration_names(con)
    items = read_items(con, current_principal(), since, until, params.get("item", ()))

if is_empty:
    status.show_no_snapshots()
    st.stop()
if not items:
    st.text("Nothing happened.")
    st.stop()
show_items(items)
if len(items) > MAX_LINES:
    st.caption(f"A letter has room for {MAX_LINES} of these.")
