"""Downloads as a program gets them: named, whole or not at all, and ended with the reader."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
import uvicorn
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import Route

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.store.engine import open_store
from queries.export.formats import FORMATS
from queries.export.listing import Listing
from server.downloads import send_users
from server.gate import Gate


@pytest.fixture
def server(home: Home) -> Iterator[str]:
    """The downloads alone, as a real server answers them; its address."""
    routes = [Route("/export/users.{form:path}", send_users)]
    app = Starlette(routes=routes, middleware=[Middleware(Gate)])
    config = uvicorn.Config(app, port=0, log_level="critical", ws="none")
    server, up = uvicorn.Server(config), threading.Event()
    started = server.startup

    async def startup(sockets: object = None) -> None:
        await started(sockets)  # type: ignore[arg-type]
        up.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert up.wait(20)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def load_accounts(home: Home, *usernames: str, integration: str = "figma") -> None:
    path = a_snapshot_file(
        home.root / "made", [an_account(name) for name in usernames], integration=integration
    )
    load(open_store(home.database_url), SnapshotFile(path, integration, TODAY))


def download(server: str, form: str, **params: str) -> tuple[Message, bytes]:
    url = f"http://{server}/export/users.{form}?{urlencode(params)}"
    with urllib.request.urlopen(url) as answer:
        return answer.headers, answer.read()


def error_response(server: str, form: str, **params: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as error:
        download(server, form, **params)
    with error.value as answer:
        return answer.code, answer.read().decode()


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_has_its_type_and_its_name(home: Home, server: str, form: str) -> None:
    load_accounts(home, "ada", "bob")
    headers, content = download(server, form, integration="figma")
    assert headers["Content-Type"] == FORMATS[form].media_type
    assert headers.get_filename() == f"users-figma-2026-11-23T06-00-00Z.{form}"
    assert headers["Cache-Control"] == "no-store"
    assert content


def test_a_name_in_another_script_reaches_old_and_new_programs(home: Home, server: str) -> None:
    load_accounts(home, "ada")
    headers, _ = download(server, "csv", q='"é/日本"')
    assert headers["Content-Disposition"] == (
        'attachment; filename="users---2026-11-23T06-00-00Z.csv"; '
        "filename*=UTF-8''users-%C3%A9-%E6%97%A5%E6%9C%AC-2026-11-23T06-00-00Z.csv"
    )


def test_the_columns_of_the_address_are_those_of_the_file(home: Home, server: str) -> None:
    load_accounts(home, "ada")
    _, content = download(server, "raw.csv", columns="username_in_app,Email")
    assert content.decode() == '"Username in app","Email"\n"ada","ada@x.io"\n'


def test_an_unknown_column_is_rejected_with_the_known_ones(home: Home, server: str) -> None:
    code, message = error_response(server, "csv", columns="shoe")
    assert code == 400
    assert "No such column: shoe" in message
    assert "user_email" in message


def test_an_unknown_format_is_not_found(home: Home, server: str) -> None:
    assert error_response(server, "docx") == (404, f"No such format: {', '.join(FORMATS)}.")


def test_the_manifest_is_a_download_of_its_own(home: Home, server: str) -> None:
    load_accounts(home, "ada", "bob")
    headers, content = download(server, "about.json", q="bob", columns="roles")
    manifest = json.loads(content)
    assert headers.get_filename() == manifest["file"] == "users-bob-2026-11-23T06-00-00Z.about.json"
    assert manifest["rows"] == 1
    assert manifest["filters"] == {"q": ["bob"]}
    assert manifest["columns"] == ["App access"]


def test_a_failed_download_sends_an_error_and_no_part_of_the_file(
    home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Listing, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=fails))
    code, message = error_response(server, "csv")
    assert code == 500
    assert "half" not in message


def test_a_broken_connection_does_not_look_like_a_complete_download(
    home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shrink_on_the_way(_: Listing, path: Path) -> None:
        path.write_bytes(b"x" * 10_000)
        monkeypatch.setattr(FileResponse, "chunk_size", 5_000)
        opened = anyio.open_file

        async def open_shrunk(*arguments: Any, **options: Any) -> Any:
            path.write_bytes(b"x" * 5_000)
            return await opened(*arguments, **options)

        monkeypatch.setattr(anyio, "open_file", open_shrunk)

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=shrink_on_the_way))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        download(server, "csv")


def test_a_download_is_always_sent_as_a_whole(home: Home, server: str) -> None:
    load_accounts(home, "ada")
    whole = download(server, "csv")[1]
    reader = http.client.HTTPConnection(server)
    reader.request("GET", "/export/users.csv", headers={"Range": "bytes=10-"})
    answer = reader.getresponse()
    assert (answer.status, answer.read()) == (200, whole)
    reader.close()


def test_the_work_ends_when_the_client_disconnects(
    home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended, connections = threading.Event(), threading.Event(), []

    def endless(listing: Listing, _: Path) -> None:
        connections.append(listing.con)
        started.set()
        try:
            while True:
                listing.on_batch()
        finally:
            ended.set()

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=endless))
    reader = http.client.HTTPConnection(server)
    reader.request("GET", "/export/users.csv")
    assert started.wait(15)
    assert not ended.wait(0.5)
    reader.close()
    assert ended.wait(15)
    assert len(connections) == 1


def test_a_download_as_of_a_past_time_has_the_accounts_of_then(
    home: Home, server: str, tmp_path: Path
) -> None:
    then = a_snapshot_file(tmp_path, [an_account("old")], at=YESTERDAY)
    load(open_store(home.database_url), SnapshotFile(then, "figma", YESTERDAY))
    load_accounts(home, "new")
    headers, content = download(
        server, "raw.csv", as_of="2026-11-22T12:00:00Z", columns="account_id"
    )
    assert content.decode() == '"Account ID"\n"old"\n'
    assert headers.get_filename() == "users-2026-11-22T12-00-00Z.raw.csv"
