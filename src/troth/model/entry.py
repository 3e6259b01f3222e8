"""What is on record about an endpoint: pins, their states, and the policy that they are judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from troth.model.words import DEFAULT_DOMAIN, DOMAINS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint

__all__ = [
    "DEFAULT_DOMAIN",
    "DOMAINS",
    "CheckMode",
    "Entry",
    "EntryState",
    "Evidence",
    "Expiry",
    "Override",
    "Pin",
    "PinKind",
    "PinState",
    "Policy",
]


class PinKind(StrEnum):
    """What a pin holds on to."""

    KEY = "key"
    CERTIFICATE = "certificate"
    ISSUER = "issuer"


class PinState(StrEnum):
    """The life of a pin; `quarantined` is a certificate that waits for approval."""

    CURRENT = "current"
    NEXT = "next"
    RETIRED = "retired"
    REVOKED = "revoked"
    QUARANTINED = "quarantined"


class EntryState(StrEnum):
    """`deleted` entries are tombstones: an endpoint that was forgotten is not a new one."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    DELETED = "deleted"


class CheckMode(StrEnum):
    """How a domain or an endpoint is checked."""

    TOFU = "trust-on-first-use"
    STRICT = "strict"
    CA = "ca"
    OBSERVE = "observe"
    DISABLE = "disable"


class Expiry(StrEnum):
    """Whether a pinned certificate outside its dates is accepted; the pin is the identity, not the date."""

    ACCEPT = "accept"
    REJECT = "reject"


class Evidence(StrEnum):
    """On what grounds a pin came to be trusted."""

    FIRST_USE = "first-use"
    EXPECTED = "expected-fingerprint"
    APPROVED = "approved"
    ANNOUNCED = "announced"
    IMPORTED = "imported"
    SAME_KEY = "same-key"
    PINNED_ISSUER = "pinned-issuer"
    VALID_CHAIN = "valid-chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How endpoints are judged.

    Args:
        mode: The check mode.
        pin: What the first use of an endpoint pins.
        expired: What becomes of the right certificate outside its dates.
    """

    mode: CheckMode = CheckMode.TOFU
    pin: PinKind = PinKind.CERTIFICATE
    expired: Expiry = Expiry.ACCEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An endpoint's own settings; None follows the domain."""

    mode: CheckMode | None = None
    pin: PinKind | None = None
    expired: Expiry | None = None

    def over(self, policy: Policy) -> Policy:
        """Give the policy that is in force at the endpoint."""
        return Policy(mode=self.mode or policy.mode, pin=self.pin or policy.pin, expired=self.expired or policy.expired)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One thing that is, was, or will be trusted at an endpoint.

    Args:
        kind: Which part the fingerprint is of.
        fingerprint: SHA-256 of the key (SPKI), the certificate (DER), or the CA's key.
        state: Where it is in its life.
        evidence: On what grounds it is here.
        added_at: When it came, aware UTC.
        added_by: Who brought it.
        certificate: The certificate it was last seen in, where one was seen; for an issuer pin, the CA's.
        first_seen: When the host first presented it.
        last_seen: When the host last presented it (kept to the minute or so, not to the connection).
    """

    kind: PinKind
    fingerprint: Fingerprint
    state: PinState
    evidence: Evidence
    added_at: datetime
    added_by: str = ""
    certificate: Fingerprint | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None

    def same_as(self, other: Pin) -> bool:
        """Whether both hold on to the same thing."""
        return self.kind is other.kind and self.fingerprint == other.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that is on record about one endpoint.

    Args:
        endpoint: Where.
        domain: The domain (truststore) it belongs to.
        state: Active, waiting for approval, or deleted.
        pins: Every pin, in the order they came.
        override: The endpoint's own settings.
        server_name: The server name that was sent when it was learned; empty for the host's own.
        created_at: When the entry was made.
        last_seen: When a trusted certificate was last presented.
        presented: The certificate that was last trusted here.
        rejected: The certificate that was last rejected here, if it was after the last trusted one.
        rejected_at: When that was.
    """

    endpoint: Endpoint
    domain: str = DEFAULT_DOMAIN
    state: EntryState = EntryState.ACTIVE
    pins: tuple[Pin, ...] = ()
    override: Override = Override()
    server_name: str = ""
    created_at: datetime
    last_seen: datetime | None = None
    presented: Fingerprint | None = None
    rejected: Fingerprint | None = None
    rejected_at: datetime | None = None

    def having(self, *states: PinState) -> tuple[Pin, ...]:
        """Give the pins in any of these states."""
        return tuple(pin for pin in self.pins if pin.state in states)

    @property
    def current(self) -> tuple[Pin, ...]:
        """The pins that are trusted now."""
        return self.having(PinState.CURRENT)

    @property
    def known(self) -> bool:
        """Whether there is something to hold a certificate against."""
        return self.state is EntryState.ACTIVE and bool(self.having(PinState.CURRENT, PinState.NEXT))

    @property
    def recorded(self) -> bool:
        """Whether anything was ever trusted, announced or deleted here, or waits: such a host is no stranger.

        Settings alone make no record, nor does a rejection.
        """
        trusted = self.having(PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.REVOKED)
        return bool(trusted) or self.presented is not None or self.state is not EntryState.ACTIVE

    def with_pins(self, pins: Iterable[Pin], **changes: object) -> Entry:
        """Give a copy with other pins."""
        return replace(self, pins=tuple(pins), **changes)  # type: ignore[arg-type]  # keyword names are checked at the call

    def with_pin(self, pin: Pin) -> Entry:
        """Give a copy in which this pin stands, in place of one that holds on to the same thing."""
        kept = [old for old in self.pins if not old.same_as(pin)]
        return replace(self, pins=(*kept, pin))
