"""What the trust store is asked: nothing here changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN, Entry, Policy
from troth.model.fingerprint import Fingerprint
from troth.store import journal, queries, rows
from troth.store.listing import Listed, Wanted, listing, page

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from troth.model.certificate import CertificateView
    from troth.store.engine import Connection, Engine

_ALL = 1 << 62
_OWN = "e.mode IS NOT NULL OR e.pin IS NOT NULL OR e.expired IS NOT NULL"
Clock = Callable[[], datetime]
_RECORDS = "SELECT * FROM journal WHERE seq > ? AND (CAST(? AS TEXT) IS NULL OR subject = ?) ORDER BY seq LIMIT ?"

_HINTS = """
SELECT h.host, h.port, h.subject, h.source, h.added_at FROM hint h
WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.host = h.host AND e.port = h.port
                  AND (e.presented IS NOT NULL OR EXISTS (SELECT 1 FROM pin p WHERE p.entry = e.id)))
ORDER BY h.host, h.port
"""


class Reader:
    """Reads the store.

    Args:
        engine: The database.
        clock: Gives the time of decisions.
    """

    def __init__(self, engine: Engine, *, clock: Clock):
        self._engine = engine
        self._clock = clock

    @property
    def folder(self) -> Path:
        """Where on this machine what belongs to the store lies beside its tables."""
        return self._engine.folder

    def now(self) -> datetime:
        """Give the time by the store's clock."""
        return self._clock()

    def version(self) -> bytes:
        """Give a token that differs after every change by any process; cheap enough for every connection."""
        with self._engine.map_errors():
            return self._engine.version()

    def last_change(self) -> int:
        """Give the number of the last change of trust; unlike `version`, mere sightings do not move it."""
        with self.reading() as connection:
            row: tuple[int | None] = connection.execute("SELECT max(seq) FROM journal").fetchone()
            return row[0] or 0

    def entry(self, endpoint: Endpoint) -> Entry | None:
        """Read what is on record about an endpoint."""
        with self.reading() as connection:
            return rows.select_entry(connection, endpoint)

    def find(self, host: str, port: int) -> tuple[Entry, ...]:
        """Read the entries at a host and port, whatever protocol they are for."""
        with self.reading() as connection:
            return tuple(rows.select_entries(connection, "e.host = ? AND e.port = ?", (host, port)))

    def at_host(self, host: str) -> tuple[Entry, ...]:
        """Read the entries of a host, at all its ports."""
        with self.reading() as connection:
            return tuple(rows.select_entries(connection, "e.host = ?", (host,)))

    def entries(self) -> Iterator[Entry]:
        """Read every entry, tombstones too."""
        # Whoever takes their time over the entries keeps no connection from others meanwhile.
        with self.reading() as connection:
            found = rows.select_entries(connection)
        with self._engine.map_errors():
            yield from found

    def listing(self, *, domain: str | None = None, deleted: bool = False) -> list[Listed]:
        """Read one line per entry, ordered by host and port."""
        with self.reading() as connection:
            return listing(connection, self._engine.dialect, domain=domain, deleted=deleted)

    def page(self, wanted: Wanted) -> list[Listed]:
        """Read one page of the listing, searched and cut in the database."""
        with self.reading() as connection:
            return page(connection, self._engine.dialect, wanted)

    def with_own_policy(self) -> tuple[Entry, ...]:
        """Read the entries that have settings of their own."""
        with self.reading() as connection:
            return tuple(rows.select_entries(connection, _OWN))

    def certificate(self, fingerprint: Fingerprint | None) -> CertificateView | None:
        """Read a kept certificate."""
        with self.reading() as connection:
            return queries.certificate(connection, fingerprint)

    def holders(self, spki: Fingerprint, *, but: Endpoint) -> tuple[Endpoint, ...]:
        """Find the other endpoints that are on record with a key."""
        with self.reading() as connection:
            return queries.holders(connection, spki, but=but)

    def domain_policy(self, domain: str) -> Policy:
        """Give a domain's policy; one that was never set has the defaults."""
        with self.reading() as connection:
            return self._policy(connection, domain)

    def has_policy(self, domain: str) -> bool:
        """Whether somebody set a domain's policy here."""
        with self.reading() as connection:
            return connection.execute("SELECT 1 FROM policy WHERE domain = ?", (domain,)).fetchone() is not None

    def policy(self, endpoint: Endpoint, domain: str) -> tuple[Policy, Entry | None]:
        """Give the policy in force at an endpoint, and its entry; `domain` counts for strangers only."""
        with self.reading() as connection:
            entry = as_met(rows.select_entry(connection, endpoint), domain)
            return self._in_force(connection, entry, domain), entry

    def hint(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """Give the unverified subject that an imported list had for a host and port, and the list's name."""
        with self.reading() as connection:
            found: tuple[str, str] | None = connection.execute(
                "SELECT subject, source FROM hint WHERE host = ? AND port = ?", (endpoint.host, endpoint.port)
            ).fetchone()
            return found

    def open_hints(self) -> list[tuple[Endpoint, str, str, datetime]]:
        """Read the hints of hosts that nothing is on record about: place, subject, the list's name, when it came."""
        with self.reading() as connection:
            found = connection.execute(_HINTS).fetchall()
            return [
                (Endpoint(host, port), subject, source, rows.from_us(at) or self.now())
                for host, port, subject, source, at in found
            ]

    def revocations(self) -> list[tuple[Fingerprint, datetime, str, str]]:
        """Read what was revoked: fingerprint, when, by whom, why."""
        with self.reading() as connection:
            found = connection.execute("SELECT * FROM revocation ORDER BY revoked_at").fetchall()
            return [(Fingerprint(fp), rows.from_us(at) or self.now(), who, why) for fp, at, who, why in found]

    def records(self, *, subject: str | None = None, since: int = 0, limit: int = _ALL) -> Iterator[journal.Record]:
        """Read the journal, in order; `since` is the number of the record before the first."""
        with self.reading() as connection:
            found = connection.execute(_RECORDS, (since, subject, subject, limit))
        with self._engine.map_errors():
            yield from map(_record, found)

    def _policy(self, connection: Connection, domain: str) -> Policy:
        row = connection.execute("SELECT mode, pin, expired FROM policy WHERE domain = ?", (domain,)).fetchone()
        return rows.policy_from(row) if row else Policy()

    def _in_force(self, connection: Connection, entry: Entry | None, domain: str) -> Policy:
        policy = self._policy(connection, entry.domain if entry else domain)
        return entry.override.over(policy) if entry else policy

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection for reading; inside this thread's transaction, the transaction's own."""
        return self._engine.reading()


def as_met(entry: Entry | None, domain: str) -> Entry | None:
    """Give an entry as it is met by a caller who asks for `domain`: settings alone make no record, and fix no domain."""
    if entry is None or entry.recorded or domain in (entry.domain, DEFAULT_DOMAIN):
        return entry
    return replace(entry, domain=domain)


def _record(row: tuple[Any, ...]) -> journal.Record:
    import json

    seq, at, actor, origin, action, about, detail, previous, digest = row
    return journal.Record(
        seq=seq,
        at=at,
        actor=actor,
        origin=origin,
        action=action,
        subject=about,
        detail=json.loads(detail),
        previous=previous,
        hash=digest,
    )
