"""Accounts on a real PostgreSQL, with a clock that moves when it is told to and a journal that can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from troth.accounts.bundle import Accounts
from troth.accounts.passwords import CHEAPEST, Hasher
from troth.accounts.roles import Role
from troth.database.pool import Connection, Database

PASSWORD = "nine purple mountains sing"
OTHER = "seven yellow rivers whisper"
HOME, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@dataclass
class Clock:
    """Time that moves when it is told to."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Give the time."""
        return self.now

    def pass_by(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


class FernetSealer:
    """Seals with a key of its own, each time for one purpose."""

    def __init__(self) -> None:
        self._key = Fernet(Fernet.generate_key())

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal."""
        return self._key.encrypt(about.encode() + b"\0" + text)

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open, for the same purpose alone."""
        head, _, text = self._key.decrypt(sealed).partition(b"\0")
        if head != about.encode():
            raise ValueError("sealed for something else")
        return text


@dataclass
class House:
    """Everything of accounts, around one database."""

    database: Database
    clock: Clock
    hasher: Hasher = field(default_factory=lambda: Hasher(CHEAPEST, queue=200, patience_s=60))
    sealer: FernetSealer = field(default_factory=FernetSealer)

    def __post_init__(self) -> None:
        with self.database.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS noted (id serial, action text, subject text, detail text)")
        made = Accounts(self.database, self.sealer, clock=self.clock, hasher=self.hasher)
        self.users, self.sessions, self.tokens = made.users, made.sessions, made.tokens
        self.factor, self.door = made.factor, made.door

    @staticmethod
    def audit(connection: Connection, action: str, subject: str, detail: dict[str, object]) -> None:
        """Note a change, in its transaction."""
        connection.execute(
            "INSERT INTO noted (action, subject, detail) VALUES (%s, %s, %s)", (action, subject, json.dumps(detail))
        )

    def journal(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Give what was noted."""
        with self.database.transaction() as connection:
            rows = connection.execute("SELECT action, subject, detail FROM noted ORDER BY id").fetchall()
        return [(str(row[0]), str(row[1]), json.loads(str(row[2]))) for row in rows]

    def add(self, name: str = "alice", role: Role = Role.ADMINISTRATOR, password: str = PASSWORD) -> None:
        """Add a user."""
        self.users.create(name, password, role, audit=self.audit)

    def log_in(self, name: str = "alice", password: str = PASSWORD, *, source: str = HOME, **more: str) -> str:
        """Log in; give the secret."""
        attempt = self.door.knock(name, source)
        return self.door.enter(attempt, password, audit=self.audit, **more)[0]  # type: ignore[arg-type]

    def everything(self) -> str:
        """Give all that is in the database, as text."""
        tables = ("account", "recovery_code", "login", "api_token", "login_attempt", "familiar_source", "noted")
        with self.database.transaction() as connection:
            return "\n".join(str(connection.execute(f"SELECT * FROM {each}".encode()).fetchall()) for each in tables)


@pytest.fixture
def house(database: Database) -> House:
    """A house with nobody in it."""
    return House(database, Clock())
