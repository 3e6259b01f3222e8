"""Hold the store against its journal: every hash, and everything that decides about trust against the last record about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model.certificate import CertificateView
from troth.model.entry import PinKind
from troth.model.fingerprint import Fingerprint
from troth.store import journal, rows
from troth.store.journal import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from troth.model.entry import Entry
    from troth.store.journal import Record
    from troth.store.protocol import TrustStore

MAX_FAULTS = 50
_SETTING = "setting:"
_BEHIND = "it was changed behind the journal's back"


@dataclass(slots=True)
class Audit:
    """What an audit found; intact if there are no faults."""

    records: int = 0
    entries: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What the journal says that there is, replayed from its beginning."""

    entries: dict[str, dict[str, object]] = field(default_factory=dict)
    revoked: dict[str, object] = field(default_factory=dict)
    policies: dict[str, object] = field(default_factory=dict)
    authorities: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)

    def hear(self, record: Record) -> None:
        """Take one record in."""
        detail, subject = record.detail, record.subject
        after = detail.get("after")
        if isinstance(after, dict):
            self.entries[subject] = after
        elif record.action == "policy":
            self.policies[subject] = after
        elif record.action == "revoke":
            # What was revoked once stays as it was said then.
            self.revoked.setdefault(subject, [detail.get("reason"), detail.get("revoked_by")])
        elif record.action == "trust-ca":
            self.authorities[f"{detail.get('alias')} in {subject}"] = detail.get("certificate")
        elif record.action == "distrust-ca":
            self.authorities.pop(f"{detail.get('alias')} in {subject}", None)
        elif record.action == "setting":
            self.settings[subject] = detail.get("value")


def audit(store: TrustStore) -> Audit:
    """Verify the whole journal and the whole store, in one pass over each."""
    found, told = Audit(), _Told()

    def watched() -> Iterator[Record]:
        for record in store.records():
            found.records, found.head = record.seq, record.hash.hex()
            told.hear(record)
            yield record

    for fault in _faults(store, found, told, watched()):
        found.faults.append(fault)
        if len(found.faults) == MAX_FAULTS:
            break
    return found


def _faults(store: TrustStore, found: Audit, told: _Told, records: Iterator[Record]) -> Iterator[str]:
    yield from journal.faults(records)
    for entry in store.entries():
        found.entries += 1
        yield from _entry_faults(entry, told)
        yield from _pin_faults(store, entry)
    for name, after in told.entries.items():
        if "pins" in after:
            yield f"{name} is in the journal and not in the store."
    yield from _table_faults(store, told)
    yield from _certificate_faults(store)


def _entry_faults(entry: Entry, told: _Told) -> Iterator[str]:
    name, state = subject_of(entry.endpoint), rows.trust_state(entry)
    if not rows.is_same_trust(told.entries.pop(name, None), state):
        yield f"{name} is not as the journal left it: its trust was changed behind the journal's back."


def _pin_faults(store: TrustStore, entry: Entry) -> Iterator[str]:
    """What a pin says, and the certificate that it was last seen in, must be of one another."""
    for pin in entry.pins:
        if pin.certificate is None:
            continue
        if pin.kind is PinKind.CERTIFICATE:
            same = pin.certificate == pin.fingerprint
        else:
            view = store.certificate(pin.certificate)
            same = view is None or view.spki == pin.fingerprint
        if not same:
            yield f"{subject_of(entry.endpoint)} has a pin with another certificate than its own: {_BEHIND}."


def _table_faults(store: TrustStore, told: _Told) -> Iterator[str]:
    with store.reading() as connection:
        policies = {
            domain: list(values)
            for domain, *values in connection.execute("SELECT domain, mode, pin, expired FROM policy")
        }
        authorities = {
            f"{alias} in {domain}": str(Fingerprint(bytes(certificate)))
            for domain, alias, certificate in connection.execute("SELECT domain, alias, certificate FROM authority")
        }
        settings = {
            key.removeprefix(_SETTING): value
            for key, value in connection.execute("SELECT key, value FROM meta")
            if key.startswith(_SETTING)
        }
    revoked = {str(fingerprint): [why, who] for fingerprint, _, who, why in store.revocations()}
    yield from _differences("The revocation of", told.revoked, revoked)
    yield from _differences("The policy of", told.policies, policies)
    yield from _differences("The CA", told.authorities, authorities)
    yield from _differences("The setting", told.settings, settings)


def _differences(what: str, told: dict[str, object], there: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(told.keys() | there.keys()):
        if name not in there:
            yield f"{what} {name} is in the journal and not in the store: {_BEHIND}."
        elif name not in told:
            yield f"{what} {name} is in the store and not in the journal: {_BEHIND}."
        elif told[name] != there[name]:
            yield f"{what} {name} is not as the journal left it: {_BEHIND}."


def _certificate_faults(store: TrustStore) -> Iterator[str]:
    """A kept certificate is what its fingerprint says, and is found by its key."""
    with store.reading() as connection:
        for digest, spki, data in connection.execute("SELECT fingerprint, spki, der FROM certificate"):
            kept = Fingerprint(bytes(digest))
            try:
                view = CertificateView.from_der(bytes(data))
            except BadCertificate:
                yield f"The certificate {kept} cannot be read: {_BEHIND}."
                continue
            if (view.fingerprint, view.spki.digest) != (kept, bytes(spki)):
                yield f"The certificate {kept} is another one: {_BEHIND}."
