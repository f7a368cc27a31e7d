"""Letters: per recipient the last one, the next try, and why one does not arrive. For Owners."""

import streamlit as st

from data.access.claims import ConfigError
from data.access.roles import Permission
from data.home import current_home
from data.letters.recipients import LetterSettings, Recipient, read_letter_settings
from data.records.audit_log import Event
from data.records.outbox import WAITING, LetterStatus
from data.secrets_file import secrets_path
from queries.outbox import LetterTry, RecipientStanding, recipient_standing
from server.authorize import authorize, real_connection, record_action, writable_real_store
from server.letters import add_test_letter
from server.outage import outage_letters
from server.session import current_principal
from widgets import timezone
from widgets.confirmation import decide
from widgets.snapshots.badges import Badge

REFRESH_SECONDS = 2
"""Seconds between two updates while a test is being sent."""

WRONG = Badge("Wrong setting", "error", "red")
GIVEN_UP = Badge("Given up", "error", "red")
FAILING = Badge("Failing", "sync_problem", "orange")
PERHAPS_SENT = Badge("Perhaps sent", "help", "orange")
SENDING = Badge("Sending", "hourglass_top", "blue")
SENT = Badge("Sent", "check", "green")
NONE_YET = Badge("None sent yet", "schedule", "gray")


def show_letters() -> None:
    """One card per recipient; nothing if there are none, or for other roles."""
    if not current_principal().is_allowed_everywhere(Permission.LETTERS):
        return
    try:
        settings = read_letter_settings(secrets_path())
    except ConfigError as error:
        settings = LetterSettings(problems={"": str(error)})
    if not settings.recipients and not settings.problems:
        return
    st.subheader("Letters", anchor=False)
    for problem in settings.problems.values():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            WRONG.show()
            st.text(problem)
    was_testing = any(map(_is_testing, _read_standings(settings)))
    st.fragment(_show_list, run_every=REFRESH_SECONDS if was_testing else None)(
        settings, was_testing=was_testing
    )


def _read_standings(settings: LetterSettings) -> list[RecipientStanding]:
    outage = outage_letters.get(current_home())
    elsewhere = outage.tries if outage else {}
    names = [recipient.name for recipient in settings.recipients]
    with real_connection(Permission.LETTERS) as con:
        return [recipient_standing(con, name, elsewhere.get(name, ())) for name in names]


def _show_list(settings: LetterSettings, *, was_testing: bool) -> None:
    authorize(Permission.LETTERS)
    standings = _read_standings(settings)
    for recipient, standing in zip(settings.recipients, standings, strict=True):
        _show_card(recipient, standing)
    if any(map(_is_testing, standings)) != was_testing:
        st.rerun()


def _show_card(recipient: Recipient, standing: RecipientStanding) -> None:
    channel = recipient.channel
    with st.container(border=True, key=f"letters_{recipient.name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            _badge(standing).show()
            st.text(f"{recipient.name} · {recipient.role} · {channel.kind} to {channel.target}")
            st.text(_schedule_text(recipient, standing))
            st.button(
                "Send a test",
                icon=":material/send:",
                key=f"test_letter_{recipient.name}",
                disabled=_is_testing(standing),
                on_click=decide,
                args=(_send_test, recipient),
            )
        for line in _trouble_lines(standing):
            st.text(line)


def _send_test(recipient: Recipient) -> str:
    authorize(Permission.LETTERS)
    add_test_letter(writable_real_store(Permission.LETTERS), recipient)
    record_action(Event.LETTER_TESTED, recipient=recipient.name)
    return f"A test is on its way to {recipient.name}."


def _is_testing(standing: RecipientStanding) -> bool:
    return bool(standing.last_test and standing.last_test.status in WAITING)


def _badge(standing: RecipientStanding) -> Badge:
    waiting = standing.waiting
    if waiting and waiting.last_error:
        return FAILING
    if waiting:
        return SENDING
    if standing.undelivered:
        is_lost = standing.undelivered[0].status == LetterStatus.GIVEN_UP
        return GIVEN_UP if is_lost else PERHAPS_SENT
    return SENT if standing.last_sent_at else NONE_YET


def _schedule_text(recipient: Recipient, standing: RecipientStanding) -> str:
    last = standing.last_sent_at
    parts = [f"last sent {timezone.format_with_zone(last)}"] if last else []
    if recipient.at:
        parts.append(f"daily at {recipient.at:%H:%M} {recipient.zone}")
    if recipient.alarms:
        parts.append("alarms at once")
    return " · ".join(parts)


def _trouble_lines(standing: RecipientStanding) -> list[str]:
    waiting, test = standing.waiting, standing.last_test
    lines = [_describe(lost.status, lost) for lost in standing.undelivered[:1]]
    if waiting and waiting.last_error:
        next_try = timezone.format_with_zone(waiting.next_try_at)
        lines.append(f"{_describe('failing', waiting)} Next try {next_try}.")
    if test and test.ended_at:
        is_sent = test.status == LetterStatus.SENT
        lines.append(_describe("test sent" if is_sent else "test failed", test))
    return lines


def _describe(label: str, letter: LetterTry) -> str:
    """`Failing since 2026-11-29 06:30 UTC, 3 tries. mail.example.com refuses the connection.`"""
    when = timezone.format_with_zone(letter.ended_at or letter.queued_at)
    since = "" if letter.ended_at else "since "
    tries = f", {letter.tries} tries" if letter.tries > 1 else ""
    return f"{label.capitalize()} {since}{when}{tries}. {letter.last_error}".rstrip()
