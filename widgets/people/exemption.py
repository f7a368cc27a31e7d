"""The exemption of a person from the rules about people: to see, to give and to withdraw."""

from collections.abc import Callable

import streamlit as st

from data.access.roles import Permission
from data.records.audit_log import Event
from data.records.decisions import EXCEPTIONS, InvalidInput
from data.records.exceptions import (
    MAX_REASON_LENGTH,
    PERSON_RULE,
    FindingKey,
    RiskException,
    exempt_person,
)
from queries.people.dossier import Dossier
from queries.people.exemptions import find_exemption
from server.authorize import record_decision, store_connection, writable_store
from server.session import current_principal
from widgets.labels import escape_label
from widgets.signer import last_day_input, name_input, remember_name

HELP = (
    "Until the last day, findings of the rules about people on this person’s accounts have an "
    "exception. They stay in the evidence, with your reason."
)


def show_exemption(dossier: Dossier) -> None:
    """Of a person in a directory: the exemption in force, or the form to give one."""
    if dossier.person_key is None or not dossier.entries:
        return
    with store_connection(Permission.USERS) as con:
        given = find_exemption(con, dossier.person_key, dossier.filters.moment)
    if given:
        facts = [f"Exempt up to {given.until}", given.reason, given.accepted_by]
        st.text(" · ".join(filter(None, facts)))
    may_change = current_principal().is_allowed_everywhere(Permission.ADD_EXCEPTIONS)
    if dossier.filters.moment or not may_change:
        return
    if given:
        _withdraw_form(FindingKey(PERSON_RULE, given.integration, given.account_id))
    else:
        listed = dossier.entries[0].listed
        _exempt_form(FindingKey(PERSON_RULE, listed.integration, listed.account_id))


def _exempt_form(person: FindingKey) -> None:
    with st.popover("Exempt", icon=":material/verified_user:", key="exempt"):
        st.caption(HELP)
        reason = st.text_area("Reason", key="exempt_reason", max_chars=MAX_REASON_LENGTH, height=80)
        name = name_input()
        last_day = last_day_input("Last day (UTC)", "exempt_until")
        if st.button("Exempt this person", type="primary", key="exempt_save"):
            _change(lambda: _exempt(person, RiskException(reason, name, last_day)))


def _withdraw_form(person: FindingKey) -> None:
    with st.popover("Withdraw exemption", icon=":material/undo:", key="exempt_end"):
        name = name_input()
        if st.button("Withdraw", key="exempt_withdraw"):
            _change(lambda: _withdraw(person, name))


def _exempt(person: FindingKey, exemption: RiskException) -> None:
    store = writable_store(Permission.ADD_EXCEPTIONS)
    exempt_person(store, person.integration, person.account_id, exemption)
    remember_name(exemption.accepted_by)
    details = {"reason": exemption.reason, "until": f"{exemption.until}"}
    record_decision(Event.PERSON_EXEMPTED, **_named(person), **details)


def _withdraw(person: FindingKey, name: str) -> None:
    EXCEPTIONS.withdraw(writable_store(Permission.ADD_EXCEPTIONS), [person._asdict()], name)
    remember_name(name)
    record_decision(Event.EXEMPTION_WITHDRAWN, **_named(person))


def _named(person: FindingKey) -> dict[str, str]:
    return {"integration": person.integration, "account": person.account_id}


def _change(act: Callable[[], None]) -> None:
    try:
        act()
    except InvalidInput as error:
        st.warning(escape_label(str(error)), icon=":material/edit:")
    else:
        st.rerun()
