"""One person: status in the directories, every account in every integration, and their history."""

import streamlit as st

from data.access.roles import Permission
from data.records.audit_log import Event
from queries.people.dossier import find_dossier
from queries.users.facets import snapshot_times
from server.authorize import record_decision, store_connection
from widgets import status
from widgets.address import go_to_moment, update_address
from widgets.filters import choose_as_of, choose_period, show_past_banner
from widgets.labels import escape_label
from widgets.people.address import requested_person
from widgets.people.dossier import (
    moment_text,
    person_name,
    show_accounts,
    show_entries,
    show_export,
    show_timeline,
    status_text,
)
from widgets.people.exemption import show_exemption
from widgets.report import print_header

UNKNOWN = "This link names nobody whose accounts you can see."
OPENED_KEY = "_person_opened"
"""The account whose person the session has opened last, so that a rerun is no second event."""


filters = requested_person()
with store_connection(Permission.USERS) as con:
    times = snapshot_times(con)
    dossier = find_dossier(con, filters)

with st.container(horizontal=True, vertical_alignment="center"):
    st.title(escape_label(person_name(dossier)) if dossier else "Person", anchor=False)
    if dossier:
        with st.popover("As of", icon=":material/history:", key="as_of"):
            choose_as_of(filters.as_of, times, lambda at: go_to_moment(at, during=None))
        with st.popover("Period", icon=":material/date_range:", key="period"):
            choose_period(
                filters.during,
                lambda period: update_address(during=period and period.param(), as_of=None),
            )
        show_export(filters)

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

show_past_banner(filters.as_of, lambda: go_to_moment(None))
print_header(person_name(dossier), [status_text(dossier), moment_text(filters)])
st.text(" · ".join(filter(None, (status_text(dossier), dossier.name_and_email[1]))))
show_exemption(dossier)
show_entries(dossier)
show_accounts(dossier)
show_timeline(dossier, filters.moment or times[0])
