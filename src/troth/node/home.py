"""The home folder of a node, and how it is told from a folder that holds a trust store alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors.base import ConfigUnusable
from troth.store.paths import default_path

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "troth.toml"


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of a node lies.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration; that it is there is what makes the folder a node's home."""
        return self.path / MARKER

    @property
    def identity(self) -> Path:
        """The node's own keys and certificates."""
        return self.path / "identity"

    @property
    def secrets(self) -> Path:
        """The keys that secrets in the database are sealed with."""
        return self.path / "secrets"

    @property
    def postgres(self) -> Path:
        """The node's own PostgreSQL."""
        return self.path / "postgres"

    @property
    def programs(self) -> Path:
        """PostgreSQL's programs, where they had to be copied."""
        return self.path / "programs"

    @property
    def peers(self) -> Path:
        """The pins of this node's peers; they are the node's alone, and needed before the database runs."""
        return self.path / "peers.db"

    @property
    def state(self) -> Path:
        """What a running node writes: its lock, its control socket, its witnesses."""
        return self.path / "state"

    @property
    def control(self) -> Path:
        """The socket that `troth status` and `troth stop` talk to."""
        return self.state / "control"

    @property
    def logs(self) -> Path:
        """The logs of parts that do not write to the node's own."""
        return self.path / "logs"

    @property
    def is_node(self) -> bool:
        """Whether a node was initialised here."""
        return self.config.is_file()


def here() -> Home:
    """Give the home that this call is about, whether there is a node or not: `$TROTH_HOME`, else XDG."""
    return Home(default_path().parent.absolute())


def find() -> Path:
    """Give the folder of the node that this call is about.

    Raises:
        ConfigUnusable: No node was initialised there.
    """
    home = here()
    if not home.is_node:
        raise ConfigUnusable(
            f"There is no node in {home.path}.",
            why=f"a node's home holds the file {MARKER}; this is a trust store at most",
            next_command="troth init, or --home DIR for the home of a node",
        )
    return home.path
