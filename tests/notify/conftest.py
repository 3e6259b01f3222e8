"""A trust store, a clock that is set by hand, a sealer, and receivers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notify.making import Clock, FernetSealer
from tests.simulators.receivers import Certified
from troth.store import open_store
from troth.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(tmp_path / "home" / "trust.db") as opened:
        yield opened


@pytest.fixture
def sealer() -> FernetSealer:
    """A sealer."""
    return FernetSealer()


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts receivers, and ends them with the test."""
    started: list[Any] = []

    def begin(kind: type[Any], **options: Any) -> Any:
        if issubclass(kind, Certified):
            options["folder"] = tmp_path / f"receiver-{len(started)}"
        started.append(kind(**options))
        return started[-1]

    yield begin
    for each in started:
        each.close()
