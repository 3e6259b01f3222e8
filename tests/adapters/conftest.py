"""A store, and recorders that end with their test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.recorder import Recorder
from tests.stores import store_for
from troth.store.base import Store

Record = Callable[..., Recorder]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty trust store."""
    with store_for(request, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """Start recorders."""
    started: list[Recorder] = []

    def start(**options: Any) -> Recorder:
        folder = tmp_path / f"recorder-{len(started)}"
        folder.mkdir()
        started.append(Recorder(folder, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def serve_plain() -> Iterator[int]:
    """A PostgreSQL server that speaks no TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    connection.recv(8)
                    connection.sendall(b"N")

    threading.Thread(target=loop, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
