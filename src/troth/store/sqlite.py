"""The trust store in SQLite: the standard library alone, safe under many writers and under SIGKILL.

Every decision is one transaction: the entry is read, judged, written and journalled while the write lock is held, so of
two parallel first uses that see different certificates exactly one wins, and the other is told "changed".
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from troth.store import journal, queries, rows
from troth.store.connection import Database, map_errors
from troth.store.reader import Clock, Reader
from troth.trust.decide import decide, holds
from troth.trust.record import after
from troth.trust.verdict import ChainOutcome, Decision, Facts, Presented, Verdict
from troth.trust.weakness import weaknesses

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.entry import Entry, Policy
    from troth.model.fingerprint import Fingerprint


def utc_now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)


class SqliteStore(Reader):
    """The trust store in one SQLite file. Make it with `SqliteStore.open`; threads may share it.

    Args:
        database: The opened file.
        clock: Gives the time of decisions.
        actor: Who is named in the journal; by default the system's user.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now, actor: str = ""):
        super().__init__(database, clock=clock)
        self._pending: tuple[int, bytes] | None = None
        self._one_writer = threading.RLock()
        self.actor = actor or _user()
        self.origin = f"{_program()}@{socket.gethostname()}"

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock = utc_now, actor: str = "") -> SqliteStore:
        """Open the store, and make it if there never was one.

        Raises:
            StoreUnusable: It cannot be used, vanished, was rolled back, or is of another version.
        """
        database = Database(Path(path).absolute())
        database.open()
        return cls(database, clock=clock, actor=actor)

    def close(self) -> None:
        """Close this thread's connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # Deciding and changing

    def judge(
        self,
        endpoint: Endpoint,
        presented: Presented,
        *,
        domain: str = "system",
        chain: ChainOutcome | None = None,
        expect: Fingerprint | None = None,
    ) -> Decision:
        """Decide about what was presented, and record it, in one transaction.

        Args:
            endpoint: Where.
            presented: What was presented.
            domain: The domain of an endpoint that is new.
            chain: The outcome of the chain's verification on this connection, where there was one.
            expect: The fingerprint that somebody vouched for.

        Raises:
            StoreUnusable: The record could not be read or written; then nothing is trusted.
        """
        now = self.now()
        with self._writing() as connection:
            entry = rows.select_entry(connection, endpoint)
            policy = self._in_force(connection, entry, domain)
            facts = self._facts(connection, endpoint, presented, entry, chain=chain, expect=expect)
            decision = decide(endpoint, presented, entry, policy, now, facts)
            changed = after(decision, now=now, actor=self.actor, domain=domain)
            if changed is not None:
                rows.write_certificate(connection, presented.leaf)
                note = {"why": decision.why, "address": presented.address}
                self.rewrite(connection, decision.verdict.value, entry, changed, note)
            return decision

    def review(
        self,
        endpoint: Endpoint,
        presented: Presented,
        *,
        domain: str = "system",
        chain: ChainOutcome | None = None,
        expect: Fingerprint | None = None,
    ) -> Decision:
        """Decide as `judge` does, and record nothing: what would the verdict be, or does the record still bear it?"""
        with self.reading() as connection:
            entry = rows.select_entry(connection, endpoint)
            facts = queries.gather(connection, endpoint, presented, entry, chain=chain, expect=expect)
            return decide(endpoint, presented, entry, self._in_force(connection, entry, domain), self.now(), facts)

    def change(
        self,
        endpoint: Endpoint,
        action: str,
        step: Callable[[Entry | None], Entry],
        *,
        certificates: Iterable[CertificateView] = (),
        note: Mapping[str, object] | None = None,
    ) -> Entry:
        """Change one entry in one journalled transaction; an exception in `step` changes nothing.

        Args:
            endpoint: Which entry.
            action: What the journal calls it.
            step: Gives the entry after for the entry before.
            certificates: Certificates to keep with it.
            note: The evidence, for the journal.
        """
        with self._writing() as connection:
            entry = rows.select_entry(connection, endpoint)
            changed = step(entry)
            for view in certificates:
                rows.write_certificate(connection, view)
            self.rewrite(connection, action, entry, changed, note)
            return changed

    def keep_certificate(self, view: CertificateView) -> None:
        """Keep a certificate's bytes; this trusts nothing."""
        with self._writing() as connection:
            rows.write_certificate(connection, view)

    def revoke(
        self, fingerprint: Fingerprint, *, reason: str = "", at: datetime | None = None, by: str = ""
    ) -> tuple[Endpoint, ...]:
        """Revoke a certificate or key everywhere, for ever; give the endpoints whose pins it revoked.

        Args:
            fingerprint: Of the certificate or the key.
            reason: Why.
            at: When it was revoked, if that was elsewhere and before.
            by: Who revoked it, if that was not the actor.
        """
        from troth.store.revoke import revoke

        with self._writing() as connection:
            return revoke(self, connection, fingerprint, reason, at=at or self.now(), by=by or self.actor)

    def set_domain_policy(self, domain: str, policy: Policy) -> None:
        """Set a domain's policy."""
        with self._writing() as connection:
            values = (policy.mode.value, policy.pin.value, policy.expired.value)
            connection.execute(
                "INSERT INTO policy VALUES (?, ?, ?, ?) ON CONFLICT (domain) DO UPDATE SET mode = excluded.mode,"
                " pin = excluded.pin, expired = excluded.expired",
                (domain, *values),
            )
            self.journal(connection, "policy", domain, {"after": list(values)})

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction for many changes: all of them are kept, or none (imports, scans)."""
        with self._writing() as connection:
            yield connection

    def journal(self, connection: sqlite3.Connection, action: str, subject: str, detail: Mapping[str, object]) -> None:
        """Add a record to the journal, inside the transaction that makes the change."""
        head = self._pending or connection.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = head or (0, journal.GENESIS)
        record = journal.seal(
            previous,
            seq=seq + 1,
            at=rows.to_us(self.now()) or 0,
            actor=self.actor,
            origin=self.origin,
            action=action,
            subject=subject,
            detail=dict(detail),
        )
        connection.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.seq,
                record.at,
                record.actor,
                record.origin,
                action,
                subject,
                journal.canonical(record.detail),
                record.previous,
                record.hash,
            ),
        )
        self._pending = (record.seq, record.hash)

    def rewrite(
        self,
        connection: sqlite3.Connection,
        action: str,
        before: Entry | None,
        changed: Entry,
        note: Mapping[str, object] | None = None,
    ) -> None:
        """Write an entry inside a transaction, and journal it; a mere sighting is not journalled."""
        rows.write_entry(connection, changed)
        state = rows.trust_state(changed)
        if before is not None and rows.trust_state(before) == state and action in _SIGHTINGS:
            return
        self.journal(connection, action, subject_of(changed.endpoint), {**(note or {}), "after": state})

    # Inside

    def _facts(
        self,
        connection: sqlite3.Connection,
        endpoint: Endpoint,
        presented: Presented,
        entry: Entry | None,
        *,
        chain: ChainOutcome | None,
        expect: Fingerprint | None,
    ) -> Facts:
        settled = entry is not None and entry.known and entry.presented == presented.leaf.fingerprint
        if settled and entry is not None:
            # What matched the last time is compared with nothing; but it may have been revoked since, or its CA.
            plain = Facts(chain=chain, expect=expect, revoked=queries.any_revoked(connection, presented, chain))
            if any(holds(pin, presented, plain) for pin in entry.current):
                return plain
        facts = queries.gather(connection, endpoint, presented, entry, chain=chain, expect=expect)
        return replace(facts, weaknesses=tuple(weak.text for weak in weaknesses(presented.leaf)))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._one_writer, map_errors(self.path):
            connection = self._database.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            self._pending = None
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._pending = None
                raise
            if self._pending is not None:
                self._database.note(*self._pending)
                self._pending = None


_SIGHTINGS = frozenset(verdict.value for verdict in Verdict)


def subject_of(endpoint: Endpoint) -> str:
    """Name an endpoint in the journal: its text, and its protocol where that is not plain TLS."""
    return str(endpoint) if endpoint.protocol == "tls" else f"{endpoint}/{endpoint.protocol}"


def _program() -> str:
    name = Path(sys.argv[0] or "python").name
    return "troth" if name == "__main__.py" else name[:64]


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
