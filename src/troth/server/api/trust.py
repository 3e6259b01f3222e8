"""Policies, revocations, CAs, import and export, and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents, exchange, manage
from troth.accounts.roles import Permission
from troth.errors import BadInput
from troth.formats import MAX_BYTES, dump_json, dump_listcerts, dump_toml, load
from troth.model.entry import CheckMode, Expiry, Override, PinKind
from troth.server.api.entries import RecordView
from troth.server.api.words import Digest, Kind, Pem, Reason, Where, digest, domain, found, place
from troth.server.operations import Answer, Operation
from troth.store import authorities as kept
from troth.store.audit import audit

if TYPE_CHECKING:
    from troth.server.operations import Call

Mode = Literal["trust-on-first-use", "strict", "ca", "observe", "disable"]
Strictness = Literal["require", "prefer", "off"]
Expired = Literal["accept", "reject"]
Url = Annotated[str, msgspec.Meta(max_length=1024)]


class AnyPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A domain's policy, or what an endpoint has of its own; null for what it takes from its domain."""

    of: str
    mode: str | None
    pin: str | None
    expired: str | None


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """All policies; and for each domain, what becomes of a revocation check that cannot be done."""

    policies: list[AnyPolicy]
    revocation: dict[str, str]


class PolicyChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be another than it is; what is left out stays."""

    mode: Mode | None = None
    pin: Kind | None = None
    expired: Expired | None = None


class DomainChange(PolicyChange, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The same for a domain; `revocation` counts in mode `ca`."""

    revocation: Strictness | None = None


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


class AuthorityView(msgspec.Struct, frozen=True, kw_only=True):
    """A CA that a domain trusts."""

    alias: str
    fingerprint: str
    subject: str
    not_after: str
    added_at: str
    added_by: str


class AuthorityStore(msgspec.Struct, frozen=True, kw_only=True):
    """The CAs of a domain, and whether it trusts those of the operating system as well."""

    domain: str
    follows_system: bool
    authorities: list[AuthorityView]


class NewAuthority(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A CA to be trusted, and what it is called here."""

    alias: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    pem: Pem


class AuthorityChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whether the CAs of the operating system, which it keeps up to date, are trusted as well."""

    follows_system: bool


class Responders(msgspec.Struct, frozen=True, kw_only=True):
    """The custom OCSP responders, and whether they are asked."""

    custom: bool
    url1: str
    url2: str


class RespondersChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be another than it is; an empty address takes a responder away."""

    custom: bool | None = None
    url1: Url | None = None
    url2: Url | None = None


class ExportQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """In which format."""

    format: Literal["toml", "json", "listcerts"] = "toml"


class ImportRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file's text; its format is seen from it where it is not named."""

    text: Annotated[str, msgspec.Meta(min_length=1)]
    format: Literal["toml", "json", "gnutls", "listcerts"] | None = None
    name: Annotated[str, msgspec.Meta(max_length=200)] = "the file"


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken over, and what was not, each with its reason."""

    format: str
    added: list[str]
    same: int
    hints: int
    policies: list[AnyPolicy]
    revoked: list[str]
    refused: list[str]
    warnings: list[str]


class JournalQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which records: those after the one of this number."""

    since: Annotated[int, msgspec.Meta(ge=0, le=10**18)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JournalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records, the oldest first; `last` is the number of the last one that there is."""

    records: list[RecordView]
    last: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every hash and every entry is as it was written."""

    intact: bool
    records: int
    head: str
    faults: list[str]


def list_policies(call: Call) -> documents.Document:
    """Give all policies."""
    store = call.node.store
    found_policies = documents.policies(store)
    revocation = {name: kept.revocation_of(store, name).strictness for name in _domains()}
    return {"policies": found_policies, "revocation": revocation}


def set_domain(call: Call) -> documents.Document:
    """Set a domain's policy."""
    asked: DomainChange = call.body
    store, name = call.node.store, domain(call)
    with store.transaction():
        policy = manage.set_domain(store, name, _override(asked))
        if asked.revocation is not None:
            kept.set_strictness(store, name, asked.revocation)
    return documents.policy(name, policy)


def set_entry(call: Call) -> documents.Document:
    """Give an endpoint settings of its own."""
    change = _override(call.body)
    if change.pin is PinKind.ISSUER:
        raise BadInput("An issuer is pinned with its CA certificate.", next_command="POST …/pins, with the kind issuer")
    store = call.node.store
    entry = manage.set_policy(store, place(call), change)
    return documents.policy(str(entry.endpoint), entry.override.over(store.domain_policy(entry.domain)))


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


def list_authorities(call: Call) -> documents.Document:
    """Give a domain's CAs."""
    store, name = call.node.store, domain(call)
    found_here = [documents.authority(each) for each in kept.authorities(store, name)]
    return {"domain": name, "follows_system": kept.follows_system(store, name), "authorities": found_here}


def add_authority(call: Call) -> documents.Document:
    """Trust a CA in a domain."""
    asked: NewAuthority = call.body
    view = kept.read_authority(asked.pem, "The text")
    kept.add_authority(call.node.store, domain(call), asked.alias, view)
    return list_authorities(call)


def delete_authority(call: Call) -> None:
    """Trust a CA no more."""
    kept.delete_authority(call.node.store, domain(call), call.path["alias"])


def change_authorities(call: Call) -> documents.Document:
    """Follow the operating system's CAs, or not."""
    kept.set_follows_system(call.node.store, domain(call), call.body.follows_system)
    return list_authorities(call)


def get_responders(call: Call) -> documents.Document:
    """Give the OCSP responders."""
    settings = kept.revocation_settings(call.node.store)
    return {"custom": settings.custom, "url1": settings.url1, "url2": settings.url2}


def set_responders(call: Call) -> documents.Document:
    """Set the OCSP responders: all that was asked, or nothing."""
    asked: RespondersChange = call.body
    store = call.node.store
    with store.transaction():
        for slot, url in (("url1", asked.url1), ("url2", asked.url2)):
            if url is not None:
                kept.set_responder(store, slot, url)
        if asked.custom is not None:
            kept.set_custom_responders(store, asked.custom)
    return get_responders(call)


def export(call: Call) -> Answer:
    """Give everything as a file."""
    store = call.node.store
    if call.query.format == "listcerts":
        return Answer(result=dump_listcerts([(each.key, each.slash) for each in store.listing()]), media="text/plain")
    document = exchange.export(store)
    if call.query.format == "json":
        return Answer(result=dump_json(document), media="application/json")
    return Answer(result=dump_toml(document), media="application/toml")


def import_(call: Call) -> documents.Document:
    """Take over what may be taken over."""
    asked: ImportRequest = call.body
    document = load(asked.text, asked.format, name=asked.name)
    done = exchange.take_over(call.node.store, document, source=asked.name)
    return documents.imported(done, format=document.format)


def journal(call: Call) -> documents.Document:
    """Give records of the journal."""
    asked: JournalQuery = call.query
    store = call.node.store
    records = store.records(since=asked.since, limit=asked.limit)
    return {"records": [each.document() for each in records], "last": store.last_change()}


def verify(call: Call) -> documents.Document:
    """Hold the store against its journal."""
    return documents.audited(audit(call.node.store))


def _override(asked: PolicyChange) -> Override:
    return Override(
        mode=CheckMode(asked.mode) if asked.mode else None,
        pin=PinKind(asked.pin) if asked.pin else None,
        expired=Expiry(asked.expired) if asked.expired else None,
    )


def _domains() -> tuple[str, ...]:
    from troth.model.words import DOMAINS

    return DOMAINS


_READ, _POLICY, _CAS = Permission.READ, Permission.POLICY, Permission.AUTHORITIES
OPERATIONS = [
    Operation(
        method="GET",
        path="/policies",
        name="listPolicies",
        about="Show how certificates are checked, by domain and by endpoint.",
        tag="policies",
        permission=_READ,
        handler=list_policies,
        result=Policies,
    ),
    Operation(
        method="PATCH",
        path="/policies/{domain}",
        name="setDomainPolicy",
        about="Set how a domain is checked.",
        tag="policies",
        permission=_POLICY,
        handler=set_domain,
        body=DomainChange,
        result=AnyPolicy,
        errors=(404,),
    ),
    Operation(
        method="PATCH",
        path="/entries/{endpoint}/policy",
        name="setEntryPolicy",
        about="Give an endpoint settings of its own, also before it is known.",
        tag="policies",
        permission=_POLICY,
        handler=set_entry,
        query=Where,
        body=PolicyChange,
        result=AnyPolicy,
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
    Operation(
        method="GET",
        path="/authorities/{domain}",
        name="listAuthorities",
        about="List the CAs that a domain trusts in mode `ca`.",
        tag="policies",
        permission=_READ,
        handler=list_authorities,
        result=AuthorityStore,
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/authorities/{domain}",
        name="addAuthority",
        about="Trust a CA in a domain.",
        tag="policies",
        permission=_CAS,
        handler=add_authority,
        body=NewAuthority,
        result=AuthorityStore,
        status=201,
        errors=(404,),
    ),
    Operation(
        method="PATCH",
        path="/authorities/{domain}",
        name="changeAuthorities",
        about="Trust the operating system's CAs in a domain as well, or not.",
        tag="policies",
        permission=_CAS,
        handler=change_authorities,
        body=AuthorityChange,
        result=AuthorityStore,
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/authorities/{domain}/{alias}",
        name="deleteAuthority",
        about="Trust a CA in a domain no more.",
        tag="policies",
        permission=_CAS,
        handler=delete_authority,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/ocsp-responders",
        name="getResponders",
        about="Show the custom OCSP responders.",
        tag="policies",
        permission=_READ,
        handler=get_responders,
        result=Responders,
    ),
    Operation(
        method="PATCH",
        path="/ocsp-responders",
        name="setResponders",
        about="Set the custom OCSP responders, and whether they are asked.",
        tag="policies",
        permission=_POLICY,
        handler=set_responders,
        body=RespondersChange,
        result=Responders,
    ),
    Operation(
        method="GET",
        path="/export",
        name="exportTrust",
        about="Give the whole trust store as a file.",
        tag="trust",
        permission=_READ,
        handler=export,
        query=ExportQuery,
        result=dict[str, Any],
        media=("application/toml", "application/json", "text/plain"),
        long=True,
    ),
    Operation(
        method="POST",
        path="/import",
        name="importTrust",
        about="Read trust from a file; nothing is overwritten, un-revoked or revived.",
        tag="trust",
        permission=Permission.IMPORT,
        handler=import_,
        body=ImportRequest,
        result=ImportResult,
        long=True,
        larger=MAX_BYTES,
    ),
    Operation(
        method="GET",
        path="/journal",
        name="listJournal",
        about="Read the record of every change.",
        tag="trust",
        permission=_READ,
        handler=journal,
        query=JournalQuery,
        result=JournalPage,
    ),
    Operation(
        method="GET",
        path="/journal/verification",
        name="verifyJournal",
        about="Check every hash of the journal, and the store against it.",
        tag="trust",
        permission=_READ,
        handler=verify,
        result=Verification,
        long=True,
    ),
]
