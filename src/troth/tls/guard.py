"""Sockets that refuse all I/O until there is a verdict.

Overriding `do_handshake()` alone protects nothing: with `do_handshake_on_connect=False` and `send()`, or `wrap_bio()` and
`write()`, OpenSSL shakes hands by itself and the data leaves. So every method that reads or writes asks for the verdict
first. If the verdict is a rejection, or anything at all goes wrong on the way to it, the connection is dead.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

from troth.errors import UnreadableCertificate
from troth.tls.base import peer_chain

Judge = Callable[[bytes, tuple[bytes, ...], "ssl.SSLSocket | ssl.SSLObject"], None]


class GuardedContext(ssl.SSLContext):
    """A context for one endpoint and one version of its pins; `judge` raises unless the certificate is trusted."""

    judge: Judge
    refuse: Callable[[bytes], bool] | None = None
    explain: Callable[[ssl.SSLCertVerificationError, ssl.SSLSocket | ssl.SSLObject], ssl.SSLError] | None = None

    def verdict(self, connection: ssl.SSLSocket | ssl.SSLObject) -> None:
        """Judge a completed handshake; return only if the connection may be used."""
        if getattr(connection, "session_reused", False):
            raise UnreadableCertificate("The session was resumed, so no certificate was presented.")
        leaf = connection.getpeercert(binary_form=True)
        if not leaf:
            raise UnreadableCertificate("The host presented no certificate.")
        self.judge(leaf, tuple(peer_chain(connection)), connection)


class GuardedSocket(ssl.SSLSocket):
    """An `ssl.SSLSocket` through which nothing passes before the verdict."""

    _trusted = False

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # the base class's signature
        """Shake hands, then judge; on any failure the connection is closed."""
        context = cast("GuardedContext", self.context)
        try:
            super().do_handshake(block)
            if not self._trusted:
                context.verdict(self)
                self._trusted = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as error:
            explained = error if context.explain is None or hasattr(error, "decision") else context.explain(error, self)
            self._abandon()
            raise explained from None
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Drop the TLS state, so that nothing can be written afterwards, and close the socket."""
        self._trusted = False
        with contextlib.suppress(OSError):
            self.close()
        self._sslobj = None

    def _need_verdict(self) -> None:
        if not self._trusted and self._sslobj is not None:
            self.do_handshake()

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read, after the verdict."""
        self._need_verdict()
        return super().read(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> Any:
        """Write, after the verdict."""
        self._need_verdict()
        self._require_trusted()
        return super().write(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send, after the verdict."""
        self._need_verdict()
        self._require_trusted()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> Any:
        """Send all, after the verdict."""
        self._need_verdict()
        self._require_trusted()
        return super().sendall(*args, **kwargs)

    def sendfile(self, *args: Any, **kwargs: Any) -> Any:
        """Send a file, after the verdict."""
        self._need_verdict()
        self._require_trusted()
        return super().sendfile(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        """Receive, after the verdict."""
        self._need_verdict()
        return super().recv(*args, **kwargs)

    def recv_into(self, *args: Any, **kwargs: Any) -> Any:
        """Receive, after the verdict."""
        self._need_verdict()
        return super().recv_into(*args, **kwargs)

    def _require_trusted(self) -> None:
        # `ssl` probes a socket that is not connected yet with recv(1) (CVE-2023-40217), so reads pass without a TLS
        # object; a write without one would be plain text.
        if not self._trusted:
            raise ssl.SSLError(1, "nothing is sent before the certificate was judged")


class GuardedObject(ssl.SSLObject):
    """An `ssl.SSLObject` through which nothing passes before the verdict, and which keeps its second flight back."""

    _trusted = False
    _dead = False
    _outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """Shake hands, then judge; on a rejection the client's second flight is dropped."""
        if self._dead:
            raise ssl.SSLError(1, "this connection was rejected")
        context = cast("GuardedContext", self.context)
        try:
            try:
                super().do_handshake()
            except ssl.SSLWantReadError:
                self._refuse_early(context)
                raise
            if not self._trusted:
                context.verdict(self)
                self._trusted = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self._dead = True
            if self._outgoing is not None:
                self._outgoing.read()
            raise

    def _refuse_early(self, context: GuardedContext) -> None:
        """Judge in the middle of a TLS 1.2 handshake, where the client's certificate is about to leave."""
        if context.refuse is None or self._outgoing is None or not self._outgoing.pending:
            return
        chain = peer_chain(self)
        if chain and context.refuse(chain[0]):
            context.judge(chain[0], tuple(chain), self)
            raise UnreadableCertificate("The host's certificate was refused.")

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read, after the verdict."""
        if not self._trusted:
            self.do_handshake()
        return super().read(*args, **kwargs)

    def write(self, data: Any) -> int:
        """Write, after the verdict."""
        if not self._trusted:
            self.do_handshake()
        return super().write(data)


GuardedContext.sslsocket_class = GuardedSocket
GuardedContext.sslobject_class = GuardedObject
