"""A database server that is away says so in a sentence, and everything goes on when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import test_pages
from builders import YESTERDAY, a_snapshot_file, an_account
from psycopg import errors
from servers import Machine, a_machine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from data.access.roles import LOCAL
from data.home import Home, current_home
from data.store import copy_protocol
from data.store.engine import close_stores
from data.store.errors import StoreUnreachable
from data.store.server_errors import explain_server_error
from rollcall import main
from server.routes import EXCEPTION_HANDLERS, ROUTES
from server.session import request_principal

PAGES = ("health.py", "users.py", "changes.py", "review.py", "snapshots.py")
DOWNLOADS = ("/export/users.csv", "/export/users.xlsx", "/export/changes.json?list=moved")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with a_machine() as machine:
        yield machine


@pytest.fixture
def away_home(home: Home, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An installation with a store on a server that can be stopped."""
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", machine.url)
    test_pages.load_all(current_home(), test_pages.ADA)
    yield current_home()
    close_stores()


def answers(paths: tuple[str, ...]) -> list[tuple[int, str]]:
    """What a person with every role gets."""
    app = Starlette(routes=ROUTES, exception_handlers=EXCEPTION_HANDLERS)
    request_principal.set(LOCAL)
    with TestClient(app) as client:
        got = [client.get(path) for path in paths]
    return [(answer.status_code, answer.text) for answer in got]


def test_a_server_that_is_away_is_a_sentence_everywhere(
    away_home: Home, machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert [a for a in answers(("/readyz", *DOWNLOADS)) if a[0] != 200] == []
    machine.control("stop")
    try:
        for code, text in answers(DOWNLOADS):
            assert code == 503
            assert "cannot be reached. PostgreSQL reports" in text
        assert answers(("/readyz", "/last-change")) == [(503, "not ready"), (503, "")]
        run = test_pages.page("navigation.py").run
        assert [title.value for title in run.title] == ["Cannot open the store"]
        close_stores()
        file = a_snapshot_file(tmp_path, [an_account("eve")], at=YESTERDAY)
        commands = (["copy", machine.url, str(tmp_path / "copy.duckdb")], ["load", str(file)])
        for command in commands:
            assert main(command) == 1
            out = capsys.readouterr()
            assert "cannot be reached" in out.err
            assert out.err.count("\n") == 1, out.err
    finally:
        machine.control("start")
    assert [a for a in answers(("/readyz", *DOWNLOADS)) if a[0] != 200] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_server_that_has_restarted_is_not_noticed(
    away_home: Home, machine: Machine, name: str
) -> None:
    """Each connection of the pool is dead, and is tried again once."""
    test_pages.page(name)
    machine.control("restart")
    assert not test_pages.page(name).run.error


def test_a_server_that_goes_while_rows_are_copied_is_a_sentence(
    away_home: Home, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_protocol._CopyStream

    class Torn(copied):
        def __init__(self, *arguments: object) -> None:
            machine.control("restart")
            monkeypatch.setattr(copy_protocol, "_CopyStream", copied)
            super().__init__(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(copy_protocol, "_CopyStream", Torn)
    assert [code for code, _ in answers(("/export/users.csv",))] == [200], "it is tried again"
    monkeypatch.setattr(
        "server.routes._answer_if_open", lambda endpoint, request: endpoint(request)
    )
    monkeypatch.setattr(copy_protocol, "_CopyStream", Torn)
    ((code, text),) = answers(("/export/users.csv",))
    assert code == 503
    assert "PostgreSQL reports" in text


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (errors.InternalError_("failure on connection marked as essential: w1:5432"), True),
        (errors.ConnectionFailure("connection to the remote node failed"), True),
        (errors.AdminShutdown("terminating connection"), True),
        (errors.SerializationFailure("could not serialize access"), False),
        (errors.InternalError_("cache lookup failed"), False),
        (errors.UniqueViolation("duplicate key: ada@x.io"), False),
    ],
)
def test_only_a_server_or_node_that_is_away_is_unreachable(error: Exception, means: bool) -> None:
    explained = explain_server_error("postgresql://u:secret@db/rollcall", error)
    assert isinstance(explained, StoreUnreachable) is means
    assert "secret" not in str(explained)
