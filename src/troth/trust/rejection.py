"""From a decision to the exception that stands for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from troth.trust import explain
from troth.trust.verdict import Decision, Verdict

if TYPE_CHECKING:
    from troth.errors import base as _base

_log = logging.getLogger("troth.trust")


def document(decision: Decision) -> dict[str, object]:
    """Give a decision as JSON-able values: one result of `troth.check/1`."""
    leaf, entry = decision.presented.leaf, decision.entry
    return {
        "endpoint": str(decision.endpoint),
        "protocol": decision.endpoint.protocol,
        "verdict": decision.verdict.value,
        "trusted": decision.trusted,
        "class": decision.change.value if decision.change else None,
        "chain_fault": explain.chain_fault(decision),
        "why": explain.reason(decision),
        "presented": {
            "fingerprint": str(leaf.fingerprint),
            "spki": str(leaf.spki),
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "not_before": explain.moment(leaf.not_before),
            "not_after": explain.moment(leaf.not_after),
            "san": list(leaf.san),
            "key": leaf.key,
            "serial": leaf.serial,
            "address": decision.presented.address or None,
            "server_name": decision.presented.server_name or None,
        },
        "pinned": [
            {
                "kind": pin.kind.value,
                "fingerprint": str(pin.fingerprint),
                "state": pin.state.value,
                "evidence": pin.evidence.value,
                "first_seen": explain.moment(pin.first_seen) if pin.first_seen else None,
                "last_seen": explain.moment(pin.last_seen) if pin.last_seen else None,
            }
            for pin in (entry.pins if entry else ())
        ],
        "diff": [{"field": each.field, "old": each.old, "new": each.new} for each in decision.diff],
        "same_key": _same_key(decision),
        "also_at": [str(each) for each in decision.facts.holders],
        "warnings": list(explain.warnings(decision)),
        "next_command": explain.next_command(decision) or None,
    }


def require_trusted(decision: Decision) -> Decision:
    """Return a trusted decision; raise for every other, after logging it.

    Raises:
        CertificateRejected: The subclass for the verdict.
    """
    if not decision.verdict.accepts:
        _log.warning("%s", explain.log_line(decision))
    if decision.trusted:
        return decision
    raise rejection(decision)


def rejection(decision: Decision) -> _base.TrothError:
    """Make the exception for a decision that rejects."""
    from troth import errors

    classes = {
        Verdict.CHANGED: errors.CertificateChanged,
        Verdict.REVOKED: errors.CertificateRevoked,
        Verdict.UNAPPROVED: errors.AwaitingApproval,
        Verdict.EXPIRED: errors.CertificateExpired,
        Verdict.INVALID_CHAIN: errors.InvalidChain,
    }
    return classes[decision.verdict](
        explain.headline(decision),
        why=_why(decision),
        next_command=explain.next_command(decision),
        details={"result": document(decision)},
        decision=decision,
    )


def _why(decision: Decision) -> str:
    pinned = ", ".join(explain.pinned_fingerprints(decision.entry)) or "nothing"
    return f"{explain.reason(decision)} Presented: {decision.presented.leaf.fingerprint}; on record: {pinned}"


def _same_key(decision: Decision) -> bool | None:
    old = decision.facts.old
    if decision.verdict is Verdict.MATCH:
        return True
    return None if old is None else old.spki == decision.presented.leaf.spki
