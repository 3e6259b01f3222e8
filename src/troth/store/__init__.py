"""Where trust is kept. `sqlite` needs no server and nothing but the standard library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from troth.store.sqlite import SqliteStore


def open_store(path: str | Path | None = None) -> SqliteStore:
    """Open the trust store, and make it if there never was one.

    Args:
        path: The database file; by default `$TROTH_HOME/trust.db`, else `$XDG_DATA_HOME/troth/trust.db`.

    Raises:
        StoreUnusable: It cannot be read or written, vanished, was rolled back, or is of a newer version.
    """
    from troth.store.paths import default_path
    from troth.store.sqlite import SqliteStore

    return SqliteStore.open(default_path() if path is None else path)
