"""What is on record: found, shown, and changed as the commands change it."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents, manage
from troth.accounts.roles import Permission
from troth.errors import BadInput
from troth.model.certificate import CertificateView
from troth.model.entry import PinKind
from troth.server.api.words import (
    Changed,
    Digest,
    Domain,
    Kind,
    Name,
    Pem,
    PolicyView,
    Seconds,
    Where,
    digest,
    found,
    place,
)
from troth.server.api.words import change as changing
from troth.server.operations import Answer, Operation
from troth.store.journal import subject_of
from troth.store.listing import Wanted
from troth.tls.probe import Target, probe
from troth.trust.explain import moment

if TYPE_CHECKING:
    from troth.model.entry import Entry
    from troth.server.operations import Call
    from troth.store.listing import Listed
    from troth.store.protocol import TrustStore

EntryState = Literal["active", "quarantined", "deleted"]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class EntryQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which entries are meant; what is left out does not matter. Deleted ones are given where they are asked for."""

    domain: Domain | None = None
    state: EntryState | None = None
    waits: Annotated[bool, msgspec.Meta(description="Whether a certificate waits there for approval.")] | None = None
    host: Annotated[str, msgspec.Meta(max_length=253, description="A part of the host's name.")] | None = None
    subject: Annotated[str, msgspec.Meta(max_length=200, description="A part of a subject.")] | None = None
    fingerprint: Digest | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=1000, description="`next` of the page before.")] | None = None
    limit: Limit = 100


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in a list; `kind` and `fingerprint` are those of the pin that matters most."""

    endpoint: str
    key: str
    protocol: str
    domain: str
    state: str
    waits: bool
    kind: str | None
    fingerprint: str | None
    pins: int
    subject: str | None
    not_after: str | None
    expired: bool | None
    last_seen: str | None


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, ordered by host and port; `next` is the cursor of the next page, if there is one."""

    entries: list[EntryLine]
    next: str | None


class PinView(msgspec.Struct, frozen=True, kw_only=True):
    """What is trusted, or was, with the certificate that it is known from."""

    kind: str
    fingerprint: str
    state: str
    evidence: str
    added_at: str
    added_by: str
    first_seen: str | None
    last_seen: str | None
    certificate: dict[str, Any] | None
    also_at: list[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which two certificates differ."""

    field: str
    old: str
    new: str


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one entry."""

    endpoint: str
    key: str
    protocol: str
    domain: str
    state: str
    server_name: str | None
    policy: PolicyView
    created_at: str
    last_seen: str | None
    presented: str | None
    rejected: str | None
    rejected_at: str | None
    rejected_certificate: dict[str, Any] | None
    rejected_diff: list[Difference]
    pins: list[PinView]


class RecordView(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the journal; `at` is in microseconds since 1970."""

    seq: int
    at: int
    actor: str
    origin: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous: str
    hash: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the trust in an endpoint, the oldest first."""

    endpoint: str
    records: list[RecordView]


class CertificateQuery(Where, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which entry; and whether the certificate that was rejected last is meant."""

    rejected: bool = False


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


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """An entry after a replacement, and what was swapped."""

    endpoint: str
    protocol: str
    domain: str
    state: str
    pins: list[dict[str, str]]
    old: list[str]
    new: str


class Announcement(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What comes next."""

    next: Digest
    kind: Literal["key", "certificate"] = "certificate"


class Deletion(Where, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which entry; and the certificate that may be trusted there afterwards without approval."""

    next: Digest | None = None


def list_entries(call: Call) -> documents.Document:
    """Give one page, searched and cut in the database."""
    asked: EntryQuery = call.query
    wanted = Wanted(
        domain=asked.domain,
        state=asked.state,
        waits=asked.waits,
        host=asked.host,
        subject=asked.subject,
        digest=digest(asked.fingerprint).digest if asked.fingerprint else None,
        after=_after(asked.cursor) if asked.cursor else None,
        limit=asked.limit + 1,
    )
    lines = call.node.store.page(wanted)
    shown, now = lines[: asked.limit], moment(call.node.store.now())
    return {
        "entries": [documents.listed(each, now) for each in shown],
        "next": _cursor(shown[-1]) if len(lines) > len(shown) else None,
    }


def get_entry(call: Call) -> Answer:
    """Show one."""
    store = call.node.store
    entry = found(call)
    views, holders = documents.kept(store, entry)
    policy = entry.override.over(store.domain_policy(entry.domain))
    return Answer(result=documents.entry(entry, policy, views, holders), version=documents.version(entry))


def get_history(call: Call) -> documents.Document:
    """Give the journal's records about one."""
    entry = found(call)
    records = call.node.store.records(subject=subject_of(entry.endpoint))
    return {"endpoint": str(entry.endpoint), "records": [each.document() for each in records]}


def get_certificate(call: Call) -> str:
    """Give the current certificates as PEM."""
    entry = found(call)
    return documents.pem(entry, documents.kept(call.node.store, entry)[0], rejected=call.query.rejected)


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


def _cursor(line: Listed) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([line.host, line.port, line.protocol])).decode().rstrip("=")


def _after(text: str) -> tuple[str, int, str]:
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=tuple[str, Annotated[int, msgspec.Meta(ge=0, le=65535)], str])
    except (UnicodeError, binascii.Error, msgspec.DecodeError):
        raise BadInput("The cursor is none that this node gave.", next_command="begin again without one") from None


_READ = Permission.READ
_PEM = ("application/pem-certificate-chain",)
OPERATIONS = [
    Operation(
        method="GET",
        path="/entries",
        name="listEntries",
        about="List what is on record, page by page.",
        tag="trust",
        permission=_READ,
        handler=list_entries,
        query=EntryQuery,
        result=EntryPage,
    ),
    Operation(
        method="GET",
        path="/entries/{endpoint}",
        name="getEntry",
        about="Show everything about one endpoint.",
        tag="trust",
        permission=_READ,
        handler=get_entry,
        query=Where,
        result=EntryView,
        errors=(404,),
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/entries/{endpoint}/history",
        name="getHistory",
        about="Show what happened to the trust in one endpoint.",
        tag="trust",
        permission=_READ,
        handler=get_history,
        query=Where,
        result=History,
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/entries/{endpoint}/certificate",
        name="getCertificate",
        about="Give an endpoint's current certificates as PEM.",
        tag="trust",
        permission=_READ,
        handler=get_certificate,
        query=CertificateQuery,
        result=str,
        errors=(404,),
        media=_PEM,
    ),
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
]
