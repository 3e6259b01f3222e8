"""The home folder of a node, and how it is told from a folder that holds a trust store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors.base import ConfigUnusable
from troth.store.paths import default_path

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "troth.toml"


def find() -> Path:
    """Give the home of the node that this call is about.

    Raises:
        ConfigUnusable: No node was initialised there.
    """
    home = default_path().parent
    if not (home / MARKER).is_file():
        raise ConfigUnusable(
            f"There is no node in {home}.",
            why=f"a node's home holds the file {MARKER}; this is a trust store at most",
            next_command="troth init, or --home DIR for the home of a node",
        )
    return home
