"""An SMTP server and a webhook receiver on loopback, and settings that name them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from serving_pages import Request, Response, Server

from queries.letter.letter import Item, Letter, Link
from queries.letter.schedule import Schedule, Sent

PASSWORD = "smtp-p4ssw0rd"
KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
MORNING = datetime(2026, 11, 24, 6, 30)


@dataclass
class Mailbox:
    """The mails that a server has accepted."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    refusal: str = ""
    """A reply of SMTP such as `550 No such user`, instead of accepting."""

    async def handle_DATA(self, _: Any, __: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append(mail)
        return "250 OK"

    @property
    def ids(self) -> list[str]:
        return [str(mail["Message-ID"]) for mail in self.mails]


@contextmanager
def a_mailbox(**options: Any) -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        mailbox = Mailbox(probe.getsockname()[1])
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        authenticator=lambda _s, _c, _e, _m, login: AuthResult(
            success=login.password == PASSWORD.encode(), handled=False
        ),
        auth_require_tls=False,
        **options,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


def plain_text(mailbox: Mailbox) -> str:
    """The text of the only mail."""
    (mail,) = mailbox.mails
    return text_of(mail)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body
    return body.get_content().replace("\N{WORD JOINER}", "")


def a_receiver(status: int = 200) -> Server:
    """Verifies each signature, as the standard has it."""

    def answer(request: Request) -> Response:
        sent_at = request.headers["webhook-timestamp"]
        assert abs(time.time() - int(sent_at)) < 300
        signed = f"{request.headers['webhook-id']}.{sent_at}.{request.body}".encode()
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        is_genuine = request.headers["webhook-signature"] == f"v1,{expected}"
        return Response({}, status if is_genuine else 401)

    return Server(answer)


def by_mail(role: str = "Owner") -> str:
    return f'role = "{role}"\nmail = "ada@x.io"'


def by_webhook(url: str, role: str = "Manager") -> str:
    return f'role = "{role}"\nwebhook = "{url}"\nsecret = "{SECRET}"'


def configure(path: Path, smtp_port: int = 25, **recipients: str) -> None:
    """Write the secrets, with a section for each recipient."""
    lines = ["[letter]", 'address = "https://rollcall.example.com"']
    lines += ["[letter.smtp]", 'server = "127.0.0.1"', f"port = {smtp_port}", 'security = "none"']
    lines += ['from = "rollcall@x.io"', 'user = "rollcall"', f'password = "{PASSWORD}"']
    for name, section in recipients.items():
        lines += [f"[letter.to.{name}]", section]
    path.write_text("\n".join(lines), encoding="utf-8")


def a_letter(since: datetime, until: datetime, *keys: str) -> Letter:
    link = Link("users", (("state", "Update failed"),))
    items = [Item("failures", key, "bad", f"3 new failures: {key}", link=link) for key in keys]
    return Letter(since, until, tuple(items))


def daily_letter(
    _engine: object, _reader: object, _schedule: Schedule, sent: Sent, now: datetime
) -> tuple[Letter | None, Sent]:
    """In place of what happened: a letter each morning with one item."""
    morning = now.replace(hour=6, minute=30, second=0, microsecond=0)
    if not sent.since < morning <= now:
        return None, sent
    return a_letter(sent.since, now, f"{now:%d %b}"), Sent(now, now)
