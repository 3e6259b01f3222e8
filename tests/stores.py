"""Trust stores for tests, of both engines: what holds for one must hold for the other.

A test takes `store` and is marked `on_both_engines`; or it takes `place`, to open the same store several times, also
from other processes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from troth.store.base import Store
from troth.store.sqlite import SqliteStore

ENGINES = ("sqlite", "postgres")
on_both_engines = pytest.mark.parametrize("store", ENGINES, indirect=True)


class Place:
    """Where one store is.

    Args:
        conninfo: What libpq needs, if it is in PostgreSQL.
        folder: Where its file is, or its witness.
    """

    def __init__(self, folder: Path, conninfo: str = ""):
        self.folder, self.conninfo = folder, conninfo
        self._closing = contextlib.ExitStack()

    @property
    def text(self) -> str:
        """What another process needs to open it; see `Place.read`."""
        return json.dumps([str(self.folder), self.conninfo])

    @classmethod
    def read(cls, text: str) -> Place:
        """Make a place of its text."""
        folder, conninfo = json.loads(text)
        return cls(Path(folder), conninfo)

    def open(self, **options: Any) -> Store:
        """Open the store: anew each time, with connections of its own."""
        if not self.conninfo:
            store: Store = SqliteStore.open(self.folder / "trust.db", **options)
        else:
            from troth.database.pool import Database
            from troth.store.postgres import PostgresStore

            database = Database(self.conninfo)
            self._closing.callback(database.close)
            store = PostgresStore(database, self.folder, **options)
        self._closing.callback(store.close)
        return store

    def close(self) -> None:
        """Close all that was opened here."""
        self._closing.close()


@contextlib.contextmanager
def place_for(request: pytest.FixtureRequest, engine: str, folder: Path) -> Iterator[Place]:
    """Give a place for an empty store; skips where no PostgreSQL can run."""
    if engine == "sqlite":
        place = Place(folder)
        yield place
        place.close()
        return
    from tests.postgres import a_database

    with a_database(request.getfixturevalue("cluster")) as database:
        place = Place(folder, database.conninfo)
        yield place
        place.close()


@contextlib.contextmanager
def store_for(request: pytest.FixtureRequest, folder: Path) -> Iterator[Store]:
    """Give an empty store, for a fixture `store`; in SQLite, unless the test is for both engines."""
    with place_for(request, getattr(request, "param", "sqlite"), folder) as place:
        yield place.open()
