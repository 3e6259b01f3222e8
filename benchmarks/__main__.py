"""Runs benchmarks by name, prints their rows, and ends with 1 if a bar was missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import ssl
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Benchmark, Row, Run, table

NAMES = ("check", "lookup", "engines", "list", "writers", "batch", "refusal")


def main() -> int:
    """Run, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what Troth must reach.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file, too")
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not to measure")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where stores are made (default: the temporary folder)"
    )
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    rows = [(name, row) for name in args.names or NAMES for row in run(name, args.folder, quick=args.quick)]
    print(table(rows))
    if args.json:
        document = {"schema": "troth.benchmarks/1", "quick": args.quick, "machine": machine()}
        found = [row.document(name) for name, row in rows]
        args.json.write_text(json.dumps({**document, "rows": found}, indent=2) + "\n")
    return int(any(row.missed for _, row in rows))


def run(name: str, folder: Path | None, *, quick: bool) -> list[Row]:
    """Run one benchmark in a folder of its own."""
    print(f"{name} …", file=sys.stderr, flush=True)
    benchmark: Benchmark = import_module(f"benchmarks.{name}_").run
    with tempfile.TemporaryDirectory(prefix="troth-bench-", dir=folder) as place:
        return list(benchmark(Run(folder=Path(place), quick=quick)))


def machine() -> dict[str, object]:
    """Say what was measured on: figures of different machines are compared by their ratios only."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
    }


if __name__ == "__main__":
    sys.exit(main())
