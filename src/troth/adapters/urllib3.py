"""urllib3: pools that are bound to their endpoint, and drop connections whose pins have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from troth.errors import BadInput
from troth.tls.guard import GuardedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.tls.context import Context


class TrustedConnection(HTTPSConnection):
    """A connection that leaves its pool when the record no longer trusts it."""

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again."""
        if isinstance(self.sock, GuardedSocket) and not self.sock.still_trusted():
            return False
        return super().is_connected


class TrustedPool(HTTPSConnectionPool):
    """The pool of one host and port: its context is bound to them, also where a proxy is in between."""

    ConnectionCls = TrustedConnection

    def __init__(self, host: str, port: int | None = None, *args: Any, ssl_context: Context, **options: Any):
        # Not shared: a client certificate belongs to one pool.
        bound = ssl_context.bound_to(host.strip("[]"), port or 443, shared=False)
        super().__init__(host, port, *args, ssl_context=bound, **options)


_POOLS: dict[str, Callable[..., Any]] = {"http": HTTPConnectionPool, "https": TrustedPool}


class PoolManager(urllib3.PoolManager):
    """A pool manager whose HTTPS connections are held against the store.

    Args:
        context: Whose trust it is.
        options: What `urllib3.PoolManager` takes.
    """

    def __init__(self, context: Context, **options: Any):
        super().__init__(ssl_context=context, **options)
        self.pool_classes_by_scheme = _POOLS  # type: ignore[assignment]  # classes by scheme, one of them ours


class ProxyManager(urllib3.ProxyManager):
    """A pool manager that goes through a proxy; pins belong to the targets, and to the proxy if it speaks TLS itself.

    Args:
        proxy_url: The proxy.
        context: Whose trust it is.
        options: What `urllib3.ProxyManager` takes.

    Raises:
        BadInput: The proxy is to be told the requests themselves, so no certificate of a target would be seen.
    """

    def __init__(self, proxy_url: str, context: Context, **options: Any):
        if options.get("use_forwarding_for_https"):
            raise BadInput(
                "With use_forwarding_for_https the proxy reads every request, and the target's certificate is never seen.",
                why="there would be nothing to hold against the record",
                next_command="leave use_forwarding_for_https out: requests then go through a tunnel",
            )
        proxy = urllib3.util.parse_url(proxy_url)
        if proxy.scheme == "https" and "proxy_ssl_context" not in options and proxy.host:
            options["proxy_ssl_context"] = context.bound_to(proxy.host.strip("[]"), proxy.port or 443)
        super().__init__(proxy_url, ssl_context=context, **options)
        self.pool_classes_by_scheme = _POOLS  # type: ignore[assignment]  # classes by scheme, one of them ours
