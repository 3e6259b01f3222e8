"""Fetch signed answers over plain HTTP: bounded in time and size, no redirects, nothing that a certificate may not name.

A certificate's addresses are the words of whoever made it. They must not lead to this machine itself, to its own link, or
to a cloud's metadata service (SSRF). An address that a person configured may lead to this machine.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from troth.errors import Unreachable
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.text import printable
from troth.tls.connect import connect
from troth.tls.deadline import Deadline

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

    from troth.tls.connect import Permit
    from troth.tls.revocation import Fetch

_MAX_HEADER = 32 << 10
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where clouds answer about their machines, beside the link-local networks: AWS, Google, Alibaba, Oracle, Azure.
_METADATA = tuple(
    ipaddress.ip_network(each)
    for each in ("fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.0/24", "168.63.129.16/32")
)
# Networks whose addresses hold an IPv4 address in their last four bytes (RFC 6052, RFC 8215, RFC 4291 section 2.5.5.1).
_EMBEDDING = tuple(ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))


def fetcher(timeout_s: float, permit: Permit | None = None) -> tuple[Fetch, Fetch]:
    """Make the two functions that fetch: for addresses that a certificate names, and for those that a person configured.

    Args:
        timeout_s: The limit of all fetches together, in seconds.
        permit: Raises for an address (and port) that must not be connected to.
    """
    whole = Deadline(timeout_s, "the look at revocation")

    def named(url: str, body: bytes | None, limit: int) -> bytes:
        # Half of what is left: a source that stays silent leaves time for the next one.
        return get(url, body, limit=limit, timeout_s=whole() / 2, permit=permit)

    def configured(url: str, body: bytes | None, limit: int) -> bytes:
        return get(url, body, limit=limit, timeout_s=whole() / 2, configured=True, permit=permit)

    return named, configured


def get(
    url: str,
    body: bytes | None,
    *,
    limit: int,
    timeout_s: float,
    configured: bool = False,
    permit: Permit | None = None,
) -> bytes:
    """Fetch one answer.

    Args:
        url: An `http://` address; it may come from a hostile certificate.
        body: An OCSP request to post; None for a plain GET.
        limit: The largest answer, in bytes.
        timeout_s: The limit of the whole attempt, in seconds.
        configured: Whether a person configured the address; it may then lead to this machine.
        permit: Raises for an address (and port) that must not be connected to.

    Raises:
        Unreachable: There was no usable answer.
        NotAllowed: `permit` refused the address.
    """
    parts = urlsplit(url) if len(url) <= 2048 and url.isascii() and url.isprintable() else None
    if parts is None or parts.scheme != "http" or not parts.hostname or "@" in parts.netloc:
        raise Unreachable(f"{printable(url, 80)} is not fetched.", why="only http:// addresses without a user name are")
    endpoint = Endpoint(canonical_host(parts.hostname), parts.port or 80)
    deadline = Deadline(timeout_s, str(endpoint))

    def require_fit(address: str, port: int) -> None:
        _require_fit(address, url, configured=configured)
        if permit is not None:
            permit(address, port)

    with connect(endpoint, deadline, require_fit) as sock:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/ocsp-request"} if body is not None else {}
        try:
            connection.sock = _Wire(sock, deadline, limit + _MAX_HEADER)
            connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
            return _read(connection.getresponse(), limit)
        except TimeoutError:
            raise deadline.error() from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"{endpoint} gave no answer.", why=printable(str(error) or type(error).__name__)
            ) from None


class _Wire:
    """A socket as `http.client` uses one, every use of which is bounded."""

    def __init__(self, sock: socket.socket, deadline: Deadline, limit: int):
        self._sock, self._deadline, self._limit = sock, deadline, limit

    def makefile(self, *_: object) -> io.BufferedReader:
        """Give the side that is read."""
        return io.BufferedReader(_Bounded(self._sock, self._deadline, self._limit))

    def sendall(self, data: bytes) -> None:
        """Send."""
        self._sock.settimeout(self._deadline())
        self._sock.sendall(data)

    def close(self) -> None:
        """Do nothing: the socket is closed by the one who made it, after the answer was read."""


class _Bounded(io.RawIOBase):
    """What comes from a socket: all reads together are bounded in time and in bytes."""

    def __init__(self, sock: socket.socket, deadline: Deadline, limit: int):
        self._sock, self._deadline, self._left = sock, deadline, limit

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what is there, or wait for it as long as the limit allows."""
        self._sock.settimeout(self._deadline())
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise Unreachable("The answer is too large, or its header is.")
        return count


def _read(answer: http.client.HTTPResponse, limit: int) -> bytes:
    if answer.status != http.client.OK:
        raise Unreachable(f"The answer was {answer.status}, not 200.", why="redirects are not followed")
    data = answer.read(limit + 1)
    if len(data) > limit:
        raise Unreachable(f"The answer is larger than {limit >> 10} KiB.")
    return data


def _require_fit(address: str, url: str, *, configured: bool) -> None:
    """Stop before connecting to where a certificate must not send anybody.

    Raises:
        Unreachable: It is such a place.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    for each in (found, *_embedded(found)):
        if _is_forbidden(each) or (_is_here(each) and not configured):
            raise Unreachable(f"{printable(url, 80)} is not fetched.", why=f"it leads to {each}")


def _is_forbidden(address: _Address) -> bool:
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    return special or any(address in network for network in _METADATA)


def _is_here(address: _Address) -> bool:
    """Whether it is this machine itself."""
    return address.is_loopback


def _embedded(address: _Address) -> list[_Address]:
    """Give the IPv4 addresses that a translator or tunnel would make of an IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[_Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    found += list(address.teredo or ())
    if any(address in network for network in _EMBEDDING) and not address.is_loopback:
        found.append(ipaddress.IPv4Address(address.packed[-4:]))
    return found
