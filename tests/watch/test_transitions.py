"""The transitions, exhaustively, against a second reading of them; and as stories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from troth.model.fingerprint import Fingerprint
from troth.notify.events import Kind
from troth.watch.table import document_of, state_of
from troth.watch.transitions import DATES_KEPT, Notice, Outcome, Seen, WatchState, step

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A, B = Fingerprint.of(b"a"), Fingerprint.of(b"b")
ACCEPTING = ("match", "first-use", "renewed", "promoted", "unchecked")
REJECTING = ("changed", "revoked", "unapproved", "expired-by-policy", "invalid-chain")
NO_CERTIFICATE = ("unreachable", "cannot-check")
DAYS = (None, 100.0, 30.0, 29.9, 14.0, 10.0, 7.0, 1.0, 0.5, 0.0, -3.0)


def states() -> Iterator[WatchState]:
    """Every kind of state."""
    since = NOW - timedelta(hours=3)
    verdicts = [Outcome(each) for each in (*REJECTING, "cannot-check")]
    rejections = [(None, None), *itertools.product(verdicts, (A, B, None))]
    dates = ((), ((A, 30),), ((A, 7),), ((A, 0),), ((B, 7),), ((B, 1), (A, 14)))
    for (rejected, certificate), misses, told in itertools.product(rejections, range(5), dates):
        yield WatchState(
            rejected=rejected,
            rejected_with=certificate,
            rejected_since=since if rejected else None,
            misses=misses,
            missed_since=since if misses else None,
            told_dates=told,
        )


def looks() -> Iterator[tuple[Seen, float | None]]:
    """Every kind of look, with the days that are left."""
    for outcome in Outcome:
        if outcome in NO_CERTIFICATE:
            yield Seen(outcome=outcome, at=NOW), None
            continue
        for days in DAYS:
            end = None if days is None else NOW + timedelta(days=days)
            yield Seen(outcome=outcome, certificate=A, not_after=end, at=NOW), days


def expected(state: WatchState, outcome: str, certificate: Fingerprint | None, days: float | None) -> set[str]:
    """A second reading: which kinds are to be told."""
    if outcome == "unreachable":
        return {"unreachable"} if state.misses == 1 else set()
    told = {"reachable"} if outcome != "cannot-check" and state.misses >= 2 else set()
    if outcome not in ACCEPTING:
        before = (state.rejected.value if state.rejected else None, state.rejected_with)
        return told | ({outcome} if before != (outcome, certificate) else set())
    if state.rejected:
        told.add("recovered")
    if outcome in ("first-use", "renewed", "promoted"):
        told.add(outcome)
    nearest = [each for each in (30, 14, 7, 1, 0) if days is not None and days <= each]
    already = [level for fingerprint, level in state.told_dates if fingerprint == certificate]
    if nearest and (not already or min(nearest) < already[0]):
        told.add("expiring")
    return told


def test_every_state_and_every_look_have_an_answer_and_it_is_the_right_one() -> None:
    """Total, and the same as the second reading, for tens of thousands of pairs."""
    count = 0
    for state, (seen, days) in itertools.product(states(), looks()):
        after, notices = step(state, seen)
        outcome = seen.outcome.value
        assert {each.kind.value for each in notices} == expected(state, outcome, seen.certificate, days), (state, seen)
        assert len(notices) == len({each.kind for each in notices})
        if outcome == "unreachable":
            assert after == replace(state, misses=state.misses + 1, missed_since=state.missed_since or NOW)
        elif outcome != "cannot-check":
            assert (after.misses, after.missed_since) == (0, None)
        if outcome in ACCEPTING:
            assert (after.rejected, after.rejected_with, after.rejected_since) == (None, None, None)
        elif outcome != "unreachable":
            assert (after.rejected, after.rejected_with) == (seen.outcome, seen.certificate)
            assert after.rejected_since == (state.rejected_since or NOW)
            assert after.told_dates == state.told_dates, "the dates of what is not trusted do not matter"
        count += 1
    assert count > 50_000


def test_the_same_look_twice_tells_nothing_twice() -> None:
    """What was told is not told again by the same look; a miss is told at the second, and never again."""
    for state, (seen, _) in itertools.product(states(), looks()):
        if seen.outcome in (Outcome.FIRST_USE, Outcome.RENEWED, Outcome.PROMOTED):
            continue  # the store says these once
        after, _ = step(state, seen)
        if seen.outcome is Outcome.UNREACHABLE:
            after, _ = step(after, seen)
        assert step(after, seen)[1] == ()


def test_a_state_is_kept_whole_in_the_database() -> None:
    """Every state is the same after it was written and read."""
    for state in states():
        assert state_of(document_of(state)) == state
    assert state_of({}) == WatchState()


def story(*looks: tuple[str, float]) -> list[tuple[str, float | None]]:
    """Play looks (outcome, hours); give what was told, with how many hours it lasted."""
    state, told = WatchState(), []
    for outcome, hours in looks:
        at = NOW + timedelta(hours=hours)
        certificate = None if outcome in NO_CERTIFICATE else A
        state, notices = step(state, Seen(outcome=Outcome(outcome), certificate=certificate, at=at))
        told += [
            (each.kind.value, None if each.lasted is None else each.lasted / timedelta(hours=1)) for each in notices
        ]
    return told


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([("match", 0), ("unreachable", 1), ("match", 2), ("unreachable", 3), ("match", 4)], []),
        ([("unreachable", 0), ("unreachable", 1), ("unreachable", 2), ("match", 6)], [("unreachable", None), ("reachable", 6)]),
        ([("changed", 0), ("changed", 1), ("match", 5)], [("changed", None), ("recovered", 5)]),
        ([("changed", 0), ("revoked", 2), ("match", 5)], [("changed", None), ("revoked", None), ("recovered", 5)]),
        (
            [("changed", 0), ("unreachable", 1), ("unreachable", 2), ("changed", 3), ("promoted", 4)],
            [("changed", None), ("unreachable", None), ("reachable", 2), ("recovered", 4), ("promoted", None)],
        ),
        ([("unapproved", 0), ("unapproved", 1), ("match", 2)], [("unapproved", None), ("recovered", 2)]),
        ([("cannot-check", 0), ("cannot-check", 1), ("match", 2)], [("cannot-check", None), ("recovered", 2)]),
    ],
)  # fmt: skip
def test_stories(looks: list[tuple[str, float]], told: list[tuple[str, float | None]]) -> None:
    """Flapping is no news, a rejection outlives an outage, and recoveries say how long it took."""
    assert story(*looks) == told


def test_each_threshold_is_told_once_and_a_late_comer_hears_the_nearest() -> None:
    """30, 14, 7, 1 and 0 days, once each, looking every day; and not 30 and 14 if the first look is at 5 days."""

    def told(days: range) -> list[int | None]:
        state, found = WatchState(), []
        for left in days:
            seen = Seen(outcome=Outcome.MATCH, certificate=A, not_after=NOW, at=NOW - timedelta(days=left))
            state, notices = step(state, seen)
            found += [each.threshold_days for each in notices]
        return found

    assert told(range(60, -5, -1)) == [30, 14, 7, 1, 0]
    assert told(range(5, -1, -1)) == [7, 1, 0]


def test_two_members_behind_one_name_do_not_repeat_their_dates() -> None:
    """Certificates that are shown in turn are told once each; the memory is bounded."""
    state, count = WatchState(), 0
    members = [Fingerprint.of(bytes([number])) for number in range(DATES_KEPT)]
    for _ in range(5):
        for member in members:
            end = NOW + timedelta(days=5)
            state, notices = step(state, Seen(outcome=Outcome.MATCH, certificate=member, not_after=end, at=NOW))
            count += len(notices)
    assert count == DATES_KEPT == len(state.told_dates)
    state, _ = step(state, Seen(outcome=Outcome.MATCH, certificate=A, not_after=NOW, at=NOW))
    assert len(state.told_dates) == DATES_KEPT


def test_a_clock_that_was_set_back_gives_no_negative_length() -> None:
    """How long something lasted is never less than nothing."""
    state, _ = step(WatchState(), Seen(outcome=Outcome.CHANGED, certificate=A, at=NOW))
    _, notices = step(state, Seen(outcome=Outcome.MATCH, certificate=B, at=NOW - timedelta(days=1)))
    assert notices == (Notice(kind=Kind.RECOVERED, lasted=timedelta(), after=Outcome.CHANGED),)
