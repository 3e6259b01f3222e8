"""Checks: connect to hosts, hold their certificates against the record, and record them, as `troth check` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from troth import documents
from troth.accounts.roles import Permission
from troth.errors import TrothError
from troth.model.endpoint import Endpoint
from troth.server.api.entries import Difference
from troth.server.api.words import Digest, Domain, Name, Place, Protocol, Seconds, ShortPin, digest
from troth.server.operations import Operation
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.rejection import document

if TYPE_CHECKING:
    from troth.model.fingerprint import Fingerprint
    from troth.server.operations import Call

MAX_HOSTS = 20
# With these, hosts that do not answer cost three times the limit of one.
_AT_ONCE = 8


class Checks(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Hosts to be checked, and how."""

    hosts: Annotated[list[Place], msgspec.Meta(min_length=1, max_length=MAX_HOSTS)]
    starttls: Protocol = "tls"
    server_name: Name = ""
    domain: Domain = "system"
    expect: Digest | None = None
    timeout_s: Seconds = 10.0


class SeenPin(ShortPin, frozen=True, kw_only=True):
    """What was trusted, and when it was seen."""

    first_seen: str | None
    last_seen: str | None


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a host: one result of `troth.check/1`. A rejection is a result; `error` is there if none was made."""

    endpoint: str
    verdict: str | None
    trusted: bool
    kind: str | None = msgspec.field(name="class")
    presented: dict[str, Any] | None
    pinned: list[SeenPin]
    diff: list[Difference]
    next_command: str | None
    protocol: str = ""
    chain_fault: str | None = None
    why: str = ""
    same_key: bool | None = None
    also_at: list[str] = []
    warnings: list[str] = []
    error: dict[str, Any] | None = None


class CheckResults(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each host, in the order in which they were given."""

    results: list[CheckResult]


def check(call: Call) -> documents.Document:
    """Check the hosts, several at once."""
    asked: Checks = call.body
    expect = digest(asked.expect) if asked.expect else None
    places = [Endpoint.parse(each, protocol=asked.starttls) for each in asked.hosts]
    with ThreadPoolExecutor(min(_AT_ONCE, len(places))) as threads:
        results = list(threads.map(lambda each: _check(call, asked, each, expect), places))
    return {"results": results}


def _check(call: Call, asked: Checks, place: Endpoint, expect: Fingerprint | None) -> documents.Document:
    target = Target(endpoint=place, server_name=asked.server_name, timeout_s=asked.timeout_s, permit=call.node.permit)
    # The store notes which transaction a thread is in, and each thread has its own.
    store = call.node.store.acting(call.node.store.actor, call.node.store.origin)
    try:
        return document(check_target(store, target, domain=asked.domain, expect=expect))
    except TrothError as error:
        return documents.unchecked(place, error)


OPERATIONS = [
    Operation(
        method="POST",
        path="/checks",
        name="check",
        about="Connect to hosts, hold their certificates against the record, and record them.",
        tag="trust",
        permission=Permission.CHECK,
        handler=check,
        body=Checks,
        result=CheckResults,
        long=True,
    ),
]
