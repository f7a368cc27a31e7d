"""What a letter says: a few items, each a count with the address that opens exactly that many."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from urllib.parse import urlencode

from data.formatting import iso_z

Severity = Literal["alarm", "bad", "note", "good"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""How bad an item is: an alarm, something that somebody should look at, a fact, good news."""

MAX_LINES = 12
"""Items in a letter; a link opens the others."""


@dataclass(frozen=True)
class Link:
    """A page of the app, and the parameters of its address."""

    page: str
    params: tuple[tuple[str, str], ...] = ()

    def url(self, base_url: str) -> str:
        """The address. Whoever opens it signs in first, as on every page."""
        query = f"?{urlencode(self.params)}" if self.params else ""
        return f"{base_url.rstrip('/')}/{self.page}{query}"


@dataclass(frozen=True)
class Item:
    """One line of a letter. Texts can quote the data: they are plain text, never markup."""

    kind: str  # one of kinds.KINDS
    key: str
    """Names an alarm in all letters, such as `silent:figma`; and an event within its letter."""
    severity: Severity
    text: str  # begins with the count, where it has one; it is the link
    detail: str = ""  # follows the text
    count: int | None = None  # what the link opens
    link: Link | None = None  # None where the recipient may not open the page
    integration: str | None = None  # None: several
    is_ongoing: bool = False
    """Whether it is an alarm, which lasts until it ends, and not an event of the period."""


@dataclass(frozen=True)
class Letter:
    """What changed between two moments (naive UTC), the worst first."""

    since: datetime
    until: datetime
    items: tuple[Item, ...] = ()
    zone: str = "UTC"
    """IANA name of the time zone in which times are written."""

    def params(self) -> tuple[tuple[str, str], ...]:
        """The period as parameters of an address."""
        return ("from", iso_z(self.since)), ("to", iso_z(self.until))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened, so that no letter is sent."""
        return not self.items

    @property
    def shown(self) -> tuple[Item, ...]:
        """The items that the letter has room for."""
        return self.items[:MAX_LINES]

    @property
    def remaining(self) -> int:
        """The number of the other items."""
        return len(self.items) - len(self.shown)

    @property
    def alarms(self) -> frozenset[str]:
        """The keys of the alarms that the letter names."""
        return frozenset(item.key for item in self.items if item.is_ongoing)
