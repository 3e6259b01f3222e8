"""Export and import of trust. An import adds; it never overwrites, un-revokes, or revives what was deleted here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.formats.records import ImportedDocument, ImportedPin, Revocation
from troth.model.certificate import CertificateView
from troth.model.entry import DOMAINS, Entry, EntryState, Evidence, Pin, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.store import rows
from troth.store.sqlite import SqliteStore, subject_of

if TYPE_CHECKING:
    import sqlite3


@dataclass(slots=True)
class Imported:
    """What an import did.

    Args:
        added: The endpoints that are new here.
        same: How many were here already, with the same trust.
        refused: What was not taken over, and why; one sentence each.
        hints: How many unverified subjects were kept as hints.
        warnings: What the file holds and Troth cannot express.
    """

    added: list[str] = field(default_factory=list)
    same: int = 0
    refused: list[str] = field(default_factory=list)
    hints: int = 0
    warnings: tuple[str, ...] = ()


def export(store: SqliteStore) -> ImportedDocument:
    """Read the whole store as one document, in one transaction."""
    with store.transaction() as connection:
        entries = tuple(rows.select_entries(connection))
        certificates = tuple(row[0] for row in connection.execute("SELECT der FROM certificate ORDER BY fingerprint"))
        policies = {domain: store.domain_policy(domain) for domain in DOMAINS}
        revoked = tuple(
            Revocation(fingerprint=fp, revoked_at=when, revoked_by=who, reason=why)
            for fp, when, who, why in store.revocations()
        )
    return ImportedDocument(entries=entries, policies=policies, revoked=revoked, certificates=certificates)


def take_over(store: SqliteStore, document: ImportedDocument, *, source: str) -> Imported:
    """Import a document in one transaction: all of what may be taken over is, or nothing.

    Args:
        store: The trust store.
        document: What a file holds; nothing of it is trusted yet.
        source: The file's name, for the journal.
    """
    done = Imported(warnings=document.warnings)
    with store.transaction() as connection:
        for data in document.certificates:
            try:
                rows.write_certificate(connection, CertificateView.from_der(data))
            except BadCertificate as error:
                done.refused.append(f"A certificate cannot be read: {error.why}.")
        for each in document.revoked:
            store.revoke(each.fingerprint, reason=each.reason or f"imported from {source}")
        revoked = {fp for fp, *_ in store.revocations()}
        for entry in document.entries:
            _add(store, connection, entry, revoked, done, source)
        for pin in document.pins:
            _add(store, connection, _entry_of(pin, store), revoked, done, source)
        for hint in document.hints:
            connection.execute(
                "INSERT INTO hint VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, port) DO UPDATE SET subject = excluded.subject,"
                " source = excluded.source, added_at = excluded.added_at",
                (hint.endpoint.host, hint.endpoint.port, hint.subject[:1024], source, rows.to_us(store.now())),
            )
            done.hints += 1
        _policies(store, document, done)
    return done


def _add(
    store: SqliteStore,
    connection: sqlite3.Connection,
    entry: Entry,
    revoked: set[Fingerprint],
    done: Imported,
    source: str,
) -> None:
    name = subject_of(entry.endpoint)
    here = rows.select_entry(connection, entry.endpoint)
    pins = tuple(
        replace(pin, state=PinState.REVOKED)
        if _is_revoked(connection, pin, revoked) and pin.state is not PinState.REVOKED
        else pin
        for pin in entry.pins
    )
    if pins != entry.pins:
        done.refused.append(f"{name}: a pin was revoked here, and stays revoked.")
        entry = replace(entry, pins=pins, presented=None)
    if here is None:
        store.rewrite(connection, "import", None, entry, {"source": source})
        done.added.append(name)
    elif {(p.kind, p.fingerprint, p.state) for p in here.pins} >= {
        (p.kind, p.fingerprint, p.state) for p in entry.pins
    }:
        done.same += 1
    elif here.state is EntryState.DELETED:
        done.refused.append(
            f"{name} was deleted here; to trust it again: troth pin {entry.endpoint} --expect FINGERPRINT"
        )
    else:
        done.refused.append(
            f"{name} is on record with other pins, which stay: troth show {entry.endpoint};"
            f" to change them: troth replace {entry.endpoint} --expect FINGERPRINT"
        )


def _is_revoked(connection: sqlite3.Connection, pin: Pin, revoked: set[Fingerprint]) -> bool:
    if pin.fingerprint in revoked:
        return True
    if pin.certificate is None or pin.kind is PinKind.ISSUER:
        return False
    row = connection.execute("SELECT spki FROM certificate WHERE fingerprint = ?", (pin.certificate.digest,)).fetchone()
    return pin.certificate in revoked or (row is not None and Fingerprint(row[0]) in revoked)


def _entry_of(pin: ImportedPin, store: SqliteStore) -> Entry:
    made = Pin(
        kind=pin.kind,
        fingerprint=pin.fingerprint,
        state=pin.state,
        evidence=Evidence.IMPORTED,
        added_at=store.now(),
        added_by=store.actor,
    )
    return Entry(endpoint=pin.endpoint, domain=pin.domain, created_at=store.now(), pins=(made,))


def _policies(store: SqliteStore, document: ImportedDocument, done: Imported) -> None:
    """Take over policies only where none was set: an import must not relax one."""
    for domain, policy in document.policies.items():
        here = store.domain_policy(domain)
        if here == policy:
            continue
        if store.has_policy(domain):
            done.refused.append(f"The policy of {domain} stays as it was set here: troth policy show")
        elif policy.mode.value in ("observe", "disable"):
            done.refused.append(
                f"The policy of {domain} would be relaxed to {policy.mode}; if you mean it:"
                f" troth policy set {domain} {policy.mode}"
            )
        else:
            store.set_domain_policy(domain, policy)
