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

RETRY_SECONDS = 900.0
"""Seconds that one page is asked for again and again; a rate limit mostly ends within a minute."""

FIRST_DELAY, MAX_DELAY = 1.0, 60.0
"""Seconds between tries, where the server names none: twice as long each time, and never alike."""

RETRY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be asked again."""

MAX_PAGE_BYTES = 64 * 1024 * 1024
"""Bytes of one answer; pages of a thousand users have one or two million."""

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

STATUS_MESSAGES = {
    401: "the token is not accepted, or has expired",
    403: "the token may not read this",
    404: "there is no such address",
}
"""What a refusal means, mostly."""


class PullFailed(Exception):
    """A server could not be asked, or did not answer as it should. Nothing was delivered."""


class PullInterrupted(PullFailed):
    """A server did not answer for too long, or a person does not want to wait for it."""


class FetchedPage(NamedTuple):
    """One page, and where the next one is if a header says so."""

    payload: Any
    next_url: str
    is_cached: bool = False  # from an interrupted try before


class PageCache(Protocol):
    """What remembers pages from one try to the next, by their address."""

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page, and the address of the next one."""

    def put(self, url: str, payload: Any, next_url: str) -> None:
        """Remember them."""


class ApiClient:
    """One server, with the headers that let us in. They go to no other one, and into no log."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        progress: Callable[[str], None] = lambda _: None,
        wait_or_stop: Callable[[float], bool] = lambda seconds: bool(time.sleep(seconds)),
        cache: PageCache | None = None,
    ) -> None:
        """`told` is called with what is waited for; `stopped` waits, and says whether to end."""
        self._cache = cache
        self.url, self._progress, self._wait_or_stop = (
            httpx2.URL(url.rstrip("/")),
            progress,
            wait_or_stop,
        )
        if self.url.scheme != "https" and self.url.host not in LOOPBACK_HOSTS:
            raise PullFailed(
                f"{url} would send the token in the clear; it has to start with https."
            )
        self._client = httpx2.Client(
            headers={"User-Agent": "rollcall", **headers}, timeout=TIMEOUT, follow_redirects=False
        )

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def http_adapter(self) -> HttpAdapter:
        """For who speaks a protocol of its own, such as that of signing in."""
        return HttpAdapter(self._request)

    def authorize(self, authorization: str, extra_headers: Mapping[str, str] | None = None) -> None:
        """The header `Authorization` that is sent from now on, and others that a server wants."""
        self._client.headers.update({"Authorization": authorization} | dict(extra_headers or {}))

    def get(self, address: str, params: Mapping[str, Any] | None = None) -> FetchedPage:
        """A page, however often it has to be asked for. Raises PullFailed.

        `address` is a path below the server's, or the whole address of a next page.
        """
        url = self._resolve_url(address)
        url = url.copy_merge_params(params) if params else url
        if self._cache and (cached := self._cache.get(str(url))):
            return FetchedPage(*cached, is_cached=True)
        page = _parse_page(self._request("GET", url))
        if self._cache:
            self._cache.put(str(url), page.payload, page.next_url)
        return page

    def _request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Response:
        """The answer to a request, however often it has to be made. Raises PullFailed."""
        deadline, delay = time.monotonic() + RETRY_SECONDS, FIRST_DELAY
        while True:
            result, retry_after = self._attempt(method, httpx2.URL(url), options)
            if isinstance(result, httpx2.Response):
                return result
            wait = retry_after if retry_after is not None else delay * random.uniform(0.5, 1)  # noqa: S311
            delay = min(2 * delay, MAX_DELAY)
            if time.monotonic() + wait > deadline:
                raise PullInterrupted(
                    f"{result} It was asked for {RETRY_SECONDS / 60:.0f} minutes."
                )
            self._progress(f"{result} Asking again in {wait:.0f} s.")
            if self._wait_or_stop(wait):
                raise PullInterrupted("Stopped.")

    def _attempt(
        self, method: str, url: httpx2.URL, options: Mapping[str, Any]
    ) -> tuple[httpx2.Response | str, float | None]:
        """The answer; or why there is none yet, and how many seconds the server asks to wait."""
        try:
            with self._client.stream(method, url, **options) as response:
                body = _read_body(response)
        except httpx2.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise PullFailed(
                    f"{url.host} shows a certificate that cannot be trusted."
                ) from error
            return f"{url.host} does not answer ({type(error).__name__}).", None
        if response.status_code in RETRY_STATUSES:
            return f"{url.host} answers with {response.status_code}.", retry_delay(response.headers)
        links = {"Link": response.headers["link"]} if "link" in response.headers else {}
        complete_response = httpx2.Response(
            response.status_code, headers=links, content=body, request=response.request
        )
        return complete_response, None

    def _resolve_url(self, address: str) -> httpx2.URL:
        """Raises PullFailed for an address elsewhere, which the token is no business of."""
        if not address.startswith(("http://", "https://")):
            return httpx2.URL(f"{self.url}/{address.lstrip('/')}")
        url = httpx2.URL(address)
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            raise PullFailed(f"The next page is on another server, {url.host}: not followed.")
        return url


class HttpAdapter(NamedTuple):
    """The same patience for a library that has words of its own for a request."""

    request: Callable[..., httpx2.Response]

    def get(self, url: str, **options: Any) -> httpx2.Response:
        """What is there."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx2.Response:
        """What is answered to what is told."""
        return self.request("POST", url, **options)


def retry_delay(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `Retry-After` says in either form, or Okta's own header does."""
    retry_after = headers.get("retry-after", "").strip()
    if retry_after.isdecimal():
        return float(retry_after)
    if retry_after:
        try:
            return _seconds_until(parsedate_to_datetime(retry_after).timestamp())
        except ValueError:
            return None
    reset = headers.get("x-rate-limit-reset", "")
    return _seconds_until(float(reset)) if reset.isdecimal() else None


def _seconds_until(timestamp: float) -> float:
    return max(0.0, timestamp - datetime.now(UTC).timestamp()) + 1


def _read_body(response: httpx2.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_PAGE_BYTES:
            raise PullFailed(
                f"{response.url.host} sends a page of more than {MAX_PAGE_BYTES:,} bytes."
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _parse_page(response: httpx2.Response) -> FetchedPage:
    """Raises PullFailed, with what the server says of it."""
    host, status = response.url.host, response.status_code
    if response.is_redirect:
        raise PullFailed(f"{host} answers with a redirect ({status}): is the address right?")
    payload = _parse_json(response.content)
    if status != 200:
        message = STATUS_MESSAGES.get(status, "it refuses to answer")
        raise PullFailed(
            f"{host}{response.url.path}: {message} ({status}).{_error_message(payload)}"
        )
    if payload is None:
        raise PullFailed(
            f"{host}{response.url.path} does not answer with JSON: is the address right?"
        )
    return FetchedPage(payload, response.links.get("next", {}).get("url", ""))


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_message(payload: Any) -> str:
    """What an error's body says, in the words of SCIM, Okta, Graph or OAuth."""
    if not isinstance(payload, dict):
        return ""
    error = payload.get("error")
    texts: Iterator[Any] = iter(
        (
            payload.get("detail"),
            payload.get("errorSummary"),
            payload.get("error_description"),
            error.get("message") if isinstance(error, dict) else error,
        )
    )
    message = next((str(text) for text in texts if text), "")
    return f" It says: {' '.join(message.split())[:300]}" if message else ""
