"""Events: what happened, to which endpoint, why, and the next command. Frozen values, no I/O.

A rejection's words are those of `troth.trust.explain`; an event carries them and adds none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint


class Kind(StrEnum):
    """What happened. Rejections have the names of their verdicts."""

    CHANGED = "changed"
    REVOKED = "revoked"
    UNAPPROVED = "unapproved"
    EXPIRED = "expired-by-policy"
    INVALID_CHAIN = "invalid-chain"
    CANNOT_CHECK = "cannot-check"
    EXPIRING = "expiring"
    UNREACHABLE = "unreachable"
    REACHABLE = "reachable"
    RECOVERED = "recovered"
    FIRST_USE = "first-use"
    RENEWED = "renewed"
    PROMOTED = "promoted"
    INTEGRATION_TROUBLE = "integration-trouble"
    INTEGRATION_REGAINED = "integration-regained"
    INTEGRATION_NOTE = "integration-note"
    UNDELIVERABLE = "undeliverable"
    SILENCED = "silenced"
    TEST = "test"


class Severity(StrEnum):
    """How much it matters: somebody must act now, soon, or only know."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place, the least first."""
        return list(Severity).index(self)

    def reaches(self, least: Severity) -> bool:
        """Whether it is at least `least`."""
        return self.rank >= least.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why many events are one: the CA that signed, the class of the change, the threshold of the dates.

    Args:
        key: Events of one kind with one key are one message.
        text: The same for people, as a part of a sentence; empty if there is nothing to say.
    """

    key: str = ""
    text: str = ""


_NO_CAUSE = Cause()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Args:
        kind: What.
        severity: How much it matters.
        endpoint: Where; None if it is about no endpoint.
        domain: The endpoint's domain; empty if it is about no endpoint.
        what: One sentence.
        why: The reason, where it is known.
        next_command: The command that comes next; empty if there is nothing to do.
        advice: What a person does before the next command.
        presented: The certificate that was presented.
        pinned: What is on record, as text.
        cause: What it has in common with others.
        not_through: The channel that must not carry it, because it is about that channel.
        at: When, aware UTC.
    """

    kind: Kind
    severity: Severity
    endpoint: Endpoint | None = None
    domain: str = ""
    what: str
    why: str = ""
    next_command: str = ""
    advice: str = ""
    presented: Fingerprint | None = None
    pinned: tuple[str, ...] = ()
    cause: Cause = _NO_CAUSE
    not_through: str = ""
    at: datetime

    @property
    def subject(self) -> str:
        """Name what it is about; the protocol is said where it is not plain TLS."""
        if self.endpoint is None:
            return ""
        protocol = self.endpoint.protocol
        return str(self.endpoint) if protocol == "tls" else f"{self.endpoint} ({protocol})"

    @property
    def group_key(self) -> tuple[str, str, str]:
        """Events with one key make one message."""
        return self.kind.value, self.cause.key, self.not_through


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An event that is on record.

    Args:
        id: Its number, in the order in which they came.
        event: The event.
        message: The number of the message that carries it; None if none does (yet).
        silence: The number of the silence that kept it from being sent; None if none did.
    """

    id: int
    event: Event
    message: int | None = None
    silence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: one event, or many with one cause.

    Args:
        key: The same at every attempt to deliver it, and of no other message: receivers drop what they have seen.
        id: Its number; 0 before it is on record.
        kind: What all of its events are.
        severity: The highest of them.
        cause: What they have in common.
        events: The first of them, in the order in which they came.
        count: How many there are.
        first_at: When the first happened.
        last_at: When the last happened.
        not_through: The channel that must not carry it.
        made_at: When it was put together; its date, at every attempt.
    """

    key: str
    id: int = 0
    kind: Kind
    severity: Severity
    cause: Cause
    events: tuple[Event, ...]
    count: int
    first_at: datetime
    last_at: datetime
    not_through: str = ""
    made_at: datetime
