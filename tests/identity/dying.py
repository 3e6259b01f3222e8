"""Run one change again and again on copies of an identity, each time with a process that dies at another step.

    python -m tests.identity.dying FOLDER CHANGE SOURCES

Copies FOLDER for each step to FOLDER.N; `CHANGE` is one of those below; `SOURCES` holds what is imported. Prints one line
of JSON: for each copy whether the process was killed. A process of its own, because it forks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.identity.making import NAMES, Dying, now
from troth.identity import Identity, Subject


def change(node: Identity, name: str, sources: Path) -> None:
    """Do one change."""
    if name == "create":
        node.create(NAMES)
    elif name == "request":
        node.request(Subject(cn="node.example.com"), NAMES)
    elif name == "import":
        node.import_signed((sources / "signed.pem").read_bytes())
    elif name == "pair":
        node.import_pair((sources / "pair.key").read_bytes(), (sources / "pair.pem").read_bytes())
    elif name == "activate":
        node.activate()
    elif name == "schedule":
        node.schedule(on_start=False)
    elif name == "start":
        node.start()


def main(folder: Path, name: str, sources: Path) -> list[bool]:
    """Die at every step in turn, before it and in its middle, until the change comes to its end."""
    killed = []
    for number in range(1000):
        copy = folder.with_name(f"{folder.name}.{number}")
        if folder.exists():
            shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            try:
                change(Identity(copy, now, files=Dying(number // 2, half=number % 2 == 1)), name, sources)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        killed.append(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
        if not killed[-1]:
            return killed
    raise RuntimeError("it comes to no end")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
