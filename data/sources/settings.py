"""The pulls that the secrets file configures."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from data.access.claims import ConfigError
from data.files.headers import CREDENTIAL_PATTERN
from data.home import is_safe_name
from data.secrets_file import UnsetVariable, expand_variable, read_secrets
from data.sources.http import PullFailed

INTERVAL_PATTERN = re.compile(r"(\d+) ?(m|h|d)(?:in\w*|our\w*|ay\w*)?")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MIN_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True)
class PullConfig:
    """The settings of one pull: a section `[pull.NAME]`."""

    integration: str
    source: str
    settings: Mapping[str, Any] = field(repr=False)  # as written; `$NAME` is in the environment
    interval: timedelta | None = None  # None where only a person, or cron, starts the pull

    def __getitem__(self, name: str) -> str:
        """A required setting. Raises PullFailed."""
        value = self.get(name)
        if not value:
            raise PullFailed(f"[pull.{self.integration}] lacks “{name}”.")
        return value

    def get(self, name: str, default: str = "") -> str:
        """A setting. Raises PullFailed where it names a variable that is not set."""
        raw_value = str(self.settings.get(name, default))
        try:
            return expand_variable(raw_value)
        except UnsetVariable as error:
            raise PullFailed(
                f"[pull.{self.integration}] “{name}” is {error}, which is not set in the "
                "environment."
            ) from None


def read_pull_configs(path: Path) -> list[PullConfig]:
    """The sections `[pull.NAME]` of a secrets file; none where there is no file.

    Raises PullFailed where the file is not valid.
    """
    try:
        sections = read_secrets(path).get("pull", {})
    except ConfigError as error:
        raise PullFailed(str(error)) from error
    if not isinstance(sections, dict) or not all(isinstance(s, dict) for s in sections.values()):
        raise PullFailed(f"{path}: expected sections like [pull.figma].")
    return [_parse_section(name, section) for name, section in sections.items()]


def _parse_section(name: str, section: Mapping[str, Any]) -> PullConfig:
    source, every = section.get("source"), section.get("every")
    if not is_safe_name(name):
        raise PullFailed(f"[pull.{name}] cannot name an integration, which is a folder's name.")
    if not source:
        raise PullFailed(f"[pull.{name}] lacks “source”.")
    if every is None:
        return PullConfig(name, str(source), section)
    parsed = INTERVAL_PATTERN.fullmatch(str(every).strip())
    interval = timedelta(**{UNITS[parsed[2]]: int(parsed[1])}) if parsed else timedelta()
    if interval < MIN_INTERVAL:
        raise PullFailed(f"[pull.{name}] every = “{every}”: expected 15m, 6h or 1d, at least 5m.")
    return PullConfig(name, str(source), section, interval)


def remove_credentials(value: Any) -> Any:
    """A payload without values that are named like a credential, at any depth."""
    if isinstance(value, list):
        return [remove_credentials(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: remove_credentials(item) for key, item in value.items() if not is_secret(key, item)
    }


def is_secret(key: str, value: Any) -> bool:
    """Whether a name is a credential's. Okta's `credentials` object contains the username."""
    is_container = key.casefold() == "credentials" and isinstance(value, dict)
    return bool(CREDENTIAL_PATTERN.search(key)) and not is_container
