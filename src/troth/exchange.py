"""Export and import of trust. An import adds; it never overwrites, un-revokes, or revives what was deleted here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.formats.records import ImportedDocument, ImportedPin, Revocation
from troth.model.certificate import CertificateView
from troth.model.entry import DOMAINS, CheckMode, Entry, EntryState, Evidence, Pin, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.store import rows
from troth.store.journal import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from troth.model.endpoint import Endpoint
    from troth.store.engine import Connection
    from troth.store.protocol import TrustStore


_RELAXED = frozenset({CheckMode.OBSERVE, CheckMode.DISABLE})


@dataclass(slots=True)
class Imported:
    """What an import did.

    Args:
        added: The endpoints that are new here.
        same: How many were here already, with the same trust.
        refused: What was not taken over, and why; one sentence each.
        revoked: What the file revokes and was not revoked here, with the endpoints that are rejected for it now.
        hints: How many unverified subjects were kept as hints.
        warnings: What the file holds and Troth cannot express.
    """

    added: list[str] = field(default_factory=list)
    same: int = 0
    refused: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    hints: int = 0
    warnings: tuple[str, ...] = ()


def export(store: TrustStore) -> ImportedDocument:
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


def take_over(store: TrustStore, document: ImportedDocument, *, source: str) -> Imported:
    """Import a document in one transaction: all of what may be taken over is, or nothing.

    Args:
        store: The trust store.
        document: What a file holds; nothing of it is trusted yet.
        source: The file's name, for the journal.
    """
    done = Imported(warnings=document.warnings)
    source = source.encode("utf-8", "backslashreplace").decode("utf-8")  # a file's name need not be Unicode
    with store.transaction() as connection:
        for data in document.certificates:
            try:
                rows.write_certificate(connection, CertificateView.from_der(data))
            except BadCertificate as error:
                done.refused.append(f"A certificate cannot be read: {error.why}.")
        _revoke(store, document, done, source)
        revoked = {fp for fp, *_ in store.revocations()}
        for entry in (*document.entries, *_entries_of(document.pins, store)):
            _add(store, connection, entry, revoked, done, source)
        for hint in document.hints:
            connection.execute(
                "INSERT INTO hint VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, port) DO UPDATE SET subject = excluded.subject,"
                " source = excluded.source, added_at = excluded.added_at",
                (hint.endpoint.host, hint.endpoint.port, hint.subject[:1024], source, rows.to_us(store.now())),
            )
            done.hints += 1
        _policies(store, document, done)
    return done


def _revoke(store: TrustStore, document: ImportedDocument, done: Imported, source: str) -> None:
    """Revoke what the file revokes; an import may take trust away, but it says so."""
    known = {fp for fp, *_ in store.revocations()}
    for each in document.revoked:
        if each.fingerprint in known:
            continue
        reason = each.reason or f"imported from {source}"
        touched = store.revoke(each.fingerprint, reason=reason, at=each.revoked_at, by=each.revoked_by)
        at = f", trusted until now at {', '.join(map(subject_of, touched))}" if touched else ""
        done.revoked.append(f"{each.fingerprint}{at}")


def _add(
    store: TrustStore,
    connection: Connection,
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
        entry = replace(entry, pins=pins)
    if here is None and entry.override.mode in _RELAXED:
        done.refused.append(
            f"{name}: its checks would be relaxed to {entry.override.mode}; if you mean it:"
            f" troth policy set {entry.endpoint} {entry.override.mode}"
        )
        entry = replace(entry, override=replace(entry.override, mode=None))
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


def _is_revoked(connection: Connection, pin: Pin, revoked: set[Fingerprint]) -> bool:
    if pin.fingerprint in revoked:
        return True
    certificate = pin.fingerprint if pin.kind is PinKind.CERTIFICATE else pin.certificate
    if certificate is None:
        return False
    row = connection.execute("SELECT spki FROM certificate WHERE fingerprint = ?", (certificate.digest,)).fetchone()
    # A key outlives a revoked certificate of it; a certificate does not outlive its key, nor an issuer its certificate.
    revoked_itself = pin.kind is not PinKind.KEY and certificate in revoked
    return revoked_itself or (row is not None and Fingerprint(row[0]) in revoked)


def _entries_of(pins: Iterable[ImportedPin], store: TrustStore) -> list[Entry]:
    """Make entries of another program's pins; several for one host are members of it."""
    made: dict[Endpoint, Entry] = {}
    for each in pins:
        entry = made.get(each.endpoint) or Entry(endpoint=each.endpoint, domain=each.domain, created_at=store.now())
        pin = Pin(
            kind=each.kind,
            fingerprint=each.fingerprint,
            state=each.state,
            evidence=Evidence.IMPORTED,
            added_at=store.now(),
            added_by=store.actor,
        )
        made[each.endpoint] = entry if any(pin.same_as(old) for old in entry.pins) else entry.with_pin(pin)
    return list(made.values())


def _policies(store: TrustStore, document: ImportedDocument, done: Imported) -> None:
    """Take over policies only where none was set: an import must not relax one."""
    for domain, policy in document.policies.items():
        here = store.domain_policy(domain)
        if here == policy:
            continue
        if store.has_policy(domain):
            done.refused.append(f"The policy of {domain} stays as it was set here: troth policy show")
        elif policy.mode in _RELAXED:
            done.refused.append(
                f"The policy of {domain} would be relaxed to {policy.mode}; if you mean it:"
                f" troth policy set {domain} {policy.mode}"
            )
        else:
            store.set_domain_policy(domain, policy)
