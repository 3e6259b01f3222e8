"""What an administrator does with ISE servers: add one, test one. The command, the API and the pages call these.

They wait for the network and the database, and run an event loop of their own: async code calls `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth import manage
from troth.errors import TrothError
from troth.ise.client import DOMAIN, IseClient
from troth.ise.poll import ask, keep
from troth.ise.protocols import utc_now
from troth.ise.servers import require_usable
from troth.ise.state import DEFAULT_INTERVAL_S, poll_of
from troth.model.entry import PinKind
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.rejection import require_trusted

if TYPE_CHECKING:
    from troth.ise.models import Credentials, Role, Server
    from troth.ise.protocols import Clock
    from troth.ise.servers import Servers
    from troth.ise.state import Poll
    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint
    from troth.store.protocol import TrustStore
    from troth.tls.connect import Permit


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A server to add.

    Args:
        endpoint: Where.
        credentials: The user and the password.
        role: Primary or standby; None for the one that is free.
        timeout_s: The limit of one request, in seconds.
        expect: The fingerprint (certificate or key) that its certificate must have.
        untested: Whether it is put on record without being asked anything.
        permit: Raises for an address (and port) that must not be connected to.
    """

    endpoint: Endpoint
    credentials: Credentials
    role: Role | None = None
    timeout_s: float = 15.0
    expect: Fingerprint | None = None
    untested: bool = False
    permit: Permit | None = None


def add(servers: Servers, store: TrustStore, wish: Wish, *, clock: Clock = utc_now) -> Server:
    """Add a server that was tested: its certificate first, then its credentials. What fails leaves no server behind.

    Raises:
        CertificateRejected: Its certificate is not the trusted or the expected one; no credential left.
        IseCredentialsRefused: ISE does not accept the user and the password.
        IseWrongGroup: The user may not read the monitoring.
        IseNotMonitoring: It is no monitoring node.
        Unreachable: It does not answer, or not as ISE does.
        BadInput: There is no room for it, or a value cannot be used.
    """
    require_usable(wish.credentials, wish.timeout_s)
    servers.require_room(wish.endpoint, wish.role)
    found: Poll | None = None
    if wish.untested:
        if wish.expect is not None:
            manage.pin(store, wish.endpoint, kind=PinKind.CERTIFICATE, fingerprint=wish.expect, domain=DOMAIN)
    else:
        target = Target(endpoint=wish.endpoint, timeout_s=wish.timeout_s, permit=wish.permit)
        require_trusted(check_target(store, target, domain=DOMAIN, expect=wish.expect))
        found = asyncio.run(_converse(store, wish.endpoint, wish.credentials, wish.timeout_s, clock))
    made = servers.put(wish.endpoint, wish.credentials, role=wish.role, timeout_s=wish.timeout_s)
    return made if found is None else _keep(servers, made, found)


def examine(
    servers: Servers, store: TrustStore, server: Server, *, clock: Clock = utc_now, strict: bool = False
) -> Server:
    """Ask a server now, whenever it is due; give it as it stands afterwards.

    Args:
        servers: The servers.
        store: The trust store.
        server: Which.
        clock: Gives the time.
        strict: What went wrong with the server is kept, and raised as well.

    Raises:
        TrothError: Something went wrong with the server, and `strict` was asked for.
        StoreUnusable: The trust store cannot be used: nothing was learned about the server.
        NotFound: The server was changed or removed meanwhile.
    """
    try:
        found = asyncio.run(_converse(store, server.endpoint, servers.credentials(server), server.timeout_s, clock))
    except TrothError as error:
        failed = poll_of(error, clock())
        if failed is None:
            raise
        kept = _keep(servers, server, failed)
        if strict:
            raise
        return kept
    return _keep(servers, server, found)


async def _converse(
    store: TrustStore, endpoint: Endpoint, credentials: Credentials, timeout_s: float, clock: Clock
) -> Poll:
    """Ask for what a poll asks for.

    Raises:
        TrothError: Something went wrong.
    """
    async with IseClient(store, endpoint, credentials, timeout_s=timeout_s) as client:
        return await ask(client, clock)


def _keep(servers: Servers, server: Server, found: Poll) -> Server:
    return keep(servers, server, found, interval_s=DEFAULT_INTERVAL_S)[0]
