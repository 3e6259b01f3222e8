"""A real node, as an administrator has it: made, served, killed, backed up, restored."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.nodes import INIT, TestNode, a_node
from tests.postgres import runner
from tests.servers import wait_until
from troth.demo.host import Host
from troth.model.certificate import CertificateView


@pytest.fixture(scope="module")
def shared() -> Iterator[TestNode]:
    """A node that runs, for tests that leave it as it was."""
    with a_node() as node:
        node.init()
        node.start()
        yield node


@pytest.fixture
def node() -> Iterator[TestNode]:
    """A node of the test's own, made and not running."""
    with a_node() as made:
        made.init()
        yield made


def served(port: int) -> CertificateView:
    """Give the certificate that a port presents."""
    return CertificateView.from_pem(ssl.get_server_certificate(("127.0.0.1", port)))


@pytest.mark.parametrize("postgres", ["debian", "wheel"])
def test_a_node_is_made_served_and_stopped(postgres: str, tmp_path: Path) -> None:
    """With either PostgreSQL: from nothing to a record that is kept over a restart."""
    host = Host("managed", tmp_path)
    with a_node(postgres) as node:
        made = node.init()
        assert made["database"].endswith(f"({postgres})")
        node.start()
        node.run("check", f"127.0.0.1:{host.port}")
        assert f"127.0.0.1:{host.port}" in node.run("list")
        node.run("stop")
        assert node.process is not None
        assert node.process.wait(30) == 0
        assert not (node.home / "postgres" / "data" / "postmaster.pid").exists()
        node.run("status", code=1)
        node.start()
        assert f"127.0.0.1:{host.port}" in node.run("list")
    host.close()


def test_each_port_shows_the_nodes_certificate(shared: TestNode) -> None:
    """The one that init printed, to be compared."""
    expected = shared.status()["certificate"]["fingerprint"]
    assert str(served(shared.part("application")["facts"]["port"]).fingerprint) == expected


def test_a_second_node_on_one_home_is_refused(shared: TestNode) -> None:
    """With the process of the first, and exit code 7."""
    done = subprocess.run(
        shared.command("serve"), env=shared.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 7
    assert "TROTH-732" in done.stderr
    assert shared.process is not None
    assert str(shared.process.pid) in done.stderr


def test_a_second_init_changes_nothing(shared: TestNode) -> None:
    """Neither the configuration nor a key."""
    before = {path: path.read_bytes() for path in (shared.home / "troth.toml", shared.home / "secrets" / "keys")}
    shared.run("init", *INIT, code=7)
    assert {path: path.read_bytes() for path in before} == before


def test_what_is_secret_is_nobody_elses(shared: TestNode) -> None:
    """No file with a key, a password or a configuration can be read by others."""
    for path in shared.home.rglob("*"):
        if path.is_file() and "programs" not in path.parts and "postgres" not in path.parts:
            assert path.stat().st_mode & 0o077 == 0, path
    for folder in ("identity", "secrets", "state", "postgres"):
        assert (shared.home / folder).stat().st_mode & 0o077 == 0


def test_no_secret_is_in_an_argument_list(shared: TestNode) -> None:
    """Of no process of the node: every user of the machine can read them."""
    for part in shared.status()["parts"]:
        line = Path(f"/proc/{part['pid']}/cmdline").read_bytes()
        assert shared.password.encode() not in line
    assert shared.password not in shared.log.read_text()


def test_the_api_answers_to_its_names_alone(shared: TestNode) -> None:
    """Threat 37: a name that somebody points at the node's address (DNS rebinding) is refused."""
    port = shared.part("application")["facts"]["port"]
    context = ssl.create_default_context(cadata=served(port).pem)
    context.check_hostname = False
    for host, status in ((f"127.0.0.1:{port}", 200), ("evil.example", 421)):
        request = urllib.request.Request(f"https://127.0.0.1:{port}/livez", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                assert answer.status == status
        except urllib.error.HTTPError as error:
            assert error.code == status
            error.close()


def test_a_new_certificate_is_served_without_a_restart(node: TestNode) -> None:
    """By both ports, to whoever connects next; the parts go on."""
    node.start()
    status = node.status()
    application = node.part("application")
    node.run("key", "generate")
    node.run("key", "activate")
    new = str(CertificateView.from_pem(node.run("key", "show", "--pem")).fingerprint)
    assert new != status["certificate"]["fingerprint"]
    wait_until(lambda: str(served(application["facts"]["port"]).fingerprint) == new, "the new certificate")
    assert node.part("application")["pid"] == application["pid"]


@pytest.mark.parametrize("part", ["application", "database"])
def test_a_part_that_is_killed_comes_back(node: TestNode, part: str, tmp_path: Path) -> None:
    """And nothing that was recorded is gone."""
    host = Host("managed", tmp_path)
    node.start()
    node.run("check", f"127.0.0.1:{host.port}")
    before = node.part(part)["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: node.part(part)["pid"] not in (None, before), part)
    wait_until(lambda: node.status().get("state") == "running", "the node")
    assert node.run("check", f"127.0.0.1:{host.port}").startswith("match")
    assert "intact" in node.run("journal", "verify")
    host.close()


def test_a_node_that_was_killed_starts_again(node: TestNode, tmp_path: Path) -> None:
    """Its database outlived it, its application did not; the next start ends the one and loses nothing."""
    host = Host("managed", tmp_path)
    node.start()
    node.run("check", f"127.0.0.1:{host.port}")
    application = node.part("application")["pid"]
    node.kill()
    wait_until(lambda: not Path(f"/proc/{application}").exists(), "the end of the application")
    node.start()
    assert node.run("check", f"127.0.0.1:{host.port}").startswith("match")
    assert "intact" in node.run("journal", "verify")
    host.close()


def test_an_init_that_was_killed_can_be_repeated() -> None:
    """At any moment: what lies there is used or set aside, and afterwards there is one whole node."""
    for after in ("secrets/keys", "postgres/data/PG_VERSION", "postgres/ready"):
        with a_node() as node:
            words = node.command("init", *INIT, *(("--postgres-user", runner()) if runner() else ()))
            process = subprocess.Popen(
                words, env=node.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            mark = node.home / after
            wait_until(lambda mark=mark: mark.exists(), after)  # type: ignore[misc]  # bound at once
            process.kill()
            process.wait(30)
            node.init()
            node.start()
            assert "intact" in node.run("journal", "verify")


def test_a_backup_makes_the_same_node_elsewhere(node: TestNode, tmp_path: Path) -> None:
    """The record, the users, the keys: a host that was trusted is trusted, one that changed is rejected."""
    host = Host("managed", tmp_path)
    node.start()
    node.run("check", f"127.0.0.1:{host.port}")
    node.run(
        "user",
        "add",
        "alice",
        "--role",
        "operator",
        "--password-file",
        str(_file(tmp_path, "lantern gravel orbit mustard")),
    )
    archive = tmp_path / "node.tar"
    node.run("backup", str(archive))
    fingerprint = node.status()["certificate"]["fingerprint"]
    node.stop()
    with a_node(name="restored") as other:
        other.run("restore", str(archive))
        other.start()
        assert other.status()["certificate"]["fingerprint"] == fingerprint
        assert "alice" in other.run("user", "list")
        assert other.run("check", f"127.0.0.1:{host.port}").startswith("match")
        host.new_certificate()
        other.run("check", f"127.0.0.1:{host.port}", code=3)
        assert "intact" in other.run("journal", "verify")
        other.run("restore", str(archive), code=7)
    host.close()


def _file(folder: Path, text: str) -> Path:
    made = folder / "password"
    made.touch(mode=0o600)
    made.write_text(text)
    return made


def test_an_altered_backup_makes_no_node(shared: TestNode, tmp_path: Path) -> None:
    """Nothing of it is left that could be taken for one."""
    archive = tmp_path / "node.tar"
    shared.run("backup", str(archive))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with a_node(name="restored") as other:
        other.run("restore", str(archive), code=2)
        assert not (other.home / "troth.toml").exists()
