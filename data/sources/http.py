"""Asking a server for one page after another: patient, polite, and never in the clear."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import httpx2

TIMEOUT = httpx2.Timeout(60, connect=10)
"""Seconds: of a page that is being made, and of a server that is not there."""

PATIENCE = 900.0
"""Seconds that one page is asked for again and again; a rate limit mostly ends within a minute."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between tries, where the server names none: twice as long each time, and never alike."""

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be asked again."""

LARGEST_PAGE = 64 * 1024 * 1024
"""Bytes of one answer; pages of a thousand users have one or two million."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

WORDS = {
    401: "the token is not accepted, or has expired",
    403: "the token may not read this",
    404: "there is no such address",
}
"""What a refusal means, mostly."""


class PullFailed(Exception):
    """A server could not be asked, or did not answer as it should. Nothing was delivered."""


class Interrupted(PullFailed):
    """A server did not answer for too long, or a person does not want to wait for it."""


class Answer(NamedTuple):
    """One page, and where the next one is if a header says so."""

    document: Any
    next_url: str
    is_kept: bool = False  # from an interrupted try before


class Memory(Protocol):
    """What remembers pages from one try to the next, by their address."""

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page, and the address of the next one."""

    def keep(self, url: str, document: Any, next_url: str) -> None:
        """Remember them."""


class Web:
    """One server, with the headers that let us in. They go to no other one, and into no log."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        told: Callable[[str], None] = lambda _: None,
        stopped: Callable[[float], bool] = lambda seconds: bool(time.sleep(seconds)),
        memory: Memory | None = None,
    ) -> None:
        """`told` is called with what is waited for; `stopped` waits, and says whether to end."""
        self._memory = memory
        self.url, self._told, self._stopped = httpx2.URL(url.rstrip("/")), told, stopped
        if self.url.scheme != "https" and self.url.host not in LOOPBACK:
            raise PullFailed(
                f"{url} would send the token in the clear; it has to start with https."
            )
        self._client = httpx2.Client(
            headers={"User-Agent": "rollcall", **headers}, timeout=TIMEOUT, follow_redirects=False
        )

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def client(self) -> Client:
        """For who speaks a protocol of its own, such as that of signing in."""
        return Client(self._ask)

    def let_in_by(self, authorization: str, more: Mapping[str, str] | None = None) -> None:
        """The header `Authorization` that is sent from now on, and others that a server wants."""
        self._client.headers.update({"Authorization": authorization} | dict(more or {}))

    def get(self, address: str, params: Mapping[str, Any] | None = None) -> Answer:
        """A page, however often it has to be asked for. Raises PullFailed.

        `address` is a path below the server's, or the whole address of a next page.
        """
        url = self._whole(address)
        url = url.copy_merge_params(params) if params else url
        if self._memory and (known := self._memory.get(str(url))):
            return Answer(*known, is_kept=True)
        found = _answer(self._ask("GET", url))
        if self._memory:
            self._memory.keep(str(url), found.document, found.next_url)
        return found

    def _ask(self, method: str, url: httpx2.URL | str, **how: Any) -> httpx2.Response:
        """The answer to a request, however often it has to be made. Raises PullFailed."""
        give_up, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
        while True:
            found, asked = self._try(method, httpx2.URL(url), how)
            if isinstance(found, httpx2.Response):
                return found
            wait = asked if asked is not None else pause * random.uniform(0.5, 1)  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
            if time.monotonic() + wait > give_up:
                raise Interrupted(f"{found} It was asked for {PATIENCE / 60:.0f} minutes.")
            self._told(f"{found} Asking again in {wait:.0f} s.")
            if self._stopped(wait):
                raise Interrupted("Stopped.")

    def _try(
        self, method: str, url: httpx2.URL, how: Mapping[str, Any]
    ) -> tuple[httpx2.Response | str, float | None]:
        """The answer; or why there is none yet, and how many seconds the server asks to wait."""
        try:
            with self._client.stream(method, url, **how) as response:
                body = _read(response)
        except httpx2.TransportError as fault:
            if "CERTIFICATE_VERIFY_FAILED" in str(fault):
                raise PullFailed(
                    f"{url.host} shows a certificate that cannot be trusted."
                ) from fault
            return f"{url.host} does not answer ({type(fault).__name__}).", None
        if response.status_code in BUSY:
            return f"{url.host} answers with {response.status_code}.", pause_asked(response.headers)
        links = {"Link": response.headers["link"]} if "link" in response.headers else {}
        whole = httpx2.Response(
            response.status_code, headers=links, content=body, request=response.request
        )
        return whole, None

    def _whole(self, address: str) -> httpx2.URL:
        """Raises PullFailed for an address elsewhere, which the token is no business of."""
        if not address.startswith(("http://", "https://")):
            return httpx2.URL(f"{self.url}/{address.lstrip('/')}")
        url = httpx2.URL(address)
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            raise PullFailed(f"The next page is on another server, {url.host}: not followed.")
        return url


class Client(NamedTuple):
    """The same patience for a library that has words of its own for a request."""

    ask: Callable[..., httpx2.Response]

    def get(self, url: str, **how: Any) -> httpx2.Response:
        """What is there."""
        return self.ask("GET", url, **how)

    def post(self, url: str, **how: Any) -> httpx2.Response:
        """What is answered to what is told."""
        return self.ask("POST", url, **how)


def pause_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `Retry-After` says in either form, or Okta's own header does."""
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    if after:
        try:
            return _until(parsedate_to_datetime(after).timestamp())
        except ValueError:
            return None
    reset = headers.get("x-rate-limit-reset", "")
    return _until(float(reset)) if reset.isdecimal() else None


def _until(moment: float) -> float:
    return max(0.0, moment - datetime.now(UTC).timestamp()) + 1


def _read(response: httpx2.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > LARGEST_PAGE:
            raise PullFailed(
                f"{response.url.host} sends a page of more than {LARGEST_PAGE:,} bytes."
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _answer(response: httpx2.Response) -> Answer:
    """Raises PullFailed, with what the server says of it."""
    host, status = response.url.host, response.status_code
    if response.is_redirect:
        raise PullFailed(f"{host} answers with a redirect ({status}): is the address right?")
    document = _json(response.content)
    if status != 200:
        why = WORDS.get(status, "it refuses to answer")
        raise PullFailed(f"{host}{response.url.path}: {why} ({status}).{_said(document)}")
    if document is None:
        raise PullFailed(
            f"{host}{response.url.path} does not answer with JSON: is the address right?"
        )
    return Answer(document, response.links.get("next", {}).get("url", ""))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(document: Any) -> str:
    """What an error's body says, in the words of SCIM, Okta, Graph or OAuth."""
    if not isinstance(document, dict):
        return ""
    error = document.get("error")
    texts: Iterator[Any] = iter(
        (
            document.get("detail"),
            document.get("errorSummary"),
            document.get("error_description"),
            error.get("message") if isinstance(error, dict) else error,
        )
    )
    said = next((str(text) for text in texts if text), "")
    return f" It says: {' '.join(said.split())[:300]}" if said else ""
