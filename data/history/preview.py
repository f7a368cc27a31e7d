"""What loading a file would change, without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, case, func, or_, select

from data.files.naming import SnapshotFile
from data.history.load import at_work, understand, write
from data.history.passport import Passport, passport_of
from data.history.reject import POSITION
from data.history.versions import Span
from data.schema import same_account
from data.staging import delivered_texts, load_delta, load_unfit
from data.states import LEAVING
from data.store.transfer import step


@dataclass(frozen=True)
class Preview:
    """What loading a file would give; nothing of it is kept."""

    passport: Passport
    rows: list[dict[str, str]]  # the first of the file: column → text as delivered
    rejected: list[tuple[int, str, str]]  # the first: line, text, reason
    leaving: list[tuple[str, str | None, str, str]]  # the first: username, user, was, would be
    already: bool  # the very same file is loaded
    replaces: str  # the name of another file that is loaded for the moment; empty without one


SHOWN_ROWS = 10


SHOWN_REJECTED = 100


SHOWN_LEAVING = 100


GONE = "Gone"


def preview(engine: Engine, file: SnapshotFile) -> Preview:
    """Do all that loading does, look at the outcome, and undo it.

    Raises a SnapshotRefused for what cannot be loaded even if a person confirms it.
    """
    with at_work(engine, file) as (con, at, beside, task):
        found = understand(con, at, task, beside, confirmed=True, whole=True)
        with step(con, at):
            first = select(*delivered_texts().values()).order_by(POSITION)
            rows = [
                {name: text for name, text in row.items() if text}
                for row in at.execute(first.limit(SHOWN_ROWS)).mappings()
            ]
            unfit = select(load_unfit).order_by(load_unfit.c.line).limit(SHOWN_REJECTED)
            rejected = [tuple(row) for row in at.execute(unfit)]
            leaving = _leaving(con, task.span)
        with step(con, at, keep=False):
            write(con, at, task, found)
            passport = passport_of(con, file.integration, file.taken_at)
    other = task.known and not task.is_known_word_for_word
    return Preview(
        passport,
        rows,
        rejected,
        leaving,
        already=task.is_known_word_for_word,
        replaces=task.known.file_name if other and task.known else "",
    )


def _leaving(con: Connection, span: Span) -> list[tuple[str, str | None, str, str]]:
    """The first accounts that would go, or fall into a Delete state, by username."""
    before, delta = span.accounts_in_store(), load_delta.c
    becomes = case((delta.now, delta.provisioning_state), else_=GONE)
    falls = and_(delta.provisioning_state.in_(LEAVING), before.c.provisioning_state.not_in(LEAVING))
    found = con.execute(
        select(
            before.c.username_in_app,
            func.coalesce(before.c.user_name, before.c.user_email),
            before.c.provisioning_state,
            becomes,
        )
        .join_from(load_delta, before, same_account(before, load_delta))
        .where(or_(~delta.now, falls))
        .order_by(func.lower(before.c.username_in_app))
        .limit(SHOWN_LEAVING)
    )
    return [tuple(row) for row in found]
