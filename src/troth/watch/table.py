"""What is watched, in the database: who looks at what next, and what was told. Several servers share it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from psycopg.types.json import Jsonb

from troth.model.endpoint import Endpoint
from troth.model.fingerprint import Fingerprint
from troth.notify import rows
from troth.watch.reach import network_of
from troth.watch.schedule import first_time
from troth.watch.transitions import Outcome, WatchState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from troth.database.pool import Database
    from troth.notify.events import Event
    from troth.watch.schedule import Rhythm

# A look that takes longer than this was lost with its server.
LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One endpoint that was claimed to be looked at.

    Args:
        claim: Whose claim it is.
        endpoint: Where.
        domain: Its domain.
        state: What was told about it.
        network: The network that limits count it by; empty if its address is not known.
    """

    claim: uuid.UUID
    endpoint: Endpoint
    domain: str
    state: WatchState
    network: str


class WatchTable:
    """The table of watched endpoints.

    Args:
        database: Where.
        rhythm: How often endpoints are looked at.
    """

    def __init__(self, database: Database, rhythm: Rhythm):
        self._database, self._rhythm = database, rhythm

    def sync(self, wanted: Mapping[Endpoint, str], now: datetime) -> None:
        """Watch just these endpoints, each in its domain; new ones are spread over the interval.

        What is watched already keeps its time and its state.
        """
        rows_ = [
            (
                *_place(each),
                domain,
                first_time(each, now, self._rhythm),
                network_of(each.host) if each.is_address else "",
            )
            for each, domain in wanted.items()
        ]
        columns = [list(column) for column in zip(*rows_, strict=True)] or [[] for _ in range(6)]
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO watch (host, port, protocol, domain, next_at, network)"
                " SELECT * FROM unnest(%s::text[], %s::integer[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])"
                " ON CONFLICT (host, port, protocol) DO UPDATE SET domain = excluded.domain"
                " WHERE watch.domain <> excluded.domain",
                columns,
            )
            connection.execute(
                "DELETE FROM watch WHERE (host, port, protocol) NOT IN"
                " (SELECT * FROM unnest(%s::text[], %s::integer[], %s::text[]))",
                columns[:3],
            )

    def claim(self, limit: int, now: datetime, *, but: Sequence[str] = ()) -> list[Job]:
        """Claim endpoints that are due, the longest overdue first; those in the networks in `but` are left."""
        claim = uuid.uuid4()
        with self._database.transaction() as connection:
            found = connection.execute(
                "UPDATE watch SET claim = %s, claimed_until = %s WHERE (host, port, protocol) IN"
                " (SELECT host, port, protocol FROM watch WHERE next_at <= %s"
                " AND (claimed_until IS NULL OR claimed_until <= %s) AND network <> ALL(%s)"
                " ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED)"
                " RETURNING host, port, protocol, domain, state, network",
                (claim, now + LEASE, now, now, list(but), limit),
            ).fetchall()
        return [
            Job(
                claim=claim,
                endpoint=Endpoint(host, port, protocol),
                domain=domain,
                state=state_of(state),
                network=network,
            )
            for host, port, protocol, domain, state, network in cast("list[tuple[Any, ...]]", found)
        ]

    def finish(
        self,
        job: Job,
        state: WatchState,
        events: Iterable[Event],
        *,
        outcome: Outcome,
        address: str,
        now: datetime,
        next_at: datetime,
    ) -> bool:
        """Record a look and file what it tells, in one transaction; False if the claim had run out, and nothing is.

        Args:
            job: The claimed endpoint.
            state: The state after.
            events: What is to be told.
            outcome: What came of the look.
            address: The address that was connected to; empty if none was.
            now: When.
            next_at: When it is looked at next.
        """
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE watch SET state = %s, outcome = %s, looked_at = %s, next_at = %s, claim = NULL,"
                " claimed_until = NULL, address = CASE WHEN %s = '' THEN address ELSE %s END,"
                " network = CASE WHEN %s = '' THEN network ELSE %s END"
                " WHERE host = %s AND port = %s AND protocol = %s AND claim = %s",
                (
                    Jsonb(document_of(state)),
                    outcome.value,
                    now,
                    next_at,
                    address,
                    address,
                    address,
                    network_of(address) if address else "",
                    *_place(job.endpoint),
                    job.claim,
                ),
            )
            if done.rowcount:
                rows.file(connection, events)
            return bool(done.rowcount)

    def give_back(self, jobs: Iterable[Job]) -> None:
        """Leave claimed endpoints to others."""
        with self._database.transaction() as connection:
            for job in jobs:
                connection.execute(
                    "UPDATE watch SET claim = NULL, claimed_until = NULL"
                    " WHERE host = %s AND port = %s AND protocol = %s AND claim = %s",
                    (*_place(job.endpoint), job.claim),
                )

    def look_now(self, endpoint: Endpoint, now: datetime) -> None:
        """Look at an endpoint as soon as there is room: somebody asked, or changed what is on record."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE watch SET next_at = least(next_at, %s) WHERE host = %s AND port = %s AND protocol = %s",
                (now, *_place(endpoint)),
            )


def document_of(state: WatchState) -> dict[str, object]:
    """Give a state as JSON-able values."""
    return {
        "rejected": state.rejected.value if state.rejected else None,
        "rejected_with": str(state.rejected_with) if state.rejected_with else None,
        "rejected_since": state.rejected_since.isoformat() if state.rejected_since else None,
        "misses": state.misses,
        "missed_since": state.missed_since.isoformat() if state.missed_since else None,
        "told_dates": [[str(fingerprint), days] for fingerprint, days in state.told_dates],
    }


def state_of(found: Mapping[str, Any]) -> WatchState:
    """Read a state; an empty one was never looked at."""
    return WatchState(
        rejected=Outcome(found["rejected"]) if found.get("rejected") else None,
        rejected_with=Fingerprint.parse(found["rejected_with"]) if found.get("rejected_with") else None,
        rejected_since=_time(found.get("rejected_since")),
        misses=int(found.get("misses", 0)),
        missed_since=_time(found.get("missed_since")),
        told_dates=tuple((Fingerprint.parse(text), int(days)) for text, days in found.get("told_dates", ())),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _place(endpoint: Endpoint) -> tuple[str, int, str]:
    return endpoint.host, endpoint.port, endpoint.protocol
