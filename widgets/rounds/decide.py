"""One review round: its progress, what became of it, and the accounts to decide on."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
import streamlit as st
from sqlalchemy import Connection

from data.access.roles import Permission
from data.formatting import count_of
from data.records.audit_log import Event
from data.records.decisions import InvalidInput, required_text
from data.records.exceptions import RiskException, read_rule_settings
from data.records.rounds import (
    DECISIONS,
    MAX_DECISION_NOTE_LENGTH,
    DecisionOn,
    ItemKey,
    close_round,
    is_decider,
    is_own_account,
)
from queries.filters import Filters
from queries.review.duration import View
from queries.review.findings import FoundOn, excepted_among, findings_of, open_findings
from queries.rounds.items import PAGE_SIZE, all_items, key_of, page_of_items
from queries.rounds.lists import Round
from queries.rounds.outcomes import OUTCOMES
from queries.rounds.population import rule_in
from queries.users.detail import account_details
from server.authorize import authorize, store_connection, writable_store
from server.decisions import record_in, take_decisions
from server.session import current_principal
from widgets import account_panel, timezone
from widgets import users_table as ut
from widgets.account_row import sign_in_cell, table_columns
from widgets.address import address_params, requested_page, show_pagination, update_address
from widgets.confirmation import show_confirmation
from widgets.labels import escape_label
from widgets.people.address import person_address
from widgets.review.exceptions import save_exceptions
from widgets.signer import known_name, last_day_input, name_input, remember_name, typed_name
from widgets.state_marks import state_mark
from widgets.users_table.marks import MAX_AT_ONCE, Marked, Marks

OUTCOME_MARKS: dict[str, tuple[ut.Tone, ut.Icon]] = {
    "undecided": ("quiet", "question"),
    "unsure": ("awaiting", "question"),
    "kept": ("good", "check"),
    "changed": ("warn", "alert"),
    "open": ("ongoing", "clock"),
    "late": ("bad", "alert"),
    "came back": ("bad", "alert"),
    "done": ("good", "check"),
}
"""Outcome → how the table marks it."""

BUTTONS = tuple((name, name.capitalize(), f"{n}") for n, name in enumerate(DECISIONS, start=1))
"""Name, label and key."""
CHOICES = [(name, label) for name, label, _ in BUTTONS]
YOURS = "Your own account"
DECIDED_KEY = "_round_decisions"
"""How often the session has decided: the marks end with the decision."""

MAX_MARKED = 2_000
HOW_TO = (
    "Mark rows to decide on several at once, or with a note. Keys: 1 keeps, 2 revokes, 3 is "
    "unsure; ? shows all."
)
NOT_A_DECIDER = "Only {} may decide in this round."


# ---- the filter of the list ----------------------------------------------------------------------


def outcome_picker(counts: Mapping[str, int]) -> tuple[str, ...]:
    """A selection of outcomes in the address; none means all."""
    requested = address_params().get("show", [])
    st.session_state["show"] = [name for name in OUTCOMES if name in requested]

    def choose() -> None:
        update_address(show=st.session_state["show"], page=None)

    chosen = st.pills(
        "Show",
        [name for name in OUTCOMES if counts[name] or name in requested],
        selection_mode="multi",
        format_func=lambda name: f"{name.capitalize()} {counts[name]:,}",
        key="show",
        on_change=choose,
        label_visibility="collapsed",
    )
    return tuple(chosen)


# ---- the table -----------------------------------------------------------------------------------


@st.fragment
def show_items(round_: Round, shown: tuple[str, ...], total: int) -> None:
    """One page of items, with marks to decide on many at once."""
    authorize(Permission.REVIEW_ROUNDS)
    page = requested_page(total, PAGE_SIZE)
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        rows = page_of_items(con, round_, shown, page)
        excepted = _excepted(con, round_, rows)
    by_id = {_row_id(row): row for row in rows}

    decides = _may_decide(round_)
    if decides:
        st.caption(HOW_TO)
    elif not round_.closed_at:
        st.caption(NOT_A_DECIDER.format(escape_label(", ".join(round_.deciders), 300)))
    ut.users_table(
        [_row(round_, row, excepted.get(row.account_key)) for row in rows],
        columns=_columns(round_),
        details=lambda ids: _panels([by_id[id_] for id_ in ids]),
        marks=_marks(round_, shown, total) if decides else None,
        caption="Accounts of the round",
        empty="Nothing here. Choose another outcome above.",
        key="round_items",
        page=str(page),
    )
    show_pagination(page, total, PAGE_SIZE)


def _may_decide(round_: Round) -> bool:
    """Whether the reader can be one of those who decide; without sign-in, the store asks."""
    name = known_name()
    return not round_.closed_at and (not name or is_decider(round_.deciders, name))


def _marks(round_: Round, shown: tuple[str, ...], total: int) -> Marks:
    """A button asks for a note; a key decides at once, where the name of the person is known."""

    def act(decision: str, marked: Marked) -> None:
        if decision in DECISIONS:
            _ask(round_, decision, marked, shown)

    fields = {"round": round_.round_id, "by": known_name()}
    return Marks(
        scope=f"{round_.round_id} {' '.join(shown)} {st.session_state.get(DECIDED_KEY, 0)}",
        most=MAX_MARKED,
        actions=BUTTONS,
        on_action=act,
        keys={"to": "decide", "fields": fields, "shown_in": "decision"} if fields["by"] else None,
        on_done=st.rerun,
        total=total,
    )


def _columns(round_: Round) -> list[ut.TableColumn]:
    names = ("user_name", "username_in_app", "integration", "roles", "provisioning_state")
    columns: list[ut.TableColumn] = [
        {**column, "sortable": False} for column in table_columns(names, is_chosen=True)
    ]
    if round_.is_by_role:
        columns.insert(3, ut.column("role", "Role", sortable=False, width=1.3, place="fact"))
    if rule_in(round_.address):
        columns.append(ut.column("exception", "Exception", sortable=False, width=1.4))
    return [
        *columns,
        ut.column("last_sign_in", "Last sign-in", sortable=False, width=1.2, place="fact"),
        ut.column("decision", "Decision", sortable=False, width=2.1, place="fact"),
        ut.column("outcome", "Outcome", sortable=False, width=1.1, place="fact"),
    ]


def _row_id(row: sa.Row[Any]) -> str:
    return json.dumps(key_of(row))


def _excepted(
    con: Connection, round_: Round, rows: Sequence[sa.Row[Any]]
) -> dict[int, sa.Row[Any]]:
    """Account key → the exception of the finding that the round is about."""
    if not (rule := rule_in(round_.address)):
        return {}
    keys = [row.account_key for row in rows if row.account_key is not None]
    return excepted_among(con, View(limits=read_rule_settings(con)), rule, keys)


def _row(round_: Round, row: sa.Row[Any], exception: sa.Row[Any] | None) -> ut.TableRow:
    tone, icon = OUTCOME_MARKS[row.outcome]
    proof = f" {timezone.format_with_zone(row.proved_at)}." if row.proved_at else ""
    marked = [row.role] if round_.is_by_role else []
    drawn = ut.row(
        _row_id(row),
        row.username_in_app,
        user=ut.person(row.user_name or row.user_email or "–", row.user_email or ""),
        username_in_app=ut.identifier(row.username_in_app),
        integration=ut.text(row.integration),
        role=ut.text(row.role or "No roles"),
        roles=ut.tags(row.roles, marked=marked),
        provisioning_state=state_mark(row.provisioning_state),
        exception=_exception_cell(exception),
        last_sign_in=sign_in_cell(row.last_sign_in),
        decision=_decision_cell(round_, row),
        outcome=ut.mark(
            row.outcome.capitalize(), tone, icon, title=f"{OUTCOMES[row.outcome]}{proof}"
        )
        if row.decision
        else ut.quiet(row.outcome.capitalize()),
    )
    return {**drawn, "hint": f"{row.note}\n– {row.decided_by}"} if row.note else drawn


def _decision_cell(round_: Round, row: sa.Row[Any]) -> ut.Cell:
    """Buttons for those who may decide on it; else the decision."""
    is_own = _is_own(row)
    if _may_decide(round_) and not is_own:
        at = f"{row.decided_by}, {timezone.format_moment(row.decided_at)}" if row.decision else ""
        return ut.choice(CHOICES, row.decision, title=at)
    if not row.decision:
        return ut.quiet(YOURS if is_own else "–")
    return ut.person(row.decision.capitalize(), row.decided_by)


def _is_own(row: sa.Row[Any]) -> bool:
    return is_own_account(known_name(), row)


def _exception_cell(exception: sa.Row[Any] | None) -> ut.Cell:
    if exception is None:
        return ut.text("")
    until = f"until {exception.until}" if exception.until else "until resolved"
    return ut.mark(until, "quiet", "check", title=exception.reason)


def _panels(rows: Sequence[sa.Row[Any]]) -> dict[str, list[ut.Block]]:
    """The account as the newest snapshot shows it, and what the round says of it."""
    with store_connection(Permission.REVIEW_ROUNDS) as con:
        keys = tuple(row.account_key for row in rows if row.account_key is not None)
        details = account_details(con, Filters(), keys)
        found = findings_of(con, None, keys)
    return {
        _row_id(row): [
            ut.facts(_facts(row, found), caption="In this round"),
            *(
                account_panel.panel(account._replace(other_accounts=[]), as_of=None)
                if (account := details.get(row.account_key))
                else [ut.note("The newest snapshot does not list this account.", "quiet")]
            ),
        ]
        for row in rows
    }


def _facts(row: sa.Row[Any], found: Sequence[FoundOn]) -> list[tuple[str, ut.Cell]]:
    tone, icon = OUTCOME_MARKS[row.outcome]
    person = person_address(row.integration, row.account_id, None)
    facts = [
        ("Outcome", ut.mark(row.outcome.capitalize(), tone, icon)),
        ("Meaning", ut.text(OUTCOMES[row.outcome])),
        ("Person", ut.link("Open person", person)),
    ]
    findings = [
        f"{each.title} (exception: {each.reason})" if each.reason else each.title
        for each in found
        if each.account_key == row.account_key
    ]
    facts.append(("Findings now", ut.text("; ".join(findings)) if findings else ut.quiet("None")))
    if row.proved_at:
        facts.append(("Snapshot that proves it", ut.time(row.proved_at)))
    if row.decided_at:
        decided = f"{row.decided_by}, {timezone.format_moment(row.decided_at)}"
        facts.append(("Decided by", ut.time(row.decided_at, decided)))
    return facts


# ---- decisions -----------------------------------------------------------------------------------


@st.dialog("Decide")
def _ask(round_: Round, decision: str, marked: Marked, shown: tuple[str, ...]) -> None:
    items = _items(round_, marked, shown)
    noun = "role" if round_.is_by_role else "account"
    st.markdown(f"**{decision.capitalize()}** {count_of(len(items), noun)}.")
    if len(items) == MAX_AT_ONCE:
        st.caption(f"{MAX_AT_ONCE:,} at once; decide on the others after that.")
    note = st.text_area("Note", key="round_note", max_chars=MAX_DECISION_NOTE_LENGTH, height=80)
    until = _last_day_input() if decision == "keep" and rule_in(round_.address) else None
    author = name_input()
    if st.button(decision.capitalize(), type="primary", key="round_decide"):
        decisions = [DecisionOn(item, decision, note) for item in items]  # type: ignore[arg-type]
        save_decisions(round_, decisions, author, until)


def _last_day_input() -> date | None:
    """The last day of an exception for the finding, for those who may add one."""
    if not current_principal().is_allowed(Permission.ADD_EXCEPTIONS):
        return None
    return last_day_input(
        "Exception until (UTC; empty: none)",
        "round_until",
        "The finding is not open up to this day. The note is the reason.",
    )


def _items(round_: Round, marked: Marked, shown: tuple[str, ...]) -> list[ItemKey]:
    """The marked items, or all of the list but one's own. The store checks what they are."""
    if marked == "all":
        with store_connection(Permission.REVIEW_ROUNDS) as con:
            rows = all_items(con, round_, shown)
        return [key_of(row) for row in rows if not _is_own(row)][:MAX_AT_ONCE]
    keys = [json.loads(text) for text in marked]
    return [ItemKey(*map(str, key)) for key in keys if isinstance(key, list) and len(key) == 3]


def save_decisions(
    round_: Round, decisions: Sequence[DecisionOn], author: str, until: date | None = None
) -> None:
    """Take decisions, and draw the page again.

    With a last day, the findings of the round on these accounts get an exception.
    """
    if not decisions:
        return
    try:
        if until:
            required_text(decisions[0].note, "note, which is the reason of the exception")
        take_decisions(round_.round_id, decisions, author)
    except InvalidInput as error:
        st.warning(escape_label(str(error), 300), icon=":material/edit:")
        return
    remember_name(author)
    if until:
        _add_exceptions(round_, decisions, RiskException(decisions[0].note, author, until))
    st.session_state[DECIDED_KEY] = st.session_state.get(DECIDED_KEY, 0) + 1
    st.toast(f"Decided on {len(decisions):,}.")
    st.rerun()


def _add_exceptions(
    round_: Round, decisions: Sequence[DecisionOn], exception: RiskException
) -> None:
    """For the findings that are still open; the others need none."""
    accounts = {each.item[:2] for each in decisions}
    if rule := rule_in(round_.address):
        with store_connection(Permission.REVIEW_ROUNDS) as con:
            view, ids = View(limits=read_rule_settings(con)), [name for _, name in accounts]
            findings = open_findings(con, view, rule, ids)
        findings = [found for found in findings if found[0][1:] in accounts]
        if findings:
            save_exceptions(findings, exception)


# ---- closing -------------------------------------------------------------------------------------


def can_close(round_: Round) -> bool:
    """Whether the round is open, and the reader sees all of it."""
    return not round_.closed_at and current_principal().is_allowed_everywhere(
        Permission.REVIEW_ROUNDS
    )


@st.dialog("Close this round?")
def ask_to_close(round_: Round, undecided: int) -> None:
    """Nobody decides in it anymore; the snapshots go on to prove what becomes of it."""
    if undecided:
        st.text(f"{count_of(undecided, 'decision')} are missing. They stay undecided.")
    st.text("A closed round does not change. You can start a new one for the rest.")
    name_input()
    show_confirmation("Close round", "close_round", _close, (round_,))


def _close(round_: Round) -> str:
    author = typed_name()
    details = {"round": round_.name, "id": round_.round_id, "by": author}

    def record(con: Connection, at: datetime) -> None:
        record_in(con, Event.ROUND_CLOSED, details | {"closed_at": at.isoformat()})

    close_round(writable_store(Permission.REVIEW_ROUNDS), round_.round_id, author, record=record)
    remember_name(author)
    return "The round is closed."
