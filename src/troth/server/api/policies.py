"""How certificates are checked: policies, the CAs of each domain, and OCSP responders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from troth import documents, manage
from troth.accounts.roles import Permission
from troth.errors import BadInput
from troth.model.entry import CheckMode, Expiry, Override, PinKind
from troth.server.api.words import (
    Domain,
    Kind,
    Pem,
    Where,
    domain,
    place,
)
from troth.server.operations import Operation
from troth.store import authorities as kept

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
    revocation: str | None


class PolicyInForce(AnyPolicy, frozen=True, kw_only=True):
    """What an endpoint is checked by, and the domain that it takes the rest from."""

    domain: str


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """All policies: those of the domains, and what endpoints have of their own."""

    policies: list[AnyPolicy]


class PolicyChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be another than it is; what is left out stays, or with `reset` is the default."""

    mode: Mode | None = None
    pin: Kind | None = None
    expired: Expired | None = None
    reset: bool = False


class DomainChange(PolicyChange, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The same for a domain; `revocation` counts in mode `ca`."""

    revocation: Strictness | None = None


class EntryChange(PolicyChange, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The same for an endpoint, whose defaults are its domain's; and the domain to put it into."""

    domain: Domain | None = None


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


def list_policies(call: Call) -> documents.Document:
    """Give all policies."""
    return {"policies": documents.policies(call.node.store)}


def set_domain(call: Call) -> documents.Document:
    """Set a domain's policy."""
    asked: DomainChange = call.body
    store, name = call.node.store, domain(call)
    with store.transaction():
        manage.set_domain(store, name, _override(asked), reset=asked.reset)
        if asked.revocation is not None:
            kept.set_strictness(store, name, asked.revocation)
        return documents.domain_policy(store, name)


def set_entry(call: Call) -> documents.Document:
    """Give an endpoint settings of its own."""
    asked: EntryChange = call.body
    change = _override(asked)
    if change.pin is PinKind.ISSUER:
        raise BadInput("An issuer is pinned with its CA certificate.", next_command="POST …/pins, with the kind issuer")
    store = call.node.store
    entry = manage.set_policy(store, place(call), change, domain=asked.domain, reset=asked.reset)
    return documents.policy_in_force(store, entry)


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


def _override(asked: PolicyChange) -> Override:
    return Override(
        mode=CheckMode(asked.mode) if asked.mode else None,
        pin=PinKind(asked.pin) if asked.pin else None,
        expired=Expiry(asked.expired) if asked.expired else None,
    )


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
        body=EntryChange,
        result=PolicyInForce,
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
]
