"""STARTTLS: ten protocols that speak plainly before they speak TLS.

Each dialect is a generator that says what it wants next (send these bytes, read a line, read so many bytes) and ends when
TLS may start. It does no I/O, so one text serves blocking sockets and asyncio. `negotiate` drives it over a socket.

What a man in the middle can do before TLS is bounded here: a refusal or a missing offer is an error and never a reason
to go on in plain text, and bytes that arrive with the go-ahead are an injection (CVE-2011-0411, CVE-2021-23222).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadEndpoint, ProtocolViolation, TimedOut, Unreachable
from troth.model import endpoint
from troth.tls.connect import naming
from troth.tls.starttls import binary, chat, ldap, xmpp
from troth.tls.starttls.wants import MAX_TOTAL, Dialect, Reader, Send, Want, refused

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Generator

    from troth.tls.deadline import Deadline

__all__ = ["DEFAULT_PORTS", "DIALECTS", "PROTOCOLS", "anegotiate", "negotiate"]

DIALECTS: dict[str, Callable[[str], Dialect]] = {
    "smtp": chat.smtp,
    "imap": chat.imap,
    "pop3": chat.pop3,
    "ftp": chat.ftp,
    "sieve": chat.sieve,
    "nntp": chat.nntp,
    "ldap": ldap.ldap,
    "xmpp": xmpp.xmpp,
    "postgres": binary.postgres,
    "mysql": binary.mysql,
}
PROTOCOLS: tuple[str, ...] = tuple(DIALECTS)
DEFAULT_PORTS: dict[str, int] = {name: endpoint.DEFAULT_PORTS[name] for name in PROTOCOLS}
_CHUNK = 4096
_ALL = 1 << 30


class Talk:
    """One negotiation: bytes in, bytes out, no I/O. When `done`, TLS may start.

    Args:
        protocol: The protocol's name.
        server_name: The name that the client asks for.

    Raises:
        BadEndpoint: There is no STARTTLS for this protocol.
    """

    def __init__(self, protocol: str, server_name: str):
        if protocol not in DIALECTS:
            raise BadEndpoint(f"There is no STARTTLS for {protocol!r}.", why="known are " + ", ".join(PROTOCOLS))
        self._protocol = protocol
        self._dialect: Generator[Want, bytes, None] = DIALECTS[protocol](server_name)
        self._buffer = bytearray()
        self._total = 0
        self._want: Want | None = next(self._dialect)

    @property
    def done(self) -> bool:
        """Whether the go-ahead was given."""
        return self._want is None

    def outgoing(self) -> bytes:
        """Take what is to be sent now."""
        data = b""
        while isinstance(self._want, Send):
            # An answer that is here before its question was put there by somebody who knows the script.
            if self._buffer.strip():
                raise _injected(len(self._buffer))
            self._buffer.clear()
            data += self._want.data
            self._advance(b"")
        return data

    def feed(self, data: bytes) -> None:
        """Give what was received.

        Raises:
            ProtocolViolation: The peer refused, broke the protocol, sent too much, or sent plain text after its go-ahead.
        """
        if not data:
            raise refused(self._protocol, "the connection was closed in the middle")
        self._total += len(data)
        if self._total > MAX_TOTAL:
            raise refused(self._protocol, f"it sent more than {MAX_TOTAL >> 10} KiB before TLS")
        self._buffer += data
        while isinstance(self._want, Reader):
            taken = self._want.take(self._buffer, self._protocol)
            if taken is None:
                return
            self._advance(taken)
        if self.done and self._buffer:
            raise _injected(len(self._buffer))

    def _advance(self, answer: bytes) -> None:
        try:
            self._want = (
                self._dialect.send(answer) if answer or not isinstance(self._want, Send) else next(self._dialect)
            )
        except StopIteration:
            self._want = None


def negotiate(sock: socket.socket, protocol: str, *, server_name: str, deadline: Deadline) -> None:
    """Bring a connected socket to the point where TLS starts.

    Plain text that comes later than the last read stays in the socket, where the handshake meets it and fails.

    Raises:
        ProtocolViolation: The peer will not, or cheats.
        TimedOut: The limit of the whole attempt ran out.
        Unreachable: The connection broke.
    """
    talk = Talk(protocol, server_name)
    with naming(deadline.what):
        try:
            while True:
                data = talk.outgoing()
                if data:
                    sock.settimeout(deadline())
                    sock.sendall(data)
                if talk.done:
                    return
                sock.settimeout(deadline())
                talk.feed(sock.recv(_CHUNK))
        except TimeoutError:
            raise deadline.error() from None
        except OSError as error:
            raise _broken(protocol, error) from None


async def anegotiate(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    protocol: str,
    *,
    server_name: str,
    timeout_s: float,
    where: str = "",
) -> None:
    """Do the same over asyncio streams; afterwards `await writer.start_tls(…)`, which also lets reading go on.

    What a stream reader holds when TLS starts, it later gives out as if TLS had protected it. So each read takes all
    that it holds, and after the go-ahead reading is paused: what comes then is left to the handshake, which fails.

    Args:
        reader: The reader.
        writer: The writer, of the same connection.
        protocol: The protocol.
        server_name: The name that the client asks for.
        timeout_s: The limit, in seconds.
        where: The endpoint, as errors name it; by default the server's name.

    Raises:
        ProtocolViolation: The peer will not, or cheats.
        TimedOut: The limit of the whole attempt ran out.
        Unreachable: The connection broke.
    """
    import asyncio

    talk = Talk(protocol, server_name)
    with naming(where or server_name):
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    data = talk.outgoing()
                    if talk.done:
                        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can read
                    if data:
                        writer.write(data)
                        await writer.drain()
                    if talk.done:
                        return
                    talk.feed(await reader.read(_ALL))
        except TimeoutError:
            raise TimedOut(f"The {protocol} server did not offer TLS within {timeout_s:g} s.") from None
        except OSError as error:
            raise _broken(protocol, error) from None


def require_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pause reading before TLS starts, and stop if plain text is there already: the reader would give it out as protected.

    Raises:
        ProtocolViolation: It is.
    """
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can read
    held: bytearray = reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001  # the one place where it is
    if held:
        raise _injected(len(held))


def _injected(count: int) -> ProtocolViolation:
    return ProtocolViolation(
        f"The peer sent {count} bytes of plain text that nobody asked for, before TLS.",
        why="somebody in the middle may be putting words into the connection before it is protected",
        next_command="look at what stands between this machine and the host",
    )


def _broken(protocol: str, error: OSError) -> Unreachable:
    return Unreachable(f"The {protocol} server broke the connection.", why=error.strerror or str(error))
