"""The watch: claims endpoints that are due, looks at them in threads, and records what it finds and what is to be told."""

from __future__ import annotations

import asyncio
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from troth.errors import NotAllowed, TrothError
from troth.model.endpoint import Endpoint
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.watch.reach import WATCH_POLICY, ProbePolicy, may_probe, network_of
from troth.watch.schedule import Gate, Limits, Rhythm, next_time
from troth.watch.table import WatchTable
from troth.watch.telling import Look, as_error, event
from troth.watch.transitions import step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from datetime import datetime

    from troth.database.pool import Database
    from troth.store.protocol import TrustStore
    from troth.watch.table import Job

_log = logging.getLogger("troth.watch")
_RHYTHM, _LIMITS = Rhythm(), Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How the watch works.

    Args:
        rhythm: How often endpoints are looked at.
        limits: How much is done at once.
        policy: Which addresses may be looked at.
        timeout_s: The limit of one look, in seconds.
        poll_s: How often it is asked what is due.
        sync_every: How often it is asked what is to be watched at all.
    """

    rhythm: Rhythm = _RHYTHM
    limits: Limits = _LIMITS
    policy: ProbePolicy = WATCH_POLICY
    timeout_s: float = 10.0
    poll_s: float = 2.0
    sync_every: timedelta = timedelta(minutes=1)


_DEFAULTS = WatchSettings()


class Watch:
    """Looks at endpoints until it is told to stop. Several servers may share one database.

    Args:
        database: Where it is recorded what is watched.
        store: The trust store: what is on record, and what looks are held against.
        settings: How it works.
        clock: Gives the time, aware.
        sleep: Waits, in seconds.
    """

    def __init__(
        self,
        database: Database,
        store: TrustStore,
        *,
        settings: WatchSettings = _DEFAULTS,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._table = WatchTable(database, settings.rhythm)
        self._store, self._settings, self._clock, self._sleep = store, settings, clock, sleep
        self._gate = Gate(settings.limits)
        self._waiting: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._arriving = 0
        self._change: int | None = None
        self._synced: datetime | None = None
        self._ended = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; looks that were begun are finished, claims that were not used are given back."""
        # Some threads more: claims and names must not wait for looks that wait for silent hosts.
        threads = ThreadPoolExecutor(self._settings.limits.overall + 4, thread_name_prefix="troth-watch")
        with threads:
            try:
                while not stop.is_set():
                    await self._pause(stop, await self._turn(threads))
            finally:
                while self._tasks:
                    await asyncio.wait(self._tasks)
                await self._give_back(threads)

    def sync(self) -> None:
        """Watch what is on record now: every endpoint of every domain that was not deleted."""
        change = self._store.last_change()
        if change == self._change:
            return
        wanted = {Endpoint(each.host, each.port, each.protocol): each.domain for each in self._store.listing()}
        self._table.sync(wanted, self._clock())
        self._change = change

    def look(self, job: Job) -> bool:
        """Look at one claimed endpoint, and record it; False if the claim had run out.

        Raises:
            StoreUnusable: It could not be recorded; another look will be.
        """
        found = self._found(job)
        seen = found.seen
        state, notices = step(job.state, seen)
        return self._table.finish(
            job,
            state,
            [event(notice, found) for notice in notices],
            outcome=seen.outcome,
            address=found.address,
            now=seen.at,
            next_at=next_time(job.endpoint, state, seen.at, self._settings.rhythm),
        )

    def claim(self, limit: int) -> list[Job]:
        """Claim endpoints that are due, but in networks that have enough waiting already."""
        crowd = 2 * self._settings.limits.per_network
        counts: dict[str, int] = {}
        for job in self._waiting:
            counts[job.network] = counts.get(job.network, 0) + 1
        full = [network for network, count in counts.items() if network and count >= crowd]
        return self._table.claim(limit, self._clock(), but=full)

    # Inside

    def _found(self, job: Job) -> Look:
        target = Target(endpoint=job.endpoint, timeout_s=self._settings.timeout_s, permit=self._permit)
        try:
            decision = check_target(self._store, target, domain=job.domain)
        except Exception as error:  # noqa: BLE001  # whatever it was: it is told, and never taken for a good certificate
            return Look(endpoint=job.endpoint, domain=job.domain, at=self._clock(), error=as_error(error))
        address = decision.presented.address
        return Look(endpoint=job.endpoint, domain=job.domain, at=self._clock(), decision=decision, address=address)

    def _permit(self, address: str, port: int) -> None:
        permission = may_probe(address, self._settings.policy, port=port)
        if not permission:
            raise NotAllowed(f"{address} is not probed.", why=permission.why)

    async def _turn(self, threads: ThreadPoolExecutor) -> float:
        """Begin what may begin; give the seconds after which to look again."""
        loop = asyncio.get_running_loop()
        now = self._clock()
        try:
            if self._synced is None or now - self._synced >= self._settings.sync_every:
                await loop.run_in_executor(threads, self.sync)
                self._synced = now
            room = 2 * self._settings.limits.overall - len(self._waiting) - self._arriving
            if self._gate.free() and room > 0:
                self._arrive(threads, await loop.run_in_executor(threads, self.claim, room))
        except TrothError as error:
            _log.warning("the watch waits: %s", error)
        pause = timedelta(seconds=self._settings.poll_s)
        left: list[Job] = []
        for job in self._waiting:
            wait = self._gate.wait(job.network, self._clock())
            if wait == timedelta():
                self._gate.begin(job.network, self._clock())
                self._start(self._look(threads, job))
            else:
                left.append(job)
                pause = pause if wait is None else min(pause, wait)
        self._waiting = left
        return pause.total_seconds()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _arrive(self, threads: ThreadPoolExecutor, jobs: Iterable[Job]) -> None:
        """Let claimed endpoints wait for their turn; those whose network is not known, once it is."""
        for job in jobs:
            if job.network:
                self._waiting.append(job)
            else:
                self._arriving += 1
                self._start(self._locate(threads, job))

    async def _locate(self, threads: ThreadPoolExecutor, job: Job) -> None:
        network = await asyncio.get_running_loop().run_in_executor(threads, _network, job.endpoint)
        self._arriving -= 1
        self._waiting.append(replace(job, network=network))
        self._ended.set()

    async def _look(self, threads: ThreadPoolExecutor, job: Job) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(threads, self.look, job)
        except TrothError as error:
            _log.warning("the look at %s is not recorded: %s", job.endpoint, error)
        finally:
            self._gate.end(job.network)
            self._ended.set()

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait, but no longer than until a look ends that others wait for, or until all is to stop."""
        parts = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(stop.wait())]
        if self._waiting or self._arriving or not self._gate.free():
            parts.append(asyncio.ensure_future(self._ended.wait()))
        _, pending = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in pending:
            part.cancel()
        self._ended.clear()

    async def _give_back(self, threads: ThreadPoolExecutor) -> None:
        jobs, self._waiting = self._waiting, []
        try:
            await asyncio.get_running_loop().run_in_executor(threads, self._table.give_back, jobs)
        except TrothError as error:
            _log.warning("claims run out by themselves: %s", error)


def _network(endpoint: Endpoint) -> str:
    """Find the network of a host whose address is not known yet; a name that has none counts by itself."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return endpoint.host
    return network_of(str(found[0][4][0]))
