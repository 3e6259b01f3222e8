"""`http.client` and `urllib.request`, also through a CONNECT proxy (RFC 9110 section 9.3.6)."""

from __future__ import annotations

import http.client
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from troth.tls.context import Context


class HTTPSConnection(http.client.HTTPSConnection):
    """An HTTPS connection whose pin belongs to the target, whatever proxy the way leads through.

    Args:
        host: The host, or the proxy if `set_tunnel` names the host.
        port: Its port.
        context: Whose trust it is.
        options: What `http.client.HTTPSConnection` takes.
    """

    def __init__(self, host: str, port: int | None = None, *, context: Context, **options: Any):
        super().__init__(host, port, context=context, **options)
        self._trust = context

    def connect(self) -> None:
        """Connect, through the tunnel if there is one; the handshake is judged at the target."""
        target = getattr(self, "_tunnel_host", None) or self.host
        port = (getattr(self, "_tunnel_port", None) if getattr(self, "_tunnel_host", None) else self.port) or 443
        self._context = self._trust.bound_to(target, port)
        super().connect()


class HTTPSHandler(urllib.request.HTTPSHandler):
    """For `urllib.request.build_opener`: `https:` by the store's trust, redirects and proxies included."""

    def __init__(self, context: Context):
        super().__init__(context=context)
        self._trust = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an HTTPS request."""
        return self.do_open(HTTPSConnection, req, context=self._trust)  # type: ignore[arg-type]  # called by keyword


def build_opener(context: Context, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Make an opener as `urllib.request.build_opener` does, with the store's trust."""
    return urllib.request.build_opener(HTTPSHandler(context), *handlers)
