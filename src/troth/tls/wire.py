"""Carries what is in two memory buffers over a socket, record by record.

No byte is read that is not part of the record that is wanted: what `select` says of the socket stays true, and what comes
after the end of TLS is left to whoever reads it.
"""

from __future__ import annotations

import errno
import os
import select
import ssl
import threading
from typing import TYPE_CHECKING, Protocol

from troth.tls.patience import ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from troth.tls.patience import Patience

# Less than a socket takes that says that it can be written to (Linux: a third of its buffer, which has 4 kB or more).
_SURE = 1024
# A record's header, the types there are, and the most that one may hold (RFC 5246 section 6.2.3, RFC 8446 section 5.2).
_HEADER, _TYPES, _LONGEST = 5, range(20, 25), (16 << 10) + (2 << 10)


class Described(Protocol):
    """Something with a file descriptor."""

    def fileno(self) -> int:
        """Give it; -1 after it was closed."""
        ...


class Wire:
    """The way between two buffers and a socket. One thread may send while another receives.

    Args:
        incoming: What came.
        outgoing: What is to go.
        lock: Held whenever a buffer is touched, also by the caller; never while anything is waited for.
        socket: Gives the socket; None if it is gone.
    """

    def __init__(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        lock: threading.Lock,
        socket: Callable[[], Described | None],
    ):
        self._incoming, self._outgoing, self._lock, self._socket = incoming, outgoing, lock, socket
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._unsent = memoryview(b"")
        self._header = bytearray()
        self._missing = 0
        self._ended = False
        self.fed = 0  # how many records came

    def sending(self, patience: Patience) -> AbstractContextManager[None]:
        """Hold the right to send."""
        return patience.holding(self._sending, select.POLLOUT)

    def flush(self, patience: Patience) -> None:
        """Send all that is there."""
        if self._outgoing.pending or self._unsent:
            with self.sending(patience):
                self.drain(patience)

    def drain(self, patience: Patience) -> None:
        """Send all that is there; for who holds the right to."""
        while self._take():
            try:
                self._unsent = self._unsent[os.write(self._fd(), self._unsent) :]
            except BlockingIOError:
                patience.wait(self._fd(), select.POLLOUT)

    def nudge(self) -> bool:
        """Send what can be sent at once; give whether something is left that nobody else is sending."""
        while (self._outgoing.pending or self._unsent) and self._sending.acquire(blocking=False):
            try:
                while self._take():
                    if not ready(self._fd(), select.POLLOUT, 0):
                        return True
                    self._unsent = self._unsent[os.write(self._fd(), self._unsent[:_SURE]) :]
            except BlockingIOError:
                return True
            except OSError:
                return False  # what was read before counts; the next write tells it
            finally:
                self._sending.release()
        return False

    def feed(self, fed: int, patience: Patience) -> None:
        """Receive one more record.

        Args:
            fed: How many there had been when one more was wanted: another thread may have received it meanwhile.
            patience: How long to wait.
        """
        with patience.holding(self._receiving, select.POLLIN):
            if self.fed != fed:
                return
            if self._ended:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
            if self._missing or self._begin_record(patience):
                while self._missing and not self._ended:
                    self._missing -= len(self._receive(self._missing, patience))
            self.fed += 1

    def _begin_record(self, patience: Patience) -> bool:
        """Receive a header; give whether its record is to be received as well."""
        while len(self._header) < _HEADER and not self._ended:
            self._header += self._receive(_HEADER - len(self._header), patience)
        if self._ended:
            return False
        kind, self._missing = self._header[0], int.from_bytes(self._header[3:])
        self._header.clear()
        return kind in _TYPES and self._missing <= _LONGEST  # else OpenSSL says what is wrong

    def _receive(self, size: int, patience: Patience) -> bytes:
        while True:
            fd = self._fd()
            if self.nudge() and not patience.wait(fd, select.POLLIN | select.POLLOUT) & select.POLLIN:
                continue
            try:
                data = os.read(fd, size)
            except BlockingIOError:
                patience.wait(fd, select.POLLIN)
                continue
            with self._lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                    self._ended = True
            return data

    def _take(self) -> bool:
        if not self._unsent:
            with self._lock:
                self._unsent = memoryview(self._outgoing.read())
        return bool(self._unsent)

    def _fd(self) -> int:
        socket = self._socket()
        fd = -1 if socket is None else socket.fileno()
        if fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return fd
