"""Fetch signed answers over plain HTTP: bounded in time and size, no redirects, never from a metadata service."""

from __future__ import annotations

import http.client
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
    from collections.abc import Callable


def fetcher(timeout_s: float) -> Callable[[str, bytes | None, int], bytes]:
    """Make the function that fetches: GET, or POST of an OCSP request."""

    def fetch(url: str, body: bytes | None, limit: int) -> bytes:
        return get(url, body, limit=limit, timeout_s=timeout_s)

    return fetch


def get(url: str, body: bytes | None, *, limit: int, timeout_s: float) -> bytes:
    """Fetch one answer.

    Args:
        url: An `http://` address; it may come from a hostile certificate.
        body: An OCSP request to post; None for a plain GET.
        limit: The largest answer, in bytes.
        timeout_s: The limit of the whole attempt, in seconds.

    Raises:
        Unreachable: There was no usable answer.
    """
    parts = urlsplit(url) if len(url) <= 2048 and url.isascii() and url.isprintable() else None
    if parts is None or parts.scheme != "http" or not parts.hostname or "@" in parts.netloc:
        raise Unreachable(f"{printable(url, 80)} is not fetched.", why="only http:// addresses without a user name are")
    endpoint = Endpoint(canonical_host(parts.hostname), parts.port or 80)
    deadline = Deadline(timeout_s, str(endpoint))
    with connect(endpoint, deadline) as sock:
        _refuse_metadata(sock, url)
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port)
        connection.sock = sock
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/ocsp-request"} if body is not None else {}
        try:
            sock.settimeout(deadline())
            connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
            answer = connection.getresponse()
            return _read(answer, sock, limit, deadline)
        except TimeoutError:
            raise deadline.error() from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"{endpoint} gave no answer.", why=printable(str(error) or type(error).__name__)
            ) from None


def _read(answer: http.client.HTTPResponse, sock: socket.socket, limit: int, deadline: Deadline) -> bytes:
    if answer.status != http.client.OK:
        raise Unreachable(f"The answer was {answer.status}, not 200.", why="redirects are not followed")
    data = b""
    while len(data) <= limit:
        if answer.isclosed():  # from Python 3.13 on, as soon as its last byte was read; the socket is closed with it
            return data
        sock.settimeout(deadline())
        more = answer.read1(64 << 10)
        if not more:
            return data
        data += more
    raise Unreachable(f"The answer is larger than {limit >> 10} KiB.")


def _refuse_metadata(sock: socket.socket, url: str) -> None:
    """A certificate must not make this machine ask its own cloud's metadata service (SSRF)."""
    address = ipaddress.ip_address(str(sock.getpeername()[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
        raise Unreachable(f"{printable(url, 80)} is not fetched.", why=f"it leads to {mapped}")
