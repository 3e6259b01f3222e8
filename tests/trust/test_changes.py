"""What a person does to the record: each change does what it says, refuses what it must, and never brings back what was revoked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.making import simple
from troth.errors import BadInput, NotFound, TrothError
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, EntryState, Evidence, Expiry, Override, Pin, PinKind, PinState
from troth.trust import changes

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)
WHERE = Endpoint("ise.example.com", 443)
VIEWS = tuple(CertificateView.from_der(simple(each)) for each in ("one", "two", "three"))
ONE, TWO, THREE = VIEWS
KNOWN = {each.fingerprint: each for each in VIEWS}


def pin(held: CertificateView, state: PinState = PinState.CURRENT, kind: PinKind = PinKind.CERTIFICATE) -> Pin:
    """Make a pin."""
    return Pin(
        kind=kind,
        fingerprint=changes.held_by(held, kind),
        state=state,
        evidence=Evidence.FIRST_USE,
        added_at=BEFORE,
        certificate=held.fingerprint,
        first_seen=BEFORE,
        last_seen=BEFORE,
    )


def entry(*pins: Pin, state: EntryState = EntryState.ACTIVE, **fields: object) -> Entry:
    """Make an entry."""
    return Entry(endpoint=WHERE, pins=pins, state=state, created_at=BEFORE, **fields)  # type: ignore[arg-type]  # handed on


def states(record: Entry) -> dict[str, str]:
    """Give the state of each pin, by the certificate's name and the kind where it is not a certificate."""
    return {
        f"{KNOWN[each.certificate].subject[3:]}"
        + ("" if each.kind is PinKind.CERTIFICATE else f" {each.kind}"): each.state.value
        for each in record.pins
        if each.certificate
    }


def test_a_fresh_entry_trusts_nothing() -> None:
    """The entry of an endpoint that nothing is known of holds no pin and no settings."""
    made = changes.fresh(WHERE, NOW, domain="user")
    assert made == Entry(endpoint=WHERE, domain="user", created_at=NOW)
    assert not made.known


@pytest.mark.parametrize("kind", PinKind)
def test_a_pin_holds_the_certificate_or_the_key(kind: PinKind) -> None:
    """A certificate pin holds the certificate's hash; a key or an issuer pin the key's."""
    assert changes.held_by(ONE, kind) == (ONE.fingerprint if kind is PinKind.CERTIFICATE else ONE.spki)
    made = changes.pin_of(ONE, changes.held_by(ONE, kind), kind, evidence=Evidence.EXPECTED, now=NOW, actor="bob")
    assert (made.certificate, made.added_by, made.added_at, made.first_seen, made.state) == (
        ONE.fingerprint, "bob", NOW, None, PinState.CURRENT,
    )  # fmt: skip
    assert changes.pin_of(None, ONE.spki, kind, evidence=Evidence.EXPECTED, now=NOW, actor="bob").certificate is None


def test_one_more_member_is_trusted_beside_the_first() -> None:
    """Adding a pin keeps what is trusted, drops what waited, wakes the entry and forgets the rejection."""
    record = entry(
        pin(ONE),
        pin(THREE, PinState.QUARANTINED),
        state=EntryState.QUARANTINED,
        rejected=TWO.fingerprint,
        rejected_at=NOW,
    )
    made = changes.add_pin(record, pin(TWO))
    assert states(made) == {"one": "current", "two": "current"}
    assert (made.state, made.rejected, made.rejected_at) == (EntryState.ACTIVE, None, None)


def test_adding_what_is_there_makes_no_second_pin() -> None:
    """The same thing is never pinned twice; a retired pin that is added again is current again."""
    made = changes.add_pin(entry(pin(ONE, PinState.RETIRED)), pin(ONE))
    assert states(made) == {"one": "current"}
    assert len(changes.add_pin(made, pin(ONE)).pins) == 1


def test_a_swap_retires_all_that_was_trusted_or_announced() -> None:
    """After a replacement, the new one alone is trusted: members, announced ones and what waited are not."""
    record = entry(pin(ONE), pin(ONE, kind=PinKind.KEY), pin(THREE, PinState.NEXT), pin(TWO, PinState.QUARANTINED))
    made = changes.swap(record, pin(TWO))
    assert states(made) == {"one": "retired", "one key": "retired", "three": "retired", "two": "current"}
    assert (made.current, made.presented, made.state) == ((pin(TWO),), TWO.fingerprint, EntryState.ACTIVE)


def test_a_swap_for_what_is_current_leaves_it_alone_trusted() -> None:
    """Replacing one by itself retires the others and keeps it, once."""
    made = changes.swap(entry(pin(ONE), pin(TWO)), pin(TWO))
    assert states(made) == {"one": "retired", "two": "current"}


@pytest.mark.parametrize("kind", [PinKind.CERTIFICATE, PinKind.KEY])
def test_an_approval_releases_exactly_what_waits(kind: PinKind) -> None:
    """What waits becomes current, with its evidence and its first day; nothing else does."""
    record = entry(pin(ONE, PinState.QUARANTINED), state=EntryState.QUARANTINED, rejected=ONE.fingerprint)
    made = changes.approve(record, ONE.fingerprint, ONE, kind, NOW, "bob")
    assert [(each.kind, each.state, each.evidence, each.added_by, each.first_seen) for each in made.pins] == [
        (kind, PinState.CURRENT, Evidence.APPROVED, "bob", BEFORE)
    ]
    assert (made.state, made.rejected, made.last_seen) == (EntryState.ACTIVE, None, BEFORE)


def test_what_does_not_wait_cannot_be_approved() -> None:
    """An approval of another certificate, or of a host that does not wait, changes nothing."""
    for record in (
        entry(pin(ONE, PinState.QUARANTINED), state=EntryState.QUARANTINED),
        entry(pin(TWO)),
        entry(pin(TWO, PinState.NEXT)),
    ):
        with pytest.raises(NotFound) as caught:
            changes.approve(record, TWO.fingerprint, TWO, PinKind.CERTIFICATE, NOW, "bob")
        assert caught.value.exit_code == 1


def test_an_approved_tombstone_lives_again_with_its_past() -> None:
    """An approval after a deletion wakes the entry; what was trusted before stays retired."""
    record = entry(pin(ONE, PinState.RETIRED), pin(TWO, PinState.QUARANTINED), state=EntryState.DELETED)
    made = changes.approve(record, TWO.fingerprint, TWO, PinKind.CERTIFICATE, NOW, "bob")
    assert (states(made), made.state) == ({"one": "retired", "two": "current"}, EntryState.ACTIVE)


def test_an_announcement_leaves_the_current_one_trusted() -> None:
    """Threat 33: the current pin stays until the next one is used."""
    made = changes.announce(entry(pin(ONE)), pin(TWO, PinState.NEXT))
    assert states(made) == {"one": "current", "two": "next"}


def test_what_is_current_is_not_announced() -> None:
    """Announcing what is trusted already is a mistake, and would take its trust away."""
    with pytest.raises(BadInput, match="already trusted"):
        changes.announce(entry(pin(ONE)), pin(ONE, PinState.NEXT))


def test_an_announcement_can_be_taken_back_and_nothing_else_with_it() -> None:
    """Threat 33: announcements can be cancelled; a current pin of the same fingerprint is not withdrawn."""
    record = entry(pin(ONE), pin(TWO, PinState.NEXT), pin(THREE, PinState.RETIRED))
    assert states(changes.withdraw(record, TWO.fingerprint)) == {"one": "current", "three": "retired"}
    for other in (ONE, THREE):
        with pytest.raises(NotFound, match="not announced"):
            changes.withdraw(record, other.fingerprint)


def test_a_deletion_leaves_a_tombstone() -> None:
    """Threat 36: a deleted endpoint is no new one: its pins are retired, its settings stay, and nothing is trusted there."""
    override = Override(mode=CheckMode.STRICT)
    record = entry(
        pin(ONE), pin(TWO, PinState.NEXT), pin(THREE, PinState.QUARANTINED), override=override, presented=ONE.fingerprint,
        rejected=TWO.fingerprint, rejected_at=NOW,
    )  # fmt: skip
    made = changes.delete(record, None)
    assert states(made) == {"one": "retired", "two": "retired"}
    assert (made.state, made.known, made.current, made.override) == (EntryState.DELETED, False, (), override)
    assert (made.presented, made.rejected, made.rejected_at) == (None, None, None)


def test_a_deletion_may_name_what_comes_next() -> None:
    """With a successor, the tombstone announces it and nothing else; it can also be named later."""
    made = changes.delete(entry(pin(ONE)), pin(TWO, PinState.NEXT))
    assert (states(made), made.state) == ({"one": "retired", "two": "next"}, EntryState.DELETED)
    assert states(changes.delete(made, pin(THREE, PinState.NEXT))) == {
        "one": "retired",
        "two": "retired",
        "three": "next",
    }


def test_what_is_deleted_is_not_deleted_again() -> None:
    """A second deletion says that there is nothing to delete."""
    with pytest.raises(NotFound, match="deleted already"):
        changes.delete(changes.delete(entry(pin(ONE)), None), None)


def test_settings_are_changed_one_by_one() -> None:
    """What a change does not name stays as it is."""
    record = entry(pin(ONE), override=Override(mode=CheckMode.STRICT))
    made = changes.override(record, Override(expired=Expiry.REJECT), KNOWN)
    assert made.override == Override(mode=CheckMode.STRICT, expired=Expiry.REJECT)
    assert made.pins == record.pins


def test_another_kind_of_pin_is_taken_from_the_certificate_on_record() -> None:
    """With --pin key the pin holds the key of the certificate that was trusted, so the very same host still matches; and back."""
    record = entry(pin(ONE), pin(TWO, PinState.NEXT), pin(THREE, PinState.RETIRED))
    keyed = changes.override(record, Override(pin=PinKind.KEY), KNOWN)
    assert keyed.current[0].fingerprint == ONE.spki
    assert states(keyed) == {"two": "next", "three": "retired", "one key": "current"}
    back = changes.override(keyed, Override(pin=PinKind.CERTIFICATE), KNOWN)
    assert back.current[0].fingerprint == ONE.fingerprint
    assert back.current[0].first_seen == BEFORE


def test_two_certificates_of_one_key_become_one_key_pin() -> None:
    """Two members with one key are one key pin, not two of the same."""
    twin = replace(TWO, spki=ONE.spki)
    made = changes.override(entry(pin(ONE), pin(twin)), Override(pin=PinKind.KEY), {**KNOWN, twin.fingerprint: twin})
    assert [(each.kind, each.fingerprint) for each in made.current] == [(PinKind.KEY, ONE.spki)]


def test_a_key_that_was_never_seen_is_not_guessed() -> None:
    """A certificate pin that was given by its fingerprint has no known key; changing its kind is refused."""
    record = entry(replace(pin(ONE), certificate=None))
    for known in (KNOWN, {}):
        with pytest.raises(BadInput, match="never seen"):
            changes.override(record, Override(pin=PinKind.KEY), known)
    with pytest.raises(BadInput, match="never seen"):
        changes.override(entry(pin(ONE)), Override(pin=PinKind.KEY), {})


def test_an_issuer_pin_is_not_turned_into_another_kind() -> None:
    """An issuer pin holds a CA, which no host's key or certificate stands for."""
    record = entry(pin(ONE, kind=PinKind.ISSUER))
    assert changes.override(record, Override(pin=PinKind.KEY), KNOWN).pins == record.pins


REVOKED = entry(pin(ONE, PinState.REVOKED), pin(TWO))
REVIVALS: dict[str, Callable[[Entry], Entry]] = {
    "pin": lambda record: changes.add_pin(record, pin(ONE)),
    "replace": lambda record: changes.swap(record, pin(ONE)),
    "announce": lambda record: changes.announce(record, pin(ONE, PinState.NEXT)),
    "approve": lambda record: changes.approve(
        replace(record, pins=(*record.pins, pin(ONE, PinState.QUARANTINED))), ONE.fingerprint, ONE, PinKind.CERTIFICATE, NOW, "bob"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", REVIVALS)
def test_what_was_revoked_is_never_trusted_again(how: str) -> None:
    """No change of a person's brings a revoked pin back; the refusal says why."""
    with pytest.raises(BadInput, match="never trusted again"):
        REVIVALS[how](REVOKED)


def test_a_deletion_brings_back_nothing_that_was_revoked() -> None:
    """Threats 27 and 36: the successor of a deletion may not be what was revoked at the endpoint."""
    with pytest.raises(BadInput, match="never trusted again"):
        changes.delete(REVOKED, pin(ONE, PinState.NEXT))


def test_another_kind_of_pin_brings_back_nothing_that_was_revoked() -> None:
    """A certificate pin that is turned into a key pin does not take the place of that key's revocation."""
    record = entry(pin(ONE), pin(ONE, PinState.REVOKED, PinKind.KEY))
    try:
        made = changes.override(record, Override(pin=PinKind.KEY), KNOWN)
    except BadInput:
        return
    assert PinState.REVOKED in {each.state for each in made.pins}


def test_a_revoked_pin_stays_on_record_through_every_change() -> None:
    """Pinning, replacing, announcing and deleting other certificates keeps what was revoked where it is."""
    for made in (
        changes.add_pin(REVOKED, pin(THREE)),
        changes.swap(REVOKED, pin(THREE)),
        changes.announce(REVOKED, pin(THREE, PinState.NEXT)),
        changes.delete(REVOKED, pin(THREE, PinState.NEXT)),
        changes.delete(REVOKED, None),
        changes.override(REVOKED, Override(pin=PinKind.KEY), KNOWN),
    ):
        assert states(made)["one"] == "revoked"


PINS = st.builds(
    pin,
    st.sampled_from(VIEWS),
    st.sampled_from([PinState.CURRENT, PinState.NEXT, PinState.RETIRED, PinState.QUARANTINED]),
    st.sampled_from(PinKind),
)
RECORDS = st.builds(
    lambda pins, state: entry(*{(each.kind, each.fingerprint): each for each in pins}.values(), state=state),
    st.lists(PINS, max_size=4),
    st.sampled_from(EntryState),
)
STEPS: list[Callable[[Entry, CertificateView], Entry]] = [
    lambda record, view: changes.add_pin(record, pin(view)),
    lambda record, view: changes.swap(record, pin(view)),
    lambda record, view: changes.announce(record, pin(view, PinState.NEXT)),
    lambda record, view: changes.withdraw(record, view.fingerprint),
    lambda record, view: changes.delete(record, None),
    lambda record, view: changes.delete(record, pin(view, PinState.NEXT)),
    lambda record, view: changes.approve(record, view.fingerprint, view, PinKind.CERTIFICATE, NOW, "bob"),
    lambda record, view: changes.override(record, Override(pin=PinKind.KEY), KNOWN),
    lambda record, view: changes.override(record, Override(pin=PinKind.CERTIFICATE), KNOWN),
]


@settings(max_examples=400)
@given(RECORDS, st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(VIEWS)), min_size=1, max_size=6))
def test_any_sequence_of_changes_keeps_the_record_whole(
    record: Entry, steps: list[tuple[Callable[[Entry, CertificateView], Entry], CertificateView]]
) -> None:
    """However changes follow each other: no thing is pinned twice, a tombstone trusts nothing, and only named things are new."""
    named = {held for _, view in steps for held in (view.fingerprint,)}
    before = {each.fingerprint for each in record.pins}
    for step, view in steps:
        was = record
        try:
            record = step(record, view)
        except TrothError as error:
            assert error.exit_code in (1, 2)
            continue
        assert len({(each.kind, each.fingerprint) for each in record.pins}) == len(record.pins)
        assert (record.endpoint, record.created_at, record.domain) == (was.endpoint, was.created_at, was.domain)
        derived = {each.spki for each in VIEWS} | {each.fingerprint for each in VIEWS}
        assert {each.fingerprint for each in record.pins} <= before | named | derived
        if record.state is EntryState.DELETED:
            assert not record.known
