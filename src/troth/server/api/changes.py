"""Changes of what is trusted: each is made as the commands make it, and only of what the caller has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from troth import documents, manage
from troth.accounts.roles import Permission
from troth.model.certificate import CertificateView
from troth.model.entry import PinKind
from troth.server.api.words import (
    Changed,
    Digest,
    Domain,
    Kind,
    Name,
    Pem,
    Reason,
    Seconds,
    Where,
    digest,
    found,
    place,
)
from troth.server.api.words import change as changing
from troth.server.operations import Answer, Operation
from troth.tls.probe import Target, probe

if TYPE_CHECKING:
    from troth.model.entry import Entry
    from troth.server.operations import Call
    from troth.store.protocol import TrustStore


class NewPin(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be trusted: a fingerprint, or the certificate itself."""

    expect: Digest | None = None
    pem: Pem | None = None
    kind: Kind = "certificate"
    domain: Domain = "system"


class Expectation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The fingerprint (certificate or key) that the host's administrator gave."""

    expect: Digest


class Replacement(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the host is expected to present, and how to reach it."""

    expect: Digest
    server_name: Name = ""
    timeout_s: Seconds = 10.0


class Replaced(Changed, frozen=True, kw_only=True):
    """An entry after a replacement, and what was swapped."""

    old: list[str]
    new: str


class Announcement(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What comes next."""

    next: Digest
    kind: Literal["key", "certificate"] = "certificate"


class Deletion(Where, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which entry; and the certificate that may be trusted there afterwards without approval."""

    next: Digest | None = None


class RevocationRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is never to be trusted again, and why."""

    fingerprint: Digest
    reason: Reason = ""


class EntryRevocation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Why what is trusted at an endpoint is never to be trusted again."""

    reason: Reason = ""


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was revoked, and where it was trusted."""

    revoked: list[str]
    endpoints: list[str]


class RevocationView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is never trusted again."""

    fingerprint: str
    revoked_at: str
    revoked_by: str
    reason: str


class Revocations(msgspec.Struct, frozen=True, kw_only=True):
    """What was revoked, the oldest first."""

    revocations: list[RevocationView]


def add_pin(call: Call) -> Answer:
    """Trust something beforehand."""
    asked: NewPin = call.body
    entry = manage.pin(
        call.node.store,
        place(call),
        kind=PinKind(asked.kind),
        fingerprint=digest(asked.expect) if asked.expect else None,
        view=CertificateView.from_pem(asked.pem) if asked.pem else None,
        domain=asked.domain,
    )
    return Answer(result=documents.changed(entry), version=documents.version(entry))


def approve(call: Call) -> Answer:
    """Release from quarantine."""
    fingerprint = digest(call.body.expect)
    return changing(call, lambda store, entry: manage.approve(store, entry, fingerprint))


def replace(call: Call) -> Answer:
    """Look at the host, and trust what it presents if that is what is expected."""
    asked: Replacement = call.body
    store, before = call.node.store, found(call)
    target = Target(
        endpoint=before.endpoint,
        server_name=asked.server_name or before.server_name,
        timeout_s=asked.timeout_s,
        permit=call.node.permit,
    )
    presented, _ = probe(target)
    with store.transaction():
        done = manage.replace(store, found(call), presented.leaf, digest(asked.expect))
    old = [str(pin.fingerprint) for pin in done.before.current]
    result = {**documents.changed(done.after), "old": old, "new": str(done.view.fingerprint)}
    return Answer(result=result, version=documents.version(done.after))


def announce(call: Call) -> Answer:
    """Expect a next certificate or key."""
    asked: Announcement = call.body
    return changing(call, lambda store, entry: manage.announce(store, entry, digest(asked.next), PinKind(asked.kind)))


def withdraw(call: Call) -> Answer:
    """Take an announcement back."""
    fingerprint = digest(call.path["fingerprint"])
    return changing(call, lambda store, entry: manage.withdraw(store, entry, fingerprint))


def delete(call: Call) -> Answer:
    """Forget an endpoint."""
    successor = digest(call.query.next) if call.query.next else None

    def step(store: TrustStore, entry: Entry) -> Entry:
        return manage.delete(store, entry, successor)

    return changing(call, step)


def revoke(call: Call) -> documents.Document:
    """Revoke a certificate or key everywhere."""
    asked: RevocationRequest = call.body
    fingerprint = digest(asked.fingerprint)
    places = call.node.store.revoke(fingerprint, reason=asked.reason)
    return {"revoked": [str(fingerprint)], "endpoints": [str(each) for each in places]}


def revoke_entry(call: Call) -> documents.Document:
    """Revoke what is trusted at an endpoint."""
    store = call.node.store
    with store.transaction():
        entry = found(call)
        revoked = manage.revoke_entry(store, entry, reason=call.body.reason)
    return {"revoked": [str(each) for each in revoked], "endpoints": [str(entry.endpoint)]}


def list_revocations(call: Call) -> documents.Document:
    """Give what was revoked."""
    return {"revocations": [documents.revocation(*each) for each in call.node.store.revocations()]}


_READ = Permission.READ
OPERATIONS = [
    Operation(
        method="POST",
        path="/entries/{endpoint}/pins",
        name="pin",
        about="Trust a certificate, key or CA beforehand; nothing is contacted.",
        tag="trust",
        permission=Permission.PIN,
        handler=add_pin,
        query=Where,
        body=NewPin,
        result=Changed,
    ),
    Operation(
        method="POST",
        path="/entries/{endpoint}/approval",
        name="approve",
        about="Release an endpoint from quarantine, if what waits is what is expected.",
        tag="trust",
        permission=Permission.APPROVE,
        handler=approve,
        query=Where,
        body=Expectation,
        result=Changed,
        errors=(404, 409),
        versioned=True,
    ),
    Operation(
        method="POST",
        path="/entries/{endpoint}/replacement",
        name="replace",
        about="Look at the host, and swap what is on record for what it presents, if that is what is expected.",
        tag="trust",
        permission=Permission.REPLACE,
        handler=replace,
        query=Where,
        body=Replacement,
        result=Replaced,
        errors=(404, 502, 504),
        versioned=True,
        long=True,
    ),
    Operation(
        method="POST",
        path="/entries/{endpoint}/announcements",
        name="announce",
        about="Expect a next certificate or key; what is current stays trusted until it comes.",
        tag="trust",
        permission=Permission.ANNOUNCE,
        handler=announce,
        query=Where,
        body=Announcement,
        result=Changed,
        errors=(404,),
        versioned=True,
    ),
    Operation(
        method="DELETE",
        path="/entries/{endpoint}/announcements/{fingerprint}",
        name="withdraw",
        about="Take an announcement back.",
        tag="trust",
        permission=Permission.ANNOUNCE,
        handler=withdraw,
        query=Where,
        result=Changed,
        errors=(404,),
        versioned=True,
    ),
    Operation(
        method="DELETE",
        path="/entries/{endpoint}",
        name="deleteEntry",
        about="Forget an endpoint; it leaves a tombstone.",
        tag="trust",
        permission=Permission.DELETE,
        handler=delete,
        query=Deletion,
        result=Changed,
        errors=(404,),
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/revocations",
        name="listRevocations",
        about="List what is never trusted again.",
        tag="trust",
        permission=_READ,
        handler=list_revocations,
        result=Revocations,
    ),
    Operation(
        method="POST",
        path="/revocations",
        name="revoke",
        about="Never accept a certificate or key again, anywhere.",
        tag="trust",
        permission=Permission.REVOKE,
        handler=revoke,
        body=RevocationRequest,
        result=Revoked,
    ),
    Operation(
        method="POST",
        path="/entries/{endpoint}/revocation",
        name="revokeEntry",
        about="Never accept again what is trusted at an endpoint: its certificates and keys.",
        tag="trust",
        permission=Permission.REVOKE,
        handler=revoke_entry,
        query=Where,
        body=EntryRevocation,
        result=Revoked,
        errors=(404,),
        versioned=True,
    ),
]
