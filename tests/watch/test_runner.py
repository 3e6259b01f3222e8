"""The watch on a real PostgreSQL, looking at real TLS servers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from troth import manage
from troth.database.pool import Database
from troth.demo.host import Host
from troth.errors import NotAllowed
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, Override, PinKind
from troth.notify.board import Board
from troth.notify.events import Kind, Severity
from troth.store import open_store
from troth.store.postgres import PostgresStore
from troth.store.protocol import TrustStore
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target, probe
from troth.trust.changes import delete, fresh
from troth.watch.reach import DEFAULT_POLICY, ProbePolicy, may_probe
from troth.watch.runner import Watch, WatchSettings
from troth.watch.schedule import Limits, Rhythm
from troth.watch.table import WatchTable

Serve = Callable[[], Host]
SOON = Rhythm(every=timedelta(minutes=10), again=timedelta(minutes=1), jitter=0.0)


class Clock:
    """Gives a time that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Scene:
    """A watch whose clock is set by hand: `look` looks once at all that is due."""

    def __init__(self, database: Database, store: TrustStore, **settings: Any):
        self.clock = Clock()
        self.watch = Watch(
            database, store, settings=WatchSettings(rhythm=SOON, **{"timeout_s": 10.0, **settings}), clock=self.clock
        )
        self.board = Board(database, clock=self.clock)

    def look(self, **later: float) -> list[tuple[Kind, str]]:
        """Set the clock forward, look at what is due, and give what was told of it."""
        self.watch.sync()
        self.clock.now += timedelta(**(later or {"minutes": 11}))
        before = {each.id for each in self.board.events()}
        for job in self.watch.claim(1000):
            assert self.watch.look(job)
        fresh = [each for each in reversed(self.board.events()) if each.id not in before]
        return [(each.event.kind, each.event.what) for each in fresh]


def learn(store: TrustStore, host: Host, domain: str = "devicemgmt") -> Endpoint:
    """Put a host on record."""
    endpoint = Endpoint("127.0.0.1", host.port)
    check_target(store, Target(endpoint=endpoint), domain=domain)
    return endpoint


def test_a_swapped_certificate_is_told_once_in_the_words_of_the_rejection_and_so_is_its_end(
    database: Database, store: SqliteStore, serve: Serve
) -> None:
    """Good, changed, still changed, replaced: two events, with fingerprints, the next command, and how long it took."""
    host = serve()
    endpoint = learn(store, host)
    scene = Scene(database, store)
    assert scene.look() == []
    old, new = host.view, host.new_certificate()
    assert scene.look() == [(Kind.CHANGED, f"{endpoint} presented another certificate than the one on record.")]
    event = scene.board.events()[0].event
    assert event.severity is Severity.CRITICAL
    assert event.presented == new.fingerprint
    assert event.pinned == (str(old.fingerprint),)
    assert event.next_command == f"troth replace {endpoint} --expect FINGERPRINT"
    assert event.domain == "devicemgmt"
    assert scene.look() == []
    entry = store.entry(endpoint)
    assert entry is not None
    manage.replace(store, entry, new, new.fingerprint)
    assert scene.look() == [(Kind.RECOVERED, f"{endpoint} is trusted again, after 22 min of changed.")]


def test_the_trust_store_may_lie_in_the_same_database(database: Database, serve: Serve, tmp_path: Path) -> None:
    """As it does on a node: what is on record, what is watched, and what is told, in one PostgreSQL."""
    store = PostgresStore(database, tmp_path)
    host = serve()
    endpoint = learn(store, host)
    scene = Scene(database, store)
    assert scene.look() == []
    host.new_certificate()
    assert [kind for kind, _ in scene.look()] == [Kind.CHANGED]
    manage.replace(store, _entry(store, endpoint), host.view, host.view.fingerprint)
    assert [kind for kind, _ in scene.look()] == [Kind.RECOVERED]


def test_a_host_that_is_away_is_told_at_the_second_miss(database: Database, store: SqliteStore, serve: Serve) -> None:
    """The second look comes soon; being back says how long it was away."""
    host = serve()
    endpoint = learn(store, host)
    scene = Scene(database, store)
    assert scene.look() == []
    port = host.port
    host.close()
    assert scene.look() == []
    assert scene.look(minutes=2) == [(Kind.UNREACHABLE, f"{endpoint} could not be reached.")]
    assert scene.look(minutes=3) == []
    listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
    host._listener = listener
    host._thread = threading.Thread(target=host._serve, daemon=True)
    host._thread.start()
    assert scene.look(minutes=30) == [(Kind.REACHABLE, f"{endpoint} can be reached again, after 35 min.")]


def test_quarantine_and_renewal_are_told(database: Database, store: SqliteStore, serve: Serve) -> None:
    """A host in a strict domain waits; one with a key pin that was renewed is news only."""
    waiting, renewing = serve(), serve()
    manage.set_domain(store, "user", Override(mode=CheckMode.STRICT))
    first = learn(store, waiting, "user")
    second = learn(store, renewing)
    manage.set_policy(store, second, Override(pin=PinKind.KEY))
    scene = Scene(database, store)
    assert scene.look() == [(Kind.UNAPPROVED, f"{first} is waiting for approval.")]
    manage.approve(store, _entry(store, first), waiting.view.fingerprint)
    renewing.renew()
    told = scene.look()
    assert sorted(told) == [
        (Kind.RECOVERED, f"{first} is trusted again, after 11 min of unapproved."),
        (Kind.RENEWED, f"{second} presented a renewed certificate."),
    ]


def test_dates_are_told(database: Database, store: SqliteStore, serve: Serve) -> None:
    """The demonstration's certificates last a year: near their end, each threshold once."""
    host = serve()
    endpoint = learn(store, host)
    scene = Scene(database, store)
    assert scene.look() == []
    assert scene.look(days=340) == [(Kind.EXPIRING, f"The certificate of {endpoint} expires in 24 d 23 h.")]
    assert scene.board.events()[0].event.severity is Severity.INFO
    assert scene.look(days=1) == []
    assert [kind for kind, _ in scene.look(days=20)] == [Kind.EXPIRING]
    assert "expires in 3 d 23 h" in scene.board.events()[0].event.what
    assert [text for _, text in scene.look(days=6)] == [f"The certificate of {endpoint} expired 2 d 0 h ago."]
    assert scene.board.events()[0].event.severity is Severity.CRITICAL


def test_a_metadata_service_is_not_looked_at(database: Database, store: SqliteStore, serve: Serve) -> None:
    """Even if it is on record: no connection is made, and that is said; the address counts, not the name."""
    host = serve()
    endpoint = learn(store, host)
    scene = Scene(database, store, policy=DEFAULT_POLICY)
    requests, seen = host.requests, threading.active_count()
    assert scene.look() == [(Kind.CANNOT_CHECK, "127.0.0.1 is not probed.")]
    assert host.requests == requests
    assert threading.active_count() <= seen + 1
    named = Endpoint("localhost", endpoint.port)

    def permit(address: str, port: int) -> None:
        if not (found := may_probe(address, ProbePolicy(), port=port)):
            raise NotAllowed(f"{address} is not probed.", why=found.why)

    with pytest.raises(NotAllowed):
        probe(Target(endpoint=named, permit=permit))
    probe(Target(endpoint=named))


def test_what_is_on_record_is_what_is_watched(database: Database, store: SqliteStore, serve: Serve) -> None:
    """New endpoints are added with their place in the interval, deleted ones are left; state and times stay."""
    hosts = [serve() for _ in range(3)]
    endpoints = [learn(store, host) for host in hosts]
    scene = Scene(database, store)
    scene.watch.sync()
    table = WatchTable(database, SOON)
    assert watched(database) == set(endpoints)
    assert len(table.claim(10, scene.clock())) < 3
    store.change(endpoints[0], "delete", _deleted)
    scene.watch.sync()
    assert watched(database) == set(endpoints[1:])
    table.look_now(endpoints[1], scene.clock())
    assert endpoints[1] in {
        job.endpoint for job in WatchTable(database, SOON).claim(10, scene.clock() + timedelta(hours=1))
    }


def test_a_claim_that_ran_out_writes_nothing(database: Database, store: SqliteStore, serve: Serve) -> None:
    """A server that was away too long neither overwrites what another found nor tells it a second time."""
    host = serve()
    learn(store, host)
    scene = Scene(database, store)
    scene.watch.sync()
    scene.clock.now += timedelta(minutes=11)
    slow = scene.watch.claim(10)
    scene.clock.now += timedelta(minutes=11)
    host.new_certificate()
    quick = scene.watch.claim(10)
    assert scene.watch.look(quick[0])
    assert not scene.watch.look(slow[0])
    assert [each.event.kind for each in scene.board.events()] == [Kind.CHANGED]


class Slow:
    """Accepts and stays silent; counts how many connections are open at once, by address."""

    def __init__(self, addresses: list[str]):
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.all_at_once = 0
        self.total = 0
        self._lock = threading.Lock()
        self._listeners = [socket.create_server((address, 0)) for address in addresses]
        self.endpoints = [Endpoint(*each.getsockname()) for each in self._listeners]
        for each in self._listeners:
            threading.Thread(target=self._serve, args=(each,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        network = connection.getsockname()[0].rpartition(".")[0]
        with self._lock:
            self.open[network] += 1
            self.total += 1
            self.most[network] = max(self.most[network], self.open[network])
            self.all_at_once = max(self.all_at_once, sum(self.open.values()))
        with connection:
            connection.settimeout(20)
            try:
                while connection.recv(4096):
                    pass
            except OSError:
                pass
        with self._lock:
            self.open[network] -= 1

    def close(self) -> None:
        """Stop."""
        for each in self._listeners:
            each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_two_servers_share_the_work_within_the_limits_and_a_silent_network_holds_up_no_other(
    database: Database, store: SqliteStore, serve: Serve, tmp_path: Path
) -> None:
    """Each endpoint is looked at by one server; no network sees more at once than both servers' limits."""
    good = [learn(store, serve()) for _ in range(4)]
    slow = Slow([f"127.0.{net}.1" for net in (1, 2) for _ in range(24)])
    for endpoint in slow.endpoints:
        store.change(endpoint, "pin", lambda _, endpoint=endpoint: _entry(store, good[0], endpoint))
    limits = Limits(overall=6, per_network=2, starts=50)
    rhythm = Rhythm(every=timedelta(hours=1))
    begin = datetime.now(UTC) + timedelta(hours=2)
    settings = WatchSettings(rhythm=rhythm, limits=limits, timeout_s=0.4, poll_s=0.05)
    with open_store(store.path) as other:
        first = Watch(database, store, settings=settings, clock=lambda: datetime.now(UTC))
        first.sync()
        with database.transaction() as connection:  # the silent ones are due first
            ports = [endpoint.port for endpoint in good]
            connection.execute(
                "UPDATE watch SET next_at = %s WHERE port = ANY(%s)", (begin - timedelta(minutes=1), ports)
            )
        watches = [
            Watch(
                database, each, settings=settings, clock=lambda: begin + timedelta(seconds=time.monotonic() % 1e6 / 1e6)
            )
            for each in (store, other)
        ]
        times: dict[Endpoint, int] = {}

        def done() -> bool:
            with database.transaction() as connection:
                found = connection.execute("SELECT host, port FROM watch WHERE looked_at IS NOT NULL").fetchall()
            for host, port in found:
                times.setdefault(Endpoint(str(host), int(str(port))), len(times))
            return len(found) == 52

        async def go() -> None:
            stop = asyncio.Event()
            running = [asyncio.ensure_future(each.run(stop)) for each in watches]
            await asyncio.to_thread(servers.wait_until, done, "all looks")
            stop.set()
            await asyncio.wait_for(asyncio.gather(*running), 30)

        asyncio.run(go())
    slow.close()
    assert slow.total == 48, "each was looked at once"
    assert max(slow.most.values()) <= 2 * limits.per_network
    assert slow.all_at_once <= 2 * limits.overall
    assert max(times[endpoint] for endpoint in good) < 24, "the good ones did not wait for all the silent ones"
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM watch WHERE claim IS NOT NULL").fetchone() == (0,)


def test_stopping_gives_back_what_was_not_begun(database: Database, store: SqliteStore) -> None:
    """Another server need not wait for the claim to run out."""
    slow = Slow(["127.0.0.1"] * 8)
    for endpoint in slow.endpoints:
        store.change(endpoint, "pin", lambda _, endpoint=endpoint: fresh(endpoint, store.now()))
    later = datetime.now(UTC) + timedelta(days=1)
    settings = WatchSettings(limits=Limits(overall=8, per_network=1), timeout_s=0.5, poll_s=0.05)
    Watch(database, store, settings=settings, clock=lambda: datetime.now(UTC)).sync()
    watch = Watch(database, store, settings=settings, clock=lambda: later)

    async def go() -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(watch.run(stop))
        await asyncio.to_thread(servers.wait_until, lambda: slow.total > 0, "the first look")
        stop.set()
        await asyncio.wait_for(running, 30)

    asyncio.run(go())
    slow.close()
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM watch WHERE claim IS NOT NULL").fetchone() == (0,)
        looked = connection.execute("SELECT count(*) FROM watch WHERE looked_at IS NOT NULL").fetchone()
    assert looked == (slow.total,)
    assert 0 < slow.total < 8


def _deleted(entry: Entry | None) -> Entry:
    assert entry is not None
    return delete(entry, None)


def watched(database: Database) -> set[Endpoint]:
    """Give what is watched."""
    with database.transaction() as connection:
        found = connection.execute("SELECT host, port, protocol FROM watch").fetchall()
    return {Endpoint(*each) for each in found}  # type: ignore[arg-type]


def _entry(store: TrustStore, endpoint: Endpoint, renamed: Endpoint | None = None) -> Entry:
    entry = store.entry(endpoint)
    assert entry is not None
    return replace(entry, endpoint=renamed) if renamed else entry
