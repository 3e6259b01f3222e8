"""A store, and recorders that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.recorder import Recorder
from troth.store import open_store
from troth.store.sqlite import SqliteStore

Record = Callable[..., Recorder]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(tmp_path / "home" / "trust.db") as opened:
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
