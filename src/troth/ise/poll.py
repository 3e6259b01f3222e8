"""Polls the servers: the primary, and the standby where the primary does not answer, or has not been looked at for long.

Certificates are checked by code that waits for the trust store, and for a second look at a host that was refused. Run the
poller in an event loop of its own (`asyncio.to_thread(asyncio.run, poller.run())`), so that nobody else waits with it.
"""

from __future__ import annotations

import asyncio
import logging
import random as _random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from troth.errors import IseNotMonitoring, NotFound, TrothError
from troth.ise import rotation
from troth.ise.client import IseClient
from troth.ise.models import Condition, Findings, NodeType, Role, Server
from troth.ise.protocols import utc_now
from troth.ise.state import DEFAULT_INTERVAL_S, Event, EventKind, Poll, is_due, poll_of, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from troth.ise.models import Credentials
    from troth.ise.protocols import Clock
    from troth.ise.servers import Servers
    from troth.store.protocol import TrustStore

    Kept: TypeAlias = tuple[Server, tuple[Event, ...]]

_LOG = logging.getLogger("troth.ise")
# A standby that is never asked is one that fails when it is needed.
STANDBY_EVERY_S = 3600.0
ROTATION_EVERY_S = 3600.0
_SPREAD = 0.1
_SHORTEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round did.

    Args:
        servers: The servers as they stand now.
        answering: The server that answers; None if none does.
        events: What happened.
        pause_s: Seconds until the next round.
    """

    servers: tuple[Server, ...]
    answering: Server | None
    events: tuple[Event, ...]
    pause_s: float


async def ask(client: IseClient, clock: Clock) -> Poll:
    """Ask a server for its version and counts.

    Raises:
        TrothError: Something went wrong; `state.poll_of` says what that means.
    """
    version = await client.version()
    if version.node_type is NodeType.NONE:
        raise IseNotMonitoring(f"{client.endpoint} says that it is not a monitoring node.")
    counts = await client.counts()
    return Poll(condition=Condition.REACHABLE, at=clock(), version=version, counts=counts)


def keep(servers: Servers, server: Server, found: Poll, *, interval_s: float, jitter: float = 1.0) -> Kept:
    """Keep what a poll found about a server; give the server as it stands now, and what is to be told."""
    state, told = step(server.state, found, server.endpoint, interval_s=interval_s, jitter=jitter)
    findings = server.findings
    if found.version is not None and found.counts is not None:
        findings = Findings(version=found.version, counts=found.counts, at=found.at)
    servers.note(server, state, findings)
    return replace(server, state=state, findings=findings), told


class Poller:
    """Polls for ever, or round by round.

    Args:
        servers: The servers on record.
        store: The trust store.
        interval_s: Seconds between polls of a server that answers.
        tell: Gets every event.
        clock: Gives the time.
        random: Gives numbers from 0 to 1.
        sleep: Waits.
    """

    def __init__(
        self,
        servers: Servers,
        store: TrustStore,
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        tell: Callable[[Event], None] = lambda _: None,
        clock: Clock = utc_now,
        random: Callable[[], float] = _random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._servers, self._store, self._interval_s = servers, store, interval_s
        self._tell, self._clock, self._random, self._sleep = tell, clock, random, sleep
        self._answering: Role | None = None
        self._looked: dict[int, datetime] = {}

    async def run(self) -> None:
        """Poll until cancelled; a round that cannot be done is logged, and tried again."""
        while True:
            try:
                pause_s = (await self.round()).pause_s
            except TrothError as error:
                _LOG.error("ISE servers were not polled: %s", error)
                pause_s = self._interval_s * self._jitter()
            await self._sleep(pause_s)

    async def round(self) -> Round:
        """Ask whom it is time to ask.

        Raises:
            StoreUnusable: The servers or their trust cannot be read: nobody is asked.
        """
        before = await asyncio.to_thread(self._servers.all)
        events: list[Event] = []
        after: list[Server] = []
        answering: Server | None = None
        for server in before:
            known = server
            if (answering is None or self._is_stale(server)) and is_due(server.state, self._clock()):
                known, told = await self._poll(server)
                events += told
            after.append(known)
            if answering is None and known.state.condition is Condition.REACHABLE:
                answering = known
        events += self._turn(answering, after)
        for each in events:
            self._tell(each)
        return Round(
            servers=tuple(after), answering=answering, events=tuple(events), pause_s=self._pause_s(after, answering)
        )

    async def _poll(self, server: Server) -> tuple[Server, list[Event]]:
        found: Poll | None
        events: list[Event] = []
        try:
            credentials = await asyncio.to_thread(self._servers.credentials, server)
            found, events = await self._converse(server, credentials)
        except NotFound:
            return server, []  # it was changed or removed since the round began; the next one knows
        except TrothError as error:
            found = poll_of(error, self._clock())
            if found is None:
                raise
        after, told = await asyncio.to_thread(
            keep, self._servers, server, found, interval_s=self._interval_s, jitter=self._jitter()
        )
        return after, [*told, *events]

    async def _converse(self, server: Server, credentials: Credentials) -> tuple[Poll, list[Event]]:
        async with IseClient(self._store, server.endpoint, credentials, timeout_s=server.timeout_s) as client:
            found = await ask(client, self._clock)
            if not self._is_time_to_look(server):
                return found, []
            self._looked[server.id] = self._clock()
            return found, await self._look(client)

    async def _look(self, client: IseClient) -> list[Event]:
        """Look for a coming rotation. It is a kindness: where it cannot be had, the server is as reachable as before."""
        try:
            seen = await rotation.look(client, self._store)
        except TrothError as error:
            _LOG.debug("%s: no certificates are listed: %s", client.endpoint, error)
            return []
        kind = None
        if not seen.listed:
            kind = EventKind.NOT_LISTED
        elif seen.announce is not None:
            kind = EventKind.NEXT_ANNOUNCED
        elif seen.coming:
            kind = EventKind.NEXT_SEEN
        if kind is None:
            return []
        why = "; ".join([*(rotation.describe(each) for each in seen.coming), *([seen.why] if seen.why else [])])
        return [
            Event(
                kind=kind,
                endpoint=client.endpoint,
                condition=Condition.REACHABLE,
                at=self._clock(),
                why=why,
                next_step=seen.next_step,
            )
        ]

    def _turn(self, answering: Server | None, servers: list[Server]) -> list[Event]:
        """Tell when the standby takes over, and when the primary is back."""
        before, now = self._answering, answering.role if answering else None
        if now is None or answering is None:
            return []
        self._answering = now
        standing_in = now is Role.STANDBY and len(servers) > 1
        if not (standing_in and before is not now) and not (before is Role.STANDBY and now is Role.PRIMARY):
            return []
        kind = EventKind.TOOK_OVER if standing_in else EventKind.HANDED_BACK
        why = "the primary does not answer" if standing_in else "the primary answers again"
        return [Event(kind=kind, endpoint=answering.endpoint, condition=Condition.REACHABLE, at=self._clock(), why=why)]

    def _is_stale(self, server: Server) -> bool:
        polled = server.state.polled_at
        return polled is None or abs(self._clock() - polled) >= timedelta(seconds=STANDBY_EVERY_S)

    def _is_time_to_look(self, server: Server) -> bool:
        looked = self._looked.get(server.id)
        return looked is None or abs(self._clock() - looked) >= timedelta(seconds=ROTATION_EVERY_S)

    def _jitter(self) -> float:
        return 1 - _SPREAD + 2 * _SPREAD * self._random()

    def _pause_s(self, servers: list[Server], answering: Server | None) -> float:
        """Give the seconds until somebody is due: of those who are asked anyway, and at most an interval."""
        longest = self._interval_s * self._jitter()
        asked = servers if answering is None else [each for each in servers if each.role <= answering.role]
        now = self._clock()
        waits = [(each.state.due_at - now).total_seconds() for each in asked if each.state.due_at is not None]
        return max(_SHORTEST_PAUSE_S, min([longest, *waits]))
