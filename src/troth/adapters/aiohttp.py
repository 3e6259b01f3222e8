"""aiohttp: a connector whose connections are judged at their own endpoints, redirects and proxies included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from ssl import SSLContext

    from troth.tls.context import Context


class TCPConnector(aiohttp.TCPConnector):
    """A connector for `aiohttp.ClientSession(connector=…)`; a request's own `ssl=` has no effect.

    If aiohttp ever stops asking for the context here, connections fail (the context alone is bound to no endpoint).

    Args:
        context: Whose trust it is.
        options: What `aiohttp.TCPConnector` takes, but `ssl`.
    """

    def __init__(self, context: Context, **options: Any):
        super().__init__(ssl=context, **options)
        self._trust = context

    def _get_ssl_context(self, req: Any) -> SSLContext | None:
        if not req.is_ssl():
            return None
        return self._trust.bound_to(req.url.raw_host or req.host, req.port)
