"""The gate as an attacker meets it: every address, as nobody and as each role."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from signing_in import CLIENT, SECRET
from signing_in import ROLES as GROUPS
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.proto.BackMsg_pb2 import BackMsg

from data.access.claims import Claims, RoleMapping
from data.access.revoked_tokens import ProviderSession, RevokedTokens
from data.home import Home
from data.service.active_store import StoreStatus, set_store_status
from server import back_channel, gate, session
from server.activity import Activity, is_by_person
from server.assets import CompressedAssets
from server.back_channel import BACK_CHANNEL_PATH, LOGOUT_EVENT, receive_logout
from server.gate import Gate
from server.headers import content_policy
from server.routes import download
from server.session import AuthConfig, request_principal

ORIGIN = "https://rollcall.example.com"
INNER = (
    "/_stcore/stream /_stcore/health /_stcore/metrics /_stcore/host-config "
    "/_stcore/upload_file/s/f /_stcore/agent/openapi.json /media/0123abcd.csv "
    "/component/x/index.html /_stcore/bidi-components/x.js /export/users.csv /export/evidence.zip "
    "/export/users.evidence.zip /export/audit.ndjson /healthz/../export/users.csv "
    "/static/../export/users.csv /app/static/x "
    "//export/users.csv /Healthz /healthz/ /metrics /last-change"
).split()
TOKEN = "a token of the tests, and of nobody else"
METADATA_URL = "https://id.example.com/.well-known/openid-configuration"
Client = Callable[..., TestClient]


def cookie(
    *groups: str, secret: str = SECRET, salt: str = "_streamlit_user", **others: Any
) -> dict[str, str]:
    """What Streamlit leaves in a browser after sign-in."""
    now = time.time()
    claims = {"sub": "s", "iss": "x", "aud": [CLIENT], "iat": now, "exp": now + 600}
    claims |= {"is_logged_in": True, "origin": ORIGIN, "email": "olga@x.io", "email_verified": True}
    return signed(json.dumps(claims | {"groups": list(groups)} | others), secret, salt)


def signed(text: str, secret: str = SECRET, salt: str = "_streamlit_user") -> dict[str, str]:
    return {"_streamlit_user": URLSafeTimedSerializer(secret, salt=salt).dumps(text)}


async def behind(request: Request) -> PlainTextResponse:
    answer = PlainTextResponse(f"behind the gate, for {request_principal.get().name}")
    answer.set_cookie("_streamlit_xsrf", "x")
    answer.headers["Access-Control-Allow-Origin"] = (
        "http://localhost:8501"  # as Streamlit's uploads
    )
    answer.headers["Access-Control-Allow-Credentials"] = "true"
    return answer


def behind_the_store(_: Request) -> PlainTextResponse:
    return PlainTextResponse("behind the gate")


async def greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("a session")
    with suppress(WebSocketDisconnect):
        await socket.receive_bytes()
        await socket.send_text("a message arrived")
    with suppress(RuntimeError):
        await socket.close()


@pytest.fixture
def client(home: Home, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The gate before something that answers everything."""
    routes = [
        WebSocketRoute("/{rest:path}", greet),
        Route("/while-open", download(behind_the_store)),
        Route(BACK_CHANNEL_PATH, receive_logout, methods=["POST"]),
        Route("/{rest:path}", behind, methods=["GET", "PUT"]),
    ]
    gone = RevokedTokens(home.root / "gone")

    def make(
        *, guarded: bool = True, base: str = ORIGIN, token: str = TOKEN, **cookies: str
    ) -> TestClient:
        contact = "<b>it@x.io</b>"
        rules = RoleMapping(claim="groups", roles=GROUPS, contact=contact, metrics_token=token)
        door = AuthConfig(ORIGIN, CLIENT, SECRET, rules, METADATA_URL)
        for module in (session, gate, back_channel):
            monkeypatch.setattr(module, "auth_config", lambda: door if guarded else None)
        for module in (session, back_channel):
            monkeypatch.setattr(module, "revoked_tokens", lambda: gone)
        app = Starlette(routes=routes, middleware=[Middleware(Gate)])
        here = ("127.0.0.1", 50_000)
        return TestClient(app, base_url=base, cookies=cookies, follow_redirects=False, client=here)

    return make


def comes_through(client: TestClient, path: str, **how: Any) -> bool:
    answer = client.request(how.pop("method", "GET"), path, **how)
    return answer.text.startswith("behind")


def stream_of(client: TestClient) -> str:
    return f"{client.base_url}".rstrip("/").replace("http", "ws", 1) + "/_stcore/stream"


def connects(client: TestClient, origin: str | None = ORIGIN, **headers: str) -> bool:
    sent = headers | ({"Origin": origin} if origin is not None else {})
    try:
        with client.websocket_connect(stream_of(client), headers=sent) as socket:
            return socket.receive_text() == "a session"
    except WebSocketDisconnect:
        return False


@pytest.mark.parametrize("path", INNER)
def test_without_sign_in_only_the_health_checks_answer(client: Client, path: str) -> None:
    nobody = client()
    assert not comes_through(nobody, path)
    assert not comes_through(nobody, path, headers={"Accept": "text/html"})
    assert not comes_through(nobody, path, method="PUT", content=b"x")
    assert comes_through(nobody, "/healthz")


def test_a_monitoring_system_gets_the_metrics_and_nothing_else(client: Client) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    monitor = client(base="http://127.0.0.1:8501")
    assert monitor.get("/metrics", headers=token).text == "behind the gate, for monitoring"
    for sent in ("", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \u00e4"):
        assert not comes_through(client(), "/metrics", headers={"Authorization": sent.encode()})
    for path in {*INNER, "/", "/users"} - {"/metrics"}:
        assert not comes_through(client(), path, headers=token)
    assert not connects(client(), **token)
    assert comes_through(monitor, "/readyz")


def test_without_a_metrics_token_no_request_has_access(client: Client) -> None:
    for sent in ("", "Bearer", "Bearer "):
        nobody = client(token="")
        assert not comes_through(nobody, "/metrics", headers={"Authorization": sent})


def test_an_upload_names_the_public_address_as_the_only_origin(client: Client) -> None:
    answer = client(**cookie("owners")).get("/_stcore/upload_file/s/f")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


FORGED = {
    "another secret": cookie("owners", secret="f" * 40),
    "another cookie's": cookie("owners", salt="_streamlit_user_tokens"),
    "no text": {"_streamlit_user": "x"},
    "cut off": {"_streamlit_user": cookie("owners")["_streamlit_user"][:-3]},
    "in pieces": {"_streamlit_user": "chunks-2"},
    "no object": signed("[]"),
    "of another app": cookie("owners", origin="https://other.example.com"),
    "for another app": cookie("owners", aud=["another"]),
    "expired": cookie("owners", exp=time.time() - 1),
    "without an end": cookie("owners", exp=None),
    "too old": cookie("owners", iat=time.time() - 9 * 3600, exp=time.time() + 9_999),
    "not signed in": cookie("owners", is_logged_in=False),
    "without a role": cookie(),
    "with a stranger's role": cookie("Owner", "everybody"),
    "with the claim missing": cookie("owners", groups=None),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
def test_an_invalid_cookie_counts_as_none(client: Client, kind: str) -> None:
    forger = client(**FORGED[kind])
    for path in ("/", "/users", *INNER):
        assert not comes_through(forger, path, headers={"Accept": "text/html"})
    assert not connects(forger)


@pytest.mark.parametrize("group", GROUPS)
def test_people_with_a_role_pass_the_gate(client: Client, group: str) -> None:
    somebody = client(**cookie(group))
    assert somebody.get("/users").text == "behind the gate, for olga@x.io"
    assert connects(somebody)
    uploads = comes_through(somebody, "/_stcore/upload_file/s/f", method="PUT", content=b"x")
    assert uploads is (group in ("owners", "super-admins", "admins"))


@pytest.mark.parametrize(
    "path", ["/_stcore/metrics", "/_stcore/agent/interact", "/_stcore/agent/mcp"]
)
def test_unused_paths_of_streamlit_are_closed_to_everybody(client: Client, path: str) -> None:
    for who in (cookie("owners"), {"guarded": False, "base": "http://127.0.0.1"}):
        somebody = client(**who)
        assert somebody.get(path).status_code == 404
        assert not comes_through(somebody, path, method="PUT", content=b"{}")


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "", None, f"{ORIGIN}.evil.com"]
)
def test_only_our_own_pages_can_open_a_session(client: Client, origin: str | None) -> None:
    assert not connects(client(**cookie("owners")), origin)
    assert not connects(client(guarded=False, base="http://127.0.0.1"), origin)


def test_a_request_for_another_host_is_rejected(client: Client) -> None:
    owner = client(base="https://evil.example.com", **cookie("owners"))
    assert owner.get("/users").status_code == 421
    assert not connects(owner)


def test_people_without_a_role_see_the_contact_as_plain_text(client: Client) -> None:
    answer = client(**cookie(email="<script>@x.io")).get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert "&lt;script&gt;@x.io" in answer.text
    assert "ask &lt;b&gt;it@x.io&lt;/b&gt;" in answer.text


def test_sign_in_returns_to_the_requested_page(client: Client) -> None:
    nobody = client()
    answer = nobody.get("/users?q=ada&state=Deleted", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "Sign in" in answer.text
    nobody.cookies.update(cookie("owners"))
    answer = nobody.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (302, "/users?q=ada&state=Deleted")
    assert comes_through(nobody, "/", headers={"Accept": "text/html"}), "once"


@pytest.mark.parametrize(
    "to", ["//evil.example.com/", "/\\evil.example.com", "https://evil.example.com"]
)
def test_sign_in_never_redirects_to_another_host(client: Client, to: str) -> None:
    owner = client(rollcall_next=to, **cookie("owners"))
    assert comes_through(owner, "/", headers={"Accept": "text/html"})


def test_a_copied_cookie_is_useless_after_sign_out(client: Client) -> None:
    thief, owner = client(**cookie("owners")), client()
    owner.cookies.update(dict(thief.cookies))
    assert comes_through(thief, "/export/users.csv")
    owner.post("/auth/logout", headers={"Origin": ORIGIN})
    assert not comes_through(thief, "/export/users.csv")
    assert not connects(thief)
    assert comes_through(client(**cookie("owners", iat=time.time() - 1)), "/users"), "another one"


def sign_outs(home: Home) -> int:
    pending = home.root / "audit-log.pending"
    return pending.read_text().count("signed out") if pending.exists() else 0


def test_only_a_post_of_a_live_session_signs_out_and_once(client: Client, home: Home) -> None:
    owner = client(**cookie("owners"))
    for method in ("GET", "HEAD"):
        assert owner.request(method, "/auth/logout").status_code == 200
    assert 'method="post"' in owner.get("/auth/logout").text, "it asks first"
    assert owner.post("/auth/logout", headers={"Origin": "https://evil.x"}).status_code == 403
    assert comes_through(owner, "/users"), "nothing has changed"
    assert sign_outs(home) == 0
    for _ in range(3):
        owner.post("/auth/logout", headers={"Origin": ORIGIN})
        owner.get("/auth/logout")
        owner.head("/auth/logout")
    assert not comes_through(owner, "/users")
    assert sign_outs(home) == 1, "a dead cookie writes nothing"
    client(**FORGED["expired"]).post("/auth/logout", headers={"Origin": ORIGIN})
    assert sign_outs(home) == 1


def test_a_download_is_not_recorded_for_a_request_of_its_headers(client: Client) -> None:
    assert client(**cookie("owners")).head("/export/users.csv").status_code == 405


ODD_BYTES = st.binary(max_size=12)


@given(path=ODD_BYTES, query=ODD_BYTES, value=ODD_BYTES, name=st.sampled_from(
    ["cookie", "host", "origin", "authorization", "accept", "x-forwarded-for"]
), method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "\u20ac"]))  # fmt: skip
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_no_bytes_of_a_stranger_make_an_error(
    client: Client, path: bytes, query: bytes, name: str, value: bytes, method: str
) -> None:
    """A request as a server hands it on, whatever its bytes are."""
    headers = [(b"host", b"rollcall.example.com"), (b"accept", b"text/html")]
    scope = {
        "type": "http", "method": method, "scheme": "https", "root_path": "",
        "path": f"/{path.decode(errors='replace')}", "raw_path": path, "query_string": query,
        "headers": [*(h for h in headers if h[0] != name.encode()), (name.encode(), value)],
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
        "extensions": {}, "app": None,
    }  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    anyio.run(client().app, scope, receive, send)
    assert 200 <= sent[0]["status"] < 500
    assert all(k.isascii() and v.decode("latin-1") for k, v in sent[0]["headers"] if v)


def test_an_idle_session_ends_for_good_and_refreshes_are_no_use(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours, unless the settings say otherwise."""
    clock = [1_000.0]
    monkeypatch.setattr("server.activity.time.monotonic", lambda: clock[0])
    owner = client(**cookie("owners"))
    assert comes_through(owner, "/users")
    for hours in (1.9, 1.9):
        clock[0] += hours * 3600
        assert comes_through(owner, "/export/users.csv"), "a use"
    clock[0] += 1.9 * 3600
    assert comes_through(owner, "/last-change"), "an open page asks by itself"
    clock[0] += 0.2 * 3600
    for path in ("/last-change", "/users", "/export/users.csv"):
        assert not comes_through(owner, path)
    assert not connects(owner)
    monkeypatch.setattr(session, "activity", Activity())
    assert not comes_through(owner, "/users"), "nor does another process know better"


def test_only_messages_of_a_reader_are_a_use_of_the_session() -> None:
    click, refresh = BackMsg(), BackMsg()
    click.rerun_script.query_string = "q=ada"
    refresh.rerun_script.is_auto_rerun = True
    assert is_by_person(click)
    assert not is_by_person(refresh)
    assert not is_by_person(BackMsg(load_git_info=True))


CHANNELS = [
    *[("GET", path) for path in (
        "/", "/users", "/export/users.csv", "/export/users.evidence.zip", "/export/evidence.zip",
        "/export/audit.ndjson", "/last-change", "/search", "/media/x.csv", "/_stcore/host-config",
        "/component/x/index.html", "/_stcore/bidi-components/x.js",
    )],
    ("PUT", "/_stcore/upload_file/s/f"),
]  # fmt: skip
"""With a new and an open connection, all ways to what is behind the gate."""


class Idle(Activity):
    def is_idle(self, claims: Claims, hours: float) -> bool:
        return True


def end_by_idleness() -> None:
    session.activity = Idle()


def take_the_role_away() -> None:
    """As `[access]` does when somebody removes the role from it."""
    session.current_role_mapping = lambda: RoleMapping(claim="groups", roles={"kings": "Owner"})


ENDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "sign-out": lambda claims: session.sign_out(claims),
    "an Owner": lambda _: session.end_sessions("Olga@x.io"),
    "the provider, all sessions": lambda _: log_out_claims(sub="s"),
    "the provider, this session": lambda _: log_out_claims(sub="s", sid="phone"),
    "another sign-in": lambda claims: session.replace_session(claims, claims | {"nonce": "new"}),
    "idleness": lambda _: end_by_idleness(),
    "the settings": lambda _: take_the_role_away(),
    "the token": lambda claims: time.sleep(max(0.0, claims["exp"] - time.time())),
}


def log_out_claims(**claims: str) -> None:
    named = ProviderSession("x", claims.get("sub"), claims.get("sid"))
    now = time.time()
    session.revoked_tokens().end_provider_sessions(named, issued_until=now, expires_at=now + 600)


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_session_counts_on_every_channel(
    client: Client, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(gate, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(gate, "POLL_SECONDS", 0.05)
    for name in ("current_role_mapping", "activity"):  # some ends replace them
        monkeypatch.setattr(session, name, getattr(session, name))
    lifetime = 1.5 if how == "the token" else 600
    own = cookie("owners", sid="phone", exp=time.time() + lifetime)
    owner, other = client(**own), client(**cookie("owners", sub="k", sid="k", email="kim@x.io"))
    assert all(comes_through(owner, path, method=method) for method, path in CHANNELS)
    with owner.websocket_connect(stream_of(owner), headers={"Origin": ORIGIN}) as socket:
        assert socket.receive_text() == "a session"
        claims = URLSafeTimedSerializer(SECRET, salt="_streamlit_user").loads(
            own["_streamlit_user"]
        )
        ENDS[how](json.loads(claims))
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    for method, path in CHANNELS:
        assert not comes_through(owner, path, method=method), path
    assert not connects(owner)
    assert how in ("idleness", "the settings") or comes_through(other, "/users"), "nobody else"


def test_a_change_of_the_settings_takes_access_away_and_gives_none(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets.toml"
    monkeypatch.setattr(session, "_secrets_files", lambda: [secrets])

    def has_access(text: str, *groups: str) -> bool:
        secrets.write_text(f'[access]\nclaim = "groups"\n{text}')
        session.current_role_mapping.cache_clear()
        return comes_through(client(**cookie(*groups)), "/users")

    roles = 'roles = {owners = "Owner", kings = "Owner"}'
    assert has_access(roles, "owners")
    assert not has_access(roles, "kings"), "it had no role at the start"
    assert not has_access('roles = {admins = "Admin"}', "owners")
    assert has_access("roles = {", "owners"), "a file that cannot be read changes nothing"
    session.current_role_mapping.cache_clear()


def test_a_sign_in_ends_the_session_before_it(client: Client) -> None:
    before, after = (
        json.loads(URLSafeTimedSerializer(SECRET, salt="_streamlit_user").loads(value))
        for value in (cookie("owners", nonce=nonce)["_streamlit_user"] for nonce in "ab")
    )
    client()
    session.replace_session(before, before)
    assert session.is_signed_in(before)
    session.replace_session(before, after)
    assert not session.is_signed_in(before)
    assert session.is_signed_in(after)


# ---- back-channel logout -------------------------------------------------------------------------

KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
    monkeypatch.setattr(back_channel, "read_provider", lambda _: back_channel.Provider("x", keys))


def log_out(client: TestClient, key: Any = KEY, alg: str = "RS256", **claims: Any) -> int:
    """The status of the answer to a logout token; the claims go over the usual ones."""
    now = int(time.time()) + 1  # after the tokens, which have fractions of a second
    usual = {"iss": "x", "aud": CLIENT, "iat": now, "exp": now + 60, "jti": "1"}
    usual |= {"events": {LOGOUT_EVENT: {}}, "sub": "s"} | claims
    present = {name: value for name, value in usual.items() if value is not None}
    token = jwt.encode({"alg": alg, "kid": "1"}, present, key, algorithms=[alg])
    return client.post(BACK_CHANNEL_PATH, data={"logout_token": token}).status_code


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("logout", "ended"),
    [
        ({}, {"plain", "phone", "desk"}),
        ({"sid": "phone"}, {"plain", "phone"}),
        ({"sid": "phone", "sub": None}, {"phone"}),
        ({"sub": "someone else"}, set()),
    ],
)
def test_the_provider_ends_one_session_or_all_of_a_person(
    client: Client, logout: dict[str, Any], ended: set[str]
) -> None:
    tokens = {"plain": {}, "phone": {"sid": "phone"}, "desk": {"sid": "desk"}}
    people = {
        name: client(**cookie("owners", nonce=name, **token)) for name, token in tokens.items()
    }
    assert log_out(client(), **logout) == 200
    assert {name for name, one in people.items() if not comes_through(one, "/users")} == ended
    later = client(**cookie("owners", iat=time.time() + 5, sid="phone"))
    assert comes_through(later, "/users"), "a new sign-in"


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    "logout",
    [
        {"key": OTHER_KEY},
        {"key": OctKey.import_key("x" * 32), "alg": "HS256"},
        {"iss": "another"},
        {"aud": "another"},
        {"events": {}},
        {"nonce": "of an ID token"},
        {"sub": None},
        {"sub": 7},
        {"sub": None, "sid": ["phone"]},
        {"iat": 1_000},
        {"iat": None},
        {"exp": 1_000},
    ],
)
def test_what_is_no_logout_token_ends_nothing(client: Client, logout: dict[str, Any]) -> None:
    owner = client(**cookie("owners", sid="phone"))
    assert log_out(client(), **logout) == 400
    assert comes_through(owner, "/users")


@pytest.mark.usefixtures("provider")
def test_a_request_without_a_logout_token_is_refused(client: Client) -> None:
    assert client().get(BACK_CHANNEL_PATH).status_code == 405
    for body in ("", "logout_token=", "logout_token=a.b.c", "logout_token=a&logout_token=b"):
        assert client().post(BACK_CHANNEL_PATH, content=body).status_code == 400
    assert client().post(BACK_CHANNEL_PATH, content=b"x" * 70_000).status_code == 400


def test_a_reader_who_leaves_cuts_no_file_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("text of a script; " * 50_000)
    assets = CompressedAssets(StaticFiles(directory=tmp_path))

    async def read(*, has_gone: bool) -> bytes:
        scope = {"type": "http", "method": "GET", "path": "/a.js", "root_path": ""}
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"} if has_gone else await anyio.sleep_forever()

        async def send(message: Any) -> None:
            sent.append(message)

        await assets(scope | {"headers": [(b"accept-encoding", b"gzip")]}, receive, send)
        return gzip.decompress(b"".join(message.get("body", b"") for message in sent))

    async def read_twice() -> None:
        await read(has_gone=True)
        assert len(await read(has_gone=False)) == 900_000

    anyio.run(read_twice)


def test_no_request_is_sent_back(client: Client) -> None:
    for somebody in (client(), client(**cookie("owners"))):
        for path in ("/", "/healthz", "/users"):
            assert somebody.request("TRACE", path).status_code == 405


def test_an_address_with_other_letters_is_not_found(client: Client) -> None:
    for somebody in (client(), client(**cookie("owners"))):
        page = somebody.get("/%E2%82%AC", headers={"Accept": "text/html"})
        assert page.status_code == 404


@pytest.mark.parametrize("frame", [{"text": "no bytes"}, {"bytes": b"\xff"}, {"bytes": b""}])
def test_what_no_page_sends_ends_a_session_without_an_error(
    client: Client, frame: dict[str, Any]
) -> None:
    owner = client(**cookie("owners"))
    with owner.websocket_connect(stream_of(owner), headers={"Origin": ORIGIN}) as socket:
        assert socket.receive_text() == "a session"
        socket.send({"type": "websocket.receive", **frame})
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_only_loaders_see_why_the_store_is_closed(client: Client, home: Home) -> None:
    set_store_status(home, StoreStatus("failed", "kim.csv is damaged."))
    answers = [client(**cookie(g)).get("/while-open") for g in ("owners", "analysts")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.text for answer in answers] == ["kim.csv is damaged.", "Please wait a moment."]


def test_every_response_has_security_headers(client: Client) -> None:
    for answer in (client().get("/"), client(**cookie("owners")).get("/users")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"].endswith("; includeSubDomains")
        assert answer.headers["referrer-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        for closed in ("frame-ancestors", "object-src", "base-uri"):
            assert f"{closed} 'none'" in policy
        assert "unsafe-eval" not in policy
        for sent in answer.headers.get_list("set-cookie"):
            assert sent.endswith("; Secure")
    assert content_policy().count("'sha256-") >= 1


# ---- without sign-in -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "[::1]:8501"])
def test_without_sign_in_setup_this_machine_has_access(client: Client, host: str) -> None:
    local = client(guarded=False, base=f"http://{host}")
    assert local.get("/users").text == "behind the gate, for Local user"
    assert connects(local, f"http://{host}")


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("rollcall.example.com", {}),
        ("192.168.1.4:8501", {}),
        ("127.0.0.1.evil.example.com", {}),
        ("127.0.0.1:8501", {"X-Forwarded-For": "10.0.0.1"}),
        ("127.0.0.1:8501", {"Forwarded": "for=10.0.0.1"}),
        ("127.0.0.1:8501", {"Via": "1.1 proxy"}),
    ],
)
def test_without_sign_in_setup_no_other_machine_has_access(
    client: Client, host: str, headers: dict[str, str]
) -> None:
    local = client(guarded=False, base=f"http://{host}")
    for path in ("/", "/static/x.js", *INNER):
        assert not comes_through(local, path, headers=headers)
    assert not connects(local, f"http://{host}", **headers)
