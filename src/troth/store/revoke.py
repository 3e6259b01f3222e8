"""Revocation reaches every pin that holds on to a certificate or key, at every endpoint, in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from troth.model.entry import Entry, PinState
from troth.model.fingerprint import Fingerprint
from troth.store import rows

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.store.sqlite import SqliteStore

_TOUCHED = """
e.id IN (SELECT entry FROM pin WHERE fingerprint = ? OR certificate = ?
         OR certificate IN (SELECT fingerprint FROM certificate WHERE spki = ?))
OR e.presented = ? OR e.presented IN (SELECT fingerprint FROM certificate WHERE spki = ?)
"""


def revoke(
    store: SqliteStore, connection: sqlite3.Connection, fingerprint: Fingerprint, reason: str, *, at: datetime, by: str
) -> tuple[Endpoint, ...]:
    """Revoke inside the caller's transaction; see `SqliteStore.revoke`."""
    connection.execute(
        "INSERT INTO revocation VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (fingerprint.digest, rows.to_us(at), by, reason),
    )
    store.journal(connection, "revoke", str(fingerprint), {"reason": reason, "revoked_by": by})
    kept = connection.execute("SELECT fingerprint FROM certificate WHERE spki = ?", (fingerprint.digest,))
    bearers = {Fingerprint(row[0]) for row in kept} | {fingerprint}
    touched = list(rows.select_entries(connection, _TOUCHED, [fingerprint.digest] * _TOUCHED.count("?")))
    for entry in touched:
        store.rewrite(connection, "revoke", entry, without(entry, fingerprint, bearers))
    return tuple(entry.endpoint for entry in touched)


def without(entry: Entry, fingerprint: Fingerprint, bearers: set[Fingerprint]) -> Entry:
    """Revoke the pins that hold on to a fingerprint, or to a certificate that bears the key.

    `presented` is cleared as well, so that the next decision asks every question anew.
    """
    pins = tuple(
        replace(pin, state=PinState.REVOKED)
        if pin.fingerprint in bearers or (pin.fingerprint == fingerprint or _bears(pin.certificate, bearers, pin.kind))
        else pin
        for pin in entry.pins
    )
    return replace(entry, pins=pins, presented=None)


def _bears(certificate: Fingerprint | None, bearers: set[Fingerprint], kind: str) -> bool:
    # A key pin outlives one of its certificates; revoking that certificate alone does not revoke the key.
    return kind == "certificate" and certificate in bearers
