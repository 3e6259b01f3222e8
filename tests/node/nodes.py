"""Real nodes for tests: `troth init` and `troth serve` as processes, in a home that PostgreSQL's user can reach."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.postgres import programs, runner
from tests.servers import open_folder, wait_until

INIT = ("--address", "127.0.0.1", "--management-port", "0", "--health-port", "0", "--small", "--name-of", "node.test")


@dataclass
class TestNode:
    """A node's home, and the process that serves it, if one does."""

    __test__ = False

    home: Path
    postgres: str = ""
    password: str = ""
    process: subprocess.Popen[bytes] | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Give the environment of its commands."""
        return {**os.environ, "TROTH_HOME": str(self.home), "NO_COLOR": "1", **self.extra}

    def command(self, *words: str) -> list[str]:
        """Give a command line of `troth`."""
        return [sys.executable, "-m", "troth", *words]

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command; it must end with a code."""
        done = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def init(self) -> dict[str, Any]:
        """Make the node."""
        words = ["init", *INIT, "--json"]
        if self.postgres:
            words += ["--postgres", self.postgres]
        if runner():
            words += ["--postgres-user", runner()]
        made: dict[str, Any] = json.loads(self.run(*words))
        self.password = made["password"]
        return made

    def start(self) -> None:
        """Serve, and wait until every part runs."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("serve"), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: self.status().get("state") == "running", f"the node ({self.log.read_text()[-2000:]})")

    def status(self) -> dict[str, Any]:
        """Ask how it does; empty if it does not answer."""
        done = subprocess.run(
            self.command("status", "--json"), env=self.environment(), capture_output=True, check=False, timeout=60
        )
        return json.loads(done.stdout) if done.stdout else {}

    def part(self, name: str) -> dict[str, Any]:
        """Give the status of one part."""
        found: dict[str, Any] = next(each for each in self.status()["parts"] if each["name"] == name)
        return found

    @property
    def log(self) -> Path:
        """What it logs."""
        return self.home.parent / f"{self.home.name}.log"

    def kill(self) -> None:
        """End the serving process as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)
        self.process = None

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.process = None


@contextlib.contextmanager
def a_node(postgres: str = "", *, name: str = "n") -> Iterator[TestNode]:
    """A place for a node; whatever runs there is stopped at the end."""
    with open_folder() as place:
        programs(place / "unused", postgres)  # skips where there are none
        made = TestNode(place / name, postgres)
        try:
            yield made
        finally:
            made.stop()
            orphan = made.home / "postgres" / "data" / "postmaster.pid"
            if orphan.is_file():
                pid = int(orphan.read_text().split()[0])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
