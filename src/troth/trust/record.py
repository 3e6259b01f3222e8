"""What a decision does to the record: the entry before and the decision give the entry after.

Only verdicts that trust a certificate add or move pins. A rejection notes what was presented, so that a person can see
and replace it, and touches no pin.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from troth.model.entry import CheckMode, Entry, EntryState, Evidence, Pin, PinKind, PinState, Policy
from troth.trust.verdict import Decision, Presented, Verdict

SEEN_RESOLUTION = timedelta(minutes=1)


def after(decision: Decision, *, now: datetime, actor: str, domain: str) -> Entry | None:
    """Give the entry as it stands after the decision; None if there is nothing to write.

    Args:
        decision: The decision.
        now: Its time, aware UTC.
        actor: Who asked, for the pins that are added.
        domain: The domain of an entry that is new.
    """
    if decision.verdict is Verdict.UNCHECKED:
        return None
    entry = decision.entry or Entry(endpoint=decision.endpoint, domain=domain, created_at=now)
    if not entry.recorded and decision.presented.server_name:
        entry = replace(entry, server_name=decision.presented.server_name)
    if decision.verdict is Verdict.UNAPPROVED:
        return _quarantine(entry, decision, now=now, actor=actor)
    if not decision.verdict.accepts:
        return None if decision.entry is None else _note_rejection(entry, decision, now)
    if decision.verdict is Verdict.FIRST_USE:
        return _seen(_learn(entry, decision, now=now, actor=actor), decision.presented, now)
    if decision.verdict is Verdict.PROMOTED and decision.pin is not None:
        return _seen(_settle(promote(entry, decision.pin, now=now), decision), decision.presented, now)
    if decision.verdict is Verdict.MATCH and decision.pin is None and decision.policy.mode is not CheckMode.CA:
        return _seen(_hold(entry, decision, now=now, actor=actor), decision.presented, now)
    settled = _settle(entry, decision)
    if settled is entry and _is_fresh(entry, decision, now):
        return None
    return _seen(settled, decision.presented, now)


def _hold(entry: Entry, decision: Decision, *, now: datetime, actor: str) -> Entry:
    """Pin what was trusted for its chain, now that pins are asked."""
    held = pin_for(decision.presented, decision.policy, now=now, actor=actor, evidence=Evidence.VALID_CHAIN)
    return entry.with_pin(held)


def _settle(entry: Entry, decision: Decision) -> Entry:
    """Make a pin of a fingerprint that turned out to be the key's into one of the kind that the policy asks for."""
    pin, leaf = decision.pin, decision.presented.leaf
    if pin is None or pin.kind is not PinKind.CERTIFICATE or pin.fingerprint == leaf.fingerprint:
        return entry
    kind = PinKind.KEY if decision.policy.pin is PinKind.KEY else PinKind.CERTIFICATE
    fingerprint = leaf.spki if kind is PinKind.KEY else leaf.fingerprint
    found = next(old for old in entry.pins if old.same_as(pin))
    known = replace(found, kind=kind, fingerprint=fingerprint, certificate=leaf.fingerprint)
    pins = [known if old is found else old for old in entry.pins if old is found or not old.same_as(known)]
    return replace(entry, pins=tuple(pins))


def promote(entry: Entry, pin: Pin, *, now: datetime) -> Entry:
    """Make an announced pin the current one of its kind; the pins that it follows retire."""
    pins = [
        replace(old, state=PinState.RETIRED) if old.state is PinState.CURRENT and not old.same_as(pin) else old
        for old in entry.pins
    ]
    pins = [old for old in pins if not old.same_as(pin)]
    current = replace(pin, state=PinState.CURRENT, first_seen=pin.first_seen or now)
    return replace(entry, pins=(*pins, current), state=EntryState.ACTIVE)


def pin_for(presented: Presented, policy: Policy, *, now: datetime, actor: str, evidence: Evidence) -> Pin:
    """Make the current pin that the policy asks for. A first use pins a key or a certificate, never an issuer."""
    leaf = presented.leaf
    kind = PinKind.KEY if policy.pin is PinKind.KEY else PinKind.CERTIFICATE
    return Pin(
        kind=kind,
        fingerprint=leaf.spki if kind is PinKind.KEY else leaf.fingerprint,
        state=PinState.CURRENT,
        evidence=evidence,
        added_at=now,
        added_by=actor,
        certificate=leaf.fingerprint,
        first_seen=now,
        last_seen=now,
    )


def _learn(entry: Entry, decision: Decision, *, now: datetime, actor: str) -> Entry:
    kept = [pin for pin in entry.pins if pin.state is not PinState.QUARANTINED]
    if decision.policy.mode is CheckMode.CA:
        return replace(entry, pins=tuple(kept), state=EntryState.ACTIVE)
    evidence = Evidence.EXPECTED if decision.facts.expect else Evidence.FIRST_USE
    fresh = pin_for(decision.presented, decision.policy, now=now, actor=actor, evidence=evidence)
    return replace(entry, pins=tuple(kept), state=EntryState.ACTIVE).with_pin(fresh)


def _quarantine(entry: Entry, decision: Decision, *, now: datetime, actor: str) -> Entry | None:
    leaf = decision.presented.leaf
    state = entry.state if entry.state is EntryState.DELETED else EntryState.QUARANTINED
    waiting = [pin for pin in entry.having(PinState.QUARANTINED) if pin.fingerprint == leaf.fingerprint]
    if waiting and entry.rejected == leaf.fingerprint:
        return None if _recent(entry.rejected_at, now) else replace(entry, rejected_at=now)
    kept = [pin for pin in entry.pins if pin.state is not PinState.QUARANTINED]
    held = Pin(
        kind=PinKind.CERTIFICATE,
        fingerprint=leaf.fingerprint,
        state=PinState.QUARANTINED,
        evidence=Evidence.FIRST_USE,
        added_at=now,
        added_by=actor,
        certificate=leaf.fingerprint,
        first_seen=now,
        last_seen=now,
    )
    # A pin of another state that holds on to the same certificate (a tombstone's) stays; the decision looks at states.
    return replace(entry, pins=(*kept, held), state=state, rejected=leaf.fingerprint, rejected_at=now)


def _note_rejection(entry: Entry, decision: Decision, now: datetime) -> Entry | None:
    leaf = decision.presented.leaf
    if entry.rejected == leaf.fingerprint and _recent(entry.rejected_at, now):
        return None
    return replace(entry, rejected=leaf.fingerprint, rejected_at=now)


def _seen(entry: Entry, presented: Presented, now: datetime) -> Entry:
    leaf = presented.leaf
    pins = tuple(_touch(pin, presented, now) for pin in entry.pins)
    return replace(entry, pins=pins, last_seen=now, presented=leaf.fingerprint, rejected=None, rejected_at=None)


def _touch(pin: Pin, presented: Presented, now: datetime) -> Pin:
    leaf = presented.leaf
    holding = pin.fingerprint == (leaf.spki if pin.kind is PinKind.KEY else leaf.fingerprint)
    if pin.state is not PinState.CURRENT or pin.kind is PinKind.ISSUER or not holding:
        return pin
    return replace(pin, certificate=leaf.fingerprint, first_seen=pin.first_seen or now, last_seen=now)


def _is_fresh(entry: Entry, decision: Decision, now: datetime) -> bool:
    """Whether the record already says all this, to the minute; then a match costs no write."""
    return (
        decision.verdict is Verdict.MATCH
        and entry.rejected is None
        and entry.presented == decision.presented.leaf.fingerprint
        and _recent(entry.last_seen, now)
    )


def _recent(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and timedelta() <= now - moment < SEEN_RESOLUTION
