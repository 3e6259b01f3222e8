"""A store of its own, and small honest and dishonest peers on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stores import store_for
from troth.demo.host import Host
from troth.model.endpoint import Endpoint
from troth.store.base import Store
from troth.tls.probe import Target

Serve = Callable[[Callable[[socket.socket], None]], Endpoint]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty trust store."""
    with store_for(request, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A real TLS server, whose certificate can be replaced."""
    (tmp_path / "host").mkdir()
    made = Host("ise-1", tmp_path / "host")
    yield made
    made.close()


@pytest.fixture
def target(host: Host) -> Target:
    """The way to the server."""
    return Target(endpoint=Endpoint("127.0.0.1", host.port))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a peer that does with each connection what a function says, and ends it with the test."""
    listeners: list[socket.socket] = []

    def start(behave: Callable[[socket.socket], None]) -> Endpoint:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    behave(connection)

        threading.Thread(target=loop, daemon=True).start()
        return Endpoint("127.0.0.1", listener.getsockname()[1])

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
