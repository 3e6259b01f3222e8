"""Revocation reaches every pin that holds on to a certificate or key, at every endpoint, in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from troth.model.entry import Entry, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.store import rows

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.store.engine import Connection
    from troth.store.protocol import TrustStore

# One question for each index: an OR over several would read whole tables.
_TOUCHED = """
e.id IN (
    SELECT entry FROM pin WHERE fingerprint = ?
    UNION SELECT entry FROM pin WHERE certificate = ?
    UNION SELECT p.entry FROM certificate c JOIN pin p ON p.certificate = c.fingerprint WHERE c.spki = ?
    UNION SELECT id FROM entry
          WHERE presented IN (SELECT ? UNION ALL SELECT fingerprint FROM certificate WHERE spki = ?)
)
"""


def revoke(
    store: TrustStore, connection: Connection, fingerprint: Fingerprint, reason: str, *, at: datetime, by: str
) -> tuple[Endpoint, ...]:
    """Revoke inside the caller's transaction; see `TrustStore.revoke`."""
    connection.execute(
        "INSERT INTO revocation VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (fingerprint.digest, rows.to_us(at), by, reason),
    )
    store.journal(connection, "revoke", str(fingerprint), {"reason": reason, "revoked_by": by})
    kept = connection.execute("SELECT fingerprint FROM certificate WHERE spki = ?", (fingerprint.digest,))
    bearers = {Fingerprint(row[0]) for row in kept} | {fingerprint}
    touched = list(rows.select_entries(connection, _TOUCHED, (fingerprint.digest,) * _TOUCHED.count("?")))
    for entry in touched:
        changed = without(entry, bearers)
        if changed != entry:  # a certificate and its key are revoked one after the other
            store.rewrite(connection, "revoke", entry, changed, {"revoked": str(fingerprint), "reason": reason})
    return tuple(entry.endpoint for entry in touched)


def without(entry: Entry, bearers: set[Fingerprint]) -> Entry:
    """Revoke the pins that hold on to any of these: what was revoked, and the certificates that bear it if it is a key.

    An issuer pin is revoked with its CA's key, and with the CA certificate that it was taken from. `presented` stays:
    a host that was met once is no stranger, also where no pin is left.
    """
    pins = tuple(
        replace(pin, state=PinState.REVOKED)
        if pin.fingerprint in bearers or _bears(pin.certificate, bearers, pin.kind)
        else pin
        for pin in entry.pins
    )
    return replace(entry, pins=pins)


def _bears(certificate: Fingerprint | None, bearers: set[Fingerprint], kind: PinKind) -> bool:
    # A key pin outlives one of its certificates; revoking that certificate alone does not revoke the key.
    return kind is not PinKind.KEY and certificate in bearers
