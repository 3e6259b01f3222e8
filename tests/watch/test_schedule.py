"""The schedule: spread, jitter, back-off, limits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from troth.model.endpoint import Endpoint
from troth.watch.schedule import Gate, Limits, Rhythm, first_time, interval, next_time
from troth.watch.transitions import Outcome, WatchState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RHYTHM = Rhythm()
HOSTS = [Endpoint(f"h{number}.example.com", 443) for number in range(2400)]


def test_endpoints_are_spread_evenly_over_the_interval() -> None:
    """A fleet is not looked at all at once: each hour of six has its share."""
    hours = Counter((first_time(each, NOW, RHYTHM) - NOW) // timedelta(hours=1) for each in HOSTS)
    assert set(hours) == set(range(6))
    assert all(300 < count < 500 for count in hours.values())


def test_the_same_endpoint_has_the_same_place_and_others_have_others() -> None:
    """The place depends on host, port and protocol alone."""
    others = (Endpoint("h1.example.com", 8443), Endpoint("h1.example.com", 443, "smtp"))
    assert len({first_time(each, NOW, RHYTHM) for each in (*HOSTS, *others)}) == len(HOSTS) + 2
    assert first_time(HOSTS[0], NOW, RHYTHM) == first_time(HOSTS[0], NOW, RHYTHM)


@given(st.integers(0, 10_000), st.sampled_from([None, Outcome.CHANGED]), st.sampled_from(HOSTS[:50]))
def test_the_next_time_is_within_jitter_of_the_interval(
    misses: int, rejected: Outcome | None, endpoint: Endpoint
) -> None:
    """Never sooner than the interval less a tenth, never later than it and a tenth; never beyond the longest."""
    state = WatchState(misses=misses, rejected=rejected)
    pause = next_time(endpoint, state, NOW, RHYTHM) - NOW
    base = interval(state, RHYTHM)
    assert base * 0.9 <= pause <= base * 1.1
    assert timedelta(0) < base <= RHYTHM.longest


def test_unreachable_endpoints_are_confirmed_soon_and_then_left_alone_longer_and_longer() -> None:
    """2 min, then doubling up to a day; a rejection is looked at each half hour."""
    pauses = [interval(WatchState(misses=misses), RHYTHM) / timedelta(minutes=1) for misses in range(14)]
    assert pauses[:5] == [360, 2, 4, 8, 16]
    assert pauses[-1] == 1440
    assert pauses[1:] == sorted(pauses[1:])
    assert interval(WatchState(rejected=Outcome.CHANGED), RHYTHM) == timedelta(minutes=30)
    quick, minute = Rhythm(every=timedelta(minutes=1)), timedelta(minutes=1)
    assert interval(WatchState(misses=1), quick) == minute
    assert interval(WatchState(rejected=Outcome.CHANGED), quick) == minute


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 900)), max_size=120),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_limits_hold_whatever_comes(asked: list[tuple[int, int]], overall: int, per_network: int, starts: int) -> None:
    """At most so many at once, overall and in a network; and so many begin in a network in any second."""
    gate = Gate(Limits(overall=overall, per_network=per_network, starts=starts))
    now = NOW
    running: list[str] = []
    begun: list[tuple[str, datetime]] = []
    for number, wait_ms in asked:
        now += timedelta(milliseconds=wait_ms)
        network = f"net-{number}"
        if gate.wait(network, now) == timedelta():
            gate.begin(network, now)
            running.append(network)
            begun.append((network, now))
        elif running:
            gate.end(running.pop(0))
        assert gate.running == len(running) <= overall
        assert max(Counter(running).values(), default=0) <= per_network
    for network, at in begun:
        second = [
            other for name, other in begun if name == network and timedelta() <= at - other < timedelta(seconds=1)
        ]
        assert len(second) <= starts


def test_a_gate_says_how_long_to_wait_and_forgets_networks_that_are_over() -> None:
    """The wait is exact, and the memory is bounded."""
    gate = Gate(Limits(overall=4, per_network=4, starts=1))
    gate.begin("a", NOW)
    assert gate.wait("a", NOW + timedelta(milliseconds=400)) == timedelta(milliseconds=600)
    assert gate.wait("b", NOW) == timedelta()
    for number in range(5000):
        at = NOW + timedelta(seconds=number + 1)
        assert gate.wait(f"n{number}", at) == timedelta()
        gate.begin(f"n{number}", at)
        gate.end(f"n{number}")
    assert len(gate._begun) <= 4 * 256 + 1
