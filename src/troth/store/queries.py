"""What the store is asked besides single entries: facts for a decision, listings, revocations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import Entry, Evidence, PinState
from troth.model.fingerprint import Fingerprint
from troth.store.rows import from_us
from troth.trust.verdict import ChainOutcome, Facts, Presented

MAX_HOLDERS = 20

_LISTING = """
SELECT e.host, e.port, e.protocol, e.domain, e.state, e.last_seen,
       (SELECT count(*) FROM pin p WHERE p.entry = e.id AND p.state = 'current'),
       p.kind, p.fingerprint, p.state, c.subject, c.slash, c.not_after
FROM entry e
LEFT JOIN pin p ON p.entry = e.id AND p.position = (
    SELECT q.position FROM pin q WHERE q.entry = e.id
    ORDER BY q.state = 'current' DESC, q.state = 'quarantined' DESC, q.state = 'next' DESC, q.position DESC LIMIT 1)
LEFT JOIN certificate c ON c.fingerprint = coalesce(p.certificate, e.presented)
WHERE (?1 IS NULL OR e.domain = ?1) AND (?2 OR e.state <> 'deleted') AND (?3 IS NULL OR e.host = ?3)
ORDER BY e.host, e.port, e.protocol
"""

_HOLDERS = """
SELECT DISTINCT e.host, e.port, e.protocol FROM entry e JOIN pin p ON p.entry = e.id
WHERE p.state = 'current' AND (p.certificate IN (SELECT fingerprint FROM certificate WHERE spki = ?1)
      OR (p.kind = 'key' AND p.fingerprint = ?1))
ORDER BY e.host, e.port LIMIT ?2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a listing; text only, no certificate is parsed for it."""

    endpoint: Endpoint
    domain: str
    state: str
    last_seen: datetime | None
    current: int
    kind: str
    fingerprint: Fingerprint | None
    pin_state: str
    subject: str
    slash: str
    not_after: datetime | None


def listing(
    connection: sqlite3.Connection, *, domain: str | None = None, deleted: bool = False, host: str | None = None
) -> Iterator[Listed]:
    """Read one line per entry, ordered by host and port."""
    for row in connection.execute(_LISTING, (domain, deleted, host)):
        yield Listed(
            endpoint=Endpoint(row[0], row[1], row[2]),
            domain=row[3],
            state=row[4],
            last_seen=from_us(row[5]),
            current=row[6],
            kind=row[7] or "",
            fingerprint=Fingerprint(row[8]) if row[8] is not None else None,
            pin_state=row[9] or "",
            subject=row[10] or "",
            slash=row[11] or "",
            not_after=from_us(row[12]),
        )


def certificate(connection: sqlite3.Connection, fingerprint: Fingerprint | None) -> CertificateView | None:
    """Read a kept certificate."""
    if fingerprint is None:
        return None
    row = connection.execute(
        "SELECT der FROM certificate WHERE fingerprint = ?", (fingerprint.digest,)
    ).fetchone()
    return CertificateView.from_der(row[0]) if row else None


def holders(connection: sqlite3.Connection, spki: Fingerprint, *, but: Endpoint) -> tuple[Endpoint, ...]:
    """Find the other endpoints that are on record with a key."""
    rows = connection.execute(_HOLDERS, (spki.digest, MAX_HOLDERS))
    return tuple(found for row in rows if (found := Endpoint(*row)) != but)


def is_revoked(connection: sqlite3.Connection, fingerprints: list[Fingerprint]) -> bool:
    """Whether any of these was revoked here."""
    marks = ", ".join("?" * len(fingerprints))
    query = f"SELECT 1 FROM revocation WHERE fingerprint IN ({marks}) LIMIT 1"  # noqa: S608  # question marks
    return connection.execute(query, [each.digest for each in fingerprints]).fetchone() is not None


def gather(
    connection: sqlite3.Connection,
    endpoint: Endpoint,
    presented: Presented,
    entry: Entry | None,
    *,
    chain: ChainOutcome | None,
    expect: Fingerprint | None,
) -> Facts:
    """Gather what the store knows for a decision."""
    leaf = presented.leaf
    suspects = [leaf.fingerprint, leaf.spki, *(Fingerprint.of(sent) for sent in presented.chain[1:])]
    suspects += sorted(chain.issuers) if chain else []
    settled = _on_record(entry)
    old = certificate(connection, settled)
    vouched = entry is not None and any(
        pin.evidence in (Evidence.VALID_CHAIN, Evidence.PINNED_ISSUER) for pin in entry.pins
    )
    return Facts(
        revoked=is_revoked(connection, suspects),
        holders=holders(connection, leaf.spki, but=endpoint),
        old=old,
        old_chain_valid=vouched or (old is not None and not old.self_issued and leaf.self_issued),
        chain=chain,
        expect=expect,
    )


def _on_record(entry: Entry | None) -> Fingerprint | None:
    """Give the certificate that a person thinks of as the one on record."""
    if entry is None:
        return None
    if entry.presented is not None:
        return entry.presented
    pins = [*entry.having(PinState.CURRENT), *entry.having(PinState.RETIRED), *entry.having(PinState.REVOKED)]
    return next((pin.certificate for pin in pins if pin.certificate is not None), None)
