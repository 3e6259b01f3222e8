"""What is on record, line by line, for the two commands that people run most; so this module imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.store.paths import default_path

if TYPE_CHECKING:
    from troth.store.listing import Listed


def listed(*, domain: str | None = None, deleted: bool = False) -> list[Listed]:
    """Read one line per entry of the store that this call is about: a node's, where the home is one."""
    path = default_path()
    if path.with_name("troth.toml").is_file():
        from troth.node.node import Node

        with Node() as node:
            return node.store.listing(domain=domain, deleted=deleted)
    from troth.store.connection import Database, map_errors
    from troth.store.listing import listing

    database = Database(path)
    database.open()
    with map_errors(database.path):
        return listing(database.connection(), database.dialect, domain=domain, deleted=deleted)
