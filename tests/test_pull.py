"""Pulls from real servers and from ones of a recorded shape: all pages, or nothing."""

from __future__ import annotations

import logging
import os
import signal
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme
from builders import usernames
from deliveries import accounts
from patience import PATIENCE, wait_until
from serving_pages import TOKEN, Request, Response, Server, node_scim, python_scim
from sqlalchemy import Engine
from test_sources import a_scim_page, a_scim_user, an_event, an_okta_user, modified

import commands
import rollcall
from data import sources
from data.history.load import LoadResult
from data.home import Home
from data.inbox import schedule
from data.inbox.delivered import inbox_files
from data.inbox.inbox import load_inbox
from data.inbox.pull import latest_taken_at, pull_to_inbox
from data.records.pull_failures import read_pull_failures
from data.service.keeper import Keeper
from data.sources import http
from data.sources.http import PullFailed, retry_delay
from data.sources.resume import FilePageCache
from data.sources.settings import PullConfig, read_pull_configs, remove_credentials
from data.store.engine import open_store


def asking(url: str, source: str = "scim", **settings: Any) -> PullConfig:
    return PullConfig("figma", source, {"url": url, "token": TOKEN, **settings})


@pytest.fixture
def store_of(home: Home) -> Engine:
    return open_store(home.database_url)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_DELAY", 0.01)


def pulled(home: Home, config: PullConfig) -> dict[str, dict[str, Any]]:
    """Pull it, load it, and tell the accounts by username."""
    pull_to_inbox(home, config)
    (loaded,) = load_inbox(open_store(home.database_url), home)
    assert isinstance(loaded, LoadResult), loaded
    return accounts(open_store(home.database_url))


def nothing_is_left(home: Home) -> bool:
    """Neither in the inbox nor beside it."""
    beside = [path for path in home.root.iterdir() if path.name.startswith(".pull-")]
    return not [*home.inbox.rglob("*.*"), *beside]


# ---- SCIM, from real servers ---------------------------------------------------------------------


@pytest.mark.parametrize("by_cursor", [False, True], ids=["by index", "by cursor"])
def test_a_scim_server_of_thousands_is_pulled_page_by_page(home: Home, by_cursor: bool):
    progress: list[str] = []
    with python_scim(2_050, by_cursor=by_cursor) as url:
        path = pull_to_inbox(home, asking(url, groups=True), progress.append)
    assert progress[-2:] == ["2,050 records in 11 pages", "2,051 records in 12 pages"]
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 12
    (loaded,) = load_inbox(open_store(home.database_url), home)
    assert isinstance(loaded, LoadResult)
    found = accounts(open_store(home.database_url))
    assert (len(found), loaded.rejected) == (2_050, 0)
    assert (found["user1"]["roles"], found["user3"]["roles"]) == (["Staff"], [])
    assert (found["user10"]["active_in_app"], found["user10"]["upstream_user_id"]) == (
        False, "00u10",
    )  # fmt: skip
    assert found["user10"]["last_updated"] == datetime(2026, 11, 1, 8)


def test_another_scim_server_is_pulled_too(home: Home):
    with node_scim(2_000) as url:
        found = pulled(home, asking(url))
    assert len(found) == 2_000
    assert found["user7"]["attributes"].count("user7@x.io") == 1
    (archived,) = home.archive.rglob("*.zip")
    with zipfile.ZipFile(archived) as archive:
        assert b"t1meMa" not in b"".join(map(archive.read, archive.namelist()))


def test_a_wrong_token_fails_with_the_reason_and_leaves_nothing(home: Home):
    with python_scim(1) as url, pytest.raises(PullFailed, match=r"token is not accepted.*\(401\)"):
        pull_to_inbox(home, asking(url, token="wrong"))
    assert nothing_is_left(home)


# ---- what servers do -----------------------------------------------------------------------------


def test_a_pull_retries_a_busy_server_and_continues(home: Home, caplog: pytest.LogCaptureFixture):
    """A rate limit at every third request, a page that fails twice, and small pages."""
    users = [a_scim_user(n) for n in range(1, 51)]
    failing = [500, 503]

    def answer(request: Request) -> Response:
        if len(server.requests) % 3 == 0:
            return Response({}, 429, {"Retry-After": "0"})
        start = int(request.query["startIndex"][0])
        if start == 21 and failing:
            return Response({}, failing.pop())
        return Response(a_scim_page(*users[start - 1 : start + 9], total=50, start=start))

    messages: list[str] = []
    with caplog.at_level(logging.DEBUG), Server(answer).serving() as server:
        path = pull_to_inbox(home, asking(server.url), messages.append)
    starts = [int(request.query["startIndex"][0]) for request in server.requests]
    assert sorted(set(starts)) == [1, 11, 21, 31, 41]
    assert starts == sorted(starts)  # never from the beginning
    assert messages[-1] == "50 records in 5 pages"
    assert any("answers with 429. Trying again in 0 s." in words for words in messages)
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in server.requests)
    texts = [*messages, caplog.text, repr(asking("x")), path.read_bytes().decode("latin-1")]
    assert TOKEN not in "".join(texts)


def test_a_page_that_keeps_failing_leaves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "RETRY_SECONDS", 0.05)

    def answer(request: Request) -> Response:
        if request.query["startIndex"] == ["1"]:
            return Response(a_scim_page(a_scim_user(1), total=2))
        return Response({"detail": "Out of order"}, 503)

    with (
        Server(answer).serving() as server,
        pytest.raises(PullFailed, match="answers with 503"),
    ):
        pull_to_inbox(home, asking(server.url))
    assert nothing_is_left(home)


def test_a_server_that_repeats_a_page_is_detected(home: Home):
    page = a_scim_page(a_scim_user(1), total=1_000_000)
    with (
        Server(lambda _: Response(page)).serving() as server,
        pytest.raises(PullFailed, match="gives the same page of Users again"),
    ):
        pull_to_inbox(home, asking(server.url))
    assert len(server.requests) == 2
    assert nothing_is_left(home)


def test_a_pull_with_fewer_users_than_the_server_counts_goes_on_hold(home: Home, store_of: Engine):
    def answer(request: Request) -> Response:
        first = request.query["startIndex"] == ["1"]
        return Response(a_scim_page(*[a_scim_user(1)] * first, total=2))

    with Server(answer).serving() as server:
        pull_to_inbox(home, asking(server.url))
    (held,) = load_inbox(store_of, home)
    assert "totalResults is 2, but the file has 1" in held.reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (
            Response({"error": {"message": "No such app"}}, 404),
            "no such address .404.. Details: No such",
        ),
        (Response({}, 302, {"Location": "https://x.io"}), r"answers with a redirect \(302\)"),
        (
            Response([{}], 200, {"Link": '<https://evil.example/p2>; rel="next"'}),
            "on another server",
        ),
    ],
)
def test_an_answer_that_is_no_list_fails_with_the_reason(
    home: Home, response: Response, words: str
):
    with Server(lambda _: response).serving() as server, pytest.raises(PullFailed, match=words):
        pull_to_inbox(home, asking(server.url, "okta", app="0oa1"))
    assert nothing_is_left(home)


def test_a_token_is_never_sent_unencrypted(home: Home):
    with pytest.raises(PullFailed, match="would send the token unencrypted"):
        pull_to_inbox(home, asking("http://scim.example.com"))


def test_a_retry_waits_as_long_as_the_server_asks():
    later = datetime.now(UTC) + timedelta(hours=1)
    assert retry_delay({"retry-after": "7"}) == 7
    assert 3_500 < (retry_delay({"retry-after": format_datetime(later, usegmt=True)}) or 0) < 3_605
    assert 3_500 < (retry_delay({"x-rate-limit-reset": f"{later.timestamp():.0f}"}) or 0) < 3_605
    assert retry_delay({"retry-after": "soon"}) is None
    assert retry_delay({}) is None


# ---- a pull that is interrupted ------------------------------------------------------------------


class Listing:
    """30 users on a server, ten a page, by index (SCIM) or by links (Okta); it can be down."""

    def __init__(self, source: str) -> None:
        self.source, self.users, self.starts = source, 30, list[int]()
        self.down_from, self.as_of_down = 21, 503
        self.server = Server(self.answer)

    def answer(self, request: Request) -> Response:
        start = int((request.query.get("startIndex") or request.query.get("after") or ["1"])[0])
        if start >= self.down_from:
            return Response({}, self.as_of_down)
        self.starts.append(start)
        numbers = range(start, min(start + 10, self.users + 1))
        if self.source == "scim":
            users = [a_scim_user(n) for n in numbers]
            return Response(a_scim_page(*users, total=self.users, start=start))
        following = f'<{self.server.url}{request.path}?after={start + 10}>; rel="next"'
        users = [
            an_okta_user("ACTIVE", "SYNCHRONIZED", id=f"u{n}", credentials={"userName": f"user{n}"})
            for n in numbers
        ]
        return Response(users, 200, {"Link": following} if start + 10 <= self.users else {})

    @property
    def asking(self) -> PullConfig:
        return asking(self.server.url, self.source, app="0oa1")


@pytest.fixture(params=["scim", "okta"])
def interrupted(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Listing]:
    """A server that answers again, after a pull that got two of three pages."""
    listing = Listing(request.param)
    with listing.server.serving():
        monkeypatch.setattr(http, "RETRY_SECONDS", 0.05)
        with pytest.raises(PullFailed, match="answers with 503"):
            pull_to_inbox(home, listing.asking)
        assert (listing.starts, nothing_is_left(home)) == ([1, 11], True)
        listing.starts.clear()
        listing.down_from = 1_000
        yield listing


def cached_pages(home: Home) -> list[Path]:
    return [path for path in home.root.rglob(".pages-*/*") if path.is_file()]


def test_an_interrupted_pull_continues(home: Home, interrupted: Listing):
    pages = cached_pages(home)
    assert [path.stat().st_mode & 0o77 for path in (*pages, pages[0].parent)] == [0, 0, 0]
    assert not any(TOKEN in path.read_text() for path in pages)
    for path in pages:
        os.utime(path, (time.time() - 100,) * 2)
    began = datetime.fromtimestamp(pages[0].stat().st_mtime, UTC)
    path = pull_to_inbox(home, interrupted.asking)
    assert interrupted.starts == [21]
    assert path.name == f"{began:%Y-%m-%dT%H-%M-%SZ}.zip"  # the list is of when it began
    assert not cached_pages(home)
    load_inbox(open_store(home.database_url), home)
    assert len(accounts(open_store(home.database_url))) == 30


def test_a_pull_starts_over_where_it_cannot_continue(home: Home, interrupted: Listing):
    def starts_over(words: str) -> bool:
        messages: list[str] = []
        pull_to_inbox(home, interrupted.asking, messages.append)
        return any(words in each for each in messages)

    if interrupted.source == "scim":
        interrupted.users = 31
        assert starts_over(
            "The number of Users changed since the pull was interrupted. Starting over."
        )
        assert interrupted.starts == [21, 1, 11, 21, 31]
    else:
        interrupted.down_from, interrupted.as_of_down = 21, 400  # the cursor is not known any more
        with pytest.raises(PullFailed, match=r"the request is refused \(400\)"):
            starts_over("")
        assert interrupted.starts == [1, 11]
    assert not cached_pages(home)


def test_old_pages_are_deleted(home: Home, interrupted: Listing):
    for path in cached_pages(home):
        os.utime(path, (time.time() - 3_700,) * 2)
    pull_to_inbox(home, interrupted.asking)
    assert interrupted.starts == [1, 11, 21]


def test_a_page_with_a_link_that_looks_like_a_credential_is_not_cached(home: Home):
    cache, config = FilePageCache(home.root, asking("x")), asking("x")
    cache.put("u1", {"users": [{"apiToken": "s3cret", "id": 1}], "page": {"number": 1}}, "u2")
    cache.put("u2", {"users": [], "page": {"nextPageToken": "u3"}}, "")
    again = FilePageCache(home.root, config)
    assert again.get("u1") == ({"users": [{"id": 1}], "page": {"number": 1}}, "u2")
    assert (again.get("u2"), cache.get("u1")) == (None, None)  # only in the next try


def test_a_killed_pull_leaves_only_pages_to_continue_from(home: Home, tmp_path: Path):
    stuck, path = Event(), tmp_path / "secrets.toml"

    def answer(request: Request) -> Response:
        if request.query["startIndex"] != ["1"]:
            stuck.wait(20)
        return Response(a_scim_page(a_scim_user(1), total=2))

    with Server(answer).serving() as server:
        path.write_text(f'[pull.figma]\nsource = "scim"\nurl = "{server.url}"\ntoken = "$T"\n')
        for way, code, requests in ((signal.SIGKILL, -9, 2), (signal.SIGTERM, 143, 1)):
            server.requests.clear()
            command = [Path(sys.executable).with_name("rollcall"), "pull", "figma"]
            environment = os.environ | {"ROLLCALL_SECRETS": str(path), "T": TOKEN}
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
                wait_until(lambda n=requests: len(server.requests) == n)
                process.send_signal(way)
                process.communicate(timeout=PATIENCE)
            assert process.returncode == code
            assert nothing_is_left(home)
        stuck.set()


# ---- Okta and Microsoft Graph, of a recorded shape -----------------------------------------------


def test_okta_s_pages_are_followed_by_their_link_headers(home: Home):
    def answer(request: Request) -> Response:
        assert request.path == "/api/v1/apps/0oa%2F1/users"
        assert request.headers["authorization"] == f"SSWS {TOKEN}"
        if len(server.requests) == 2:
            past = f"{time.time() - 5:.0f}"
            return Response({"errorSummary": "Too many"}, 429, {"X-Rate-Limit-Reset": past})
        after = int(request.query.get("after", ["0"])[0])
        if not after:
            assert request.query == {"limit": ["500"], "expand": ["user"]}
        own = f"{server.url}{request.path}"
        links = f'<{own}?limit=500>; rel="self"'
        if after < 2:
            links += f', <{own}?after={after + 1}&limit=500&expand=user>; rel="next"'
        user = an_okta_user("ACTIVE", "SYNCHRONIZED", id=f"00u{after}")
        user["credentials"] = {"userName": f"user{after}", "password": {"value": "t1meMa$heen"}}
        return Response([user], 200, {"Link": links})

    with Server(answer).serving() as server:
        pull_to_inbox(home, asking(server.url, "okta", app="0oa/1"), wait_or_stop=lambda _: False)
    assert [request.query.get("after") for request in server.requests] == [
        None,
        ["1"],
        ["1"],
        ["2"],
    ]
    load_inbox(open_store(home.database_url), home)
    assert set(accounts(open_store(home.database_url))) == {"user0", "user1", "user2"}
    (archived,) = home.archive.rglob("*.zip")
    with zipfile.ZipFile(archived) as archive:
        assert b"t1meMa" not in b"".join(map(archive.read, archive.namelist()))


def test_the_documented_example_of_a_puller_works(home: Home, monkeypatch: pytest.MonkeyPatch):
    text = (Path(__file__).parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
    made: dict[str, Any] = {}
    exec(text.split("```python\n")[-1].split("```")[0], made)  # noqa: S102 - it is our own
    monkeypatch.setitem(sources.PULLERS, "acme", sources.Puller(made["pull_accounts"]))

    def answer(request: Request) -> Response:
        assert (request.path, request.headers["acme-version"]) == ("/v1/seats", "2026-01-01")
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if request.query == {"limit": ["100"]}:
            return Response({"seats": [1, 2], "next": "v1/seats?page=2"})
        return Response({"seats": [3]})

    with Server(answer).serving() as server:
        path = pull_to_inbox(home, asking(server.url, "acme"))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2


@pytest.fixture(scope="module")
def authority() -> tuple[trustme.CA, ssl.SSLContext]:
    ca, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    return ca, server


def graph(request: Request, server: Server) -> Response:
    """Microsoft's sign-in and Graph, on one address."""
    if request.path.endswith("openid-configuration"):
        at = f"{server.url}/t1"
        places = ("authorization_endpoint", "token_endpoint", "issuer")
        return Response({place: f"{at}/{place}" for place in places})
    if request.path.endswith("token_endpoint"):
        assert "grant_type=client_credentials" in request.body
        assert "client_secret=cl1ent" in request.body
        times = sum(each.path == request.path for each in server.requests)
        if times < 3:
            return Response({}, {1: 429, 2: 503}[times], {"Retry-After": "0"})
        return Response({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3599})
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    match request.path:
        case "/v1.0/servicePrincipals/sp1":
            roles = [{"id": "r1", "displayName": "Member"}]
            return Response({"id": "sp1", "displayName": "Figma", "appRoles": roles})
        case "/v1.0/servicePrincipals/sp1/appRoleAssignedTo":
            assigned = {
                "principalId": "obj-bob", "principalType": "User", "appRoleId": "r1",
                "principalDisplayName": "Bob", "createdDateTime": "2020-01-01T00:00:00Z",
            }  # fmt: skip
            return Response({"value": [assigned]})
        case "/v1.0/auditLogs/provisioning" if "$skiptoken" not in request.query:
            (wanted,) = request.query["$filter"]
            assert wanted.endswith("Z and servicePrincipal/id eq 'sp1'")
            assert wanted.startswith("activityDateTime gt 20")
            event = an_event(1, "create", "success", modifiedProperties=modified(userName="ada.l"))
            following = f"{server.url}{request.path}?$skiptoken=abc"
            return Response({"value": [event], "@odata.nextLink": following})
        case "/v1.0/auditLogs/provisioning":
            return Response({"value": [an_event(2, "update", "failure")]})
    return Response({}, 404)


def test_graph_is_signed_in_to_and_followed_by_its_next_links(
    home: Home, authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ca, tls = authority
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = Server(lambda request: graph(request, server))
    with server.serving(tls):
        config = asking(
            server.url, "entra", authority=server.url, tenant="t1", client_id="c1",
            client_secret="$ENTRA_SECRET", service_principal="sp1",
        )  # fmt: skip
        monkeypatch.delenv("ENTRA_SECRET", raising=False)
        with pytest.raises(PullFailed, match="ENTRA_SECRET, which is not set"):
            pull_to_inbox(home, config)
        monkeypatch.setenv("ENTRA_SECRET", "cl1ent")
        with monkeypatch.context() as hurried:
            hurried.setattr(http, "RETRY_SECONDS", 0.05)
            with pytest.raises(PullFailed, match="The certificate of"):
                pull_to_inbox(home, config)
        assert not server.requests  # a certificate that nobody vouches for gets no secret
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        found = pulled(home, config)
    assert {name: each["provisioning_state"] for name, each in found.items()} == {
        "ada.l": "Update failed", "Bob": "Onboarded",
    }  # fmt: skip


# ---- sections, and the clock ---------------------------------------------------------------------


def test_sections_of_the_secrets_name_what_to_pull(tmp_path: Path):
    path = tmp_path / "secrets.toml"
    assert read_pull_configs(path) == []
    path.write_text('[auth]\nx = 1\n[pull."Figma EU"]\nsource = "scim"\nevery = "6h"\nurl = "u"\n')
    (config,) = read_pull_configs(path)
    assert (config.integration, config.interval, config["url"]) == (
        "Figma EU",
        timedelta(hours=6),
        "u",
    )
    for text, words in (
        ('[pull.figma]\nurl = "x"', "lacks “source”"),
        ('[pull.figma]\nsource = "scim"\nevery = "often"', "expected 15m, 6h or 1d"),
        ("[pull]\nfigma = 1", "expected sections like"),
        ('token = "s3cret', "is not valid TOML"),
    ):
        path.write_text(text)
        with pytest.raises(PullFailed, match=words) as error:
            read_pull_configs(path)
        assert "s3cret" not in str(error.value)


def test_a_payload_is_written_without_credentials():
    okta = {"credentials": {"userName": "ada", "password": {"hash": "x"}, "recovery_question": {}}}
    assert remove_credentials([{"apiKey": 1, "a": [okta]}]) == [
        {"a": [{"credentials": {"userName": "ada", "recovery_question": {}}}]}
    ]


def test_the_command_pulls_loads_and_says_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "secrets.toml"
    monkeypatch.setenv("ROLLCALL_SECRETS", str(path))
    assert rollcall.main(["pull"]) == commands.EXIT_USAGE
    with Server(lambda _: Response(a_scim_page(a_scim_user(1)))).serving() as server:
        section = '[pull.{}]\nsource = "{}"\nurl = "{}"\ntoken = "x"\n'
        path.write_text(
            section.format("figma", "scim", server.url) + section.format("slack", "scum", "x")
        )
        assert rollcall.main(["pull", "nobody"]) == commands.EXIT_USAGE
        assert rollcall.main(["pull", "figma"]) == commands.EXIT_OK
        assert "figma: 1 records in 1 pages." in (out := capsys.readouterr().out)
        assert "1 account." in out
        time.sleep(1)  # two snapshots of one second would be one
        assert rollcall.main(["pull"]) == commands.EXIT_REJECTED
    assert "slack: [pull.slack] source: expected scim, okta" in capsys.readouterr().err
    with open_store(home.database_url).connect() as con:
        assert usernames(con) == ["user1"]


def test_a_pull_is_due_after_its_interval_or_on_request(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schedule, "pull_statuses", {})
    monkeypatch.setattr(schedule, "requested_pulls", set())
    now = datetime(2026, 11, 23, 12)
    config = PullConfig("figma", "scim", {}, timedelta(hours=6))
    by_hand = PullConfig("figma", "scim", {})
    assert schedule.is_due(home, config, now)
    assert not schedule.is_due(home, by_hand, now)
    for hour, due in ((5, True), (6, True), (7, False)):
        path = home.archive / "figma" / f"2026-11-23T{hour:02}-00-00Z.zip"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert latest_taken_at(home, "figma") == datetime(2026, 11, 23, hour)
        assert schedule.is_due(home, config, now) == due
    schedule.requested_pulls.add("figma")
    assert schedule.is_due(home, by_hand, now)
    schedule.requested_pulls.clear()
    later = now + timedelta(hours=6)
    schedule.pull_statuses["figma"] = schedule.PullStatus("No answer.", later, has_failed=True)
    assert not schedule.is_due(home, config, later + timedelta(minutes=14))
    assert schedule.is_due(home, config, later + timedelta(minutes=15))


def failing_pulls(home: Home) -> list[str | None]:
    """The messages of those that the store knows, after a keeper was there."""
    Keeper(home, "http://127.0.0.1:1").run_once()
    with open_store(home.database_url).connect() as con:
        return [failure.message for failure in read_pull_failures(con)]


def test_the_scheduler_pulls_and_shows_the_status_also_after_a_restart(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schedule, "pull_statuses", {})
    monkeypatch.setattr(schedule, "SCHEDULE_POLL_SECONDS", 0.01)
    monkeypatch.setenv("ROLLCALL_SECRETS", str(tmp_path / "secrets.toml"))
    ways = [Response({}, 401), Response(a_scim_page(a_scim_user(1)))]

    class Stop(Event):
        """Stops when a pull has come to its end."""

        def wait(self, timeout: float | None = None) -> bool:
            course = schedule.pull_statuses.get("figma")
            return (course is not None and not course.is_running) or super().wait(timeout)

    with Server(lambda _: ways[0]).serving() as server:
        (tmp_path / "secrets.toml").write_text(
            f'[pull.figma]\nsource = "scim"\nurl = "{server.url}"\ntoken = "x"\nevery = "1d"\n'
        )
        schedule.run_scheduler(home, Stop())
        failed = schedule.pull_statuses["figma"].message
        assert failed.endswith("or has expired (401).")
        assert failing_pulls(home) == [failed]
        schedule.pull_statuses.clear()  # as a restart does
        assert failing_pulls(home) == [failed]
        restored = schedule.pull_statuses.pop("figma")
        assert (restored.message, restored.has_failed) == (failed, True)
        ways.pop(0)
        schedule.run_scheduler(home, Stop())
    assert schedule.pull_statuses["figma"].message == "1 records in 1 pages"
    assert [path.parent.name for path in inbox_files(home)] == ["figma"]
    assert failing_pulls(home) == []
