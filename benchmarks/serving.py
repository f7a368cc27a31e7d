"""Servers to be measured, and sessions with them over Streamlit's protocol, without a browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

STREAM = "_stcore/stream"
PROTOCOLS = [Subprotocol("streamlit")]


@dataclass
class Server:
    """A running server on this machine."""

    url: str
    process: int

    def memory(self, most: bool = False) -> int:
        """Megabytes that it holds; or the most that it has held since `forget_most`."""
        word = "VmHWM:" if most else "VmRSS:"
        status = Path(f"/proc/{self.process}/status").read_text()
        return next(int(s.split()[1]) for s in status.splitlines() if s.startswith(word)) // 1024

    def forget_most(self) -> None:
        Path(f"/proc/{self.process}/clear_refs").write_text("5")

    def get(self, path: str) -> int:
        """The bytes of an answer, all of them read."""
        size = 0
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=600) as answer:  # noqa: S310 - ours
            while chunk := answer.read(1 << 20):
                size += len(chunk)
        return size

    def session(self, page: str = "") -> Session:
        return Session(self, page)


@contextmanager
def serving(command: Sequence[str], alive: str, **environment: str) -> Iterator[Server]:
    """The server of a command, which takes its port from PORT, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [part.replace("PORT", port) for part in command]
    environment = os.environ | {"PORT": port} | environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        server = Server(f"http://127.0.0.1:{port}", process.pid)
        try:
            _await(f"{server.url}/{alive}")
            yield server
        finally:
            process.terminate()


def _await(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


@contextmanager
def a_browser(height: int = 900, width: int = 1440) -> Iterator[Page]:
    """A window of a real browser that has been nowhere yet, until the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


class Session:
    """One person at a Streamlit app."""

    def __init__(self, server: Server, page: str) -> None:
        address = f"{server.url.replace('http', 'ws', 1)}/{STREAM}"
        self.page = page
        self.socket = connect(
            address, origin=Origin(server.url), subprotocols=PROTOCOLS, max_size=None
        )

    def ask(self, **params: Any) -> None:
        """Open the page with these parameters, and wait until it is drawn."""
        self.socket.send(asking(params, self.page))
        while not is_drawn(self.socket.recv()):
            pass


def asking(params: dict[str, Any], page: str) -> bytes:
    request = BackMsg()
    request.rerun_script.query_string = urlencode(params, doseq=True)
    request.rerun_script.page_name = page
    return request.SerializeToString()


def is_drawn(content: bytes | str) -> bool:
    message = ForwardMsg.FromString(content)  # type: ignore[arg-type]
    if message.delta.new_element.HasField("exception"):
        raise RuntimeError(message.delta.new_element.exception.message)
    return message.WhichOneof("type") == "script_finished"
