"""A trust store, and TLS hosts that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from troth.demo.host import Host
from troth.store import open_store
from troth.store.sqlite import SqliteStore

Serve = Callable[[], Host]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(tmp_path / "home" / "trust.db") as opened:
        yield opened


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts real TLS servers whose certificates can be replaced."""
    started: list[Host] = []

    def start() -> Host:
        folder = tmp_path / f"host-{len(started)}"
        folder.mkdir()
        started.append(Host(f"host-{len(started)}", folder))
        return started[-1]

    yield start
    for host in started:
        if host._thread.is_alive():
            host.close()
