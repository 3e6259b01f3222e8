"""The pure states: every event in every state has an outcome, and no outcome loses a key."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.identity.state import (
    Activated,
    Event,
    Found,
    Imported,
    Made,
    Refusal,
    Requested,
    Role,
    Scheduled,
    State,
    dump,
    load,
    step,
)

FULL = State(current=3, next=5, pending=(6, 4), retired=(2, 1), aside=(7,), last=9, on_start=True)
STATES = {
    "none": State(),
    "none, something found": State(aside=(2,), last=2),
    "current": State(current=1, last=1),
    "pending": State(current=1, pending=(3, 2), last=3),
    "next": State(current=1, next=2, last=2),
    "next, on start": State(current=1, next=2, last=2, on_start=True),
    "retired": State(current=2, retired=(1,), last=2),
    "full": FULL,
}
EVENTS: dict[str, Event] = {
    "made": Made(10),
    "requested": Requested(10),
    "imported": Imported(10),
    "imported for a request": Imported(10, frozenset({4})),
    "imported again": Imported(10, frozenset({5})),
    "imported for the current key": Imported(10, frozenset({3, 2})),
    "activated": Activated(),
    "scheduled": Scheduled(True),
    "not scheduled": Scheduled(False),
    "found": Found((10, 11)),
    "found nothing new": Found((1,)),
}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_every_event_in_every_state_ends_in_a_sound_state_or_a_reason(state: str, event: str) -> None:
    """What follows can be written and read again; only twins of an imported key go; the key in force goes nowhere but to the retired."""
    before, happened = STATES[state], EVENTS[event]
    after = step(before, happened)
    if isinstance(after, Refusal):
        return
    assert load(dump(after)) == after
    gone = set(before.roles) - set(after.roles)
    assert gone <= (happened.twins if isinstance(happened, Imported) else set())
    assert not gone & {before.current, *before.retired}
    if isinstance(happened, Activated):
        assert (after.current, after.next, after.retired[0], after.on_start) == (before.next, 0, before.current, False)
    elif before.current:
        assert after.current == before.current
    assert after.last >= before.last


def test_refusals_are_these() -> None:
    """Where there is no key, only a first one can be made; without a next one, nothing is activated; numbers are given once."""
    refused = {
        (state, event): outcome
        for state, event in product(STATES, EVENTS)
        if isinstance(outcome := step(STATES[state], EVENTS[event]), Refusal)
    }
    empty = {"none", "none, something found"}
    waiting = {"activated", "scheduled", "not scheduled"}
    without_next = {"current", "pending", "retired"}
    assert refused == {
        (state, event): Refusal.NO_IDENTITY
        for state in empty
        for event in set(EVENTS) - {"made", "found", "found nothing new"}
    } | {(state, event): Refusal.NO_NEXT for state in without_next for event in waiting}
    assert step(FULL, Requested(9)) is Refusal.NUMBER_USED


def test_a_displaced_next_is_laid_aside_and_its_twin_is_not() -> None:
    """Another next takes its place: the key is kept, unless the new one has the same."""
    state = State(current=1, next=2, last=2, on_start=True)
    assert step(state, Imported(3)) == State(current=1, next=3, aside=(2,), last=3)
    assert step(state, Imported(3, frozenset({2}))) == State(current=1, next=3, last=3)


def test_an_answered_request_is_pending_no_more_and_the_others_are() -> None:
    """A second request does not make the first one's certificate useless."""
    state = State(current=1, pending=(3, 2), last=3)
    assert step(state, Imported(4, frozenset({2}))) == State(current=1, next=4, pending=(3,), last=4)


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=30))
def test_no_history_leads_to_a_state_that_cannot_be_read(history: list[str]) -> None:
    """After any events, in any order, the state is sound, and every number that was given is still named or had a twin."""
    state, given_numbers = State(), set()
    twins: set[int] = set()
    for name in history:
        event = EVENTS[name]
        if isinstance(event, Made | Requested | Imported):
            number = state.last + 1
            known = frozenset(state.pending[-1:] + state.aside[-1:]) if isinstance(event, Imported) else frozenset()
            event = Imported(number, known) if isinstance(event, Imported) else type(event)(number)
            following = step(state, event)
            if not isinstance(following, Refusal):
                given_numbers.add(number)
                twins |= known
        else:
            following = step(state, event)
        if not isinstance(following, Refusal):
            state = following
        assert load(dump(state)) == state
        assert given_numbers - twins <= set(state.roles)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"current": "1"},
        {"current": True},
        {"current": -1},
        {"next": 3},
        {"pending": [3]},
        {"pending": 4},
        {"retired": [2, 2]},
        {"last": 4},
        {"last": "9"},
        {"on_start": 1},
        {"on_start": "yes"},
        {"next": 0},
        {"current": 0},
        {"unknown": 1},
        {"pending": [[6]]},
        {"aside": ["../../etc"]},
    ],
    ids=str,
)
def test_a_state_that_contradicts_itself_is_not_read(change: dict[str, object]) -> None:
    """Wrong kinds, two roles for one, numbers that were never given, another format: nothing is guessed."""
    fields = json.loads(dump(FULL)) | change
    with pytest.raises(ValueError, match=r"it is|a field|a number|a generation|nothing is|there is"):
        load(json.dumps(fields).encode())


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", dump(FULL)[:-20], b"[" * 2000])
def test_garbage_is_no_state(data: bytes) -> None:
    """Whatever else is in the file, it is refused as such."""
    with pytest.raises(ValueError, match="it is"):
        load(data)


def test_roles_are_those_of_the_state() -> None:
    """Each number has one role, and the order is current, next, then from the newest on."""
    assert list(FULL.roles.items()) == [
        (3, Role.CURRENT),
        (5, Role.NEXT),
        (6, Role.PENDING),
        (4, Role.PENDING),
        (2, Role.RETIRED),
        (1, Role.RETIRED),
        (7, Role.ASIDE),
    ]
