"""What is on record: listed and shown."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents
from troth.accounts.roles import Permission
from troth.errors import BadInput
from troth.server.api.words import (
    Digest,
    Domain,
    PolicyView,
    Where,
    digest,
    found,
)
from troth.server.operations import Answer, Operation
from troth.store.journal import subject_of
from troth.store.listing import Wanted
from troth.trust.explain import moment

if TYPE_CHECKING:
    from troth.server.operations import Call
    from troth.store.listing import Listed

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
]
