"""The letters on Snapshots: who gets them, whether they arrive, and a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from letterboxes import PASSWORD, SECRET, a_mailbox, by_mail, by_webhook, configure
from patience import PATIENCE
from viewing import Page, page

from data.access.roles import Principal
from data.formatting import utc_now
from data.home import Home
from data.letters.recipients import read_letter_settings
from data.records.audit_log import flush_pending
from data.records.outbox import NewLetter, add_letter
from data.store.engine import open_store
from queries.audit import page_of_events
from server.letters import LetterSender


@pytest.fixture
def secrets(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = home.root / "secrets.toml"
    monkeypatch.setenv("ROLLCALL_SECRETS", str(path))
    return path


def shown_texts(shown: Page) -> list[str]:
    return [text.value for text in shown.run.text]


def send(home: Home) -> None:
    sender = LetterSender(home)
    sender.run_once(utc_now())
    for attempt in list(sender.attempts.values()):
        attempt.join(PATIENCE)


def test_an_owner_sends_a_test_and_sees_that_it_arrived(home: Home, secrets: Path) -> None:
    with a_mailbox() as mailbox:
        configure(secrets, mailbox.port, ada=by_mail())
        run = page("snapshots.py").run
        run.button(key="test_letter_ada").click().run()
        assert not run.exception
        assert run.button(key="test_letter_ada").disabled
        assert run.session_state["message_of_the_decision"] == "A test is on its way to ada."
        send(home)
        (mail,) = mailbox.mails
        assert mail["Subject"] == "Rollcall: test letter"
        run.run()
        assert any(text.value.startswith("Test sent 20") for text in run.text)
        flush_pending(open_store(home.database_url), home)
        with open_store(home.database_url).connect() as con:
            events = [(event.actor, event.action) for event in page_of_events(con, "", 1)]
        assert events == [("Letters", "sent a letter"), ("Local user", "requested a test letter")]


def test_a_failing_letter_and_a_wrong_setting_are_explained_without_a_secret(
    home: Home, secrets: Path
) -> None:
    with a_mailbox() as mailbox:
        mailbox.refusal = "451 later"
        wrong = f'role = "Owner"\nslack = "https://x.io/{SECRET}"'
        hook = by_webhook("http://127.0.0.1:1/hooks/h1dden")
        configure(secrets, mailbox.port, ada=by_mail(), chat=wrong, hook=hook)
        ada, _ = read_letter_settings(secrets).recipients
        content = '{"subject": "x", "text": "x", "html": "x", "lines": [], "data": {}}'
        new = NewLetter("ada", ada.audience, content, utc_now(), utc_now())
        assert add_letter(open_store(home.database_url), new, None, utc_now())
        send(home)
    shown = page("snapshots.py")
    texts = shown_texts(shown)
    assert "[letter.to.chat] slack: expected the address of an incoming webhook of Slack." in texts
    assert "ada · Owner · mail to ada@x.io" in texts
    assert "hook · Manager · webhook to 127.0.0.1" in texts
    (failing,) = [text for text in texts if text.startswith("Failing since")]
    assert "127.0.0.1 refuses the letter (451). Next try 2" in failing
    everything = " ".join([*texts, *(m.value for m in shown.run.markdown)])
    assert not any(secret in everything for secret in (PASSWORD, SECRET, "h1dden"))


@pytest.mark.parametrize("role", ["Super Admin", "Admin"])
def test_only_owners_see_the_letters(
    home: Home, secrets: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    configure(secrets, ada=by_mail())
    monkeypatch.setattr("server.session.LOCAL", Principal("Local user", (role,)))
    shown = page("snapshots.py")
    assert not [button for button in shown.run.button if str(button.key).startswith("test_letter")]
    assert "Letters" not in [heading.value for heading in shown.run.subheader]
