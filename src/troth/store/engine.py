"""What lies below the trust store: one notation of SQL, and an engine that runs it.

The decisions are written once, in `reader` and `base`. An engine connects, locks, tells versions apart, and turns its
errors into Troth's. Parameters are `?`, and one that is used twice is given twice: Python takes numbers for
names, and from 3.14 on no sequence for them. An engine that knows other marks translates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from troth.store.listing import Dialect


class Cursor(Protocol):
    """The rows of one statement; they outlast the block in which the connection was given."""

    @property
    def rowcount(self) -> int:
        """How many rows a change touched."""

    def fetchone(self) -> Any:
        """Give the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Give the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Give row after row."""


class Connection(Protocol):
    """Runs statements. `sqlite3.Connection` is one as it is."""

    def execute(self, sql: str, parameters: Sequence[object] = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> object:
        """Run one statement for each row of parameters."""


class Engine(Protocol):
    """A database that holds the tables of the trust store."""

    dialect: Dialect

    @property
    def folder(self) -> Path:
        """Where on this machine what belongs to the store lies beside its tables."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection for reading; inside this thread's transaction, the transaction's own."""

    def current(self) -> Connection | None:
        """Give the connection of the transaction that this thread is in, if it is in one."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """One transaction, which no other writer of any process overlaps: kept whole, or not at all."""

    def head(self, connection: Connection) -> tuple[int, bytes] | None:
        """Give the journal's last record, inside a transaction: its number and hash."""

    def note(self, seq: int, digest: bytes) -> None:
        """Tell the witness how far the journal has come; after the commit."""

    def version(self) -> bytes:
        """Give a token that differs after every commit of any process."""

    def map_errors(self) -> AbstractContextManager[None]:
        """Turn the engine's errors into `StoreUnusable`."""

    def close(self) -> None:
        """Let go of what this thread holds."""
