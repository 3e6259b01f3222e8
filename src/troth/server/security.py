"""What guards the server before the application sees a request: who it was sent to, who sent it, and how much.

Each guard is a plain ASGI application around another. `guarded` puts them in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadRequest, CrossOrigin, UnknownHost
from troth.server import headers
from troth.server.cookies import bearer, sends_cookie
from troth.server.limits import MAX_BODY, RateLimit, SizeLimit
from troth.server.problems import Problems, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from troth.accounts.throttle import Throttle
    from troth.server.headers import Network

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FEATURES = (
    "accelerometer autoplay camera display-capture encrypted-media fullscreen geolocation gyroscope magnetometer"
    " microphone midi payment publickey-credentials-get screen-wake-lock usb web-share xr-spatial-tracking"
)
HEADERS: dict[str, str] = {
    "content-security-policy": _CSP,
    # Not the domain's other hosts: they are not ours to speak for.
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": ", ".join(f"{each}=()" for each in _FEATURES.split()),
}


class SecurityHeaders:
    """Puts the headers that tell browsers what not to do on every answer, in place of the application's own.

    Args:
        app: What is called.
        api: The path below which nothing is ever kept by a cache; elsewhere nothing is unless the answer says so.
    """

    def __init__(self, app: ASGIApp, *, api: str = "/api"):
        self._app = app
        self._api = api
        self._set = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])
        below = path == self._api or path.startswith(f"{self._api}/")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", ())}
                drop = {name for name, _ in self._set} | {b"server"} | ({b"cache-control"} if below else set())
                kept = [each for each in message.get("headers", ()) if each[0].lower() not in drop]
                if below or b"cache-control" not in given:
                    kept.append((b"cache-control", b"no-store"))
                message["headers"] = [*kept, *self._set]
            await send(message)

        await self._app(scope, receive, with_headers)


class HostCheck:
    """Answers only to the node's own names, so that another name that is made to lead here gets nothing.

    Args:
        app: What is called.
        names: Gives the names and addresses that the node has now; they change with the virtual address.
    """

    def __init__(self, app: ASGIApp, *, names: Callable[[], Collection[str]]):
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            BadRequest: It names no host, or several.
            UnknownHost: It names another host.
        """
        if scope["type"] in ("http", "websocket"):
            given = headers.one(scope, "host")
            place = headers.authority(given or "", headers.scheme(scope))
            if place is None:
                raise BadRequest("The request does not name its host.")
            if place[0] not in {headers.canonical_host(each) for each in self._names()}:
                raise UnknownHost(
                    "The request is for a host that this node is not.",
                    why="the name is not one of the node's own",
                    next_command="use the node's own name, or add this one to its names in troth.toml",
                )
        await self._app(scope, receive, send)


def is_cross_origin(
    *, method: str, fetch_site: str | None, origin: str | None, host: str | None, scheme: str, trusted: Collection[str]
) -> bool:
    """Tell whether another site made a browser send a request that changes something.

    Browsers say it in `Sec-Fetch-Site`; older ones in `Origin` alone. Who sends neither is no browser, and has no cookie
    that another site could make use of.

    Args:
        method: The request's method; empty for a WebSocket, which counts as changing.
        fetch_site: `Sec-Fetch-Site`, if it is there.
        origin: `Origin`, if it is there.
        host: `Host`, if it is there.
        scheme: `https`, or `http`.
        trusted: Origins that may do this all the same.
    """
    if method in SAFE_METHODS or (origin is not None and origin in trusted):
        return False
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    if origin is None:
        return False
    place = headers.authority(host or "", scheme)
    return place is None or headers.origin(origin) != (scheme, *place)


class CrossOriginProtection:
    """Refuses what another site made a browser send.

    Requests with an API token are let through: no browser adds one by itself. One that has the cookie as well is not,
    so that it does not matter which of the two counts later.

    Args:
        app: What is called.
        trusted: Origins that may do this all the same.
    """

    def __init__(self, app: ASGIApp, *, trusted: Collection[str] = ()):
        self._app = app
        self._trusted = frozenset(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            BadRequest: What it says about its origin stands there twice.
            CrossOrigin: Another site sent it.
        """
        if scope["type"] in ("http", "websocket"):
            foreign = is_cross_origin(
                method=str(scope.get("method", "")),
                fetch_site=headers.one(scope, "sec-fetch-site"),
                origin=headers.one(scope, "origin"),
                host=headers.one(scope, "host"),
                scheme=headers.scheme(scope),
                trusted=self._trusted,
            )
            if foreign and (not bearer(scope) or sends_cookie(scope)):
                raise CrossOrigin(
                    "The request was sent by another site.",
                    next_command="open the page of this node itself, and do it there",
                )
        await self._app(scope, receive, send)


def guarded(
    app: ASGIApp,
    *,
    names: Callable[[], Collection[str]],
    throttle: Throttle,
    trusted: Collection[str] = (),
    proxies: Sequence[Network] = (),
    most: int = MAX_BODY,
    larger: Mapping[str, int] | None = None,
) -> ASGIApp:
    """Put all guards around an application, in their order; refusals carry the headers as well.

    Args:
        app: The application.
        names: Gives the node's names and addresses.
        throttle: How often a source is answered.
        trusted: Origins of others that may change something.
        proxies: The networks of our own proxies.
        most: How much of a body is read.
        larger: Paths where it is another number.
    """
    app = SizeLimit(app, most=most, larger=larger)
    app = CrossOriginProtection(app, trusted=trusted)
    app = HostCheck(app, names=names)
    app = RateLimit(app, throttle=throttle, proxies=proxies)
    return RequestId(SecurityHeaders(Problems(app)))
