"""The processes that a node consists of: how each is started, and how it is stopped without losing anything."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from troth.errors import PartFailed

if TYPE_CHECKING:
    from pathlib import Path

    from troth.database.cluster import Cluster
    from troth.node.home import Home

_READY_LIMIT_S = 60.0
_STOP_LIMIT_S = 25.0
_MAX_LOG = 10 << 20


@dataclass(slots=True)
class Running:
    """A part that was started.

    Args:
        process: Its process.
        facts: What it said of itself when it was ready.
    """

    process: subprocess.Popen[bytes]
    facts: dict[str, Any]

    def close(self) -> None:
        """Close our end of its standard input, where there is one."""
        if self.process.stdin is not None:
            self.process.stdin.close()


class Part(Protocol):
    """A part of the node that is a process of its own."""

    name: str

    def start(self) -> Running:
        """Start it, and return when it is ready; in a thread."""

    def stop(self, running: Running) -> None:
        """Stop it, and return when it has ended; in a thread."""


class PostgresPart:
    """The node's own PostgreSQL."""

    name = "database"

    def __init__(self, cluster: Cluster, logs: Path):
        self._cluster, self._log = cluster, logs / "postgres.log"

    def start(self) -> Running:
        """Start it."""
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > _MAX_LOG:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            process = self._cluster.start(log=log)
        return Running(process, {"version": self._cluster.binaries.version, "origin": self._cluster.binaries.origin})

    def stop(self, running: Running) -> None:
        """Stop it: open transactions are rolled back, what was committed is on the disk."""
        self._cluster.stop(running.process)


class ApplicationPart:
    """The management server with all that it does by itself: watch, ISE, mail."""

    name = "application"

    def __init__(self, home: Home):
        self._home = home

    def start(self) -> Running:
        """Start it; it says so when it is ready, and ends by itself if we do."""
        ours, theirs = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "troth.node.application", "--ready", str(theirs)],
                stdin=subprocess.PIPE,  # it ends when this end is closed, by us or by our death
                pass_fds=(theirs,),
                env={**os.environ, "TROTH_HOME": str(self._home.path)},
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(theirs)
        try:
            said = _line(ours, _READY_LIMIT_S)
        finally:
            os.close(ours)
        try:
            facts = json.loads(said)
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            process.kill()
            status = process.wait()
            Running(process, {}).close()
            raise PartFailed(
                f"The application did not become ready (status {status}).",
                next_command="see the lines before in the log",
            )
        return Running(process, facts)

    def stop(self, running: Running) -> None:
        """Let it finish what it does; one that takes too long is ended, and its transactions with it."""
        process = running.process
        running.close()
        for end in (process.terminate, process.kill):
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                end()
        process.wait()


async def ended(running: Running) -> int:
    """Wait for a part's end, and give its status."""
    return await asyncio.to_thread(running.process.wait)


def _line(handle: int, limit_s: float) -> bytes:
    """Read one line from a pipe; what there is at its end, or at the limit."""
    import selectors
    import time

    end, data = time.monotonic() + limit_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while not data.endswith(b"\n") and selector.select(max(0.0, end - time.monotonic())):
            piece = os.read(handle, 4096)
            if not piece:
                break
            data += piece
    return data
