"""How provisioning is going, and whether it gets better."""

import streamlit as st

from data.access.roles import Permission
from data.formatting import utc_now
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import status, timezone
from widgets.filters import choose_integrations
from widgets.health import tables
from widgets.health.charts import CHARTS, FAILURE_MAP, HISTORY_CHARTS, draw
from widgets.health.health_data import HealthData
from widgets.health.period import (
    no_snapshots_note,
    period_days_picker,
    period_picker,
    scope_from_address,
    snapshot_scrubber,
)
from widgets.health.tiles import tiles

st.title("Health")
zone = timezone.current_zone()

with store_connection(Permission.HEALTH) as con:
    integrations = integration_names(con)
    if not integrations:
        status.show_no_snapshots()
        st.stop()

    integration_area, period_area, zone_area = st.columns([3, 3, 2], vertical_alignment="bottom")
    with integration_area:
        chosen = choose_integrations(integrations)
    scope = scope_from_address(con, chosen, zone)
    with period_area:
        period_picker(scope)
    with zone_area:
        timezone.choose_zone()
    snapshot_scrubber(con, chosen, zone)
    if scope is None:
        no_snapshots_note(zone)
        st.stop()
    period_days_picker(scope)

    data = HealthData(con, scope, scope.as_of or utc_now())
    tiles(data)
    with st.grid(2, min_column_width=400, gap="small"):
        for chart in CHARTS:
            draw(chart, data)
        history_areas = [st.container() for _ in HISTORY_CHARTS]
        reasons_area = st.container()
    draw(FAILURE_MAP, data)
    tables.integrations_card(data)

    for chart, area in zip(HISTORY_CHARTS, history_areas, strict=True):
        with area:
            draw(chart, data)
    with reasons_area:
        tables.failure_reasons_card(data)
