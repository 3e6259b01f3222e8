"""The trust store in PostgreSQL: what a node's managers, watchers and peers share.

Each decision takes one lock before it reads anything. PostgreSQL gives the lock to the next only when the one before has
become visible, and in READ COMMITTED each statement sees what was committed before it began: so what is read under the
lock is what every earlier change left, and of two parallel first uses exactly one finds a stranger.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from troth.errors.base import DatabaseReadOnly, StoreUnusable, TrothError
from troth.store.base import Store, utc_now
from troth.store.listing import Dialect
from troth.store.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from troth.database.pool import Connection as Raw
    from troth.database.pool import Database
    from troth.store.engine import Connection, Cursor
    from troth.store.reader import Clock

WITNESS = "postgres.witness"
# Any number, as long as nobody else in this database locks it: "trust" in ASCII. A row would do as well, but to lock one
# is a write that waits for the disk, and most decisions change nothing.
LOCK = 0x7472757374
_LOCK = b"SELECT pg_advisory_xact_lock($1)"
_TOKEN = b"UPDATE version SET token = $1"
_STATE = (
    b"SELECT v.token, pg_is_in_recovery(), m.value, coalesce(j.seq, 0), coalesce(j.hash, '\\x')"
    b" FROM version v JOIN meta m ON m.key = 'store'"
    b" LEFT JOIN LATERAL (SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1) j ON true"
)
_RECORD = b"SELECT hash FROM journal WHERE seq = $1"


class Statements:
    """A connection of psycopg that takes statements as the store writes them; the first that writes changes the token."""

    __slots__ = ("_raw", "_touched")

    def __init__(self, raw: Raw):
        self._raw = raw
        self._touched = False

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Cursor:
        """Run one statement."""
        if not self._touched and not sql.lstrip().startswith("SELECT"):
            self._touch()
        return psycopg.RawCursor(self._raw).execute(translated(sql), _kept(parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> None:
        """Run one statement for each row of parameters."""
        if not self._touched:
            self._touch()
        psycopg.RawCursor(self._raw).executemany(translated(sql), map(_kept, parameters))

    def _touch(self) -> None:
        psycopg.RawCursor(self._raw).execute(_TOKEN, (os.urandom(16),))
        self._touched = True


class PostgresEngine:
    """The trust store's tables in PostgreSQL, reached over a pool that threads share.

    Args:
        database: The pool; its tables are made by `database.migrate()`.
        folder: Where this node keeps what it saw of the store.
    """

    dialect = Dialect(
        hex="encode({}, 'hex')",
        moment="""to_char(to_timestamp({} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')""",
    )

    def __init__(self, database: Database, folder: Path):
        self._database = database
        self._folder = folder
        self._watermark = Watermark(folder / WITNESS, "The database")
        self._verified: weakref.WeakSet[Raw] = weakref.WeakSet()
        self._local = threading.local()
        self._process = os.getpid()

    @property
    def folder(self) -> Path:
        """Where this node keeps what it saw of the store."""
        return self._folder

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection; inside this thread's transaction, the transaction's own.

        Raises:
            StoreUnusable: There is none, or it leads to another or an older database than before.
        """
        with self.map_errors():
            outer = self.current()
            if outer is not None:
                yield outer
                return
            with self._database.reading() as raw:
                if raw not in self._verified:
                    self._verify(raw)
                yield Statements(raw)

    def current(self) -> Connection | None:
        """Give the connection of the transaction that this thread is in, if it is in one."""
        if os.getpid() != self._process:
            raise StoreUnusable("The trust store was opened before a fork; each process opens its own.")
        found: Connection | None = getattr(self._local, "connection", None)
        return found

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, which no other writer of any process overlaps.

        Raises:
            StoreUnusable: It was not kept; or, with `OutcomeUnknown`, nobody knows whether it was.
        """
        with self._database.transaction() as raw:
            self._local.head = self._lock(raw)
            self._local.connection = Statements(raw)
            try:
                yield self._local.connection
            finally:
                self._local.connection = None
            # COMMIT would end a failed transaction as well, without an error, and keep nothing.
            if raw.info.transaction_status is not TransactionStatus.INTRANS:
                raise StoreUnusable("A statement failed, so nothing of its transaction was stored.")

    @contextmanager
    def joined(self, raw: Raw) -> Iterator[Connection]:
        """Take part in a transaction that somebody else began; what is written is theirs to commit."""
        if self.current() is not None:
            raise StoreUnusable("A transaction of the trust store is under way in this thread already.")
        self._local.head = self._lock(raw)
        self._local.connection = Statements(raw)
        try:
            yield self._local.connection
        finally:
            self._local.connection = None

    def head(self, connection: Connection) -> tuple[int, bytes] | None:
        """Give the journal's last record, as it was when the transaction got the lock."""
        del connection
        found: tuple[int, bytes] | None = self._local.head
        return found

    def note(self, seq: int, digest: bytes) -> None:
        """Tell the witness how far the journal has come, and wait until that is on the disk."""
        self._watermark.raise_to(seq, digest)

    def version(self) -> bytes:
        """Give a token that differs after every commit of any process, and never comes again."""
        outer = self.current()
        if outer is not None:
            token: bytes = outer.execute("SELECT token FROM version").fetchone()[0]
            return token  # of a transaction that may be rolled back; then nobody else ever sees it
        with self._database.reading() as raw:
            return self._verify(raw)[0]

    @contextmanager
    def map_errors(self) -> Iterator[None]:
        """Turn what is no failure of the database itself into `StoreUnusable`; the pool maps those that are."""
        try:
            yield
        except TrothError:
            raise
        except (OSError, ValueError) as error:
            # ValueError: a value in the tables that no version of this program wrote.
            raise StoreUnusable(
                "The trust store cannot be used: nothing was trusted, and nothing was stored.",
                why=str(error),
                next_command="troth journal verify",
            ) from error

    def close(self) -> None:
        """Do nothing: the pool belongs to who made it."""

    def _lock(self, raw: Raw) -> tuple[int, bytes] | None:
        # The head is read by a statement of its own: one that waited for the lock would still see what was before.
        with raw.pipeline():
            raw.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            psycopg.RawCursor(raw).execute(_LOCK, (LOCK,))
            _, follows, seq, digest = self._verify(raw)
        if follows:
            # Also where nothing would be written: what a standby has may be older than the last revocation.
            raise DatabaseReadOnly(
                "This node's database is a standby's: it decides nothing.",
                next_command="troth status shows the active node",
            )
        return (seq, digest) if seq else None

    def _verify(self, raw: Raw) -> tuple[bytes, bool, int, bytes]:
        """Read how far the database is, and hold it against what this node saw of it."""

        def record(seq: int) -> bytes | None:
            found: Any = psycopg.RawCursor(raw).execute(_RECORD, (seq,)).fetchone()
            return found[0] if found else None

        row: Any = psycopg.RawCursor(raw).execute(_STATE).fetchone()
        if row is None:
            raise StoreUnusable("The database has no trust store in it.", next_command="troth status")
        token, follows, store, seq, digest = row
        self._watermark.hold(store, seq, digest, record)
        self._verified.add(raw)
        return token, follows, seq, digest


class PostgresStore(Store):
    """The trust store in PostgreSQL. Threads may share it; after a fork, each process makes its own.

    Args:
        database: The pool; its tables are made by `database.migrate()`.
        folder: Where this node keeps what it saw of the store: its witness, and files for libpq.
        clock: Gives the time of decisions.
        actor: Who is named in the journal; by default the system's user.
    """

    def __init__(self, database: Database, folder: Path, *, clock: Clock = utc_now, actor: str = ""):
        super().__init__(PostgresEngine(database, folder), clock=clock, actor=actor)
        self._postgres: PostgresEngine = self._engine  # type: ignore[assignment]  # it was just made
        self._database = database

    def audit(self, raw: Raw, action: str, subject: str, detail: Mapping[str, object]) -> None:
        """Add a record to the journal in somebody else's transaction: both are kept, or neither.

        Args:
            raw: A connection inside `database.transaction()`.
            action: What is done.
            subject: To what.
            detail: What it rests on; never a secret.
        """
        own = self.acting(self.actor, self.origin)
        with self._postgres.joined(raw) as connection:
            own.journal(connection, action, subject, detail)
        head = own._pending  # noqa: SLF001  # our own
        assert head is not None  # noqa: S101  # it was just written
        self._database.afterwards(raw, lambda: self._postgres.note(*head))


@cache
def translated(sql: str) -> bytes:
    """Write a statement's parameters as PostgreSQL does; a bare `?` is the one after the highest so far, as in SQLite."""
    highest = 0

    def one(found: re.Match[str]) -> str:
        nonlocal highest
        number = int(found[1] or highest + 1)
        highest = max(highest, number)
        return f"${number}"

    return re.sub(r"\?(\d*)", one, sql).encode()


def _kept(parameters: Sequence[object]) -> list[object]:
    # PostgreSQL keeps no NUL in a text. What holds one is hostile or broken; it is kept as people are shown it.
    return [each.replace("\0", "\\x00") if isinstance(each, str) and "\0" in each else each for each in parameters]
