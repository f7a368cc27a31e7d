"""Letters wait, are tried and end: none is lost, none comes twice, none holds anything up."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from builders import TODAY, Deliveries, a_snapshot_file, an_account
from letterboxes import (
    MORNING,
    Mailbox,
    a_letter,
    a_mailbox,
    a_receiver,
    by_mail,
    by_webhook,
    configure,
    daily_letter,
    plain_text,
)
from patience import PATIENCE, wait_until
from processes import Process
from servers import Server as Database
from serving_pages import Response, Server
from sqlalchemy import select
from test_actions import Killed

from data.access.roles import PersonalData, Visibility
from data.home import Home
from data.inbox.inbox import load_inbox
from data.letters.channels import Mail, Webhook
from data.letters.message import NotDelivered
from data.letters.recipients import read_letter_settings
from data.records import outbox
from data.records.audit_log import flush_pending
from data.records.outbox import CLAIM, LetterStatus
from data.records.tables import audit_event, letter
from data.store.engine import open_store, restricted_engine
from queries.letter.letter import Item, Letter
from queries.letter.schedule import Sent
from queries.letter.write import due_letter
from queries.outbox import RecipientStanding, letter_counts, recipient_standing
from server import letters
from server.letters import LetterSender, add_test_letter

DAY = timedelta(days=1)
NIGHT = MORNING - timedelta(hours=2)
ROOT = Path(__file__).parent.parent
BEGIN_TRY = LetterSender._begin_try


@pytest.fixture
def secrets(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The secrets of an installation whose letters are due each morning, sent one by one."""
    path = home.root / "secrets.toml"
    monkeypatch.setenv("ROLLCALL_SECRETS", str(path))
    monkeypatch.setattr(letters, "due_letter", daily_letter)

    def begin_and_wait(sender: LetterSender, *arguments: Any) -> None:
        BEGIN_TRY(sender, *arguments)
        for attempt in list(sender.attempts.values()):
            attempt.join(PATIENCE)

    monkeypatch.setattr(LetterSender, "_begin_try", begin_and_wait)
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Looks at what is due at a moment."""

    def look(now: datetime) -> None:
        monkeypatch.setattr(letters, "utc_now", lambda: now)
        LetterSender(letters_home()).run_once(now)

    return look


def letters_home() -> Home:
    return Home(Path(os.environ["ROLLCALL_HOME"]))


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with a_mailbox() as box:
        yield box


def standing(home: Home, name: str = "ada") -> RecipientStanding:
    with open_store(home.database_url).connect() as con:
        return recipient_standing(con, name)


Look = Callable[[datetime], None]


def test_the_first_letter_covers_what_happens_after_the_start(
    home: Home, secrets: Path, clock: Look, mailbox: Mailbox
) -> None:
    configure(secrets, mailbox.port, ada=by_mail())
    clock(NIGHT)
    assert not mailbox.mails
    for now in (MORNING, MORNING + timedelta(seconds=30), MORNING + DAY / 2):
        clock(now)
    assert [mail["Subject"] for mail in mailbox.mails] == ["Rollcall: 3 new failures: 24 Nov"]
    assert standing(home).last_sent_at == MORNING
    clock(MORNING + DAY)
    assert len(set(mailbox.ids)) == 2
    with open_store(home.database_url).connect() as con:
        assert set(con.scalars(select(letter.c.content))) == {""}, "it can name people"


def test_a_dead_channel_is_retried_for_a_day_and_the_next_letter_says_so(
    home: Home, secrets: Path, clock: Look, mailbox: Mailbox
) -> None:
    mailbox.refusal = "451 try later"
    configure(secrets, mailbox.port, ada=by_mail())
    clock(NIGHT)
    pauses, now = [], MORNING
    clock(now)
    while (waiting := standing(home).waiting) and waiting.status == LetterStatus.QUEUED:
        assert waiting.last_error == "127.0.0.1 refuses the letter (451)."
        pauses.append(waiting.next_try_at - now)
        now = waiting.next_try_at
        clock(now)
        if standing(home).undelivered:
            break
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(minutes=1)
    assert DAY - 2 * pauses[-1] < sum(pauses, timedelta()) <= DAY
    (given_up,) = standing(home).undelivered
    assert given_up.status == LetterStatus.GIVEN_UP
    mailbox.refusal = ""
    clock(MORNING + DAY)
    assert "• The letter of 24 Nov 06:30 could not be delivered" in plain_text(mailbox)
    assert standing(home).undelivered == ()


def test_a_letter_for_the_former_role_of_its_recipient_is_not_sent(
    home: Home, secrets: Path, clock: Look, mailbox: Mailbox
) -> None:
    mailbox.refusal = "451 try later"
    configure(secrets, mailbox.port, ada=by_mail())
    clock(NIGHT)
    clock(MORNING)
    secrets.write_text(secrets.read_text().replace('"Owner"', '"Manager"'))
    mailbox.refusal = ""
    clock(MORNING + timedelta(minutes=2))
    assert not mailbox.mails
    assert standing(home).undelivered[0].last_error == "The settings of the recipient have changed."
    clock(MORNING + timedelta(minutes=3))
    assert len(mailbox.mails) == 1, "another letter, for the new role"


def test_each_recipient_reads_what_their_role_may_see(
    home: Home,
    secrets: Path,
    clock: Look,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(letters, "due_letter", due_letter)
    snapshots = Deliveries(open_store(home.database_url), tmp_path)
    with a_receiver().serving() as receiver:
        configure(secrets, mailbox.port, ada=by_mail(), hook=by_webhook(receiver.url))
        snapshots.take(an_account("lovelace"), an_account("bob"))
        clock(TODAY + timedelta(hours=2))
        failed = an_account("lovelace", state="Update failed", reason="Grace Hopper has no license")
        snapshots.take(failed, an_account("bob"), at=TODAY + DAY)
        clock(TODAY + DAY + timedelta(minutes=80))
        assert not mailbox.mails
        clock(TODAY + DAY + timedelta(hours=2))
        assert "1 new failure" in plain_text(mailbox)
        assert "https://rollcall.example.com/" in plain_text(mailbox)
        (request,) = receiver.requests
        assert "1 new failure" in request.body
        assert not [
            name for name in ("lovelace", "Lovelace", "Grace", "x.io") if name in request.body
        ]


# ---- killed --------------------------------------------------------------------------------------


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """The process ends at the nth of these moments: before and after a commit, or a delivery."""
    moments = itertools.count(1)

    def maybe_die() -> None:
        if next(moments) == number:
            raise Killed

    real_transaction = outbox.write_transaction

    @contextmanager
    def transaction(engine: Any) -> Iterator[Any]:
        maybe_die()
        with real_transaction(engine) as con:
            yield con
            maybe_die()
        maybe_die()

    def delivering(real: Callable[..., None]) -> Callable[..., None]:
        def deliver(*arguments: Any) -> None:
            maybe_die()
            real(*arguments)
            maybe_die()

        return deliver

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "write_transaction", transaction)
        for channel in (Mail, Webhook):
            patched.setattr(channel, "deliver", delivering(channel.deliver))
        patched.setattr(
            LetterSender,
            "_begin_try",
            lambda sender, *arguments: sender._try(*arguments),
        )
        yield


@pytest.mark.parametrize("way", ["mail", "webhook"])
def test_whenever_a_kill_comes_a_letter_is_neither_lost_nor_sent_twice(
    home: Home, secrets: Path, clock: Look, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with a_mailbox() as mailbox, a_receiver().serving() as receiver:
        for number in itertools.count(1):
            name = f"r{number}"
            section = by_mail() if way == "mail" else by_webhook(receiver.url)
            configure(secrets, mailbox.port, **{name: section})
            clock(NIGHT)
            mailbox.mails.clear()
            receiver.requests.clear()
            is_killed = False
            with killed_at(monkeypatch, number):
                try:
                    clock(MORNING)
                except Killed:
                    is_killed = True
            clock(MORNING + timedelta(seconds=30))
            clock(MORNING + CLAIM + timedelta(seconds=60))
            if way == "mail":
                assert len(mailbox.mails) <= 1
                is_unsure = standing(home, name).undelivered
                assert bool(is_unsure) or len(mailbox.mails) == 1, number
                assert all(one.status == LetterStatus.PERHAPS_SENT for one in is_unsure)
            else:
                ids = {request.headers["webhook-id"] for request in receiver.requests}
                assert len(ids) == 1, "a repeated request has the same id"
                assert standing(home, name).undelivered == ()
            if not is_killed:
                break
    assert number > 8


SENDER = """if True:
    import sys
    from datetime import datetime
    from letterboxes import daily_letter
    from data.home import current_home
    from server import letters

    letters.due_letter = daily_letter
    sender = letters.LetterSender(current_home())
    print("ready", flush=True)
    sys.stdin.readline()
    for now in sys.argv[1:]:
        sender.run_once(datetime.fromisoformat(now))
        for attempt in list(sender.attempts.values()):
            attempt.join()
"""


def a_process(*moments: datetime) -> Process:
    """Another Rollcall, which looks at these moments what is due, once it gets a line."""
    process = Process("-c", SENDER, *(now.isoformat() for now in moments))
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: Process) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_request_of_a_killed_process_is_repeated_with_the_same_id(
    home: Home, secrets: Path, clock: Look
) -> None:
    never = Event()
    silent = Server(lambda _: Response({}, 200 if never.wait(PATIENCE) else 500))
    with silent.serving() as receiver:
        configure(secrets, hook=by_webhook(receiver.url))
        with a_process(NIGHT, MORNING) as process:
            start(process)
            wait_until(lambda: receiver.requests)
            process.kill()
        never.set()
        clock(MORNING + timedelta(minutes=1))
        assert len(receiver.requests) == 1, "the process could still be there"
        clock(MORNING + CLAIM)
        first, second = (request.headers["webhook-id"] for request in receiver.requests)
        assert first == second
        assert standing(home, "hook").last_sent_at


def test_processes_on_one_server_send_one_letter(
    home: Home, secrets: Path, monkeypatch: pytest.MonkeyPatch, postgresql: Database
) -> None:
    """Threads, without the lock that the threads of a process share: only the server's is left."""
    monkeypatch.setattr("data.store.engine._write_lock", nullcontext())
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", postgresql.new_store())
    with a_receiver().serving() as receiver, a_mailbox() as mailbox:
        configure(secrets, mailbox.port, ada=by_mail(), hook=by_webhook(receiver.url))
        senders = [LetterSender(home) for _ in range(4)]
        senders[0].run_once(NIGHT)

        def look_often(sender: LetterSender) -> None:
            for seconds in range(4):
                sender.run_once(MORNING + timedelta(seconds=seconds))

        monkeypatch.setattr(LetterSender, "_begin_try", BEGIN_TRY)
        threads = [Thread(target=look_often, args=(sender,)) for sender in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: not any(sender.attempts for sender in senders))
        assert len(receiver.requests) == len(mailbox.mails) == 1
        for name in ("ada", "hook"):
            assert standing(home, name).last_sent_at


# ---- others are not held up ----------------------------------------------------------------------


def test_a_dead_channel_holds_up_no_other_and_no_load(
    home: Home, secrets: Path, monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox, tmp_path: Path
) -> None:
    released = Event()
    real = Webhook.deliver

    def hang(*arguments: Any) -> None:
        assert released.wait(PATIENCE)
        real(*arguments)

    monkeypatch.setattr(Webhook, "deliver", hang)
    monkeypatch.setattr(LetterSender, "_begin_try", BEGIN_TRY)
    with a_receiver().serving() as receiver:
        configure(secrets, mailbox.port, dead=by_webhook(receiver.url), ada=by_mail())
        sender = LetterSender(home)
        sender.run_once(NIGHT)
        sender.run_once(MORNING)
        wait_until(lambda: mailbox.mails)
        os.utime(a_snapshot_file(home.inbox, [an_account()]), (0, 0))
        assert len(load_inbox(open_store(home.database_url), home)) == 1
        assert not receiver.requests
        sender.run_once(MORNING + timedelta(minutes=1))
        released.set()
        wait_until(lambda: not sender.attempts)
        assert len(receiver.requests) == len(mailbox.mails) == 1


def test_letters_that_may_be_missing_are_repeated_by_the_next_one(
    home: Home, secrets: Path, clock: Look, monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox
) -> None:
    """Also where they report another event of the same kind: each has its own range."""

    def read_again(*arguments: Any) -> tuple[Item, ...]:
        _, _, since, until, keys = arguments
        assert keys[0] == "failed:"
        return of_one_kind(since, until, f"{until:%-d %b}").items

    def of_one_kind(since: datetime, until: datetime, text: str) -> Letter:
        found = a_letter(since, until, text)
        return replace(found, items=tuple(replace(i, key="failed:") for i in found.items))

    monkeypatch.setattr(letters, "read_items", read_again)
    daily = letters.due_letter

    def due(*arguments: Any) -> tuple[Letter | None, Sent]:
        found, sent = daily(*arguments)
        if found:
            found = of_one_kind(found.since, found.until, f"{found.until:%-d %b}")
        return found, sent

    monkeypatch.setattr(letters, "due_letter", due)
    configure(secrets, mailbox.port, ada=by_mail())
    clock(NIGHT)

    def time_out(*_: object) -> None:
        raise NotDelivered("mail.x.io does not answer in time.", may_have_arrived=True)

    with monkeypatch.context() as patched:
        patched.setattr(Mail, "deliver", time_out)
        clock(MORNING)
        clock(MORNING + DAY)
    clock(MORNING + DAY * 3 / 2)
    assert not mailbox.mails
    clock(MORNING + 2 * DAY)
    lines = [line for line in plain_text(mailbox).splitlines() if line.startswith("•")]
    assert lines == [
        "• 3 new failures: 26 Nov",
        "• 3 new failures: 25 Nov",
        "• 3 new failures: 24 Nov",
        "• The last 2 letters may not have arrived; this one repeats them",
    ]


# ---- seen ----------------------------------------------------------------------------------------


def test_the_audit_log_and_metrics_say_what_went_to_whom(
    home: Home, secrets: Path, clock: Look, mailbox: Mailbox
) -> None:
    configure(secrets, mailbox.port, ada=by_mail())
    clock(NIGHT)
    clock(MORNING)
    mailbox.refusal = "554 no"
    clock(MORNING + DAY)
    add_test_letter(open_store(home.database_url), read_letter_settings(secrets).recipients[0])
    clock(MORNING + DAY)
    engine = open_store(home.database_url)
    flush_pending(engine, home)
    with engine.connect() as con:
        events = con.execute(
            select(audit_event.c.action, audit_event.c.details).order_by(audit_event.c.number)
        ).all()
        counts = letter_counts(con)
        manager = Visibility(None, PersonalData.HIDDEN)
        with restricted_engine(engine, manager).connect() as restricted:
            assert letter_counts(restricted) == counts, "/metrics is for managers too"
            assert restricted.scalars(select(letter.c.recipient)).all() == [None] * 3
    (sent, details), (failed, reason) = events
    assert (sent, failed) == ("sent a letter", "did not deliver a letter")
    known = {"recipient": "ada", "channel": "mail", "to": "ada@x.io", "role": "Owner", "items": 1}
    assert known.items() <= json.loads(details).items()
    assert json.loads(reason)["reason"] == "127.0.0.1 refuses the letter (554)."
    assert json.loads(reason)["test"] is True
    assert {name: count for name, count in counts.items() if count} == {"sent": 1, "failing": 1}
