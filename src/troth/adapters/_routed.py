"""One transport per endpoint, for HTTP libraries that give `ssl` neither a socket nor a port (httpx and its successor)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from troth.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from troth.tls.context import Context

_Origin = tuple[str, int]


class _Routes:
    """The transports by origin; one whose pins have changed is replaced, so that no pooled connection is reused."""

    def __init__(self, context: Context, make: Callable[..., Any], options: dict[str, Any]):
        self._context, self._make, self._options = context, make, options
        self._made: dict[_Origin, tuple[Context, Any]] = {}
        self.retired: list[Any] = []

    def route(self, url: Any) -> Any:
        """Give the transport for a URL."""
        if url.scheme != "https":
            raise BadInput(
                f"Plain {url.scheme} is not sent through this transport.",
                why="there is no certificate to hold on to",
                next_command="use https://, or mount a transport of your own for http://",
            )
        origin = url.host, url.port or 443
        held = self._made.get(origin)
        if held is not None and held[0].unchanged():
            return held[1]
        if held is not None:
            self.retired.append(held[1])
        bound = self._context.bound_to(*origin, shared=False)
        self._made[origin] = bound, self._make(verify=bound, **self._options)
        return self._made[origin][1]

    def take_all(self) -> list[Any]:
        """Give every transport, and forget them."""
        every = [made for _, made in self._made.values()] + self.retired
        self._made, self.retired = {}, []
        return every


class RoutedTransport:
    """A transport that holds every connection against the store, at the endpoint that it goes to."""

    def __init__(self, context: Context, make: Callable[..., Any], options: dict[str, Any]):
        self._routes = _Routes(context, make, options)

    def handle_request(self, request: Any) -> Any:
        """Send one request."""
        return self._routes.route(request.url).handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        for each in self._routes.take_all():
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.close()


class AsyncRoutedTransport:
    """The same for asyncio."""

    def __init__(self, context: Context, make: Callable[..., Any], options: dict[str, Any]):
        self._routes = _Routes(context, make, options)

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request."""
        return await self._routes.route(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for each in self._routes.take_all():
            await each.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()
