"""What can be pulled, as a section of the secrets names it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from data.files.headers import CREDENTIAL_PATTERN
from data.sources.http import PullFailed

INTERVAL_PATTERN = re.compile(r"(\d+) ?(m|h|d)(?:in\w*|our\w*|ay\w*)?")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MIN_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True)
class PullConfig:
    """One integration that is asked for its accounts."""

    integration: str
    source: str
    settings: Mapping[str, Any] = field(repr=False)  # as written; `$NAME` is the environment's
    interval: timedelta | None = None  # None: only when a person, or cron, says so

    def __getitem__(self, name: str) -> str:
        """A setting that there has to be. Raises PullFailed."""
        value = self.get(name)
        if not value:
            raise PullFailed(f"[pull.{self.integration}] lacks “{name}”.")
        return value

    def get(self, name: str, default: str = "") -> str:
        """A setting. Raises PullFailed where the environment lacks what it names."""
        raw_value = str(self.settings.get(name, default))
        if not raw_value.startswith("$"):
            return raw_value
        variable = raw_value.strip("${}")
        if not os.environ.get(variable):
            raise PullFailed(
                f"[pull.{self.integration}] takes “{name}” from the environment, where "
                f"{variable} is not set."
            )
        return os.environ[variable]


def read_pull_configs(path: Path) -> list[PullConfig]:
    """The sections `[pull.NAME]` of a secrets file; none where there is no file.

    Raises PullFailed where it cannot be understood.
    """
    try:
        secrets = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:  # the text of a fault could quote a secret
        raise PullFailed(f"{path} cannot be read: it is no TOML.") from error
    sections = secrets.get("pull", {})
    if not isinstance(sections, dict) or not all(isinstance(s, dict) for s in sections.values()):
        raise PullFailed(f"{path}: expected sections like [pull.figma].")
    return [_parse_section(name, section) for name, section in sections.items()]


def _parse_section(name: str, section: Mapping[str, Any]) -> PullConfig:
    if not section.get("source"):
        raise PullFailed(f"[pull.{name}] does not say its source.")
    return PullConfig(
        name, str(section["source"]), section, _parse_interval(name, section.get("every"))
    )


def _parse_interval(name: str, text: Any) -> timedelta | None:
    if text is None:
        return None
    parsed = INTERVAL_PATTERN.fullmatch(str(text).strip())
    interval = timedelta(**{UNITS[parsed[2]]: int(parsed[1])}) if parsed else timedelta()
    if interval < MIN_INTERVAL:
        raise PullFailed(f"[pull.{name}] every = “{text}”: expected 15m, 6h or 1d, at least 5m.")
    return interval


def remove_credentials(value: Any) -> Any:
    """A payload without the values of what is named like a credential, at any depth."""
    if isinstance(value, list):
        return [remove_credentials(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: remove_credentials(item) for key, item in value.items() if not is_secret(key, item)
    }


def is_secret(key: str, value: Any) -> bool:
    """By its name. Okta's `credentials` are an object that holds the username, too."""
    is_container = key.casefold() == "credentials" and isinstance(value, dict)
    return bool(CREDENTIAL_PATTERN.search(key)) and not is_container
