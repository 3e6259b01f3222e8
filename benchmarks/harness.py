"""What the benchmarks share: rows with bars, interleaved rounds, CPU time, and the table that is printed."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    Args:
        what: What was measured.
        value: The median of the rounds.
        unit: Its unit; `x` for a ratio.
        low: The lowest round.
        high: The highest round.
        bar: What it must reach; None for a figure that only informs.
        at_least: Whether the bar is a lower one.
    """

    what: str
    value: float
    unit: str
    low: float
    high: float
    bar: float | None = None
    at_least: bool = False

    @classmethod
    def of(
        cls, what: str, unit: str, rounds: Sequence[float], *, bar: float | None = None, at_least: bool = False
    ) -> Row:
        """Make a row of what the rounds gave."""
        value, low, high = statistics.median(rounds), min(rounds), max(rounds)
        return cls(what=what, value=value, unit=unit, low=low, high=high, bar=bar, at_least=at_least)

    @property
    def missed(self) -> bool:
        """Whether it has a bar and does not reach it."""
        if self.bar is None:
            return False
        return self.value < self.bar if self.at_least else self.value > self.bar

    @property
    def verdict(self) -> str:
        """`PASS`, `over` (or `under`, for a lower bar), or nothing."""
        if self.bar is None:
            return ""
        if not self.missed:
            return "PASS"
        return "under" if self.at_least else "over"

    def document(self, benchmark: str) -> dict[str, object]:
        """Give it as JSON-able values."""
        return {"benchmark": benchmark, **asdict(self), "verdict": self.verdict or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How this run is to be done.

    Args:
        folder: An empty folder for this benchmark's files.
        quick: Whether small numbers do: to see that it works, not to measure.
    """

    folder: Path
    quick: bool

    def pick(self, full: int, quick: int) -> int:
        """Choose a number."""
        return quick if self.quick else full


Benchmark = Callable[[Run], Iterable[Row]]


def interleave(rounds: int, variants: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run each variant once per round, in turns and every other round backwards, so that no variant has the quiet hour."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in list(variants)[:: -1 if number % 2 else 1]:
            found[name].append(variants[name]())
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Divide round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def quantile(values: Sequence[float], part: float) -> float:
    """Give the value below which `part` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def cpu_s() -> float:
    """Give this process's CPU time, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def child(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Run a program to its end; give its CPU and wall time in seconds."""
    begun = time.perf_counter()
    with subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"{list(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, wall


@contextmanager
def on_core(which: int) -> Iterator[None]:
    """Stay on one of the allowed cores (0 is the first, -1 the last), where there is more than one."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def number(value: float) -> str:
    """Write a figure in three digits or more."""
    if value == int(value):
        return f"{int(value):,}".replace(",", " ")
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


HEADER = ("BENCHMARK", "WHAT", "MEDIAN", "MIN", "MAX", "BAR", "")


def table(rows: Iterable[tuple[str, Row]]) -> str:
    """Write rows as a plain table."""
    lines = [HEADER]
    for name, row in rows:
        bar = "" if row.bar is None else f"{'≥' if row.at_least else '≤'} {number(row.bar)}"
        value = f"{number(row.value)} {row.unit}".rstrip()
        lines.append((name, row.what, value, number(row.low), number(row.high), bar, row.verdict))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = (0, 1, 6)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
