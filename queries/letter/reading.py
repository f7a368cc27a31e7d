"""What the items of a letter are read from: the store as its reader sees it, and the period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from data.access.roles import Permission, Principal
from data.home import printable
from data.inbox.schedule import PullStatus, pull_statuses
from data.records.exceptions import RuleSettings, read_rule_settings
from queries.changes.window import Window, known_windows
from queries.letter.letter import Link
from queries.objectives.results import ObjectiveResult, objective_results
from queries.scope import Scope

MAX_NAME_LENGTH = 60
"""Characters of a text from the data, such as the name of an integration."""

MAX_NAMES = 3
"""Integrations, or reasons, that one item names."""


@dataclass(frozen=True)
class Reading:
    """The store as a reader sees it, between two moments (naive UTC)."""

    con: Connection  # restricted to what the reader may see
    reader: Principal
    since: datetime
    until: datetime
    pulls: Mapping[str, PullStatus] = field(default_factory=lambda: dict(pull_statuses))

    @cached_property
    def windows(self) -> Sequence[Window]:
        """The period, with what was loaded late; see `known_windows`."""
        return known_windows(self.con, self.since, self.until)

    @cached_property
    def rule_settings(self) -> RuleSettings:
        """The settings of the review rules."""
        return read_rule_settings(self.con)

    @cached_property
    def broken_objectives(self) -> Sequence[ObjectiveResult]:
        """The objectives that are broken at the end."""
        results = objective_results(self.con, Scope(as_of=self.until))
        return [result for result in results if result.status == "broken"]

    def can(self, *permissions: Permission) -> bool:
        """Whether the reader has all of them."""
        return all(map(self.reader.is_allowed, permissions))

    def link(self, permission: Permission, page: str, *params: tuple[str, str]) -> Link | None:
        """An address, if the reader may open the page."""
        return Link(page, params) if self.can(permission) else None


def plain(text: str, most: int = MAX_NAME_LENGTH) -> str:
    """A text from the data on one line, without invisible characters, cut off."""
    line = printable(text)
    return line if len(line) <= most else f"{line[:most]}…"


def listing(names: Sequence[str]) -> str:
    """`figma, slack and others`; a number of the others would have nothing to open."""
    shown = [plain(name) for name in names[:MAX_NAMES]]
    if len(names) > MAX_NAMES:
        return f"{', '.join(shown)} and others"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
