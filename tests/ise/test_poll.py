"""Polling two simulated servers with a real database and a real trust store; only the clock is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.ise.conftest import PASSWORD, USER, Hands, Start, place
from tests.simulators.ise import IseSimulator, answered, login_page
from troth import manage
from troth.errors import StoreUnusable
from troth.ise.models import Condition, Counts, Credentials, Role
from troth.ise.poll import STANDBY_EVERY_S, Poller, Round
from troth.ise.servers import Servers
from troth.ise.state import Event, EventKind
from troth.model.entry import PinState
from troth.store.sqlite import SqliteStore

HERE = Credentials(USER, PASSWORD)


class Pair:
    """Two servers on record, and a poller."""

    def __init__(
        self, servers: Servers, store: SqliteStore, clock: Hands, primary: IseSimulator, standby: IseSimulator
    ):
        self.servers, self.store, self.clock, self.primary, self.standby = servers, store, clock, primary, standby
        self.told: list[Event] = []
        self.poller = self.another()
        servers.put(place(primary), HERE, timeout_s=20)
        servers.put(place(standby), HERE, timeout_s=20)

    def another(self) -> Poller:
        """Make a poller that knows nothing but what is on record."""
        return Poller(self.servers, self.store, tell=self.told.append, clock=self.clock, random=lambda: 0.5)

    def round(self, *, after_s: float = 0.0) -> Round:
        """Let time pass, and do one round."""
        self.clock.go(after_s)
        return asyncio.run(self.poller.round())

    def conditions(self) -> list[Condition]:
        """Read how it stands with the primary, and the standby."""
        return [each.state.condition for each in self.servers.all()]

    def kinds(self) -> list[EventKind]:
        """Take what was told."""
        found, self.told[:] = [each.kind for each in self.told], []
        return found


@pytest.fixture
def pair(servers: Servers, store: SqliteStore, clock: Hands, start: Start) -> Pair:
    """A primary and a standby."""
    return Pair(servers, store, clock, start("ise-1"), start("ise-2"))


def test_the_primary_is_asked_and_the_standby_looked_at_now_and_then(pair: Pair) -> None:
    """While the primary answers, the standby is asked once an hour: its certificate and its user are known to be good."""
    first = pair.round()
    assert first.answering is not None
    assert first.answering.role is Role.PRIMARY
    assert first.answering.findings.counts == Counts(active=2, posture=0, profiler=2)
    assert first.pause_s == pytest.approx(60)
    assert pair.conditions() == [Condition.REACHABLE, Condition.REACHABLE]
    assert pair.kinds() == [EventKind.ANSWERS, EventKind.ANSWERS]
    asked = len(pair.standby.requests)
    for _ in range(5):
        pair.round(after_s=61)
    assert len(pair.standby.requests) == asked
    pair.round(after_s=STANDBY_EVERY_S)
    assert len(pair.standby.requests) > asked
    assert pair.kinds() == []


def test_a_server_that_is_not_due_is_left_alone(pair: Pair) -> None:
    """A round that comes early asks nobody, and still knows who answers."""
    pair.round()
    asked = len(pair.primary.requests)
    early = pair.round(after_s=10)
    assert len(pair.primary.requests) == asked
    assert early.answering is not None
    assert early.pause_s == pytest.approx(50)


def test_the_standby_takes_over_and_hands_back(pair: Pair) -> None:
    """In the same round in which the primary fails; and the primary is asked again, less and less often."""
    pair.round()
    pair.kinds()
    pair.primary.faults["*"] = answered(503, b"", "text/html")
    over = pair.round(after_s=61)
    assert over.answering is not None
    assert over.answering.role is Role.STANDBY
    assert over.answering.findings.at == pair.clock()
    assert pair.kinds() == [EventKind.TOOK_OVER]
    assert pair.conditions() == [Condition.BUSY, Condition.REACHABLE]
    pair.round(after_s=61)
    assert pair.kinds() == [EventKind.TROUBLE]
    asked = len(pair.primary.requests)
    pair.round(after_s=61)
    assert len(pair.primary.requests) == asked, "it waits twice as long"
    pair.primary.faults.clear()
    back = pair.round(after_s=61)
    assert back.answering is not None
    assert back.answering.role is Role.PRIMARY
    assert pair.kinds() == [EventKind.REGAINED, EventKind.HANDED_BACK]


FAULTS: dict[str, tuple[Callable[[IseSimulator], object], Condition]] = {
    "credentials": (lambda ise: ise.add_user(USER, "another", "MnT Admin"), Condition.CREDENTIALS_REFUSED),
    "group": (lambda ise: ise.add_user(USER, PASSWORD, "Helpdesk Admin"), Condition.WRONG_GROUP),
    "no monitoring": (lambda ise: setattr(ise, "monitoring", False), Condition.NOT_MONITORING),
    "says that it is none": (lambda ise: setattr(ise, "node_type", 3), Condition.NOT_MONITORING),
    "log-in page": (lambda ise: ise.faults.update({"*": login_page()}), Condition.NOT_UNDERSTOOD),
    "certificate": (lambda ise: ise.new_certificate(), Condition.CHANGED),
    "gone": (lambda ise: ise.close(), Condition.UNREACHABLE),
}


@pytest.mark.parametrize(("change", "condition"), FAULTS.values(), ids=FAULTS.keys())
def test_each_state_with_its_next_step(
    pair: Pair, change: Callable[[IseSimulator], object], condition: Condition
) -> None:
    """Whatever is wrong with the primary, it is said, with what to do, and the standby answers."""
    pair.round()
    change(pair.primary)
    done = pair.round(after_s=61)
    primary = pair.servers.get("primary")
    assert primary.state.condition is condition
    assert primary.state.why
    assert primary.state.next_step
    assert primary.findings.counts.active == 2, "what it said last is kept"
    assert done.answering is not None
    assert done.answering.role is Role.STANDBY


def test_a_changed_certificate_costs_no_credentials_and_the_way_back(pair: Pair) -> None:
    """Zero bytes to the impostor over many polls; after the replacement the server is regained."""
    pair.round()
    since = len(pair.primary.visits)
    view = pair.primary.new_certificate()
    for _ in range(4):
        pair.round(after_s=301)
    assert len(pair.primary.visits) > since
    for visit in pair.primary.visits[since:]:
        assert visit.over.wait(30)
        assert visit.plain == b""
    step = pair.servers.get("primary").state.next_step
    assert "troth replace" in step
    entry = pair.store.entry(place(pair.primary))
    assert entry is not None
    manage.replace(pair.store, entry, view, view.fingerprint)
    pair.kinds()
    pair.round(after_s=301)
    assert pair.kinds() == [EventKind.REGAINED, EventKind.HANDED_BACK]


def test_wrong_credentials_are_not_tried_again_soon(pair: Pair) -> None:
    """Not by this poller, not by the next one after a restart; new credentials are tried at once."""
    pair.primary.add_user(USER, "changed on ISE", "MnT Admin")
    pair.round()
    tried = len(pair.primary.requests)
    for _ in range(20):
        pair.round(after_s=61)
    pair.poller = pair.another()
    pair.round(after_s=61)
    assert len(pair.primary.requests) == tried
    pair.servers.put(place(pair.primary), Credentials(USER, "changed on ISE"))
    pair.round(after_s=1)
    assert pair.conditions()[0] is Condition.REACHABLE


def test_a_password_that_cannot_be_opened_is_that_servers_trouble(pair: Pair, database: object) -> None:
    """The record of one was damaged: it is said, and the other is asked."""
    with pair.servers._database.transaction() as connection:
        connection.execute("UPDATE ise_server SET password = '\\x00' WHERE role = 'primary'")
    done = pair.round()
    assert pair.conditions() == [Condition.CREDENTIALS_REFUSED, Condition.REACHABLE]
    assert "cannot be opened" in pair.servers.get("primary").state.why
    assert done.answering is not None


def test_neither_answers(pair: Pair) -> None:
    """Then nobody answers, both are tried again, and each is told."""
    pair.round()
    pair.kinds()
    pair.primary.close()
    pair.standby.close()
    assert pair.round(after_s=STANDBY_EVERY_S).answering is None
    assert pair.round(after_s=61).answering is None
    assert pair.kinds() == [EventKind.TROUBLE, EventKind.TROUBLE]


def test_a_store_that_cannot_be_read_asks_nobody(pair: Pair) -> None:
    """Without the trust store there is no poll, and nothing about the servers is believed."""
    pair.round()
    asked = len(pair.primary.requests), len(pair.standby.requests)
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(pair.store.path)) as vandal:
        vandal.executescript("PRAGMA foreign_keys = off; DROP TABLE entry;")
    with pytest.raises(StoreUnusable):
        pair.round(after_s=STANDBY_EVERY_S)
    assert (len(pair.primary.requests), len(pair.standby.requests)) == asked
    assert pair.conditions() == [Condition.REACHABLE, Condition.REACHABLE]


def test_a_coming_rotation_is_announced_once(pair: Pair) -> None:
    """The first poll of an hour looks at the certificates; the rotation itself is no trouble then."""
    coming = pair.primary.prepare()
    view = pair.primary.bind(coming)
    pair.round()
    assert pair.kinds() == [EventKind.ANSWERS, EventKind.NEXT_ANNOUNCED, EventKind.ANSWERS]
    entry = pair.store.entry(place(pair.primary))
    assert entry is not None
    assert [pin.fingerprint for pin in entry.having(PinState.NEXT)] == [view.fingerprint]
    pair.primary.present(coming)
    pair.round(after_s=61)
    assert pair.conditions()[0] is Condition.REACHABLE
    assert pair.kinds() == []


def test_no_open_api_is_no_trouble(pair: Pair) -> None:
    """Older servers have none, and most users may not read it."""
    pair.primary.open_api = False
    pair.round()
    assert pair.conditions() == [Condition.REACHABLE, Condition.REACHABLE]
    assert EventKind.TROUBLE not in pair.kinds()


def test_running_waits_with_jitter_and_goes_on_after_a_failure(pair: Pair) -> None:
    """Waits differ, stay near the interval, and a round that could not be done is followed by another."""
    waits: list[float] = []
    numbers = iter([0.0, 0.25, 0.5, 0.75] * 100)

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        pair.clock.go(seconds)
        if len(waits) == 2:
            pair.servers._database.transaction = broken  # type: ignore[method-assign]
        if len(waits) == 3:
            pair.servers._database.transaction = works  # type: ignore[method-assign]
        if len(waits) == 8:
            raise Enough

    works = pair.servers._database.transaction

    def broken() -> object:
        raise StoreUnusable("the database went away")

    poller = Poller(pair.servers, pair.store, clock=pair.clock, random=lambda: next(numbers), sleep=sleep)
    with pytest.raises(Enough):
        asyncio.run(poller.run())
    assert all(54 <= each <= 66 for each in waits), waits
    assert len(set(waits)) > 2
    assert pair.conditions()[0] is Condition.REACHABLE


def test_a_single_server_and_none(servers: Servers, store: SqliteStore, clock: Hands, ise: IseSimulator) -> None:
    """No standby, no take-over; and with no server a round does nothing."""
    poller = Poller(servers, store, clock=clock, random=lambda: 0.5)
    nothing = asyncio.run(poller.round())
    assert (nothing.answering, nothing.servers, nothing.events) == (None, (), ())
    servers.put(place(ise), HERE)
    assert asyncio.run(poller.round()).answering is not None
    ise.monitoring = False
    clock.go(61)
    done = asyncio.run(poller.round())
    assert done.answering is None
    assert [each.kind for each in done.events] == [EventKind.TROUBLE]
