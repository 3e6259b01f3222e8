"""A TLS server that writes down what it gets: the ClientHello, the client's certificate, every application byte.

It is asked in each protocol that the clients under test speak, and its certificate can be replaced while it runs. What a
client gave away is measured here, at the other end, not at the client.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tls.authority import Authority, pem
from troth.demo.host import _self_signed
from troth.model.certificate import CertificateView

_CLIENT_HELLO, _CERTIFICATE, _FINISHED = 1, 11, 20
# The shortest Certificate message that carries a certificate is longer than an empty one (RFC 5246 7.4.6, RFC 8446 4.4.2).
_EMPTY_CERTIFICATE = 12


@dataclass
class Visit:
    """One connection, as the server saw it."""

    hello: bytes = b""
    certificate: bool = False
    finished: bool = False
    received: bytes = b""
    plain: bytes = b""
    error: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Recorder:
    """The server; `visits` are in the order in which the connections came.

    Args:
        folder: Where its key and certificate lie.
        version: The TLS version; None for any.
        protocol: What is spoken before TLS, and inside it: `https`, `smtp`, `imap`, `postgres`, `echo`, `websocket`.
        ask: Whether it asks for a client certificate.
    """

    def __init__(
        self, folder: Path, *, protocol: str = "https", version: ssl.TLSVersion | None = None, ask: bool = True
    ):
        self.folder, self.version, self.protocol, self._ask = folder, version, protocol, ask
        self.clients = Authority("Clients")
        self.visits: list[Visit] = []
        self.location = ""
        self._open: list[socket.socket] = []
        self.present(_self_signed("recorder"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def present(self, material: tuple[bytes, bytes]) -> CertificateView:
        """Put a certificate (with its chain) and its key in force for the connections to come."""
        self.material = material
        certificate_file, key_file = self.folder / "host.pem", self.folder / "host.key"
        certificate_file.write_bytes(material[0])
        key_file.write_bytes(material[1])
        self.view = CertificateView.from_pem(material[0].decode())
        return self.view

    def _fresh_context(self) -> ssl.SSLContext:
        """Make a context for one visit: what is noted of the handshake belongs to it alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "host.pem", self.folder / "host.key")
        if self.version is not None:
            context.minimum_version = context.maximum_version = self.version
        if self._ask:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=pem(self.clients.certificate).decode())
        return context

    def change(self) -> CertificateView:
        """Present another key and certificate from now on."""
        return self.present(_self_signed("recorder"))

    def renew(self) -> CertificateView:
        """Present another certificate for the same key from now on."""
        return self.present(_self_signed("recorder", self.material[1]))

    def client_certificate(self) -> tuple[Path, Path]:
        """Make a certificate that this server accepts from clients."""
        from cryptography.hazmat.primitives import serialization

        certificate, key = self.clients.issue("client.example.com")
        paths = self.folder / "client.pem", self.folder / "client.key"
        paths[0].write_bytes(pem(certificate))
        private = serialization.PrivateFormat.PKCS8
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
        return paths

    def settled(self, since: int = 0) -> list[Visit]:
        """Wait until all connections so far are over; give those since a number."""
        for visit in list(self.visits):
            assert visit.over.wait(30), "a connection does not end"
        return self.visits[since:]

    def drop(self) -> None:
        """End what is open, as a server that restarts does."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.settled()

    def close(self) -> None:
        """Stop, and end what is open."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            visit = Visit()
            self.visits.append(visit)
            self._open.append(connection)
            threading.Thread(target=self._visit, args=(connection, visit), daemon=True).start()

    def _visit(self, connection: socket.socket, visit: Visit) -> None:
        context = self._fresh_context()

        def note(_: object, direction: str, version: int, content: int, kind: int, data: bytes) -> None:
            if direction == "read" and content == 22:
                visit.hello = visit.hello or (data if kind == _CLIENT_HELLO else b"")
                visit.certificate |= kind == _CERTIFICATE and len(data) > _EMPTY_CERTIFICATE
                visit.finished |= kind == _FINISHED

        context._msg_callback = note  # type: ignore[attr-defined]  # private, and the only sight of a failed handshake
        try:
            with connection:
                connection.settimeout(20)
                PREFACES.get(self.protocol, lambda _: None)(connection)
                with context.wrap_socket(connection, server_side=True) as tls:
                    self._open.append(tls)
                    INSIDE.get(self.protocol, http)(tls, visit, self)
        except (OSError, ValueError) as error:
            visit.error = repr(error)
        finally:
            visit.over.set()


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(1)
        if not piece:
            raise OSError("the client went away")
        data += piece
    return data.strip()


def _smtp_preface(connection: socket.socket) -> None:
    connection.sendall(b"220 recorder ESMTP\r\n")
    while (word := _line(connection).upper()) != b"STARTTLS":
        connection.sendall(b"250-recorder\r\n250 STARTTLS\r\n" if word.startswith(b"EHLO") else b"250 ok\r\n")
    connection.sendall(b"220 go ahead\r\n")


def _imap_preface(connection: socket.socket) -> None:
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] recorder\r\n")
    while True:
        tag, _, word = _line(connection).partition(b" ")
        if word.upper() == b"STARTTLS":
            connection.sendall(tag + b" OK begin\r\n")
            return
        connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")


def _postgres_preface(connection: socket.socket) -> None:
    while True:
        head = connection.recv(8)
        if head == b"\x00\x00\x00\x08\x04\xd2\x16\x2f":  # SSLRequest
            connection.sendall(b"S")
            return
        if head != b"\x00\x00\x00\x08\x04\xd2\x16\x30":  # anything but a GSSENCRequest
            raise OSError(f"plain {head!r}")
        connection.sendall(b"N")


def http(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Answer requests, and keep the connection."""
    while True:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = tls.recv(4096)
            if not piece:
                return
            data += piece
            visit.received += piece
        if server.location:
            place = server.location.encode()
            tls.sendall(b"HTTP/1.1 307 Go\r\nLocation: " + place + b"\r\nContent-Length: 0\r\n\r\n")
        else:
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")


def lines(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Answer SMTP or IMAP lines, just enough for a client to say goodbye."""
    while True:
        line = _line(tls)
        visit.received += line
        tag, _, word = line.partition(b" ")
        if server.protocol.startswith("imap"):
            kind = word.upper().split(b" ")[0]
            extra = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n", b"LOGOUT": b"* BYE bye\r\n"}.get(kind, b"")
            tls.sendall(extra + tag + b" OK done\r\n")
        else:
            tls.sendall(b"221 bye\r\n" if line.upper() == b"QUIT" else b"250 ok\r\n")


def imaps(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Greet, then answer IMAP lines."""
    tls.sendall(b"* OK [CAPABILITY IMAP4rev1] recorder\r\n")
    lines(tls, visit, server)


def smtps(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Greet, then answer SMTP lines."""
    tls.sendall(b"220 recorder ESMTP\r\n")
    lines(tls, visit, server)


def echo(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Give back what comes."""
    while piece := tls.recv(4096):
        visit.received += piece
        tls.sendall(piece)


def websocket(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Accept the upgrade, then close (RFC 6455 sections 4.2.2 and 5.5.1)."""
    import base64
    import hashlib

    data = b""
    while b"\r\n\r\n" not in data:
        piece = tls.recv(4096)
        if not piece:
            return
        data += piece
        visit.received += piece
    headers = dict(line.lower().split(b": ", 1) for line in data.split(b"\r\n")[1:] if b": " in line)
    key = next(line.split(b": ", 1)[1] for line in data.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    assert headers[b"upgrade"] == b"websocket"
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    tls.sendall(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept)
    tls.sendall(b"\r\n\r\n\x88\x02\x03\xe8")
    visit.received += tls.recv(4096)


def postgres(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
    """Let everybody in, and answer any query with nothing (PostgreSQL's frontend/backend protocol 3.0)."""
    visit.received += tls.recv(4096)
    status = b"".join(_status(*each) for each in ((b"server_version", b"15.0"), (b"client_encoding", b"UTF8")))
    tls.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x00" + status + b"Z\x00\x00\x00\x05I")
    while piece := tls.recv(4096):
        visit.received += piece


def _status(name: bytes, value: bytes) -> bytes:
    body = name + b"\x00" + value + b"\x00"
    return b"S" + (len(body) + 4).to_bytes(4, "big") + body


PREFACES: dict[str, Callable[[socket.socket], Any]] = {
    "smtp": _smtp_preface,
    "imap": _imap_preface,
    "postgres": _postgres_preface,
}
INSIDE: dict[str, Callable[[ssl.SSLSocket, Visit, Recorder], None]] = {
    "smtp": lines,
    "imap": lines,
    "imaps": imaps,
    "smtps": smtps,
    "echo": echo,
    "websocket": websocket,
    "postgres": postgres,
}
