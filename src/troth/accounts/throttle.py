"""A token bucket for each caller, in bounded memory. Time comes from a monotonic clock, in seconds."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from troth.errors import TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Callable


class Throttle:
    """Lets each key through `burst` times at once, and then `rate` times a second. Threads may share it.

    A bucket is forgotten only when it would be full again, so forgetting gives nobody anything. When there is no room
    for one more bucket, all new keys share one: whoever floods the memory with keys slows down strangers, and gains
    nothing by it.

    Args:
        rate: How many calls a second a key may make in the long run.
        burst: How many it may make at once.
        room: How many buckets are kept.
        clock: Gives seconds that never run backwards.
    """

    def __init__(self, *, rate: float, burst: int, room: int = 10_000, clock: Callable[[], float] = time.monotonic):
        if not (rate > 0 and burst >= 1 and room >= 1):
            raise ValueError("rate, burst and room are positive")
        self._rate = rate
        self._burst = burst
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        # The oldest touched stands first, so what is full again stands before what is not.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._shared = (float(burst), clock())

    def wait(self, key: str) -> float:
        """Take one call out of a key's bucket. Gives 0.0, or the seconds until there is one; then none is taken."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            bucket = self._buckets.get(key)
            shared = bucket is None and len(self._buckets) >= self._room
            # A new bucket begins as full as the shared one is: its key may have drawn on that.
            level = self._level(bucket or self._shared, now)
            short = 1.0 - level
            # A bucket that lacks less than arithmetic can tell counts as full: whoever waited as told gets through.
            taken = short <= 1e-9
            left = (max(0.0, level - 1.0) if taken else level, now)
            if shared:
                self._shared = left
            else:
                self._buckets[key] = left
                self._buckets.move_to_end(key)
            return 0.0 if taken else short / self._rate

    def take(self, key: str) -> None:
        """Take one call out of a key's bucket.

        Raises:
            TooManyAttempts: It is empty.
        """
        seconds = self.wait(key)
        if seconds:
            raise too_many(seconds)

    def __len__(self) -> int:
        return len(self._buckets)

    def _level(self, bucket: tuple[float, float], now: float) -> float:
        level, at = bucket
        return min(float(self._burst), level + max(0.0, now - at) * self._rate)

    def _forget(self, now: float) -> None:
        while self._buckets:
            key, bucket = next(iter(self._buckets.items()))
            if self._level(bucket, now) < self._burst:
                return
            del self._buckets[key]


def too_many(seconds: float) -> TooManyAttempts:
    """Give the refusal that says how long to wait."""
    whole = max(1, math.ceil(seconds))
    return TooManyAttempts(
        "There were too many attempts.",
        why=f"the next one is answered in {whole} s",
        next_command=f"wait {whole} s",
        details={"retry_after": whole},
    )
