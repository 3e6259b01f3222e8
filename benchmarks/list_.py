"""`troth list` as people run it: a new process each time, beside a Python that does nothing."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.harness import Row, Run, child, interleave, ratios

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 5


def run(run: Run) -> Iterator[Row]:
    """Measure it with 1 000 entries."""
    fixture.fill(run.folder / "trust.db", run.pick(1000, 20)).close()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TROTH"))}
    env["TROTH_HOME"] = str(run.folder)
    script = str(Path(sys.executable).with_name("troth"))
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        "list": [script, "list"],
        "list --json": [script, "list", "--json"],
        "--version": [script, "--version"],
    }
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        child(command, env)  # the first writes the .pyc files
    wall = interleave(run.pick(31, 3), {name: partial(_run, each, env, cpu[name]) for name, each in commands.items()})
    yield Row.of("python -c pass, wall", "ms", wall["pass"])
    yield Row.of("python -c pass, CPU", "ms", cpu["pass"])
    yield Row.of("troth list, wall", "ms", wall["list"])
    yield Row.of("troth list, CPU", "ms", cpu["list"])
    yield Row.of("troth list / pass, wall", "x", ratios(wall["list"], wall["pass"]), bar=BAR)
    yield Row.of("troth list / pass, CPU", "x", ratios(cpu["list"], cpu["pass"]), bar=BAR)
    yield Row.of("troth list --json / pass, wall", "x", ratios(wall["list --json"], wall["pass"]))
    yield Row.of("troth --version / pass, wall", "x", ratios(wall["--version"], wall["pass"]))


def _run(command: list[str], env: dict[str, str], cpu: list[float]) -> float:
    used, wall = child(command, env)
    cpu.append(used * 1000)
    return wall * 1000
