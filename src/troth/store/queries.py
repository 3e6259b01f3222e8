"""What the store is asked besides single entries: the facts for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import Entry, Evidence, PinState
from troth.model.fingerprint import Fingerprint
from troth.trust.verdict import ChainOutcome, Facts, Presented

if TYPE_CHECKING:
    import sqlite3

MAX_HOLDERS = 20

_HOLDERS = """
SELECT DISTINCT e.host, e.port, e.protocol FROM entry e JOIN pin p ON p.entry = e.id
WHERE p.state = 'current' AND (p.certificate IN (SELECT fingerprint FROM certificate WHERE spki = :spki)
      OR (p.kind = 'key' AND p.fingerprint = :spki))
ORDER BY e.host, e.port LIMIT :limit
"""


def certificate(connection: sqlite3.Connection, fingerprint: Fingerprint | None) -> CertificateView | None:
    """Read a kept certificate."""
    if fingerprint is None:
        return None
    row = connection.execute("SELECT der FROM certificate WHERE fingerprint = ?", (fingerprint.digest,)).fetchone()
    return CertificateView.from_der(row[0]) if row else None


def holders(connection: sqlite3.Connection, spki: Fingerprint, *, but: Endpoint) -> tuple[Endpoint, ...]:
    """Find the other endpoints that are on record with a key."""
    rows = connection.execute(_HOLDERS, {"spki": spki.digest, "limit": MAX_HOLDERS})
    return tuple(found for row in rows if (found := Endpoint(*row)) != but)


def is_revoked(connection: sqlite3.Connection, fingerprints: list[Fingerprint]) -> bool:
    """Whether any of these was revoked here."""
    marks = ", ".join("?" * len(fingerprints))
    query = f"SELECT 1 FROM revocation WHERE fingerprint IN ({marks}) LIMIT 1"  # noqa: S608  # question marks
    return connection.execute(query, [each.digest for each in fingerprints]).fetchone() is not None


def any_revoked(connection: sqlite3.Connection, presented: Presented, chain: ChainOutcome | None) -> bool:
    """Whether the certificate, its key, or a certificate or key above it was revoked here."""
    leaf = presented.leaf
    suspects = [leaf.fingerprint, leaf.spki, *(Fingerprint.of(sent) for sent in presented.chain[1:])]
    return is_revoked(connection, suspects + (sorted(chain.issuers) if chain else []))


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
    settled = _on_record(entry)
    old = certificate(connection, settled)
    vouched = entry is not None and any(
        pin.evidence in (Evidence.VALID_CHAIN, Evidence.PINNED_ISSUER) for pin in entry.pins
    )
    return Facts(
        revoked=any_revoked(connection, presented, chain),
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
