"""What a decision is made of, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.entry import Entry, Pin, Policy
    from troth.model.fingerprint import Fingerprint


class Verdict(StrEnum):
    """The outcome of holding a presented certificate against the record."""

    MATCH = "match"
    FIRST_USE = "first-use"
    RENEWED = "renewed"
    PROMOTED = "promoted"
    UNCHECKED = "unchecked"
    CHANGED = "changed"
    REVOKED = "revoked"
    UNAPPROVED = "unapproved"
    EXPIRED = "expired-by-policy"
    INVALID_CHAIN = "invalid-chain"

    @property
    def accepts(self) -> bool:
        """Whether the verdict trusts the certificate (unless the mode only observes)."""
        return self in _ACCEPTING


_ACCEPTING = frozenset({Verdict.MATCH, Verdict.FIRST_USE, Verdict.RENEWED, Verdict.PROMOTED, Verdict.UNCHECKED})


class ChangeClass(StrEnum):
    """What a change looks like; it never makes one acceptable."""

    NOT_EXPECTED = "not-the-expected-fingerprint"
    OTHER_HOST_KEY = "another-known-hosts-key"
    RETIRED_RETURNED = "retired-certificate-returned"
    WEAK_KEY = "default-or-weak-key"
    SAME_KEY = "same-key"
    CA_DOWNGRADED = "ca-valid-downgraded"
    WRONG_NAME = "wrong-name"
    OUTSIDE_DATES = "outside-dates"
    SAME_ISSUER = "same-issuer"
    SELF_SIGNED_REPLACED = "self-signed-replaced"
    DIFFERENT_ISSUER = "different-issuer"
    UNKNOWN = "nothing-to-compare"


class ChainFault(StrEnum):
    """Why a chain is not valid; each has its own remedy."""

    UNTRUSTED = "untrusted-ca"
    NAME = "wrong-name"
    DATES = "outside-dates"
    REVOKED = "revoked-by-ca"
    UNANSWERED = "revocation-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a peer presented in a handshake whose signature was verified.

    Args:
        leaf: The peer's own certificate.
        chain: All certificates as sent, the leaf first, as DER; the leaf alone where the rest is not known.
        server_name: The server name that was sent to it; empty if none.
        address: The IP address that was connected to; empty if not known.
        proven: Whether the handshake went far enough to prove that the peer holds the key. One that was ended early is
            good for a rejection only.
    """

    leaf: CertificateView
    chain: tuple[bytes, ...] = ()
    server_name: str = ""
    address: str = ""
    proven: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOutcome:
    """Whether the chain was verified to a trusted CA, for this host's name, on this very connection.

    Args:
        valid: Whether it was.
        reason: What was wrong, or which CA it led to; a sentence for an administrator.
        issuers: SHA-256 of the keys (SPKI) of the CAs on the verified path.
        path: SHA-256 of every certificate on the verified path, the anchor too, and of every key in them: what a
            revocation may name.
        fault: What kind of failure it was, if it was one.
        anchor: SHA-256 of the certificate that the path ends at: the CA that is trusted.
    """

    valid: bool
    reason: str = ""
    issuers: frozenset[Fingerprint] = frozenset()
    path: frozenset[Fingerprint] = frozenset()
    fault: ChainFault | None = None
    anchor: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the store and the connection know besides the entry.

    Args:
        revoked: Whether the certificate, its key, or a CA on its path was revoked here, or that cannot be told.
        revocation: What was revoked, when, by whom and why, in words; empty if that is not known.
        holders: Other endpoints that are on record with the same key.
        old: The certificate on record that the presented one is compared with.
        old_chain_valid: Whether the old one had a chain that a CA store accepted.
        chain: The chain's outcome, where it was verified.
        weaknesses: What is weak about the presented key or certificate, in words.
        expect: The fingerprint (certificate or key) that a person or a statement vouched for.
    """

    revoked: bool = False
    revocation: str = ""
    holders: tuple[Endpoint, ...] = ()
    old: CertificateView | None = None
    old_chain_valid: bool = False
    chain: ChainOutcome | None = None
    weaknesses: tuple[str, ...] = ()
    expect: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiff:
    """One field that differs between the certificate on record and the presented one."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decision:
    """A verdict with all that led to it; `trusted` is what callers act on.

    Args:
        endpoint: Where.
        verdict: The outcome.
        trusted: Whether the connection may be used: the verdict accepts, or the mode only observes.
        presented: What was presented.
        entry: The record as it was before; None for a stranger.
        policy: The policy in force.
        facts: What else was known.
        pin: The pin that matched, if one did.
        change: What the change looks like, for a `changed` verdict.
        diff: The fields that differ, for a `changed` or `renewed` verdict.
        why: One sentence: what the verdict rests on.
        domain: The domain whose policy is in force; empty if that is not known.
        outside: How now is outside the certificate's dates, in words; empty if it is not.
    """

    endpoint: Endpoint
    verdict: Verdict
    trusted: bool
    presented: Presented
    entry: Entry | None
    policy: Policy
    facts: Facts
    pin: Pin | None = None
    change: ChangeClass | None = None
    diff: tuple[FieldDiff, ...] = ()
    why: str = ""
    outside: str = ""
    domain: str = ""

    def __repr__(self) -> str:
        """Say the verdict, not the bytes of every certificate that led to it."""
        return (
            f"Decision({str(self.endpoint)!r}, {self.verdict.value!r}, trusted={self.trusted},"
            f" presented={str(self.presented.leaf.fingerprint)!r}, change={self.change and self.change.value!r})"
        )
