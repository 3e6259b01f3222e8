"""Grouping: nothing lost, nothing twice, one cause one message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notify.making import an_event
from troth.notify.events import Cause, Filed, Kind, Severity
from troth.notify.grouping import LISTED, Group, Window, groups

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WINDOW = Window(quiet=timedelta(seconds=60), longest=timedelta(minutes=10))


def waiting(*ages_s: float, **changes: object) -> list[Filed]:
    """Make events of these ages."""
    return [
        Filed(id=number + 1, event=an_event(number, at=NOW - timedelta(seconds=age), **changes))
        for number, age in enumerate(ages_s)
    ]


def ids(closed: list[Group]) -> list[tuple[int, ...]]:
    """Give the numbers in each message."""
    return [group.ids for group in closed]


def test_five_hundred_hosts_of_one_ca_are_one_message() -> None:
    """It counts all of them, and lists the first twenty."""
    closed, left = groups(waiting(*(400 - number / 2 for number in range(500))), NOW, WINDOW)
    assert left == []
    assert len(closed) == 1
    message = closed[0].message
    assert message.count == 500 == len(closed[0].ids)
    assert len(message.events) == LISTED
    assert [event.subject for event in message.events] == [f"host-{number}.example.com:443" for number in range(20)]
    assert message.cause.text == "certificates issued by CN=New CA"


def test_other_causes_and_other_kinds_are_other_messages() -> None:
    """Kind, cause, and the channel that must not carry it keep events apart; severity and domain do not."""
    events = [
        an_event(1),
        an_event(2, domain="system", severity=Severity.WARNING),
        an_event(3, cause=Cause(key="another")),
        an_event(4, kind=Kind.REVOKED),
        an_event(5, not_through="mail"),
    ]
    filed = [Filed(id=number, event=event) for number, event in enumerate(events)]
    closed, _ = groups(filed, events[-1].at + timedelta(hours=1), WINDOW)
    assert sorted(ids(closed)) == [(0, 1), (2,), (3,), (4,)]
    assert closed[ids(closed).index((0, 1))].message.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("ages", "closed", "left"),
    [
        ([61], [(1,)], []),
        ([60], [], [1]),
        ([90, 30], [], [1, 2]),
        ([200, 90], [(1,), (2,)], []),
        ([*(700 - 50 * step for step in range(13)), 20], [tuple(range(1, 14))], [14]),
    ],
)
def test_a_group_is_closed_when_it_is_quiet_or_old(
    ages: list[float], closed: list[tuple[int, ...]], left: list[int]
) -> None:
    """What is still coming is waited for, but not for ever."""
    found, rest = groups(waiting(*ages), NOW, WINDOW)
    assert ids(found) == closed
    assert [filed.id for filed in rest] == left


@given(
    st.lists(
        st.tuples(
            st.integers(-200, 3000), st.sampled_from(list(Kind)), st.sampled_from("abc"), st.sampled_from(["", "mail"])
        ),
        max_size=60,
    ),
    st.randoms(),
    st.lists(st.integers(1, 2000), min_size=1, max_size=6),
)
def test_nothing_is_lost_and_nothing_is_told_twice(  # type: ignore[no-untyped-def]
    found: list[tuple[int, Kind, str, str]], shuffle, pauses: list[int]
) -> None:
    """Whatever comes in whatever order, each event is in exactly one message or still waits; all are told in the end."""
    filed = [
        Filed(
            id=number,
            event=an_event(number, kind=kind, cause=Cause(key=key), not_through=but, at=NOW - timedelta(seconds=age)),
        )
        for number, (age, kind, key, but) in enumerate(found)
    ]
    shuffle.shuffle(filed)
    now, left = NOW, filed
    told: list[int] = []
    keys: list[str] = []
    by_id = {each.id: each.event for each in filed}
    for pause in [*pauses, 100_000, 0]:
        closed, left = groups(left, now, WINDOW)
        for group in closed:
            told += group.ids
            keys.append(group.message.key)
            assert group.message.count == len(group.ids)
            assert len({by_id[one].group_key for one in group.ids}) == 1
        assert sorted(told + [each.id for each in left]) == list(range(len(found)))
        now += timedelta(seconds=pause)
    assert left == []
    assert len(keys) == len(set(keys))


def test_the_key_is_of_the_events_alone() -> None:
    """Put together again at another time, the same events have the same key; others have another."""
    events = waiting(300, 290)
    first = groups(events, NOW, WINDOW)[0][0].message
    again = groups(list(reversed(events)), NOW + timedelta(days=1), WINDOW)[0][0].message
    other = groups(waiting(300, 291), NOW, WINDOW)[0][0].message
    assert first.key == again.key != other.key
