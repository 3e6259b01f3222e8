"""One time limit for a whole attempt: name look-up, connecting, proxy, STARTTLS and handshake together.

A limit for each read would let a peer that drips one byte at a time hold a check for ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from troth.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_TIMEOUT_S = 10.0


class Deadline:
    """The moment at which an attempt is given up.

    Args:
        seconds: How long the attempt may take.
        what: What is named in the error.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, seconds: float, what: str, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._end = clock() + seconds
        self.seconds = seconds
        self.what = what

    def __call__(self) -> float:
        """Give the seconds that remain, more than 0.

        Raises:
            TimedOut: None remain.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> TimedOut:
        """Make the error for this limit."""
        return TimedOut(
            f"{self.what} did not finish the handshake within {self.seconds:g} s.",
            why="it accepts connections and stays silent, drips, or drops packets",
            next_command="troth check HOST:PORT --timeout SECONDS",
        )
