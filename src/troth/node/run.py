"""`troth serve`: a node from its lock to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from troth._version import __version__
from troth.errors import ConfigUnusable, TrothError
from troth.model.entry import PinState
from troth.node import logs
from troth.node.lock import exclusive
from troth.node.monitor import HealthMonitor
from troth.node.node import Node
from troth.node.parts import ApplicationPart, Part, PostgresPart
from troth.node.serving import Served
from troth.node.supervisor import Supervisor

if TYPE_CHECKING:
    from troth.identity import Identity
    from troth.node.config import Listen
    from troth.node.home import Home
    from troth.store.sqlite import SqliteStore

_log = logging.getLogger("troth.node")
_HELD = (PinState.CURRENT, PinState.NEXT)


def serve(home: Home) -> None:
    """Run the node of a home until it is told to stop.

    Raises:
        ConfigUnusable: Its configuration cannot be used, or an address is taken.
        NodeRunning: It runs already.
    """
    os.umask(0o077)  # logs and sockets are nobody else's
    with Node(home) as node:
        logs.set_up(node.config.logging)
        with exclusive(home):
            asyncio.run(_run(node))


def listener(where: Listen, what: str) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigUnusable: The address is not this machine's, or is taken.
    """
    try:
        if not where.address:
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            return socket.create_server(("", where.port), family=family, dualstack_ipv6=dual, backlog=128)
        family = socket.AF_INET6 if ":" in where.address else socket.AF_INET
        return socket.create_server((where.address, where.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigUnusable(
            f"{what} cannot listen on {where.address or 'all addresses'}, port {where.port}.",
            why=error.strerror or str(error),
            next_command="see who listens there (ss -ltnp), or name another port in troth.toml",
        ) from None


def peer_certificates(store: SqliteStore) -> frozenset[bytes]:
    """Give the certificates (DER) of this node's peers."""
    pins = [pin for entry in store.entries() for pin in entry.having(*_HELD)]
    views = [store.certificate(pin.certificate) for pin in pins]
    return frozenset(view.der for view in views if view is not None)


def take_up(identity: Identity) -> None:
    """Put in force what waits for this start. A certificate that cannot come into force keeps no node from starting."""
    try:
        change = identity.start()
    except TrothError as error:
        _log.error("the next certificate was not put in force: %s", error)
        return
    if change is None or change.generation.certificate is None:
        return
    fingerprint = change.generation.certificate.fingerprint
    wrong = [each.what for each in change.findings if each.severity == "error"]
    if wrong:
        _log.error("the next certificate, %s, was not put in force: %s", fingerprint, " ".join(wrong))
    else:
        _log.warning("the certificate %s is in force from now on", fingerprint)


async def _run(node: Node) -> None:
    take_up(node.identity)
    open_socket = listener(node.config.health, "The Health Monitor")
    served = Served(node.identity, clients=peer_certificates(node.peers))
    monitor = HealthMonitor(served, lambda: peer_certificates(node.peers), lambda: supervisor.liveness())
    parts: list[Part] = []
    if node.cluster is not None:
        parts.append(PostgresPart(node.cluster, node.home.logs))
    parts.append(ApplicationPart(node.home))
    since = datetime.now(UTC)
    health = open_socket.getsockname()[:2]

    def about() -> dict[str, Any]:
        current = node.identity.current()
        return {
            "schema": "troth.status/1",
            "name": node.config.name,
            "home": str(node.home.path),
            "version": __version__,
            "since": since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "role": "standalone",
            "health": {"address": health[0], "port": health[1]},
            "certificate": {
                "fingerprint": str(current.certificate.fingerprint) if current.certificate else None,
                "not_after": _moment(current.certificate.not_after if current.certificate else None),
            },
        }

    supervisor = Supervisor(node.home, parts, monitor, about)
    await monitor.start(open_socket)
    _log.info("node %s of Troth %s; Health Monitor on port %s", node.config.name, __version__, health[1])
    await supervisor.run()


def _moment(value: datetime | None) -> str | None:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z") if value else None
