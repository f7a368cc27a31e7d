"""Servers on loopback that are asked for accounts: real ones, and ones of a recorded shape."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

TOKEN = "s3cret-t0ken"
ROOT = Path(__file__).parent.parent


class Request(NamedTuple):
    """A request that the server received."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: str


class Response(NamedTuple):
    """An answer of the server."""

    document: Any
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


@dataclass
class Server:
    """Answers as `answer` says, and records the requests."""

    answer: Callable[[Request], Response]
    url: str = ""
    requests: list[Request] = field(default_factory=list)

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Request(parts.path, parse_qs(parts.query), headers, body)
                outer.requests.append(request)
                response = outer.answer(request)
                content = json.dumps(response.document).encode()
                self.send_response(response.status)
                headers = {"Content-Type": "application/json"} | response.headers
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that does not trust the certificate hangs up

        with Quiet(("127.0.0.1", 0), Handler) as server:
            if tls:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
            self.url = f"{scheme}://{host}:{server.server_address[1]}"
            with _running(server):
                yield self


@contextmanager
def _running(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def python_scim(users: int, *, by_cursor: bool = False) -> Iterator[str]:
    """scim2-server, with so many users and one group of two; its address."""
    # here, because its import takes a second, which each process of tests would need
    from scim2_models import Meta, Pagination, ScimProvider
    from scim2_server.memory import InMemoryStorage
    from scim2_server.service import ScimService
    from scim2_server.testserver.application import BearerTokenApplication
    from scim2_server.testserver.cli import ThreadingWSGIServer
    from scim2_server.utils import (
        load_default_resource_types,
        load_default_schemas,
        load_default_service_provider_config,
    )

    config = load_default_service_provider_config()
    if by_cursor:
        config.pagination = Pagination(
            cursor=True, index=True, default_pagination_method="cursor", cursor_timeout=60
        )
    provider = ScimProvider.from_discovery(
        load_default_schemas().values(), load_default_resource_types().values(), config=config
    )
    storage = InMemoryStorage()
    user, group = (provider.model_for_endpoint(f"/{name}") for name in ("Users", "Groups"))
    then = datetime(2026, 11, 1, 8, tzinfo=UTC)
    people = [
        user(
            id=f"u{n}", user_name=f"user{n}", external_id=f"00u{n}", active=n % 10 > 0,
            password="t1meMa$heen", meta=Meta(resource_type="User", last_modified=then),
        )
        for n in range(users)
    ]  # fmt: skip
    staff = group(
        id="g1", display_name="Staff", members=[{"value": "u1"}, {"value": "u2"}],
        meta=Meta(resource_type="Group"),
    )  # fmt: skip
    storage.resources = [*people, staff]
    service = ScimService(provider, secret="x" * 32)
    app = BearerTokenApplication(storage, provider, service=service, bearer_tokens=[TOKEN])

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    made = make_server("127.0.0.1", 0, app, ThreadingWSGIServer, Quiet)
    with made as server, _running(server):
        yield f"http://127.0.0.1:{server.server_port}/v2"


@contextmanager
def node_scim(users: int) -> Iterator[str]:
    """SCIMMY under Express, with so many users; skips aloud where there is no npm."""
    if not (npm := shutil.which("npm")):
        pytest.skip("npm is not installed, so SCIMMY, the server of others, is not tried")
    folder = ROOT / ".venv" / "scimmy"
    shutil.copytree(Path(__file__).parent / "scimmy", folder, dirs_exist_ok=True)
    if not (folder / "node_modules" / "scimmy-routers").is_dir():
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"SCIMMY cannot be installed, so it is not tried: {done.stderr[-200:]}")
    command = [shutil.which("node") or "node", "server.mjs", str(users)]
    environment = os.environ | {"TOKEN": TOKEN}
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/scim"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
