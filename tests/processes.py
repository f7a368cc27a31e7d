"""Processes of Rollcall, forked from one that has imported it: importing it takes seconds.

Each is as `python ARGUMENTS` starts it, with an environment, a folder, streams, signals and an exit
code of its own. Nothing is opened before the fork, and no thread of Rollcall runs. Some tests start
one without it: `test_a_public_address_needs_sign_in`, and what is killed while it pulls.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import IO, NoReturn, Self

ROOT = Path(__file__).parent.parent
IMPORTED = ("app", "rollcall", "uvicorn", "duckdb_sqlalchemy")
NUMBER = struct.Struct("i")
STDERR = 2


class Process:
    """A process of `python ARGUMENTS`, with what a test needs of `subprocess.Popen`."""

    def __init__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        """Input is a pipe, and so is output unless it goes elsewhere; errors go where ours go."""
        what = {"arguments": list(map(str, arguments)), "env": dict(env or os.environ)}
        message = json.dumps(what).encode()
        report, reported = os.pipe()
        stdin, to_stdin = os.pipe()
        from_stdout, to_stdout = os.pipe()
        output = stdout.fileno() if stdout else to_stdout
        errors = stderr.fileno() if stderr else STDERR
        forks, _ = _forks()
        socket.send_fds(forks, [NUMBER.pack(len(message))], [reported, stdin, output, errors])
        forks.sendall(message)
        for end in (reported, stdin, to_stdout):
            os.close(end)
        self.stdin, self.stdout = os.fdopen(to_stdin, "w"), os.fdopen(from_stdout)
        self._report = os.fdopen(report, "rb", buffering=0)
        self.pid = self._read_number()
        self.returncode: int | None = None

    def _read_number(self) -> int:
        """The process's ID, and then its exit code."""
        (number,) = NUMBER.unpack(self._report.read(NUMBER.size))
        return number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stdout, self._report):
            stream.close()

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            with selectors.DefaultSelector() as ended:
                ended.register(self._report, selectors.EVENT_READ)
                if not ended.select(timeout):
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = self._read_number()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(*arguments: object, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` to its end."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with Process(*arguments, stdout=output, stderr=errors) as process:
            code = process.wait(timeout)
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(
            [*map(str, arguments)], code, output.read(), errors.read()
        )


# ---- the process that is forked ------------------------------------------------------------------


@cache
def _forks() -> tuple[socket.socket, object]:
    """Where to ask for forks, and the process that makes them; it ends with ours."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, str(theirs.fileno())]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=nothing, stdout=nothing)
    theirs.close()
    return ours, process


def _fork_on_request(requests: socket.socket) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a guard
    while True:
        size, fds, *_ = socket.recv_fds(requests, NUMBER.size, 4)
        if not size:
            os._exit(0)
        message = requests.recv(NUMBER.unpack(size)[0], socket.MSG_WAITALL)
        if os.fork() == 0:
            requests.close()
            _guard(*fds, **json.loads(message))
        for fd in fds:
            os.close(fd)


def _guard(report: int, *streams: int, arguments: list[str], env: dict[str, str]) -> NoReturn:
    """Start the process, and report its ID and its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = get_context("fork").Process(target=_begin, args=(report, streams, arguments, env))
    process.start()
    for stream in streams:
        os.close(stream)
    os.write(report, NUMBER.pack(process.pid))
    process.join()
    os.write(report, NUMBER.pack(process.exitcode))
    os._exit(0)


def _begin(report: int, streams: list[int], arguments: list[str], env: dict[str, str]) -> None:
    """As `python ARGUMENTS` begins."""
    os.close(report)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    try:
        _run(*arguments)
    finally:
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


def _run(script: str, *arguments: str) -> None:
    sys.argv = [script, *arguments]
    if script == "-c":
        program = sys.argv.pop(1)
        exec(program, {"__name__": "__main__"})  # noqa: S102 - written by a test
    else:
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    _fork_on_request(socket.socket(fileno=int(sys.argv[1])))
