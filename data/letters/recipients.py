"""The recipients of letters, as the secrets file configures them.

A recipient with a wrong setting gets no letters, and says why. The others are not affected.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2

from data.access.claims import ConfigError
from data.access.roles import ROLES
from data.letters.channels import Channel, Mail, Service, SmtpServer, Webhook, webhook_key
from data.secrets_file import UnsetVariable, expand_variable, read_secrets
from data.sources.http import LOOPBACK_HOSTS

CHANNEL_KEYS = ("mail", "slack", "teams", "apprise", "webhook")
SECRET_KEYS = frozenset({*CHANNEL_KEYS, "secret", "password"}) - {"mail"}
"""Settings whose value no message quotes."""

DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True)
class Recipient:
    """A section `[letter.to.NAME]`: who gets letters, when, and on which way."""

    name: str
    role: str
    channel: Channel
    address: str
    """The address of the app, for links."""
    integrations: tuple[str, ...] | None = None  # None: those that the role sees
    at: time | None = time(7, 30)  # local; None: no daily letter
    zone: str = "UTC"
    alarms: bool = True
    all_is_well: bool = False

    @property
    def audience(self) -> str:
        """A hash that changes when a letter that is waiting should not go out as it is."""
        channel = self.channel
        way = channel.target if isinstance(channel, Mail) else getattr(channel, "url", "")
        content = json.dumps([self.role, self.integrations, channel.kind, way])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class LetterSettings:
    """The section [letter], checked."""

    recipients: tuple[Recipient, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """Recipient → what is wrong with its section. Where [letter] itself is wrong, of each."""


def read_letter_settings(path: Path) -> LetterSettings:
    """The recipients of a secrets file. Raises ConfigError where the file is not valid TOML."""
    section = read_secrets(path).get("letter", {})
    if not isinstance(section, Mapping) or not isinstance(section.get("to", {}), Mapping):
        raise ConfigError("[letter] must have sections like [letter.to.managers].")
    recipients: list[Recipient] = []
    problems: dict[str, str] = {}
    for name, settings in section.get("to", {}).items():
        try:
            recipients.append(_parse_recipient(name, settings, section))
        except ConfigError as error:
            problems[name] = str(error)
    return LetterSettings(tuple(recipients), problems)


def _parse_recipient(name: str, settings: Any, section: Mapping[str, Any]) -> Recipient:
    place = f"[letter.to.{name}]"
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{place} must be a section.")
    common = {key: value for key, value in section.items() if key not in ("to", "smtp")}
    shared = _check("[letter]", common, LETTER_SETTINGS, ("address",))
    own = _check(place, settings, RECIPIENT_SETTINGS, ("role",))
    given = [key for key in CHANNEL_KEYS if key in own]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ConfigError(f"{place} needs one of {', '.join(CHANNEL_KEYS)}; found {found}.")
    channel = _make_channel(place, given[0], own, section)
    others = {key: own[key] for key in ("role", "zone", "alarms", "all_is_well") if key in own}
    if "at" in own:
        others["at"] = None if own["at"] == "never" else time.fromisoformat(own["at"])
    if "integrations" in own:
        others["integrations"] = tuple(own["integrations"])
    return Recipient(name, channel=channel, **shared | others)


def _make_channel(
    place: str, kind: str, own: Mapping[str, Any], section: Mapping[str, Any]
) -> Channel:
    if ("secret" in own) != (kind == "webhook"):
        raise ConfigError(f"{place} needs “secret” for a webhook, and for nothing else.")
    if kind == "mail":
        return Mail(own["mail"], _make_smtp(section.get("smtp", {})))
    if kind == "webhook":
        return Webhook(own["webhook"], own["secret"])
    service = Service(kind, own[kind])
    if not service.is_known():
        raise ConfigError(f"{place} {kind}: expected {RECIPIENT_SETTINGS[kind][1]}.")
    return service


def _make_smtp(settings: Any) -> SmtpServer:
    if not isinstance(settings, Mapping):
        raise ConfigError("[letter.smtp] must be a section.")
    values = _check("[letter.smtp]", settings, SMTP_SETTINGS, ("server", "from"))
    values["sender"] = values.pop("from")
    values.setdefault("port", DEFAULT_PORTS[values.get("security", "starttls")])
    smtp = SmtpServer(**values)
    if bool(smtp.user) != bool(smtp.password):
        raise ConfigError("[letter.smtp] needs “user” and “password”, or neither.")
    if smtp.user and smtp.security == "none" and smtp.server not in LOOPBACK_HOSTS:
        raise ConfigError(
            "[letter.smtp] would send the password unencrypted. Set security to starttls or tls."
        )
    return smtp


Setting = tuple[Callable[[Any], object], str]
"""Whether a value is correct (an error also means that it is not), and a description of one."""


def _check(
    place: str, settings: Mapping[str, Any], known: Mapping[str, Setting], required: tuple[str, ...]
) -> dict[str, Any]:
    """The values of a section. Raises ConfigError with section, setting, found and expected."""
    if unknown := sorted(set(settings) - set(known)):
        raise ConfigError(
            f"{place} has unknown settings: {', '.join(unknown)}. Known: {', '.join(known)}."
        )
    for key in required:
        if key not in settings:
            raise ConfigError(f"{place} lacks “{key}”: expected {known[key][1]}.")
    return {key: _check_value(place, key, value, known[key]) for key, value in settings.items()}


def _check_value(place: str, key: str, value: Any, setting: Setting) -> Any:
    is_valid, expected = setting
    try:
        expanded = expand_variable(value) if isinstance(value, str) else value
        if is_valid(expanded):
            return expanded
    except UnsetVariable as error:
        message = f"{place} “{key}” is {error}, which is not set in the environment."
        raise ConfigError(message) from None
    except (AttributeError, KeyError, TypeError, ValueError, httpx2.InvalidURL):  # of what reads it
        pass
    found = "" if key in SECRET_KEYS else f" = {value!r}"
    raise ConfigError(f"{place} {key}{found}: expected {expected}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_url(value: Any) -> bool:
    """https, or http on this machine."""
    url = httpx2.URL(value)
    is_local = url.scheme == "http" and url.host in LOOPBACK_HOSTS
    return bool(url.host) and (url.port or 1) < 65_536 and (url.scheme == "https" or is_local)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


MAIL_PATTERN = re.compile(r"[!-~]+@[!-~]+")
"""One address in ASCII. What could end a header or a command of SMTP is none."""

URL = (_is_url, "an https address")
ZONE = (ZoneInfo, 'the name of a time zone, such as "Europe/Berlin"')
TEXT = (_is_text, "a text")
ASCII = (lambda value: _is_text(value) and value.isascii(), "letters, digits and signs of ASCII")
BOOL = (_is_bool, "true or false")
MAIL_ADDRESS = (
    lambda value: MAIL_PATTERN.fullmatch(value) and not set(value) & set('<>"(),:;\\'),
    'one email address, such as "it-alerts@example.com"',
)

LETTER_SETTINGS: dict[str, Setting] = {
    "address": (_is_url, "the https address of Rollcall, for the links"),
    "zone": ZONE,
}
SMTP_SETTINGS: dict[str, Setting] = {
    "server": (_is_text, 'the name of a mail server, such as "smtp.example.com"'),
    "port": (lambda value: type(value) is int and 0 < value < 65_536, "a port number"),
    "security": (DEFAULT_PORTS.__contains__, f"one of {', '.join(DEFAULT_PORTS)}"),
    "user": ASCII,
    "password": ASCII,
    "from": MAIL_ADDRESS,
}
RECIPIENT_SETTINGS: dict[str, Setting] = {
    "role": (ROLES.__contains__, f"one of {', '.join(ROLES)}"),
    "integrations": (_are_texts, 'a list of integrations, such as ["figma", "slack"]'),
    "at": (
        lambda value: value == "never" or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value),
        'a local time, such as "07:30", or "never"',
    ),
    "zone": ZONE,
    "alarms": BOOL,
    "all_is_well": BOOL,
    "mail": MAIL_ADDRESS,
    "slack": (_is_url, "the address of an incoming webhook of Slack"),
    "teams": (_is_url, "the address of a Teams workflow that starts on a webhook request"),
    "apprise": (_is_text, "an address that Apprise knows"),
    "webhook": URL,
    "secret": (
        webhook_key,
        "whsec_ and 24 to 64 bytes in base64. To create one: "
        "python3 -c 'import base64, secrets; "
        'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\'',
    ),
}
