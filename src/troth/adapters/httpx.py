"""httpx: transports for `httpx.Client` and `httpx.AsyncClient`; redirects and proxies are judged at their own endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx

from troth.adapters._routed import AsyncRoutedTransport, RoutedTransport

if TYPE_CHECKING:
    from troth.tls.context import Context


def transport(context: Context, **options: Any) -> httpx.BaseTransport:
    """Make a transport for `httpx.Client(transport=…)`.

    Args:
        context: Whose trust it is.
        options: What `httpx.HTTPTransport` takes, but `verify`: `proxy`, `http2`, `limits`, `retries`.
    """
    return cast("httpx.BaseTransport", RoutedTransport(context, httpx.HTTPTransport, options))


def async_transport(context: Context, **options: Any) -> httpx.AsyncBaseTransport:
    """Make a transport for `httpx.AsyncClient(transport=…)`.

    Args:
        context: Whose trust it is.
        options: What `httpx.AsyncHTTPTransport` takes, but `verify`.
    """
    return cast("httpx.AsyncBaseTransport", AsyncRoutedTransport(context, httpx.AsyncHTTPTransport, options))
