"""One node, opened: its configuration and, each when it is first asked for, its keys, its database and what is in it.

The command line, the application and the supervisor all open it here, so that each of them sees the same node.
"""

from __future__ import annotations

import copy
import os
from functools import cached_property
from typing import TYPE_CHECKING

from troth.node import config as configuration
from troth.node.home import Home, find

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from troth.accounts.bundle import Accounts
    from troth.accounts.protocols import Audit
    from troth.database.cluster import Cluster
    from troth.database.pool import Database
    from troth.identity import Identity
    from troth.ise.servers import Servers
    from troth.node.vault import Vault
    from troth.notify.board import Board
    from troth.notify.outbox import Outbox
    from troth.notify.settings import Channels
    from troth.store.postgres import PostgresStore
    from troth.store.sqlite import SqliteStore

# What names who acts, and is made anew for somebody else.
_PERSONAL = ("store", "ise", "board", "channels", "outbox")


class Node:
    """A node that was initialised.

    Args:
        home: Its home.
        actor: Who acts; by default the system's user.
        config: Its configuration, where it is not written yet.
        patience_s: How long to wait for the database: for commands little, for servers longer.
    """

    def __init__(
        self,
        home: Home | None = None,
        *,
        actor: str = "",
        config: configuration.Config | None = None,
        patience_s: float = 1.0,
    ):
        self._patience_s = patience_s
        self.home = home or Home(find())
        self.config = config or configuration.read(self.home)
        self._actor = actor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def acting(self, actor: str, origin: str = "") -> Node:
        """Give the same node as somebody else uses it; the journal names them."""
        # What everybody shares is made before it is copied, or each of them would make their own.
        _ = self.store, self.vault, self.accounts
        other = copy.copy(self)
        for name in _PERSONAL:
            other.__dict__.pop(name, None)
        other.__dict__["store"] = self.store.acting(actor, origin)
        return other

    @property
    def audit(self) -> Audit:
        """What writes the journal in the transactions of others."""
        return self.store.audit

    def close(self) -> None:
        """Close what was opened."""
        if "database" in self.__dict__:
            self.database.close()

    @cached_property
    def cluster(self) -> Cluster | None:
        """The node's own PostgreSQL; None if an existing service is used."""
        return None if self.config.database.url else own_cluster(self.home, self.config)

    @cached_property
    def database(self) -> Database:
        """Connections to the database, wherever it is."""
        from troth.database.pool import Database

        return Database(self.config.database.url or own_conninfo(self.home), wait_s=self._patience_s)

    @cached_property
    def vault(self) -> Vault:
        """What seals secrets."""
        from troth.node.vault import Vault

        return Vault.read(self.home.secrets)

    @cached_property
    def identity(self) -> Identity:
        """The node's own keys and certificates."""
        from troth.identity import Identity
        from troth.store.base import utc_now

        return Identity(self.home.identity, utc_now, names=self.config.names)

    @cached_property
    def store(self) -> PostgresStore:
        """What the pair trusts: the pins of hosts and servers, policies, the journal."""
        from troth.store.postgres import PostgresStore

        self.home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PostgresStore(self.database, self.home.state, actor=self._actor)

    @cached_property
    def peers(self) -> SqliteStore:
        """What this node alone trusts: its peer. It must be readable before the database runs."""
        from troth.store.sqlite import SqliteStore

        return SqliteStore.open(self.home.peers, actor=self._actor)

    @cached_property
    def accounts(self) -> Accounts:
        """Users, log-ins and tokens."""
        from troth.accounts.bundle import Accounts

        return Accounts(self.database, self.vault)

    @cached_property
    def ise(self) -> Servers:
        """The ISE servers."""
        from troth.ise.servers import Servers

        return Servers(self.database, self.vault, actor=self.store.actor, audit=self.store.audit)

    @cached_property
    def board(self) -> Board:
        """Events and silences."""
        from troth.notify.board import Board

        return Board(self.database, clock=self.store.now, audit=self.store.audit)

    @cached_property
    def channels(self) -> Channels:
        """Where events are sent."""
        from troth.notify.settings import Channels

        return Channels(
            self.database,
            self.store,
            self.vault,
            clock=self.store.now,
            name=self.config.name,
            audit=self.store.audit,
        )

    @cached_property
    def outbox(self) -> Outbox:
        """What waits to be delivered."""
        from troth.notify.outbox import Outbox

        return Outbox(self.database, self.channels, clock=self.store.now)

    def permit(self, address: str, port: int) -> None:
        """Go on only if somebody may make the node connect to an address; asked at the moment of connecting.

        Raises:
            NotAllowed: Nobody may.
        """
        from troth.errors import NotAllowed
        from troth.watch.reach import may_probe

        permission = may_probe(address, self.config.probes.policy, port=port)
        if not permission:
            raise NotAllowed(
                f"{address} is not probed.", why=permission.why, next_command="allow it in troth.toml, under [probes]"
            )


def own_cluster(home: Home, config: configuration.Config) -> Cluster:
    """Give the node's own PostgreSQL, with programs of the version that its data folder is for."""
    from troth.database.binaries import find as find_programs
    from troth.database.cluster import Cluster

    version = home.postgres / "data" / "PG_VERSION"
    major = int(version.read_text().strip()) if _readable(version) else None
    programs = find_programs(config.postgres.programs, major=major, private_copy=home.programs)
    return Cluster(home.postgres, programs, user=config.postgres.user, small=config.postgres.small)


def own_conninfo(home: Home) -> str:
    """Give what libpq needs for the node's own PostgreSQL, without looking for its programs."""
    from troth.database.settings import conninfo

    return conninfo(home.postgres / "run")


def _readable(file: object) -> bool:
    return os.access(str(file), os.R_OK)
