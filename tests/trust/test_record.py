"""What a decision does to the record: only what is trusted adds or moves a pin, and a rejection touches none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.making import simple
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, EntryState, Evidence, Expiry, Override, Pin, PinKind, PinState, Policy
from troth.model.fingerprint import Fingerprint
from troth.trust.decide import decide
from troth.trust.record import SEEN_RESOLUTION, after, pin_for, promote
from troth.trust.verdict import ChainOutcome, Decision, Facts, Presented, Verdict

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)
WHERE = Endpoint("ise.example.com", 443)
STANDARD = Policy()
VIEWS = tuple(CertificateView.from_der(simple(each)) for each in ("one", "two", "three"))
ONE, TWO, THREE = VIEWS
TRUSTING = (PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.REVOKED)


def pin(held: CertificateView, state: PinState = PinState.CURRENT, kind: PinKind = PinKind.CERTIFICATE) -> Pin:
    """Make a pin."""
    return Pin(
        kind=kind,
        fingerprint=held.fingerprint if kind is PinKind.CERTIFICATE else held.spki,
        state=state,
        evidence=Evidence.APPROVED,
        added_at=BEFORE,
        added_by="alice",
        certificate=held.fingerprint,
        first_seen=BEFORE,
    )


def entry(*pins: Pin, state: EntryState = EntryState.ACTIVE, **fields: object) -> Entry:
    """Make an entry."""
    return Entry(endpoint=WHERE, pins=pins, state=state, created_at=BEFORE, domain="pubnet", **fields)  # type: ignore[arg-type]  # handed on


def judged(
    leaf: CertificateView, record: Entry | None, *, policy: Policy = STANDARD, server_name: str = "", **facts: object
) -> Decision:
    """Decide, as the store does."""
    return decide(WHERE, Presented(leaf=leaf, server_name=server_name), record, policy, NOW, Facts(**facts))  # type: ignore[arg-type]  # handed on


def written(decision: Decision, now: datetime = NOW) -> Entry | None:
    """Give the record afterwards."""
    return after(decision, now=now, actor="bob", domain="devicemgmt")


def test_a_first_use_records_who_when_and_on_what_grounds() -> None:
    """Threat 1: a first use is on record as one that was learned unverified, by whom and when."""
    made = written(judged(ONE, None, server_name="ise"))
    assert made is not None
    assert made == Entry(
        endpoint=WHERE,
        domain="devicemgmt",
        server_name="ise",
        created_at=NOW,
        last_seen=NOW,
        presented=ONE.fingerprint,
        pins=(
            Pin(kind=PinKind.CERTIFICATE, fingerprint=ONE.fingerprint, state=PinState.CURRENT, evidence=Evidence.FIRST_USE, added_at=NOW,
                added_by="bob", certificate=ONE.fingerprint, first_seen=NOW, last_seen=NOW),
        ),
    )  # fmt: skip


def test_a_first_use_that_somebody_vouched_for_says_so() -> None:
    """With an expected fingerprint, the evidence is that fingerprint, not first use."""
    made = written(judged(ONE, None, expect=ONE.spki))
    assert made is not None
    assert made.pins[0].evidence is Evidence.EXPECTED


@pytest.mark.parametrize(
    ("kind", "holds"),
    [(PinKind.KEY, "spki"), (PinKind.CERTIFICATE, "fingerprint"), (PinKind.ISSUER, "fingerprint")],
)
def test_a_first_use_pins_what_the_policy_asks_for_and_never_an_issuer(kind: PinKind, holds: str) -> None:
    """A key or the certificate; an issuer is never learned from the wire."""
    made = pin_for(Presented(leaf=ONE), Policy(pin=kind), now=NOW, actor="bob", evidence=Evidence.FIRST_USE)
    assert made.fingerprint == getattr(ONE, holds)
    assert made.kind is not PinKind.ISSUER


def test_a_valid_chain_pins_nothing() -> None:
    """In mode ca a first use is remembered for the next comparison, and no pin is made of it."""
    chain = ChainOutcome(valid=True, issuers=frozenset({TWO.spki}))
    made = written(judged(ONE, None, policy=Policy(mode=CheckMode.CA), chain=chain))
    assert made is not None
    assert (made.pins, made.presented, made.state) == ((), ONE.fingerprint, EntryState.ACTIVE)


def test_a_rejection_notes_what_was_presented_and_touches_no_pin() -> None:
    """A change is noted with its time, so that a person can see it; pins and settings stay as they were."""
    record = entry(pin(ONE), pin(THREE, PinState.NEXT), presented=ONE.fingerprint, last_seen=BEFORE)
    made = written(judged(TWO, record, old=ONE))
    assert made == replace(record, rejected=TWO.fingerprint, rejected_at=NOW)


def test_a_rejected_stranger_leaves_no_trace() -> None:
    """Where there was no record and the certificate was not the expected one, there is none afterwards."""
    assert written(judged(ONE, None, expect=Fingerprint(bytes(32)))) is None
    assert written(judged(ONE, None, policy=Policy(mode=CheckMode.CA))) is None
    assert written(judged(ONE, None, revoked=True)) is None


def test_nothing_is_written_where_nothing_is_checked() -> None:
    """Mode disable learns nothing: what nobody checked must not be on record as trusted later."""
    for record in (None, entry(pin(TWO)), entry(state=EntryState.DELETED)):
        assert written(judged(ONE, record, policy=Policy(mode=CheckMode.DISABLE))) is None


def test_an_observed_change_is_noted_and_not_learned() -> None:
    """Mode observe lets a changed certificate through; the pin stays the old one."""
    record = entry(pin(ONE), presented=ONE.fingerprint)
    decision = judged(TWO, record, policy=Policy(mode=CheckMode.OBSERVE), old=ONE)
    assert decision.trusted
    made = written(decision)
    assert made is not None
    assert made.pins == record.pins
    assert (made.presented, made.rejected) == (ONE.fingerprint, TWO.fingerprint)


def test_an_unknown_host_under_a_strict_policy_waits() -> None:
    """In mode strict what was presented waits in quarantine: on record, and trusted by nobody."""
    made = written(judged(ONE, None, policy=Policy(mode=CheckMode.STRICT)))
    assert made is not None
    assert (made.state, made.known, made.current) == (EntryState.QUARANTINED, False, ())
    assert [(each.state, each.certificate) for each in made.pins] == [(PinState.QUARANTINED, ONE.fingerprint)]
    assert (made.rejected, made.last_seen, made.presented) == (ONE.fingerprint, None, None)


def test_only_the_last_certificate_waits() -> None:
    """Another certificate from a waiting host takes the place of the one before: one thing to approve, the one that is there."""
    policy = Policy(mode=CheckMode.STRICT)
    first = written(judged(ONE, None, policy=policy))
    second = written(judged(TWO, first, policy=policy))
    assert second is not None
    assert [each.fingerprint for each in second.having(PinState.QUARANTINED)] == [TWO.fingerprint]


def test_a_deleted_host_stays_deleted_while_it_waits() -> None:
    """Threat 36: a tombstone is no quarantine that can be taken for a new host; what is retired stays on record."""
    record = entry(pin(ONE, PinState.RETIRED), state=EntryState.DELETED)
    made = written(judged(ONE, record))
    assert made is not None
    assert made.state is EntryState.DELETED
    assert [each.state for each in made.pins] == [PinState.RETIRED, PinState.QUARANTINED]


def test_the_same_waiting_host_is_not_written_each_time() -> None:
    """A waiting host that knocks every second costs one write a minute, and no more."""
    policy = Policy(mode=CheckMode.STRICT)
    first = written(judged(ONE, None, policy=policy))
    decision = judged(ONE, first, policy=policy)
    assert written(decision, NOW + SEEN_RESOLUTION / 2) is None
    later = written(decision, NOW + SEEN_RESOLUTION)
    assert later is not None
    assert later.rejected_at == NOW + SEEN_RESOLUTION
    assert first is not None
    assert later.pins == first.pins


def test_the_same_rejection_is_not_written_each_time() -> None:
    """An impostor who knocks every second costs one write a minute; another impostor is noted at once."""
    record = entry(pin(ONE), presented=ONE.fingerprint, rejected=TWO.fingerprint, rejected_at=NOW - SEEN_RESOLUTION / 2)
    assert written(judged(TWO, record, old=ONE)) is None
    assert written(judged(TWO, record, old=ONE), NOW + SEEN_RESOLUTION) is not None
    other = written(judged(THREE, record, old=ONE))
    assert other is not None
    assert other.rejected == THREE.fingerprint


def test_a_match_is_written_once_a_minute() -> None:
    """A match that says nothing new costs no write; after a minute, or after a rejection, it is written."""
    record = entry(pin(ONE), presented=ONE.fingerprint, last_seen=NOW)
    decision = judged(ONE, record)
    assert decision.verdict is Verdict.MATCH
    assert written(decision, NOW + SEEN_RESOLUTION / 2) is None
    later = written(decision, NOW + SEEN_RESOLUTION)
    assert later is not None
    assert (later.last_seen, later.pins[0].last_seen) == (NOW + SEEN_RESOLUTION,) * 2
    after_rejection = written(judged(ONE, replace(record, rejected=TWO.fingerprint, rejected_at=NOW)))
    assert after_rejection is not None
    assert (after_rejection.rejected, after_rejection.rejected_at) == (None, None)


def test_a_clock_that_went_back_does_not_stop_the_writing() -> None:
    """A last sighting in the future is not recent: a wrong clock must not freeze the record for ever."""
    record = entry(pin(ONE), presented=ONE.fingerprint, last_seen=NOW + timedelta(days=400))
    made = written(judged(ONE, record))
    assert made is not None
    assert made.last_seen == NOW


def test_an_announced_pin_takes_over_and_the_old_one_retires() -> None:
    """Once the announced certificate came, the one before is trusted no more; a waiting or revoked pin is not touched."""
    record = entry(pin(ONE), pin(TWO, PinState.NEXT), pin(THREE, PinState.REVOKED), presented=ONE.fingerprint)
    made = written(judged(TWO, record, old=ONE))
    assert made is not None
    assert {(each.fingerprint, each.state) for each in made.pins} == {
        (ONE.fingerprint, PinState.RETIRED),
        (TWO.fingerprint, PinState.CURRENT),
        (THREE.fingerprint, PinState.REVOKED),
    }
    assert (made.presented, made.state) == (TWO.fingerprint, EntryState.ACTIVE)


def test_promotion_keeps_when_it_was_first_seen() -> None:
    """An announced pin that nobody saw yet is first seen now; one that was seen keeps its day."""
    fresh = replace(pin(TWO, PinState.NEXT), first_seen=None)
    assert promote(entry(pin(ONE), fresh), fresh, now=NOW).current[0].first_seen == NOW
    known = pin(TWO, PinState.NEXT)
    assert promote(entry(pin(ONE), known), known, now=NOW).current[0].first_seen == BEFORE


def test_a_key_pin_remembers_its_last_certificate() -> None:
    """A renewal under a key pin is remembered, so that the next connection is a plain match."""
    renewed = replace(TWO, spki=ONE.spki)
    record = entry(pin(ONE, kind=PinKind.KEY), presented=ONE.fingerprint, last_seen=NOW)
    decision = judged(renewed, record, policy=Policy(pin=PinKind.KEY), old=ONE)
    assert decision.verdict is Verdict.RENEWED
    made = written(decision)
    assert made is not None
    assert made.pins[0].certificate == renewed.fingerprint
    assert made.pins[0].fingerprint == ONE.spki
    assert judged(renewed, made, policy=Policy(pin=PinKind.KEY)).verdict is Verdict.MATCH


def test_members_behind_one_name_do_not_touch_each_other() -> None:
    """Threat 31: a sighting of one member moves that member's times alone."""
    record = entry(pin(ONE), pin(TWO), presented=ONE.fingerprint)
    made = written(judged(TWO, record))
    assert made is not None
    assert [each.last_seen for each in made.pins] == [None, NOW]
    assert [each.state for each in made.pins] == [PinState.CURRENT, PinState.CURRENT]


KINDS = st.sampled_from([PinKind.CERTIFICATE, PinKind.KEY])
PINS = st.builds(pin, st.sampled_from(VIEWS), st.sampled_from(PinState), KINDS)
RECORDS = st.none() | st.builds(
    lambda pins, state, presented, seen, override: entry(
        *{(each.kind, each.fingerprint, each.state is PinState.QUARANTINED): each for each in pins}.values(),
        state=state,
        presented=presented,
        last_seen=seen,
        override=override,
    ),
    st.lists(PINS, max_size=4),
    st.sampled_from(EntryState),
    st.none() | st.sampled_from(VIEWS).map(lambda view: view.fingerprint),
    st.sampled_from([None, BEFORE, NOW]),
    st.builds(Override, mode=st.none() | st.sampled_from(CheckMode)),
)
FACTS = st.builds(
    Facts,
    revoked=st.sampled_from([False, False, False, True]),
    chain=st.sampled_from([None, ChainOutcome(valid=True), ChainOutcome(valid=False)]),
    expect=st.sampled_from([None, None, ONE.fingerprint, TWO.spki]),
    old=st.sampled_from([None, ONE]),
)
POLICIES = st.builds(
    Policy, mode=st.sampled_from(CheckMode), pin=st.sampled_from(PinKind), expired=st.sampled_from(Expiry)
)


@settings(max_examples=600)
@given(st.sampled_from(VIEWS), RECORDS, POLICIES, FACTS)
def test_whatever_is_decided_the_record_keeps_its_promises(
    leaf: CertificateView, record: Entry | None, policy: Policy, facts: Facts
) -> None:
    """No rejection adds trust, nothing revoked comes back, no tombstone wakes unvouched, settings and endpoint stay."""
    decision = decide(WHERE, Presented(leaf=leaf), record, policy, NOW, facts)
    made = written(decision)
    if made is None:
        return
    old_pins = record.pins if record else ()
    assert made.endpoint == WHERE
    if record is not None:
        assert (made.override, made.domain, made.created_at) == (record.override, record.domain, record.created_at)
    revoked = {(each.kind, each.fingerprint) for each in old_pins if each.state is PinState.REVOKED}
    assert revoked == {(each.kind, each.fingerprint) for each in made.pins if each.state is PinState.REVOKED}
    assert not revoked & {(each.kind, each.fingerprint) for each in made.current}
    trusted = [each for each in made.pins if each.state in TRUSTING]
    if not decision.verdict.accepts:
        assert [each for each in old_pins if each.state in TRUSTING] == trusted
        assert made.presented == (record.presented if record else None)
        assert made.rejected == leaf.fingerprint
        assert record is None or record.state is EntryState.ACTIVE or made.state is record.state
    else:
        assert made.state is EntryState.ACTIVE or decision.verdict in (Verdict.MATCH, Verdict.RENEWED)
        assert made.presented == leaf.fingerprint
        assert made.rejected is None
        added = {(each.kind, each.fingerprint) for each in made.current} - {
            (each.kind, each.fingerprint) for each in old_pins
        }
        assert added <= {(PinKind.CERTIFICATE, leaf.fingerprint), (PinKind.KEY, leaf.spki)}
        # A certificate that was trusted for its chain is pinned when pins are asked; a fingerprint of a key is settled.
        held = decision.verdict is Verdict.MATCH and decision.pin is None
        settled = decision.pin is not None and decision.pin.certificate is None
        assert decision.verdict is Verdict.FIRST_USE or held or settled or not added
