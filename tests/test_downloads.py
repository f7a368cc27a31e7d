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
from patience import PATIENCE
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import Route

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.service.active_store import StoreStatus, set_store_status
from data.store.engine import open_store
from data.store.errors import StoreBusy
from queries.export.formats import FORMATS
from queries.export.listing import Listing
from server.downloads import send_users
from server.gate import Gate
from server.queues import MAX_DOWNLOADS, FairQueue
from server.routes import download as download_route
from server.routes import readyz


@pytest.fixture
def server(home: Home) -> Iterator[str]:
    """The downloads alone, as a real server answers them; its address."""
    routes = [
        Route("/export/users.{form:path}", download_route(send_users)),
        Route("/readyz", readyz),
    ]
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


def test_many_downloads_wait_in_a_fair_queue_and_the_probe_does_not(
    home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen at once, of readers that do not read."""
    load_accounts(home, "ada")
    may_end, started = threading.Event(), threading.Semaphore(0)
    at_once, most, lock = 0, 0, threading.Lock()

    def write(_: Listing, path: Path) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        started.release()
        assert may_end.wait(PATIENCE)
        with lock:
            at_once -= 1
        path.write_bytes(b"x" * 1_000_000)

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=write))
    readers = [http.client.HTTPConnection(server) for _ in range(16)]
    for reader in readers:
        reader.request("GET", "/export/users.csv")
    assert all(started.acquire(timeout=PATIENCE) for _ in range(MAX_DOWNLOADS))
    with urllib.request.urlopen(f"http://{server}/readyz", timeout=PATIENCE) as answer:
        assert answer.status == 200
    may_end.set()
    answers = [reader.getresponse() for reader in readers]
    assert [answer.status for answer in answers] == [200] * 16
    assert most == MAX_DOWNLOADS
    with open_store(home.database_url).connect():  # nobody reads, and nobody holds a connection
        assert open_store(home.database_url).pool.checkedout() == 1  # type: ignore[attr-defined]
    for each in (*answers, *readers):
        each.close()


def test_a_download_that_waits_too_long_gets_a_sentence(
    home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_accounts(home, "ada")
    monkeypatch.setattr("server.queues.DOWNLOAD_PATIENCE", 0.1)
    may_end, started = threading.Event(), threading.Semaphore(0)

    def write(_: Listing, path: Path) -> None:
        started.release()
        assert may_end.wait(PATIENCE)
        path.touch()

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=write))
    readers = [http.client.HTTPConnection(server) for _ in range(MAX_DOWNLOADS)]
    for reader in readers:
        reader.request("GET", "/export/users.csv")
    assert all(started.acquire(timeout=PATIENCE) for _ in readers)
    assert error_response(server, "csv") == (503, str(StoreBusy()))
    may_end.set()
    for reader in readers:
        assert reader.getresponse().read() == b""
        reader.close()


def test_a_closed_store_answers_a_download_with_a_sentence(home: Home, server: str) -> None:
    set_store_status(home, StoreStatus("failed", "Somebody has the store."))
    assert error_response(server, "csv") == (503, "Somebody has the store.")
    with pytest.raises(urllib.error.HTTPError, match="503") as error:
        urllib.request.urlopen(f"http://{server}/readyz")
    error.value.close()


def test_places_are_taken_in_the_order_of_arrival() -> None:
    queue, served, threads = FairQueue(1, 20), list[int](), list[threading.Thread]()

    def take(number: int) -> None:
        with queue.place(), queue.place():  # a page that asks twice does not wait for itself
            served.append(number)

    with queue.place():
        for number in range(6):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(queue.waiting) <= number:
                threads[-1].join(0.001)
    for thread in threads:
        thread.join()
    assert served == [*range(6)]


def test_who_waits_too_long_for_a_place_gets_a_sentence_and_leaves_the_queue() -> None:
    queue = FairQueue(0, 0.01)
    with pytest.raises(StoreBusy, match="Try again"), queue.place():
        pass
    assert not queue.waiting


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
