"""Reading the head of a request without guessing: a header that counts for safety stands there once, or not at all."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from troth.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


def every(scope: Scope, name: str) -> list[str]:
    """Give every value of a header, in order."""
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted]


def one(scope: Scope, name: str) -> str | None:
    """Give the value of a header, or None if it is not there.

    Raises:
        BadRequest: It is there more than once: two readers could take two different ones.
    """
    found = every(scope, name)
    if len(found) > 1:
        raise BadRequest(f"The header {name} stands in the request {len(found)} times.")
    return found[0] if found else None


def authority(text: str, scheme: str) -> tuple[str, int] | None:
    """Read `host` or `host:port`, as it stands in Host and in origins; None if it cannot be one."""
    found = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
    if found is None:
        return None
    port = int(found[2]) if found[2] else _PORTS.get(scheme, 0)
    host = canonical_host(found[1])
    return (host, port) if host and 0 < port < 65536 else None


def canonical_host(text: str) -> str:
    """Give one spelling of a host's name or address; empty if it has none."""
    bare = text.lower()
    if bare.startswith("["):
        try:
            return str(ipaddress.IPv6Address(bare[1:-1]))
        except ValueError:
            return ""
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare.removesuffix(".")


def origin(text: str) -> tuple[str, str, int] | None:
    """Read an origin (`scheme://host:port`); None if it is not one, `null` for instance."""
    scheme, separator, rest = text.partition("://")
    place = authority(rest, scheme.lower()) if separator else None
    return (scheme.lower(), *place) if place else None


def scheme(scope: Scope) -> str:
    """Give the scheme of the request as origins have it; a WebSocket's is that of the page."""
    return {"ws": "http", "wss": "https"}.get(str(scope.get("scheme", "")), str(scope.get("scheme", "")))


def client_address(scope: Scope, *, proxies: Sequence[Network] = ()) -> str:
    """Give the address of who calls.

    `X-Forwarded-For` is what the caller says about themselves. It is read only if the connection comes from a proxy of
    ours, and then from its end: the first address there that is not a proxy of ours.

    Args:
        scope: The request.
        proxies: The networks of our own proxies; by default there are none.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not proxies or not _within(address, proxies):
        return address
    for each in reversed(",".join(every(scope, "x-forwarded-for")).split(",")):
        hop = each.strip()
        if not _is_address(hop):
            return address  # whoever wrote this is no proxy of ours
        address = hop
        if not _within(hop, proxies):
            return hop
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(text: str, networks: Sequence[Network]) -> bool:
    if not _is_address(text):
        return False
    found = ipaddress.ip_address(text)
    plain = getattr(found, "ipv4_mapped", None) or found
    return any(plain in each for each in networks)
