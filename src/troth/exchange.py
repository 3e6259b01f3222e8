"""Export and import of trust. An import adds; it never overwrites, un-revokes, or revives what was deleted here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.formats.records import ImportedDocument, ImportedPin, Revocation
from troth.model.certificate import CertificateView
from troth.model.entry import (
    DOMAINS,
    CheckMode,
    Entry,
    EntryState,
    Evidence,
    Override,
    Pin,
    PinKind,
    PinState,
    Policy,
)
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable
from troth.store import queries, rows
from troth.store.authorities import vouches
from troth.store.journal import subject_of
from troth.trust.strictness import weaker, without, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from troth.model.endpoint import Endpoint
    from troth.store.engine import Connection
    from troth.store.protocol import TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _InForce:
    """A domain's policy before the import.

    Args:
        policy: The policy.
        given: Whether somebody set it here.
        unused: Whether it is a default that nothing depends on yet.
    """

    policy: Policy
    given: bool
    unused: bool


@dataclass(slots=True)
class Imported:
    """What an import did.

    Args:
        added: The endpoints that are new here.
        same: How many were here already, with the same trust.
        refused: What was not taken over, and why; one sentence each.
        revoked: What the file revokes and was not revoked here, with the endpoints that are rejected for it now.
        hints: How many unverified subjects were kept as hints.
        policies: The policies of domains that were taken over, as they are now.
        warnings: What a person should know of what was taken over.
    """

    added: list[str] = field(default_factory=list)
    same: int = 0
    refused: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    hints: int = 0
    policies: dict[str, Policy] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


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
    done = Imported(refused=list(document.warnings), warnings=list(document.notes))
    source = source.encode("utf-8", "backslashreplace").decode("utf-8")  # a file's name need not be Unicode
    with store.transaction() as connection:
        for data in document.certificates:
            try:
                rows.write_certificate(connection, CertificateView.from_der(data))
            except BadCertificate as error:
                done.refused.append(f"A certificate cannot be read: {error.why}.")
        _revoke(store, document, done, source)
        revoked = {fp for fp, *_ in store.revocations()}
        here = {domain: _in_force(store, connection, domain) for domain in DOMAINS}
        for entry in (*document.entries, *_entries_of(document.pins, store)):
            _add(store, connection, entry, revoked, here[entry.domain], done, source)
        _hints(store, connection, document, done, source)
        _policies(store, document, here, done)
    return done


def _in_force(store: TrustStore, connection: Connection, domain: str) -> _InForce:
    """Read what a file may not relax; a default counts as set as soon as something depends on it."""
    used = connection.execute("SELECT 1 FROM entry WHERE domain = ? LIMIT 1", (domain,)).fetchone() is not None
    given = store.has_policy(domain)
    return _InForce(policy=store.domain_policy(domain), given=given, unused=not (used or given))


def _hints(store: TrustStore, connection: Connection, document: ImportedDocument, done: Imported, source: str) -> None:
    """Keep hints; one that is here already stays, for a list proves no more than another."""
    for hint in document.hints:
        place, subject = hint.endpoint, hint.subject[:1024]
        kept = connection.execute(
            "INSERT INTO hint VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, port) DO NOTHING",
            (place.host, place.port, subject, source, rows.to_us(store.now())),
        ).rowcount
        known = None if kept else store.hint(place)
        if known is None:
            done.hints += 1
        elif known[0] == subject:
            done.same += 1
        else:
            done.refused.append(
                f"The hint for {place} stays as {printable(known[1])} has it, {printable(known[0])}; this list has"
                f" {printable(subject)}. Ask the host itself: troth check {place}"
            )


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
    force: _InForce,
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
    if any(_is_unfounded(connection, pin) for pin in pins):
        done.refused.append(
            f"{name}: an issuer is pinned by its CA certificate, and the file does not hold it;"
            f" troth pin {entry.endpoint} --kind issuer --pem CA.pem"
        )
    elif here is None or (entry.recorded and not here.recorded):
        entry = _unrelaxed(entry, here, force, name, done)
        store.rewrite(connection, "import", here, entry, {"source": source})
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


def _unrelaxed(entry: Entry, here: Entry | None, force: _InForce, name: str, done: Imported) -> Entry:
    """Keep the settings that were made here beforehand, and drop each of the file's that is weaker than the policy."""
    if here is not None:
        return replace(entry, domain=here.domain, override=here.override, created_at=here.created_at)
    weak = weaker(entry.override, force.policy, unused=force.unused)
    done.refused += [
        f"{name}: {word} would relax the policy that is in force; if you mean it:"
        f" troth policy set {entry.endpoint} {word}"
        for word in words(weak)
    ]
    return replace(entry, override=without(entry.override, weak))


def _is_unfounded(connection: Connection, pin: Pin) -> bool:
    """Whether an issuer is pinned without the certificate of the CA that has this key."""
    if pin.kind is not PinKind.ISSUER or pin.state not in (PinState.CURRENT, PinState.NEXT):
        return False
    view = queries.certificate(connection, pin.certificate)
    return view is None or not view.is_ca or view.spki != pin.fingerprint


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
    made: dict[tuple[Endpoint, str], dict[tuple[PinKind, Fingerprint], Pin]] = {}
    for each in pins:
        held = made.setdefault((each.endpoint, each.domain), {})
        held.setdefault(
            (each.kind, each.fingerprint),
            Pin(
                kind=each.kind,
                fingerprint=each.fingerprint,
                state=each.state,
                evidence=Evidence.IMPORTED,
                added_at=store.now(),
                added_by=store.actor,
            ),
        )
    return [
        Entry(endpoint=endpoint, domain=domain, created_at=store.now(), pins=tuple(held.values()))
        for (endpoint, domain), held in made.items()
    ]


def _policies(store: TrustStore, document: ImportedDocument, here: dict[str, _InForce], done: Imported) -> None:
    """Take over policies only where none was set, and of them what is at least as strict as the default in use."""
    for domain, policy in document.policies.items():
        force = here[domain]
        if force.policy == policy:
            continue
        if force.given:
            done.refused.append(f"The policy of {domain} stays as it was set here: troth policy show {domain}")
            continue
        weak = weaker(policy, force.policy, unused=force.unused)
        done.refused += [
            f"The policy of {domain} would be relaxed by {word}; if you mean it: troth policy set {domain} {word}"
            for word in words(weak)
        ]
        kept = Override(mode=policy.mode, pin=policy.pin, expired=policy.expired)
        taken = without(kept, weak).over(force.policy)
        if taken == force.policy:
            continue
        store.set_domain_policy(domain, taken)
        done.policies[domain] = taken
        if taken.mode is CheckMode.CA and not vouches(store, domain):
            done.warnings.append(
                f"{domain} is in mode ca now and trusts no CA here, so every host is rejected: ncs certvalidation"
                f" trusted-ca-store importcacert alias ALIAS repository defaultRepo FILE truststore {domain}"
            )
