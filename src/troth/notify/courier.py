"""The courier: runs the outbox. Deliveries block, so each has a thread; one slow receiver holds up no other."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors import TrothError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from troth.notify.outbox import Job, Outbox

_log = logging.getLogger("troth.notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the outbox is worked off.

    Args:
        poll_s: How often it is looked into.
        at_once: Deliveries at once.
        per_channel: Deliveries at once through one channel.
    """

    poll_s: float = 2.0
    at_once: int = 8
    per_channel: int = 2


_DEFAULT_PACE = Pace()


class Courier:
    """Works off an outbox until it is told to stop.

    Args:
        outbox: The outbox.
        pace: How.
        sleep: Waits, in seconds.
    """

    def __init__(
        self, outbox: Outbox, *, pace: Pace = _DEFAULT_PACE, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ):
        self._outbox, self._pace, self._sleep = outbox, pace, sleep
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what was begun is finished."""
        with ThreadPoolExecutor(self._pace.at_once + 1, thread_name_prefix="troth-courier") as threads:
            stopped = asyncio.ensure_future(stop.wait())
            try:
                while not stop.is_set():
                    await self._turn(threads)
                    pause = asyncio.ensure_future(self._sleep(self._pace.poll_s))
                    await asyncio.wait({pause, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    pause.cancel()
                while self._tasks:
                    await asyncio.wait(self._tasks)
            finally:
                stopped.cancel()

    async def _turn(self, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(threads, self._outbox.collect)
            free = self._pace.at_once - len(self._tasks)
            full = [name for name, count in self._busy.items() if count >= self._pace.per_channel]
            jobs = await loop.run_in_executor(threads, lambda: self._outbox.claim(free, but=full)) if free > 0 else []
        except TrothError as error:
            _log.warning("the outbox waits: %s", error)
            return
        for job in jobs:
            self._busy[job.channel] += 1
            task = loop.create_task(self._deliver(threads, job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, threads: ThreadPoolExecutor, job: Job) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(threads, self._outbox.deliver, job)
        except TrothError as error:
            _log.warning("what came of message %d through %s is not recorded: %s", job.message, job.channel, error)
        finally:
            self._busy[job.channel] -= 1
