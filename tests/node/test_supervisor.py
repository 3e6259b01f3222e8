"""The supervisor, with real processes as its parts: what ends is started again, what must stop stops in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from troth.errors import NodeNotRunning, PartFailed
from troth.node import control
from troth.node.home import Home
from troth.node.monitor import HealthMonitor
from troth.node.parts import ApplicationPart, Running
from troth.node.supervisor import Supervisor

LIMIT_S = 30.0


class Sleeper:
    """A part that does nothing for ever, and notes what is done with it."""

    def __init__(self, name: str, notes: list[str], *, refuses: int = 0):
        self.name, self._notes, self._refuses = name, notes, refuses
        self.pids: list[int] = []

    def start(self) -> Running:
        if self._refuses:
            self._refuses -= 1
            raise PartFailed(f"{self.name} does not want to")
        process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        self.pids.append(process.pid)
        self._notes.append(f"start {self.name}")
        return Running(process, {"n": len(self.pids)})

    def stop(self, running: Running) -> None:
        self._notes.append(f"stop {self.name}")
        assert running.process.stdin is not None
        running.process.stdin.close()
        running.process.wait()


class Quiet(HealthMonitor):
    """A Health Monitor that nobody talks to."""

    def __init__(self) -> None:
        self._server = None

    def refresh(self) -> None:
        """Have nothing to take over."""


@pytest.fixture
def home() -> Iterator[Home]:
    """A short path, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="troth-") as name:
        (Path(name) / "state").mkdir()
        yield Home(Path(name))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110  # conditions of other processes have no event
            await asyncio.sleep(0.01)


def supervised(home: Home, parts: list[Any], story: Callable[[Supervisor], Any]) -> Supervisor:
    """Run a node with these parts, and what happens to it; it must end by itself afterwards."""
    supervisor = Supervisor(home, parts, Quiet(), lambda: {"name": "test"})

    async def go() -> None:
        running = asyncio.create_task(supervisor.run())
        try:
            await story(supervisor)
        finally:
            supervisor.stop()
            async with asyncio.timeout(LIMIT_S):
                await running

    asyncio.run(go())
    return supervisor


def test_parts_start_in_order_and_stop_in_the_reverse(home: Home) -> None:
    """The application finds its database, and the database outlives it."""
    notes: list[str] = []

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.state == "running")

    supervisor = supervised(home, [Sleeper("a", notes), Sleeper("b", notes)], story)
    assert notes == ["start a", "start b", "stop b", "stop a"]
    assert [each["state"] for each in supervisor.status()["parts"]] == ["stopped", "stopped"]


def test_a_part_that_is_killed_is_started_again(home: Home) -> None:
    """The others go on; the status says how often it happened, and how it ended."""
    part, other = Sleeper("a", []), Sleeper("b", [])

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.state == "running")
        os.kill(part.pids[0], signal.SIGKILL)
        await until(lambda: len(part.pids) == 2 and supervisor.state == "running")
        told = supervisor.status()["parts"][0]
        assert told["restarts"] == 1
        assert told["last_end"] == "ended with status -9"
        assert told["pid"] == part.pids[1]

    supervised(home, [part, other], story)
    assert len(other.pids) == 1


def test_a_part_that_does_not_start_is_tried_again(home: Home) -> None:
    """And what waits for it waits."""
    notes: list[str] = []

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.state == "running")

    supervised(home, [Sleeper("a", notes, refuses=1), Sleeper("b", notes)], story)
    assert notes == ["start a", "start b", "stop b", "stop a"]


def test_a_node_stops_also_while_a_part_waits_to_be_tried_again(home: Home) -> None:
    """No back-off holds up the end."""
    hopeless = Sleeper("a", [], refuses=1000)

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.state == "degraded")

    supervised(home, [hopeless, Sleeper("b", [])], story)


def test_the_control_socket_answers_its_owner(home: Home) -> None:
    """Status and stop, and nothing that was not asked in the right words."""

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.state == "running")
        assert home.control.stat().st_mode & 0o077 == 0
        told = await asyncio.to_thread(control.ask, home, "status")
        assert told["name"] == "test"
        assert (await asyncio.to_thread(control.ask, home, "explode"))["error"]
        assert (await asyncio.to_thread(control.ask, home, "stop"))["stopping"]
        await until(lambda: supervisor.state == "stopping")

    supervised(home, [Sleeper("a", [])], story)
    with pytest.raises(NodeNotRunning, match="No node runs"):
        control.ask(home, "status")


def test_the_application_says_why_it_does_not_start(home: Home) -> None:
    """A home without a node has no application; it ends at once, and is not waited for."""
    with pytest.raises(PartFailed, match="did not become ready"):
        ApplicationPart(home).start()
