"""Mappings: which heading of an integration's files is which column, and what its values mean.

A mapping is a small TOML file, `<home>/mappings/<integration>.toml`, written on the Snapshots page
or in an editor. It applies to every file of the integration that has such headings.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, case, func

from data.files.errors import InvalidMapping
from data.files.headers import OWN_HEADINGS, heading_key, is_credential
from data.home import Home, is_safe_name, safe_name
from data.states import STATE_NAMES
from data.tempfiles import write_atomically

MAPPABLE_COLUMNS = tuple(name for name in OWN_HEADINGS if name != "state_source")
"""The columns that a heading can map to, in the order of the form."""

JOINED_COLUMNS = {"roles": ";", "user_name": " "}
"""The columns that can have several headings → what is between their values."""

ACTIVE_VALUES = ("yes", "no", "unknown")
CHOICES = ("read_as", "sheet")
SECTIONS = ("columns", "states", "active")
EXPECTED_PARTS = "expected read_as, sheet, [columns], [states] and [active]."


@dataclass(frozen=True)
class ColumnMapping:
    """A mapping. The headings themselves decide what it leaves out."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → headings, several for JOINED_COLUMNS. None means that files lack the column."""
    states: Mapping[str, str] = field(default_factory=dict)  # text, lower case → name of a state
    active: Mapping[str, str] = field(default_factory=dict)  # text, lower case → yes, no, unknown
    read_as: str = ""  # the source that a person chose; empty where the content decides
    sheet: str = ""  # the sheet of a workbook that a person chose; empty where the content decides

    @property
    def ignores_ids(self) -> bool:
        """Whether accounts are identified by username, although files have IDs."""
        return self.columns.get("account_id") == ()

    def ignoring_ids(self) -> "ColumnMapping":
        """The same mapping, but accounts are identified by username."""
        return replace(self, columns={**self.columns, "account_id": ()})

    def present(self, name: str, headings: Iterable[str]) -> tuple[str, ...]:
        """The file's headings for a column, in the order of the mapping."""
        by_key = {heading_key(heading): heading for heading in reversed(list(headings))}
        keys = map(heading_key, self.columns[name])
        found = tuple(by_key[key] for key in keys if key in by_key)
        return found if name in JOINED_COLUMNS else found[:1]

    def columns_with_headings(self) -> dict[str, tuple[str, ...]]:
        """The columns that a file has."""
        return {name: headings for name, headings in self.columns.items() if headings}

    def missing_headings(self, headings: Iterable[str]) -> list[str]:
        """Headings of the mapping that the file lacks."""
        present = set(map(heading_key, headings))
        wanted = (heading for names in self.columns.values() for heading in names)
        return [heading for heading in wanted if heading_key(heading) not in present]

    def with_columns(
        self, columns: Mapping[str, tuple[str, ...]], active: Mapping[str, str] | None = None
    ) -> "ColumnMapping":
        """The mapping with these headings of one file, and these active values."""
        return replace(self, columns=columns, active=self.active if active is None else active)

    def cell(self, name: str, cells: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        """The value of a column, with the mapping's states and active values translated."""
        found = [cells[heading] for heading in self.columns[name]]
        if len(found) > 1:
            parts = (func.nullif(func.trim(cell), "") for cell in found)
            return func.nullif(func.concat_ws(JOINED_COLUMNS[name], *parts), "")
        if name == "provisioning_state":
            return _translate(found[0], self.states)
        return _translate(found[0], self.active) if name == "active_in_app" else found[0]

    def as_toml(self) -> str:
        """The mapping as a file."""
        choices = {name: getattr(self, name) for name in CHOICES}
        lines = [f"{name} = {_toml_quote(value)}" for name, value in choices.items() if value]
        lines += [*[""] * bool(lines), "[columns]"]
        for name, headings in self.columns.items():
            value = headings[0] if len(headings) == 1 else list(headings)
            lines.append(f"{name} = {_toml_quote(value)}")
        for section, values in (("states", self.states), ("active", self.active)):
            if values:
                lines += ["", f"[{section}]"]
                lines += [f"{_toml_quote(text)} = {_toml_quote(v)}" for text, v in values.items()]
        return "\n".join(lines) + "\n"


NO_MAPPING = ColumnMapping()


def mapping_path(home: Home, integration: str) -> Path:
    """The file of an integration's mapping, whether it exists or not. Raises UnknownSnapshot."""
    return home.root / "mappings" / f"{safe_name(integration)}.toml"


def read_mapping(home: Home, integration: str) -> ColumnMapping | None:
    """The mapping of an integration; None where it has none. Raises InvalidMapping."""
    if not is_safe_name(integration):
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
    """Use the mapping for all further files of the integration. Raises UnknownSnapshot."""
    path = mapping_path(home, integration)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_text(mapping.as_toml(), encoding="utf-8")


def parse_mapping(text: str) -> ColumnMapping:
    """The mapping in the text of a file. Raises InvalidMapping."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise InvalidMapping(f"The mapping is not valid TOML: {error}.") from error
    if unknown := set(document) - {*CHOICES, *SECTIONS}:
        raise InvalidMapping(f"The mapping has a section [{min(unknown)}]; {EXPECTED_PARTS}")
    choices = {name: document.get(name, "") for name in CHOICES}
    if not all(isinstance(choice, str) for choice in choices.values()):
        raise InvalidMapping("read_as and sheet of the mapping must be text.")
    columns, states, active = (document.get(section, {}) for section in SECTIONS)
    if not all(isinstance(section, dict) for section in (columns, states, active)):
        raise InvalidMapping(f"A part of the mapping is not a section; {EXPECTED_PARTS}")
    return ColumnMapping(
        {name: _parse_headings(name, value) for name, value in columns.items()},
        _parse_values("states", states, STATE_NAMES),
        _parse_values("active", active, ACTIVE_VALUES),
        **choices,
    )


def _parse_headings(name: str, value: Any) -> tuple[str, ...]:
    if name not in OWN_HEADINGS:
        expected = ", ".join(MAPPABLE_COLUMNS)
        raise InvalidMapping(f"The mapping has a column {name}; expected one of {expected}.")
    headings = [*value] if isinstance(value, list) else [value] if value != "" else []
    if not all(isinstance(heading, str) and heading.strip() for heading in headings):
        raise InvalidMapping(f"The mapping of {name} is not a heading.")
    if len(headings) > 1 and name not in JOINED_COLUMNS:
        allowed = " and ".join(JOINED_COLUMNS)
        raise InvalidMapping(f"The mapping of {name} has several headings; only {allowed} can.")
    if credential := next(filter(is_credential, headings), None):
        raise InvalidMapping(f"“{credential}” is named like a credential, which is never stored.")
    return tuple(headings)


def _parse_values(section: str, values: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    names_by_key = {name.casefold(): name for name in names}
    parsed = {}
    for text, value in values.items():
        value_text = "yes" if value is True else "no" if value is False else str(value)
        name = names_by_key.get(value_text.replace("_", " ").casefold())
        if name is None:
            raise InvalidMapping(f"[{section}] “{text}” = “{value}”: expected {', '.join(names)}.")
        parsed[text.casefold().strip()] = name
    return parsed


def _translate(cell: ColumnElement[Any], values: Mapping[str, str]) -> ColumnElement[Any]:
    if not values:
        return cell
    key = func.lower(func.trim(cell))
    return func.coalesce(case(*((key == text, value) for text, value in values.items())), cell)


def _toml_quote(value: Any) -> str:
    """A TOML string, or list of them: JSON, but TOML wants DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
