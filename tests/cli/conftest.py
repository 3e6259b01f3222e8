"""The command line as a person runs it: a process of its own, a home of its own, a real TLS server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from troth.demo.host import Host


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on standard output."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Command:
    """Runs `troth` (or `ncs`) with a home of its own."""

    home: Path

    def __call__(self, *arguments: str, stdin: str | bytes = "", program: str = "troth") -> Done:
        """Run one command line."""
        done = subprocess.run(
            [sys.executable, "-m", "troth" if program == "troth" else "troth.cli.ncs", *arguments],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            check=False,
            timeout=60,
            env={**os.environ, "TROTH_HOME": str(self.home), "NO_COLOR": "1"},
        )
        answer = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in answer.err, answer.err
        return answer


@pytest.fixture
def troth(tmp_path: Path) -> Command:
    """The command, with an empty home."""
    return Command(tmp_path / "home")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A real TLS server on loopback."""
    (tmp_path / "host").mkdir()
    made = Host("ise-1", tmp_path / "host")
    yield made
    made.close()


@pytest.fixture
def where(host: Host) -> str:
    """The server's endpoint, as a person writes it."""
    return f"127.0.0.1:{host.port}"
