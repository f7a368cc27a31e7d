"""The ways on which a letter goes out: mail, Slack, Teams and others by Apprise, and a webhook.

A channel makes one try. Every wait has a limit, no redirect is followed, and no answer is read
further than its status. What a try raises contains no secret, as Owners see it.

Mail is sent with the standard library: Apprise derives the plain text from the HTML, without the
links, and does not say why a server refused.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import re
import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from html import escape
from typing import Any, ClassVar

import httpx2

from data.letters.message import Message, NotDelivered

TIMEOUT_SECONDS = 20
"""Seconds for a connection, and for each answer."""

# ---- mail ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SmtpServer:
    """Section [letter.smtp]."""

    server: str
    sender: str
    port: int
    security: str = "starttls"  # or tls, or none
    user: str = ""
    password: str = field(default="", repr=False)

    def connect(self) -> smtplib.SMTP:
        """A session that is encrypted and signed in. Raises OSError and SMTPException."""
        context = ssl.create_default_context()
        if self.security == "tls":
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                self.server, self.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            session = smtplib.SMTP(self.server, self.port, timeout=TIMEOUT_SECONDS)
        try:
            if self.security == "starttls":
                session.starttls(context=context)
            if self.user:
                session.login(self.user, self.password)
        except BaseException:
            session.close()
            raise
        return session


@dataclass(frozen=True)
class Mail:
    """A mail with the letter as HTML and as text. Its Message-ID stays the same at each try."""

    address: str
    smtp: SmtpServer
    kind: ClassVar[str] = "mail"
    is_repeatable: ClassVar[bool] = False  # some servers drop a known Message-ID, others do not

    @property
    def target(self) -> str:
        """The address."""
        return self.address

    def deliver(self, letter_id: str, message: Message) -> None:
        """Raises NotDelivered."""
        content = self._compose(letter_id, message).as_bytes()
        has_data_begun = False
        session = None
        try:
            session = self.smtp.connect()
            session.ehlo_or_helo_if_needed()
            _check_reply(*session.mail(self.smtp.sender))
            _check_reply(*session.rcpt(self.address))
            has_data_begun = True
            _check_reply(*session.data(content))
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(_explain_refusal(self.smtp.server, error)) from None
        except (OSError, smtplib.SMTPException) as error:
            reason = explain_error(self.smtp.server, error)
            raise NotDelivered(reason, may_have_arrived=has_data_begun) from None
        finally:
            if session:  # whatever it answers, the letter has been accepted or not
                with suppress(OSError, smtplib.SMTPException):
                    session.quit()

    def _compose(self, letter_id: str, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        mail["From"] = formataddr(("Rollcall", self.smtp.sender))
        mail["To"] = self.address
        mail["Subject"] = " ".join(message.subject.split())
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{letter_id}@{self.smtp.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail


def _check_reply(code: int, reply: bytes) -> None:
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, reply)


def _explain_refusal(host: str, error: smtplib.SMTPResponseException) -> str:
    """With the code only, as the server's text can quote addresses."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{host} does not accept the user and password ({error.smtp_code})."
    return f"{host} refuses the letter ({error.smtp_code})."


ERROR_TEXTS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "{host} cannot be found."),
    (TimeoutError, "{host} does not answer in time."),
    (httpx2.TimeoutException, "{host} does not answer in time."),
    (ConnectionRefusedError, "{host} refuses the connection."),
    (ssl.SSLCertVerificationError, "The certificate of {host} is not trusted."),
    (ssl.SSLError, "{host} does not encrypt the connection as expected."),
    (smtplib.SMTPNotSupportedError, "{host} does not offer encryption, or the sign-in."),
)


def explain_error(host: str, error: BaseException) -> str:
    """A sentence about the error, without its own text, which can quote an address."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    for known, text in ERROR_TEXTS:
        if any(isinstance(cause, known) for cause in causes):
            return text.format(host=host)
    return f"{host} ends the connection ({type(error).__name__})."


# ---- webhook -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Webhook:
    """JSON to an address of the recipient's, signed as https://www.standardwebhooks.com has it."""

    url: str = field(repr=False)
    secret: str = field(repr=False)  # whsec_, and the key in base64
    kind: ClassVar[str] = "webhook"
    is_repeatable: ClassVar[bool] = True  # by its webhook-id

    @property
    def target(self) -> str:
        """The host; the rest of the address can be a secret."""
        return httpx2.URL(self.url).host

    def deliver(self, letter_id: str, message: Message) -> None:
        """Raises NotDelivered."""
        timestamp = int(time.time())
        body = json.dumps({"id": letter_id, "type": "rollcall.letter", **message.data})
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "rollcall",
            "webhook-id": letter_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self.secret, letter_id, timestamp, body),
        }
        try:
            with (
                httpx2.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client,
                client.stream("POST", self.url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        except httpx2.HTTPError as error:
            raise NotDelivered(explain_error(self.target, error), may_have_arrived=True) from None
        if 300 <= status < 400:
            raise NotDelivered(f"{self.target} answers with a redirect ({status}).")
        if not 200 <= status < 300:
            raise NotDelivered(f"{self.target} answers with {status}.")


def sign(secret: str, letter_id: str, timestamp: int, body: str) -> str:
    """The signature `v1,…`. `timestamp`: seconds since 1970. Raises ValueError for a bad key."""
    content = f"{letter_id}.{timestamp}.{body}".encode()
    digest = hmac.new(webhook_key(secret), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def webhook_key(secret: str) -> bytes:
    """The key of `whsec_…`: 24 to 64 bytes in base64. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError
    return key


# ---- services by Apprise -------------------------------------------------------------------------


@dataclass(frozen=True)
class Service:
    """A chat or another service that Apprise knows, by its address."""

    kind: str
    url: str = field(repr=False)
    is_repeatable: ClassVar[bool] = False

    @property
    def target(self) -> str:
        """The name of the service, because the address is a secret."""
        return SERVICES[self.kind][0] if self.kind in SERVICES else str(self._plugin().service_name)

    def deliver(self, letter_id: str, message: Message) -> None:
        """Raises NotDelivered."""
        del letter_id
        import apprise

        name, log = self.target, _CapturedLog()
        APPRISE_LOG.addHandler(log)
        try:
            is_sent = self._plugin().notify(
                body=_chat_html(message),  # with the subject: Teams formats what a title quotes
                body_format=apprise.NotifyFormat.HTML,
            )
        finally:
            APPRISE_LOG.removeHandler(log)
        if not is_sent:
            raise log.explain(name)

    def is_known(self) -> bool:
        """Whether Apprise reads the address, as one of the service that the setting names."""
        plugin = self._plugin()
        _, expected = SERVICES.get(self.kind, ("", type(plugin).__name__))
        return plugin is not None and type(plugin).__name__ == expected

    def _plugin(self) -> Any:
        """Apprise takes a tenth of a second to import, which only letters need."""
        import apprise

        APPRISE_LOG.propagate = False  # its messages quote addresses, which can be secrets
        APPRISE_LOG.setLevel(logging.DEBUG)
        asset = apprise.AppriseAsset(
            app_id="Rollcall",
            app_desc="Rollcall",
            app_url="",
            http_redirects=False,
            image_url_mask="",  # pictures would come from another server
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
        plugin = apprise.Apprise.instantiate(self.url, asset=asset, suppress_exceptions=True)
        if plugin:
            plugin.socket_connect_timeout = plugin.socket_read_timeout = TIMEOUT_SECONDS
        return plugin


Channel = Mail | Webhook | Service
"""One way to one recipient. `kind` is the name of its setting, `target` says without secrets where
it leads, and `is_repeatable` whether the other side recognizes a letter that comes twice."""

APPRISE_LOG = logging.getLogger("apprise")

SERVICES = {"slack": ("Slack", "NotifySlack"), "teams": ("Teams", "NotifyWorkflows")}
"""Setting → name, and the class of Apprise that its address must belong to."""


def _chat_html(message: Message) -> str:
    """A list whose lines are links. Apprise turns it into the markup of the service."""
    lines = [(escape(text), escape(url)) for text, url in message.lines]
    links = (f'<a href="{url}">{text}</a>' if url else text for text, url in lines)
    items = "".join(f"<li>{link}</li>" for link in links)
    return f"<p><b>{escape(message.subject)}</b></p><ul>{items}</ul>"


class _CapturedLog(logging.Handler):
    """What Apprise logs in this thread. It says only there why a try failed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._thread, self._text = threading.get_ident(), ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        if record.thread == self._thread:
            self._text += record.getMessage() + "\n"

    def explain(self, name: str) -> NotDelivered:
        """The reason, by what the messages contain."""
        for pattern, words, may_have_arrived in APPRISE_REASONS:
            if found := re.search(pattern, self._text):
                reason = f"{name} {words.format(*found.groups())}."
                return NotDelivered(reason, may_have_arrived=may_have_arrived)
        return NotDelivered(f"{name} does not take the letter.")


APPRISE_REASONS = (
    (r"error=3(\d\d)\.", "answers with a redirect (3{})", False),
    (r"error=(\d{3})\.", "answers with {}", False),
    (r"NameResolutionError", "cannot be found", False),
    (r"CERTIFICATE_VERIFY_FAILED", "has a certificate that is not trusted", False),
    (r"Connection refused", "refuses the connection", False),
    (r"ConnectTimeout|connect timeout", "does not answer in time", False),
    (r"[Rr]ead timed out", "does not answer in time", True),
    (r"Connection aborted|RemoteDisconnected", "ends the connection", True),
)
"""Pattern of its messages, words, and whether the letter may have arrived all the same."""
