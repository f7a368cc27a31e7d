"""Gets pages from a server: retries, waits for rate limits, and sends the token only over TLS."""

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
"""Seconds: for an answer, and for a connection."""

RETRY_SECONDS = 900.0
"""How long a page is retried; a rate limit mostly ends within a minute."""

FIRST_DELAY, MAX_DELAY = 1.0, 60.0
"""Seconds between tries where the server names none: doubled each time, with jitter."""

RETRY_STATUSES = (408, 425, 429, 500, 502, 503, 504)

MAX_PAGE_BYTES = 64 * 1024 * 1024
"""Bytes of one answer; a page of a thousand users has one or two million."""

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

STATUS_MESSAGES = {
    401: "the token is not accepted, or has expired",
    403: "the token does not allow reading this",
    404: "there is no such address",
}


class PullFailed(Exception):
    """A server could not be asked, or gave an unexpected answer. Nothing was delivered."""


class PullInterrupted(PullFailed):
    """A server did not answer for too long, or a person stopped the pull."""


class FetchedPage(NamedTuple):
    """One page, and the address of the next one if a header has it."""

    payload: Any
    next_url: str
    is_cached: bool = False  # from an earlier try that was interrupted


class PageCache(Protocol):
    """Keeps pages by their address from one try to the next."""

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page, and the address of the next one."""

    def put(self, url: str, payload: Any, next_url: str) -> None:
        """Store them."""


class ApiClient:
    """A client of one server. Its credentials go to no other server, and into no log."""

    def __init__(
        self,
        url: str,
        *,
        progress: Callable[[str], None] = lambda _: None,
        wait_or_stop: Callable[[float], bool] = lambda seconds: bool(time.sleep(seconds)),
        cache: PageCache | None = None,
    ) -> None:
        """`wait_or_stop` waits for some seconds, and returns whether to stop."""
        self.url = httpx2.URL(url.rstrip("/"))
        self._cache, self._progress, self._wait_or_stop = cache, progress, wait_or_stop
        if self.url.scheme != "https" and self.url.host not in LOOPBACK_HOSTS:
            raise PullFailed(f"{url} would send the token unencrypted. Use an https address.")
        headers = {"User-Agent": "rollcall"}
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT, follow_redirects=False)

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def http_adapter(self) -> HttpAdapter:
        """The same retries for a library that makes requests of its own, e.g. to sign in."""
        return HttpAdapter(self._request)

    def authorize(self, authorization: str, extra_headers: Mapping[str, str] | None = None) -> None:
        """Send this `Authorization` header, and others, from now on."""
        self._client.headers.update({"Authorization": authorization} | dict(extra_headers or {}))

    def pages(
        self,
        address: str,
        params: Mapping[str, Any],
        find_next: Callable[[FetchedPage], str] = lambda page: page.next_url,
    ) -> Iterator[Any]:
        """The payloads of all pages, by the full address of each next one."""
        page = self.get(address, params)
        yield page.payload
        while next_url := find_next(page):
            page = self.get(next_url)
            yield page.payload

    def get(self, address: str, params: Mapping[str, Any] | None = None) -> FetchedPage:
        """One page, with retries. Raises PullFailed.

        `address` is a path on the server, or the full address of a next page.
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
        """The answer to a request, with retries. Raises PullFailed."""
        deadline, delay = time.monotonic() + RETRY_SECONDS, FIRST_DELAY
        while True:
            result, retry_after = self._attempt(method, httpx2.URL(url), options)
            if isinstance(result, httpx2.Response):
                return result
            wait = retry_after if retry_after is not None else delay * random.uniform(0.5, 1)  # noqa: S311
            delay = min(2 * delay, MAX_DELAY)
            if time.monotonic() + wait > deadline:
                raise PullInterrupted(f"{result} Gave up after {RETRY_SECONDS / 60:.0f} minutes.")
            self._progress(f"{result} Trying again in {wait:.0f} s.")
            if self._wait_or_stop(wait):
                raise PullInterrupted("Stopped.")

    def _attempt(
        self, method: str, url: httpx2.URL, options: Mapping[str, Any]
    ) -> tuple[httpx2.Response | str, float | None]:
        """The answer; or why there is none yet, and the seconds that the server asks to wait."""
        try:
            with self._client.stream(method, url, **options) as response:
                body = _read_body(response)
        except httpx2.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise PullFailed(f"The certificate of {url.host} is not trusted.") from error
            return f"{url.host} does not answer ({type(error).__name__}).", None
        if response.status_code in RETRY_STATUSES:
            return f"{url.host} answers with {response.status_code}.", retry_delay(response.headers)
        links = {"Link": response.headers["link"]} if "link" in response.headers else {}
        complete_response = httpx2.Response(
            response.status_code, headers=links, content=body, request=response.request
        )
        return complete_response, None

    def _resolve_url(self, address: str) -> httpx2.URL:
        """The full address. Raises PullFailed for another server, which must not get the token."""
        if not address.startswith(("http://", "https://")):
            return httpx2.URL(f"{self.url}/{address.lstrip('/')}")
        url = httpx2.URL(address)
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            raise PullFailed(f"The next page is on another server, {url.host}. Not followed.")
        return url


class HttpAdapter(NamedTuple):
    """The interface that MSAL expects of an HTTP client."""

    request: Callable[..., httpx2.Response]

    def get(self, url: str, **options: Any) -> httpx2.Response:
        """The answer to a GET request."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx2.Response:
        """The answer to a POST request."""
        return self.request("POST", url, **options)


def retry_delay(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, by either form of `Retry-After`, or by Okta's own header."""
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
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            host = response.url.host
            raise PullFailed(f"{host} sends a page of more than {MAX_PAGE_BYTES:,} bytes.")
    return bytes(body)


def _parse_page(response: httpx2.Response) -> FetchedPage:
    """Raises PullFailed, with the server's own message."""
    host, status = response.url.host, response.status_code
    if response.is_redirect:
        raise PullFailed(f"{host} answers with a redirect ({status}). Check the address.")
    try:
        payload = json.loads(response.content)
    except (ValueError, RecursionError):
        payload = None
    address = f"{host}{response.url.path}"
    if status != 200:
        message = STATUS_MESSAGES.get(status, "the request is refused")
        raise PullFailed(f"{address}: {message} ({status}).{_error_details(payload)}")
    if payload is None:
        raise PullFailed(f"{address} does not answer with JSON. Check the address.")
    return FetchedPage(payload, response.links.get("next", {}).get("url", ""))


def _error_details(payload: Any) -> str:
    """The message in an error's body, as SCIM, Okta, Graph and OAuth write it."""
    if not isinstance(payload, dict):
        return ""
    error = payload.get("error")
    messages = (
        *map(payload.get, ("detail", "errorSummary", "error_description")),
        error.get("message") if isinstance(error, dict) else error,
    )
    message = " ".join(str(next(filter(None, messages), "")).split())[:300]
    return f" Details: {message}" if message else ""
