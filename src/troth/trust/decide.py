"""The decision: a presented certificate, what is on record, the policy, and now, give a verdict.

The rules, in the order in which they are asked; the first that applies decides:

 #  when                                                        verdict            trusted
 1  a fingerprint is expected, and this is another              changed            never
 2  mode `disable`                                              unchecked          yes
 3  the certificate, its key, or a CA on its path is revoked    revoked            never
 4  the peer has not proven that it holds the key               changed            no
 5  the entry is deleted (a tombstone) or waits in quarantine,
    and nobody vouched for this: it is not the announced next
    pin of a tombstone, and no fingerprint is expected          unapproved         no
 6  mode `ca`: the chain is not valid for the name              invalid-chain      no
 7  the entry is deleted: its announced next pin                promoted           yes
 8  the entry is deleted or waits: an expected fingerprint      first-use          yes
 9  mode `ca`: nothing on record / same as last / another       first-use / match / renewed   yes
10  nothing on record: mode `strict`, and nothing expected      unapproved         no
11  … otherwise                                                 first-use          yes
12  a current pin holds on to it, as it did the last time       match              yes
13  a current key or issuer pin, in a new certificate           renewed            yes
14  a next (announced) pin holds on to it                       promoted           yes
15  there never was a pin, and it is the certificate that was
    last trusted here (in mode `ca`, which makes no pins)       match              yes
16  nothing on record does                                      changed            no

On record is a host with any pin that was ever trusted, or with a certificate that ever was. Afterwards: what is trusted
by a rule from 7 on becomes `expired-by-policy` (no) if the policy insists on dates and now is outside them. In mode
`observe`, a verdict that says no is reported and the connection is trusted all the same; one that says never is not.
An expired, retired or unreadable pin is never a stranger: none of them leads to first use.

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
    *,
    domain: str = "",
) -> Decision:
    """Judge what `endpoint` presented, by the table above.

    Args:
        endpoint: Where.
        presented: What was presented, in a handshake whose signature was verified.
        entry: The record; None for a stranger.
        policy: The policy in force (the domain's, with the entry's own settings over it).
        now: The time of the decision, aware.
        facts: What else is known.
        domain: The domain whose policy is in force, for the words about it.
    """
    verdict, pin, why = _verdict(presented, entry, policy, facts)
    unexpected = _unexpected(presented, facts)
    outside = _outside_dates(presented, now)
    if verdict in _DATED and policy.expired is Expiry.REJECT and outside:
        verdict, why = Verdict.EXPIRED, f"{outside}, and the policy insists on dates"
    never = verdict is Verdict.REVOKED or unexpected
    compared = verdict in (Verdict.CHANGED, Verdict.RENEWED) and facts.old is not None
    change = None
    if verdict is Verdict.CHANGED:
        alone = unexpected and (pin is not None or entry is None or not entry.recorded)
        change = ChangeClass.NOT_EXPECTED if alone else classify(presented, entry, facts)
    return Decision(
        endpoint=endpoint,
        verdict=verdict,
        trusted=verdict.accepts or (policy.mode is CheckMode.OBSERVE and not never),
        presented=presented,
        entry=entry,
        policy=policy,
        facts=facts,
        pin=pin,
        change=change,
        diff=diff(facts.old, presented.leaf) if compared and facts.old else (),
        why=why,
        outside=outside,
        domain=domain or (entry.domain if entry else ""),
    )


_DATED = frozenset({Verdict.MATCH, Verdict.RENEWED, Verdict.PROMOTED, Verdict.FIRST_USE})


def holds(pin: Pin, presented: Presented, facts: Facts = _NO_FACTS) -> bool:
    """Whether a pin holds on to what was presented; an issuer pin needs the path that the connection verified.

    A fingerprint that somebody gave and nobody has seen yet may be that of the key, too; `record` then settles which.
    """
    if pin.kind is PinKind.CERTIFICATE:
        unseen = pin.certificate is None
        return pin.fingerprint == presented.leaf.fingerprint or (unseen and pin.fingerprint == presented.leaf.spki)
    if pin.kind is PinKind.KEY:
        return pin.fingerprint == presented.leaf.spki
    chain = facts.chain
    return chain is not None and chain.valid and pin.fingerprint in chain.issuers


def _verdict(
    presented: Presented, entry: Entry | None, policy: Policy, facts: Facts
) -> tuple[Verdict, Pin | None, str]:
    if _unexpected(presented, facts):
        current = _holding(entry, PinState.CURRENT, presented, facts) if entry and entry.known else None
        return Verdict.CHANGED, current, f"expected was {facts.expect}"
    if policy.mode is CheckMode.DISABLE:
        return Verdict.UNCHECKED, None, "checks are disabled by the policy"
    revoked = _holding(entry, PinState.REVOKED, presented, facts)
    if facts.revoked or revoked:
        return Verdict.REVOKED, revoked, facts.revocation or "it was revoked here, and is never accepted again"
    if not presented.proven:
        return Verdict.CHANGED, None, "it is not the one on record, and the handshake was ended there"
    if entry is not None and entry.state is not EntryState.ACTIVE:
        return _unsettled(presented, entry, policy, facts)
    if policy.mode is CheckMode.CA:
        return _by_chain(presented, entry, facts)
    if entry is None or not entry.recorded:
        if policy.mode is CheckMode.STRICT and facts.expect is None:
            return Verdict.UNAPPROVED, None, "the policy is strict: a host that is not known waits for approval"
        return Verdict.FIRST_USE, None, "vouched for by its fingerprint" if facts.expect else "nothing was on record"
    return _by_pins(presented, entry, facts)


def _unexpected(presented: Presented, facts: Facts) -> bool:
    return facts.expect is not None and facts.expect not in (presented.leaf.fingerprint, presented.leaf.spki)


def _outside_dates(presented: Presented, now: datetime) -> str:
    """Say how now is outside the certificate's dates; empty if it is not."""
    leaf = presented.leaf
    if leaf.valid_at(now):
        return ""
    if leaf.not_before is None or leaf.not_after is None:
        return "its dates cannot be read"
    if now < leaf.not_before:
        return f"it is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC"
    return f"it expired on {leaf.not_after:%Y-%m-%d}"


def _by_pins(presented: Presented, entry: Entry, facts: Facts) -> tuple[Verdict, Pin | None, str]:
    current = _holding(entry, PinState.CURRENT, presented, facts)
    if current is not None:
        # A key pin remembers its own last certificate: of two members behind one name, each matches for itself.
        last = entry.presented if current.kind is PinKind.ISSUER else current.certificate
        if current.kind is PinKind.CERTIFICATE or last in (None, presented.leaf.fingerprint):
            return Verdict.MATCH, current, f"the {current.kind} on record"
        return Verdict.RENEWED, current, f"another certificate, held by the {current.kind} on record"
    announced = _holding(entry, PinState.NEXT, presented, facts)
    if announced is not None:
        return Verdict.PROMOTED, announced, "the announced next one arrived"
    pinned = entry.having(PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.REVOKED)
    if not pinned and entry.presented == presented.leaf.fingerprint:
        return Verdict.MATCH, None, "the certificate that was last trusted here"
    return Verdict.CHANGED, None, "it is not the one on record"


def _by_chain(presented: Presented, entry: Entry | None, facts: Facts) -> tuple[Verdict, Pin | None, str]:
    broken = _broken_chain(facts)
    if broken:
        return Verdict.INVALID_CHAIN, None, broken
    reason = (facts.chain.reason if facts.chain else "") or "the chain is valid"
    if entry is None or not entry.recorded:
        return Verdict.FIRST_USE, None, reason
    return Verdict.MATCH if entry.presented == presented.leaf.fingerprint else Verdict.RENEWED, None, reason


def _broken_chain(facts: Facts) -> str:
    """Say what is wrong with the chain; empty if it is valid."""
    if facts.chain is None:
        return "the chain was not verified"
    return "" if facts.chain.valid else facts.chain.reason or "the chain does not lead to a trusted CA"


def _unsettled(presented: Presented, entry: Entry, policy: Policy, facts: Facts) -> tuple[Verdict, Pin | None, str]:
    """Judge a tombstone or a quarantined entry: only what a person vouched for gets out, and in no mode unverified."""
    deleted = entry.state is EntryState.DELETED
    announced = _holding(entry, PinState.NEXT, presented, facts) if deleted else None
    if announced is None and facts.expect is None:
        return Verdict.UNAPPROVED, None, _waiting(presented, entry)
    broken = _broken_chain(facts) if policy.mode is CheckMode.CA else ""
    if broken:
        return Verdict.INVALID_CHAIN, None, broken
    if announced is not None:
        return Verdict.PROMOTED, announced, "the one that the deletion named arrived"
    return Verdict.FIRST_USE, None, "vouched for by its fingerprint"


def _waiting(presented: Presented, entry: Entry) -> str:
    """Say why a certificate waits, and what a person may want to know of it."""
    if entry.state is not EntryState.DELETED:
        return "the host waits for approval"
    why = "the host was deleted here, and the deletion did not name this certificate"
    if not entry.having(PinState.RETIRED):
        return why
    before = _holding(entry, PinState.RETIRED, presented, _NO_FACTS) is not None
    return why + f"; it is {'one' if before else 'NOT one'} that was on record before the deletion"


def _holding(entry: Entry | None, state: PinState, presented: Presented, facts: Facts) -> Pin | None:
    if entry is None:
        return None
    return next((pin for pin in entry.having(state) if holds(pin, presented, facts)), None)
