"""Starting a node in the background, and stopping it, from another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from troth.errors import ConfigUnusable, NodeNotRunning, NodeRunning, PartFailed, TimedOut
from troth.node import control
from troth.node.lock import exclusive

if TYPE_CHECKING:
    from troth.node.home import Home

_POLL_S = 0.1


def running(home: Home) -> bool:
    """Whether a node runs in a home: its lock tells, whatever else lies about."""
    try:
        with exclusive(home):
            return False
    except NodeRunning:
        return True


def start(home: Home, *, limit_s: float) -> control.Answer:
    """Start a node in the background, and give its status when every part runs.

    Raises:
        NodeRunning: It runs already.
        PartFailed: It ended, or some part does not come up.
    """
    home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(home):
        pass
    log = home.logs / "node.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # our own program
            [sys.executable, "-m", "troth", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TROTH_HOME": str(home.path)},
            start_new_session=True,
            cwd="/",
        )
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise PartFailed(
                f"The node ended with status {process.returncode}.", why=_last_line(home), next_command=f"see {log}"
            )
        try:
            found = control.ask(home, "status")
        except NodeNotRunning:
            found = {}
        if found.get("state") == "running":
            return found
        time.sleep(_POLL_S)
    raise PartFailed(
        f"The node did not come up within {limit_s:.0f} s; it goes on trying.",
        why=_last_line(home),
        next_command=f"troth status; and see {log}",
    )


def stop(home: Home, *, limit_s: float) -> None:
    """Stop a node, and return when it has ended.

    Raises:
        NodeNotRunning: None runs.
        TimedOut: It has not ended in time; it goes on stopping.
    """
    control.ask(home, "stop")
    end = time.monotonic() + limit_s
    while running(home):
        if time.monotonic() > end:
            raise TimedOut(
                f"The node did not stop within {limit_s:.0f} s.", next_command="troth status, or see its log"
            )
        time.sleep(_POLL_S)


def _last_line(home: Home) -> str:
    try:
        lines = (home.logs / "node.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ConfigUnusable(f"{home.logs} cannot be read.", why=str(error)) from None
    return lines[-1][:300] if lines else ""
