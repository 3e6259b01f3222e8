"""What this room needs from others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import psycopg

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
    Clock: TypeAlias = Callable[[], datetime]


class Sealer(Protocol):
    """Keeps what must be read again, under a key that does not lie in the database."""

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal bytes, for one purpose."""

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open what was sealed for the same purpose; what was altered, or sealed for another, is an error."""


class Transactions(Protocol):
    """The database, as far as this room uses it."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin; commit at the end, or roll back if it ends in an error."""


class Audit(Protocol):
    """Writes a change into the journal, in the transaction of the change: both happen, or neither."""

    def __call__(self, connection: Connection, action: str, subject: str, detail: dict[str, object], /) -> None:
        """Write one record. There is never a secret in the detail."""


def utc_now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)
