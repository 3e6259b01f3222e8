"""The story of one host, and then of a node: first use, a new certificate, the rejection, and the one command that mends it.

Every step is a real command in a process of its own, against a real TLS server, with a trust store of its own. Each
says beforehand which exit code it must have; if one has another, the demonstration fails.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from troth.demo.host import Host
from troth.errors import CertificateChanged, TrothError
from troth.store import open_store
from troth.tls.context import Context

PROGRAMS = {"troth": "troth", "ncs": "troth.cli.ncs"}


@dataclass(slots=True)
class Stage:
    """Where the story is told: the trust store's folder, and what went wrong."""

    home: Path
    failures: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Say what happens next."""
        sys.stdout.write(f"\n── {text}\n")
        sys.stdout.flush()

    def run(self, line: str, *, expect: int) -> None:
        """Run one command as a person would, show it, and hold its exit code against what was promised."""
        program, *arguments = line.split()
        sys.stdout.write(f"$ {line}\n")
        sys.stdout.flush()
        done = subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-m", PROGRAMS[program], *arguments],
            env={**os.environ, "TROTH_HOME": str(self.home)},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        sys.stdout.write(done.stdout)
        sys.stdout.write(f"(exit code {done.returncode})\n")
        if done.returncode != expect:
            self.failures.append(f"{line}: exit code {done.returncode}, promised was {expect}")


def tell() -> list[str]:
    """Tell the whole story; give what did not go as promised."""
    with tempfile.TemporaryDirectory(prefix="troth-demo-") as name:
        folder = Path(name)
        # Where root tells the story, PostgreSQL runs as somebody else, who must be able to pass through.
        folder.chmod(0o711)
        stage = Stage(folder / "home")
        host = Host("prime-sec", folder)
        try:
            _one_host(stage, host, f"127.0.0.1:{host.port}")
        finally:
            host.close()
        failures = stage.failures
        if importlib.util.find_spec("psycopg") is None:
            stage.tell("The story of a node needs more packages: pip install 'troth[server]'")
        else:
            from troth.demo.node import tell_of_a_node

            node = Stage(folder / "node")
            tell_of_a_node(node, folder)
            failures += node.failures
    return failures


def _one_host(stage: Stage, host: Host, where: str) -> None:
    stage.tell("A server is met for the first time: its certificate is recorded.")
    stage.run(f"troth check {where}", expect=0)
    stage.tell("It is met again: the same certificate.")
    stage.run(f"troth check {where}", expect=0)
    stage.tell("Its administrator makes a new CSR and imports a new certificate. Nobody tells this side.")
    old, material = host.view, host.material
    new = host.new_certificate()
    renewed = host.material
    stage.run(f"troth check {where}", expect=3)
    stage.tell("A program is protected in the same way: not one byte of its request reaches the server.")
    _as_a_program(stage, host, where)
    stage.tell("The fingerprint, read on the host's own console, is given to one command; there is no blind moment.")
    stage.run(f"troth replace {where} --expect {new.fingerprint}", expect=0)
    stage.run(f"troth check {where}", expect=0)
    _as_a_program(stage, host, where)
    stage.tell("The old certificate comes back, from a backup or from a thief who has its key.")
    host.present(material)
    stage.run(f"troth check {where} --quiet", expect=3)
    stage.run(f"troth revoke {old.fingerprint} --reason replaced", expect=0)
    stage.run(f"troth replace {where} --expect {old.fingerprint}", expect=2)
    host.present(renewed)
    stage.tell("The incumbent's own commands work on the same record.")
    stage.run("ncs certvalidation tofu-certs listcerts", expect=0)
    stage.run(f"ncs certvalidation tofu-certs deletecert host {where.replace(':', '_')}", expect=0)
    stage.tell("Deleted is not forgotten: whoever answers next is not trusted blindly.")
    stage.run(f"troth check {where}", expect=4)
    stage.run(f"troth approve {where} --expect {new.fingerprint}", expect=0)
    stage.tell("Every change is in a journal that cannot be altered unnoticed.")
    stage.run(f"troth history {where}", expect=0)
    stage.run("troth journal verify", expect=0)


def _as_a_program(stage: Stage, host: Host, where: str) -> None:
    before = host.requests
    sys.stdout.write(f">>> urllib.request.urlopen('https://{where}/', context=troth.Context(store))\n")
    with open_store(stage.home / "trust.db") as store:
        try:
            with urllib.request.urlopen(f"https://{where}/", context=Context(store), timeout=10) as answer:  # https
                sys.stdout.write(answer.read().decode())
        except urllib.error.URLError as error:
            reason = error.reason
            sys.stdout.write(f"{type(reason).__name__}: {reason}\n")
            if not isinstance(reason, (CertificateChanged, TrothError)):
                stage.failures.append(f"a program got {reason!r}")
    sys.stdout.write(f"(requests that the server read: {host.requests - before})\n")
