"""Keeps the parts of a node running: in order, each again when it ended, and down in the reverse order.

The Health Monitor lives here, in the process that starts the others, so that it answers also where they do not run.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from troth.errors import TrothError
from troth.node import control, systemd
from troth.node.backoff import Failures
from troth.node.parts import Part, Running, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from troth.node.home import Home
    from troth.node.monitor import HealthMonitor

_log = logging.getLogger("troth.node")
_REFRESH_S = 1.0


@dataclass(slots=True)
class Watched:
    """A part, and how it does.

    Args:
        part: The part.
        state: `waiting`, `starting`, `running`, `failed`, `stopped`.
        running: The process, while there is one.
        since: Since when it is in this state.
        restarts: How often it was started again.
        said: What its last end or failed start was.
        failures: How often it ended in a row.
        up: Set while it runs.
        settled: Set while it is not just being started.
    """

    part: Part
    state: str = "waiting"
    running: Running | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    restarts: int = -1
    said: str = ""
    failures: Failures = field(default_factory=Failures)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def turn(self, state: str) -> None:
        """Be in another state from now on."""
        self.state, self.since = state, datetime.now(UTC)
        (self.up.set if state == "running" else self.up.clear)()
        (self.settled.clear if state == "starting" else self.settled.set)()

    def document(self) -> dict[str, object]:
        """Give it as JSON-able values."""
        return {
            "name": self.part.name,
            "state": self.state,
            "since": self.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "pid": self.running.process.pid if self.running else None,
            "restarts": max(0, self.restarts),
            "last_end": self.said or None,
            **({"facts": self.running.facts} if self.running else {}),
        }


class Supervisor:
    """Runs a node until it is told to stop.

    Args:
        home: The node's home, whose lock is held.
        parts: The parts; each waits for the one before it.
        monitor: The Health Monitor, already listening.
        about: Gives what is said of the node besides its parts.
    """

    def __init__(self, home: Home, parts: Sequence[Part], monitor: HealthMonitor, about: Callable[[], dict[str, Any]]):
        self._home, self._monitor, self._about = home, monitor, about
        self._watched = [Watched(each) for each in parts]
        self._stopping = asyncio.Event()

    def status(self) -> dict[str, Any]:
        """Give the state of the node and its parts."""
        return {**self._about(), "state": self.state, "parts": [each.document() for each in self._watched]}

    def liveness(self) -> dict[str, object]:
        """Give what a peer may know."""
        return {"state": self.state, "parts": {each.part.name: each.state for each in self._watched}}

    @property
    def state(self) -> str:
        """`running` if every part does; else `stopping`, `starting` or `degraded`."""
        if self._stopping.is_set():
            return "stopping"
        if all(each.state == "running" for each in self._watched):
            return "running"
        return "degraded" if any(each.restarts > 0 or each.said for each in self._watched) else "starting"

    def stop(self) -> dict[str, Any]:
        """Begin to stop."""
        self._stopping.set()
        return {"stopping": True}

    async def run(self) -> None:
        """Run until the node is told to stop; then stop every part, the last first."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.stop)
        server = await control.serve(self._home, {"status": self.status, "stop": self.stop})
        async with asyncio.TaskGroup() as group:
            keepers = []
            for position, watched in enumerate(self._watched):
                before = self._watched[position - 1] if position else None
                keepers.append(group.create_task(self._keep(watched, before)))
            group.create_task(self._announce())
            group.create_task(self._refresh())
            await self._stopping.wait()
            systemd.notify("STOPPING=1")
            _log.info("stopping")
            for watched in reversed(self._watched):
                await self._end(watched)
        await self._monitor.close()
        server.close()
        self._home.control.unlink(missing_ok=True)
        _log.info("stopped")

    async def _keep(self, watched: Watched, before: Watched | None) -> None:
        """Start one part, and again each time it ended."""
        while not self._stopping.is_set():
            if before is not None and not before.up.is_set():
                await _first(before.up.wait(), self._stopping.wait())
                continue
            watched.restarts += 1
            watched.turn("starting")
            began = time.monotonic()
            if await self._start(watched):
                _log.info("%s runs", watched.part.name)
                assert watched.running is not None  # noqa: S101  # it was just started
                watched.said = f"ended with status {await ended(watched.running)}"
                watched.running.close()
            if self._stopping.is_set():
                break
            watched.running = None
            watched.turn("failed")
            watched.failures = watched.failures.after_run(time.monotonic() - began)
            delay = watched.failures.delay_s
            _log.error("%s %s; started again in %.1f s", watched.part.name, watched.said, delay)
            await _first(asyncio.sleep(delay), self._stopping.wait())

    async def _start(self, watched: Watched) -> bool:
        try:
            watched.running = await asyncio.to_thread(watched.part.start)
        except TrothError as error:
            watched.said = str(error)
            watched.turn("failed")
            return False
        except OSError as error:
            watched.said = f"could not be started: {error}"
            watched.turn("failed")
            return False
        watched.turn("running")
        return True

    async def _end(self, watched: Watched) -> None:
        """Stop a part; one that is just starting is waited for first."""
        if watched.state == "starting":
            await watched.settled.wait()
        if watched.running is not None and watched.running.process.poll() is None:
            await asyncio.to_thread(watched.part.stop, watched.running)
        watched.running = None
        watched.turn("stopped")

    async def _announce(self) -> None:
        """Tell systemd when every part runs, and from then on that this process lives."""
        for watched in self._watched:
            if await _first(watched.up.wait(), self._stopping.wait()) and self._stopping.is_set():
                return
        systemd.notify("READY=1", "STATUS=every part runs")
        _log.info("ready")
        interval = systemd.watchdog_interval_s()
        while interval is not None and not self._stopping.is_set():
            systemd.notify("WATCHDOG=1")
            await _first(asyncio.sleep(interval), self._stopping.wait())

    async def _refresh(self) -> None:
        """Notice a certificate or a peer that changed."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self._monitor.refresh)
            except (TrothError, OSError) as error:
                _log.error("the certificate in force could not be looked at: %s", error)
            await _first(asyncio.sleep(_REFRESH_S), self._stopping.wait())


async def _first(*waits: Any) -> bool:
    """Wait for the first of several, and drop the others."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
    return True
