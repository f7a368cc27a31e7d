"""The parts of the person page: head, directories, accounts and time axis."""

from datetime import datetime

import streamlit as st

from data.formatting import count_of
from queries.account_links import account_link
from queries.filters import MAX_SEARCH_LENGTH, Filters
from queries.people.accounts import PERSON_TEXTS
from queries.people.dossier import Dossier, Entry, PersonAccount
from widgets import timezone
from widgets import users_table as ut
from widgets.account_row import SIGN_INS_ARE_NOW, Account, table_columns, table_row
from widgets.figure_theme import PLOTLY_CONFIG
from widgets.people.timeline import stretch_text, timeline_figure

NOBODY_KNOWN = "No directory lists this person: accounts with one upstream user ID or email."
NO_ACCOUNTS = "No accounts at this moment."

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


def show_accounts(dossier: Dossier, as_of: datetime | None) -> None:
    """Every account in every integration; the username opens it on Users."""
    st.subheader(count_of(len(dossier.accounts), "account"), anchor=False)
    columns: list[ut.TableColumn] = [
        {**column, "sortable": False, "place": None} for column in table_columns(ACCOUNT_COLUMNS)
    ]
    columns.append(ut.column("known_by", "Known by", sortable=False, width=2.3))
    ut.users_table(
        [_account_row(owned, as_of) for owned in dossier.accounts],
        columns=columns,
        caption="Accounts",
        empty=NO_ACCOUNTS,
        key="accounts",
    )
    if as_of:
        st.caption(SIGN_INS_ARE_NOW)


def _account_row(owned: PersonAccount, as_of: datetime | None) -> ut.TableRow:
    account = owned.account
    filters = Filters(
        integration=(account.integration,),
        q=account.username_in_app[:MAX_SEARCH_LENGTH],
        as_of=as_of,
    )
    link = ("open", account_link(account.integration, account.account_id))
    query = timezone.query_with_zone([*filters.params(), link])
    cells = table_row(Account(account), ACCOUNT_COLUMNS)["cells"]
    username = ut.link(account.username_in_app, f"users?{query}")
    known_by = ut.text(owned.known_by)
    return ut.row(
        str(account.account_key),
        account.username_in_app,
        **{**cells, "username_in_app": username, "known_by": known_by},
    )


def show_timeline(dossier: Dossier, until: datetime) -> None:
    """The person's active times and the states of all accounts on one axis."""
    st.subheader("Over time", anchor=False)
    figure = timeline_figure(dossier, until)
    st.plotly_chart(
        figure,
        key="timeline",
        height=figure.layout.height,
        theme="streamlit",
        config=PLOTLY_CONFIG,
        alt=f"Over time. {status_text(dossier)}. The state of each account by day.",
    )
