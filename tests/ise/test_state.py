"""The state of a server: every outcome against every state, and whole stories."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from troth import errors
from troth.errors import TrothError
from troth.ise.models import TRANSIENT, UNTRUSTED, Condition, State
from troth.ise.state import (
    DEFAULT_INTERVAL_S,
    LONGEST_S,
    EventKind,
    Poll,
    advise,
    classify,
    is_due,
    poll_of,
    step,
)
from troth.model.endpoint import Endpoint

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLACE = Endpoint("ise.example.com", 443)
FAILURES = (0, 1, 2, 5, 40, 1_000_000)
STATES = [
    State(condition=condition, since=since, polled_at=since, due_at=since, failures=failures, announced=announced)
    for condition, failures, announced, since in itertools.product(
        Condition, FAILURES, (None, *Condition), (None, NOW - timedelta(hours=1))
    )
]


@pytest.mark.parametrize("found", Condition)
def test_every_outcome_against_every_state(found: Condition) -> None:
    """The function is total, and what must always hold always holds."""
    for before, retry, jitter in itertools.product(STATES, (0.0, 30.0, 3600.0), (0.9, 1.0, 1.1)):
        poll = Poll(condition=found, at=NOW, why="because", retry_after_s=retry)
        after, told = step(before, poll, PLACE, jitter=jitter)
        if found is Condition.UNKNOWN:
            assert (after, told) == (before, ())
            continue
        assert after.condition is found
        assert after.polled_at == NOW
        assert after.since is not None
        assert after.since <= NOW
        assert after.since == NOW or before.condition is found
        assert after.due_at is not None
        wait = (after.due_at - NOW).total_seconds()
        assert wait + 1e-6 >= DEFAULT_INTERVAL_S * 0.9
        assert wait <= LONGEST_S
        assert is_due(after, after.due_at)
        assert not is_due(after, after.due_at - timedelta(microseconds=1))
        assert len(told) <= 1
        if found is Condition.REACHABLE:
            assert (after.failures, after.announced, after.next_step) == (0, None, "")
            assert [each.kind for each in told] == (
                [EventKind.REGAINED] if before.announced else
                [EventKind.ANSWERS] if before.condition is Condition.UNKNOWN else []
            )  # fmt: skip
        else:
            assert after.failures >= 1
            assert after.next_step
            assert all(each.kind is EventKind.TROUBLE and each.next_step for each in told)
            assert (after.announced is found and before.announced is not found) or not told
        if found in TRANSIENT:
            assert wait >= retry * 0.9 - 1e-6
        if found is Condition.CREDENTIALS_REFUSED:
            assert wait >= 3600 * 0.9 - 1e-6
            assert after.announced is found
        again, told_again = step(after, poll, PLACE)
        if found not in TRANSIENT or after.announced in TRANSIENT:
            assert told_again == (), "the same is told twice"
        assert again.since == after.since


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_has_its_next_step(condition: Condition) -> None:
    """Each says what to do, naming the server; the one that is well needs nothing."""
    text = advise(condition, PLACE)
    assert (text == "") == (condition is Condition.REACHABLE)
    assert condition is Condition.REACHABLE or str(PLACE) in text


def story(*found: Condition) -> list[str]:
    """Tell what is told while these are found, one after the other."""
    state, told = State(), []
    for minute, each in enumerate(found):
        state, events = step(state, Poll(condition=each, at=NOW + timedelta(minutes=minute)), PLACE)
        told.append(" ".join(event.kind.value for event in events))
    return told


R, U, B, N = Condition.REACHABLE, Condition.UNREACHABLE, Condition.BUSY, Condition.NOT_UNDERSTOOD
C, P, G = Condition.CHANGED, Condition.CREDENTIALS_REFUSED, Condition.WRONG_GROUP


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((R, R, R), ["answers", "", ""]),
        ((R, U, R, U, R), ["answers", "", "", "", ""]),
        ((R, U, U, U, R), ["answers", "", "trouble", "", "regained"]),
        ((R, U, B, N, U, R), ["answers", "", "trouble", "", "", "regained"]),
        ((R, C, C, C, R), ["answers", "trouble", "", "", "regained"]),
        ((R, C, U, C, U, R), ["answers", "trouble", "", "", "", "regained"]),
        ((R, C, U, U, C, R), ["answers", "trouble", "", "trouble", "trouble", "regained"]),
        ((P, P, G, R), ["trouble", "", "trouble", "regained"]),
        ((U, U, R, R), ["", "trouble", "regained", ""]),
        ((U, R), ["", ""]),
    ],
)
def test_stories(found: tuple[Condition, ...], told: list[str]) -> None:
    """A blink is not told, a trouble once, and its end if the trouble was told."""
    assert story(*found) == told


def test_waits_double_and_end() -> None:
    """Passing trouble is waited for longer each time, wrong credentials very much longer."""
    for found, first, most in ((U, 60, 900), (C, 60, 300), (P, 3600, 86_400), (G, 60, 900)):
        state, waits = State(), []
        for _ in range(12):
            state, _told = step(state, Poll(condition=found, at=NOW), PLACE)
            assert state.due_at is not None
            waits.append((state.due_at - NOW).total_seconds())
        assert waits[:2] == [first, min(2 * first, most)]
        assert waits == sorted(waits)
        assert waits[-1] == most


def test_credentials_are_not_tried_often_enough_to_lock_a_user() -> None:
    """Three wrong passwords within hours: ISE's lock-out counts more than that in minutes only."""
    state, at, tries = State(), NOW, []
    while at < NOW + timedelta(days=1):
        if is_due(state, at):
            tries.append(at)
            state, _ = step(state, Poll(condition=P, at=at), PLACE)
        at += timedelta(minutes=1)
    assert len(tries) <= 6
    assert all(later - earlier >= timedelta(hours=1) for earlier, later in itertools.pairwise(tries))


def test_a_clock_that_was_wrong_does_not_silence_a_server() -> None:
    """A due time that no poll can have set counts for nothing."""
    assert is_due(State(due_at=NOW + timedelta(days=400)), NOW)
    assert not is_due(State(due_at=NOW + timedelta(hours=20)), NOW)
    assert is_due(State(), NOW)


def every_error() -> list[type[TrothError]]:
    """Give every error class."""
    return [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_failures_become_conditions(kind: type[TrothError]) -> None:
    """Each failure of a connection says how it stands; a failure of ours says nothing about the server."""
    condition = classify(kind("it failed"))
    assert condition is not Condition.UNKNOWN
    assert condition is not Condition.REACHABLE
    if issubclass(kind, errors.CertificateRejected):
        assert condition in UNTRUSTED
    if issubclass(kind, errors.StoreUnusable):
        assert condition is None
    if issubclass(kind, errors.Unreachable):
        assert condition in TRANSIENT


def test_polls_of_failures_are_bounded_and_printable() -> None:
    """What is kept of a failure is a sentence, and the command where the failure knows it best."""
    poll = poll_of(errors.CertificateChanged("x" * 900, why="\x1b[31m", next_command="troth replace h"), NOW)
    assert poll is not None
    assert len(poll.why) <= 500
    assert poll.next_step == "troth replace h"
    busy = poll_of(errors.IseBusy("b", why="\x1b", details={"retry_after_s": 20}), NOW)
    assert busy is not None
    assert (busy.retry_after_s, busy.why, busy.next_step) == (20.0, "b (\\x1b)", "")
    assert poll_of(errors.StoreUnusable("gone"), NOW) is None
