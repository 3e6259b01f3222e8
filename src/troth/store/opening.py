"""How a file becomes a trust store: found, or made, or brought to the tables of today. Nothing else is ever touched."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from troth.errors.base import StoreVersion
from troth.store import schema
from troth.store.trouble import vanished

if TYPE_CHECKING:
    from pathlib import Path

BUSY_TIMEOUT_S = 60.0
# How SQLite reads a file that is whole by itself: without locks, and without an index beside it.
ALONE = "mode=ro&immutable=1"
_PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF")


def connect(path: Path, read_only: str = "") -> sqlite3.Connection:
    """Connect to a database.

    Args:
        path: The file.
        read_only: The part of SQLite's URI that says how, where nothing can be written.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?{read_only or 'mode=rw'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in _PRAGMAS if read_only else ("journal_mode = WAL", *_PRAGMAS):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        # The first read opens the log and its index.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def reading_only(path: Path) -> str:
    """Give the part of SQLite's URI with which a store is read where nothing can be written.

    A log that holds something must be read, and needs its index. Where there is none, the file is whole by itself, and is
    read without locks, and without making a file beside it.
    """
    try:
        return "mode=ro" if os.stat(f"{path}-wal").st_size else ALONE
    except FileNotFoundError:
        return ALONE


def require_ours(path: Path) -> None:
    """Stop at another program's database, before anything is made beside it.

    Raises:
        StoreVersion: It is one.
    """
    if not path.stat().st_size:
        return
    uri = f"{path.as_uri()}?{reading_only(path)}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        _require_application(connection, path)


def inspect(path: Path, *, fresh: bool, read_only: str = "") -> int:
    """Give the version of the tables, read without changing the file: it may be another program's.

    Raises:
        StoreVersion: It is of a newer version, or no trust store.
        StoreVanished: It is empty, and was not.
    """
    uri = f"{path.as_uri()}?{read_only or 'mode=ro'}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        _require_application(connection, path)
    if version > schema.VERSION:
        raise StoreVersion(
            f"{path} was written by a newer Troth (store version {version}, this one knows {schema.VERSION}).",
            next_command="update troth on this machine",
        )
    if version == 0 and not fresh:
        raise vanished(path)
    return version


def _require_application(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != schema.APPLICATION_ID:
        raise StoreVersion(f"{path} is a database, and no trust store of Troth.", next_command="set TROTH_HOME")


def bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables, or bring them from a version to today's, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(connection, version)
        connection.execute("INSERT INTO meta VALUES ('store', ?) ON CONFLICT DO NOTHING", (os.urandom(8).hex(),))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
