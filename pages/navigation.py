"""What surrounds every page: the name, the navigation, and a mark where the data is made up.

It lies among the pages, and not above them, as Streamlit would serve a folder `pages` beside its
script by itself, without any of this, until the first visitor has come by here.
"""

from functools import partial
from pathlib import Path

import streamlit as st

from data.access.roles import Act
from data.metrics import PAGE_SECONDS
from server.authorize import turn_away
from server.headers import INPUT
from server.session import principal
from widgets import sample_banner, status, timezone
from widgets.account_menu import account_menu
from widgets.live import rerun_when_loaded

LOOK = Path(__file__).parent.parent / "widgets" / "look"

# Before the navigation: a page's own icon would be fetched from elsewhere as the tab's.
st.set_page_config(page_icon=str(LOOK / "icon.svg"), layout="wide")

PAGES = {
    Act.HEALTH: ("health.py", "Health", ":material/monitor_heart:"),
    Act.USERS: ("users.py", "Users", ":material/group:"),
    Act.CHANGES: ("changes.py", "Changes", ":material/compare_arrows:"),
    Act.REVIEW: ("review.py", "Review", ":material/fact_check:"),
    Act.MATCH: ("matching.py", "Matching", ":material/person_search:"),
    Act.SNAPSHOTS: ("snapshots.py", "Snapshots", ":material/inventory_2:"),
    Act.AUDIT: ("audit.py", "Audit", ":material/policy:"),
}
who = principal()


def page_of(act: Act) -> st.Page:
    """The page; for those who may not see it, one that says so at the same address."""
    script, title, icon = PAGES[act]
    if who.may(act):
        return st.Page(script, title=title, icon=icon, default=act is Act.HEALTH)
    path = script.removesuffix(".py")
    closed = partial(turn_away, who, act)
    return st.Page(closed, title=title, url_path=path, visibility="hidden")


def first_page() -> None:
    """For those who do not see Health."""
    st.switch_page(next(page for act, page in pages.items() if who.may(act)))


pages = {act: page_of(act) for act in PAGES}
others = [st.Page("definitions.py", title="Definitions", icon=":material/menu_book:")]
if not who.is_anybody:
    others = [st.Page(partial(turn_away, who), title="Signed out", default=True)]
elif not who.may(Act.HEALTH):
    others.append(st.Page(first_page, title="Rollcall", default=True, visibility="hidden"))
page = st.navigation([*pages.values(), *others], position="top")
st.set_page_config(page_title=f"{page.title} · Rollcall")
st.logo(str(LOOK / "logo.svg"), size="medium")
st.html(LOOK / "page.css")
with st.container(key="input"):
    st.html(f"<script>{INPUT}</script>", unsafe_allow_javascript=True)

if not who.is_anybody:
    page.run()
elif status.announce():
    timezone.keep_in_address(page.url_path)
    account_menu(who)
    sample_banner.announce()
    rerun_when_loaded()
    with PAGE_SECONDS.labels(page.title).time():
        page.run()
