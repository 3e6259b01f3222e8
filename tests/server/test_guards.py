"""The server's guards, around a real Starlette application, under requests that no honest client sends."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from troth.accounts.opaque import new_id, new_token
from troth.accounts.throttle import Throttle
from troth.errors import (
    BadInput,
    BadRequest,
    ConfigUnusable,
    NotAuthenticated,
    StoreUnusable,
    TooManyAttempts,
    Unreachable,
)
from troth.server import cookies, headers, limits, problems, security

NODE = "prime-1.example.com"
SECRET_PLACE = "/var/lib/secret/place"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give the one value of a header."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, name
        return found[0] if found else None

    @property
    def problem(self) -> Any:
        """The body as a problem document."""
        assert self.header("content-type") == "application/problem+json"
        return json.loads(self.body)


async def fail(request: Request) -> Response:
    """Fail in the way that the query names."""
    kinds: dict[str, Exception] = {
        "input": BadInput(
            "That cannot be.", why="it is too blue", next_command="paint it", details={"status": 200, "field": "x"}
        ),
        "store": StoreUnusable("The store is gone.", why=SECRET_PLACE),
        "config": ConfigUnusable("No.", why=SECRET_PLACE, next_command=SECRET_PLACE),
        "unforeseen": KeyError(SECRET_PLACE),
        "host": Unreachable("ise could not be reached.", why="Connection refused"),
        "who": NotAuthenticated("You are not logged in."),
        "often": TooManyAttempts("Too often.", details={"retry_after": 7}),
    }
    raise kinds[request.query_params["kind"]]


async def echo(request: Request) -> Response:
    """Say how much was sent."""
    return PlainTextResponse(
        str(len(await request.body())), headers={"Server": "me", "Content-Security-Policy": "none"}
    )


async def careless(request: Request) -> Response:
    """Swallow whatever goes wrong while a body is read."""
    try:
        await request.body()
    except Exception:  # noqa: BLE001  # this is what is tested
        return PlainTextResponse("I do not mind")
    return PlainTextResponse("ok")


async def cached(request: Request) -> Response:
    """Something that may be kept."""
    return PlainTextResponse("x", headers={"Cache-Control": "max-age=60"})


async def talk(socket: WebSocket) -> None:
    """Accept whoever comes."""
    await socket.accept()


def application(**options: Any) -> Any:
    """Make the guarded application."""
    inner = Starlette(
        routes=[
            Route("/fail", fail, methods=["GET", "POST"]),
            Route("/echo", echo, methods=["GET", "POST"]),
            Route("/careless", careless, methods=["POST"]),
            Route("/cached", cached),
            Route("/api/cached", cached),
            WebSocketRoute("/talk", talk),
        ],
        exception_handlers=problems.HANDLERS if options.pop("handlers", True) else {},
    )
    options.setdefault("throttle", Throttle(rate=1000, burst=1000))
    return security.guarded(inner, names=lambda: (NODE, "192.0.2.1", "2001:DB8:0::1"), **options)


def call(
    app: Any,
    path: str = "/echo",
    *,
    method: str = "GET",
    given: Iterable[tuple[str, str]] = (),
    host: str | None = f"{NODE}:8443",
    body: Iterable[bytes] = (b"",),
    client: str = "198.51.100.9",
) -> Answer:
    """Send one request, as a server would pass it on."""
    found = [(b"host", host.encode("latin-1"))] if host is not None else []
    found += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given]
    place, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": place,
        "raw_path": place.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": found,
        "client": (client, 50000),
        "server": ("192.0.2.1", 8443),
    }
    pieces = list(body)
    incoming = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert [each["type"] for each in sent].count("http.response.start") == 1
    names = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], names, b"".join(each.get("body", b"") for each in sent[1:]))


ORIGINS = [
    # fetch site, origin, refused
    ("same-origin", None, False),
    ("none", None, False),
    ("same-site", None, True),
    ("cross-site", None, True),
    ("cross-site", f"https://{NODE}:8443", True),
    ("same-origin", "https://evil.example", False),
    ("", None, True),
    ("Same-Origin", None, True),
    ("same-origin, cross-site", None, True),
    (None, None, False),
    (None, f"https://{NODE}:8443", False),
    (None, f"https://{NODE.upper()}:8443", False),
    (None, f"https://{NODE}", True),
    (None, f"http://{NODE}:8443", True),
    (None, f"https://{NODE}:8444", True),
    (None, f"https://{NODE}.evil.example:8443", True),
    (None, f"https://{NODE}:8443@evil.example", True),
    (None, f"https://evil.example/{NODE}:8443", True),
    (None, f"https://evil.example?{NODE}:8443", True),
    (None, "null", True),
    (None, "", True),
    (None, "https://", True),
    (None, f"{NODE}:8443", True),
    (None, f"https://{NODE}:8443 https://evil.example", True),
    (None, "https://xn--80ak6aa92e.example:8443", True),
]


@pytest.mark.parametrize(("site", "origin", "refused"), ORIGINS)
def test_another_site_changes_nothing(site: str | None, origin: str | None, refused: bool) -> None:
    """What a browser says of where a request comes from decides, exactly; what is not understood is refused."""
    given = [("Sec-Fetch-Site", site)] if site is not None else []
    given += [("Origin", origin)] if origin is not None else []
    answer = call(application(), method="POST", given=given)
    assert answer.status == (403 if refused else 200)
    assert call(application(), method="GET", given=given).status == 200
    if refused:
        assert answer.problem["code"] == "TROTH-630"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "QUERY"])
def test_every_method_but_the_safe_ones_is_guarded(method: str) -> None:
    """Also methods that nobody has heard of."""
    assert call(application(), method=method, given=[("Sec-Fetch-Site", "cross-site")]).status == 403


def test_an_origin_can_be_trusted() -> None:
    """Exactly the one that is named."""
    app = application(trusted=["https://portal.example"])
    site = ("Sec-Fetch-Site", "cross-site")
    assert call(app, method="POST", given=[site, ("Origin", "https://portal.example")]).status == 200
    assert call(app, method="POST", given=[site, ("Origin", "https://portal.example:444")]).status == 403


def test_a_token_is_not_ambient_and_a_cookie_is() -> None:
    """A call with a token is let through, unless the cookie comes along: then it does not matter which one counts."""
    site = ("Sec-Fetch-Site", "cross-site")
    token, cookie = ("Authorization", f"Bearer {new_token()}"), ("Cookie", f"{cookies.LOGIN}={new_id()}")
    assert call(application(), method="POST", given=[site, token]).status == 200
    assert call(application(), method="POST", given=[site, token, cookie]).status == 403
    assert call(application(), method="POST", given=[site, cookie]).status == 403
    assert call(application(), method="POST", given=[site, ("Authorization", "Basic YTpi")]).status == 403
    assert call(application(), method="POST", given=[site, ("Authorization", "Bearer ")]).status == 403


def test_a_hidden_cookie_is_a_cookie() -> None:
    """A token with two cookies of our name is refused as well: one of the two could be the one that counts."""
    given = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Authorization", f"Bearer {new_token()}"),
        ("Cookie", f"{cookies.LOGIN}={new_id()}; {cookies.LOGIN}={new_id()}"),
    ]
    assert call(application(), method="POST", given=given).status == 403


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site", "Authorization", "Content-Length", "Host"])
def test_a_header_that_counts_stands_there_once(name: str) -> None:
    """Two of them are two answers to one question."""
    value = {"Origin": f"https://{NODE}:8443", "Sec-Fetch-Site": "same-origin", "Content-Length": "0", "Host": NODE}
    given = [(name, value.get(name, "Bearer x")), (name, value.get(name, "Bearer y"))]
    given += [("Sec-Fetch-Site", "cross-site")] if name == "Authorization" else []
    answer = call(application(), method="POST", given=given)
    assert (answer.status, answer.problem["code"]) == (400, "TROTH-633")


HOSTS = [
    (NODE, 200),
    (f"{NODE}:8443", 200),
    (f"{NODE.upper()}.:8443", 200),
    ("192.0.2.1:8443", 200),
    ("[2001:db8::1]:8443", 200),
    ("[2001:0DB8:0:0::0001]", 200),
    ("evil.example:8443", 421),
    (f"{NODE}.evil.example", 421),
    (f"evil.example.{NODE}", 421),
    (f"{NODE}..", 421),
    ("localhost", 421),
    ("127.0.0.1", 421),
    ("[::1]:8443", 421),
    ("[::ffff:192.0.2.1]", 421),
    ("", 400),
    (None, 400),
    (f"{NODE}@evil.example", 400),
    (f"{NODE}/x", 400),
    (f"{NODE}, evil.example", 400),
    (f"{NODE}:", 400),
    (f"{NODE}:99999", 400),
    (f"{NODE}:0", 400),
    (f"{NODE}\t", 400),
    (f" {NODE}", 400),
    ("2001:db8::1", 400),
    ("prime\u00ad-1.example.com", 400),
]


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_only_the_nodes_own_names_are_answered(host: str | None, status: int) -> None:
    """Another name that was made to lead here gets nothing; neither does a header that can be read in two ways."""
    assert call(application(), host=host).status == status


def test_no_forwarded_host_counts() -> None:
    """What somebody says the host was, is not the host."""
    given = [("X-Forwarded-Host", NODE), ("Forwarded", f"host={NODE}")]
    assert call(application(), host="evil.example", given=given).status == 421


@pytest.mark.parametrize("path", ["/echo", "/nowhere", "/fail?kind=input", "/fail?kind=unforeseen", "/api/x"])
def test_every_answer_has_the_headers(path: str) -> None:
    """Answers, failures and refusals alike, each header once, and the application's own do not count."""
    for host in (NODE, "evil.example"):
        answer = call(application(), path, host=host)
        for name, value in security.HEADERS.items():
            assert answer.header(name) == value
        assert answer.header("server") is None
        assert answer.header("cache-control") == "no-store"
        assert re.fullmatch("[0-9a-f]{32}", answer.header("x-request-id") or "")


def test_the_policy_says_what_was_promised() -> None:
    """No script from elsewhere or inline, no frame, no form to elsewhere."""
    policy = dict(each.strip().split(" ", 1) for each in security.HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert "unsafe" not in str(policy)
    # With no-referrer, browsers send `Origin: null` with our own forms, and the fallback would refuse them.
    assert security.HEADERS["referrer-policy"] == "same-origin"


def test_only_pages_may_be_kept() -> None:
    """An answer of the API is never kept, whatever the application says."""
    assert call(application(), "/cached").header("cache-control") == "max-age=60"
    assert call(application(), "/api/cached").header("cache-control") == "no-store"


def test_the_number_of_a_request_is_ours() -> None:
    """What the caller sends as one is not taken over: it would stand in our log."""
    answer = call(application(), "/fail?kind=input", given=[("X-Request-ID", "evil\x1b[2J")])
    assert answer.problem["instance"] == f"urn:troth:request:{answer.header('x-request-id')}"
    assert "evil" not in str(answer.headers)


def test_a_large_body_is_not_read() -> None:
    """Neither one that says so, nor one that says nothing, nor one that lies; the application's answer does not count."""
    app = application(most=100, larger={"/careless": 200})
    assert call(app, method="POST", body=[b"x" * 100]).body == b"100"
    assert call(app, method="POST", given=[("Content-Length", "101")]).status == 413
    assert call(app, method="POST", body=[b"x" * 60, b"x" * 60]).problem["limit"] == 100
    lying = call(app, method="POST", body=[b"x" * 101], given=[("Content-Length", "5")])
    assert (lying.status, lying.problem["code"]) == (413, "TROTH-632")
    assert call(app, "/careless", method="POST", body=[b"x" * 200]).status == 200
    assert call(app, "/careless", method="POST", body=[b"x" * 201]).status == 413
    assert call(application(most=100, handlers=False), method="POST", body=[b"x" * 101]).status == 413


@pytest.mark.parametrize("length", ["-1", "+5", "5,5", "0x10", " 5", "\u00b2", "1e3", "", "9" * 30])
def test_a_length_is_a_number(length: str) -> None:
    """And one that everybody reads in the same way."""
    assert call(application(), method="POST", given=[("Content-Length", length)]).status == 400


def test_a_length_and_an_encoding_are_one_too_many() -> None:
    """Two readers would end such a request at two places."""
    given = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]
    assert call(application(), method="POST", given=given).status == 400


def test_failures_are_told_as_problems() -> None:
    """What happened, why and what next; what was added for programs does not take the place of the rest."""
    answer = call(application(), "/fail?kind=input")
    found = answer.problem
    assert (answer.status, found["status"], found["code"], found["field"]) == (422, 422, "TROTH-200", "x")
    assert (found["why"], found["next_command"]) == ("it is too blue", "paint it")
    assert call(application(), "/fail?kind=host").problem["why"] == "Connection refused"
    assert call(application(), "/fail?kind=who").header("www-authenticate") == 'Bearer realm="troth"'
    assert call(application(), "/fail?kind=often").header("retry-after") == "7"
    assert call(application(), "/nowhere").problem["status"] == 404
    assert call(application(), "/echo", method="DELETE").status == 405


@pytest.mark.parametrize("kind", ["store", "config", "unforeseen"])
@pytest.mark.parametrize("handlers", [True, False])
def test_the_inside_is_not_told(kind: str, handlers: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a code and a number; the log has the rest under that number."""
    answer = call(application(handlers=handlers), f"/fail?kind={kind}")
    assert answer.status in (500, 503)
    assert SECRET_PLACE.encode() not in answer.body
    if handlers:
        assert set(answer.problem) == {"type", "title", "status", "code", "instance"}
        assert answer.header("x-request-id") in caplog.text
        assert SECRET_PLACE in caplog.text


def test_each_source_is_answered_so_many_times() -> None:
    """Others are answered still; nobody gets more by saying who they are."""
    app = application(throttle=Throttle(rate=0.001, burst=3))
    forged = [[("X-Forwarded-For", f"203.0.113.{each}"), ("Forwarded", f"for=203.0.113.{each}")] for each in range(5)]
    assert [call(app, given=given).status for given in forged] == [200, 200, 200, 429, 429]
    assert int(call(app).header("retry-after") or 0) > 0
    assert call(app, client="198.51.100.10").status == 200
    assert [call(app, client=f"2001:db8::{each}").status for each in range(5)] == [200, 200, 200, 429, 429]


NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:aaaa::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.9", ["203.0.113.1"], "198.51.100.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("::ffff:10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["192.0.2.66, 203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["192.0.2.66", "203.0.113.1, 10.0.0.7"], "203.0.113.1"),
        ("10.0.0.1", ["203.0.113.1, evil"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.1, evil, 10.0.0.7"], "10.0.0.7"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
        ("2001:db8:aaaa::1", ["2001:db8:bbbb::5"], "2001:db8:bbbb::5"),
    ],
)
def test_who_calls(peer: str, forwarded: list[str], address: str) -> None:
    """What a caller says of themselves counts only behind a proxy of ours, and only what that proxy wrote."""
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}
    assert headers.client_address(scope, proxies=NETWORKS) == address
    assert headers.client_address(scope) == peer
    assert headers.client_address({"headers": [], "client": None}) == ""


def test_the_cookie_is_tied_to_the_host() -> None:
    """`__Host-`, with all that the prefix asks for, and no domain."""
    secret = new_id()
    name, *attributes = cookies.login_cookie(secret).split("; ")
    assert name == f"__Host-troth={secret}"
    assert {each.lower() for each in attributes} == {"path=/", "secure", "httponly", "samesite=strict"}
    assert "Max-Age=0" in cookies.ended_cookie()
    with pytest.raises(ValueError, match="no secret"):
        cookies.login_cookie("a; Domain=evil.example")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["__Host-troth=abc"], "abc"),
        (["a=b; __Host-troth=abc; c=d"], "abc"),
        (["a=b", "__Host-troth=abc"], "abc"),
        (["__Host-troth=abc; __Host-troth=evil"], ""),
        (["__Host-troth=abc", "__Host-troth=abc"], ""),
        (["__host-troth=abc"], ""),
        (["x__Host-troth=abc"], ""),
        (["__Host-troth"], ""),
        (['__Host-troth="abc"'], ""),
        (["__Host-troth=" + "a" * 65], ""),
        (["__Host-troth=a\x00b"], ""),
        ([], ""),
    ],
)
def test_what_the_browser_holds(given: list[str], found: str) -> None:
    """One cookie of exactly this name; two are none."""
    assert cookies.login_secret({"headers": [(b"cookie", each.encode()) for each in given]}) == found


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=60))
def test_no_header_makes_a_guard_fail(text: str) -> None:
    """Whatever stands in a header, the reading gives an answer or refuses the request."""
    raw = text.encode("latin-1")
    for name in (b"host", b"origin", b"authorization", b"cookie", b"x-forwarded-for", b"content-length"):
        scope = {"type": "http", "headers": [(name, raw)], "client": ("10.0.0.1", 1), "scheme": "https"}
        headers.authority(text, "https")
        headers.origin(text)
        cookies.login_secret(scope)
        cookies.bearer(scope)
        assert headers.client_address(scope, proxies=NETWORKS)
        try:
            limits._promised(scope)
        except BadRequest:
            assert name == b"content-length"


def socket(app: Any, given: Iterable[tuple[str, str]]) -> list[str]:
    """Ask for a WebSocket; give what was sent."""
    scope = {
        "type": "websocket",
        "scheme": "wss",
        "path": "/talk",
        "raw_path": b"/talk",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given],
        "client": ("198.51.100.9", 1),
        "server": ("192.0.2.1", 8443),
        "subprotocols": [],
    }
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app(scope, receive, send))
    return sent


def test_another_site_opens_no_socket() -> None:
    """A WebSocket begins with a GET, goes along with cookies, and is not safe."""
    here = ("Host", f"{NODE}:8443")
    assert socket(application(), [here, ("Origin", f"https://{NODE}:8443")])[0] == "websocket.accept"
    assert socket(application(), [here, ("Origin", "https://evil.example")]) == ["websocket.close"]
    assert socket(application(), [("Host", "evil.example")]) == ["websocket.close"]


def test_an_answer_that_was_begun_is_not_answered_again(caplog: pytest.LogCaptureFixture) -> None:
    """A failure in the middle of an answer ends the connection: the caller must see that it is not whole."""

    async def half(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise KeyError("middle")

    with pytest.raises(KeyError):
        call(security.guarded(half, names=lambda: (NODE,), throttle=Throttle(rate=1, burst=1)))
