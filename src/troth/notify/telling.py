"""From a decision that rejects to its event: the words are those of `troth.trust`, and the cause is what groups it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model.certificate import CertificateView
from troth.notify.events import Cause, Event, Kind, Severity
from troth.trust import explain
from troth.trust.rejection import rejection
from troth.trust.verdict import Decision, Verdict

if TYPE_CHECKING:
    from datetime import datetime

_SEVERITY = {
    Verdict.CHANGED: Severity.CRITICAL,
    Verdict.REVOKED: Severity.CRITICAL,
    Verdict.INVALID_CHAIN: Severity.CRITICAL,
    Verdict.EXPIRED: Severity.CRITICAL,
    Verdict.UNAPPROVED: Severity.WARNING,
}


def rejected_event(decision: Decision, *, domain: str, at: datetime, not_through: str = "") -> Event:
    """Give the event for a rejection, in the words that everything else uses for it.

    Args:
        decision: A decision whose verdict rejects.
        domain: The endpoint's domain.
        at: When, aware.
        not_through: The channel that must not carry it.
    """
    error = rejection(decision)
    return Event(
        kind=Kind(decision.verdict.value),
        severity=_SEVERITY[decision.verdict],
        endpoint=decision.endpoint,
        domain=domain,
        what=error.what,
        why=error.why,
        next_command=error.next_command,
        advice=explain.advice(decision),
        presented=decision.presented.leaf.fingerprint,
        pinned=explain.pinned_fingerprints(decision.entry),
        cause=certificate_cause(decision),
        not_through=not_through,
        at=at,
    )


def certificate_cause(decision: Decision) -> Cause:
    """Say what a certificate has in common with others: its class, and the CA that signed it.

    The CA is known by its key where the peer sent its certificate, and by its name otherwise. Names prove nothing, but
    here they only put events together: each is still listed.
    """
    leaf = decision.presented.leaf
    kind = decision.change.value if decision.change else decision.verdict.value
    if leaf.self_issued:
        return Cause(key=f"{kind} self", text="self-signed certificates")
    key = leaf.issuer
    for sent in decision.presented.chain[1:2]:
        try:
            above = CertificateView.from_der(sent)
        except BadCertificate:
            break
        if above.subject_der == leaf.issuer_der:
            key = str(above.spki)
    return Cause(key=f"{kind} {key}", text=f"certificates issued by {leaf.issuer}")
