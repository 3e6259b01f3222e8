"""A thin client of ISE's monitoring API and of the two calls of its OpenAPI that Troth needs.

What it promises:

* The password leaves only through a connection whose certificate is the trusted one: the transport is judged against the
  trust store inside the handshake, and `Authorization` is the first byte after it.
* Nothing secret is logged: neither the password nor the cookies that ISE gives.
* No redirect is followed, no proxy or `.netrc` of the environment is used, nothing but GET is sent.
* Every answer is bounded: in time, in bytes as sent, and in bytes after decompression.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from typing import TYPE_CHECKING, NoReturn, Self

import httpx2

from troth.adapters.httpx2 import async_transport
from troth.errors import (
    BadInput,
    IseBusy,
    IseCredentialsRefused,
    IseNotMonitoring,
    IseNotUnderstood,
    IseWrongGroup,
    ProtocolViolation,
    StoreUnusable,
    TimedOut,
    TrothError,
    Unreachable,
)
from troth.ise import documents, paths, xml
from troth.ise.hush import hush
from troth.ise.models import Counts
from troth.model.text import printable
from troth.tls.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import TypeVar

    from troth.ise.models import (
        AuthStatus,
        Credentials,
        FailureReason,
        Node,
        NodeCertificate,
        Session,
        SessionList,
        Version,
    )
    from troth.model.endpoint import Endpoint
    from troth.store.protocol import TrustStore

    T = TypeVar("T")

DOMAIN = "system"
DEFAULT_TIMEOUT_S = 15.0
MAX_SMALL = 1 << 20
MAX_ERROR = 64 << 10
MAX_RETRY_AFTER_S = 3600
_MAX_PAGES = 50
_XML, _JSON = "application/xml", "application/json"
_TYPES = {_XML: (_XML, "text/xml"), _JSON: (_JSON,)}
_GROUPS = "Super Admin, System Admin or MnT Admin"


class IseClient:
    """Asks one ISE server; use it as an async context manager.

    Args:
        store: The trust store.
        endpoint: The server.
        credentials: The user and the password.
        timeout_s: The limit of one request, from its first byte to the last of the answer.
    """

    def __init__(
        self,
        store: TrustStore,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ):
        if "%" in endpoint.host:
            raise BadInput(f"{endpoint} has a zone, and an address in a URL has none.", next_command="name the host")
        if ":" in credentials.user:
            raise BadInput("A user name with a colon cannot be sent with HTTP Basic (RFC 7617).")
        self.endpoint = endpoint
        self._user = credentials.user
        self._timeout_s = timeout_s
        hush()
        self._client = httpx2.AsyncClient(
            base_url=f"https://{endpoint}",
            transport=async_transport(Context(store, domain=DOMAIN), limits=httpx2.Limits(max_connections=2)),
            auth=httpx2.BasicAuth(credentials.user.encode(), credentials.password.encode()),
            headers={"Accept-Encoding": "gzip"},
            timeout=httpx2.Timeout(timeout_s),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    # What it can be asked

    async def version(self) -> Version:
        """Ask what the node is."""
        return await self._xml(paths.VERSION, documents.version)

    async def counts(self) -> Counts:
        """Ask for the three counts; one that the node does not have is None.

        Raises:
            TrothError: The count of active sessions cannot be had.
        """
        active = await self._xml(paths.ACTIVE_COUNT, documents.count)
        posture = await self._optional_count(paths.POSTURE_COUNT)
        return Counts(active=active, posture=posture, profiler=await self._optional_count(paths.PROFILER_COUNT))

    async def active(self, *, limit: int = documents.MAX_SESSIONS) -> SessionList:
        """Ask for the active sessions; at most `limit` of them are kept."""
        return await self._sessions(paths.ACTIVE_LIST, limit)

    async def authenticated(
        self, start: datetime | None = None, end: datetime | None = None, *, limit: int = documents.MAX_SESSIONS
    ) -> SessionList:
        """Ask for the sessions authenticated from `start` to `end`, in ISE's own time; None leaves an end open.

        ISE has no pages here. Ask for a list that is too long to be read piece by piece, by time.
        """
        return await self._sessions(paths.authenticated(start, end), limit)

    async def session_of_mac(self, mac: str) -> Session | None:
        """Ask for the session of a MAC address, in any notation; None if there is none."""
        return await self._one(paths.session_of_mac(mac))

    async def session_of_user(self, name: str) -> Session | None:
        """Ask for the session of a user; None if there is none."""
        return await self._one(paths.session_of_user(name))

    async def session_of_address(self, address: str) -> Session | None:
        """Ask for the session at a network device; None if there is none."""
        return await self._one(paths.session_of_address(address))

    async def auth_status(self, mac: str, *, seconds: int = 86_400, records: int = 100) -> tuple[AuthStatus, ...]:
        """Ask for the last attempts of a MAC address to authenticate, the newest first."""
        return await self._xml(paths.auth_status(mac, seconds=seconds, records=records), documents.auth_status)

    async def failure_reasons(self) -> tuple[FailureReason, ...]:
        """Ask what the failure codes mean."""
        return await self._xml(paths.FAILURE_REASONS, documents.failure_reasons, limit=16 << 20)

    async def nodes(self) -> tuple[Node, ...]:
        """Ask the OpenAPI for the nodes of the deployment."""
        return documents.nodes(await self._get(paths.NODES, _JSON, MAX_SMALL))

    async def certificates(self, hostname: str) -> tuple[NodeCertificate, ...]:
        """Ask the OpenAPI for all certificates of a node.

        Raises:
            IseNotUnderstood: There is no end of pages.
        """
        found: list[NodeCertificate] = []
        for page in range(1, _MAX_PAGES + 1):
            rows, more = documents.certificates(
                await self._get(paths.certificates(hostname, page=page), _JSON, MAX_SMALL)
            )
            found += rows
            if not more or not rows:
                return tuple(found)
        raise self._not_understood(f"its list of certificates has more than {_MAX_PAGES} pages")

    # How it is asked

    async def _xml(self, path: str, reader: Callable[[bytes], T], *, limit: int = MAX_SMALL) -> T:
        return reader(await self._get(path, _XML, limit))

    async def _sessions(self, path: str, limit: int) -> SessionList:
        data = await self._get(path, _XML, xml.MAX_BYTES)
        # A list of a hundred thousand takes seconds to read, and other work shares this loop.
        return await asyncio.to_thread(documents.sessions, data, limit=limit)

    async def _optional_count(self, path: str) -> int | None:
        try:
            return await self._xml(path, documents.count)
        except (IseNotMonitoring, IseNotUnderstood):
            return None

    async def _one(self, path: str) -> Session | None:
        status, data = await self._fetch(path, _XML, MAX_SMALL)
        if status != 200 and documents.says_no_session(data):
            return None
        self._require_ok(status, path)
        return documents.session(data)

    async def _get(self, path: str, kind: str, limit: int) -> bytes:
        status, data = await self._fetch(path, kind, limit)
        self._require_ok(status, path)
        return data

    async def _fetch(self, path: str, kind: str, limit: int) -> tuple[int, bytes]:
        """Ask, once more if the connection broke: a GET changes nothing, so it may be sent twice."""
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._once(path, kind, limit)
                except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError) as error:
                    if _reason(error) is not None:
                        raise
                    return await self._once(path, kind, limit)
        except (TimeoutError, httpx2.TimeoutException):
            raise self._timed_out() from None
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError) as error:
            self._fail(error)

    async def _once(self, path: str, kind: str, limit: int) -> tuple[int, bytes]:
        async with self._client.stream("GET", path, headers={"Accept": kind}) as answer:
            status = answer.status_code
            if status != 200:
                if status in _BUSY:
                    raise self._busy(answer)
                return status, await _body(answer, MAX_ERROR, strict=False)
            found = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if found not in _TYPES[kind]:
                raise self._not_understood(f"it answers with {printable(found, 60) or 'no content type'}, not {kind}")
            return status, await _body(answer, limit, strict=True)

    # What went wrong

    def _require_ok(self, status: int, path: str) -> None:
        if status == 200:
            return
        if status == 401:
            raise IseCredentialsRefused(
                f"{self.endpoint} refuses the user {printable(self._user, 64)} or the password.",
                next_command=f"troth ise add {self.endpoint} --user {printable(self._user, 64)}, with the right password",
            )
        if status == 403:
            raise IseWrongGroup(
                f"The user {printable(self._user, 64)} may not read the monitoring of {self.endpoint}.",
                why="ISE asks for an internal administrator in another group",
                next_command=f"on ISE, put the user into {_GROUPS}; then: troth ise test {self.endpoint}",
            )
        if status == 404:
            raise IseNotMonitoring(
                f"{self.endpoint} has nothing at {path.partition('?')[0]}.",
                why="it is not a monitoring node, or its version has no such call",
                next_command="add the node that has the persona Monitoring: troth ise add HOST --user USER",
            )
        if 300 <= status < 400:
            raise self._not_understood("it redirects to another page, and no redirect is followed")
        raise self._not_understood(f"it answers with status {status}")

    def _busy(self, answer: httpx2.Response) -> IseBusy:
        text = answer.headers.get("retry-after", "").strip()
        seconds = min(int(text), MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        return IseBusy(
            f"{self.endpoint} is busy.",
            why=f"it answers with status {answer.status_code}",
            next_command=f"wait, then: troth ise test {self.endpoint}",
            details={"retry_after_s": seconds},
        )

    def _not_understood(self, why: str) -> IseNotUnderstood:
        return IseNotUnderstood(
            f"{self.endpoint} does not answer as ISE's monitoring does.",
            why=why,
            next_command="look at its administration page: are its services running, is it ISE at all?",
        )

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"{self.endpoint} did not answer within {self._timeout_s:g} seconds.",
            next_command=f"troth check {self.endpoint}",
        )

    def _fail(self, error: Exception) -> NoReturn:
        known = _reason(error)
        if known is not None:
            raise known from None
        if isinstance(error, (httpx2.DecodingError, httpx2.StreamError)):
            raise self._not_understood("its answer cannot be decoded") from None
        if isinstance(error, (httpx2.RemoteProtocolError, ssl.SSLError)):
            raise ProtocolViolation(
                f"{self.endpoint} broke the protocol.",
                why=printable(str(error)),
                next_command=f"troth check {self.endpoint}",
            ) from None
        raise Unreachable(
            f"{self.endpoint} could not be reached.",
            why=printable(str(error)) or type(error).__name__,
            next_command=f"troth check {self.endpoint}",
        ) from None


_BUSY = frozenset({429, 503})


async def _body(answer: httpx2.Response, limit: int, *, strict: bool) -> bytes:
    """Read a body, and inflate it, within a limit; of an error's body the beginning is enough.

    Raises:
        IseNotUnderstood: It is larger, or encoded in another way than was asked for.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        if not strict:
            return b""
        raise IseNotUnderstood("ISE's answer cannot be read.", why=f"it is encoded in {printable(encoding, 40)}")
    inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    pieces: list[bytes] = []
    room = limit
    async for raw in answer.aiter_raw():
        try:
            piece = raw if inflate is None else inflate.decompress(raw, room + 1)
        except zlib.error:
            if not strict:
                return b""
            raise IseNotUnderstood("ISE's answer cannot be read.", why="it is damaged gzip") from None
        pieces.append(piece[:room])
        if len(piece) > room:
            if strict:
                raise IseNotUnderstood("ISE's answer cannot be read.", why=f"it is larger than {limit} bytes")
            return b"".join(pieces)
        room -= len(piece)
    if strict and inflate is not None and (not inflate.eof or inflate.unused_data):
        raise IseNotUnderstood("ISE's answer cannot be read.", why="its gzip does not end where the answer ends")
    return b"".join(pieces)


def _reason(error: BaseException) -> TrothError | None:
    """Find what Troth itself said in what the HTTP library made of it; an unusable store comes before all else."""
    found: TrothError | None = None
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, StoreUnusable):
            return each
        if isinstance(each, TrothError) and found is None:
            found = each
        todo += [each.__cause__, each.__context__]
    return found
