"""Sends the letters: what is due is written each half minute, and what waits is tried.

One thread writes, and each try has a thread of its own. So a channel that is slow or dead holds up
no other, and neither a load nor a page waits for any of them.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from html import escape
from threading import Event as Signal
from threading import Thread
from traceback import format_tb

import sqlalchemy as sa

from data.access.claims import ConfigError, is_pseudonymized
from data.access.roles import Principal
from data.formatting import iso_z, utc_now
from data.home import Home
from data.letters.message import Message, NotDelivered
from data.letters.recipients import Recipient, read_letter_settings
from data.records.audit_log import Event, record_event
from data.records.outbox import (
    CLAIM,
    ClaimedLetter,
    LetterStatus,
    NewLetter,
    add_letter,
    claim_letters,
    is_waiting,
    read_progress,
    record_try,
    replace_progress,
)
from data.secrets_file import secrets_path
from data.service.active_store import active_store, store_status
from data.store.engine import open_store, restricted_engine
from data.store.errors import DiskFull, StoreError
from queries.letter.letter import MAX_LINES, Item, Letter
from queries.letter.render import render
from queries.letter.schedule import Schedule, Sent
from queries.letter.write import due_letter, read_items
from queries.outbox import LetterTry, recipient_standing
from queries.period import to_local
from server.outage import Outage
from server.session import auth_config, current_role_mapping

log = logging.getLogger("rollcall")

POLL_SECONDS = 30.0
SHUTDOWN_TIMEOUT = 5.0
"""Seconds for a try to end. One that is killed is accounted for when its claim runs out."""

RECORD_RETRY_SECONDS = 5.0
"""Pause between two attempts to record an outcome, while the store is away."""

wake_up = Signal()
"""Set it when a letter was added, so that it is sent at once."""


@contextmanager
def run_letters(home: Home) -> Iterator[None]:
    """Send letters for the length of the block."""
    sender = LetterSender(home)
    thread = Thread(target=sender.run, name="letters", daemon=True)
    thread.start()
    try:
        yield
    finally:
        sender.stop.set()
        wake_up.set()
        thread.join(SHUTDOWN_TIMEOUT)
        for attempt in list(sender.attempts.values()):
            attempt.join(SHUTDOWN_TIMEOUT)


@dataclass
class LetterSender:
    """Writes and sends the letters of one home."""

    home: Home
    stop: Signal = field(default_factory=Signal)
    attempts: dict[str, Thread] = field(default_factory=dict)
    """Recipient → the try that runs. There is one at a time, so that none pile up."""
    problems: Mapping[str, str] = field(default_factory=dict)
    outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        self.outage = Outage(self.home)

    def run(self) -> None:
        """Until `stop` is set."""
        while not self.stop.is_set():
            wake_up.clear()
            try:
                self.run_once(utc_now())
            except StoreError as error:  # the keeper reports it
                log.debug("No letters: %s", error)
            except Exception:
                log.exception("The letters failed.")
            wake_up.wait(POLL_SECONDS)

    def run_once(self, now: datetime) -> None:
        """Write what is due and begin to send what waits. `now`: naive UTC. Raises StoreError."""
        recipients, status = self._read_recipients(), store_status(self.home)
        outage = status.outage
        if status.is_open and not outage:
            outage = self._send_from_store(recipients, now)
        elif not outage:
            self.outage.pause()
        if outage:
            can_read, everybody = status.is_open, recipients.values()
            if outbox := self.outage.report(outage, everybody, now, can_read=can_read):
                self._send_due(outbox, recipients, now)

    def _send_from_store(self, recipients: Mapping[str, Recipient], now: datetime) -> str:
        """Returns why the store cannot be written; empty where it can. Raises StoreError."""
        engine = open_store(self.home.database_url)
        try:
            self._write_due(engine, recipients, now)
            self._send_due(engine, recipients, now)
        except DiskFull as error:
            return error.summary
        for letter in self.outage.end(engine, now):
            record_outcome(self.home, recipients.get(letter.recipient), letter)
        return ""

    def _write_due(
        self, engine: sa.Engine, recipients: Mapping[str, Recipient], now: datetime
    ) -> None:
        """Raises DiskFull."""
        if active_store(self.home).is_sample:
            return
        for recipient in recipients.values():
            try:
                write_due_letter(engine, recipient, now)
            except DiskFull:
                raise
            except (StoreError, ConfigError) as error:
                log.debug("No letter for %s: %s", recipient.name, error)
            except Exception:
                log.exception("The letter for %s cannot be written.", recipient.name)

    def _send_due(
        self, engine: sa.Engine, recipients: Mapping[str, Recipient], now: datetime
    ) -> None:
        audiences = {n: one.audience for n, one in recipients.items() if n not in self.attempts}
        repeatable = [name for name, one in recipients.items() if one.channel.is_repeatable]
        for letter in claim_letters(engine, audiences, repeatable, now):
            if letter.status == LetterStatus.SENDING:
                self._begin_try(engine, recipients[letter.recipient], letter)
            else:
                record_outcome(self.home, recipients.get(letter.recipient), letter)

    def _read_recipients(self) -> dict[str, Recipient]:
        """The valid ones. A problem is logged once, until it changes."""
        try:
            settings = read_letter_settings(secrets_path())
        except ConfigError as error:
            recipients, problems = (), {"": str(error)}
        else:
            recipients, problems = settings.recipients, settings.problems
        for name, problem in problems.items():
            if self.problems.get(name) != problem:
                log.error("Letters: %s", problem)
        self.problems = problems
        return {recipient.name: recipient for recipient in recipients}

    def _begin_try(self, engine: sa.Engine, recipient: Recipient, letter: ClaimedLetter) -> None:
        def send() -> None:
            try:
                self._try(engine, recipient, letter)
            except Exception:
                log.exception("A try to send a letter to %s failed.", recipient.name)
            finally:
                self.attempts.pop(recipient.name, None)

        attempt = self.attempts[recipient.name] = Thread(target=send, name="letter", daemon=True)
        attempt.start()

    def _try(self, engine: sa.Engine, recipient: Recipient, letter: ClaimedLetter) -> None:
        """Deliver a letter, and record how that went, also where the store is away meanwhile."""
        failure, is_lost = "", False
        try:
            recipient.channel.deliver(letter.letter_id, Message.from_json(letter.content))
        except NotDelivered as error:
            failure = str(error)
            is_lost = error.may_have_arrived and not recipient.channel.is_repeatable
            log.warning("Letter to %s, try %d: %s", recipient.name, letter.tries, failure)
        except Exception as error:  # a library's; the letter waits for the next try
            failure = f"An error in Rollcall ({type(error).__name__})."
            where = "".join(format_tb(error.__traceback__))  # its text can quote an address
            log.error("Letter to %s: %s\n%s", recipient.name, failure, where)
        else:  # in the audit log first: after a kill in between, it is “perhaps sent” here only
            record_outcome(self.home, recipient, letter._replace(status=LetterStatus.SENT))
        deadline = time.monotonic() + CLAIM.total_seconds()
        while True:
            try:
                status = record_try(
                    engine, letter.letter_id, utc_now(), failure, may_have_arrived=is_lost
                )
                break
            except StoreError:
                if time.monotonic() > deadline or self.stop.wait(RECORD_RETRY_SECONDS):
                    raise
        if status in (LetterStatus.GIVEN_UP, LetterStatus.PERHAPS_SENT):
            record_outcome(self.home, recipient, letter._replace(status=status, last_error=failure))


def reader_of(recipient: Recipient) -> Principal:
    """The recipient as a signed-in person of the role. Raises ConfigError."""
    role, integrations = recipient.role, recipient.integrations
    reader = Principal(recipient.name, (role,), integrations)
    if config := auth_config():
        for mapping in filter(None, (config.role_mapping, current_role_mapping())):
            reader = reader.limited_to(mapping.to_reader(role, integrations))
    return replace(reader, uses_pseudonyms=reader.uses_pseudonyms or is_pseudonymized())


def write_due_letter(engine: sa.Engine, recipient: Recipient, now: datetime) -> bool:
    """Add the letter that is due to the outbox; returns whether. `now`: naive UTC.

    The first look is the start: what was before is in no letter. Raises StoreError.
    """
    name = recipient.name
    with engine.connect() as con:
        progress, has_waiting = read_progress(con, name), is_waiting(con, name)
    if has_waiting:
        return False
    if progress is None:
        replace_progress(engine, name, None, _to_json(Sent(now, now)))
        return False
    sent = Sent.from_data(json.loads(progress))
    schedule = Schedule(recipient.at, recipient.zone, recipient.alarms, recipient.all_is_well)
    reader = reader_of(recipient)
    letter, sent_after = due_letter(engine, reader, schedule, sent, now)
    if letter is None:
        if sent_after != sent:
            replace_progress(engine, name, progress, _to_json(sent_after))
        return False
    with engine.connect() as con:
        undelivered = recipient_standing(con, name).undelivered
    letter = with_lost(engine, reader, letter, undelivered)
    new = NewLetter(
        name,
        recipient.audience,
        render(letter, recipient.address).to_json(),
        letter.since,
        letter.until,
        [item.key for item in letter.items],
        _to_json(sent_after),
    )
    return add_letter(engine, new, progress, now)


def _to_json(sent: Sent) -> str:
    return json.dumps(sent.to_data())


def with_lost(
    engine: sa.Engine, reader: Principal, letter: Letter, undelivered: Sequence[LetterTry]
) -> Letter:
    """The letter, with what those before it report that are perhaps missing.

    What a letter that was given up reports is in it already: its range is not covered.
    """
    if not undelivered:
        return letter
    items = list(letter.items)
    missing = [one for one in undelivered if one.status == LetterStatus.PERHAPS_SENT]
    with restricted_engine(engine, reader.visibility).connect() as con:
        for lost in missing:
            if lost.since and lost.until and lost.keys:
                alarms = {item.key for item in items if item.is_ongoing}
                again = read_items(con, reader, lost.since, lost.until, lost.keys)
                items += [i for i in again if i not in items and i.key not in alarms]
    newest = undelivered[0]
    queued_at = to_local(newest.queued_at, letter.zone)
    text = f"The letter of {queued_at:%-d %b %H:%M} {UNDELIVERED[newest.status]}"
    note = Item(
        kind="undelivered",
        key=f"undelivered:{iso_z(newest.queued_at)}",
        severity="note",
        text=SEVERAL_MISSING.format(len(missing)) if len(missing) > 1 else text,
    )
    items.insert(MAX_LINES - 1, note)
    return replace(letter, items=tuple(items))


SEVERAL_MISSING = "The last {} letters may not have arrived; this one repeats them"
UNDELIVERED = {
    LetterStatus.GIVEN_UP: "could not be delivered; this one covers the same time",
    LetterStatus.PERHAPS_SENT: "may not have arrived; this one repeats it",
}


def add_test_letter(engine: sa.Engine, recipient: Recipient) -> None:
    """Add a letter without data to the outbox, and send it at once. It has one try."""
    text = (
        f"This is a test of the letters to “{recipient.name}” (role {recipient.role}). "
        f"Rollcall: {recipient.address}"
    )
    html = f'<!doctype html><meta charset="utf-8"><p>{escape(text)}</p>'
    subject, lines = "Rollcall: test letter", [(text, recipient.address)]
    message = Message(subject, text, html, lines, {"subject": subject, "test": True, "items": []})
    new = NewLetter(recipient.name, recipient.audience, message.to_json(), is_test=True)
    add_letter(engine, new, None, utc_now())
    wake_up.set()


def record_outcome(home: Home, recipient: Recipient | None, letter: ClaimedLetter) -> None:
    """Record in the audit log what went to whom, or did not."""
    is_sent = letter.status == LetterStatus.SENT
    details: dict[str, object] = {
        "recipient": letter.recipient,
        "letter": letter.letter_id,
        "test": letter.is_test,
        "items": len(letter.keys),
        "since": letter.since and iso_z(letter.since),
        "until": letter.until and iso_z(letter.until),
    }
    if recipient:
        channel = recipient.channel
        details |= {"role": recipient.role, "channel": channel.kind, "to": channel.target}
    if not is_sent:
        details |= {"status": letter.status.value, "reason": letter.last_error}
    event = Event.LETTER_SENT if is_sent else Event.LETTER_NOT_SENT
    record_event(home, "Letters", event, **details)
