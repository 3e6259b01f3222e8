"""The Health Monitor: peers get an answer, and nobody else gets anything."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.node.making import Keys
from troth.node.monitor import HealthMonitor
from troth.node.serving import Served


class Running:
    """A monitor on a free port, in a loop of its own."""

    def __init__(self, keys: Keys, peers: set[bytes]):
        self.peers = peers
        self.keys = keys
        self.served = Served(keys, clients=peers)
        self.monitor = HealthMonitor(self.served, lambda: self.peers, lambda: {"state": "running"})
        self.loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self.loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.monitor.start(self._listener), self.loop).result(10)

    def close(self) -> None:
        async def end() -> None:
            await self.monitor.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Keys]:
    made = {}
    for name in ("node", "peer", "stranger"):
        (tmp_path / name).mkdir()
        made[name] = Keys(tmp_path / name, name)
    return made


@contextmanager
def running(keys: dict[str, Keys], *peers: str) -> Iterator[Running]:
    made = Running(keys["node"], {keys[name].view.der for name in peers})
    made.start()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def monitor(keys: dict[str, Keys]) -> Iterator[Running]:
    with running(keys, "peer") as made:
        yield made


def ask(
    monitor: Running,
    client: Keys | None,
    request: bytes = b"GET /v1/liveness HTTP/1.1\r\nHost: x\r\n\r\n",
    version: ssl.TLSVersion | None = None,
) -> bytes:
    """Give every byte that the monitor says inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if client is not None:
        files = client.context_files()
        context.load_cert_chain(files.certfile, files.keyfile)
    data = b""
    with socket.create_connection(("127.0.0.1", monitor.port), timeout=15) as raw, context.wrap_socket(raw) as tls:
        tls.sendall(request)
        while piece := tls.recv(4096):
            data += piece
    return data


def test_a_peer_learns_how_the_node_is(monitor: Running, keys: dict[str, Keys]) -> None:
    """With the certificate on record, and only then."""
    head, _, body = ask(monitor, keys["peer"]).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body) == {"state": "running"}
    assert b"erver:" not in head


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_threat_39_nobody_else_learns_anything(
    monitor: Running, keys: dict[str, Keys], who: str, version: ssl.TLSVersion
) -> None:
    """Threat 39: a stranger's certificate, or none, ends in the handshake: not one byte is answered."""
    try:
        said = ask(monitor, keys.get(who), version=version)
    except OSError:
        said = b""
    assert said == b""


def test_threat_39_without_peers_everybody_is_refused(keys: dict[str, Keys]) -> None:
    """Threat 39: a node that stands alone has a Health Monitor that admits nobody."""
    with running(keys) as alone:
        for who in ("peer", "stranger", "node"):
            try:
                said = ask(alone, keys[who])
            except OSError:
                said = b""
            assert said == b""


def test_a_changed_peer_is_admitted_and_the_old_one_is_not(monitor: Running, keys: dict[str, Keys]) -> None:
    """What is on record counts from the next connection on, in both directions."""
    monitor.peers = {keys["stranger"].view.der}
    monitor.monitor.refresh()
    assert ask(monitor, keys["stranger"]).startswith(b"HTTP/1.1 200")
    try:
        said = ask(monitor, keys["peer"])
    except OSError:
        said = b""
    assert said == b""


def test_a_changed_certificate_is_served_to_who_comes_next(monitor: Running, keys: dict[str, Keys]) -> None:
    """Without a restart; the old one is not offered beside it."""

    def served() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        files = keys["peer"].context_files()
        context.load_cert_chain(files.certfile, files.keyfile)
        with socket.create_connection(("127.0.0.1", monitor.port), timeout=15) as raw, context.wrap_socket(raw) as tls:
            return tls.getpeercert(binary_form=True) or b""

    assert served() == keys["node"].view.der
    new = keys["node"].change()
    monitor.monitor.refresh()
    assert served() == new.der


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /v1/secrets HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /v1/liveness HTTP/1.1\r\n\r\n", b"405"),
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"GET /v1/liveness\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_gets_one_line(
    monitor: Running, keys: dict[str, Keys], request_: bytes, status: bytes
) -> None:
    """Also a peer may be broken."""
    assert ask(monitor, keys["peer"], request_).startswith(b"HTTP/1.1 " + status)


def test_threat_39_a_head_without_end_is_cut_off(monitor: Running, keys: dict[str, Keys]) -> None:
    """Threat 39: no more than a few kilobytes are ever kept."""
    try:
        said = ask(monitor, keys["peer"], b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20000)
    except OSError:
        said = b""
    assert said == b""
    assert ask(monitor, keys["peer"]).startswith(b"HTTP/1.1 200")
