"""Words that several groups of operations share: what may be sent, and how an entry is found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from troth import documents, manage
from troth.errors import BadInput, NotFound
from troth.model.endpoint import Endpoint
from troth.model.fingerprint import Fingerprint
from troth.model.words import DOMAINS
from troth.server.operations import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.model.entry import Entry
    from troth.server.operations import Call
    from troth.store.protocol import TrustStore

Domain = Literal["system", "devicemgmt", "pubnet", "user"]
Protocol = Literal["tls", "smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql", "sieve", "nntp"]
Kind = Literal["key", "certificate", "issuer"]
RoleName = Literal["viewer", "operator", "administrator"]
# As browsers, openssl and Troth itself print it.
Digest = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([Ss][Hh][Aa]256:)?([0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31})$",
        max_length=102,
        description="A SHA-256 fingerprint, in hexadecimal.",
    ),
]
Place = Annotated[
    str, msgspec.Meta(min_length=1, max_length=600, description="`host`, `host:port` or `[v6]:port`; the port is 443.")
]
Pem = Annotated[str, msgspec.Meta(min_length=1, max_length=200_000, description="A certificate as PEM.")]
Reason = Annotated[str, msgspec.Meta(max_length=500)]
Name = Annotated[str, msgspec.Meta(max_length=253)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=30)]


class Where(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which entry, where a host and port have several."""

    protocol: Protocol | None = None


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """How certificates are checked."""

    mode: str
    pin: str
    expired: str


class ShortPin(msgspec.Struct, frozen=True, kw_only=True):
    """What is trusted, or was."""

    kind: str
    fingerprint: str
    state: str
    evidence: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as the change left it."""

    endpoint: str
    protocol: str
    domain: str
    state: str
    pins: list[ShortPin]


def found(call: Call, store: TrustStore | None = None) -> Entry:
    """Find the entry that the path means, and go on only if it is the version that the caller has seen.

    Raises:
        NotFound: There is none.
        BadInput: There are several.
        ChangedMeanwhile: It was changed since.
    """
    protocol = getattr(call.query, "protocol", None)
    entry = manage.resolve(store or call.node.store, call.path["endpoint"], protocol=protocol)
    call.require_version(documents.version(entry))
    return entry


def place(call: Call) -> Endpoint:
    """Read the endpoint of the path, known or not."""
    return Endpoint.parse(call.path["endpoint"], protocol=getattr(call.query, "protocol", None) or "tls")


def change(call: Call, step: Callable[[TrustStore, Entry], Entry]) -> Answer:
    """Find an entry and change it, in one transaction: what the caller has seen is what is changed."""
    store = call.node.store
    with store.transaction():
        after = step(store, found(call))
    return Answer(result=documents.changed(after), version=documents.version(after))


def digest(text: str) -> Fingerprint:
    """Read a fingerprint."""
    return Fingerprint.parse(text)


def domain(call: Call) -> str:
    """Give the domain of the path.

    Raises:
        NotFound: There is none of that name.
    """
    named = call.path["domain"]
    if named not in DOMAINS:
        raise NotFound("There is no such domain.", why=f"known are {', '.join(DOMAINS)}")
    return named


def number(text: str) -> int:
    """Read a number in a path.

    Raises:
        BadInput: It is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInput(f"{text[:40]!a} is no number.")
    return int(text)


def utc(moment: datetime) -> datetime:
    """Give a time of the database in UTC."""
    return moment.astimezone(UTC)
