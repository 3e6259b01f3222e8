"""The second part of the story: a node with its own database, an ISE whose certificate changes, and what a person does then."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from troth.demo.ise import IseSimulator
from troth.errors import NodeNotRunning
from troth.node import control
from troth.node.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from troth.demo.story import Stage

_UP_LIMIT_S = 120.0
_DOWN_LIMIT_S = 100.0


def tell_of_a_node(stage: Stage, folder: Path) -> None:
    """Make a node, run it, let it ask an ISE, change the ISE's certificate, and mend it."""
    stage.tell("A node is made: keys, a database of its own, a first administrator.")
    ports = "--address 127.0.0.1 --management-port 0 --health-port 0"
    stage.run(f"troth init {ports} --small --name-of node.example.com", expect=0)
    stage.tell("It runs: the Health Monitor, PostgreSQL, and the management server with REST API and metrics.")
    with _serving(stage):
        stage.run("troth status", expect=0)
        _of_ise(stage, folder)
        stage.tell("Everything is in one journal, and in one file if one likes.")
        stage.run("troth journal verify", expect=0)
        stage.run(f"troth backup {folder / 'node.tar'}", expect=0)
        stage.run("troth stop", expect=0)


def _of_ise(stage: Stage, folder: Path) -> None:
    place, password = folder / "ise", folder / "password"
    place.mkdir()
    ise = IseSimulator(place)
    try:
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(18))
        ise.add_user("monitor", password.read_text(), "MnT Admin")
        where = f"127.0.0.1:{ise.port}"
        stage.tell("A Cisco ISE (a simulator of it) is added, with a fingerprint that was read on its own console.")
        words = f"troth ise add {where} --user monitor --password-file {password} --expect {ise.view.fingerprint}"
        stage.run(words, expect=0)
        stage.run("troth ise list", expect=0)
        stage.tell("Its administrator imports a new certificate. Nobody tells this side.")
        asked = _asked(ise)
        new = ise.new_certificate()
        stage.run("troth ise test", expect=3)
        if _asked(ise) != asked:
            stage.failures.append("ISE was sent something before its certificate was trusted")
        sys.stdout.write("(requests that ISE read: 0; the password never left)\n")
        stage.tell("One command, with the new fingerprint as ISE's console shows it; then it is asked again.")
        stage.run(f"troth replace {where} --expect {new.fingerprint}", expect=0)
        stage.run("troth ise test", expect=0)
    finally:
        ise.close()


def _asked(ise: IseSimulator) -> int:
    return sum(len(visit.requests) for visit in list(ise.visits))


@contextmanager
def _serving(stage: Stage) -> Iterator[None]:
    """Run the node in the background, until it ended."""
    sys.stdout.write("$ troth serve &\n")
    sys.stdout.flush()
    home = Home(stage.home)
    log = stage.home / "logs" / "node.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # our own program
            [sys.executable, "-m", "troth", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TROTH_HOME": str(stage.home)},
        )
    try:
        if not _until(lambda: _state(home) == "running", process, _UP_LIMIT_S):
            stage.failures.append(f"the node did not come up; its log ends: {log.read_text()[-400:]}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_DOWN_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            stage.failures.append("the node did not stop")
    sys.stdout.write("".join(f"  {line}\n" for line in log.read_text().splitlines()[-8:]))


def _state(home: Home) -> Any:
    try:
        return control.ask(home, "status").get("state")
    except NodeNotRunning:
        return None


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return True
        time.sleep(0.1)
    return False
