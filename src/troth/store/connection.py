"""One SQLite file, opened so that it can be trusted: by one thread at a time, private, never re-made in silence.

Each thread has a connection of its own, and so has each process after a fork. Decisions are committed with
`synchronous=FULL`: when the caller hears "first use", the pin is on the disk.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from troth.errors.base import StoreRolledBack, StoreUnusable, StoreVanished, StoreVersion, TrothError
from troth.store import paths, schema, witness

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_S = 60.0
_ACCEPT = "troth journal accept"


class _Header(NamedTuple):
    """The shared memory of a store, as this process has mapped it; no two of them have one serial."""

    serial: bytes
    handle: int
    memory: mmap.mmap


# A handle on the shared-memory file must not be closed while the file is in use: POSIX drops all of a process's locks on
# a file with the first handle that is closed, and SQLite's own locks are among them (sqlite.org/howtocorrupt.html,
# section 2.2).
_mapped: dict[tuple[int, int], _Header] = {}
_mapped_lock = threading.Lock()
_serials = itertools.count()


class Database:
    """The file, its connections, and its witness."""

    def __init__(self, path: Path):
        self.path = path
        self.witness_path = paths.witness_path(path)
        self.store_id = ""
        self._local = threading.local()
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        """Open the file, make or migrate its tables, and hold it against its witness.

        Raises:
            StoreUnusable: Any of this cannot be done.
        """
        paths.prepare_folder(self.path.parent)
        with map_errors(self.path):
            connection = self._first_connection()
            self.store_id = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()[0]
            self._check_witness(connection)

    def connection(self) -> sqlite3.Connection:
        """Give this thread's connection.

        Raises:
            StoreVanished: The file is not the one that was opened.
        """
        self.require_same_file()
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            held = (os.getpid(), self._connect())
            self._local.held = held
        return held[1]

    def require_same_file(self) -> None:
        """Stop if the file was deleted or replaced since it was opened.

        Raises:
            StoreVanished: It was.
        """
        try:
            found = os.stat(self.path)  # on every connection's path; Path.stat costs twice as much
        except OSError:
            raise vanished(self.path) from None
        if self._identity != (found.st_dev, found.st_ino):
            raise vanished(self.path)

    def close(self) -> None:
        """Close this thread's connection."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            held[1].close()
        # With its last connection, SQLite removes the shared memory: what is mapped of it tells no change any more.
        self._local.held = self._local.header = None

    def version(self) -> bytes:
        """Give a token that differs after every commit of any process; it costs no system call but one `stat`.

        It is the header of SQLite's WAL index (sqlite.org/walformat.html, section 2.1), which every commit changes. The
        header of an index that was just made is always the same one, so the token also says which index it is.
        """
        self.require_same_file()
        header = self._header()
        return header.serial + header.memory[:96]

    def note(self, seq: int, digest: bytes, *, durable: bool = False) -> None:
        """Tell the witness how far the journal has come; to be called after the commit."""
        witness.write(self.witness_path, witness.Witness(self.store_id, seq, digest.hex()), durable=durable)

    def _first_connection(self) -> sqlite3.Connection:
        known = witness.read(self.witness_path)
        if known is not None and not self.path.exists():
            raise vanished(self.path)
        if self.path.exists() or self.path.is_symlink():
            paths.require_private(self.path)
        with _locked(paths.lock_path(self.path)):
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            found = self.path.stat()
            self._identity = (found.st_dev, found.st_ino)
            if known is not None and found.st_size == 0:
                raise vanished(self.path)
            version = _inspect(self.path, fresh=known is None)
            connection = self.connection()
            if version != schema.VERSION:
                _bring_up(connection, version)
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def _check_witness(self, connection: sqlite3.Connection) -> None:
        known = witness.read(self.witness_path)
        row = connection.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        head_seq, head = row or (0, bytes(32))
        if known is None:
            self.note(head_seq, head, durable=True)
            return
        if known.store != self.store_id:
            raise StoreRolledBack(
                f"{self.path} is another trust store than the one that was here.",
                why=f"store {self.store_id} in place of {known.store}",
                next_command=f"{_ACCEPT}, if you put it there yourself",
            )
        found = connection.execute("SELECT hash FROM journal WHERE seq = ?", (known.seq,)).fetchone()
        if known.seq and (found is None or found[0].hex() != known.hash):
            raise StoreRolledBack(
                f"{self.path} is not the store that it was: record {known.seq} of its journal "
                + ("is missing." if found is None else "is another one."),
                why="an old copy was put back, or the journal was rewritten; what was revoked since would be trusted",
                next_command=f"restore the newest copy; or, if you put this one back yourself: {_ACCEPT}",
            )

    def _header(self) -> _Header:
        held: _Header | None = getattr(self._local, "header", None)
        if held is None or self._local.header_pid != os.getpid():
            self.connection().execute("SELECT 1 FROM meta").fetchone()
            held = _map(Path(f"{self.path}-shm"))
            self._local.header, self._local.header_pid = held, os.getpid()
        return held


@contextmanager
def map_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one that says what to do.

    Raises:
        StoreUnusable: For each of them.
    """
    try:
        yield
    except TrothError:
        raise
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        raise StoreUnusable(
            f"The trust store {path} cannot be used: nothing was trusted, and nothing was stored.",
            why=f"{error}" + (f" ({name})" if name else ""),
            next_command=_REMEDIES.get(
                name.split("_")[1] if "_" in name else "", "restore the newest copy of the store"
            ),
        ) from error
    except (OSError, ValueError) as error:
        # ValueError: a value in the tables that no version of this program wrote.
        raise StoreUnusable(
            f"The trust store {path} cannot be used: nothing was trusted, and nothing was stored.",
            why=str(error),
            next_command="restore the newest copy of the store",
        ) from error


_REMEDIES = {
    "FULL": "free space on the disk, then run the command again",
    "BUSY": "run the command again; another process is writing",
    "READONLY": "run the command as the owner of the store",
    "CANTOPEN": "run the command as the owner of the store",
    "IOERR": "look at the disk (dmesg), then run the command again",
}


def vanished(path: Path) -> StoreVanished:
    """Say that the store is gone, which is never a first use."""
    return StoreVanished(
        f"The trust store {path} was here before and is gone: no host is trusted until it is back.",
        why="a store that vanished must not make every host a stranger again",
        next_command="restore the newest copy; or, to begin again with nothing: troth journal accept --empty",
    )


def _inspect(path: Path, *, fresh: bool) -> int:
    """Give the version of the tables, read without changing the file: it may be another program's.

    Raises:
        StoreVersion: It is of a newer version, or no trust store.
        StoreVanished: It is empty, and was not.
    """
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        connection.close()
    if tables and application != schema.APPLICATION_ID:
        raise StoreVersion(f"{path} is a database, and no trust store of Troth.", next_command="set TROTH_HOME")
    if version > schema.VERSION:
        raise StoreVersion(
            f"{path} was written by a newer Troth (store version {version}, this one knows {schema.VERSION}).",
            next_command="update troth on this machine",
        )
    if version == 0 and not fresh:
        raise vanished(path)
    return version


def _bring_up(connection: sqlite3.Connection, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(connection, version)
        connection.execute("INSERT INTO meta VALUES ('store', ?) ON CONFLICT DO NOTHING", (os.urandom(8).hex(),))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _map(path: Path) -> _Header:
    """Map the shared memory, once for the process; the caller has a connection open that uses it."""
    with _mapped_lock:
        place = _place(os.stat(path))
        if place not in _mapped:
            for gone in [each for each, held in _mapped.items() if not os.fstat(held.handle).st_nlink]:
                # SQLite removed it, so nobody has a lock on it. Threads that have it mapped keep it mapped.
                os.close(_mapped.pop(gone).handle)
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            place = _place(os.fstat(handle))
            memory = mmap.mmap(handle, 4096, prot=mmap.PROT_READ)
            _mapped[place] = _Header(next(_serials).to_bytes(8), handle, memory)
        return _mapped[place]


def _place(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
