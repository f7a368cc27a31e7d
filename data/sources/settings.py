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

from data.files.headers import CREDENTIAL
from data.sources.http import PullFailed

EVERY = re.compile(r"(\d+) ?(m|h|d)(?:in\w*|our\w*|ay\w*)?")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
SOONEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Pull:
    """One integration that is asked for its accounts."""

    integration: str
    source: str
    settings: Mapping[str, Any] = field(repr=False)  # as written; `$NAME` is the environment's
    every: timedelta | None = None  # None: only when a person, or cron, says so

    def __getitem__(self, name: str) -> str:
        """A setting that there has to be. Raises PullFailed."""
        found = self.get(name)
        if not found:
            raise PullFailed(f"[pull.{self.integration}] lacks “{name}”.")
        return found

    def get(self, name: str, usual: str = "") -> str:
        """A setting. Raises PullFailed where the environment lacks what it names."""
        written = str(self.settings.get(name, usual))
        if not written.startswith("$"):
            return written
        variable = written.strip("${}")
        if not os.environ.get(variable):
            raise PullFailed(
                f"[pull.{self.integration}] takes “{name}” from the environment, where "
                f"{variable} is not set."
            )
        return os.environ[variable]


def pulls_in(path: Path) -> list[Pull]:
    """The sections `[pull.NAME]` of a secrets file; none where there is no file.

    Raises PullFailed where it cannot be understood.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as fault:  # the text of a fault could quote a secret
        raise PullFailed(f"{path} cannot be read: it is no TOML.") from fault
    sections = told.get("pull", {})
    if not isinstance(sections, dict) or not all(isinstance(s, dict) for s in sections.values()):
        raise PullFailed(f"{path}: expected sections like [pull.figma].")
    return [_pull(name, section) for name, section in sections.items()]


def _pull(name: str, section: Mapping[str, Any]) -> Pull:
    if not section.get("source"):
        raise PullFailed(f"[pull.{name}] does not say its source.")
    return Pull(name, str(section["source"]), section, _every(name, section.get("every")))


def _every(name: str, text: Any) -> timedelta | None:
    if text is None:
        return None
    found = EVERY.fullmatch(str(text).strip())
    every = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if every < SOONEST:
        raise PullFailed(f"[pull.{name}] every = “{text}”: expected 15m, 6h or 1d, at least 5m.")
    return every


def cleansed(value: Any) -> Any:
    """A payload without the values of what is named like a credential, at any depth."""
    if isinstance(value, list):
        return [cleansed(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: cleansed(each) for key, each in value.items() if not is_secret(key, each)}


def is_secret(key: str, value: Any) -> bool:
    """By its name. Okta's `credentials` are an object that holds the username, too."""
    is_holder = key.casefold() == "credentials" and isinstance(value, dict)
    return bool(CREDENTIAL.search(key)) and not is_holder
