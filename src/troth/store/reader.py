"""What the trust store is asked: nothing here changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from troth.model.entry import Entry, Policy
from troth.model.fingerprint import Fingerprint
from troth.store import journal, queries, rows
from troth.store.connection import Database, map_errors
from troth.store.listing import Listed, listing

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint

Clock = Callable[[], datetime]


class Reader:
    """Reads the store.

    Args:
        database: The opened file.
        clock: Gives the time of decisions.
    """

    def __init__(self, database: Database, *, clock: Clock):
        self._database = database
        self._clock = clock

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    def now(self) -> datetime:
        """Give the time by the store's clock."""
        return self._clock()

    def version(self) -> bytes:
        """Give a token that differs after every change by any process; cheap enough for every connection."""
        with map_errors(self.path):
            return self._database.version()

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
        with self.reading() as connection:
            yield from rows.select_entries(connection)

    def listing(self, *, domain: str | None = None, deleted: bool = False) -> list[Listed]:
        """Read one line per entry, ordered by host and port."""
        with self.reading() as connection:
            return listing(connection, domain=domain, deleted=deleted)

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
            entry = rows.select_entry(connection, endpoint)
            return self._in_force(connection, entry, domain), entry

    def hint(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """Give the unverified subject that an imported list had for a host and port, and the list's name."""
        with self.reading() as connection:
            found: tuple[str, str] | None = connection.execute(
                "SELECT subject, source FROM hint WHERE host = ? AND port = ?", (endpoint.host, endpoint.port)
            ).fetchone()
            return found

    def revocations(self) -> list[tuple[Fingerprint, datetime, str, str]]:
        """Read what was revoked: fingerprint, when, by whom, why."""
        with self.reading() as connection:
            found = connection.execute("SELECT * FROM revocation ORDER BY revoked_at").fetchall()
            return [(Fingerprint(fp), rows.from_us(at) or self.now(), who, why) for fp, at, who, why in found]

    def records(self, *, subject: str | None = None, since: int = 0) -> Iterator[journal.Record]:
        """Read the journal, in order."""
        with self.reading() as connection:
            yield from _records(connection, subject, since)

    def _policy(self, connection: sqlite3.Connection, domain: str) -> Policy:
        row = connection.execute("SELECT mode, pin, expired FROM policy WHERE domain = ?", (domain,)).fetchone()
        return rows.policy_from(row) if row else Policy()

    def _in_force(self, connection: sqlite3.Connection, entry: Entry | None, domain: str) -> Policy:
        policy = self._policy(connection, entry.domain if entry else domain)
        return entry.override.over(policy) if entry else policy

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection for reading."""
        with map_errors(self.path):
            yield self._database.connection()


def _records(connection: sqlite3.Connection, subject: str | None, since: int) -> Iterator[journal.Record]:
    import json

    query = "SELECT * FROM journal WHERE seq > :since AND (:about IS NULL OR subject = :about) ORDER BY seq"
    for seq, at, actor, origin, action, about, detail, previous, digest in connection.execute(
        query, {"since": since, "about": subject}
    ):
        yield journal.Record(
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
