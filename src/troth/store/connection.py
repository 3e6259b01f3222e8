"""One SQLite file, opened so that it can be trusted: by one thread at a time, private, never re-made in silence.

Each thread has a connection of its own, and so has each process: a fork closes them all (see `forking`). Decisions are
committed with `synchronous=FULL`: when the caller hears "first use", the pin is on the disk.

The file must stay what it was while it is open. It may not be replaced, and neither may the index of its log; and when
its bytes were written by anything but a commit through the log, its journal must still hold what was seen of it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.errors.base import StoreUnusable
from troth.store import forking, index, opening, paths, schema, witness
from troth.store.listing import Dialect
from troth.store.opening import BUSY_TIMEOUT_S
from troth.store.trouble import index_vanished, map_errors, may_still_be_read, remedy, vanished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from troth.store.engine import Connection
    from troth.store.forking import Place

__all__ = ["BUSY_TIMEOUT_S", "DIALECT", "HEAD", "Database", "map_errors", "vanished"]

HEAD = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
DIALECT = Dialect(hex="lower(hex({}))", moment="strftime('%Y-%m-%dT%H:%M:%SZ', {} / 1000000, 'unixepoch')")


class _Held:
    """What one thread holds of the file.

    `stamp` says when the file's bytes were last held against the journal: its change time and size.
    """

    __slots__ = ("__weakref__", "connection", "index", "place", "stamp", "thread", "uses")

    def __init__(self, place: Place | None) -> None:
        self.thread = threading.get_ident()
        self.uses = 0
        self.place = place
        self.connection: sqlite3.Connection | None = None
        self.index: index.Index | None = None
        self.stamp: tuple[int, int] | None = None

    def let_go(self) -> None:
        """Close the connection; it is opened again at its next use."""
        gone, self.connection, self.index, self.stamp = self.connection, None, None, None
        if gone is not None:
            gone.close()

    def abandon(self) -> None:
        """Keep the connection open for ever, in a child: closing it would roll back in memory that is the parent's too."""
        import ctypes

        if self.connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))
        self.connection = self.index = None

    def __del__(self) -> None:
        self.let_go()


class Database:
    """The file, its connections, and its witness: the engine of the SQLite store.

    Args:
        path: The file.
    """

    dialect = DIALECT

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.witness_path = paths.witness_path(self.path)
        self.store_id = ""
        # Where nothing can be written: how SQLite is told so, and what is to be done about it.
        self.read_only, self._remedy = "", ""
        # As text: these are asked about on every connection's path, and a Path costs half as much again.
        self._name, self._index_path = str(self.path), f"{self.path}-shm"
        self._local = threading.local()
        self._identity: Place | None = None
        self._seen: witness.Witness | None = None
        forking.renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in a forked child."""
        self._local = threading.local()

    def open(self) -> None:
        """Open the file, make or migrate its tables, and hold it against its witness.

        Where nothing can be written (no space, no permission, a read-only disk), it is opened for reading alone.

        Raises:
            StoreUnusable: Any of this cannot be done.
        """
        paths.prepare_folder(self.path.parent)
        with map_errors(self.path), self._using():
            known, there = self._look()
            try:
                connection = self._first_connection(known)
            except (sqlite3.Error, OSError) as error:
                if not there or not may_still_be_read(error):
                    raise
                connection = self._read_only_connection(known, error)
            self.store_id = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()[0]
            self._check_witness(connection)

    def connection(self) -> sqlite3.Connection:
        """Give this thread's connection.

        Raises:
            StoreVanished: The file is not the one that was opened.
            StoreRolledBack: Its bytes are those of an older copy.
        """
        held = self._held()
        if held.connection is None:
            return self._connect(held)
        self._require_same_file(held)
        return held.connection

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.path.parent

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection."""
        with map_errors(self.path), self._using():
            yield self.connection()

    def current(self) -> sqlite3.Connection | None:
        """Give this thread's connection if it is in a transaction."""
        held = self._held()
        return self.connection() if held.connection is not None and held.connection.in_transaction else None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, with the write lock held from its beginning."""
        if self.read_only:
            raise StoreUnusable(
                f"The trust store {self.path} can only be read now: nothing was trusted, and nothing was stored.",
                next_command=self._remedy,
            )
        with self._using() as held:
            connection, process = self.connection(), os.getpid()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._require_history(connection, witness.read(self.witness_path))
                yield connection
                if os.getpid() != process:
                    forking.require_usable(held.place or (0, 0))
                self._require_same_file(held)
                connection.execute("COMMIT")
            except BaseException:
                if os.getpid() == process and connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def head(self, connection: Connection) -> tuple[int, bytes] | None:
        """Give the journal's last record: its number and hash."""
        found: tuple[int, bytes] | None = connection.execute(HEAD).fetchone()
        return found

    def map_errors(self) -> AbstractContextManager[None]:
        """Turn SQLite's errors into one that says what to do."""
        return map_errors(self.path)

    def close(self) -> None:
        """Close this thread's connection. It is opened again if the store is used again."""
        self._held().let_go()

    def version(self) -> bytes:
        """Give a token that differs after every commit of any process; it costs no system call but two `stat`s.

        It is the header of SQLite's WAL index (sqlite.org/walformat.html, section 2.1), which every commit changes.
        """
        held = self._held()
        if held.index is not None:
            self._require_same_file(held)
            try:
                return held.index.token()
            except (ValueError, AttributeError):
                pass  # another thread forks at this very moment, so all was let go
        with self._using():
            self.connection()
            if held.index is None:
                raise StoreUnusable(
                    f"The trust store {self.path} can only be read now, so changes of it cannot be followed.",
                    next_command=self._remedy,
                )
            return held.index.token()

    def note(self, seq: int, digest: bytes, *, durable: bool = False) -> None:
        """Tell the witness how far the journal has come; to be called after the commit."""
        known = witness.Witness(self.store_id, seq, digest.hex())
        if self._seen is None or seq > self._seen.seq:
            self._seen = known
        witness.write(self.witness_path, known, durable=durable)

    # What this thread holds

    def _held(self) -> _Held:
        try:
            held: _Held = self._local.held
        except AttributeError:
            held = self._local.held = _Held(self._identity)
            forking.watch(held)
        return held

    @contextmanager
    def _using(self) -> Iterator[_Held]:
        held = self._held()
        forking.enter(held)
        try:
            yield held
        finally:
            forking.leave(held)

    def _connect(self, held: _Held) -> sqlite3.Connection:
        found = self._stat()
        forking.require_usable(index.place_of(found))
        held.place = self._identity
        held.connection = connection = opening.connect(self.path, self.read_only)
        try:
            if self.read_only != opening.ALONE:
                held.index = index.mapped(self._index_path, index.place_of(found))
            if self.store_id:
                self._require_history(connection)
        except BaseException:
            held.let_go()
            raise
        held.stamp = (found.st_ctime_ns, found.st_size)
        return connection

    # Opening

    def _look(self) -> tuple[witness.Witness | None, bool]:
        """Look at what is there before anything is made or opened: what the witness knows, and whether there is a store."""
        paths.require_private_all(self.path)
        known = witness.read(self.witness_path)
        there = self.path.exists()
        if known is not None and not there:
            raise vanished(self.path)
        if there:
            opening.require_ours(self.path)
        return known, there

    def _first_connection(self, known: witness.Witness | None) -> sqlite3.Connection:
        with paths.locked(paths.lock_path(self.path)):
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._identify(known)
            version = opening.inspect(self.path, fresh=known is None)
            connection = self.connection()
            if version != schema.VERSION:
                opening.bring_up(connection, version)
        return connection

    def _read_only_connection(self, known: witness.Witness | None, error: Exception) -> sqlite3.Connection:
        self._held().let_go()
        self._identify(known)
        how = opening.reading_only(self.path)
        try:
            version = opening.inspect(self.path, fresh=False, read_only=how)
            if version != schema.VERSION:
                raise error
            self.read_only, self._remedy = how, remedy(self.path, error)
            return self.connection()
        except (sqlite3.Error, OSError):
            raise error from None

    def _identify(self, known: witness.Witness | None) -> None:
        found = self.path.stat()
        self._identity = self._held().place = index.place_of(found)
        forking.require_usable(self._identity)
        if known is not None and found.st_size == 0:
            raise vanished(self.path)

    def _check_witness(self, connection: sqlite3.Connection) -> None:
        known = witness.read(self.witness_path)
        seq, head = connection.execute(HEAD).fetchone() or (0, bytes(32))
        if known is not None:
            self._require_history(connection, known)
        elif not self.read_only:
            self.note(seq, head, durable=True)
        self._seen = witness.Witness(self.store_id, seq, head.hex())

    # Is it still what it was?

    def _stat(self) -> os.stat_result:
        try:
            found = os.stat(self._name)
        except OSError:
            raise vanished(self.path) from None
        if self._identity != (found.st_dev, found.st_ino):
            raise vanished(self.path)
        return found

    def _require_same_file(self, held: _Held) -> None:
        """Stop if the file or the index of its log was deleted or replaced, or its bytes are those of an older copy.

        Raises:
            StoreVanished: Deleted or replaced.
            StoreRolledBack: Older.
        """
        found = self._stat()
        mapped = held.index
        if mapped is not None:
            try:
                beside = os.stat(self._index_path)
            except OSError:
                raise index_vanished(self.path) from None
            if mapped.place != (beside.st_dev, beside.st_ino):
                raise index_vanished(self.path)
        elif self.read_only and opening.reading_only(self.path) != self.read_only:
            raise index_vanished(self.path)
        if held.stamp != (found.st_ctime_ns, found.st_size):
            self._require_same_history((found.st_ctime_ns, found.st_size))

    def _require_same_history(self, stamp: tuple[int, int]) -> None:
        """Hold the file's bytes against the journal: they were written by a checkpoint, or by something else."""
        with map_errors(self.path), self._using() as held:
            if held.connection is None:
                self._connect(held)
                return
            # What SQLite has in memory is not what is in the file, if it was written past SQLite.
            held.connection.execute("PRAGMA shrink_memory").fetchall()
            if self.store_id:
                self._require_history(held.connection)
            held.stamp = stamp

    def _require_history(self, connection: sqlite3.Connection, known: witness.Witness | None = None) -> None:
        """Stop if the journal lacks the last record that this process saw, or the one that the witness knows.

        Raises:
            StoreRolledBack: It does.
        """

        def record(seq: int) -> bytes | None:
            found = connection.execute("SELECT hash FROM journal WHERE seq = ?", (seq,)).fetchone()
            return found[0] if found else None

        (store,) = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone() or ("",)
        for each in {known, self._seen} - {None}:
            if each is not None:
                witness.require(each, self.path, store, record)
