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

from data.files.errors import NotMapped
from data.files.headers import ALIASES, CREDENTIAL, columns_of, squash
from data.home import Home
from data.states import STATE_NAMES

COLUMNS = tuple(name for name in ALIASES if name != "state_source")
"""What a heading can be, in the order in which a person is asked."""

ACTIVE = ("yes", "no", "unknown")

WORDS: dict[str, str] = {
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
class Columns:
    """A mapping. What it does not say, the headings do."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → heading; roles can have several, and none means that the file does not have it."""
    states: Mapping[str, str] = field(default_factory=dict)  # text, lower case → a state's name
    active: Mapping[str, str] = field(default_factory=dict)  # text, lower case → yes, no, unknown

    def found_in(self, headings: Iterable[str]) -> dict[str, str]:
        """Snapshot column → heading, of the file; of several, the first."""
        headings = list(headings)
        by_key = {squash(heading): heading for heading in reversed(headings)}
        told = {
            name: [by_key[squash(w)] for w in wanted if squash(w) in by_key]
            for name, wanted in self.columns.items()
        }
        mapped = {name: there[0] for name, there in told.items() if there}
        taken = set(self.headings_in(headings))
        left = [heading for heading in headings if heading not in taken]
        guessed = {n: h for n, h in columns_of(left).items() if n not in self.columns}
        return guessed | mapped

    def missing_from(self, headings: Iterable[str]) -> list[str]:
        """Headings that it names and the file lacks."""
        there = set(map(squash, headings))
        return [w for wanted in self.columns.values() for w in wanted if squash(w) not in there]

    def headings_in(self, headings: Iterable[str]) -> list[str]:
        """The file's headings that it names."""
        wanted = {squash(each) for names in self.columns.values() for each in names}
        return [heading for heading in headings if squash(heading) in wanted]

    def cell(self, name: str, cells: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        """What the file says in a column, in words that every file uses."""
        found = self.found_in(cells)
        if name == "roles" and len(self.columns.get("roles", ())) > 1:
            by_key = {squash(heading): cell for heading, cell in cells.items()}
            there = [by_key[squash(w)] for w in self.columns["roles"] if squash(w) in by_key]
            return func.concat_ws(";", *(func.nullif(func.trim(each), "") for each in there))
        cell = cells[found[name]]
        if name == "provisioning_state":
            return _translated(cell, self.states)
        return _translated(cell, self.active) if name == "active_in_app" else cell

    def as_toml(self) -> str:
        """As a file says it; strings of TOML are strings of JSON."""
        lines = ["[columns]"]
        for name, wanted in self.columns.items():
            value = wanted[0] if len(wanted) == 1 else list(wanted)
            lines.append(f"{name} = {_quoted(value)}")
        for section, words in (("states", self.states), ("active", self.active)):
            if words:
                lines += ["", f"[{section}]"]
                lines += [f"{_quoted(text)} = {_quoted(name)}" for text, name in words.items()]
        return "\n".join(lines) + "\n"


NO_MAPPING = Columns()


def guess(headings: Sequence[str]) -> dict[str, str]:
    """Snapshot column → the heading that most looks like it; for a person to confirm."""
    found = columns_of(headings)
    left = [h for h in headings if h not in found.values() and not CREDENTIAL.search(h)]
    for name, pattern in WORDS.items():
        if name in found or (name == "user_name" and "user_text" in found):
            continue
        like = re.compile(pattern)
        for heading in left:
            if like.search(re.sub(r"[\s_\-.]+", " ", heading).casefold().strip()):
                found[name] = heading
                left.remove(heading)
                break
    return found


def columns_from(text: str) -> Columns:
    """A mapping as a file says it. Raises NotMapped, with what is wrong with it."""
    try:
        told = tomllib.loads(text)
    except ValueError as fault:
        raise NotMapped(f"The mapping is no TOML: {fault}.") from fault
    if unknown := set(told) - {"columns", "states", "active"}:
        raise NotMapped(f"The mapping has a section [{min(unknown)}]; {EXPECTED}")
    columns = {name: _headings(name, value) for name, value in _section(told, "columns").items()}
    states = _words(told, "states", {name.casefold(): name for name in STATE_NAMES})
    return Columns(columns, states, _words(told, "active", {word: word for word in ACTIVE}))


EXPECTED = "expected [columns], [states] and [active]."


def mapping_file(home: Home, integration: str) -> Path:
    """Where the mapping of an integration lies, if it has one."""
    return home.root / "mappings" / f"{integration}.toml"


def mapping_of(home: Home, integration: str) -> Columns | None:
    """The mapping of an integration; None where it has none. Raises NotMapped."""
    if not integration or "/" in integration or "\0" in integration:
        return None
    try:
        text = mapping_file(home, integration).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError) as fault:
        raise NotMapped(f"The mapping of {integration} cannot be read: {fault}.") from fault
    try:
        return columns_from(text)
    except NotMapped as fault:
        raise NotMapped(f"mappings/{integration}.toml: {fault}") from fault


def save_mapping(home: Home, integration: str, columns: Columns) -> None:
    """From now on, files of the integration are read so; the file is never seen half written."""
    file = mapping_file(home, integration)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(columns.as_toml(), encoding="utf-8")
    partial.replace(file)


def _translated(cell: ColumnElement[Any], words: Mapping[str, str]) -> ColumnElement[Any]:
    if not words:
        return cell
    said = func.lower(func.trim(cell))
    return func.coalesce(case(*((said == text, word) for text, word in words.items())), cell)


def _quoted(value: Any) -> str:
    """As JSON, which TOML reads; but for one character, that it wants spelled out."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = told.get(name, {})
    if not isinstance(section, dict):
        raise NotMapped(f"The mapping says “{name}” is no section; {EXPECTED}")
    return section


def _headings(name: str, value: Any) -> tuple[str, ...]:
    if name not in ALIASES:
        raise NotMapped(f"The mapping names a column {name}; expected one of {', '.join(COLUMNS)}.")
    wanted = [*value] if isinstance(value, list) else [value] if value != "" else []
    if not all(isinstance(each, str) and each.strip() for each in wanted):
        raise NotMapped(f"The mapping of {name} is no heading.")
    if len(wanted) > 1 and name != "roles":
        raise NotMapped(f"The mapping of {name} has several headings; only roles can.")
    if secret := next(filter(CREDENTIAL.search, wanted), None):
        raise NotMapped(f"“{secret}” is named like a credential, which is never stored.")
    return tuple(wanted)


def _words(told: Mapping[str, Any], section: str, known: Mapping[str, str]) -> dict[str, str]:
    words = {}
    for text, meant in _section(told, section).items():
        word = "yes" if meant is True else "no" if meant is False else str(meant)
        if word.replace("_", " ").casefold() not in known:
            raise NotMapped(
                f"[{section}] “{text}” = “{meant}”: expected {', '.join(known.values())}."
            )
        words[text.casefold().strip()] = known[word.replace("_", " ").casefold()]
    return words
