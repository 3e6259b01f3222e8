"""Sockets that refuse all I/O until there is a verdict, and again when the record no longer bears it.

Overriding `do_handshake()` alone protects nothing: with `do_handshake_on_connect=False` and `send()`, or `wrap_bio()` and
`write()`, OpenSSL shakes hands by itself and the data leaves. So every method that reads or writes asks for the verdict
first. If the verdict is a rejection, or anything at all goes wrong on the way to it, the connection is dead.

A connection may live for hours in a pool, so every write asks whether the pins still say what they said.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any, Protocol, cast

from troth.errors import UnreadableCertificate
from troth.tls.base import peer_chain

Connection = ssl.SSLSocket | ssl.SSLObject


class Judge(Protocol):
    """Decides about the connections of one context. Standings are opaque here: what a verdict rests on."""

    def refuses(self, leaf: bytes) -> bool:
        """Whether a certificate (DER) cannot become trusted, so that the handshake ends before ours leaves."""
        ...

    def judge(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection, *, proven: bool) -> object:
        """Give the standing of a trusted connection; raise for every other."""
        ...

    def recheck(self, standing: object) -> object:
        """Give the standing as it is now; raise if the record no longer trusts the connection."""
        ...

    def explain(self, error: ssl.SSLCertVerificationError, connection: Connection) -> ssl.SSLError:
        """Say what OpenSSL refused."""
        ...


class GuardedContext(ssl.SSLContext):
    """A context for one endpoint and one version of its pins."""

    guard: Judge

    def verdict(self, connection: Connection) -> object:
        """Judge a completed handshake; return only if the connection may be used."""
        if getattr(connection, "session_reused", False):
            raise UnreadableCertificate("The session was resumed, so no certificate was presented.")
        leaf = connection.getpeercert(binary_form=True)
        if not leaf:
            raise UnreadableCertificate("The host presented no certificate.")
        return self.guard.judge(leaf, tuple(peer_chain(connection)), connection, proven=True)


def _explained(error: Exception, connection: Connection) -> Exception:
    """Give the exception that TLS libraries route as what it is: a certificate that was not accepted.

    Whatever hindered the check (an unreadable store, no memory) is the cause of a rejection, not something else:
    asyncio, for one, sends nothing but `ssl.SSLError` to the caller who waits for the handshake.
    """
    if isinstance(error, ssl.SSLCertVerificationError) and not hasattr(error, "decision"):
        return cast("GuardedContext", connection.context).guard.explain(error, connection)
    if isinstance(error, OSError):
        return error
    rejection = UnreadableCertificate(
        "The host's certificate could not be checked, so it is not trusted.",
        why=str(error) or type(error).__name__,
        next_command=getattr(error, "next_command", ""),
    )
    rejection.__cause__ = error
    return rejection


class GuardedSocket(ssl.SSLSocket):
    """An `ssl.SSLSocket` through which nothing passes before the verdict."""

    _standing: object = None
    _dead = False
    _sslobj: object

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # the base class's signature
        """Shake hands, then judge; on any failure the connection is closed."""
        self._require_life()
        try:
            super().do_handshake(block)
            if self._standing is None:
                self._standing = cast("GuardedContext", self.context).verdict(self)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except Exception as error:  # noqa: BLE001  # raised again, as what TLS libraries route
            explained = _explained(error, self)
            self._abandon()
            raise explained from explained.__cause__
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Close the socket, also under files that were made of it, and drop the TLS state."""
        self._dead, self._standing = True, None
        with contextlib.suppress(OSError):
            self._real_close()  # type: ignore[attr-defined]  # close() waits for files made of the socket

    def _require_life(self) -> None:
        if self._dead:
            raise ssl.SSLError(1, "this connection was rejected: its certificate is not trusted")

    def _before_reading(self) -> None:
        # `ssl` probes a socket that is not connected yet with recv(1) (CVE-2023-40217), so reads pass without a TLS
        # object.
        self._require_life()
        if self._standing is None and self._sslobj is not None:
            self.do_handshake()

    def _need_standing(self) -> None:
        self._before_reading()
        if self._standing is None:
            raise ssl.SSLError(1, "nothing is sent before the certificate was judged")

    def _before_writing(self) -> None:
        self._need_standing()
        try:
            self._standing = cast("GuardedContext", self.context).guard.recheck(self._standing)
        except Exception as error:
            self._abandon()
            raise _explained(error, self) from error

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read, after the verdict."""
        self._before_reading()
        return super().read(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> Any:
        """Write, after the verdict."""
        self._before_writing()
        return super().write(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send, after the verdict."""
        self._before_writing()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> Any:
        """Send all, after the verdict; `send` does the rest."""
        self._need_standing()
        return super().sendall(*args, **kwargs)

    def sendfile(self, *args: Any, **kwargs: Any) -> Any:
        """Send a file, after the verdict; `send` does the rest."""
        self._need_standing()
        return super().sendfile(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        """Receive, after the verdict."""
        self._before_reading()
        return super().recv(*args, **kwargs)

    def recv_into(self, *args: Any, **kwargs: Any) -> Any:
        """Receive, after the verdict."""
        self._before_reading()
        return super().recv_into(*args, **kwargs)

    def still_trusted(self) -> bool:
        """Whether the record still bears this connection's verdict; a pool asks before it uses it again."""
        if self._dead or self._standing is None:
            return False
        try:
            self._standing = cast("GuardedContext", self.context).guard.recheck(self._standing)
        except Exception:  # noqa: BLE001  # what cannot be checked is not trusted
            return False
        return True


class GuardedObject(ssl.SSLObject):
    """An `ssl.SSLObject` through which nothing passes before the verdict, and which keeps its second flight back."""

    _standing: object = None
    _dead = False
    _outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """Shake hands, then judge; on a rejection the client's second flight is dropped."""
        if self._dead:
            raise ssl.SSLError(1, "this connection was rejected: its certificate is not trusted")
        try:
            try:
                super().do_handshake()
            except ssl.SSLWantReadError:
                self._refuse_early()
                raise
            if self._standing is None:
                self._standing = cast("GuardedContext", self.context).verdict(self)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except Exception as error:  # noqa: BLE001  # raised again, as what TLS libraries route
            self._abandon()
            explained = _explained(error, self)
            raise explained from explained.__cause__
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._dead, self._standing = True, None
        if self._outgoing is not None:
            self._outgoing.read()

    def _refuse_early(self) -> None:
        """Judge in the middle of a TLS 1.2 handshake, where the client's certificate is about to leave."""
        if self._outgoing is None or not self._outgoing.pending:
            return
        chain = peer_chain(self)
        guard = cast("GuardedContext", self.context).guard
        if chain and guard.refuses(chain[0]):
            guard.judge(chain[0], tuple(chain), self, proven=False)
            raise UnreadableCertificate("The host's certificate was refused.")

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read, after the verdict."""
        if self._standing is None:
            self.do_handshake()
        return super().read(*args, **kwargs)

    def write(self, data: Any) -> int:
        """Write, after the verdict."""
        if self._standing is None:
            self.do_handshake()
        try:
            self._standing = cast("GuardedContext", self.context).guard.recheck(self._standing)
        except Exception as error:
            self._abandon()
            raise _explained(error, self) from error
        return super().write(data)


GuardedContext.sslsocket_class = GuardedSocket
GuardedContext.sslobject_class = GuardedObject
