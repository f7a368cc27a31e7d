"""Why a person has to look at a file before it is loaded, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from data.formatting import count_of

if TYPE_CHECKING:
    from data.history.load_report import LoadReport

KEEP_HISTORY = "Keep their history?"
"""The question of a file whose accounts have other IDs than before."""

UNSURE_WAY_ON = (
    "Choose the column under “Map columns” when you upload the file on the Snapshots page, or give "
    "a mapping: rollcall check prints one. Once the file is loaded as it is, the next files are "
    "read in the same way."
)


def unsure_message(sentences: Mapping[str, str], decided: Collection[str]) -> str:
    """Which columns a file can have under headings that do not say so surely, and the way on.

    `sentences`: column → what could be it. `decided`: those that a person has left out before.
    """
    new = [sentence for name, sentence in sentences.items() if name not in decided]
    return " ".join([*new, UNSURE_WAY_ON]) if new else ""


def incomplete_message(reason: str) -> str:
    """Why a file cannot be the whole list."""
    return f"The list is incomplete: {reason}. Accounts missing from it would count as removed."


def other_ids_message(report: LoadReport) -> str:
    """How many accounts seem to be the same as before under another ID, and what to do."""
    accounts = report.previous.accounts if report.previous else 0
    return (
        f"{report.renumbered:,} of {count_of(accounts, 'account')} have another account ID than "
        f"before, but the same username. {KEEP_HISTORY} Then identify the accounts of this "
        "integration by username. Otherwise they count as removed and added."
    )


def mass_deletion_message(report: LoadReport) -> str:
    """How many accounts a file deletes, and how many it may."""
    accounts = report.previous.accounts if report.previous else 0
    parts = [f"{report.removed:,} no longer listed"] if report.removed else []
    parts += [f"{report.being_deleted:,} now being deleted"] if report.being_deleted else []
    deletions = report.removed + report.being_deleted
    return (
        f"{deletions:,} of {count_of(accounts, 'account')} ({report.deletion_share:.0%}) would be "
        f"deleted: {', '.join(parts)}. The limit is {report.deletion_limit:.0%}."
    )
