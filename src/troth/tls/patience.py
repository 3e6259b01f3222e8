"""How long one call on a socket may wait, by the socket's time-out: as `ssl` counts it, for the call as a whole."""

from __future__ import annotations

import contextlib
import math
import select
import ssl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator


class Patience:
    """How long one call may wait in all, by the socket's time-out.

    Args:
        timeout: Seconds; 0 for not at all, None for ever.
        word: What is being done, for the error.
    """

    def __init__(self, timeout: float | None, word: str):
        self._timeout, self._word = timeout, word
        self._end = None if timeout is None else time.monotonic() + timeout

    def wait(self, fd: int, events: int) -> int:
        """Wait until something can be done; give what.

        Raises:
            ssl.SSLWantReadError: The socket does not block.
            ssl.SSLWantWriteError: The same, for writing.
            TimeoutError: The time is over.
        """
        if self._timeout == 0:
            raise _would_block(events)
        while True:
            left = self._left()
            found = ready(fd, events, None if left is None else math.ceil(left * 1000))
            if found:
                return found

    @contextlib.contextmanager
    def holding(self, lock: threading.Lock, events: int) -> Iterator[None]:
        """Hold a lock, which another thread may hold while it waits for the wire."""
        if not lock.acquire(blocking=False):
            if self._timeout == 0:
                raise _would_block(events)
            left = self._left()
            if not lock.acquire(timeout=-1 if left is None else left):
                raise self._over()
        try:
            yield
        finally:
            lock.release()

    def _left(self) -> float | None:
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._over()
        return left

    def _over(self) -> TimeoutError:
        return TimeoutError(f"The {self._word} operation timed out")


def _would_block(events: int) -> ssl.SSLError:
    if events & select.POLLIN:
        return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")
    return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")


def ready(fd: int, events: int, timeout_ms: int | None) -> int:
    """Give what can be done with a file descriptor; an error on it counts as everything, for the next call tells it."""
    poll = select.poll()
    poll.register(fd, events)
    found = poll.poll(timeout_ms)
    if not found:
        return 0
    return events if found[0][1] & ~(select.POLLIN | select.POLLOUT) else found[0][1]
