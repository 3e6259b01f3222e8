"""Syslog, RFC 5424: over TLS (RFC 5425) under the store's trust, TCP (RFC 6587), UDP (RFC 5426), or this machine's own."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from troth.errors import ChannelUnusable, TrothError
from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN
from troth.model.text import printable
from troth.notify import render
from troth.notify.channel import DEFAULT_TIMEOUT_S, as_failure, host_of, port_of
from troth.tls.connect import connect
from troth.tls.context import Context
from troth.tls.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from troth.notify.events import Message
    from troth.store.protocol import TrustStore

_FAREWELL_S = 5.0


class Transport(StrEnum):
    """How lines travel."""

    TLS = "tls"
    TCP = "tcp"
    UDP = "udp"
    UNIX = "unix"


_DEFAULT_PORTS = {Transport.TLS: 6514, Transport.TCP: 601, Transport.UDP: 514}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSettings:
    """Where lines go.

    Args:
        transport: How.
        host: The receiver's host; empty for UNIX.
        port: Its port; 0 for UNIX.
        path: The socket's path, for UNIX.
        domain: The domain of the receiver's entry, if it is new.
    """

    transport: Transport
    host: str = ""
    port: int = 0
    path: str = ""
    domain: str = DEFAULT_DOMAIN

    @classmethod
    def parse(cls, url: str, *, domain: str = DEFAULT_DOMAIN) -> SyslogSettings:
        """Read `tls://host:port`, `tcp://…`, `udp://…`, or `unix:/dev/log`.

        Raises:
            ChannelUnusable: It cannot be used.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _bad(url, "its port is none") from None
        if (
            parts.query
            or parts.fragment
            or "@" in parts.netloc
            or (parts.scheme != "unix" and parts.path not in ("", "/"))
        ):
            raise _bad(url, "give the transport, the host and the port alone")
        found = {"transport": parts.scheme, "host": parts.hostname or "", "path": parts.path, "domain": domain}
        return cls.read(found if port is None else {**found, "port": port})

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> SyslogSettings:
        """Read settings, from wherever they come.

        Raises:
            ChannelUnusable: They cannot be used.
        """
        try:
            transport = Transport(str(found.get("transport", "")))
        except ValueError:
            raise _bad(str(found.get("transport", "")), "known are tls, tcp, udp and unix") from None
        domain = str(found.get("domain", DEFAULT_DOMAIN))
        if transport is Transport.UNIX:
            path = str(found.get("path") or "/dev/log")
            if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 100:
                raise _bad(path, "a socket has an absolute path of at most 100 bytes")
            return cls(transport=transport, path=path, domain=domain)
        port = port_of(found.get("port", _DEFAULT_PORTS[transport]))
        return cls(transport=transport, host=host_of(found.get("host", "")), port=port, domain=domain)

    @property
    def url(self) -> str:
        """The address."""
        if self.transport is Transport.UNIX:
            return f"unix:{self.path}"
        return f"{self.transport}://{Endpoint(self.host, self.port)}"

    def document(self) -> dict[str, object]:
        """Give them as JSON-able values."""
        found: dict[str, object] = {"transport": self.transport.value, "domain": self.domain}
        return found | ({"path": self.path} if self.path else {"host": self.host, "port": self.port})


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogChannel:
    """Sends messages as syslog lines.

    UDP has no answer at all. TCP and TLS have none either, but the receiver's end is waited for after ours, so that a
    line that was refused or lost on the way is noticed.

    Args:
        settings: Where, and how.
        store: The trust store that the receiver's certificate is held against.
        name: This machine's name, in each line.
        timeout_s: The limit of one delivery, in seconds.
    """

    settings: SyslogSettings
    store: TrustStore
    name: str = "-"
    timeout_s: float = DEFAULT_TIMEOUT_S

    @property
    def destination(self) -> str:
        """Where it goes."""
        return self.settings.url

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint whose certificate is checked."""
        settings = self.settings
        return Endpoint(settings.host, settings.port) if settings.transport is Transport.TLS else None

    def send(self, message: Message) -> str:
        """Send one line.

        Raises:
            NotDelivered: It was not taken, as far as that can be known.
            CertificateRejected: The receiver's certificate is not trusted; it was told nothing.
        """
        try:
            if self.settings.transport is Transport.UNIX:
                self._send_local(message)
            elif self.settings.transport is Transport.UDP:
                self._send_datagram(message)
            else:
                self._send_stream(message)
        except (OSError, TrothError) as error:
            raise as_failure(error, self.destination) from error
        return ""

    def _line(self, message: Message, limit: int) -> bytes:
        return render.syslog(message, host=self.name, process=os.getpid(), limit=limit)

    def _send_local(self, message: Message) -> None:
        line = render.syslog_local(message, process=os.getpid(), limit=render.UDP_LIMIT)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(self.timeout_s)
            sock.connect(self.settings.path)
            sock.send(line)

    def _send_datagram(self, message: Message) -> None:
        line = self._line(message, render.UDP_LIMIT)
        found = socket.getaddrinfo(self.settings.host, self.settings.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(self.timeout_s)
            sock.connect(address)
            sock.send(line)

    def _send_stream(self, message: Message) -> None:
        line = self._line(message, render.STREAM_LIMIT)
        endpoint = Endpoint(self.settings.host, self.settings.port)
        deadline = Deadline(self.timeout_s, str(endpoint))
        with connect(endpoint, deadline) as plain:
            plain.settimeout(deadline())
            if self.settings.transport is Transport.TCP:
                _say(plain, line, deadline)
                return
            context = Context(self.store, endpoint, domain=self.settings.domain)
            with context.wrap_socket(plain, server_hostname=endpoint.host.partition("%")[0]) as sock:
                _say(sock, line, deadline)


def _say(sock: socket.socket, line: bytes, deadline: Deadline) -> None:
    """Send a line with its length, end our side, and wait for the other's end: a reset says that it was not taken.

    A receiver that keeps the connection open after ours has ended has at least said nothing against the line.
    """
    sock.settimeout(deadline())
    sock.sendall(b"%d %b" % (len(line), line))
    sock.settimeout(min(deadline(), _FAREWELL_S))
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock = sock.unwrap()  # RFC 5425 section 4.4: a close_notify, before the connection ends
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    except (TimeoutError, ssl.SSLError):
        return  # it has the line; many receivers end without a word
    except OSError as error:
        if error.errno:
            raise


def _bad(url: str, why: str) -> ChannelUnusable:
    return ChannelUnusable(
        f"{printable(url, 80)!r} is no place for syslog.",
        why=why,
        next_command="troth mail set syslog tls://logs.example.com:6514",
    )
