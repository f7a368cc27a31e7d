"""A mapping of one's own: which heading of an integration's files is which column.

It is a small TOML file, `<home>/mappings/<integration>.toml`, whether a person made it on the
Snapshots page or in an editor. It holds for every file of the integration with such headings.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, case, func

from data.files.errors import InvalidMapping
from data.files.headers import CREDENTIAL_PATTERN, HEADING_ALIASES, heading_key, match_columns
from data.home import Home
from data.states import STATE_NAMES
from data.tempfiles import write_atomically

MAPPABLE_COLUMNS = tuple(name for name in HEADING_ALIASES if name != "state_source")
"""What a heading can be, in the order in which a person is asked."""

ACTIVE_VALUES = ("yes", "no", "unknown")

HEADING_PATTERNS: dict[str, str] = {
    "username_in_app": r"user ?name|log ?in|sam ?account|account ?name|user ?id|benutzer ?name"
    r"|anmelde|kennung|identifiant|usuario|nutzer",
    "user_email": r"e ?mail|courriel|correo|^mail|mail$",
    "user_name": r"full ?name|display ?name|^name$|person|employee$|vollst|nom complet|nombre",
    "roles": r"role|rolle|group|gruppe|permission|profil|access|berechtig|licen[cs]e|r[oô]le",
    "active_in_app": r"active|enabled|aktiv|actif|activo",
    "upstream_user_id": r"upstream|external|employee ?(id|num)|personal ?nummer|object ?id",
    "provisioning_state": r"provision|state|status|zustand|[eé]tat|estado",
    "state_reason": r"reason|message|grund|error|comment",
    "last_updated": r"updated|modified|changed|ge[aä]ndert|modifi|last ?(change|sync)",
    "account_id": r"account ?(id|num)|guid|uuid|^id$",
}
"""Column → what headings of it look like, in the languages that came by. The first wins."""


@dataclass(frozen=True)
class ColumnMapping:
    """A mapping. What it does not say, the headings do."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → heading; roles can have several, and none means that the file does not have it."""
    states: Mapping[str, str] = field(default_factory=dict)  # text, lower case → a state's name
    active: Mapping[str, str] = field(default_factory=dict)  # text, lower case → yes, no, unknown

    def match_headings(self, headings: Iterable[str]) -> dict[str, str]:
        """Snapshot column → heading, of the file; of several, the first."""
        headings = list(headings)
        by_key = {heading_key(heading): heading for heading in reversed(headings)}
        headings_by_column = {
            name: [
                by_key[heading_key(wanted_heading)]
                for wanted_heading in wanted_headings
                if heading_key(wanted_heading) in by_key
            ]
            for name, wanted_headings in self.columns.items()
        }
        mapped = {name: present[0] for name, present in headings_by_column.items() if present}
        mapped_headings = set(self.mapped_headings(headings))
        other_headings = [heading for heading in headings if heading not in mapped_headings]
        guessed = {n: h for n, h in match_columns(other_headings).items() if n not in self.columns}
        return guessed | mapped

    def missing_headings(self, headings: Iterable[str]) -> list[str]:
        """Headings that it names and the file lacks."""
        present_keys = set(map(heading_key, headings))
        return [
            wanted_heading
            for wanted_headings in self.columns.values()
            for wanted_heading in wanted_headings
            if heading_key(wanted_heading) not in present_keys
        ]

    def mapped_headings(self, headings: Iterable[str]) -> list[str]:
        """The file's headings that it names."""
        wanted_keys = {
            heading_key(wanted_heading)
            for names in self.columns.values()
            for wanted_heading in names
        }
        return [heading for heading in headings if heading_key(heading) in wanted_keys]

    def cell(self, name: str, cells: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        """What the file says in a column, in words that every file uses."""
        column_headings = self.match_headings(cells)
        if name == "roles" and len(self.columns.get("roles", ())) > 1:
            by_key = {heading_key(heading): cell for heading, cell in cells.items()}
            role_cells = [
                by_key[heading_key(wanted_heading)]
                for wanted_heading in self.columns["roles"]
                if heading_key(wanted_heading) in by_key
            ]
            return func.concat_ws(
                ";", *(func.nullif(func.trim(role_cell), "") for role_cell in role_cells)
            )
        cell = cells[column_headings[name]]
        if name == "provisioning_state":
            return _translate(cell, self.states)
        return _translate(cell, self.active) if name == "active_in_app" else cell

    def as_toml(self) -> str:
        """As a file says it; strings of TOML are strings of JSON."""
        lines = ["[columns]"]
        for name, headings in self.columns.items():
            value = headings[0] if len(headings) == 1 else list(headings)
            lines.append(f"{name} = {_toml_quote(value)}")
        for section, translations in (("states", self.states), ("active", self.active)):
            if translations:
                lines += ["", f"[{section}]"]
                lines += [
                    f"{_toml_quote(text)} = {_toml_quote(name)}"
                    for text, name in translations.items()
                ]
        return "\n".join(lines) + "\n"


NO_MAPPING = ColumnMapping()


def guess_columns(headings: Sequence[str]) -> dict[str, str]:
    """Snapshot column → the heading that most looks like it; for a person to confirm."""
    guessed = match_columns(headings)
    remaining = [
        h for h in headings if h not in guessed.values() and not CREDENTIAL_PATTERN.search(h)
    ]
    for name, pattern in HEADING_PATTERNS.items():
        if name in guessed or (name == "user_name" and "user_text" in guessed):
            continue
        heading_pattern = re.compile(pattern)
        for heading in remaining:
            if heading_pattern.search(re.sub(r"[\s_\-.]+", " ", heading).casefold().strip()):
                guessed[name] = heading
                remaining.remove(heading)
                break
    return guessed


def parse_mapping(text: str) -> ColumnMapping:
    """A mapping as a file says it. Raises NotMapped, with what is wrong with it."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise InvalidMapping(f"The mapping is no TOML: {error}.") from error
    if unknown := set(document) - {"columns", "states", "active"}:
        raise InvalidMapping(f"The mapping has a section [{min(unknown)}]; {EXPECTED_SECTIONS}")
    columns = {
        name: _read_headings(name, value)
        for name, value in _read_section(document, "columns").items()
    }
    states = _read_translations(document, "states", {name.casefold(): name for name in STATE_NAMES})
    return ColumnMapping(
        columns,
        states,
        _read_translations(document, "active", {word: word for word in ACTIVE_VALUES}),
    )


EXPECTED_SECTIONS = "expected [columns], [states] and [active]."


def mapping_path(home: Home, integration: str) -> Path:
    """Where the mapping of an integration lies, if it has one."""
    return home.root / "mappings" / f"{integration}.toml"


def read_mapping(home: Home, integration: str) -> ColumnMapping | None:
    """The mapping of an integration; None where it has none. Raises NotMapped."""
    if not integration or "/" in integration or "\0" in integration:
        return None
    try:
        text = mapping_path(home, integration).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError) as error:
        raise InvalidMapping(f"The mapping of {integration} cannot be read: {error}.") from error
    try:
        return parse_mapping(text)
    except InvalidMapping as error:
        raise InvalidMapping(f"mappings/{integration}.toml: {error}") from error


def save_mapping(home: Home, integration: str, mapping: ColumnMapping) -> None:
    """Save the mapping for all future files of the integration."""
    path = mapping_path(home, integration)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_text(mapping.as_toml(), encoding="utf-8")


def _translate(cell: ColumnElement[Any], translations: Mapping[str, str]) -> ColumnElement[Any]:
    if not translations:
        return cell
    lower_text = func.lower(func.trim(cell))
    return func.coalesce(
        case(*((lower_text == text, translation) for text, translation in translations.items())),
        cell,
    )


def _toml_quote(value: Any) -> str:
    """As JSON, which TOML reads; but for one character, that it wants spelled out."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _read_section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise InvalidMapping(f"The mapping says “{name}” is no section; {EXPECTED_SECTIONS}")
    return section


def _read_headings(name: str, value: Any) -> tuple[str, ...]:
    if name not in HEADING_ALIASES:
        raise InvalidMapping(
            f"The mapping names a column {name}; expected one of {', '.join(MAPPABLE_COLUMNS)}."
        )
    headings = [*value] if isinstance(value, list) else [value] if value != "" else []
    if not all(isinstance(heading, str) and heading.strip() for heading in headings):
        raise InvalidMapping(f"The mapping of {name} is no heading.")
    if len(headings) > 1 and name != "roles":
        raise InvalidMapping(f"The mapping of {name} has several headings; only roles can.")
    if credential_heading := next(filter(CREDENTIAL_PATTERN.search, headings), None):
        raise InvalidMapping(
            f"“{credential_heading}” is named like a credential, which is never stored."
        )
    return tuple(headings)


def _read_translations(
    document: Mapping[str, Any], section: str, names_by_key: Mapping[str, str]
) -> dict[str, str]:
    translations = {}
    for text, value in _read_section(document, section).items():
        value_text = "yes" if value is True else "no" if value is False else str(value)
        if value_text.replace("_", " ").casefold() not in names_by_key:
            raise InvalidMapping(
                f"[{section}] “{text}” = “{value}”: expected {', '.join(names_by_key.values())}."
            )
        translations[text.casefold().strip()] = names_by_key[
            value_text.replace("_", " ").casefold()
        ]
    return translations
