"""httpx2: transports for `httpx2.Client` and `httpx2.AsyncClient`; redirects and proxies are judged at their own endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx2

from troth.adapters._routed import AsyncRoutedTransport, RoutedTransport

if TYPE_CHECKING:
    from troth.tls.context import Context


def transport(context: Context, **options: Any) -> httpx2.BaseTransport:
    """Make a transport for `httpx2.Client(transport=…)`.

    Args:
        context: Whose trust it is.
        options: What `httpx2.HTTPTransport` takes, but `verify`: `proxy`, `http2`, `limits`, `retries`.
    """
    return cast("httpx2.BaseTransport", RoutedTransport(context, httpx2.HTTPTransport, options))


def async_transport(context: Context, **options: Any) -> httpx2.AsyncBaseTransport:
    """Make a transport for `httpx2.AsyncClient(transport=…)`.

    Args:
        context: Whose trust it is.
        options: What `httpx2.AsyncHTTPTransport` takes, but `verify`.
    """
    return cast("httpx2.AsyncBaseTransport", AsyncRoutedTransport(context, httpx2.AsyncHTTPTransport, options))
