"""The parts of the person page: head, directories, accounts and time axis."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from data.access.roles import Permission
from data.formatting import count_of
from queries.account_links import account_link
from queries.export.listing import ListRequest
from queries.filters import MAX_SEARCH_LENGTH, Filters
from queries.people.accounts import PERSON_TEXTS
from queries.people.dossier import Dossier, Entry, PersonAccount
from queries.review.findings import FoundOn, findings_of
from server.authorize import store_connection
from server.session import current_principal
from widgets import timezone
from widgets import users_table as ut
from widgets.account_row import SIGN_INS_ARE_NOW, Account, table_columns, table_row
from widgets.figure_theme import PLOTLY_CONFIG
from widgets.people.timeline import stretch_text, timeline_figure
from widgets.report import report_button
from widgets.users.export_menu import show_files

NOBODY_KNOWN = "No directory lists this person. These accounts share an upstream user ID or email."
NO_ACCOUNTS = "No accounts at this moment."
FILES = "All accounts of this person. Excel and the evidence pack also have the history."

ACCOUNT_COLUMNS = (
    *("integration", "username_in_app", "provisioning_state", "active_in_app"),
    *("roles", "last_sign_in"),
)
ENTRY_COLUMNS = [
    ut.column("directory", "Directory", sortable=False),
    ut.column("person", "Person", sortable=False, width=1.8),
    ut.column("account_id", "Account ID", sortable=False, width=1.3),
    ut.column("upstream", "Upstream user ID", sortable=False, width=1.1),
    ut.column("status", "Status", sortable=False, width=1.2),
    ut.column("active", "Active", sortable=False, width=2.2),
]


FINDING_COLUMNS = [
    ut.column("rule", "Rule", sortable=False, width=1.6),
    ut.column("account", "Account", sortable=False, width=1.8),
    ut.column("since", "Found since", sortable=False, width=1.1),
    ut.column("detail", "Details", sortable=False, width=2.2),
    ut.column("exception", "Exception", sortable=False, width=1.5),
]


def person_name(dossier: Dossier) -> str:
    """Name, email or username: the first that is known."""
    usernames = [owned.account.username_in_app for owned in dossier.accounts]
    return next(filter(None, (*dossier.name_and_email, *usernames)), dossier.named.account_id)


def status_text(dossier: Dossier) -> str:
    """`Left since 3 Mar 2026`."""
    if not dossier.status:
        return NOBODY_KNOWN
    since = timezone.format_day(dossier.status.since)
    return f"{PERSON_TEXTS[dossier.status.status]} since {since}"


def show_entries(dossier: Dossier) -> None:
    """What each directory says, with the earlier stretches of a person who came back."""
    if dossier.entries:
        ut.users_table(
            [_entry_row(entry) for entry in dossier.entries],
            columns=ENTRY_COLUMNS,
            caption="Directories",
            empty="",
            key="directories",
        )


def _entry_row(entry: Entry) -> ut.TableRow:
    row = entry.listed
    active = [stretch_text(s.start, s.end) for s in entry.active_stretches]
    return ut.row(
        str(row.account_key),
        row.account_id,
        directory=ut.text(row.integration),
        person=ut.person(row.user_name or row.user_email or "–", row.user_email or ""),
        account_id=ut.identifier(row.account_id, is_code=True),
        upstream=ut.identifier(row.upstream_user_id, is_code=True),
        status=ut.text(f"{PERSON_TEXTS[row.status]} since {timezone.format_day(row.since)}"),
        active=ut.text("; ".join(active)),
    )


def moment_text(filters: Filters) -> str:
    """The moment or the period of the page; empty for now."""
    if filters.during:
        return f"At any time {filters.during.text()}"
    return f"As of {timezone.format_with_zone(filters.as_of)}" if filters.as_of else ""


def show_export(filters: Filters) -> None:
    """The person's accounts and their history as files, the list on Users, and paper."""
    with st.popover("Export", icon=":material/download:", key="export"):
        if current_principal().is_allowed(Permission.DOWNLOAD):
            st.caption(FILES)
            show_files(ListRequest(filters))
        query = timezone.query_with_zone(filters.params())
        st.html(
            f'<nav class="menu" aria-label="Users"><a href="users?{escape(query)}" target="_self">'
            "<strong>Open in Users</strong> <span>The same accounts as a list.</span></a></nav>"
        )
        report_button()


def show_accounts(dossier: Dossier) -> None:
    """Every account in every integration; the username opens it on Users."""
    filters = dossier.filters
    names = (*ACCOUNT_COLUMNS, *(("stretches",) if filters.during else ()))
    period = f" {filters.during.text()}" if filters.during else ""
    st.subheader(f"{count_of(len(dossier.accounts), 'account')}{period}", anchor=False)
    columns: list[ut.TableColumn] = [
        {**column, "sortable": False, "place": None} for column in table_columns(names)
    ]
    columns.append(ut.column("known_by", "Known by", sortable=False, width=2.3))
    ut.users_table(
        [_account_row(owned, filters, names) for owned in dossier.accounts],
        columns=columns,
        caption="Accounts",
        empty=NO_ACCOUNTS,
        key="accounts",
    )
    if filters.moment:
        st.caption(SIGN_INS_ARE_NOW)


def _account_row(owned: PersonAccount, filters: Filters, names: Sequence[str]) -> ut.TableRow:
    account = owned.account
    alone = Filters(
        integration=(account.integration,),
        q=account.username_in_app[:MAX_SEARCH_LENGTH],
        as_of=filters.as_of,
        during=filters.during,
    )
    link = ("open", account_link(account.integration, account.account_id))
    query = timezone.query_with_zone([*alone.params(), link])
    cells = table_row(Account(account, stretches=owned.in_period), names)["cells"]
    username = ut.link(account.username_in_app, f"users?{query}")
    known_by = ut.text(owned.known_by)
    return ut.row(
        str(account.account_key),
        account.username_in_app,
        **{**cells, "username_in_app": username, "known_by": known_by},
    )


def show_timeline(dossier: Dossier, until: datetime) -> None:
    """The person's active times, the states of all accounts, roles and findings on one axis.

    The findings take longest, so they join what is drawn already.
    """
    st.subheader("Over time", anchor=False)
    place = st.empty()
    _draw_timeline(place, dossier, [], until)
    if dossier.filters.during or not current_principal().is_allowed(Permission.REVIEW):
        return
    keys = tuple(owned.account.account_key for owned in dossier.accounts)
    with store_connection(Permission.REVIEW) as con:
        found = findings_of(con, dossier.filters.as_of, keys)
    if found:
        _draw_timeline(place, dossier, found, until)
        _show_findings(dossier, found)


def _draw_timeline(
    place: DeltaGenerator, dossier: Dossier, found: Sequence[FoundOn], until: datetime
) -> None:
    figure = timeline_figure(dossier, found, until)
    place.plotly_chart(
        figure,
        key=f"timeline_{len(found)}",
        height=figure.layout.height,
        theme="streamlit",
        config=PLOTLY_CONFIG,
        alt=f"Over time. {status_text(dossier)}. The state of each account by day.",
    )


def _show_findings(dossier: Dossier, found: Sequence[FoundOn]) -> None:
    """The findings in words, as the marks on the axis are small."""
    names = {
        owned.account.account_key: f"{owned.account.integration} · {owned.account.username_in_app}"
        for owned in dossier.accounts
    }
    st.subheader(count_of(len(found), "finding"), anchor=False)
    ut.users_table(
        [
            ut.row(
                f"{finding.rule} {finding.account_key}",
                finding.title,
                rule=ut.text(finding.title),
                account=ut.text(names[finding.account_key]),
                since=ut.time(finding.since),
                detail=ut.text(finding.detail),
                exception=ut.text(finding.reason),
            )
            for finding in found
        ],
        columns=FINDING_COLUMNS,
        caption="Findings",
        empty="",
        key="person_findings",
    )
