"""A proposal: which heading of a file is which column, why, and what a person should decide."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data.files.headers import column_title, ranks_of
from data.files.mapping import ColumnMapping
from data.files.relation import shorten
from data.formatting import count_of

MISNAMED = "{heading} is not read as {column}: it has {kind}."
GROUPS = "{heading} says that some rows are groups, not accounts. Check them."
ENDED = "{heading} has dates. Accounts with one may be deleted or disabled; check them."

MAX_QUOTED = 3  # headings in a sentence


@dataclass(frozen=True)
class Guess:
    """Headings that can be a column, and why."""

    headings: tuple[str, ...]
    reason: str
    is_likely: bool = False  # a form chooses the first heading until a person chooses another

    def sentence(self) -> str:
        """`“Kennung” (text, all different)`."""
        return f"{quote_headings(self.headings)} ({self.reason})"


@dataclass(frozen=True)
class Proposal:
    """How the columns of a file are read."""

    headings: tuple[str, ...]  # of the file
    mapping: ColumnMapping  # column → headings of the file; complete
    reasons: Mapping[str, str] = field(default_factory=dict)  # column found by its values → why
    unsure: Mapping[str, Guess] = field(default_factory=dict)  # column → what could be it
    look_alikes: Mapping[str, str] = field(default_factory=dict)  # unused heading → column
    contradictions: Mapping[str, int] = field(default_factory=dict)
    """Unused heading that says who is active or not → rows in which the used one says otherwise."""
    misnamed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Unused heading → the column that it names, and what its values are instead."""
    ends: tuple[str, ...] = ()  # unused headings that say when an account was deleted or disabled
    events: str = ""  # why the rows are events, not accounts
    kinds: Mapping[str, bool] = field(default_factory=dict)
    """Heading that says that some rows are groups → whether it says nothing else than kinds."""
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """State and activity columns → the file's own words, with the number of their rows."""

    def warnings(self) -> list[str]:
        """Sentences on columns that contradict each other."""
        active = quote_headings(self.mapping.columns.get("active_in_app", ()))
        contradictions = [
            f"{quote_headings([heading])} says {'yes' if says_inactive(heading) else 'no'} in "
            f"{count_of(rows, 'row')} in which {active} says that the account is active. "
            "Map columns."
            for heading, rows in self.contradictions.items()
        ]
        ends = [ENDED.format(heading=quote_headings([h])) for h in self.ends]
        kinds = [
            GROUPS.format(heading=quote_headings([heading]))
            for heading, is_sure in self.kinds.items()
            if not is_sure
        ]
        return contradictions + ends + kinds

    def unsure_sentences(self) -> dict[str, str]:
        """Column that waits for a person → what could be it."""
        return {
            name: f"{column_title(name)} is not read; it could be {guess.sentence()}."
            for name, guess in self.unsure.items()
        }

    def remarks(self) -> list[str]:
        """Sentences on columns that were found by their values, and on what looks like them."""
        columns = self.mapping.columns
        found = [
            f"{column_title(name)} from {quote_headings(columns[name])}: {reason}."
            for name, reason in self.reasons.items()
        ]
        others: dict[str, list[str]] = {}
        for heading, name in self.look_alikes.items():
            others.setdefault(name, []).append(heading)
        found += [
            f"{quote_headings([h])} also looks like {column_title(name)}, and is not used."
            for name, headings in others.items()
            for h in headings
        ]
        return found + [
            MISNAMED.format(heading=quote_headings([h]), column=column_title(name), kind=kind)
            for h, (name, kind) in self.misnamed.items()
        ]


def quote_headings(headings: Iterable[str]) -> str:
    """`“First name” and “Last name”`, short."""
    quoted = [f"“{shorten(heading)}”" for heading in headings]
    if len(quoted) > MAX_QUOTED:
        return ", ".join([*quoted[:MAX_QUOTED], "…"])
    return " and ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]]))


def says_inactive(heading: str) -> bool:
    """Whether yes under the heading means that the account is not active."""
    return "inactive" in ranks_of(heading)
