"""Check an endpoint: probe it, decide, record. The same path serves the command, the library and the pages."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model.certificate import CertificateView
from troth.model.entry import DEFAULT_DOMAIN, CheckMode, Entry, EntryState, Pin, PinKind, PinState, Policy
from troth.tls.deadline import Deadline
from troth.tls.probe import Target, probe
from troth.trust.decide import holds
from troth.trust.verdict import ChainFault, ChainOutcome, Decision, Presented

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.model.fingerprint import Fingerprint
    from troth.store.protocol import TrustStore

_HELD = (PinState.CURRENT, PinState.NEXT)


def check_target(
    store: TrustStore, target: Target, *, domain: str = DEFAULT_DOMAIN, expect: Fingerprint | None = None
) -> Decision:
    """Connect, decide, and record; the decision is returned, also one that rejects.

    Args:
        store: The trust store.
        target: Where, and how to get there.
        domain: The domain of an endpoint that is new.
        expect: The fingerprint that somebody vouched for.

    Raises:
        Unreachable: There was nothing to decide on.
        UnreadableCertificate: What was presented cannot be read.
        StoreUnusable: The store cannot be used; nothing is trusted.
    """
    policy, entry = store.policy(target.endpoint, domain)
    if entry is not None and entry.server_name and not target.server_name:
        target = replace(target, server_name=entry.server_name)
    if policy.mode is CheckMode.CA or (entry is not None and _issuers(entry)):
        presented, outcome = _verified(store, target, policy, entry, entry.domain if entry else domain)
    else:
        presented, seen = probe(target, refuse=refusal(entry) if expect is None else None)
        presented = replace(presented, proven=seen.complete)
        outcome = None
    return store.judge(target.endpoint, presented, domain=domain, chain=outcome, expect=expect)


def refusal(entry: Entry | None) -> Callable[[bytes], bool] | None:
    """Give the test that ends a handshake early: a leaf that no pin on record can hold on to."""
    if entry is None or entry.state is not EntryState.ACTIVE or not entry.known or _issuers(entry):
        return None
    pins = entry.having(*_HELD, PinState.REVOKED)

    def refuse(leaf: bytes) -> bool:
        try:
            presented = Presented(leaf=CertificateView.from_der(leaf))
        except BadCertificate:
            return True  # no pin can hold on to it; the probe says what it is
        held = next((pin for pin in pins if holds(pin, presented)), None)
        return held is None or held.state is PinState.REVOKED

    return refuse


def _verified(
    store: TrustStore, target: Target, policy: Policy, entry: Entry | None, domain: str
) -> tuple[Presented, ChainOutcome]:
    """Shake hands with a context that verifies; if it refuses, look at what was presented with one that does not."""
    from troth.tls.authority import outcome, verifying_context, with_revocation

    context, whole = verifying_context(store, policy, entry, domain), Deadline(target.timeout_s, str(target.endpoint))
    try:
        presented, seen = probe(target, context=context)
    except ssl.SSLCertVerificationError as error:
        presented, _ = probe(replace(target, timeout_s=whole()))
        return presented, ChainOutcome(
            valid=False, reason=chain_reason(error, target.verified_name), fault=chain_fault(error)
        )
    found = outcome(seen.path)
    # What the handshake left of the limit is all that questions about revocation may take.
    left = replace(target, timeout_s=whole())
    return presented, with_revocation(store, policy, domain, seen.path, found, left)


def chain_reason(error: ssl.SSLCertVerificationError, name: str) -> str:
    """Say what is wrong with a chain, for an administrator."""
    text = error.verify_message or str(error)
    if error.verify_code in (62, 64):
        return f"the certificate is not for the name {name}"
    return text.rstrip(".")


def chain_fault(error: ssl.SSLCertVerificationError) -> ChainFault:
    """Tell what kind of failure it is, by OpenSSL's code (X509_V_ERR_*)."""
    if error.verify_code in (62, 63, 64):
        return ChainFault.NAME
    return ChainFault.DATES if error.verify_code in (9, 10, 13, 14) else ChainFault.UNTRUSTED


def _issuers(entry: Entry) -> list[Pin]:
    return [pin for pin in entry.having(*_HELD) if pin.kind is PinKind.ISSUER]
