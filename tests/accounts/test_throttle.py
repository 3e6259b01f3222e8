"""The token bucket: nobody gets more than their share, and memory stays bounded, whatever the keys are."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.accounts.throttle import Throttle
from troth.errors import TooManyAttempts


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


CALLS = st.lists(st.tuples(st.integers(0, 12).map(str), st.floats(0, 5)), max_size=300)


@given(calls=CALLS, rate=st.sampled_from([0.5, 1.0, 3.0]), burst=st.integers(1, 5), room=st.integers(1, 8))
def test_nobody_gets_more_than_their_share(calls: list[tuple[str, float]], rate: float, burst: int, room: int) -> None:
    """In every stretch of time each key gets at most its burst and its rate, also when keys push others out."""
    clock = Clock()
    throttle = Throttle(rate=rate, burst=burst, room=room, clock=clock)
    let_through: dict[str, list[float]] = {}
    for key, step in calls:
        clock.now += step
        if throttle.wait(key) == 0.0:
            let_through.setdefault(key, []).append(clock.now)
        assert len(throttle) <= room
    for times in let_through.values():
        for start in range(len(times)):
            for end in range(start, len(times)):
                assert end - start + 1 <= burst + rate * (times[end] - times[start]) + 1e-6


@given(calls=CALLS)
def test_whoever_waits_as_told_gets_through(calls: list[tuple[str, float]]) -> None:
    """The wait that is given is enough, if nobody else uses the bucket meanwhile."""
    clock = Clock()
    throttle = Throttle(rate=0.7, burst=2, room=100, clock=clock)
    for key, step in calls:
        clock.now += step
        wait = throttle.wait(key)
        if wait:
            clock.now += wait
            assert throttle.wait(key) == 0.0


def test_a_flood_of_keys_neither_grows_nor_helps() -> None:
    """A million names fill no memory, and whoever has used up a bucket does not get a fresh one by flooding."""
    clock = Clock()
    throttle = Throttle(rate=0.001, burst=1, room=50, clock=clock)
    assert throttle.wait("attacker") == 0.0
    assert sum(throttle.wait(f"flood-{each}") == 0.0 for each in range(100_000)) <= 50
    assert len(throttle) == 50
    assert throttle.wait("attacker") > 0


def test_buckets_that_are_full_again_make_room() -> None:
    """After the flood strangers have buckets of their own again."""
    clock = Clock()
    throttle = Throttle(rate=1, burst=2, room=10, clock=clock)
    for each in range(100):
        throttle.wait(str(each))
    clock.now += 3
    assert throttle.wait("stranger") == 0.0
    assert len(throttle) == 1


def test_a_clock_that_runs_backwards_gives_nothing() -> None:
    """Time that is taken back does not fill a bucket."""
    clock = Clock()
    throttle = Throttle(rate=1, burst=1, clock=clock)
    throttle.take("a")
    clock.now -= 100
    with pytest.raises(TooManyAttempts) as caught:
        throttle.take("a")
    assert caught.value.details["retry_after"] == 1


def test_threads_share_one_bucket() -> None:
    """Of many calls at the same moment exactly the burst gets through."""
    throttle = Throttle(rate=0.001, burst=7, clock=Clock())
    gate, through = threading.Barrier(16), []

    def call() -> None:
        gate.wait()
        for _ in range(50):
            if throttle.wait("one") == 0.0:
                through.append(1)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(through) == 7


@pytest.mark.parametrize("bad", [{"rate": 0, "burst": 1}, {"rate": 1, "burst": 0}, {"rate": float("nan"), "burst": 1}])
def test_a_throttle_that_lets_all_or_nothing_through_is_not_made(bad: dict[str, float]) -> None:
    """Mistakes in the settings are seen at once."""
    with pytest.raises(ValueError, match="positive"):
        Throttle(**bad)  # type: ignore[arg-type]
