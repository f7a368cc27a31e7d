"""What the items of a letter are read from: the store as its reader sees it, and the period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from data.access.roles import Permission, Principal
from data.formatting import iso_z
from data.home import printable
from data.inbox.pull import configured_pulls
from data.records.exceptions import RuleSettings, read_rule_settings
from data.records.pull_failures import PullFailure, read_pull_failures
from data.sources.http import PullFailed
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

    @cached_property
    def windows(self) -> Sequence[Window]:
        """The period, with what was loaded late; see `known_windows`."""
        return known_windows(self.con, self.since, self.until)

    def name_of(self, window: Window) -> str:
        """A name among the windows, short however many integrations it has."""
        return "" if window.since == self.since else iso_z(window.since)

    @cached_property
    def rule_settings(self) -> RuleSettings:
        """The settings of the review rules."""
        return read_rule_settings(self.con)

    @cached_property
    def missed_objectives(self) -> Sequence[ObjectiveResult]:
        """The objectives that are broken at the end, or will be at this rate."""
        results = objective_results(self.con, Scope(as_of=self.until))
        return [result for result in results if result.status != "met"]

    @cached_property
    def failing_pulls(self) -> Sequence[PullFailure]:
        """Of the pulls that are still configured, those that fail and that the reader starts."""
        try:
            configured = {pull.integration for pull in configured_pulls()}
        except PullFailed:  # the file is being edited
            configured = None
        return [
            failure
            for failure in read_pull_failures(self.con)
            if failure.since <= self.until
            and self.reader.is_allowed(Permission.LOAD_FILES, failure.integration)
            and (configured is None or failure.integration in configured)
        ]

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
