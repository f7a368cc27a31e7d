"""What surrounds every page: title, navigation, account menu and the banner over sample data.

It is in the folder of the pages. Beside a script above them, Streamlit would serve `pages/` by
itself, without any of this, until the first visit.
"""

from functools import partial
from pathlib import Path

import streamlit as st

from data.access.roles import Permission
from data.metrics import PAGE_SECONDS
from server.authorize import show_access_denied
from server.session import current_principal
from widgets import sample_banner, status, timezone
from widgets.account_menu import show_account_menu
from widgets.confirmation import show_message
from widgets.live import rerun_when_loaded
from widgets.search_button import show_search_button

LOOK = Path(__file__).parent.parent / "widgets" / "look"

# First, as the tab would else fetch the icon of a page from another server.
st.set_page_config(page_icon=str(LOOK / "icon.svg"), layout="wide")

PAGES = {
    Permission.HEALTH: ("health.py", "Health", ":material/monitor_heart:"),
    Permission.USERS: ("users.py", "Users", ":material/group:"),
    Permission.PEOPLE: ("people.py", "People", ":material/badge:"),
    Permission.CHANGES: ("changes.py", "Changes", ":material/compare_arrows:"),
    Permission.REVIEW: ("review.py", "Review", ":material/fact_check:"),
    Permission.MATCH: ("matching.py", "Matching", ":material/person_search:"),
    Permission.SNAPSHOTS: ("snapshots.py", "Snapshots", ":material/inventory_2:"),
    Permission.AUDIT: ("audit.py", "Audit", ":material/policy:"),
}
principal = current_principal()


def page_of(permission: Permission) -> st.Page:
    """The page or, without access to it, a page at the same address that says so."""
    script, title, icon = PAGES[permission]
    if principal.is_allowed(permission):
        return st.Page(script, title=title, icon=icon, default=permission is Permission.HEALTH)
    path = script.removesuffix(".py")
    access_denied = partial(show_access_denied, principal, permission)
    return st.Page(access_denied, title=title, url_path=path, visibility="hidden")


def first_page() -> None:
    """The first page without access to Health."""
    st.switch_page(next(page for name, page in pages.items() if principal.is_allowed(name)))


pages = {permission: page_of(permission) for permission in PAGES}
other_pages = [st.Page("definitions.py", title="Definitions", icon=":material/menu_book:")]
if not principal.has_any_role:
    access_denied = partial(show_access_denied, principal)
    other_pages = [st.Page(access_denied, title="Signed out", default=True)]
elif not principal.is_allowed(Permission.HEALTH):
    other_pages.append(st.Page(first_page, title="Rollcall", default=True, visibility="hidden"))
hidden = {"person.py": "Person", "rounds.py": "Review rounds", "letter.py": "Letter"}
hidden_pages = [st.Page(name, title=title, visibility="hidden") for name, title in hidden.items()]
page = st.navigation([*pages.values(), *hidden_pages, *other_pages], position="top")
st.set_page_config(page_title=f"{page.title} · Rollcall")
st.logo(str(LOOK / "logo.svg"), size="medium")

if not principal.has_any_role:
    page.run()
elif status.show_store_status():
    timezone.keep_zone_in_address(page.url_path)
    show_account_menu(principal)
    show_search_button()
    show_message()
    sample_banner.show_sample_banner()
    if page in (pages[Permission.AUDIT], *other_pages):  # the others say so themselves
        sample_banner.show_empty_banner()
    rerun_when_loaded()
    with PAGE_SECONDS.labels(page.title).time():
        page.run()
