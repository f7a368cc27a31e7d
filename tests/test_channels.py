"""How letters go out: over real SMTP and HTTP, signed, within limits, and without a secret."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme
from dropped_files import HOSTILE
from letterboxes import (
    MORNING,
    PASSWORD,
    SECRET,
    a_letter,
    a_mailbox,
    a_receiver,
    by_mail,
    configure,
)
from serving_pages import Request, Response, Server

from data.letters import channels
from data.letters.channels import Channel, Mail, Service, SmtpServer, Webhook
from data.letters.message import NotDelivered
from data.letters.recipients import read_letter_settings
from queries.letter.letter import MAX_LINES, Link
from queries.letter.render import render

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = (
    "https://prod-01.westeurope.logic.azure.com:443/workflows/0a1b2c/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cr3t-signature"
)
MESSAGE = render(a_letter(MORNING, MORNING, "*figma* [x](http://evil) <at>b</at>"), "https://rc.io")


def undelivered(channel: Channel) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        channel.deliver("id1", MESSAGE)
    return caught.value


def smtp(port: int, **settings: Any) -> Mail:
    server = SmtpServer("localhost", "rollcall@x.io", port, **({"security": "none"} | settings))
    return Mail("ada@x.io", server)


def test_a_mail_has_the_letter_as_text_and_as_html_and_its_id_at_each_try() -> None:
    with a_mailbox() as mailbox:
        for _ in range(2):
            smtp(mailbox.port, user="rollcall", password=PASSWORD).deliver("id1", MESSAGE)
        smtp(mailbox.port).deliver("id2", MESSAGE._replace(subject="New\r\nBcc: eve@x.io"))
    first, second, hostile = mailbox.mails
    assert (hostile["Subject"], hostile["Bcc"]) == ("New Bcc: eve@x.io", None)
    assert first["To"] == "ada@x.io"
    assert first["Subject"] == MESSAGE.subject
    assert first["Message-ID"] == second["Message-ID"] == "<id1@x.io>"
    assert first["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in first.iter_parts()]
    assert kinds == ["text/plain", "text/html"]
    plain = first.get_body(("plain",))
    assert plain
    assert "https://rc.io/users?state=Update+failed" in plain.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_is_encrypted_and_a_stranger_is_not_trusted(
    security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    options = {"tls_context": tls, "require_starttls": True}
    with a_mailbox(**(options if security == "starttls" else {"ssl_context": tls})) as mailbox:
        mail = smtp(mailbox.port, security=security, user="rollcall", password=PASSWORD)
        assert str(undelivered(mail)) == "The certificate of localhost is not trusted."
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        monkeypatch.setattr(channels.ssl, "create_default_context", lambda: trusting)
        mail.deliver("id1", MESSAGE)
        assert len(mailbox.mails) == 1


def test_a_wrong_password_is_reported_without_it() -> None:
    with a_mailbox() as mailbox:
        wrong = smtp(mailbox.port, user="rollcall", password="wr0ng")
        assert str(undelivered(wrong)) == "localhost does not accept the user and password (535)."


@contextmanager
def a_port_that(*replies: str, then: str = "hangs up") -> Iterator[int]:
    """Answers what it is sent with these replies, and then says nothing more, or hangs up."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            for reply in replies:
                connection.sendall(f"{reply}\r\n".encode())
                lines.readline()
            if then == "says nothing":
                lines.read()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_says_nothing_ends_a_try() -> None:
    for make in (smtp, lambda port: Webhook(f"http://127.0.0.1:{port}", SECRET)):
        with a_port_that(then="says nothing") as port:
            assert "does not answer in time" in str(undelivered(make(port)))


GREETED = ("220 hi", "250 hi")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("replies", "then", "reason", "may_have_arrived"),
    [
        (["421 busy"], "hangs up", "refuses the letter (421).", False),
        ([*GREETED, "550 no"], "hangs up", "refuses the letter (550).", False),
        ([*GREETED, "250 ok", "450 later"], "hangs up", "refuses the letter (450).", False),
        (
            [*GREETED, "250 ok", "250 ok", "452 full"],
            "hangs up",
            "refuses the letter (452).",
            False,
        ),
        ([*GREETED, "250 ok"], "hangs up", "ends the connection", False),
        ([*GREETED, "250 ok", "250 ok", "354 go"], "hangs up", "ends the connection", True),
        (
            [*GREETED, "250 ok", "250 ok", "354 go"],
            "says nothing",
            "does not answer in time.",
            True,
        ),
    ],
)
def test_only_a_mail_without_an_answer_may_have_arrived(
    replies: list[str], then: str, reason: str, may_have_arrived: bool
) -> None:
    with a_port_that(*replies, then=then) as port:
        error = undelivered(smtp(port))
    assert reason in str(error)
    assert error.may_have_arrived is may_have_arrived


def test_a_refused_mail_has_not_arrived_and_its_reason_quotes_nobody() -> None:
    with a_mailbox() as mailbox:
        mailbox.refusal = "550 ada@x.io is not here"
        error = undelivered(smtp(mailbox.port))
    assert (str(error), error.may_have_arrived) == ("localhost refuses the letter (550).", False)


def test_a_webhook_gets_signed_json_and_no_redirect_is_followed() -> None:
    with a_receiver().serving() as receiver:
        Webhook(f"{receiver.url}/hooks/s3cr3t", SECRET).deliver("id1", MESSAGE)
        (request,) = receiver.requests
        body = json.loads(request.body)
        assert (body["id"], body["type"]) == ("id1", "rollcall.letter")
        assert body["items"][0]["url"] == "https://rc.io/users?state=Update+failed"
        receiver.answer = lambda _: Response({}, 302, {"Location": f"{receiver.url}/elsewhere"})
        error = undelivered(Webhook(receiver.url, SECRET))
        assert str(error) == "127.0.0.1 answers with a redirect (302)."
        assert len(receiver.requests) == 2
        other = f"whsec_{'A' * 32}"
        receiver.answer = a_receiver().answer
        assert str(undelivered(Webhook(receiver.url, other))) == "127.0.0.1 answers with 401."


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Receives what goes to Slack and Teams, and answers as they do."""
    real = requests.request

    def to_receiver(method: str, url: str, **options: Any) -> requests.Response:
        assert options["allow_redirects"] is False
        assert options["timeout"] == (20, 20)
        address = urlsplit(url)
        response = real(method, f"{receiver.url}{address.path}?{address.query}", **options)
        response._content = b"ok"
        return response

    with Server(lambda _: Response({})).serving() as receiver:
        monkeypatch.setattr(requests, "request", to_receiver)
        monkeypatch.setattr(requests, "post", partial(to_receiver, "POST"))
        yield receiver


HOSTILE_IN_CHATS = [
    *HOSTILE[:-1],
    "<!channel> <!here> @here @everyone <@U012AB3CD> <#C012AB3CD> <!subteam^S1>",
    "<http://evil.example|here> [here](http://evil.example) ![](http://evil.example/x.png)",
    "<at>everyone</at> &lt;at&gt;all&lt;/at&gt; {{DATE(2026-02-14T06:08:39Z, SHORT)}} ${x}",
    "*b* _i_ ~s~ `c` **b** # h my_app http://a_b/ www.evil.example a@evil.example :tada:",
]
"""Names that would mention all people, lead elsewhere, or change how the letter looks."""


def lines_of(request: Request) -> list[str]:
    """The lines of a message, after a look at all else of it: as the service documents it."""
    payload = json.loads(request.body)
    (attachment,) = payload["attachments"]
    if "hooks" not in request.path and "services" not in request.path:
        assert payload.keys() == {"type", "attachments"}
        assert payload["type"] == "message"
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert "entities" not in card["msteams"], "nobody is mentioned"
        (attachment,) = card["body"]
        assert (attachment["type"], attachment["wrap"]) == ("TextBlock", True)
        assert len(request.body) < 28_000, "what Teams takes"
    assert len(attachment["text"]) < 40_000, "what Slack takes"
    return attachment["text"].splitlines()


@pytest.mark.parametrize(
    ("kind", "url", "line"),
    [("slack", SLACK, r"- <({})\|([^<>|]*)>"), ("teams", TEAMS, r"- \[(.*)\]\(<({})>\)")],
)
def test_chats_get_a_link_a_line_and_no_markup_of_the_data(
    chat: Server, kind: str, url: str, line: str
) -> None:
    letter = a_letter(MORNING, MORNING, *HOSTILE_IN_CHATS)
    Service(kind, url).deliver("id1", render(letter, "https://rc.io"))
    (request,) = chat.requests
    assert request.path == urlsplit(url).path
    subject, empty, *items = lines_of(request)
    assert empty == ""
    assert len(items) == len(HOSTILE_IN_CHATS)
    link = re.compile(line.format(r"https://rc\.io/[^<>|]*"))
    texts = [subject.strip("*"), *(" ".join(link.fullmatch(item).groups()) for item in items)]
    for text in texts:
        words = text.replace("https://rc.io/users?state=Update+failed", "")
        words = re.sub(r"\\([()#!])", r"\1", words) if kind == "teams" else words
        for live in ("<", ">", "@", "*", "_", "`", "~", "[x]", "://", ":smile:", ".example", "\\"):
            assert live not in words, live


@pytest.mark.usefixtures("chat")
def test_a_letter_of_a_hundred_integrations_is_not_too_long_for_a_chat(chat: Server) -> None:
    names = [("integration", f"an-integration-of-{n}") for n in range(100)]
    few = a_letter(MORNING, MORNING, *(f"found:{n}" for n in range(1_000)))
    many = replace(few, items=tuple(replace(i, link=Link("review", names)) for i in few.items))
    for kind, url in (("slack", SLACK), ("teams", TEAMS)):
        Service(kind, url).deliver("id1", render(many, "https://rc.io"))
        _, _, *items, rest = lines_of(chat.requests[-1])
        assert len(items) == MAX_LINES
        assert all("https://rc.io/letter?from=" in item and "item=found" in item for item in items)
        assert "see all" in rest
        assert "item=" not in rest


def test_a_failing_chat_says_why_without_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = StringIO()
    handler = logging.StreamHandler(log)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    answers: list[Any] = [
        404,
        requests.ConnectTimeout(f"{SLACK} (connect timeout=20)"),
        requests.ReadTimeout(f"{SLACK} Read timed out."),
    ]

    def fail(*_: Any, **__: Any) -> requests.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, response._content = answer, b"no_service"
        return response

    monkeypatch.setattr(requests, "request", fail)
    errors = [undelivered(Service("slack", SLACK)) for _ in range(3)]
    assert [(str(error), error.may_have_arrived) for error in errors] == [
        ("Slack answers with 404.", False),
        ("Slack does not answer in time.", False),
        ("Slack does not answer in time.", True),
    ]
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in log.getvalue()


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('role = "Chief"\nmail = "a@x.io"', "role = 'Chief': expected one of Owner, Super Admin"),
        ('role = "Owner"', "needs one of mail, slack, teams, apprise, webhook; found none."),
        ('role = "Owner"\nmail = "a@x.io"\nslack = "https://x"', "found mail and slack."),
        ('role = "Owner"\nmail = "a@x.io, b@x.io"', "mail = 'a@x.io, b@x.io': expected one email"),
        ('role = "Owner"\nmail = "a@x.io\\r\\nBcc: b@x.io"', "expected one email address"),
        ('role = "Owner"\nmail = "a@x.io"\nat = "7:30"', "at = '7:30': expected a local time"),
        ('role = "Owner"\nmail = "a@x.io"\nzone = "Mars"', "zone = 'Mars': expected the name of"),
        ('role = "Owner"\nmail = "a@x.io"\nhour = 7', "has unknown settings: hour. Known: role,"),
        ('mail = "a@x.io"', "lacks “role”: expected one of Owner"),
        ('role = "Owner"\nslack = "https://s3cr3t.io/x"', "slack: expected the address of an inc"),
        ('role = "Owner"\nwebhook = "http://x.io/s3cr3t"\nsecret = "x"', "webhook: expected an ht"),
        ('role = "Owner"\nwebhook = "https://x.io"\nsecret = "s3cr3t"', "secret: expected whsec_"),
        ('role = "Owner"\nwebhook = "https://x.io:p/s3cr3t"\nsecret = "x"', "webhook: expected an"),
        ('role = "Owner"\nwebhook = "https://x.io"', "needs “secret” for a webhook"),
        ('role = "Owner"\nwebhook = "$NOT_SET"', "“webhook” is $NOT_SET, which is not set in the"),
    ],
)
def test_a_wrong_recipient_says_what_to_change_and_stops_no_other(
    tmp_path: Path, section: str, problem: str
) -> None:
    configure(tmp_path / "secrets.toml", ada=by_mail(), wrong=section)
    settings = read_letter_settings(tmp_path / "secrets.toml")
    assert [recipient.name for recipient in settings.recipients] == ["ada"]
    assert settings.problems["wrong"].startswith("[letter.to.wrong] ")
    assert problem in settings.problems["wrong"]
    assert "s3cr3t" not in settings.problems["wrong"]


def test_the_documented_example_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("SMTP_PASSWORD", PASSWORD),
        ("SLACK_URL", SLACK),
        ("TEAMS_URL", TEAMS),
        ("LETTER_SECRET", SECRET),
    ):
        monkeypatch.setenv(name, value)
    example = Path(__file__).parent.parent / ".streamlit" / "letter.toml.example"
    settings = read_letter_settings(example)
    assert settings.problems == {}
    assert {one.channel.kind for one in settings.recipients} == {
        "mail",
        "slack",
        "teams",
        "apprise",
        "webhook",
    }
    assert PASSWORD not in repr(settings)
    assert SLACK not in repr(settings)


def test_a_password_is_never_sent_unencrypted(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    configure(path, ada=by_mail())
    path.write_text(path.read_text().replace("127.0.0.1", "smtp.x.io"))
    settings = read_letter_settings(path)
    assert "would send the password unencrypted" in settings.problems["ada"]
