"""Receivers of messages, on loopback: an SMTP server with STARTTLS and AUTH, an HTTPS receiver, syslog receivers.

Each remembers what reached it, and its certificate can be swapped while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd import smtp

from troth.demo.host import _self_signed
from troth.model.certificate import CertificateView

USER, PASSWORD = "alice", "correct horse"


class Certified:
    """What has a certificate that can be swapped."""

    def __init__(self, folder: Path, name: str):
        self._folder, self._name = folder, name
        folder.mkdir(exist_ok=True)
        self.context: ssl.SSLContext
        self.view = self.swap()

    def swap(self, material: tuple[bytes, bytes] | None = None) -> CertificateView:
        """Present another certificate from the next handshake on."""
        pem, key = material or _self_signed(self._name)
        (self._folder / "c.pem").write_bytes(pem)
        (self._folder / "c.key").write_bytes(key)
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(self._folder / "c.pem", self._folder / "c.key")
        self.context = fresh
        self.view = CertificateView.from_pem(pem.decode())
        return self.view


class _Session(smtp.SMTP):
    """aiosmtpd's server; remembers each AUTH command, before anything is made of it."""

    box: Mailbox

    @functools.wraps(smtp.SMTP.smtp_AUTH)
    async def smtp_AUTH(self, arg: str) -> None:
        self.box.auths.append(arg)
        await super().smtp_AUTH(arg)

    @functools.wraps(smtp.SMTP.smtp_EHLO)
    async def smtp_EHLO(self, hostname: str) -> None:
        self.box.greetings.append((hostname, self._tls_protocol is not None))
        await super().smtp_EHLO(hostname)


class Mailbox(Certified):
    """A real SMTP server.

    Args:
        folder: Where its certificate lies.
        tls: `starttls`, `tls` from the start, or `none`.
        refused: Recipients that it refuses.
        answer: What it says to a message.
    """

    def __init__(self, folder: Path, *, tls: str = "starttls", refused: tuple[str, ...] = (), answer: str = "250 kept"):
        super().__init__(folder, "mail")
        self.tls, self.refused, self.answer = tls, refused, answer
        self.auths: list[str] = []
        self.greetings: list[tuple[str, bool]] = []
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self._loop = asyncio.new_event_loop()
        self._protocols: list[_Session] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _start(self) -> asyncio.Server:
        context = self.context if self.tls == "tls" else None
        return await self._loop.create_server(self._session, "127.0.0.1", 0, ssl=context)

    def _session(self) -> _Session:
        made = _Session(
            self,
            hostname="mail.example.com",
            loop=self._loop,
            timeout=20,
            tls_context=self.context if self.tls == "starttls" else None,
            require_starttls=self.tls == "starttls",
            authenticator=self._authenticate,
            auth_require_tls=self.tls == "starttls",
        )
        made.box = self
        self._protocols.append(made)
        return made

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> smtp.AuthResult:
        fine = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return smtp.AuthResult(success=fine, handled=False)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take a recipient, or refuse it."""
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep a message."""
        if self.answer.startswith("2"):
            self.raw.append(envelope.content)
            made = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(made, EmailMessage)
            self.mails.append(made)
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return self.answer

    def close(self) -> None:
        """Stop."""

        async def stop() -> None:
            self._server.close()
            for each in self._protocols:
                if each.transport is not None:
                    each.transport.abort()
                if each._handler_coroutine is not None:
                    each._handler_coroutine.cancel()
            await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass(frozen=True)
class Call:
    """One request that reached a webhook receiver."""

    path: str
    headers: dict[str, str]
    body: bytes


class Hook(Certified):
    """A real HTTPS receiver.

    Args:
        folder: Where its certificate lies.
        status: What it answers.
        location: Where it redirects to.
    """

    def __init__(self, folder: Path, *, status: int = 204, location: str = ""):
        super().__init__(folder, "hook")
        self.status, self.location = status, location
        self.calls: list[Call] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self) -> None:
                self.request.settimeout(10)
                self.request = hook.context.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                with contextlib.suppress(OSError):
                    super().finish()
                self.request.close()

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the sender died in the middle: that is no call
                hook.calls.append(Call(self.path, dict(self.headers.items()), body))
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("Location", hook.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"https://127.0.0.1:{self.port}/troth"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def unframed(data: bytes) -> Iterator[bytes]:
    """Take lines apart that come with their lengths (RFC 6587 section 3.4.1); anything else is an error."""
    while data:
        digits, blank, rest = data.partition(b" ")
        assert blank
        assert digits.isdigit()
        length = int(digits)
        assert len(rest) >= length
        yield rest[:length]
        data = rest[length:]


class Collector(Certified):
    """A real syslog receiver over TCP or TLS: reads each connection to its end.

    Args:
        folder: Where its certificate lies.
        tls: Whether it speaks TLS.
        polite: Whether it answers the end of TLS with its own, as it should.
    """

    def __init__(self, folder: Path, *, tls: bool, polite: bool = True):
        super().__init__(folder, "logs")
        self.tls, self.polite = tls, polite
        self.lines: list[bytes] = []
        self.failed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    self._read(connection)
                except OSError:
                    self.failed += 1

    def _read(self, connection: socket.socket) -> None:
        data = b""
        sock = (
            self.context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
            if self.tls
            else connection
        )
        with sock:
            while more := sock.recv(4096):
                data += more
            if self.tls and self.polite:
                with contextlib.suppress(OSError):
                    sock.unwrap()  # type: ignore[attr-defined]
            self.lines += unframed(data)

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Datagrams:
    """A real syslog receiver of datagrams, over UDP or at a UNIX socket."""

    def __init__(self, path: Path | None = None):
        self._socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(str(path) if path else ("127.0.0.1", 0))
        self._socket.settimeout(10)
        self.port = 0 if path else int(self._socket.getsockname()[1])

    def line(self) -> bytes:
        """Wait for one line."""
        return self._socket.recv(65536)

    def close(self) -> None:
        """Stop."""
        self._socket.close()
