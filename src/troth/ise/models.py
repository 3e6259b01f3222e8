"""What is known of ISE: its version, its counts, who is connected; and the servers that are asked, with their state.

Every text that came from ISE is safe to print: user names are chosen by those who try to log in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint


class Role(StrEnum):
    """Which of the (at most two) servers this is: the standby is asked when the primary does not answer."""

    PRIMARY = "primary"
    STANDBY = "standby"


class NodeType(StrEnum):
    """What a node is in its deployment's monitoring."""

    STANDALONE = "standalone"
    PRIMARY = "primary"
    SECONDARY = "secondary"
    NONE = "none"
    UNKNOWN = "unknown"


class Condition(StrEnum):
    """How it stands with a server, and equally what one poll found."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    CHANGED = "certificate-changed"
    REJECTED = "certificate-rejected"
    UNAPPROVED = "awaiting-approval"
    CREDENTIALS_REFUSED = "credentials-refused"
    WRONG_GROUP = "wrong-group"
    NOT_MONITORING = "not-a-monitoring-node"
    BUSY = "busy"
    NOT_UNDERSTOOD = "not-understood"
    UNREACHABLE = "unreachable"


# What may pass by itself; anything else needs a person.
TRANSIENT = frozenset({Condition.BUSY, Condition.NOT_UNDERSTOOD, Condition.UNREACHABLE})
# The certificate stood in the way, so no credential left.
UNTRUSTED = frozenset({Condition.CHANGED, Condition.REJECTED, Condition.UNAPPROVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a node says of itself.

    Args:
        product: The product's name.
        version: Its version; empty if the node did not say.
        node_type: What the node is in its deployment's monitoring.
    """

    product: str = ""
    version: str = ""
    node_type: NodeType = NodeType.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many sessions there are; None where the node does not count them."""

    active: int | None = None
    posture: int | None = None
    profiler: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session of an endpoint on the network. Any text may be empty: ISE leaves out what it does not know.

    Args:
        user_name: Who logged in; often a MAC address.
        mac: The calling station; upper case with colons where it is a MAC address.
        nas_address: The network device, as an IP address.
        framed_address: The endpoint's IPv4 address.
        framed_ipv6_addresses: Its IPv6 addresses.
        accounting_id: The accounting session's id.
        audit_id: The audit session's id.
        server: The ISE node that serves it.
    """

    user_name: str = ""
    mac: str = ""
    nas_address: str = ""
    framed_address: str = ""
    framed_ipv6_addresses: tuple[str, ...] = ()
    accounting_id: str = ""
    audit_id: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    """Sessions, as many as were asked for.

    Args:
        sessions: The sessions, in ISE's order.
        total: How many the list held.
        announced: How many ISE said that it holds; None if it said nothing that is a number.
    """

    sessions: tuple[Session, ...] = ()
    total: int = 0
    announced: int | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return len(self.sessions) == self.total and self.announced in (None, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthStatus:
    """One attempt of an endpoint to authenticate; ISE gives the newest first.

    Args:
        passed: Whether it passed; None if ISE does not say.
        at: When, as ISE writes it, in its own time zone.
        session: Who and where.
        failure_reason: Why it failed.
    """

    passed: bool | None = None
    at: str = ""
    session: Session = field(default_factory=Session)
    failure_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReason:
    """What one of ISE's failure codes means."""

    code: str = ""
    text: str = ""
    cause: str = ""
    resolution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the deployment, as the OpenAPI names it."""

    hostname: str
    fqdn: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCertificate:
    """A certificate that a node holds, as the OpenAPI lists it.

    Args:
        fingerprint: SHA-256 of the certificate; None if ISE gave none that can be read.
        name: ISE's name for it.
        usages: What ISE uses it for, in small letters: `admin`, `eap authentication`, `portal`.
        issued_to: The subject's common name.
        issued_by: The issuer's common name.
        expires: When it expires, as ISE writes it.
    """

    fingerprint: Fingerprint | None
    name: str = ""
    usages: frozenset[str] = frozenset()
    issued_to: str = ""
    issued_by: str = ""
    expires: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; neither repr nor str shows the password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How it stands with a server.

    Args:
        condition: What the last poll found.
        since: Since when it is so.
        polled_at: When it was last asked.
        due_at: When it is to be asked again; None for at once.
        failures: How many polls in a row went wrong in this way (passing trouble and lasting trouble are counted apart).
        announced: The trouble that was told last; None if there is none to take back.
        why: What was wrong, in a sentence.
        next_step: What an administrator does about it.
    """

    condition: Condition = Condition.UNKNOWN
    since: datetime | None = None
    polled_at: datetime | None = None
    due_at: datetime | None = None
    failures: int = 0
    announced: Condition | None = None
    why: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a server last said, and when."""

    version: Version = Version()
    counts: Counts = Counts()
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An ISE server on record; its password is asked for apart.

    Args:
        id: The number of the record.
        role: Primary or standby.
        endpoint: Where; its pins are in the trust store, in the domain `system`.
        user: The user that asks.
        timeout_s: The limit of one request, in seconds.
        added_at: When it was added, aware UTC.
        added_by: Who added it.
        changed_at: When its address or credentials were last set.
        state: How it stands.
        findings: What it last said.
    """

    id: int
    role: Role
    endpoint: Endpoint
    user: str
    timeout_s: float
    added_at: datetime
    added_by: str
    changed_at: datetime
    state: State = State()
    findings: Findings = Findings()
