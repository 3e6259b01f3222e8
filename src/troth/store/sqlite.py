"""The trust store in SQLite: the standard library alone, safe under many writers and under SIGKILL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from troth.store.base import Store, utc_now
from troth.store.connection import Database

if TYPE_CHECKING:
    from troth.store.reader import Clock


class SqliteStore(Store):
    """The trust store in one SQLite file. Make it with `SqliteStore.open`; threads may share it.

    Args:
        database: The opened file.
        clock: Gives the time of decisions.
        actor: Who is named in the journal; by default the system's user.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now, actor: str = ""):
        super().__init__(database, clock=clock, actor=actor)
        self.path = database.path

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock = utc_now, actor: str = "") -> SqliteStore:
        """Open the store, and make it if there never was one.

        Raises:
            StoreUnusable: It cannot be used, vanished, was rolled back, or is of another version.
        """
        database = Database(Path(path).absolute())
        database.open()
        return cls(database, clock=clock, actor=actor)
