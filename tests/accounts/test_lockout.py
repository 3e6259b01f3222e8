"""Lock-out: guessers wait, and nobody can make somebody else wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.accounts.lockout import (
    ACCOUNT,
    PAIR,
    SOURCE,
    Rule,
    Tally,
    counted,
    judge,
    pause,
    remaining,
    source_of,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = st.sampled_from([PAIR, SOURCE, ACCOUNT])
FAILURES = st.integers(0, 1 << 20)
MOMENTS = st.integers(-(10**6), 10**6).map(lambda seconds: START + timedelta(seconds=seconds))
TALLIES = st.builds(Tally, FAILURES, MOMENTS)


@given(
    account=TALLIES, source=st.builds(Tally, st.integers(0, SOURCE.free), MOMENTS), now=MOMENTS, familiar=st.booleans()
)
def test_what_others_do_refuses_nobody(account: Tally, source: Tally, now: datetime, familiar: bool) -> None:
    """Whatever was guessed at an account from elsewhere: its owner is not refused, and waits four seconds at most."""
    answer = judge(pair=Tally(), source=source, account=account, familiar=familiar, now=now)
    assert not answer.refused
    assert answer.delay <= timedelta(seconds=4)
    assert not (familiar and answer.delay)


@given(pair=st.builds(Tally, st.integers(0, PAIR.free), MOMENTS), source=TALLIES, account=TALLIES, now=MOMENTS)
def test_a_familiar_source_is_not_refused_for_other_accounts(
    pair: Tally, source: Tally, account: Tally, now: datetime
) -> None:
    """Where the account was entered before, only its own failures there count."""
    assert judge(pair=pair, source=source, account=account, familiar=True, now=now).wait == timedelta()


@given(rule=RULES, failures=FAILURES)
def test_more_failures_never_wait_less(rule: Rule, failures: int) -> None:
    """A pause grows with the failures, up to its limit."""
    here, there = pause(Tally(failures, START), rule), pause(Tally(failures + 1, START), rule)
    assert timedelta() <= here <= there <= rule.most
    assert (here == timedelta()) == (failures <= rule.free)


@given(rule=RULES, tally=TALLIES, now=MOMENTS)
def test_every_wait_ends_by_itself(rule: Rule, tally: Tally, now: datetime) -> None:
    """No wait is longer than its limit, a clock that was set back does not change that, and after it the way is free."""
    wait = remaining(tally, rule, now)
    assert wait <= rule.most
    assert tally.last is not None
    after = max(now, tally.last) + pause(tally, rule)
    assert remaining(tally, rule, after) == timedelta()


@given(steps=st.lists(st.integers(0, 4000), max_size=200))
def test_a_greedy_guesser_gets_few_attempts(steps: list[int]) -> None:
    """Whenever attempts are made, a pair makes no more in a day than its free ones and those that the pauses leave."""
    tally, now, made = Tally(), START, 0
    for step in steps:
        now += timedelta(seconds=step)
        if now - START >= timedelta(hours=24):
            break
        if judge(pair=tally, source=Tally(), account=Tally(), familiar=True, now=now).refused:
            continue
        tally, made = counted(tally, PAIR, now), made + 1
    # 5 free, 8 while the pause doubles from 5 s to 15 min, then one each quarter of an hour.
    assert made <= 5 + 8 + 24 * 4


def test_the_pauses_of_a_pair() -> None:
    """Five failures are free; then the pause doubles to a quarter of an hour."""
    seconds = [pause(Tally(failures, START), PAIR).total_seconds() for failures in range(16)]
    assert seconds == [0, 0, 0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_failures_are_forgotten_after_their_time() -> None:
    """What is long past does not count, and the next failure is a first one."""
    old = Tally(1000, START)
    then = START + PAIR.forget
    assert remaining(old, PAIR, then) == timedelta()
    assert counted(old, PAIR, then) == Tally(1, then)
    assert counted(old, PAIR, then - timedelta(seconds=1)).failures == 1001


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("localhost", "unknown"),
        ("192.0.2.7, 192.0.2.8", "unknown"),
        ("010.0.0.1", "unknown"),
    ],
)
def test_what_counts_as_one_source(address: str, source: str) -> None:
    """A customer's whole IPv6 network is one source, and so is everything that is no address."""
    assert source_of(address) == source
