"""The menu of saved views: names for addresses of Users, mine and everybody's."""

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import parse_qs, urlencode

import sqlalchemy as sa
import streamlit as st

from data.access.roles import LOCAL, Permission
from data.records.audit_log import Event
from data.records.decisions import InvalidInput
from data.records.views import (
    MAX_VIEW_NAME_LENGTH,
    SavedView,
    delete_view,
    read_views,
    rename_view,
    save_view,
)
from queries.filters import Filters
from server.authorize import authorize, record_action, store_connection, writable_store
from server.session import current_principal
from widgets.address import address_params, write_address
from widgets.confirmation import show_confirmation
from widgets.labels import escape_label

PASSING_PARAMS = ("page", "open")
"""Parameters that are no part of a view: where its reader is in the list."""

EVERYBODYS, MINE = "Everybody's views", "My views"
NO_VIEWS = "Filter, sort and choose columns, then save the list under a name."


def can_save_views() -> bool:
    """Whether the reader may have views."""
    return current_principal().is_allowed(Permission.SAVE_VIEWS)


def show_views_menu(filters: Filters) -> None:
    """Views to go to, each with a menu, and a form that saves this one."""
    if not can_save_views():
        return
    popover = st.popover("Views", icon=":material/bookmark:", key="views", on_change="rerun")
    if not popover.open:
        return
    with popover:
        with store_connection(Permission.USERS) as con:
            views = read_views(con, current_principal().name)
        for title, owned in ((MINE, True), (EVERYBODYS, False)):
            _show_views(title, [view for view in views if (view.owner is not None) is owned])
        if not views:
            st.text(NO_VIEWS)
        _save_form(filters)


def _show_views(title: str, views: Sequence[SavedView]) -> None:
    if not views:
        return
    st.caption(title)
    can_change = views[0].owner is not None or _can_share()
    for number, view in enumerate(views):
        key = f"{'my' if view.owner else 'shared'}_view_{number}"
        with st.container(horizontal=True, gap=None, vertical_alignment="center", key=f"row_{key}"):
            st.button(
                escape_label(view.name),
                key=key,
                type="tertiary",
                width="stretch",
                on_click=_go_to,
                args=(view,),
            )
            if can_change:
                _change_menu(view, key)


def _change_menu(view: SavedView, key: str) -> None:
    """Rename and Delete, which ask in a dialog."""
    dialogs = {"Rename": _ask_for_name, "Delete": _ask_to_delete}
    chosen = st.menu_button(
        f":small[Change {escape_label(view.name)}]",
        list(dialogs),
        key=f"{key}_menu",
        icon=":material/more_vert:",
        type="tertiary",
    )
    if chosen in dialogs:
        dialogs[chosen](view)


def _go_to(view: SavedView) -> None:
    write_address(parse_qs(view.address))


def current_address() -> str:
    """The address of this list, without the place in it."""
    params = {n: v for n, v in address_params().items() if n not in PASSING_PARAMS}
    return urlencode(params, doseq=True)


def _save_form(filters: Filters) -> None:
    principal = current_principal()
    with st.container(key="save_view", gap="small"):
        name = st.text_input("Save this list as", key="view_name", max_chars=MAX_VIEW_NAME_LENGTH)
        is_shared = principal.name == LOCAL.name  # without sign-in, everybody is one person
        if not is_shared and _can_share():
            is_shared = st.checkbox("For everybody", key="view_shared")
        if st.button("Save view", key="view_save", type="primary"):
            owner = None if is_shared else principal.name
            named = filters.integration or principal.integrations
            view = SavedView(name, owner, current_address(), named and tuple(named))
            _run(Event.VIEW_SAVED, view, partial(save_view, view=view, author=principal.name))


@st.dialog("Rename view")
def _ask_for_name(view: SavedView) -> None:
    name = st.text_input("Name", view.name, max_chars=MAX_VIEW_NAME_LENGTH, key="view_new_name")
    if st.button("Rename", type="primary", key="view_rename"):
        author = current_principal().name
        rename = partial(rename_view, view=view, name=name, author=author)
        _run(Event.VIEW_RENAMED, view, rename, name=name)


@st.dialog("Delete this view?")
def _ask_to_delete(view: SavedView) -> None:
    readers = "everybody" if view.owner is None else "you"
    st.markdown(
        f"{escape_label(view.name)} is deleted for {readers}. The accounts stay as they are."
    )
    show_confirmation("Delete", "delete_view", _delete, (view,))


def _delete(view: SavedView) -> None:
    author = current_principal().name
    _record_change(Event.VIEW_DELETED, view, partial(delete_view, view=view, author=author))


def _can_share() -> bool:
    return current_principal().is_allowed(Permission.SHARE_VIEWS)


def _run(
    event: Event, view: SavedView, change: Callable[[sa.Engine], None], **details: str
) -> None:
    """Change a view, or say why not."""
    try:
        _record_change(event, view, change, **details)
    except InvalidInput as error:
        st.warning(escape_label(str(error), 200), icon=":material/edit:")
        return
    st.rerun()


def _record_change(
    event: Event, view: SavedView, change: Callable[[sa.Engine], None], **details: str
) -> None:
    """Change a view, and record it in the audit log."""
    is_shared = view.owner is None
    permission = Permission.SHARE_VIEWS if is_shared else Permission.SAVE_VIEWS
    principal = authorize(permission)
    scope = principal.integrations
    change(writable_store(permission, scope[0] if scope else None))
    owner = "everybody" if is_shared else principal.name
    record_action(event, view=view.name, address=view.address, owner=owner, **details)
