"""How provisioning is going, and whether it gets better."""

import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import status, timezone
from widgets.filters import choose_integrations
from widgets.health import tables
from widgets.health.charts import FAILURE_MAP, draw, draw_charts
from widgets.health.health_data import HealthData
from widgets.health.objectives import objectives_card
from widgets.health.period import (
    no_snapshots_note,
    period_days_picker,
    period_picker,
    scope_facts,
    scope_from_address,
    snapshot_scrubber,
)
from widgets.health.tiles import tiles
from widgets.health.verdict import show_verdict
from widgets.report import print_header, report_button

zone = timezone.current_zone()

with store_connection(Permission.HEALTH) as con:
    integrations = integration_names(con)
    if not integrations:
        st.title("Health")
        status.show_no_snapshots()
        st.stop()

    title_area, integration_area, period_area, zone_area, report_area = st.columns(
        [1.2, 3, 4, 2.2, 1.3], vertical_alignment="center"
    )
    title_area.title("Health")
    with integration_area:
        chosen = choose_integrations(integrations)
    scope = scope_from_address(con, chosen, zone)
    with period_area:
        period_picker(scope)
    with zone_area:
        timezone.choose_zone(has_label=False)
    with report_area:
        report_button()
    snapshot_scrubber(con, chosen, zone)
    if scope is None:
        no_snapshots_note(zone)
        st.stop()
    period_days_picker(scope)

    data = HealthData(con, scope, scope.as_of or utc_now())
    print_header("Health", scope_facts(data))
    show_rest_of_verdict = show_verdict(data)
    tiles(data)
    with st.grid(2 if data.has_trends else 1, min_column_width=400, gap="small", key="charts"):
        draw_other_charts = draw_charts(data)
    tables.integrations_card(data)
    objectives_area = st.container(key="objectives_area")
    with st.grid(2, min_column_width=400, gap="small", key="tables"):
        tables.states_card(data)
        reasons_area = st.container()
    if data.has_trends:
        draw(FAILURE_MAP, data)

    # These read the history, which can take a moment after a load.
    with objectives_area:
        objectives_card(data)
    with reasons_area:
        tables.failure_reasons_card(data)
    show_rest_of_verdict()
    draw_other_charts()
