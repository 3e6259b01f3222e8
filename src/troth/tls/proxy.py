"""Connections through an HTTP proxy's CONNECT (RFC 9110 section 9.3.6). The pin belongs to the target, not the proxy."""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors import BadInput, NotAllowed, ProtocolViolation, TimedOut
from troth.model.endpoint import Endpoint
from troth.model.text import printable

if TYPE_CHECKING:
    from troth.tls.deadline import Deadline

_MAX_HEADER = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy.

    Args:
        endpoint: Where it listens, in plain HTTP.
        user: The user name, empty for none.
        password: The password; never shown.
    """

    endpoint: Endpoint
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Show everything but the password."""
        return f"Proxy(endpoint={str(self.endpoint)!r}, user={self.user!r})"

    @classmethod
    def parse(cls, text: str, *, password: str = "") -> Proxy:
        """Read `http://[user@]host:port`; a password never stands in the address.

        Raises:
            BadInput: It is of another scheme, or holds a password.
        """
        body = text.strip()
        scheme, separator, rest = body.partition("://")
        if separator and scheme.lower() != "http":
            raise BadInput(f"Troth speaks to proxies by plain HTTP only, not {printable(scheme, 20)!r}.")
        user, at, host = (rest if separator else body).rstrip("/").rpartition("@")
        if ":" in user:
            raise BadInput(
                "A proxy's password does not belong in an argument, where every user of this machine can read it.",
                next_command="TROTH_PROXY_PASSWORD=… troth check … --proxy http://user@host:port",
            )
        return cls(endpoint=Endpoint.parse(host, default_port=3128), user=user if at else "", password=password)


def open_tunnel(sock: socket.socket, proxy: Proxy, target: Endpoint, deadline: Deadline) -> None:
    """Ask the proxy on `sock` for a tunnel to the target.

    Raises:
        NotAllowed: The proxy wants (other) credentials.
        ProtocolViolation: It refuses, or sends something after its answer, which would be injected into the tunnel.
        TimedOut: The limit ran out.
    """
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user:
        token = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {token}")
    try:
        sock.settimeout(deadline())
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        header = _header(sock, proxy, deadline)
    except (TimeoutError, TimedOut):
        raise TimedOut(
            f"The proxy {proxy.endpoint} made no tunnel to {target} within {deadline.seconds:g} s.",
            why="the proxy stays silent, or it waits for the host",
            next_command=f"look at the proxy, or leave --proxy out: troth check {target}",
            details={"endpoint": str(target), "proxy": str(proxy.endpoint)},
        ) from None
    except OSError as error:
        raise _refused(proxy, target, error.strerror or str(error)) from None
    status, _, _ = header.partition("\r\n")
    fields = status.split(" ", 2)
    if len(fields) < 2 or not fields[0].startswith("HTTP/1.") or not fields[1].isdigit():
        raise _refused(proxy, target, f"it answered {printable(status, 80)!r}")
    if fields[1] == "407":
        raise NotAllowed(
            f"The proxy {proxy.endpoint} wants a user name and password.",
            next_command=f"TROTH_PROXY_PASSWORD=… troth check {target} --proxy http://user@{proxy.endpoint}",
        )
    if not fields[1].startswith("2"):
        raise _refused(proxy, target, printable(status, 80))


def _header(sock: socket.socket, proxy: Proxy, deadline: Deadline) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > _MAX_HEADER:
            raise ProtocolViolation(f"The proxy {proxy.endpoint} sent a header without end.")
        sock.settimeout(deadline())
        # One byte at a time at the end would be slow; a peek tells how much belongs to the header.
        seen = sock.recv(4096, socket.MSG_PEEK)
        if not seen:
            raise ProtocolViolation(f"The proxy {proxy.endpoint} closed the connection before it answered.")
        end = (data + seen).find(b"\r\n\r\n")
        data += sock.recv(len(seen) if end < 0 else end + 4 - len(data))
    return data.decode("latin-1")


def _refused(proxy: Proxy, target: Endpoint, why: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"The proxy {proxy.endpoint} made no tunnel to {target}.",
        why=why,
        details={"endpoint": str(target), "proxy": str(proxy.endpoint)},
    )
