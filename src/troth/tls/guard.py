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
from troth.tls.base import client_context, peer_chain
from troth.tls.duct import Duct

Connection = ssl.SSLSocket | ssl.SSLObject


class Judge(Protocol):
    """Decides about the connections of one context. Standings are opaque here: what a verdict rests on."""

    def admit(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection) -> object:
        """Give what was seen in the middle of a handshake; raise if no answer to it may leave."""
        ...

    def judge(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection, seen: object) -> object:
        """Give the standing of a trusted connection, for what `admit` saw, if it was asked; raise for every other."""
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
    withholds = False  # whether it has a client certificate, which nobody may see who was not judged

    def admit(self, connection: Connection) -> object:
        """Look at what was presented in a handshake that goes on; return only if an answer may leave."""
        chain = peer_chain(connection)
        return self.guard.admit(chain[0], tuple(chain), connection) if chain else None

    def verdict(self, connection: Connection, seen: object = None) -> object:
        """Judge a completed handshake; return only if the connection may be used."""
        if getattr(connection, "session_reused", False):
            raise UnreadableCertificate("The session was resumed, so no certificate was presented.")
        leaf = connection.getpeercert(binary_form=True)
        if not leaf:
            raise UnreadableCertificate("The host presented no certificate.")
        standing = self.guard.judge(leaf, tuple(peer_chain(connection)), connection, seen)
        # Data waits for a look at the record before each write; a client certificate leaves with the verdict.
        return self.guard.recheck(standing) if self.withholds else standing

    def _wrap_socket(
        self,
        sock: GuardedSocket,
        server_side: bool,  # noqa: FBT001  # `ssl` calls it so
        server_hostname: str | None = None,
        *,
        owner: object = None,
        session: object = None,
    ) -> object:
        """Make the object inside a socket; `ssl` calls this. Where it would not, `do_handshake` refuses."""
        base, options = cast("Any", super()), {"owner": owner, "session": session}
        if not self.withholds:
            return base._wrap_socket(sock, server_side, server_hostname, **options)  # noqa: SLF001  # its own method
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = base._wrap_bio(incoming, outgoing, server_side, server_hostname, **options)  # noqa: SLF001  # its own method
        return Duct(tls, incoming, outgoing, sock)


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
    _seen: object = None
    _dead = False
    _sslobj: object

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # the base class's signature
        """Shake hands, then judge; on any failure the connection is closed."""
        self._require_life()
        try:
            if self._guarded().withholds and self._sslobj is not None and not isinstance(self._sslobj, Duct):
                raise ssl.SSLError(1, "a client certificate cannot be withheld with this version of Python")
            super().do_handshake(block)
            self.inspect(complete=True)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except Exception as error:  # noqa: BLE001  # raised again, as what TLS libraries route
            explained = _explained(error, self)
            self._abandon()
            raise explained from explained.__cause__
        except BaseException:
            self._abandon()
            raise

    def inspect(self, *, complete: bool) -> None:
        """Look at what was presented, or judge a handshake that is complete; return only if an answer may leave."""
        if self._standing is not None:
            return
        if complete:
            self._standing = self._guarded().verdict(self, self._seen)
        elif self._seen is None:
            self._seen = self._guarded().admit(self)

    def recheck(self) -> None:
        """Ask whether the verdict still holds; on any failure the connection is closed."""
        try:
            self._standing = self._guarded().guard.recheck(self._standing)
        except Exception as error:
            self._abandon()
            raise _explained(error, self) from error

    def _guarded(self) -> GuardedContext:
        return cast("GuardedContext", self.context)

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
        self.recheck()

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
            self._standing = self._guarded().guard.recheck(self._standing)
        except Exception:  # noqa: BLE001  # what cannot be checked is not trusted
            return False
        return True


class GuardedObject(ssl.SSLObject):
    """An `ssl.SSLObject` through which nothing passes before the verdict, and which keeps its second flight back."""

    _standing: object = None
    _seen: object = None
    _dead = False
    _reason: Exception | None = None
    _outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """Shake hands, then judge; on a rejection the client's second flight is dropped."""
        if self._dead:
            raise self._reason or ssl.SSLError(1, "this connection was rejected: its certificate is not trusted")
        try:
            try:
                super().do_handshake()
            except ssl.SSLWantReadError:
                if self._seen is None and self._speaks():
                    self._seen = self._guarded().admit(self)
                raise
            if self._standing is None:
                self._standing = self._guarded().verdict(self, self._seen)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except Exception as error:  # noqa: BLE001  # raised again, as what TLS libraries route
            self._abandon()
            explained = _explained(error, self)
            raise explained from explained.__cause__
        except BaseException:
            self._abandon()
            raise

    @classmethod
    def refusing(cls, error: Exception, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> GuardedObject:
        """Make an object whose handshake fails: where asyncio asks for an object, it closes nothing if it gets none."""
        made = cast("GuardedObject", ssl.SSLContext.wrap_bio(client_context(GuardedContext), incoming, outgoing))
        made._dead, made._reason = True, _explained(error, made)  # noqa: SLF001  # its own attributes
        return made

    def _guarded(self) -> GuardedContext:
        return cast("GuardedContext", self.context)

    def _speaks(self) -> bool:
        """Whether there is something that would leave; without the buffer it cannot be told, so: yes."""
        return self._outgoing is None or self._outgoing.pending > 0

    def _abandon(self) -> None:
        self._dead, self._standing = True, None
        if self._outgoing is not None:
            self._outgoing.read()

    def _recheck(self) -> None:
        try:
            self._standing = self._guarded().guard.recheck(self._standing)
        except Exception as error:
            self._abandon()
            raise _explained(error, self) from error

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read, after the verdict. What is said in answer (a client certificate, too) leaves only if it still holds."""
        if self._standing is None:
            self.do_handshake()
        try:
            return super().read(*args, **kwargs)
        finally:
            if self._outgoing is None or self._outgoing.pending:
                self._recheck()

    def write(self, data: Any) -> int:
        """Write, after the verdict."""
        if self._standing is None:
            self.do_handshake()
        self._recheck()
        return super().write(data)


GuardedContext.sslsocket_class = GuardedSocket
GuardedContext.sslobject_class = GuardedObject
