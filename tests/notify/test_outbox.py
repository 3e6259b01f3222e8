"""The outbox on a real PostgreSQL: at least once, never lost, given up in the end, whatever crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.notify.making import Clock, FernetSealer, an_event
from tests.simulators.receivers import PASSWORD, USER, Collector, Hook, Mailbox
from troth import manage
from troth.database.pool import Database
from troth.errors import ChannelUnusable, NotFound
from troth.model.endpoint import Endpoint
from troth.notify.board import Board, Query
from troth.notify.courier import Courier, Pace
from troth.notify.events import Cause, Kind, Severity
from troth.notify.mail import MailSettings
from troth.notify.outbox import Outbox, Retry
from troth.notify.settings import Channels
from troth.notify.silences import Silence
from troth.notify.syslog import SyslogSettings
from troth.notify.webhook import WebhookSettings
from troth.store.sqlite import SqliteStore


@pytest.fixture
def channels(database: Database, sealer: FernetSealer, store: SqliteStore, clock: Clock) -> Channels:
    """No channels yet."""
    return Channels(database, store, sealer, clock=clock, name="node-1.example.com")


@pytest.fixture
def board(database: Database, clock: Clock) -> Board:
    """An empty board."""
    return Board(database, clock=clock)


@pytest.fixture
def outbox(database: Database, channels: Channels, clock: Clock) -> Outbox:
    """An empty outbox."""
    return Outbox(database, channels, clock=clock)


def mail_to(box: Mailbox) -> MailSettings:
    """Make settings for a server on loopback."""
    return MailSettings.read(
        {
            "host": "127.0.0.1",
            "port": box.port,
            "user": USER,
            "sender": "troth@example.com",
            "recipients": ["ops@example.com"],
        }
    )


def with_mail(channels: Channels, box: Mailbox, name: str = "mail", **changes: Any) -> None:
    """Set a mail channel."""
    channels.set(name, mail_to(box), **{"secret": PASSWORD.encode(), "who": "alice", **changes})


def worked_off(outbox: Outbox) -> int:
    """Deliver what is due; give how many deliveries succeeded."""
    jobs = outbox.claim(100)
    return sum(outbox.deliver(job) for job in jobs)


def rows(database: Database, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with database.transaction() as connection:
        return connection.execute(text.encode(), values).fetchall()


def test_five_hundred_events_of_one_cause_are_one_mail(
    database: Database, channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """Counted, listed to twenty, and all of them on the board, with the number of their message."""
    box = start(Mailbox)
    with_mail(channels, box)
    board.add(an_event(number, at=clock()) for number in range(500))
    assert outbox.collect() == 0, "it is still gathering"
    clock.forward(seconds=61)
    assert outbox.collect() == 1
    assert outbox.collect() == 0
    assert worked_off(outbox) == 1
    assert worked_off(outbox) == 0
    assert len(box.mails) == 1
    assert "500 certificates changed" in box.mails[0]["Subject"]
    filed = board.events(Query(limit=1000))
    assert len({each.event.subject for each in filed}) == 500
    number = filed[0].message
    assert {each.message for each in filed} == {number}
    assert f"troth events list --message {number}" in box.mails[0].get_content()
    assert rows(database, "SELECT state, attempts FROM delivery") == [("delivered", 1)]


def test_each_channel_has_its_own_course_and_its_least_severity(
    channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """What is only worth knowing goes where that is wanted; a channel that is off gets nothing."""
    box, hook, collector, off = start(Mailbox), start(Hook), start(Collector, tls=True), start(Hook)
    with_mail(channels, box, least=Severity.CRITICAL)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    channels.set("logs", SyslogSettings.parse(f"tls://127.0.0.1:{collector.port}"), who="alice", least=Severity.WARNING)
    channels.set("off", WebhookSettings.parse(off.url), who="alice", enabled=False)
    board.add(an_event(1, kind=kind, severity=severity, at=clock()) for kind, severity in (
        (Kind.CHANGED, Severity.CRITICAL), (Kind.EXPIRING, Severity.WARNING), (Kind.RENEWED, Severity.INFO)
    ))  # fmt: skip
    clock.forward(seconds=61)
    assert outbox.collect() == 3
    assert worked_off(outbox) == 6
    servers.wait_until(lambda: len(collector.lines) == 2, "the lines")
    assert (len(box.mails), len(hook.calls), len(off.calls)) == (1, 3, 0)


def test_a_changed_mail_server_gets_nothing_and_the_others_tell_of_it(
    database: Database, store: SqliteStore, channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """Zero bytes of AUTH; an event in the words of the rejection, once; the rest is delivered; mail follows when mended."""
    box, hook = start(Mailbox), start(Hook)
    with_mail(channels, box)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    channels.test("mail", who="alice")
    before = len(box.auths), len(box.mails)
    box.swap()
    board.add([an_event(1, at=clock())])
    clock.forward(seconds=61)
    outbox.collect()
    assert worked_off(outbox) == 1
    assert len(hook.calls) == 1
    for _ in range(3):
        clock.forward(minutes=30)
        outbox.collect()
        worked_off(outbox)
    assert (len(box.auths), len(box.mails)) == before
    told = [each.event for each in board.events() if each.event.endpoint == Endpoint("127.0.0.1", box.port, "smtp")]
    assert len(told) == 1
    assert told[0].kind is Kind.CHANGED
    assert told[0].what == f"127.0.0.1:{box.port} presented another certificate than the one on record."
    assert told[0].presented == box.view.fingerprint
    assert len(hook.calls) == 2
    assert b"presented another certificate" in hook.calls[1].body
    assert channels.get("mail").trouble
    entry = store.entry(Endpoint("127.0.0.1", box.port, "smtp"))
    assert entry is not None
    manage.replace(store, entry, box.view, box.view.fingerprint)
    outbox.hurry("mail")
    worked_off(outbox)
    assert len(box.mails) == before[1] + 1, "the event itself, late; not the one about the channel"
    assert not channels.get("mail").trouble
    assert board.events()[0].event.kind is Kind.RECOVERED
    assert {state for (state,) in rows(database, "SELECT state FROM delivery")} == {"delivered"}


def test_what_cannot_be_delivered_is_given_up_with_an_event_and_that_does_not_go_round(
    database: Database, channels: Channels, board: Board, clock: Clock, start: Any
) -> None:
    """After the attempts, dead; told through the others; that it could not be told is told to nobody."""
    hook, other = start(Hook, status=500), start(Hook, status=500)
    channels.set("one", WebhookSettings.parse(hook.url), who="alice")
    channels.set("two", WebhookSettings.parse(other.url), who="alice")
    outbox = Outbox(database, channels, clock=clock, retry=Retry(attempts=3))
    board.add([an_event(1, at=clock())])
    for _ in range(40):
        clock.forward(hours=3)
        outbox.collect()
        worked_off(outbox)
    assert Counter(rows(database, "SELECT channel, state FROM delivery")) == {("one", "dead"): 2, ("two", "dead"): 2}
    assert Counter(each.event.kind for each in board.events()) == {Kind.CHANGED: 1, Kind.UNDELIVERABLE: 2}
    assert (len(hook.calls), len(other.calls)) == (6, 6)
    assert len({call.headers["Idempotency-Key"] for call in hook.calls}) == 2


def test_pauses_grow_and_a_receiver_may_be_away_for_two_days() -> None:
    """30 s, doubling up to two hours; given up after about two days."""
    retry = Retry()
    pauses = [retry.pause(attempt) for attempt in range(1, retry.attempts + 1)]
    assert pauses[:4] == [timedelta(seconds=30 * 2**n) for n in range(4)]
    assert max(pauses) == retry.longest
    assert timedelta(days=1.7) < sum(pauses, timedelta()) < timedelta(days=2.5)
    assert retry.pause(10**6) == retry.longest


def test_silences_hide_nothing_from_the_board(
    channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """What is silenced is not sent, and is listed with the silence; that silences are set and ended is told."""
    hook = start(Hook)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    made = board.silence(
        Silence(
            pattern="host-1.example.com", why="works", who="alice", since=clock(), until=clock() + timedelta(hours=8)
        )
    )
    clock.forward(seconds=1)
    board.add([an_event(1, at=clock()), an_event(2, at=clock())])
    clock.forward(seconds=61)
    assert outbox.collect() == 2
    worked_off(outbox)
    assert sorted(b"host-2.example.com:443" in call.body for call in hook.calls) == [False, True]
    assert not any(b"host-1.example.com:443" in call.body for call in hook.calls)
    listed = {each.event.subject: each.silence for each in board.events()}
    assert listed == {"host-1.example.com:443": made.id, "host-2.example.com:443": None, "": None}
    assert board.silences() == [made]
    board.end_silence(made.id, who="bob")
    assert board.silences() == []
    assert board.silences(over=True)[0].removed_at == clock()
    assert "bob ended a silence: all events at host-1.example.com." in board.events()[0].event.what
    with pytest.raises(NotFound):
        board.end_silence(made.id, who="bob")
    board.add([an_event(1, at=clock())])
    clock.forward(seconds=61)
    outbox.collect()
    worked_off(outbox)
    assert any(b"host-1.example.com:443" in call.body for call in hook.calls)


def test_several_servers_make_each_message_and_each_delivery_once(
    database: Database, channels: Channels, board: Board, clock: Clock, start: Any
) -> None:
    """Claims do not overlap, however many ask at once."""
    hook = start(Hook)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    board.add(an_event(number, kind=kind, at=clock()) for number in range(5) for kind in Kind if kind is not Kind.TEST)
    clock.forward(seconds=61)
    made, jobs = [], []
    outboxes = [Outbox(database, channels, clock=clock) for _ in range(4)]
    gate = threading.Barrier(4)

    def work(outbox: Outbox) -> None:
        gate.wait(20)
        made.append(outbox.collect())
        gate.wait(20)
        while got := outbox.claim(3):
            jobs.extend(got)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(made) == len(Kind) - 1
    assert len(jobs) == len({(job.message, job.channel) for job in jobs}) == len(Kind) - 1
    for job in jobs:
        assert outboxes[0].deliver(job)
    assert len({call.headers["Idempotency-Key"] for call in hook.calls}) == len(hook.calls) == len(Kind) - 1


def test_a_claim_that_ran_out_is_somebody_elses(
    database: Database, channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """The slow one's failure does not undo what the other did; its success counts once."""
    hook = start(Hook, status=500)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    board.add([an_event(1, at=clock())])
    clock.forward(seconds=61)
    outbox.collect()
    slow = outbox.claim(1)[0]
    assert outbox.claim(1) == []
    clock.forward(minutes=6)
    quick = outbox.claim(1)[0]
    assert quick.attempts == 2
    assert not outbox.deliver(slow)
    assert rows(database, "SELECT state, claim FROM delivery") == [("waiting", quick.claim)]
    hook.status = 204
    assert outbox.deliver(quick)
    outbox.deliver(slow)
    assert rows(database, "SELECT state, attempts FROM delivery") == [("delivered", 2)]


_SENDER = """
import sys
from datetime import UTC, datetime, timedelta
from tests.notify.making import FernetSealer
from troth.database.pool import Database
from troth.notify.grouping import Window
from troth.notify.outbox import Outbox, Retry
from troth.notify.settings import Channels
from troth.store import open_store

database, home, key = sys.argv[1:]
with open_store(home) as store:
    clock = lambda: datetime.now(UTC)
    held = Database(database, size=2)
    channels = Channels(held, store, FernetSealer(key.encode()), clock=clock)
    retry = Retry(first=timedelta(), lease=timedelta(seconds=0.5), attempts=10_000)
    outbox = Outbox(held, channels, clock=clock, window=Window(quiet=timedelta(), longest=timedelta()), retry=retry)
    print("ready", flush=True)
    while True:
        outbox.collect()
        for job in outbox.claim(5):
            outbox.deliver(job)
"""


def test_nothing_is_lost_when_senders_are_killed(
    database: Database, board: Board, sealer: FernetSealer, store: SqliteStore, start: Any, tmp_path: Path
) -> None:
    """Killed again and again, in the middle of whatever they did: every message arrives; what comes twice has one key."""
    hook = start(Hook)
    real = Clock()
    channels = Channels(database, store, sealer, clock=real)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    wanted = 120
    board.add(
        an_event(number, kind=Kind.FIRST_USE, cause=Cause(key=str(number)), at=real()) for number in range(wanted)
    )
    command = [sys.executable, "-c", _SENDER, database.conninfo, str(store.path), sealer.key.decode()]
    killed = 0
    while len({call.headers["Idempotency-Key"] for call in hook.calls}) < wanted:
        assert killed < 60
        seen = len(hook.calls)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        servers.wait_until(
            lambda: (
                len(hook.calls) >= seen + 15 or len({call.headers["Idempotency-Key"] for call in hook.calls}) == wanted
            ),
            "some calls",
        )
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        killed += 1
    assert killed >= 3
    bodies = {call.headers["Idempotency-Key"]: call.body for call in hook.calls}
    assert all(bodies[call.headers["Idempotency-Key"]] == call.body for call in hook.calls)
    assert rows(database, "SELECT count(*) FROM event WHERE message IS NULL") == [(0,)]
    assert rows(database, "SELECT count(*) FROM message") == [(wanted,)]


def test_the_courier_works_the_outbox_off_and_a_slow_receiver_holds_up_no_other(
    database: Database, channels: Channels, board: Board, clock: Clock, start: Any
) -> None:
    """While one receiver hangs, the other has everything; told to stop, the courier finishes what it began."""
    quick, slow = start(Hook), start(Hook)
    release = threading.Event()
    channels.set("quick", WebhookSettings.parse(quick.url), who="alice")
    channels.set("slow", WebhookSettings.parse(slow.url), who="alice")
    channels.test("slow", who="alice")
    original, hanging = slow.calls, []

    class Hanging(list[Any]):
        def append(self, call: Any) -> None:
            hanging.append(call)
            release.wait(30)

    slow.calls = Hanging()
    board.add(an_event(number, cause=Cause(key=str(number)), at=clock()) for number in range(12))
    clock.forward(seconds=61)
    courier = Courier(Outbox(database, channels, clock=clock), pace=Pace(poll_s=0.02, at_once=4, per_channel=2))

    async def go() -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(courier.run(stop))
        await asyncio.to_thread(servers.wait_until, lambda: len(quick.calls) == 12, "the quick one's calls")
        assert len(hanging) == 2
        stop.set()
        release.set()
        await asyncio.wait_for(running, 30)

    asyncio.run(asyncio.wait_for(go(), 60))
    assert len(original) == 1
    assert Counter(rows(database, "SELECT channel, state FROM delivery")) == {
        ("quick", "delivered"): 12, ("slow", "delivered"): 2, ("slow", "waiting"): 10,
    }  # fmt: skip


# Settings


def test_secrets_are_sealed_and_bound_to_where_they_go(
    database: Database, channels: Channels, sealer: FernetSealer, clock: Clock, start: Any
) -> None:
    """No secret is in the database; one that is not given anew is kept for the same place, and for no other."""
    box = start(Mailbox)
    with_mail(channels, box)
    raw = rows(database, "SELECT settings::text, secret FROM channel")[0]
    assert PASSWORD not in raw[0]
    assert PASSWORD.encode() not in raw[1]
    channels.set("mail", MailSettings.read({**mail_to(box).document(), "recipients": ["b@example.com"]}), who="alice")
    channels.test("mail", who="alice")
    assert box.envelopes[0][1] == ["b@example.com"]
    for changes in ({"host": "192.0.2.1"}, {"user": "mallory"}, {"security": "tls"}, {"port": box.port + 1}):
        with pytest.raises(ChannelUnusable, match="password"):
            channels.set("mail", MailSettings.read({**mail_to(box).document(), **changes}), who="alice")


def test_a_place_that_was_changed_behind_troths_back_gets_no_secret(
    database: Database, channels: Channels, start: Any
) -> None:
    """Whoever can write to the database alone cannot have the password sent elsewhere."""
    box, thief = start(Mailbox), start(Mailbox)
    with_mail(channels, box)
    with database.transaction() as connection:
        connection.execute("UPDATE channel SET settings = settings || %s::jsonb", (f'{{"port": {thief.port}}}',))
    with pytest.raises(ChannelUnusable, match="cannot be opened"):
        channels.test("mail", who="alice")
    assert thief.auths == thief.greetings == []


def test_a_webhooks_secret_is_made_and_shown_once(channels: Channels, start: Any) -> None:
    """Set again for the same place, it stays; for another, it is made anew."""
    hook = start(Hook)
    first = channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    assert first is not None
    assert len(first) == 64
    assert channels.set("hook", WebhookSettings.parse(hook.url), who="alice", least=Severity.WARNING) is None
    second = channels.set("hook", WebhookSettings.parse(hook.url + "/b"), who="alice")
    assert second not in (None, first)


def test_settings_that_cannot_be_read_stop_no_other_channel(
    database: Database, channels: Channels, board: Board, outbox: Outbox, clock: Clock, start: Any
) -> None:
    """A broken row is left out."""
    hook = start(Hook)
    channels.set("hook", WebhookSettings.parse(hook.url), who="alice")
    channels.set("broken", WebhookSettings.parse(hook.url), who="alice")
    with database.transaction() as connection:
        connection.execute("UPDATE channel SET settings = '{\"port\": \"x\"}' WHERE name = 'broken'")
    board.add([an_event(1, at=clock())])
    clock.forward(seconds=61)
    outbox.collect()
    assert worked_off(outbox) == 1
    channels.remove("broken")
    channels.remove("hook")
    with pytest.raises(NotFound):
        channels.remove("hook")
    assert rows(database, "SELECT count(*) FROM delivery") == [(0,)]
