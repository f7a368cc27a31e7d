"""What surrounds every page: the name, the navigation, and a mark where the data is made up.

It lies among the pages, and not above them, as Streamlit would serve a folder `pages` beside its
script by itself, without any of this, until the first visitor has come by here.
"""

from pathlib import Path

import streamlit as st

from widgets import empty, sample
from widgets.live import rerun_when_loaded

LOOK = Path(__file__).parent.parent / "widgets" / "look"

# Before the navigation: a page's own icon would be fetched from elsewhere as the tab's.
st.set_page_config(page_icon=str(LOOK / "icon.svg"), layout="wide")

pages = [
    st.Page("health.py", title="Health", icon=":material/monitor_heart:", default=True),
    st.Page("users.py", title="Users", icon=":material/group:"),
    st.Page("changes.py", title="Changes", icon=":material/compare_arrows:"),
    st.Page("review.py", title="Review", icon=":material/fact_check:"),
    st.Page("snapshots.py", title="Snapshots", icon=":material/inventory_2:"),
    st.Page("definitions.py", title="Definitions", icon=":material/menu_book:"),
]
page = st.navigation(pages, position="top")
st.set_page_config(page_title=f"{page.title} · Rollcall")
st.logo(str(LOOK / "logo.svg"), size="medium")
st.html(LOOK / "page.css")

if empty.announce():
    sample.announce()
    rerun_when_loaded()
    page.run()
