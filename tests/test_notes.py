"""Notes on accounts: written, replaced, removed, filtered, taken along, and part of no snapshot."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Deliveries,
    a_snapshot_file,
    an_account,
    content_of,
    usernames,
)
from sqlalchemy import Engine, select, text

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.records.decisions import NOTES, InvalidInput, decisions_by_account
from data.records.notes import MAX_NOTE_LENGTH, NamedAccount, save_note
from data.records.tables import note
from data.records.views import SavedView, delete_view, read_views, rename_view, save_view
from data.schema import account, account_current
from data.service.rebuild import open_or_rebuild
from data.store.engine import close_store, open_store
from queries.export.formats import FORMATS
from queries.export.listing import LISTING_COLUMNS, Listing, ListRequest
from queries.filters import Filters
from queries.users.accounts import count_accounts

ADA, BOB = NamedAccount("figma", "ada"), NamedAccount("figma", "bob")


@pytest.fixture
def loaded(home: Home, tmp_path: Path) -> Deliveries:
    delivered = Deliveries(open_store(home.database_url), tmp_path)
    delivered.take(an_account(), an_account("bob"))
    return delivered


def note_on(delivered: Deliveries, name: NamedAccount, **moment: object) -> str | None:
    """The text of the note that is in force on an account."""
    with delivered.store.connect() as con:
        key = con.scalar(select(account.c.account_key).where(account.c.account_id == name[1]))
        notes = decisions_by_account(con, NOTES, [key or 0], **moment)
        return notes[key].text if key in notes else None


def test_a_note_is_replaced_by_the_next_and_removed(loaded: Deliveries) -> None:
    save_note(loaded.store, [ADA, BOB], " On leave,\nback in May ", "Grace", written_at=TODAY)
    save_note(loaded.store, [ADA], "Back", "Hal", written_at=TODAY + timedelta(days=2))
    NOTES.withdraw(loaded.store, [BOB._asdict()], "Hal", TODAY + timedelta(days=3))
    assert (note_on(loaded, ADA), note_on(loaded, BOB)) == ("Back", None)
    before = TODAY + timedelta(days=1)
    assert note_on(loaded, ADA, as_of=before) == "On leave,\nback in May"
    assert note_on(loaded, BOB, as_of=before) == "On leave,\nback in May"
    with loaded.store.connect() as con:
        assert len(con.execute(select(note)).all()) == 3, "what was written stays, as evidence"


def test_a_note_ends_after_its_last_day(loaded: Deliveries) -> None:
    save_note(loaded.store, [ADA], "Leaves", "Grace", TODAY.date(), written_at=YESTERDAY)
    assert note_on(loaded, ADA, as_of=TODAY) == "Leaves"
    assert note_on(loaded, ADA, as_of=TODAY + timedelta(days=1)) is None
    assert note_on(loaded, ADA) is None


def test_a_list_of_noted_accounts_loses_a_note_after_its_last_day(
    loaded: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is loaded in between: a result is not kept for longer than its day."""
    save_note(loaded.store, [ADA], "Leaves", "Grace", TODAY.date(), written_at=YESTERDAY)
    counts = []
    for now in (TODAY, TODAY + timedelta(days=1)):
        clock = SimpleNamespace(now=lambda zone, now=now: now.replace(tzinfo=zone))
        monkeypatch.setattr("data.formatting.datetime", clock)
        with loaded.store.connect() as con:
            counts.append(count_accounts(con, Filters(note="yes")))
    assert counts == [1, 0]


@pytest.mark.parametrize(
    ("words", "author", "until", "message"),
    [
        (" \0\n", "Grace", None, "note is empty"),
        ("x", " ", None, "name is missing"),
        ("x", "Grace", date(2020, 1, 1), "2020-01-01 has passed"),
    ],
)
def test_a_note_needs_a_text_an_author_and_a_day_to_come(
    loaded: Deliveries, words: str, author: str, until: date | None, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        save_note(loaded.store, [ADA], words, author, until)
    save_note(loaded.store, [ADA], "x" * 9_999, "Grace")
    assert len(note_on(loaded, ADA) or "") == MAX_NOTE_LENGTH


def test_the_list_is_filtered_by_notes(loaded: Deliveries) -> None:
    save_note(loaded.store, [ADA, NamedAccount("slack", "bob")], "x", "Grace", written_at=TODAY)
    with loaded.store.connect() as con:
        assert usernames(con, note="yes") == ["ada"]
        assert usernames(con, note="no") == ["bob"]
        assert usernames(con, note="yes", as_of=TODAY - timedelta(seconds=1)) == []
    save_note(loaded.store, [BOB], "x", "Grace")
    with loaded.store.connect() as con:
        assert usernames(con, note="yes") == ["ada", "bob"], "no cached answer"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_note_is_in_a_download_on_request_and_loads_as_no_part_of_the_account(
    loaded: Deliveries, tmp_path: Path, form: str
) -> None:
    """An attribute of that name is another column, and stays one."""
    loaded.take(an_account(note="of the app"), an_account("bob"), integration="slack")
    save_note(loaded.store, [NamedAccount("slack", "ada")], "=Call\nher", "Grace")
    columns = tuple(LISTING_COLUMNS)
    contents = {}
    with loaded.store.connect() as con:
        for chosen in ((), columns):
            request = ListRequest(Filters(integration=("slack",)), columns=chosen)
            contents[chosen] = content_of(FORMATS[form].write, Listing(con, request))
    assert b"Call" not in contents[()]
    assert b"Call" in contents[columns]
    assert b"of the app" in contents[columns]
    path = tmp_path / f"again.{form}"
    path.write_bytes(contents[columns])
    load(loaded.store, SnapshotFile(path, "again", TODAY))
    with loaded.store.connect() as con:
        found = select(account_current.c.attributes, account_current.c.roles)
        found = found.where(account_current.c.username_in_app == "ada")
        slack, again = con.execute(found.order_by(account_current.c.integration_id)).all()[1:]
    assert slack == again


def test_notes_and_views_survive_the_rebuild_of_an_older_store(home: Home, tmp_path: Path) -> None:
    for folder in (home.archive, home.inbox):
        folder.mkdir(parents=True, exist_ok=True)
    url = home.database_url
    path = a_snapshot_file(home.archive, [an_account()])
    load(open_store(url), SnapshotFile(path, "figma", TODAY))
    save_note(open_store(url), [ADA], "On leave", "Grace")
    save_view(open_store(url), SavedView("Admins", None, "role=Admin"), "Grace")
    with open_store(url).begin() as con:
        con.execute(text("UPDATE layout SET number = 10"))
    close_store(url)
    rebuilt = Deliveries(open_or_rebuild(home, lambda *_: None), tmp_path)
    assert note_on(rebuilt, ADA) == "On leave", "it is linked to the account's new key"
    with rebuilt.store.connect() as con:
        assert [view.address for view in read_views(con, "Grace")] == ["role=Admin"]


# ---- views ---------------------------------------------------------------------------------------

HOSTILE = "<b>*x*</b> $1 [y](javascript:z) \u202e"


def names(store: Engine, person: str) -> list[tuple[str, str | None]]:
    with store.connect() as con:
        return [(view.name, view.owner) for view in read_views(con, person)]


def test_a_view_is_seen_by_its_owner_or_by_everybody(loaded: Deliveries) -> None:
    save_view(loaded.store, SavedView("b", "ada@x.io", "q=1"), "ada@x.io")
    save_view(loaded.store, SavedView(f" a\n{HOSTILE} ", None, "q=2"), "ada@x.io")
    save_view(loaded.store, SavedView("b", None, "q=3"), "ada@x.io")
    everybodys = [(f"a {HOSTILE}".strip(), None), ("b", None)]
    assert names(loaded.store, "ada@x.io") == [("b", "ada@x.io"), *everybodys]
    assert names(loaded.store, "bob@x.io") == everybodys


def test_a_view_is_renamed_and_deleted(loaded: Deliveries) -> None:
    mine, other = SavedView("mine", "ada", "q=1"), SavedView("other", "ada", "q=2")
    for view in (mine, other):
        save_view(loaded.store, view, "ada")
    with pytest.raises(InvalidInput, match="already a view “other”"):
        rename_view(loaded.store, mine, "other", "ada")
    rename_view(loaded.store, mine, "better", "ada")
    delete_view(loaded.store, other, "ada")
    assert names(loaded.store, "ada") == [("better", "ada")]
    with pytest.raises(InvalidInput, match="“mine” was deleted"):
        rename_view(loaded.store, mine, "late", "ada")
    delete_view(loaded.store, mine, "ada")  # deleted long ago: nothing to worry about


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [(" ", "q=1", "name of the view is missing"), ("x", "q=" + "1" * 5_000, "too many filters")],
)
def test_a_view_needs_a_name_and_an_address_that_browsers_take(
    loaded: Deliveries, name: str, address: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        save_view(loaded.store, SavedView(name, None, address), "ada")
