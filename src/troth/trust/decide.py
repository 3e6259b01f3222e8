"""The decision: a presented certificate, what is on record, the policy, and now, give a verdict.

The rules, in the order in which they are asked; the first that applies decides:

 #  when                                                        verdict            trusted
 1  mode `disable`                                              unchecked          yes
 2  the certificate, its key, or a CA on its path is revoked    revoked            never
 3  a fingerprint is expected, and this is another              changed            no
    (or the peer has not proven that it holds the key)
 4  mode `ca`: the chain is not valid for the name              invalid-chain      no
 5  mode `ca`: valid; no record / same as last / another         first-use / match / renewed   yes
 6  the entry is deleted (a tombstone): an announced next pin    promoted           yes
 7  … an expected fingerprint                                    first-use          yes
 8  … anything else                                              unapproved         no
 9  the entry waits in quarantine: an expected fingerprint       first-use          yes
10  … anything else                                              unapproved         no
11  no pins on record: mode `strict`, and nothing expected       unapproved         no
12  … otherwise                                                  first-use          yes
13  a current pin holds on to it, as it did the last time        match              yes
14  a current key or issuer pin, in a new certificate            renewed            yes
15  a next (announced) pin holds on to it                        promoted           yes
16  nothing on record does                                       changed            no

Afterwards: rules 13 to 15 give `expired-by-policy` (no) if the policy insists on dates and now is outside them; the same
holds for rules 7, 9 and 12. In mode `observe`, a verdict that rejects is reported and the connection is trusted all the
same, except `revoked`. An expired, retired or unreadable pin is never a stranger: none of them leads to first use.

There is no I/O here, and no clock: `now` is an argument. What could not be found out must be passed as the fact that
rejects (`ChainOutcome(valid=False)`), never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model.entry import CheckMode, Entry, EntryState, Expiry, Pin, PinKind, PinState, Policy
from troth.trust.classify import classify
from troth.trust.diff import diff
from troth.trust.verdict import ChangeClass, Decision, Facts, Presented, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.endpoint import Endpoint

_NO_FACTS = Facts()


def decide(
    endpoint: Endpoint,
    presented: Presented,
    entry: Entry | None,
    policy: Policy,
    now: datetime,
    facts: Facts = _NO_FACTS,
) -> Decision:
    """Judge what `endpoint` presented, by the table above.

    Args:
        endpoint: Where.
        presented: What was presented, in a handshake whose signature was verified.
        entry: The record; None for a stranger.
        policy: The policy in force (the domain's, with the entry's own settings over it).
        now: The time of the decision, aware.
        facts: What else is known.
    """
    verdict, pin, why = _verdict(presented, entry, policy, facts)
    if verdict in _DATED and policy.expired is Expiry.REJECT and not presented.leaf.valid_at(now):
        verdict, why = Verdict.EXPIRED, "the policy insists on dates, and now is outside them"
    compared = verdict in (Verdict.CHANGED, Verdict.RENEWED) and facts.old is not None
    change = None
    if verdict is Verdict.CHANGED:
        change = ChangeClass.NOT_EXPECTED if pin or not _has_record(entry) else classify(presented, entry, facts)
    return Decision(
        endpoint=endpoint,
        verdict=verdict,
        trusted=verdict.accepts or (policy.mode is CheckMode.OBSERVE and verdict is not Verdict.REVOKED),
        presented=presented,
        entry=entry,
        policy=policy,
        facts=facts,
        pin=pin,
        change=change,
        diff=diff(facts.old, presented.leaf) if compared and facts.old else (),
        why=why,
    )


_DATED = frozenset({Verdict.MATCH, Verdict.RENEWED, Verdict.PROMOTED, Verdict.FIRST_USE})


def holds(pin: Pin, presented: Presented, facts: Facts = _NO_FACTS) -> bool:
    """Whether a pin holds on to what was presented; an issuer pin needs the path that the connection verified."""
    if pin.kind is PinKind.CERTIFICATE:
        return pin.fingerprint == presented.leaf.fingerprint
    if pin.kind is PinKind.KEY:
        return pin.fingerprint == presented.leaf.spki
    chain = facts.chain
    return chain is not None and chain.valid and pin.fingerprint in chain.issuers


def _verdict(
    presented: Presented, entry: Entry | None, policy: Policy, facts: Facts
) -> tuple[Verdict, Pin | None, str]:
    if policy.mode is CheckMode.DISABLE:
        return Verdict.UNCHECKED, None, "checks are disabled by the policy"
    revoked = _holding(entry, PinState.REVOKED, presented, facts)
    if facts.revoked or revoked:
        return Verdict.REVOKED, revoked, "it was revoked here; a revoked key is never accepted again"
    current = _holding(entry, PinState.CURRENT, presented, facts) if entry and entry.known else None
    if facts.expect is not None and facts.expect not in (presented.leaf.fingerprint, presented.leaf.spki):
        return Verdict.CHANGED, current, f"expected was {facts.expect}"
    if not presented.proven:
        return Verdict.CHANGED, None, "it is not the one on record, and the handshake was ended there"
    if policy.mode is CheckMode.CA:
        return _by_chain(presented, entry, facts)
    if entry is not None and entry.state is not EntryState.ACTIVE:
        return _unsettled(presented, entry, facts)
    if not _has_record(entry):
        if policy.mode is CheckMode.STRICT and facts.expect is None:
            return Verdict.UNAPPROVED, None, "the policy is strict: a host that is not known waits for approval"
        return Verdict.FIRST_USE, None, "vouched for by its fingerprint" if facts.expect else "nothing was on record"
    assert entry is not None  # noqa: S101  # _has_record says so
    if current is not None:
        # A key pin remembers its own last certificate: of two members behind one name, each matches for itself.
        last = entry.presented if current.kind is PinKind.ISSUER else current.certificate
        if current.kind is PinKind.CERTIFICATE or last in (None, presented.leaf.fingerprint):
            return Verdict.MATCH, current, f"the {current.kind} on record"
        return Verdict.RENEWED, current, f"another certificate, held by the {current.kind} on record"
    announced = _holding(entry, PinState.NEXT, presented, facts)
    if announced is not None:
        return Verdict.PROMOTED, announced, "the announced next one arrived"
    return Verdict.CHANGED, None, "it is not the one on record"


def _by_chain(presented: Presented, entry: Entry | None, facts: Facts) -> tuple[Verdict, Pin | None, str]:
    if facts.chain is None or not facts.chain.valid:
        reason = facts.chain.reason if facts.chain else "the chain was not verified"
        return Verdict.INVALID_CHAIN, None, reason or "the chain does not lead to a trusted CA"
    if entry is None or entry.presented is None or entry.state is not EntryState.ACTIVE:
        return Verdict.FIRST_USE, None, facts.chain.reason or "the chain is valid"
    same = entry.presented == presented.leaf.fingerprint
    return Verdict.MATCH if same else Verdict.RENEWED, None, facts.chain.reason or "the chain is valid"


def _unsettled(presented: Presented, entry: Entry, facts: Facts) -> tuple[Verdict, Pin | None, str]:
    """Judge a tombstone or a quarantined entry: only what a person vouched for gets out."""
    if entry.state is EntryState.DELETED:
        announced = _holding(entry, PinState.NEXT, presented, facts)
        if announced is not None:
            return Verdict.PROMOTED, announced, "the one that the deletion named arrived"
    if facts.expect is not None:
        return Verdict.FIRST_USE, None, "vouched for by its fingerprint"
    if entry.state is EntryState.DELETED:
        return Verdict.UNAPPROVED, None, "the host was deleted here, and the deletion did not name this certificate"
    return Verdict.UNAPPROVED, None, "the host waits for approval"


def _has_record(entry: Entry | None) -> bool:
    """Whether any pin was ever trusted here, also one that is now retired or revoked: such a host is no stranger."""
    return entry is not None and bool(entry.having(PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.REVOKED))


def _holding(entry: Entry | None, state: PinState, presented: Presented, facts: Facts) -> Pin | None:
    if entry is None:
        return None
    return next((pin for pin in entry.having(state) if holds(pin, presented, facts)), None)
