"""A real node: `troth init` and `troth serve` as processes, and clients that pin its certificate."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.postgres import runner
from tests.servers import wait_until
from troth.errors import NodeNotRunning
from troth.model.certificate import CertificateView
from troth.node import control
from troth.node.home import Home
from troth.node.node import Node


@dataclass(frozen=True)
class Running:
    """A node that runs, and what its administrator was told."""

    home: Home
    told: dict[str, Any]
    port: int
    environment: dict[str, str]

    def presented(self) -> CertificateView:
        """Look at what it presents."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            data = secured.getpeercert(binary_form=True)
        assert data is not None
        return CertificateView.from_der(data)

    def client(self, view: CertificateView, token: str = "") -> httpx2.Client:
        """Give a client that trusts this certificate and no other."""
        context = ssl.create_default_context(cadata=view.pem)
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        head = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(verify=context, base_url=f"https://localhost:{self.port}", headers=head, trust_env=False)


def troth(environment: dict[str, str], *words: str, stdin: str = "") -> str:
    """Run a command, and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "troth", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(home: Home) -> dict[str, Any]:
    """Ask the node how it does; empty while it does not say."""
    try:
        return control.ask(home, "status")
    except NodeNotRunning:
        return {}


@pytest.fixture(scope="module")
def node() -> Iterator[Running]:
    """A node on free ports, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="troth-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's user passes through
        home = Home(Path(name) / "n")
        environment = {**os.environ, "TROTH_HOME": str(home.path), "TROTH_TEST_CHEAP_PASSWORDS": "only-in-tests"}
        words = ["--address", "127.0.0.1", "--management-port", "0", "--health-port", "0", "--name-of", "localhost"]
        words += ["--postgres-user", runner()] if runner() else []
        told = json.loads(troth(environment, "init", "--json", "--small", *words))
        log = home.logs / "test.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "troth", "serve"], env=environment, stdout=output, stderr=output
            )
            try:
                wait_until(lambda: status(home).get("state") == "running", f"the node ({log.read_text()[-800:]})")
                port = next(each["facts"]["port"] for each in status(home)["parts"] if each["name"] == "application")
                yield Running(home, told, port, environment)
            finally:
                process.terminate()
                process.wait(60)


def test_a_client_that_pins_logs_in_and_asks(node: Running) -> None:
    """The certificate is the one that `troth init` named; the status is the command's own."""
    view = node.presented()
    assert str(view.fingerprint) == node.told["fingerprint"]
    with node.client(view) as client:
        entered = client.post("/api/v1/login", json={"name": "admin", "password": node.told["password"]})
        assert entered.status_code == 200
        found = client.get("/api/v1/status").json()
        assert found["schema"] == "troth.status/1"
        assert json.loads(troth(node.environment, "status", "--json")) == found
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/api/v1/journal/verification").json()["intact"] is True


def test_another_certificate_comes_without_a_restart(node: Running) -> None:
    """Made and activated over the API; from then on it is presented, by the same process."""
    before = node.presented()
    token = troth(node.environment, "user", "token", "admin", "--label", "test", "--role", "administrator").strip()
    with node.client(before, token) as client:
        process = {each["name"]: each["pid"] for each in client.get("/api/v1/status").json()["parts"]}
        made = client.post("/api/v1/keys", json={})
        assert made.status_code == 201, made.text
        assert client.post("/api/v1/keys/activation", json={}).json()["activated"] is True
    new = made.json()["certificate"]["fingerprint"]
    wait_until(lambda: str(node.presented().fingerprint) == new, "the new certificate")
    with node.client(node.presented(), token) as client:
        parts = client.get("/api/v1/status").json()["parts"]
        assert {each["name"]: each["pid"] for each in parts} == process
    with node.client(before, token) as client, pytest.raises(httpx2.ConnectError):
        client.get("/livez")


def test_curl_pins_the_key(node: Running) -> None:
    """As the page says: curl takes the key's fingerprint, and refuses another before it sends anything."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    token = troth(node.environment, "user", "token", "admin", "--label", "curl").strip()
    digest = Node(node.home).identity.current().spki.digest
    for pin, code in ((digest, 0), (bytes(32), 90)):
        words = ["--silent", "--insecure", "--pinnedpubkey", f"sha256//{base64.b64encode(pin).decode()}"]
        words += ["--header", "@-", f"https://localhost:{node.port}/api/v1/entries"]
        done = subprocess.run(
            [curl, "--noproxy", "*", *words],
            input=f"Authorization: Bearer {token}",
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code
        assert (json.loads(done.stdout) if code == 0 else done.stdout) == (
            {"entries": [], "next": None} if code == 0 else ""
        )
