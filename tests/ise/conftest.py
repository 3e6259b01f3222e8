"""A trust store, a simulated ISE, and a client of it; each ends with its test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.simulators.ise import IseSimulator, session
from troth.database.pool import Database
from troth.ise.client import IseClient
from troth.ise.models import Credentials
from troth.ise.servers import Servers
from troth.model.endpoint import Endpoint
from troth.store import open_store
from troth.store.sqlite import SqliteStore

T = TypeVar("T")
USER, PASSWORD = "monitor", "s3cret-Pässword"
Start = Callable[..., IseSimulator]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(tmp_path / "home" / "trust.db") as opened:
        yield opened


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start simulators, with one administrator and two sessions."""
    started: list[IseSimulator] = []

    def make(name: str = "ise-1", **options: Any) -> IseSimulator:
        folder = tmp_path / f"{name}-{len(started)}"
        folder.mkdir()
        made = IseSimulator(folder, name=name, **options)
        made.add_user(USER, PASSWORD, "Super Admin")
        made.sessions = [
            session("alice", "00:11:22:33:44:55", framed_ip_address="192.0.2.77"),
            session("bob", "00:11:22:AA:BB:CC", server="ise-2"),
        ]
        started.append(made)
        return made

    yield make
    for each in started:
        each.close()


@pytest.fixture
def ise(start: Start) -> IseSimulator:
    """One simulated ISE."""
    return start()


def place(simulator: IseSimulator) -> Endpoint:
    """Name the endpoint of a simulator."""
    return Endpoint(simulator.host, simulator.port)


def ask(
    store: SqliteStore,
    simulator: IseSimulator | Endpoint,
    question: Callable[[IseClient], Awaitable[T]],
    *,
    user: str = USER,
    password: str = PASSWORD,
    timeout_s: float = 20.0,
) -> T:
    """Ask one question, with a client of its own."""
    endpoint = simulator if isinstance(simulator, Endpoint) else place(simulator)

    async def go() -> T:
        async with IseClient(store, endpoint, Credentials(user, password), timeout_s=timeout_s) as client:
            return await question(client)

    return asyncio.run(go())


class Box:
    """A sealer as a node has one: AES-GCM under a key that lies elsewhere, bound to what it is about."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(256))

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal."""
        nonce = os.urandom(12)
        return nonce + self._key.encrypt(nonce, text, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open, or fail."""
        return self._key.decrypt(sealed[:12], sealed[12:], about.encode())


class Hands:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Hands:
    """A clock."""
    return Hands()


@pytest.fixture
def servers(database: Database, clock: Hands) -> Servers:
    """No servers yet, in a real database."""
    return Servers(database, Box(), clock=clock, actor="tester")
