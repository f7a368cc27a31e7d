"""A store that is closed for long: each recipient of alarms gets one letter, and reads its end."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from browsing import free_port, wait_for_answer
from letterboxes import (
    MORNING,
    Mailbox,
    a_mailbox,
    a_receiver,
    by_mail,
    by_webhook,
    configure,
    plain_text,
)
from patience import PATIENCE, wait_until
from processes import Process
from prometheus_client.parser import text_string_to_metric_families
from servers import a_machine
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from viewing import page

from data.access.roles import LOCAL
from data.home import Home
from data.service.active_store import StoreStatus, set_store_status
from data.store.engine import close_stores
from data.store.errors import StoreInUse, StoreUnreachable
from server.letters import LetterSender
from server.metrics import send_metrics
from server.session import request_principal

ROOT = Path(__file__).parent.parent
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NIGHT = MORNING - timedelta(hours=2)
CLOSED = "Rollcall: The store has been closed since 24 Nov 04:31"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with a_mailbox() as box:
        yield box


# ---- a running server ----------------------------------------------------------------------------

LOCKED = """if True:
    import sys
    from data.home import current_home
    from data.store.engine import open_store

    open_store(current_home().database_url)
    print("ready", flush=True)
    sys.stdin.read()
"""

SERVER = """if True:
    import runpy
    from datetime import timedelta
    from server import letters, outage

    letters.POLL_SECONDS = 0.1
    outage.SETTLE = timedelta(seconds=0.5)
    runpy.run_path("app.py", run_name="__main__")
"""


def test_a_server_reports_that_another_process_has_its_store(
    home: Home, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, port = home.root / "secrets.toml", free_port()
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    with Process("-c", LOCKED) as locked, a_receiver().serving() as receiver:
        assert locked.stdout.readline() == "ready\n"
        configure(secrets, mailbox.port, ada=by_mail(), hook=by_webhook(receiver.url))
        with Process("-c", SERVER, env=os.environ | {"PORT": str(port)}) as server:
            wait_for_answer(f"http://127.0.0.1:{port}/healthz", server)
            wait_until(lambda: (home.root / "audit-log.pending").exists())
            wait_until(lambda: receiver.requests and mailbox.mails)
        text = plain_text(mailbox)
        assert "Another process uses its database. End that process, or wait for it." in text
        assert str(home.root) not in text + receiver.requests[0].body


# ---- by the clock --------------------------------------------------------------------------------


@pytest.fixture
def secrets(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = home.root / "secrets.toml"
    monkeypatch.setenv("ROLLCALL_SECRETS", str(path))
    return path


class Clock:
    """A process that looks at given moments, and waits for its tries."""

    def __init__(self, home: Home) -> None:
        self.sender = LetterSender(home)

    def look(self, *moments: datetime) -> None:
        for now in moments:
            self.sender.run_once(now)
            for attempt in list(self.sender.attempts.values()):
                attempt.join(PATIENCE)


def minutes(first: int, last: int) -> list[datetime]:
    """After NIGHT."""
    return [NIGHT + number * MINUTE for number in range(first, last + 1)]


def closed(home: Home, outage: str = StoreInUse.summary) -> None:
    set_store_status(home, StoreStatus("failed", f"{home.root}/x is locked", outage=outage))


def opened(home: Home) -> None:
    set_store_status(home, StoreStatus("open"))


def subjects(mailbox: Mailbox) -> list[str]:
    return [str(mail["Subject"]).replace("\N{WORD JOINER}", "") for mail in mailbox.mails]


def test_whoever_gets_alarms_reads_it_once_and_the_next_daily_letter_says_that_it_is_over(
    home: Home, secrets: Path, mailbox: Mailbox
) -> None:
    configure(secrets, mailbox.port, ada=by_mail("Manager"), bob=f"{by_mail()}\nalarms = false")
    clock = Clock(home)
    clock.look(NIGHT)
    closed(home)
    clock.look(*minutes(1, 5))
    assert not mailbox.mails, "it may open in a moment"
    clock.look(*minutes(6, 30))
    Clock(home).look(*minutes(31, 60))
    assert subjects(mailbox) == [CLOSED]
    text = plain_text(mailbox)
    assert f"04:31. {StoreInUse.summary}" in text
    assert str(home.root) not in text
    mailbox.mails.clear()
    opened(home)
    clock.look(*minutes(61, 70), NIGHT + 4 * HOUR)
    assert "✓ The store is open again" in plain_text(mailbox), "bob was not told"
    assert not list(home.root.glob("outage*"))


def test_a_store_that_closes_again_is_reported_and_one_that_opens_for_a_moment_is_not(
    home: Home, secrets: Path, mailbox: Mailbox
) -> None:
    configure(secrets, mailbox.port, ada=by_mail())
    clock = Clock(home)
    clock.look(NIGHT)
    for number, (opens, count) in enumerate([(None, 1), (2, 1), (10, 2)]):
        opened(home)
        close_stores()  # as a restart does
        clock.look(*minutes(60 * number - (opens or 0), 60 * number))
        closed(home)
        clock.look(*minutes(60 * number + 1, 60 * number + 20))
        assert len(mailbox.mails) == count


def letters_by_status() -> dict[str, float]:
    """As /metrics has them."""
    request_principal.set(LOCAL)
    client = TestClient(Starlette(routes=[Route("/metrics", send_metrics)]))
    families = text_string_to_metric_families(client.get("/metrics").text)
    (letters,) = (family for family in families if family.name == "rollcall_letters")
    return {s.labels["status"]: s.value for s in letters.samples if s.value}


def test_one_that_does_not_arrive_is_seen_in_metrics_on_snapshots_and_in_the_next_letter(
    home: Home, secrets: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.letters.utc_now", lambda: NIGHT + 8 * MINUTE)
    configure(secrets, mailbox.port, ada=by_mail())
    clock = Clock(home)
    clock.look(NIGHT)
    mailbox.refusal = "451 later"
    closed(home)
    clock.look(*minutes(1, 8))
    assert letters_by_status() == {"failing": 1}
    opened(home)
    texts = [text.value for text in page("snapshots.py").run.text]
    assert [text for text in texts if "refuses the letter (451)" in text]
    clock.look(*minutes(11, 20))
    assert letters_by_status() == {"given up": 1}
    mailbox.refusal = ""
    clock.look(NIGHT + 4 * HOUR)
    text = plain_text(mailbox)
    assert "✓ The store is open again" in text
    assert "• The letter of 24 Nov 04:36 could not be delivered" in text
    assert letters_by_status() == {"given up": 1, "sent": 1}


@pytest.mark.usefixtures("created_stores")
def test_on_a_full_disk_the_outbox_is_in_memory(
    home: Home, secrets: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(secrets, mailbox.port, ada=by_mail())
    clock = Clock(home)
    clock.look(NIGHT)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        clock.look(*(NIGHT + DAY + number * MINUTE for number in range(20)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "read-only since 25 Nov 04:30. The disk is full. Free some space" in plain_text(mailbox)


def test_a_letter_says_that_a_server_is_away_and_that_it_is_back(
    home: Home, secrets: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(secrets, mailbox.port, ada=by_mail())
    with a_machine() as machine:
        monkeypatch.setenv("ROLLCALL_DATABASE_URL", machine.url)
        clock = Clock(home)
        clock.look(NIGHT)
        machine.control("stop")
        clock.look(*minutes(1, 10))
        assert f"04:31. {StoreUnreachable.summary}" in plain_text(mailbox)
        mailbox.mails.clear()
        machine.control("start")
        clock.look(*minutes(11, 20), NIGHT + 4 * HOUR)
        assert "The store is open again" in plain_text(mailbox)
        close_stores()
