"""TLS servers on loopback, until standard input ends: `python -m benchmarks.server FOLDER COUNT`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import on_core
from troth.demo.host import Host


def main() -> None:
    """Serve, on the first core."""
    with on_core(0):
        hosts = []
        for number in range(int(sys.argv[2])):
            folder = Path(sys.argv[1]) / f"server-{number}"
            folder.mkdir()
            hosts.append(Host(f"server-{number}", folder))
        print(*(host.port for host in hosts), flush=True)
        sys.stdin.read()
        for host in hosts:
            host.close()


main()
