"""What the marked rows of Users can be used for: copy, download, note."""

from dataclasses import replace
from urllib.parse import urlencode

from data.access.roles import Permission
from queries.account_links import MAX_MARKED
from queries.export.formats import FORMATS
from queries.export.listing import ListRequest
from queries.filters import Filters
from queries.users.accounts import AccountPage, matching_account_keys
from server.authorize import store_connection
from server.session import current_principal
from widgets.account_row import COPIED_TEXTS
from widgets.users.columns import Columns
from widgets.users.notes import can_write_notes, note_dialog
from widgets.users_table.marks import MAX_AT_ONCE, Marked, Marks

FILES = ("csv", "xlsx")
"""Formats of the menu Export that the marked rows have, too."""


def account_marks(page: AccountPage, filters: Filters, sort: str, columns: Columns) -> Marks:
    """The bar of the marked rows, as far as the reader may use them."""
    can_download = current_principal().is_allowed(Permission.DOWNLOAD)
    can_note = filters.moment is None and can_write_notes()

    def act(_: str, marked: Marked) -> None:
        note_dialog(_account_keys(filters, marked))

    return Marks(
        scope=urlencode(filters.params()),
        most=MAX_MARKED,
        actions=[("note", "Note")] if can_note else [],
        on_action=act,
        total=page.known_count,
        copies=[(label, name) for name, label in COPIED_TEXTS.items()],
        list=_address("json", ListRequest(filters, sort)) if can_download else "",
        files=_files(filters, sort, columns) if can_download else (),
    )


def _files(filters: Filters, sort: str, columns: Columns) -> list[tuple[str, str, str]]:
    """A marked row stays one when a load changes what it was filtered by; a period has to apply."""
    whole = ListRequest(filters, sort, columns.chosen)
    some = whole if filters.during else replace(whole, filters=filters.cleared())
    return [(FORMATS[name].label, _address(name, whole), _address(name, some)) for name in FILES]


def _address(extension: str, request: ListRequest) -> str:
    return f"export/users.{extension}?{urlencode(request.params())}"


def _account_keys(filters: Filters, marked: Marked) -> tuple[int, ...]:
    if marked != "all":
        return tuple(int(id) for id in marked if id.isascii() and id.isdecimal())
    with store_connection(Permission.USERS) as con:
        return matching_account_keys(con, filters, MAX_AT_ONCE)
