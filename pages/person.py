"""One person: status in the directories, every account in every integration, and their history."""

import streamlit as st

from data.access.roles import Permission
from data.records.audit_log import Event
from queries.people.dossier import find_dossier
from queries.users.facets import snapshot_times
from server.authorize import record_decision, store_connection
from widgets import status, timezone
from widgets.address import go_to_moment
from widgets.filters import choose_as_of, requested_moment, show_past_banner
from widgets.labels import escape_label
from widgets.people.dossier import (
    person_name,
    show_accounts,
    show_entries,
    show_timeline,
    status_text,
)
from widgets.report import print_header, report_button

UNKNOWN = "This link names nobody whose accounts you can see."
OPENED_KEY = "_person_opened"
"""The account whose person the session has opened last, so that a rerun is no second event."""


as_of = requested_moment()
with store_connection(Permission.USERS) as con:
    times = snapshot_times(con)
    app, link = (st.query_params.get(name, "") for name in ("integration", "account"))
    dossier = find_dossier(con, app, link, as_of)

with st.container(horizontal=True, vertical_alignment="center"):
    st.title(escape_label(person_name(dossier)) if dossier else "Person", anchor=False)
    if dossier:
        with st.popover("As of", icon=":material/history:", key="as_of"):
            choose_as_of(as_of, times, go_to_moment)
        report_button()

if not times:
    status.show_no_snapshots()
    st.stop()
if dossier is None:
    st.text(UNKNOWN)
    st.stop()

opened = (dossier.named.integration, dossier.named.account_id)
if st.session_state.get(OPENED_KEY) != opened:
    st.session_state[OPENED_KEY] = opened
    record_decision(Event.PERSON_OPENED, integration=opened[0], account=opened[1])

show_past_banner(as_of, lambda: go_to_moment(None))
moment = f"As of {timezone.format_with_zone(as_of)}" if as_of else ""
print_header(person_name(dossier), [status_text(dossier), moment])
st.text(" · ".join(filter(None, (status_text(dossier), dossier.name_and_email[1]))))
show_entries(dossier)
show_accounts(dossier, as_of)
show_timeline(dossier, as_of or times[0])
