"""Starts a review round from a list of Users, or from what a rule finds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import NamedTuple, NoReturn
from urllib.parse import urlencode

import streamlit as st
from sqlalchemy import Connection

from data.access.roles import Permission
from data.formatting import count_of, utc_now
from data.records.audit_log import Event
from data.records.decisions import InvalidInput
from data.records.exceptions import read_rule_settings
from data.records.rounds import (
    DEFAULT_LATE_DAYS,
    MAX_ROUND_NAME_LENGTH,
    NewRound,
    start_round,
)
from queries.evidence.rounds import start_hash
from queries.filter_sentence import filter_sentence
from queries.filters import Filters
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULE_BY_NAME, Rule
from queries.rounds.items import TO_DECIDE, all_items
from queries.rounds.lists import Round, files_on_hold, find_round
from queries.rounds.population import (
    ALL_ACCOUNTS,
    Freeze,
    freeze_accounts,
    freeze_findings,
    freeze_list,
    rule_in,
)
from queries.scope import Scope
from queries.users.accounts import count_accounts, integration_names
from server.authorize import (
    authorize,
    is_sample_incomplete,
    queued_files,
    store_connection,
    writable_store,
)
from server.decisions import record_in
from server.session import current_principal
from widgets import timezone
from widgets.address import address_params, go_to, group_params, write_address
from widgets.labels import escape_label
from widgets.signer import name_input, remember_name

EXPLANATION = (
    "The round freezes this list. People then decide on each account, and the snapshots that "
    "follow prove what became of it. Rollcall revokes nothing itself."
)
STILL_LOADING = "Snapshots are being loaded, and this list will change. Wait until that is done."
ON_HOLD = "What is on hold is not in this list. Decide on it on Snapshots first."
NEW = "new"
"""The parameter of the address that asks for the form."""

FORM_WIDTH = 640  # pixels
ACCOUNTS, ROLES = "Accounts", "Each role of each account"

WEEKS_TO_DECIDE = 2


def can_start_rounds() -> bool:
    """Whether the reader may take part in review rounds, and so start one."""
    return current_principal().is_allowed(Permission.REVIEW_ROUNDS)


def rounds_link() -> None:
    """The way from Review to the rounds."""
    if can_start_rounds():
        st.page_link("rounds.py", label="Review rounds", icon=":material/checklist:")


def start_address(filters: Filters) -> str:
    """The form for a round over a filtered list."""
    return f"rounds?{timezone.query_with_zone([*filters.params(), (NEW, 'yes')])}"


def go_to_start(view: View, rule: Rule) -> NoReturn:
    """Go to the form for a round over the open findings of a rule."""
    params = [*view.params(), ("rule", rule.name), (NEW, "yes")]
    go_to("rounds.py", timezone.with_zone(group_params(params)))


def has_rest(round_: Round, counts: Mapping[str, int]) -> bool:
    """Whether a closed round has left something that nobody has decided for sure."""
    return bool(round_.closed_at and sum(counts[name] for name in TO_DECIDE))


def go_to_rest(round_: Round) -> NoReturn:
    """Go to the form for a round over what nobody has decided for sure in a closed one."""
    go_to("rounds.py", timezone.with_zone({"round": [round_.round_id], NEW: ["yes"]}))


class _Candidate(NamedTuple):
    """What the address asks to freeze."""

    title: str
    accounts: int
    scope: Scope
    freeze: Callable[..., Freeze]  # (is_by_role=) → what it freezes


def show_form() -> None:
    """The form that freezes the list in the address, and starts a round."""
    candidate = _candidate()
    st.title("Start review round", anchor=False)
    with st.container(key="round_form", width=FORM_WIDTH):
        _show_fields(candidate)


def _candidate() -> _Candidate:
    """A restricted reader freezes what it sees."""
    params, visible = address_params(), tuple(current_principal().integrations or ())
    rule = RULE_BY_NAME.get(next(iter(params.get("rule", ())), ""))
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        if round_ := find_round(con, next(iter(params.get("round", ())), "")):
            return _rest(con, round_)
        if rule:
            limits, found = read_rule_settings(con), Scope.from_params(params)
            named = found.integration or visible
            view = View(integration=named, as_of=found.as_of, limits=limits)
            freeze = partial(freeze_findings, view, rule)
            return _Candidate(rule.title, count_findings(con, view, rule).open, view, freeze)
        filters = Filters.from_params(params).with_period(None)
        filters = replace(filters, integration=filters.integration or visible)
        title = filter_sentence(filters) or ALL_ACCOUNTS
        freeze = partial(freeze_list, filters)
        return _Candidate(title, count_accounts(con, filters), filters, freeze)


def _rest(con: Connection, round_: Round) -> _Candidate:
    """The accounts of a round on which nobody has decided, or not for sure."""
    accounts: dict[str, list[str]] = {}
    for row in all_items(con, round_, TO_DECIDE):
        accounts.setdefault(row.integration, []).append(row.account_id)
    accounts = {name: [*dict.fromkeys(ids)] for name, ids in accounts.items()}
    rule = rule_in(round_.address)  # its findings can be excepted here, too
    params = [
        ("round", round_.round_id),
        *(("show", name) for name in TO_DECIDE),
        *([("rule", rule.name)] if rule else []),
    ]
    title, address = f"Rest of {round_.name}", urlencode(params)
    freeze = partial(freeze_accounts, accounts, title, address)
    count = sum(map(len, accounts.values()))
    return _Candidate(title, count, Scope(integration=tuple(accounts)), freeze)


def _show_fields(candidate: _Candidate) -> None:
    title, count, scope, freeze = candidate
    as_of, integrations = scope.as_of, scope.integration
    moment = f"as of {timezone.format_with_zone(as_of)}" if as_of else "now"
    st.markdown(f"**{count_of(count, 'account')}** {moment}: {escape_label(title, 300)}")
    st.text(EXPLANATION)
    _show_warnings(integrations)
    name = st.text_input(
        "Name", _default_name(title), max_chars=MAX_ROUND_NAME_LENGTH, key="round_name"
    )
    subject = st.radio("People decide on", (ACCOUNTS, ROLES), key="round_subject", horizontal=True)
    left, right = st.columns(2)
    today = utc_now().date()
    last_day = left.date_input(
        "Last day to decide (UTC)",
        value=today + timedelta(weeks=WEEKS_TO_DECIDE),
        min_value=today,
        format="YYYY-MM-DD",
        key="round_last_day",
    )
    late_days = right.number_input(
        "Revoked access is late after (days)", 0, 365, DEFAULT_LATE_DAYS, key="round_late_days"
    )
    deciders = st.text_input(
        "Who decides (emails with commas between them; empty: everybody who may)",
        key="round_deciders",
        max_chars=1_000,
    )
    author = name_input()
    if not st.button("Start", type="primary", key="round_start"):
        return
    names = tuple(dict.fromkeys(filter(None, (n.strip() for n in deciders.split(",")))))
    new_round = NewRound(
        name,
        last_day if isinstance(last_day, date) else today,
        subject == ROLES,
        int(late_days),
        names,
    )
    _start(new_round, freeze(is_by_role=new_round.is_by_role), integrations, author)


def _default_name(title: str) -> str:
    month, title = f", {utc_now():%B %Y}", title.removeprefix("in ")
    return f"{title[: MAX_ROUND_NAME_LENGTH - len(month)]}{month}"


def _show_warnings(integrations: Sequence[str]) -> None:
    queued = (path.parent.name for path in queued_files(Permission.REVIEW_ROUNDS))
    waiting = Counter(name for name in queued if not integrations or name in integrations)
    if waiting or is_sample_incomplete():
        st.warning(_about_files(waiting, "waiting", STILL_LOADING), icon=":material/hourglass:")
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        held = files_on_hold(con, integrations)
    if held:
        st.warning(_about_files(held, "on hold", ON_HOLD), icon=":material/front_hand:")
    if (waiting or held) and current_principal().is_allowed(Permission.SNAPSHOTS):
        st.page_link("snapshots.py", label="Snapshots", icon=":material/inventory_2:")


def _about_files(files: Mapping[str, int], are: str, advice: str) -> str:
    """`2 files on hold: figma, slack. …`, by integration; only the advice if there are none."""
    names = escape_label(", ".join(files), 200)
    return f"{count_of(sum(files.values()), 'file')} {are}: {names}. {advice}" if names else advice


def _start(new_round: NewRound, freeze: Freeze, integrations: Sequence[str], author: str) -> None:
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        names = list(integrations) or integration_names(con)
    for name in names:
        authorize(Permission.REVIEW_ROUNDS, name)
    store = writable_store(Permission.REVIEW_ROUNDS, names[0])

    def record(con: Connection, round_id: str) -> None:
        details = {
            "round": new_round.name,
            "id": round_id,
            "last_day": f"{new_round.last_day}",
            "deciders": list(new_round.deciders),
            "by": author,
            "sha256": start_hash(con, round_id),
        }
        record_in(con, Event.ROUND_STARTED, details)

    try:
        round_id = start_round(store, new_round, freeze, author, record=record)
    except InvalidInput as error:
        st.warning(escape_label(str(error), 300), icon=":material/edit:")
        return
    remember_name(author)
    write_address(timezone.with_zone({"round": [round_id]}))
    st.rerun()
