"""The trust store's decisions and changes, written once for every engine.

Every decision is one transaction: the entry is read, judged, written and journalled while no other writer is let in, so
of two parallel first uses that see different certificates exactly one wins, and the other is told "changed".
"""

from __future__ import annotations

import copy
import os
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from troth.store import forking, journal, queries, rows
from troth.store.reader import Clock, Reader, as_met
from troth.trust.decide import decide, holds
from troth.trust.record import after
from troth.trust.verdict import ChainOutcome, Decision, Facts, Presented, Verdict
from troth.trust.weakness import weaknesses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.entry import Entry, Policy
    from troth.model.fingerprint import Fingerprint
    from troth.store.engine import Connection, Engine


def utc_now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)


class Store(Reader):
    """The trust store over any engine. Threads may share it.

    Args:
        engine: The database.
        clock: Gives the time of decisions.
        actor: Who is named in the journal; by default the system's user.
    """

    def __init__(self, engine: Engine, *, clock: Clock = utc_now, actor: str = ""):
        super().__init__(engine, clock=clock)
        self._pending: tuple[int, bytes] | None = None
        self._one_writer = threading.RLock()
        self.actor = actor or _user()
        self.origin = f"{_program()}@{socket.gethostname()}"
        forking.renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in a forked child: another thread may have been inside at the fork, and is not there any more."""
        self._pending, self._one_writer = None, threading.RLock()

    def acting(self, actor: str, origin: str = "") -> Self:
        """Give the same store as somebody else uses it: their changes are journalled under their name.

        Args:
            actor: Who.
            origin: From where, if it is not this program.
        """
        other = copy.copy(self)
        other._pending, other._one_writer = None, threading.RLock()  # noqa: SLF001  # of our own class
        other.actor, other.origin = actor, origin or self.origin
        return other

    def close(self) -> None:
        """Let go of what this thread holds.

        Other threads keep their own. A store that is used again after this opens the same file again, and finds it if it
        is still the one that it was.
        """
        self._engine.close()

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
            before = rows.select_entry(connection, endpoint)
            entry = as_met(before, domain)
            policy = self._in_force(connection, entry, domain)
            facts = self._facts(connection, endpoint, presented, entry, chain=chain, expect=expect)
            place = entry.domain if entry else domain
            decision = decide(endpoint, presented, entry, policy, now, facts, domain=place)
            changed = after(decision, now=now, actor=self.actor, domain=domain)
            if changed is not None:
                rows.write_certificate(connection, presented.leaf)
                note = {"why": decision.why, "address": presented.address}
                first = self._is_first_rejection(connection, decision)
                if first:
                    note |= {"presented": str(presented.leaf.fingerprint), "class": str(decision.change)}
                self.rewrite(connection, decision.verdict.value, before, changed, note, always=first)
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
            entry = as_met(rows.select_entry(connection, endpoint), domain)
            facts = queries.gather(connection, endpoint, presented, entry, chain=chain, expect=expect)
            policy, place = self._in_force(connection, entry, domain), entry.domain if entry else domain
            return decide(endpoint, presented, entry, policy, self.now(), facts, domain=place)

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

        reason = reason.replace("\0", "\\x00")  # no text in a database holds one
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
    def transaction(self) -> Iterator[Connection]:
        """One transaction for many changes: all of them are kept, or none (imports, scans)."""
        with self._writing() as connection:
            yield connection

    def journal(self, connection: Connection, action: str, subject: str, detail: Mapping[str, object]) -> None:
        """Add a record to the journal, inside the transaction that makes the change."""
        seq, previous = self._pending or self._engine.head(connection) or (0, journal.GENESIS)
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
        connection: Connection,
        action: str,
        before: Entry | None,
        changed: Entry,
        note: Mapping[str, object] | None = None,
        *,
        always: bool = False,
    ) -> None:
        """Write an entry inside a transaction, and journal it; what leaves trust as it is only where `always`."""
        rows.write_entry(connection, changed)
        state = rows.trust_state(changed)
        if before is not None and rows.trust_state(before) == state and not always:
            return
        self.journal(connection, action, journal.subject_of(changed.endpoint), {**(note or {}), "after": state})

    # Inside

    def _is_first_rejection(self, connection: Connection, decision: Decision) -> bool:
        """Whether a change is the first of its certificate here, so that the history shows it; a bounded number is."""
        entry, leaf = decision.entry, decision.presented.leaf
        if decision.verdict is not Verdict.CHANGED or entry is None or entry.rejected == leaf.fingerprint:
            return False
        subject, action = journal.subject_of(decision.endpoint), decision.verdict.value
        known = connection.execute(
            "SELECT detail FROM journal WHERE subject = ? AND action = ? LIMIT ?", (subject, action, _MAX_REJECTIONS)
        ).fetchall()
        return len(known) < _MAX_REJECTIONS and not any(f'"{leaf.fingerprint}"' in row[0] for row in known)

    def _facts(
        self,
        connection: Connection,
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
            revocation = queries.any_revoked(connection, presented, chain)
            plain = Facts(chain=chain, expect=expect, revoked=bool(revocation), revocation=revocation)
            if any(holds(pin, presented, plain) for pin in entry.current):
                return plain
        facts = queries.gather(connection, endpoint, presented, entry, chain=chain, expect=expect)
        return replace(facts, weaknesses=tuple(weak.text for weak in weaknesses(presented.leaf)))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._one_writer, self._engine.map_errors():
            outer = self._engine.current()
            if outer is not None:
                yield outer
                return
            self._pending = None
            try:
                with self._engine.transaction() as connection:
                    yield connection
            except BaseException:
                self._pending = None
                raise
            if self._pending is not None:
                self._engine.note(*self._pending)
                self._pending = None


# Of one endpoint: a host that shows another certificate each time must not fill the disk.
_MAX_REJECTIONS = 100


def _program() -> str:
    name = Path(sys.argv[0] or "python").name
    return "troth" if name == "__main__.py" else name[:64]


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
