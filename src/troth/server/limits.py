"""How much of a request is read, and how many are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.accounts.lockout import source_of
from troth.errors import BadRequest, RequestTooLarge
from troth.server import headers
from troth.server.problems import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from troth.accounts.throttle import Throttle
    from troth.server.headers import Network

MAX_BODY = 1 << 20


class SizeLimit:
    """Reads no more of a body than allowed, whatever its head promises.

    Args:
        app: What is called.
        most: How many bytes.
        larger: Paths where it is another number.
    """

    def __init__(self, app: ASGIApp, *, most: int = MAX_BODY, larger: Mapping[str, int] | None = None):
        self._app = app
        self._most = most
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            BadRequest: Its length can be read in two ways.
            RequestTooLarge: It is too large, and says so.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(str(scope["path"]), self._most)
        if _promised(scope) > most:
            raise _too_large(most)
        await self._counting(scope, receive, send, most)

    async def _counting(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        read, over, begun = 0, False, False

        async def counted() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            over = over or read > most
            if over:
                raise _too_large(most)
            return message

        async def passed(message: Message) -> None:
            nonlocal begun
            # An answer that begins after the limit was passed is about half a body: ours takes its place.
            if begun or not over:
                begun = True
                await send(message)

        try:
            await self._app(scope, counted, passed)
        except Exception:
            if not over or begun:
                raise
        if over and not begun:
            await refuse(scope, receive, send, _too_large(most))


class RateLimit:
    """Answers each source so many times, and then tells it to wait.

    Args:
        app: What is called.
        throttle: How many times.
        proxies: The networks of our own proxies.
    """

    def __init__(self, app: ASGIApp, *, throttle: Throttle, proxies: Sequence[Network] = ()):
        self._app = app
        self._throttle = throttle
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            TooManyAttempts: There were too many.
        """
        if scope["type"] in ("http", "websocket"):
            self._throttle.take(source_of(headers.client_address(scope, proxies=self._proxies)))
        await self._app(scope, receive, send)


def _promised(scope: Scope) -> int:
    """Give the length that the head promises; 0 if it promises none."""
    length = headers.one(scope, "content-length")
    if length is None:
        return 0
    if headers.every(scope, "transfer-encoding"):
        raise BadRequest("The request has a length and a transfer encoding.")
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise BadRequest("The request's length is no number.")
    return int(length)


def _too_large(most: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request's body is larger than {most} bytes.", details={"limit": most})
