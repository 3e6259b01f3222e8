"""Stores, servers and liars that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.conftest import Record, record, store
from tests.cli.conftest import Command, troth
from tests.simulators.connect_proxy import ConnectProxy
from tests.simulators.liar import Choose, Fickle, Liar, Lie

__all__ = ["Command", "Fickler", "Lying", "Record", "fickle", "lying", "proxy", "record", "store", "troth"]

Lying = Callable[[Lie], Liar]
Fickler = Callable[..., Fickle]


@pytest.fixture
def lying() -> Iterator[Lying]:
    """Start liars."""
    started: list[Liar] = []

    def start(lie: Lie) -> Liar:
        started.append(Liar(lie))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def fickle(tmp_path: Path) -> Iterator[Fickler]:
    """Start servers that choose their certificate for each connection."""
    started: list[Fickle] = []

    def start(choose: Choose, **options: Any) -> Fickle:
        folder = tmp_path / f"fickle-{len(started)}"
        folder.mkdir()
        started.append(Fickle(folder, choose, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    """A CONNECT proxy."""
    made = ConnectProxy()
    yield made
    made.close()
