"""Connections to the database: short transactions, and failures that say what they are."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from troth.database import migrate
from troth.errors import (
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnusable,
    OutcomeUnknown,
    StoreUnusable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[tuple[object, ...]]
# The pool's own attempts come at ever longer intervals: given up early, the next question begins a new one at once.
_RETRY_S = 2.0
# A cancelled wait for the standby is a warning, and the row is visible: yet nobody knows whether it is kept.
_CANCELLED_WAIT = "01000"
# Every attempt of the pool would be a line, on a terminal too; what comes of them is raised, once.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
_FULL = (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory)
_CORRUPT = (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted)


class Database:
    """A pool of connections to one database.

    Args:
        conninfo: What libpq needs to connect; passwords come from libpq's own password file.
        size: How many connections at most.
        wait_s: How long to wait for one: for a turn, or for a server that is just starting.
    """

    def __init__(self, conninfo: str, *, size: int = 8, wait_s: float = 10.0):
        self.conninfo = conninfo
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            min_size=0,
            max_size=size,
            open=False,
            timeout=wait_s,
            reconnect_timeout=_RETRY_S,
            configure=_configure,
            kwargs={"autocommit": True},  # so that a lone statement is one journey; `transaction` begins its own
            check=ConnectionPool.check_connection,
            name="troth",
        )
        self._pool.open()
        self._afterwards: dict[int, list[Callable[[], None]]] = {}

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside a transaction: committed at the end, rolled back on any exception.

        Raises:
            StoreUnusable: The database does not answer, refuses, or says that it may not have kept what it was given.
        """
        with mapped(), self._pool.connection() as connection:
            notices: list[str | None] = []

            def note(diagnostic: psycopg.errors.Diagnostic) -> None:
                notices.append(diagnostic.sqlstate)  # a notice can be read only while it is handled

            connection.add_notice_handler(note)
            afterwards = self._afterwards[id(connection)] = []
            try:
                with connection.transaction():
                    yield connection
            finally:
                connection.remove_notice_handler(note)
                del self._afterwards[id(connection)]
            for each in afterwards:
                each()
            if _CANCELLED_WAIT in notices:
                raise OutcomeUnknown(
                    "The change was made here, and nobody knows whether the standby has it.",
                    why="the wait for the standby was cut short",
                    next_command="look before you repeat it: troth journal export",
                )

    def afterwards(self, connection: Connection, work: Callable[[], None]) -> None:
        """Do something once the transaction that a connection is in was committed, and not otherwise."""
        self._afterwards[id(connection)].append(work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for questions, each of which sees what was committed before it; no transaction is begun.

        Raises:
            StoreUnusable: The database does not answer, or refuses.
        """
        with mapped(), self._pool.connection() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version of Troth; see `migrate.migrate`."""
        with mapped(), psycopg.connect(self.conninfo, autocommit=True) as connection:
            migrate.migrate(connection)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what psycopg raises into what Troth reports. Whatever it was, nothing is trusted on its account."""
    try:
        yield
    except _FULL as error:
        raise DatabaseFull(
            "The database has no room left.", why=_text(error), next_command="free space on its disk; nothing was lost"
        ) from error
    except _CORRUPT as error:
        raise DatabaseCorrupt(
            "The database's files are damaged.", why=_text(error), next_command="troth restore FILE, from a backup"
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise DatabaseReadOnly(
            "This node's database is a standby's: it takes no changes.",
            next_command="troth status shows the active node",
        ) from error
    except PoolTimeout as error:
        raise DatabaseUnusable(
            "The database does not answer.", why=_text(error), next_command="troth status"
        ) from error
    except psycopg.errors.OperationalError as error:
        raise DatabaseUnusable(
            "The database cannot be reached, or went away.", why=_text(error), next_command="troth status"
        ) from error
    except psycopg.Error as error:
        raise StoreUnusable("The database refused.", why=_text(error)) from error


def _text(error: BaseException) -> str:
    """Give the first line of a message: further lines quote the statement."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _configure(connection: Connection) -> None:
    # An idle transaction would hold locks for ever if a thread hung; a statement that takes this long never ends well.
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.execute("SET statement_timeout = '60s'")
