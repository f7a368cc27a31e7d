"""Objectives: what provisioning has to keep to, for all integrations or for one.

They are defined in objectives.toml beside the secrets file, and edited on Health; what is edited
is in the records, and wins. queries/objectives/ measures them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from data.records.settings import read_setting, save_setting
from data.secrets_file import secrets_path
from data.states import OPERATIONS
from data.values.durations import (
    EXPECTED_DURATION,
    duration_key,
    duration_text,
    parse_duration,
)

Part = Literal["percent", "within"]
Source = Literal["default", "file", "edited"]


class Kind(NamedTuple):
    """A kind of objective."""

    name: str  # in files and addresses
    title: str
    parts: tuple[Part, ...]
    """What defines an objective of the kind."""
    words: str
    """The objective, with its parts in words."""


KINDS: tuple[Kind, ...] = (
    *(
        Kind(
            name,
            f"{name.capitalize()} jobs",
            ("percent", "within"),
            f"at least {{percent}} of {name} jobs within {{within}}",
        )
        for name in OPERATIONS
    ),
    Kind("failing", "Failing accounts", ("percent",), "at most {percent} of accounts failing"),
    Kind("failing_for", "Failing for long", ("within",), "no account failing for {within}"),
    Kind("leavers", "Leavers", ("within",), "no leaver active after {within}"),
    Kind("snapshot", "Snapshots", ("within",), "a snapshot at least every {within}"),
)
KIND_BY_NAME = {kind.name: kind for kind in KINDS}

ALL = "all"
"""The section of the file for all integrations."""
SECTIONS = (ALL, "integration")
SETTING = "objectives"


class Objective(NamedTuple):
    """The numbers of an objective; those that its kind does not have are None."""

    percent: float | None = None
    within: timedelta | None = None


class Defined(NamedTuple):
    """An objective of an integration, and where it is from. Without one, it is turned off."""

    objective: Objective | None
    source: Source


USUAL = Objective()
"""Of snapshots: twice the usual interval."""

DEFAULTS = {"failing_for": Objective(within=timedelta(days=7)), "snapshot": USUAL}


class Entry(NamedTuple):
    """What a file or the records say of a kind."""

    integration: str  # empty: all
    kind: str
    objective: Objective | None  # None: turned off


class InvalidObjective(Exception):
    """A value of an objective is wrong; the message names it, and what is expected."""


@dataclass(frozen=True)
class Objectives:
    """All objectives, and what is wrong with their file."""

    edited: tuple[Entry, ...] = ()
    file: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()

    def of(self, integration: str) -> dict[str, Defined]:
        """Kind → the objective of an integration: its own before that for all."""
        found: dict[str, Defined] = {}
        for name in (integration, ""):
            own = {e.kind: Defined(e.objective, "file") for e in self.file if e.integration == name}
            for entry in self.edited:
                if entry.integration == name:
                    own[entry.kind] = Defined(entry.objective, "edited")
            found = own | found
        for kind, objective in DEFAULTS.items():
            found.setdefault(kind, Defined(objective, "default"))
        return {kind: found[kind] for kind in KIND_BY_NAME if kind in found}


# ---- words ---------------------------------------------------------------------------------------


def percent_text(percent: float) -> str:
    """`95%`, `99.5%`."""
    return f"{percent:.4g}%"


def target_text(kind: Kind, objective: Objective, within: str = "") -> str:
    """An objective in words; `within` in place of its duration."""
    percent = percent_text(objective.percent) if objective.percent is not None else ""
    if not within and objective.within:
        within = duration_text(duration_key(objective.within))
    return kind.words.format(percent=percent, within=within or "twice the usual interval")


# ---- the file ------------------------------------------------------------------------------------


def objectives_path() -> Path:
    """The file, beside the secrets."""
    return secrets_path().with_name("objectives.toml")


def read_objectives(con: Connection, path: Path | None = None) -> Objectives:
    """All objectives. What is wrong in the file is left out, and told in `problems`."""
    file, problems = _read_file(path or objectives_path())
    edited, _ = parse_sections(read_setting(con, SETTING) or {})
    return Objectives(tuple(edited), tuple(file), tuple(problems))


def _read_file(path: Path) -> tuple[list[Entry], list[str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        return [], [f"{path.name} cannot be read: {error.strerror}."]
    except ValueError as error:
        return [], [f"{path.name} is not valid TOML: {error}."]
    unknown = sorted(set(document) - set(SECTIONS))
    problems = [
        f"[{name}]: expected [{ALL}], or [integration.NAME] with the name of one."
        for name in unknown
    ]
    own = document.get("integration", {})
    sections = {"": document.get(ALL, {}), **(own if isinstance(own, dict) else {"": own})}
    entries, more = parse_sections(sections)
    return entries, [f"{path.name}, {problem}" for problem in (*problems, *more)]


def parse_sections(sections: Mapping[str, Any]) -> tuple[list[Entry], list[str]]:
    """The valid objectives of sections, by integration or empty for all, and what is wrong."""
    entries, problems = [], []
    for name, section in sections.items():
        place = f"[integration.{name}]" if name else f"[{ALL}]"
        if not isinstance(section, dict):
            problems.append(f"{place}: found {section!r}; expected objectives below it.")
            continue
        for kind, value in section.items():
            try:
                entries.append(Entry(name, kind, parse_objective(kind, value)))
            except InvalidObjective as error:
                problems.append(f"{place} {error}")
    return entries, problems


def parse_objective(kind_name: str, value: Any) -> Objective | None:
    """The objective that a value defines; None where it is false. Raises InvalidObjective."""
    kind = KIND_BY_NAME.get(kind_name)
    if kind is None:
        raise InvalidObjective(f"{kind_name}: expected one of {', '.join(KIND_BY_NAME)}.")
    if value is False:
        return None
    if kind_name == "snapshot" and value == {}:
        return USUAL
    if not isinstance(value, dict) or set(value) != set(kind.parts):
        example = ", ".join(f"{part} = {EXAMPLES[part]}" for part in kind.parts)
        raise InvalidObjective(f"{kind_name}: found {value!r}; expected {{ {example} }} or false.")
    parsed = {part: PARSERS[part](value[part]) for part in kind.parts}
    for part, number in parsed.items():
        if number is None:
            raise InvalidObjective(
                f"{kind_name}.{part}: found {value[part]!r}; expected {EXPECTED[part]}."
            )
    return Objective(**parsed)


def _parse_percent(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 100 else None


PARSERS: dict[str, Callable[[Any], Any]] = {"percent": _parse_percent, "within": parse_duration}
EXPECTED: dict[str, str] = {
    "percent": "a number above 0 and below 100",
    "within": EXPECTED_DURATION,
}
EXAMPLES: dict[str, str] = {"percent": "95", "within": '"4h"'}


# ---- what is edited ------------------------------------------------------------------------------


def objective_value(objective: Objective | None) -> Any:
    """An objective as files and records have it."""
    if objective is None:
        return False
    within = duration_key(objective.within) if objective.within else None
    values = {"percent": objective.percent, "within": within}
    return {name: value for name, value in values.items() if value is not None}


def save_objectives(
    engine: sa.Engine, integration: str, edited: Mapping[str, Objective | None]
) -> None:
    """Set what is edited for an integration, or with an empty name for all; the rest is reset."""
    with engine.connect() as con:
        sections = dict(read_setting(con, SETTING) or {})
    sections[integration] = {kind: objective_value(value) for kind, value in edited.items()}
    save_setting(engine, SETTING, {name: values for name, values in sections.items() if values})
