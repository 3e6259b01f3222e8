"""Which endpoints are looked at, and when: spread over the interval, with jitter, back-off and limits. Pure.

No clock and no chance is in here: the time is an argument, and jitter comes from a hash of the endpoint and the time, so
that a schedule can be tested and two servers agree about it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from troth.watch.transitions import MISSES_TOLD

if TYPE_CHECKING:
    from troth.model.endpoint import Endpoint
    from troth.watch.transitions import WatchState

_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often endpoints are looked at.

    Args:
        every: The interval where all is well.
        troubled: The interval where something is rejected, so that a recovery is noticed soon.
        again: How soon an endpoint is looked at again that was just missed for the first time.
        longest: The longest that back-off comes to, for endpoints that stay unreachable.
        jitter: By which part of itself an interval may be longer or shorter.
    """

    every: timedelta = timedelta(hours=6)
    troubled: timedelta = timedelta(minutes=30)
    again: timedelta = timedelta(minutes=2)
    longest: timedelta = timedelta(hours=24)
    jitter: float = 0.1


def first_time(endpoint: Endpoint, now: datetime, rhythm: Rhythm) -> datetime:
    """Say when an endpoint is looked at first: the same place in every interval, spread over it by its name."""
    return now + rhythm.every * _fraction(endpoint, "")


def next_time(endpoint: Endpoint, state: WatchState, now: datetime, rhythm: Rhythm) -> datetime:
    """Say when an endpoint is looked at the next time.

    The miss that is told is confirmed soon; after it, the pause doubles with each further miss.
    """
    return now + interval(state, rhythm) * (1 + rhythm.jitter * (2 * _fraction(endpoint, f"{now.timestamp():.0f}") - 1))


def interval(state: WatchState, rhythm: Rhythm) -> timedelta:
    """Give the pause after a look, before jitter."""
    if 0 < state.misses < MISSES_TOLD:
        return min(rhythm.again, rhythm.every)
    if state.misses:
        doublings = min(state.misses - MISSES_TOLD + 1, _MAX_DOUBLINGS)
        return min(rhythm.again * (1 << doublings), rhythm.longest)
    return min(rhythm.troubled, rhythm.every) if state.rejected else rhythm.every


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is done at once.

    Args:
        overall: Probes at once, by this server.
        per_network: Probes at once in one network (/24 or /64).
        starts: Probes that may begin in one network within `within`.
        within: See `starts`.
    """

    overall: int = 32
    per_network: int = 4
    starts: int = 8
    within: timedelta = timedelta(seconds=1)


@dataclass(slots=True)
class Gate:
    """Counts what runs, and says what may begin. It has no clock: each call says what time it is.

    Args:
        limits: The limits.
    """

    limits: Limits
    _running: dict[str, int] = field(default_factory=dict)
    _begun: dict[str, deque[datetime]] = field(default_factory=dict)

    @property
    def running(self) -> int:
        """How many probes run."""
        return sum(self._running.values())

    def free(self) -> int:
        """How many more may run at once."""
        return max(0, self.limits.overall - self.running)

    def wait(self, network: str, now: datetime) -> timedelta | None:
        """Say how long a probe in this network must wait for its turn; None if it must wait for another to end."""
        if not self.free() or self._running.get(network, 0) >= self.limits.per_network:
            return None
        begun = self._begun.get(network)
        while begun and now - begun[0] >= self.limits.within:
            begun.popleft()
        if begun is None or len(begun) < self.limits.starts:
            return timedelta()
        return min(begun[0] + self.limits.within - now, self.limits.within)

    def begin(self, network: str, now: datetime) -> None:
        """Count a probe that begins."""
        self._running[network] = self._running.get(network, 0) + 1
        self._begun.setdefault(network, deque()).append(now)
        if len(self._begun) > 4 * max(self.limits.overall, 256):
            self._forget(now)

    def end(self, network: str) -> None:
        """Count a probe that ended."""
        left = self._running[network] - 1
        if left:
            self._running[network] = left
        else:
            del self._running[network]

    def _forget(self, now: datetime) -> None:
        for network in [
            name for name, begun in self._begun.items() if not begun or now - begun[-1] >= self.limits.within
        ]:
            del self._begun[network]


def _fraction(endpoint: Endpoint, salt: str) -> float:
    """Give a number from 0 up to 1 that depends on the endpoint and the salt alone."""
    text = f"{endpoint.host}\n{endpoint.port}\n{endpoint.protocol}\n{salt}"
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
