"""What stands inside a socket in the place of OpenSSL's own object: TLS in memory, and a wire.

OpenSSL answers a handshake as soon as it has read the host's certificate, and the answer has the client's certificate in
it. It can be told which CAs it should accept, but not which leaf. In memory its answer stays in our hands until the owner
has looked at what was presented. That holds for the whole life of the connection: in TLS 1.3 the host may ask for the
client's certificate at any time.

It behaves as what it stands for: time-outs, sockets that do not block, `select`, and threads, of which one may read while
another writes.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import threading
import weakref
from typing import Any, Protocol

from troth.tls.base import chain_of
from troth.tls.patience import Patience
from troth.tls.wire import Wire

# How much is encrypted before it is sent; a write of any size takes no more memory than this.
_CHUNK = 64 << 10
# How much may wait to be sent while we read: more than any write puts there, so it is answers that nobody takes.
_ANSWERS = 4 * _CHUNK


class Owner(Protocol):
    """The socket that a duct belongs to. It decides whether what was made may leave."""

    def fileno(self) -> int:
        """Give the file descriptor; -1 after it was closed."""
        ...

    def gettimeout(self) -> float | None:
        """Give the time-out."""
        ...

    def inspect(self, *, complete: bool) -> None:
        """Look at what was presented, before anything is sent in answer to it; raise if nothing may be."""
        ...

    def recheck(self) -> None:
        """Raise if the verdict holds no more."""
        ...


class Duct:
    """Has the methods of `_ssl._SSLSocket`, as `ssl.SSLSocket` calls them.

    Args:
        tls: OpenSSL's object, made for the two buffers.
        incoming: What came from the wire.
        outgoing: What is to go there.
        owner: The socket; it is not kept alive.
    """

    def __init__(self, tls: Any, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, owner: Owner):
        self._tls, self._outgoing, self._owner_ref = tls, outgoing, weakref.ref(owner)
        self._lock = threading.Lock()  # held while OpenSSL works, never while anything is waited for
        self._shaking = threading.Lock()
        self._wire = Wire(incoming, outgoing, self._lock, self._owner_ref)
        self._judged = False
        self._begun = 0  # how much was encrypted of a write that is not at its end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    @property
    def context(self) -> ssl.SSLContext:
        """The context."""
        found: ssl.SSLContext = self._tls.context
        return found

    @context.setter
    def context(self, value: ssl.SSLContext) -> None:
        """Change it."""
        self._tls.context = value

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session."""
        found: ssl.SSLSession | None = self._tls.session
        return found

    @session.setter
    def session(self, value: ssl.SSLSession) -> None:
        """Ask for one to be resumed."""
        self._tls.session = value

    def do_handshake(self) -> None:
        """Shake hands. Each answer leaves after the owner's look at what was presented, the last one after its verdict."""
        patience = self._patience("handshake")
        with patience.holding(self._shaking, select.POLLIN):
            complete = False
            while not complete:
                fed = self._wire.fed
                complete = self._step()
                self._wire.flush(patience)
                if not complete:
                    self._wire.feed(fed, patience)

    def read(self, *arguments: Any) -> Any:
        """Read what was decrypted; takes `len`, or `len` and a buffer."""
        self._require_verdict()
        patience = self._patience("read")
        while True:
            fed = self._wire.fed
            try:
                return self._decrypt(arguments)
            except ssl.SSLWantReadError:
                if self._outgoing.pending > _ANSWERS:
                    self._wire.flush(patience)
                self._wire.feed(fed, patience)

    def write(self, data: Any) -> int:
        """Encrypt and send all of it; after a time-out, or where it would block, the next call goes on with the same data."""
        self._require_verdict()
        patience = self._patience("write")
        with memoryview(data) as view:
            if not view.nbytes:
                return 0
            with view.cast("B") as plain, self._wire.sending(patience):
                if self._begun > len(plain):
                    raise ssl.SSLError(1, "bad write retry: the last write waits for its end with the same data")
                self._wire.drain(patience)
                while self._begun < len(plain):
                    with self._lock:
                        self._begun += self._tls.write(plain[self._begun : self._begun + _CHUNK])
                    self._wire.drain(patience)
                self._begun = 0
                return len(plain)

    def pending(self) -> int:
        """Give how many bytes are decrypted and not yet read."""
        with self._lock:
            found: int = self._tls.pending()
            return found

    def shutdown(self) -> Owner:
        """Say goodbye, wait for the other side's, and give the socket; nothing behind that is read."""
        self._require_verdict()
        patience = self._patience("read")
        done = False
        while not done:
            fed = self._wire.fed
            try:
                with self._lock, contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.shutdown()
                    done = True
            except ssl.SSLError:
                self._wire.nudge()
                raise
            self._wire.flush(patience)
            if not done:
                self._wire.feed(fed, patience)
        return self._owner()

    def _step(self) -> bool:
        """Go on with the handshake as far as it goes; give whether it is complete."""
        owner = self._owner()
        try:
            with self._lock:
                self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                owner.inspect(complete=False)
            return False
        except ssl.SSLError:
            # An alert is to say why. But behind a certificate that was not judged, an answer may stand before it.
            if not chain_of(self._tls):
                self._wire.nudge()
            raise
        owner.inspect(complete=True)
        self._judged = True
        return True

    def _decrypt(self, arguments: tuple[Any, ...]) -> Any:
        try:
            with self._lock:
                try:
                    return self._tls.read(*arguments)
                finally:
                    self._recheck()
        finally:
            self._wire.nudge()

    def _recheck(self) -> None:
        """What OpenSSL says by itself (a client certificate that is asked for late, too) leaves only if the verdict holds."""
        if self._outgoing.pending:
            try:
                self._owner().recheck()
            except BaseException:
                self._outgoing.read()
                raise

    def _require_verdict(self) -> None:
        if not self._judged:
            raise ssl.SSLError(1, "nothing is sent before the certificate was judged")

    def _patience(self, word: str) -> Patience:
        return Patience(self._owner().gettimeout(), word)

    def _owner(self) -> Owner:
        owner = self._owner_ref()
        if owner is None:
            raise ssl.SSLError(1, "the socket is gone")
        return owner
