"""A handshake over a socket, in memory, so that nothing leaves before it was looked at.

With memory BIOs the client's second flight (its certificate, its Finished) stays in our hands until the server's
certificate was judged. A certificate that cannot be the right one is refused there: the server never sees the
handshake end. One that is accepted has signed the handshake: acceptance waits for the end of it.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors import ProtocolViolation, Unreachable, UnreadableCertificate
from troth.tls.base import peer_chain

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from troth.tls.deadline import Deadline

MAX_HANDSHAKE = 4 << 20
MAX_CERTIFICATES = 32
_CHUNK = 32 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a handshake showed.

    Args:
        chain: The certificates as sent (DER), the leaf first.
        path: The verified path, where the context verifies.
        complete: Whether it was carried to its end; if not, possession of the key may not be proven.
        protocol: The TLS version.
    """

    chain: tuple[bytes, ...]
    path: tuple[bytes, ...]
    complete: bool
    protocol: str


def shake(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None,
    deadline: Deadline,
    refuse: Callable[[bytes], bool] | None = None,
) -> Handshake:
    """Shake hands on a connected socket.

    Args:
        sock: The connected socket; it is not closed.
        context: The client context.
        server_hostname: The server name to send, None for none.
        deadline: The limit of the whole attempt.
        refuse: Given the leaf (DER) before anything more is sent; True ends the handshake there.

    Raises:
        ssl.SSLCertVerificationError: The context's own verification failed.
        UnreadableCertificate: There is no certificate, or far too many.
        ProtocolViolation: What the peer sends is not TLS, or no common version or cipher was found.
        Unreachable: The connection broke.
        TimedOut: The limit ran out.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext.wrap_bio(context, incoming, outgoing, server_hostname=server_hostname)
    hello_sent, received, complete = False, 0, False
    while True:
        try:
            tls.do_handshake()
            complete = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            _flush(sock, outgoing, deadline)
            raise
        except ssl.SSLError as error:
            _flush(sock, outgoing, deadline)
            raise not_tls(deadline.what, error) from None
        if hello_sent and outgoing.pending and refuse is not None:
            chain = peer_chain(tls)
            if chain and refuse(chain[0]):
                return Handshake(chain=tuple(chain), path=(), complete=complete, protocol=tls.version() or "")
        if complete:
            break
        if outgoing.pending:
            _send(sock, outgoing.read(), deadline)
            hello_sent = True
        data = _receive(sock, deadline)
        received += len(data)
        if received > MAX_HANDSHAKE:
            raise ProtocolViolation(f"{deadline.what} sent a handshake of more than {MAX_HANDSHAKE >> 20} MiB.")
        incoming.write(data) if data else incoming.write_eof()
    _flush(sock, outgoing, deadline)
    return _finished(tls, context, deadline.what)


def not_tls(what: str, error: ssl.SSLError) -> ProtocolViolation:
    """Say what a failed handshake means, in an administrator's words."""
    reason = error.reason or ""
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        why, command = "what answers there is not TLS", "name the protocol: troth check HOST:PORT --starttls smtp"
    elif "PROTOCOL" in reason and "VERSION" in reason:
        why, command = "it speaks no TLS 1.2 or newer", "enable TLS 1.2 on the host"
    elif "EOF" in reason or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        why, command = "it closed the connection in the middle of the handshake", "look at the host's own log"
    else:
        why, command = (reason or str(error)).replace("_", " ").lower(), "look at the host's own log"
    return ProtocolViolation(f"{what} did not complete a TLS handshake.", why=why, next_command=command)


def _finished(tls: ssl.SSLObject, context: ssl.SSLContext, what: str) -> Handshake:
    chain = peer_chain(tls)
    leaf = tls.getpeercert(binary_form=True)
    if not leaf:
        raise UnreadableCertificate(f"{what} presented no certificate.", why="there is nothing to hold on to")
    if len(chain) > MAX_CERTIFICATES:
        raise UnreadableCertificate(f"{what} presented {len(chain)} certificates; at most {MAX_CERTIFICATES} are read.")
    path = peer_chain(tls, verified=True) if context.verify_mode is ssl.CERT_REQUIRED else []
    return Handshake(chain=(leaf, *chain[1:]), path=tuple(path), complete=True, protocol=tls.version() or "")


def _receive(sock: socket.socket, deadline: Deadline) -> bytes:
    try:
        sock.settimeout(deadline())
        return sock.recv(_CHUNK)
    except TimeoutError:
        raise deadline.error() from None
    except OSError as error:
        raise Unreachable(f"{deadline.what} broke the connection.", why=error.strerror or str(error)) from None


def _send(sock: socket.socket, data: bytes, deadline: Deadline) -> None:
    try:
        sock.settimeout(deadline())
        sock.sendall(data)
    except TimeoutError:
        raise deadline.error() from None
    except OSError as error:
        raise Unreachable(f"{deadline.what} broke the connection.", why=error.strerror or str(error)) from None


def _flush(sock: socket.socket, outgoing: ssl.MemoryBIO, deadline: Deadline) -> None:
    """Send an alert or a Finished that is of no more use to us; a peer that is gone is no error here."""
    if outgoing.pending:
        with contextlib.suppress(Unreachable):
            _send(sock, outgoing.read(), deadline)
