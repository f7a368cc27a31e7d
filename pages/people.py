"""Who left and still has access: people of the directories against the accounts of every app."""

from pathlib import Path

import streamlit as st

from data.access.roles import Permission
from data.records.exceptions import read_rule_settings
from queries.people.cells import count_people, matrix_cells
from queries.scope import Scope
from queries.users.accounts import integration_names
from queries.users.facets import snapshot_times
from server.authorize import store_connection
from widgets import status, timezone
from widgets.address import go_to_moment
from widgets.filters import choose_as_of, choose_integrations, requested_moment, show_past_banner
from widgets.people import matrix
from widgets.report import print_header, report_button

CSS_FILE = Path(__file__).parent.parent / "widgets" / "look" / "people.css"


with st.container(horizontal=True, vertical_alignment="center"):
    st.title("People")
    report_button()
st.html(CSS_FILE)

with store_connection(Permission.PEOPLE) as con:
    integrations = integration_names(con)
    if not integrations:
        status.show_no_snapshots()
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom", key="people_of"):
        chosen = choose_integrations(integrations)
        scope = Scope(integration=tuple(chosen), as_of=requested_moment())
        with st.popover("As of", icon=":material/history:", key="as_of"):
            choose_as_of(scope.as_of, snapshot_times(con), go_to_moment)
    grace = read_rule_settings(con).grace_days
    people = count_people(con, scope.as_of, grace)
    cells = matrix_cells(con, scope, grace)

show_past_banner(scope.as_of, lambda: go_to_moment(None))
as_of = f"As of {timezone.format_with_zone(scope.as_of)}" if scope.as_of else ""
print_header("People", [", ".join(chosen) or "All integrations", as_of])
st.subheader(matrix.headline(cells), anchor=False)
st.text(matrix.people_sentence(people))
if people:
    st.caption(
        "Each account is in one cell. A number opens its accounts; “since” is the oldest date."
    )
    matrix.show_matrices(cells, scope)
