"""What the store is asked besides single entries: the facts for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model.certificate import CertificateView, spki_of
from troth.model.endpoint import Endpoint
from troth.model.entry import Entry, Evidence, PinState
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable
from troth.store import rows
from troth.trust.verdict import ChainOutcome, Facts, Presented

if TYPE_CHECKING:
    from troth.store.engine import Connection

MAX_HOLDERS = 20

_AT_ONCE = 200

# The certificates are named one by one: a planner that has not yet counted the tables would read all of them.
_HOLDERS = """
SELECT DISTINCT e.host, e.port, e.protocol FROM pin p JOIN entry e ON e.id = p.entry
WHERE p.state = 'current' AND (p.certificate IN ({marks}) OR (p.kind = 'key' AND p.fingerprint = ?))
ORDER BY e.host, e.port, e.protocol LIMIT ?
"""


def certificate(connection: Connection, fingerprint: Fingerprint | None) -> CertificateView | None:
    """Read a kept certificate."""
    if fingerprint is None:
        return None
    row = connection.execute("SELECT der FROM certificate WHERE fingerprint = ?", (fingerprint.digest,)).fetchone()
    return CertificateView.from_der(row[0]) if row else None


def holders(connection: Connection, spki: Fingerprint, *, but: Endpoint) -> tuple[Endpoint, ...]:
    """Find the other endpoints that are on record with a key."""
    bearers: list[bytes | None] = [
        row[0] for row in connection.execute("SELECT fingerprint FROM certificate WHERE spki = ?", (spki.digest,))
    ]
    found: set[tuple[str, int, str]] = set()
    for start in range(0, len(bearers) or 1, _AT_ONCE):
        some = bearers[start : start + _AT_ONCE] or [None]
        query = _HOLDERS.format(marks=", ".join("?" * len(some)))
        found.update(tuple(row) for row in connection.execute(query, (*some, spki.digest, MAX_HOLDERS)))
    return tuple(each for row in sorted(found)[:MAX_HOLDERS] if (each := Endpoint(*row)) != but)


def any_revoked(connection: Connection, presented: Presented, chain: ChainOutcome | None) -> str:
    """Say what of the certificate, its key, and the certificates and keys above it was revoked here; empty if nothing.

    What was sent counts as much as the path that was verified, which holds the anchor that is not sent. A sent
    certificate whose key cannot be read may be a revoked one: where anything was revoked at all, it counts as one.
    """
    if connection.execute("SELECT 1 FROM revocation LIMIT 1").fetchone() is None:
        return ""
    leaf = presented.leaf
    above = [Fingerprint.of(sent) for sent in presented.chain[1:]] + (
        sorted(chain.path | chain.issuers) if chain else []
    )
    try:
        above += [spki_of(sent) for sent in presented.chain[1:]]
    except BadCertificate as error:
        return (
            f"a certificate that was sent with it cannot be read ({error.why}), so it may be one that was revoked here"
        )
    own = {leaf.fingerprint: "the certificate", leaf.spki: "its key"}
    suspects = list(dict.fromkeys([*own, *above]))
    marks = ", ".join("?" * len(suspects))
    query = f"SELECT * FROM revocation WHERE fingerprint IN ({marks}) LIMIT 1"  # noqa: S608  # question marks
    found = connection.execute(query, [each.digest for each in suspects]).fetchone()
    if found is None:
        return ""
    fingerprint, when, who, why = Fingerprint(found[0]), rows.from_us(found[1]), found[2], found[3]
    what = own.get(fingerprint, "a CA above it")
    said = f": {printable(why)}" if why else ""
    return f"{what}, {fingerprint}, was revoked here by {printable(who)} on {when:%Y-%m-%d}{said}"


def gather(
    connection: Connection,
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
    revocation = any_revoked(connection, presented, chain)
    return Facts(
        revoked=bool(revocation),
        revocation=revocation,
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
