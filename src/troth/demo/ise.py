"""A simulator of Cisco ISE, written from its documented API: a real HTTPS server on loopback.

It is strict where ISE is: paths are case-sensitive, MAC addresses are upper case with colons, the user must be an
administrator in the right group. Its certificate can be replaced while it runs, and it writes down every byte that it was
given, before the handshake was complete and after, so that what a client gave away is measured at this end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import re
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from troth.demo import ise_answers as answers
from troth.demo.host import _self_signed
from troth.demo.ise_answers import Answer, SimulatedCertificate, SimulatedSession
from troth.model.certificate import CertificateView

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

MONITORING_GROUPS = frozenset({"Super Admin", "System Admin", "MnT Admin"})
OPEN_API_GROUPS = frozenset({"Super Admin", "ERS Admin", "ERS Operator"})
STANDALONE, PRIMARY, SECONDARY, NOT_MONITORING = 0, 1, 2, 3
_MAC = r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}"
_MOMENT = r"null|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_MAX_HEAD = 64 << 10
_IDLE_S = 60.0


@dataclass(frozen=True)
class Request:
    """A request, as it came."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Visit:
    """One connection: its bytes as they came over the wire, and those that TLS gave out, with what was asked."""

    raw: bytes = b""
    plain: bytes = b""
    finished: bool = False
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class User:
    """An administrator."""

    password: str
    groups: frozenset[str]


class Wire:
    """TLS over a stream, by hand, so that every byte can be written down."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, visit: Visit
    ):
        self._reader, self._writer, self.visit = reader, writer, visit
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """Complete the handshake."""
        await self._pump(self._tls.do_handshake)
        self.visit.finished = True

    async def read(self) -> bytes:
        """Read what TLS gives out; empty at the end."""
        try:
            data: bytes = await self._pump(lambda: self._tls.read(65536))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        self.visit.plain += data
        return data

    async def write(self, data: bytes) -> None:
        """Send."""
        for start in range(0, len(data), 65536):
            self._tls.write(data[start : start + 65536])
            await self._flush()

    def cut(self) -> None:
        """Break the connection off, without a goodbye."""
        self._writer.transport.abort()

    async def _pump(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                await self._flush()
                async with asyncio.timeout(_IDLE_S):
                    data = await self._reader.read(65536)
                self.visit.raw += data
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            await self._flush()
            return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
            await self._writer.drain()


class IseSimulator:
    """The server; it runs in a thread of its own until it is closed.

    Args:
        folder: Where its key and certificate lie.
        name: The node's host name.
        host: The address to listen on.
        port: The port; 0 for a free one.

    Attributes may be changed while it runs: `users`, `sessions`, `spelling` (of the lists), `release`, `node_type`,
    `monitoring` (whether it is a monitoring node), `open_api`, `listed` (its certificates), `faults` (by path), `cookie`.
    """

    def __init__(self, folder: Path, *, name: str = "ise-1", host: str = "127.0.0.1", port: int = 0):
        self._folder, self.name, self.host = folder, name, host
        self.users: dict[str, User] = {}
        self.sessions: list[SimulatedSession] = []
        self.spelling = "activeSessionList"
        self.release, self.node_type, self.monitoring, self.open_api = "3.2.0.542", STANDALONE, True, True
        self.listed: list[SimulatedCertificate] = []
        self.faults: dict[str, Callable[[Request, Wire], Coroutine[Any, Any, Answer | None]]] = {}
        self.cookie = ""
        self.visits: list[Visit] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tasks: set[asyncio.Task[None]] = set()
        self.new_certificate()
        self._ready: threading.Event = threading.Event()
        self._wanted_port = port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or not self.port:
            raise OSError(f"the simulator cannot listen on {host}:{port}")

    # What an administrator does

    def add_user(self, name: str, password: str, *groups: str) -> None:
        """Make an administrator."""
        self.users[name] = User(password, frozenset(groups))

    def new_certificate(self) -> CertificateView:
        """Generate a key and a self-signed certificate, in force at once, and list it."""
        view = self.present(self.prepare())
        self.listed = [self.as_listed(view, "Admin, EAP Authentication, RADIUS DTLS, Portal")]
        return view

    def prepare(self) -> tuple[bytes, bytes]:
        """Generate a certificate and a key (PEM) that nobody sees yet."""
        return _self_signed(self.name)

    def bind(self, material: tuple[bytes, bytes], used_by: str = "Admin") -> CertificateView:
        """Import a certificate for a use: it is listed at once, and presented after the restart (`present`)."""
        view = CertificateView.from_pem(material[0].decode("ascii"))
        if "Admin" in used_by:
            self.listed = [
                SimulatedCertificate(fingerprint=e.fingerprint, name=e.name, used_by="") for e in self.listed
            ]
        self.listed.append(self.as_listed(view, used_by))
        return view

    def as_listed(self, view: CertificateView, used_by: str) -> SimulatedCertificate:
        """Give a certificate as the OpenAPI lists it."""
        return SimulatedCertificate(
            fingerprint=view.fingerprint.digest.hex(), name=f"{self.name}-{view.serial[:8]}", used_by=used_by
        )

    def present(self, material: tuple[bytes, bytes]) -> CertificateView:
        """Put a certificate and its key (PEM) in force for the connections to come."""
        self.material = material
        certificate_file, key_file = self._folder / f"{self.name}.pem", self._folder / f"{self.name}.key"
        certificate_file.write_bytes(material[0])
        key_file.touch(mode=0o600)
        key_file.write_bytes(material[1])
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(certificate_file, key_file)
        self._context = fresh
        self.view = CertificateView.from_pem(material[0].decode("ascii"))
        return self.view

    def hang_up(self) -> None:
        """End every connection that is open."""
        self._loop.call_soon_threadsafe(lambda: [each.cancel() for each in list(self._tasks)])
        for visit in list(self.visits):
            visit.over.wait(30)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, over all connections."""
        return [each for visit in list(self.visits) for each in list(visit.requests)]

    def close(self) -> None:
        """Stop serving; a second time has no effect."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    # The server

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with contextlib.suppress(OSError):
                server = self._loop.run_until_complete(
                    asyncio.start_server(self._visit, self.host, self._wanted_port, reuse_address=True)
                )
                self.port = int(server.sockets[0].getsockname()[1])
            self._ready.set()
            if self.port:
                self._loop.run_forever()
                server.close()
            for each in self._tasks:
                each.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # the loop runs us in one
        self._tasks.add(task)
        visit = Visit()
        self.visits.append(visit)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await self._serve(Wire(reader, writer, self._context, visit))
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            visit.over.set()

    async def _serve(self, wire: Wire) -> None:
        await wire.shake_hands()
        while (request := await _next_request(wire)) is not None:
            wire.visit.requests.append(request)
            path = request.target.partition("?")[0]
            fault = self.faults.get(path) or self.faults.get("*")
            answer = await fault(request, wire) if fault else self.answer(request)
            if answer is None:
                return
            await wire.write(wire_form(answer, cookie=self.cookie))

    def answer(self, request: Request) -> Answer:
        """Answer a request as ISE does."""
        if request.method != "GET":
            return answers.page(405, "HTTP Status 405 - Method Not Allowed")
        if "host" not in request.headers:
            return answers.page(400, "HTTP Status 400 - Bad Request")
        user = self._authenticated(request.headers.get("authorization", ""))
        if user is None:
            return answers.page(401, "HTTP Status 401 - Unauthorized", WWW_Authenticate='Basic realm="Cisco ISE"')
        path, _, query = request.target.partition("?")
        accepts = request.headers.get("accept", "")
        if path.startswith("/admin/API/mnt/"):
            if not user.groups & MONITORING_GROUPS:
                return answers.page(403, "HTTP Status 403 - Forbidden")
            if self.monitoring and answers.XML in accepts:
                return self._monitoring(unquote(path.removeprefix("/admin/API/mnt"))) or _not_found()
        if path.startswith("/api/v1/") and self.open_api:
            if not user.groups & OPEN_API_GROUPS:
                return answers.page(403, "HTTP Status 403 - Forbidden")
            if answers.JSON in accepts:
                return self._open_api(path, parse_qs(query)) or _not_found()
        return _not_found()

    def _authenticated(self, header: str) -> User | None:
        scheme, _, text = header.partition(" ")
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self.users.get(name)
        right = user is not None and hmac.compare_digest(user.password.encode(), password.encode())
        return user if right and scheme == "Basic" else None

    def _monitoring(self, path: str) -> Answer | None:
        plain: dict[str, Callable[[], Answer]] = {
            "/Version": lambda: answers.version(self.release, self.node_type),
            "/Session/ActiveCount": lambda: answers.count(len(self.sessions)),
            "/Session/PostureCount": lambda: answers.count(0),
            "/Session/ProfilerCount": lambda: answers.count(len(self.sessions)),
            "/Session/ActiveList": lambda: answers.sessions(self.sessions, self.spelling),
            "/FailureReasons": answers.failure_reasons,
        }
        if path in plain:
            return plain[path]()
        if found := re.fullmatch(rf"/Session/AuthList/({_MOMENT})/({_MOMENT})", path):
            start, end = ("" if each == "null" else each for each in found.groups())
            chosen = [
                e for e in self.sessions if start <= e.authenticated_at and (not end or e.authenticated_at <= end)
            ]
            return answers.sessions(chosen, self.spelling)
        if found := re.fullmatch(rf"/AuthStatus/MACAddress/({_MAC})/(\d{{1,6}})/(\d{{1,4}})/All", path):
            chosen = [e for e in self.sessions if e.has("calling_station_id", found[1])]
            return answers.auth_status(found[1], chosen[: int(found[3])])
        if found := re.fullmatch(r"/Session/(MACAddress|UserName|IPAddress)/(.+)", path, re.S):
            element = {"MACAddress": "calling_station_id", "UserName": "user_name", "IPAddress": "nas_ip_address"}
            one = next((e for e in self.sessions if e.has(element[found[1]], found[2])), None)
            return answers.one_session(one) if one else answers.no_session()
        return None

    def _open_api(self, path: str, query: dict[str, list[str]]) -> Answer | None:
        if path == "/api/v1/deployment/node":
            return answers.nodes(self.name, self.host)
        if path == f"/api/v1/certs/system-certificate/{self.name}":
            page, size = int(query.get("page", ["1"])[0]), min(int(query.get("size", ["20"])[0]), 100)
            return answers.certificates(self.listed, self.name, page=page, size=size)
        return None


def wire_form(answer: Answer, *, cookie: str = "") -> bytes:
    """Write an answer as HTTP/1.1."""
    lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status == 200 else 'Error'}", "Server: "]
    lines += [f"Content-Type: {answer.kind}"] if answer.kind else []
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += [f"Set-Cookie: APPSESSIONID={cookie}; Path=/admin; Secure; HttpOnly"] if cookie else []
    head = "\r\n".join([*lines, f"Content-Length: {len(answer.body)}", "", ""])
    return head.encode("latin-1") + answer.body


async def _next_request(wire: Wire) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await wire.read()
        data += piece
        if not piece or len(data) > _MAX_HEAD:
            return None
    first, *rest = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, _, target = first.rpartition(" ")[0].partition(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Request(method, target, headers)


def _not_found() -> Answer:
    return answers.page(404, "HTTP Status 404 - Not Found")
