"""Every row of the decision table, exhaustively, against a second reading of it; and what must hold whatever happens."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import (
    CheckMode,
    Entry,
    EntryState,
    Evidence,
    Expiry,
    Pin,
    PinKind,
    PinState,
    Policy,
)
from troth.model.fingerprint import Fingerprint
from troth.trust.decide import decide, holds
from troth.trust.record import after
from troth.trust.verdict import ChainFault, ChainOutcome, ChangeClass, Facts, Presented, Verdict

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHERE = Endpoint("ise.example.com", 443)


def view(name: str, *, key: str = "", issuer: str = "", days: int = 30) -> CertificateView:
    """Make a certificate as decisions see one; `days` is how long it is valid yet."""
    return CertificateView(
        der=name.encode(),
        fingerprint=Fingerprint.of(name.encode()),
        spki=Fingerprint.of(f"key {key or name}".encode()),
        subject=f"CN={name}",
        issuer=f"CN={issuer or name}",
        serial="1",
        not_before=NOW - timedelta(days=90),
        not_after=NOW + timedelta(days=days),
        san=(),
        key="EC P-256",
        signature_algorithm="ECDSA with SHA-256",
        is_ca=False,
        for_servers=True,
        self_issued=not issuer,
        version=3,
        subject_der=name.encode(),
        issuer_der=(issuer or name).encode(),
        spki_der=b"",
    )


OLD, NEW = view("old"), view("new")
CA_KEY = Fingerprint.of(b"the CA's key")


def pin(kind: PinKind, state: PinState, held: CertificateView) -> Pin:
    """Make a pin that holds on to a certificate, its key, or its CA."""
    fingerprint = {PinKind.CERTIFICATE: held.fingerprint, PinKind.KEY: held.spki, PinKind.ISSUER: CA_KEY}[kind]
    return Pin(
        kind=kind,
        fingerprint=fingerprint,
        state=state,
        evidence=Evidence.FIRST_USE,
        added_at=NOW - timedelta(days=9),
        certificate=held.fingerprint,
    )


def entry(state: EntryState, *pins: Pin, presented: CertificateView | None = OLD) -> Entry:
    """Make an entry."""
    return Entry(
        endpoint=WHERE,
        state=state,
        pins=pins,
        created_at=NOW - timedelta(days=9),
        presented=presented.fingerprint if presented else None,
    )


# Each case of the record, by a name that the oracle reads, without looking at the record itself.
RECORDS: dict[str, Entry | None] = {"none": None, "settings only": entry(EntryState.ACTIVE, presented=None)}
for _kind, _pin_state, _held in itertools.product(PinKind, PinState, (OLD, NEW)):
    RECORDS[f"active {_kind} {_pin_state} {_held.subject}"] = entry(EntryState.ACTIVE, pin(_kind, _pin_state, _held))
for _held in (OLD, NEW):
    RECORDS[f"active by-chain presented {_held.subject}"] = entry(EntryState.ACTIVE, presented=_held)
for _state in (EntryState.QUARANTINED, EntryState.DELETED):
    RECORDS[f"{_state} nothing-but presented CN=none"] = entry(_state, presented=None)
    for _kind, _pin_state, _held in itertools.product(PinKind, PinState, (OLD, NEW)):
        RECORDS[f"{_state} {_kind} {_pin_state} {_held.subject}"] = entry(_state, pin(_kind, _pin_state, _held))

CHAINS = {
    "not asked": None,
    "broken": ChainOutcome(valid=False, reason="no"),
    "to our CA": ChainOutcome(valid=True, issuers=frozenset({CA_KEY})),
    "to another CA": ChainOutcome(valid=True, issuers=frozenset({Fingerprint.of(b"another")})),
}


def oracle(mode: str, record: str, chain: str, expect: str, *, revoked: bool, in_date: bool, insist: bool) -> str:
    """Read the table a second time, from the names of the case alone. What is presented is always NEW."""
    words = record.split()
    state = words[0]
    held_new = record.endswith("CN=new")
    kind, pin_state = (words[1], words[2]) if len(words) > 3 or len(words) == 4 else ("", "")
    vouched = expect == "this"
    matches = (held_new and kind in ("key", "certificate")) or (kind == "issuer" and chain == "to our CA")
    answer = ""
    if expect == "another":
        return "changed"
    if mode == "disable":
        return "unchecked"
    if revoked or (pin_state == "revoked" and matches):
        return "revoked"
    announced = state == "deleted" and pin_state == "next" and matches
    if state in ("deleted", "quarantined") and not announced and not vouched:
        return "unapproved"
    if mode == "ca" and chain in ("not asked", "broken"):
        return "invalid-chain"
    if announced:
        answer = "promoted"
    elif state in ("deleted", "quarantined"):
        answer = "first-use"
    elif mode == "ca":
        answer = (
            "first-use"
            if state in ("none", "settings")
            else "match"
            if record.endswith("presented CN=new")
            else "renewed"
        )
    elif state in ("none", "settings"):
        answer = "unapproved" if mode == "strict" and not vouched else "first-use"
    elif pin_state == "current" and matches:
        answer = "renewed" if kind == "issuer" else "match"
    elif pin_state == "next" and matches:
        answer = "promoted"
    elif record.endswith("presented CN=new"):
        answer = "match"
    else:
        answer = "changed"
    if insist and not in_date and answer in ("match", "renewed", "promoted", "first-use"):
        return "expired-by-policy"
    return answer


@pytest.mark.parametrize("mode", list(CheckMode))
@pytest.mark.parametrize("record", RECORDS)
def test_every_case_of_the_table(mode: CheckMode, record: str) -> None:
    """The decision is what a second reading of the table says, in every combination."""
    cases = itertools.product(CHAINS, ("", "this", "another"), (False, True), (30, -1), Expiry)
    for chain, expect, revoked, days, expired in cases:
        leaf = view("new", days=days)
        wanted = {"": None, "this": leaf.spki, "another": Fingerprint.of(b"else")}[expect]
        decision = decide(
            WHERE,
            Presented(leaf=leaf),
            RECORDS[record],
            Policy(mode=mode, expired=expired),
            NOW,
            Facts(revoked=revoked, chain=CHAINS[chain], expect=wanted, old=OLD),
        )
        told = oracle(
            mode.value, record, chain, expect, revoked=revoked, in_date=days > 0, insist=expired is Expiry.REJECT
        )
        case = (mode, record, chain, expect, revoked, days, expired)
        assert decision.verdict == told, case
        observed = mode is CheckMode.OBSERVE and told != "revoked" and expect != "another"
        assert decision.trusted == (decision.verdict.accepts or observed), case
        assert (decision.change is not None) == (decision.verdict is Verdict.CHANGED), case


PINS = st.builds(pin, st.sampled_from(list(PinKind)), st.sampled_from(list(PinState)), st.sampled_from([OLD, NEW]))
ENTRIES = st.none() | st.builds(
    lambda state, pins, seen: entry(state, *pins, presented=seen),
    st.sampled_from(list(EntryState)),
    st.lists(PINS, max_size=4),
    st.sampled_from([None, OLD, NEW]),
)
POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(list(CheckMode)),
    pin=st.sampled_from(list(PinKind)),
    expired=st.sampled_from(list(Expiry)),
)
FACTS = st.builds(
    Facts,
    revoked=st.booleans(),
    holders=st.sampled_from([(), (Endpoint("other", 443),)]),
    old=st.sampled_from([None, OLD]),
    old_chain_valid=st.booleans(),
    chain=st.sampled_from(list(CHAINS.values())),
    weaknesses=st.sampled_from([(), ("weak",)]),
    expect=st.sampled_from([None, NEW.spki, NEW.fingerprint, Fingerprint.of(b"else")]),
)


@given(record=ENTRIES, policy=POLICIES, facts=FACTS, proven=st.booleans())
@settings(max_examples=600, deadline=None)
def test_what_holds_whatever_happens(record: Entry | None, policy: Policy, facts: Facts, proven: bool) -> None:
    """No revoked, unexpected or unproven certificate is accepted; no host with a record is a stranger; rejection moves no pin."""
    presented = Presented(leaf=NEW, proven=proven)
    decision = decide(WHERE, presented, record, policy, NOW, facts)
    written = after(decision, now=NOW, actor="test", domain="system")
    unchecked = decision.verdict is Verdict.UNCHECKED
    assert not unchecked or policy.mode is CheckMode.DISABLE
    accepts = decision.verdict.accepts and not unchecked
    revoked = facts.revoked or any(
        holds(each, presented, facts) for each in (record.having(PinState.REVOKED) if record else ())
    )
    if revoked and not unchecked:
        assert not decision.trusted
    if not proven:
        assert not accepts
    trusted_once = record is not None and (
        record.presented is not None
        or record.having(PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.REVOKED)
    )
    unsettled = record is not None and record.state is not EntryState.ACTIVE
    if (trusted_once or unsettled) and facts.expect is None:
        assert decision.verdict is not Verdict.FIRST_USE
    if unsettled and facts.expect is None and decision.verdict is not Verdict.PROMOTED:
        assert not accepts, "nobody vouched for it"
    if facts.expect not in (None, NEW.spki, NEW.fingerprint):
        assert not decision.trusted, "in no mode"
    if not accepts and written is not None:
        before = record.current if record else ()
        assert written.current == before
        assert written.having(PinState.NEXT, PinState.RETIRED, PinState.REVOKED) == (
            record.having(PinState.NEXT, PinState.RETIRED, PinState.REVOKED) if record else ()
        )
    if accepts and written is not None and decision.verdict is Verdict.PROMOTED:
        assert not written.having(PinState.NEXT) or len(written.having(PinState.NEXT)) < len(
            record.having(PinState.NEXT) if record else ()
        )


@given(record=ENTRIES, policy=POLICIES, facts=FACTS)
@settings(max_examples=300, deadline=None)
def test_what_was_recorded_is_what_is_met(record: Entry | None, policy: Policy, facts: Facts) -> None:
    """After a trusted decision was recorded, the same certificate is trusted again by the same policy; and it stays so."""
    presented = Presented(leaf=NEW)
    decision = decide(WHERE, presented, record, policy, NOW, facts)
    written = after(decision, now=NOW, actor="test", domain="system")
    if not decision.verdict.accepts or decision.verdict is Verdict.UNCHECKED:
        return
    again = decide(WHERE, presented, written or record, policy, NOW, facts)
    assert again.verdict is Verdict.MATCH
    assert after(again, now=NOW, actor="test", domain="system") is None


@pytest.mark.parametrize(
    ("facts", "presented", "expected"),
    [
        (Facts(old=OLD, holders=(Endpoint("o", 1),)), NEW, ChangeClass.OTHER_HOST_KEY),
        (Facts(old=OLD), view("new", key="old"), ChangeClass.SAME_KEY),
        (Facts(old=OLD, weaknesses=("short",)), NEW, ChangeClass.WEAK_KEY),
        (Facts(old=OLD, old_chain_valid=True), NEW, ChangeClass.CA_DOWNGRADED),
        (Facts(old=OLD, chain=ChainOutcome(valid=False)), view("n", issuer="ca"), ChangeClass.CA_DOWNGRADED),
        (Facts(old=view("o", issuer="ca")), view("n", issuer="ca"), ChangeClass.SAME_ISSUER),
        (Facts(old=view("o", issuer="ca")), view("n", issuer="cb"), ChangeClass.DIFFERENT_ISSUER),
        (Facts(old=OLD), NEW, ChangeClass.SELF_SIGNED_REPLACED),
        (Facts(old=OLD, expect=Fingerprint.of(b"x")), OLD, ChangeClass.NOT_EXPECTED),
        (Facts(), NEW, ChangeClass.UNKNOWN),
        (Facts(old=OLD, chain=ChainOutcome(valid=False, fault=ChainFault.NAME)), NEW, ChangeClass.WRONG_NAME),
        (Facts(old=OLD, chain=ChainOutcome(valid=False, fault=ChainFault.DATES)), NEW, ChangeClass.OUTSIDE_DATES),
        (Facts(old=OLD, chain=ChainOutcome(valid=False, fault=ChainFault.UNTRUSTED)), NEW, ChangeClass.CA_DOWNGRADED),
    ],
)
def test_a_change_is_named_for_what_it_looks_like(
    facts: Facts, presented: CertificateView, expected: ChangeClass
) -> None:
    """Threat 23: benign and suspicious changes are told apart by keys, never by subjects."""
    record = entry(EntryState.ACTIVE, pin(PinKind.CERTIFICATE, PinState.CURRENT, OLD))
    decision = decide(WHERE, Presented(leaf=presented), record, Policy(), NOW, facts)
    assert (decision.verdict, decision.change) == (Verdict.CHANGED, expected)


def test_a_retired_certificate_that_returns_is_named() -> None:
    """A certificate that was replaced and comes back is not a plain change."""
    record = entry(
        EntryState.ACTIVE,
        pin(PinKind.CERTIFICATE, PinState.RETIRED, NEW),
        pin(PinKind.CERTIFICATE, PinState.CURRENT, OLD),
    )
    decision = decide(WHERE, Presented(leaf=NEW), record, Policy(), NOW, Facts(old=OLD))
    assert decision.change is ChangeClass.RETIRED_RETURNED


def test_two_members_behind_one_name_both_match() -> None:
    """Threats 24 and 31: RSA beside ECDSA, or two members of a cluster, are no change once both are known."""
    record = entry(EntryState.ACTIVE, pin(PinKind.KEY, PinState.CURRENT, OLD), pin(PinKind.KEY, PinState.CURRENT, NEW))
    for leaf in (OLD, NEW, OLD):
        decision = decide(WHERE, Presented(leaf=leaf), record, Policy(), NOW, Facts())
        assert decision.verdict is Verdict.MATCH
        record = after(decision, now=NOW, actor="test", domain="system") or record


def test_an_expired_pin_is_no_stranger() -> None:
    """Threats 21 and 26: the right certificate out of its dates is accepted or refused by policy, never re-learned."""
    expired = view("old", days=-1)
    record = entry(EntryState.ACTIVE, pin(PinKind.CERTIFICATE, PinState.CURRENT, expired), presented=expired)
    for policy, verdict in ((Policy(), Verdict.MATCH), (Policy(expired=Expiry.REJECT), Verdict.EXPIRED)):
        for now in (NOW, NOW + timedelta(days=9999), NOW - timedelta(days=9999)):
            decision = decide(WHERE, Presented(leaf=expired), record, policy, now)
            assert decision.verdict is verdict
    unreadable = replace(expired, not_after=None)
    assert not decide(WHERE, Presented(leaf=unreadable), record, Policy(expired=Expiry.REJECT), NOW).trusted
