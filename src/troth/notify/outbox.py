"""The outbox: what was put on record is delivered at least once, whatever crashes in between.

A delivery is claimed for a while, in one transaction; then sent; then marked, in another. Whoever dies in between leaves
the claim to run out, and somebody else sends it again, with the same key: receivers drop what they have seen. Attempts
are counted when they begin, so that a message that kills its sender is given up, too.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from troth.errors import CertificateRejected, NotDelivered, TrothError
from troth.model.text import printable
from troth.notify import rows
from troth.notify.board import read_silences
from troth.notify.events import Cause, Event, Kind, Message, Severity
from troth.notify.grouping import LISTED, Window, groups
from troth.notify.settings import read_channels
from troth.notify.silences import hiding
from troth.notify.telling import rejected_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from troth.database.pool import Connection, Database
    from troth.notify.events import Filed
    from troth.notify.settings import Channels, Configured

_log = logging.getLogger("troth.notify")
# Any number, as long as nobody else in this database locks it: "outbox" in ASCII.
_LOCK = 0x6F7574626F78
_BATCH = 20_000
_DEFAULT_WINDOW = Window()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a delivery is tried. With these, a receiver may be away for two days.

    Args:
        first: The pause after the first failure; it doubles with each further one.
        longest: The longest pause.
        attempts: After so many, the message is given up for that channel.
        lease: How long an attempt may take before another server makes one.
    """

    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=2)
    attempts: int = 30
    lease: timedelta = timedelta(minutes=5)

    def pause(self, attempts: int) -> timedelta:
        """Give the pause after so many failures."""
        return min(self.first * (1 << min(max(attempts - 1, 0), 16)), self.longest)


_DEFAULT_RETRY = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One claimed delivery."""

    claim: uuid.UUID
    message: int
    channel: str
    attempts: int


class Outbox:
    """Makes messages of events, and delivers them. Several servers may do so at once.

    Args:
        database: Where.
        channels: The channels.
        clock: Gives the time, aware.
        window: How long events are gathered.
        retry: How often a delivery is tried.
    """

    def __init__(
        self,
        database: Database,
        channels: Channels,
        *,
        clock: Callable[[], datetime],
        window: Window = _DEFAULT_WINDOW,
        retry: Retry = _DEFAULT_RETRY,
    ):
        self._database, self._channels, self._clock = database, channels, clock
        self._window, self._retry = window, retry

    def collect(self) -> int:
        """Put waiting events into messages, and messages into the outbox, in one transaction; give how many messages."""
        now = self._clock()
        with self._database.transaction() as connection:
            row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
            if row is None or not row[0]:
                return 0  # another server does it
            waiting = self._unsilenced(connection, now)
            closed, _ = groups(waiting, now, self._window)
            channels = read_channels(connection) if closed else []
            for group in closed:
                number = rows.write_message(connection, group.message)
                connection.execute("UPDATE event SET message = %s WHERE id = ANY(%s)", (number, list(group.ids)))
                self._post(connection, number, group.message, channels, now)
        return len(closed)

    def claim(self, limit: int, *, but: Sequence[str] = ()) -> list[Job]:
        """Claim deliveries that are due, the oldest first; those of the channels in `but` are left."""
        now, claim = self._clock(), uuid.uuid4()
        with self._database.transaction() as connection:
            found = connection.execute(
                "UPDATE delivery SET claim = %s, claimed_until = %s, attempts = attempts + 1"
                " WHERE (message, channel) IN (SELECT d.message, d.channel FROM delivery d"
                " JOIN channel c ON c.name = d.channel WHERE d.state = 'waiting' AND c.enabled AND d.next_at <= %s"
                " AND (d.claimed_until IS NULL OR d.claimed_until <= %s) AND d.channel <> ALL(%s)"
                " ORDER BY d.next_at, d.message LIMIT %s FOR UPDATE OF d SKIP LOCKED)"
                " RETURNING message, channel, attempts",
                (claim, now + self._retry.lease, now, now, list(but), limit),
            ).fetchall()
        return [
            Job(claim=claim, message=message, channel=channel, attempts=attempts)
            for message, channel, attempts in cast("list[tuple[Any, ...]]", found)
        ]

    def deliver(self, job: Job) -> bool:
        """Make one attempt, and record what came of it; whatever goes wrong with it is no exception here.

        Raises:
            StoreUnusable: What came of it could not be recorded; it will be tried again.
        """
        message = self._message(job)
        if message is None:
            return False
        try:
            note = self._channels.open(self._channels.get(job.channel)).send(message)
        except TrothError as error:
            self._failed(job, message, error)
            return False
        except Exception as error:  # noqa: BLE001  # one receiver must not stop the others, whatever it brings about
            why = f"{type(error).__name__}: {printable(str(error), 200)}"
            self._failed(job, message, NotDelivered("The delivery could not be made.", why=why))
            return False
        self._delivered(job, note)
        return True

    def hurry(self, channel: str) -> None:
        """Try what waits for a channel now: it was just mended."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE delivery SET next_at = %s WHERE channel = %s AND state = 'waiting'", (self._clock(), channel)
            )

    # Inside

    def _unsilenced(self, connection: Connection, now: datetime) -> list[Filed]:
        text = (
            f"SELECT {rows.EVENT_COLUMNS} FROM event WHERE message IS NULL AND silence IS NULL"  # noqa: S608  # our own text
            " ORDER BY id LIMIT %s"
        )
        found = [rows.filed(row) for row in connection.execute(text.encode(), (_BATCH,))]
        silences = read_silences(connection) if found else []
        left: list[Filed] = []
        hidden: dict[int, list[int]] = {}
        for filed in found:
            silence = hiding(silences, filed.event, now)
            if silence is None:
                left.append(filed)
            else:
                hidden.setdefault(silence.id, []).append(filed.id)
        for number, ids in hidden.items():
            connection.execute("UPDATE event SET silence = %s WHERE id = ANY(%s)", (number, ids))
        return left

    def _post(
        self, connection: Connection, number: int, message: Message, channels: Sequence[Configured], now: datetime
    ) -> None:
        for channel in channels:
            if channel.takes(message.severity, message.not_through):
                connection.execute(
                    "INSERT INTO delivery (message, channel, state, next_at) VALUES (%s, %s, 'waiting', %s)",
                    (number, channel.name, now),
                )

    def _message(self, job: Job) -> Message | None:
        with self._database.transaction() as connection:
            text = f"SELECT {rows.MESSAGE_COLUMNS} FROM message WHERE id = %s"  # noqa: S608  # our own text
            row = connection.execute(text.encode(), (job.message,)).fetchone()
            listed = f"SELECT {rows.EVENT_COLUMNS} FROM event WHERE message = %s ORDER BY at, id LIMIT %s"  # noqa: S608  # our own text
            events = [rows.filed(each).event for each in connection.execute(listed.encode(), (job.message, LISTED))]
        return rows.message_of(row, events) if row and events else None

    def _delivered(self, job: Job, note: str) -> None:
        now = self._clock()
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE delivery SET state = 'delivered', claim = NULL, claimed_until = NULL, note = %s, done_at = %s"
                " WHERE message = %s AND channel = %s AND state = 'waiting'",
                (note, now, job.message, job.channel),
            )
            if done.rowcount:
                self._settled(connection, job.channel, now)

    def _failed(self, job: Job, message: Message, error: TrothError) -> None:
        now = self._clock()
        _log.warning("message %d not delivered through %s: %s", job.message, job.channel, error)
        over = job.attempts >= self._retry.attempts
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE delivery SET state = %s, claim = NULL, claimed_until = NULL, next_at = %s, note = %s,"
                " done_at = %s WHERE message = %s AND channel = %s AND claim = %s AND state = 'waiting'",
                (
                    "dead" if over else "waiting",
                    now + self._retry.pause(job.attempts),
                    printable(str(error), 500),
                    now if over else None,
                    job.message,
                    job.channel,
                    job.claim,
                ),
            )
            if not done.rowcount:
                return  # the claim ran out, and another server has it
            if isinstance(error, CertificateRejected):
                self._troubled(connection, job.channel, error, now)
            # That nobody could be told that nobody could be told goes round in circles.
            if over and message.kind is not Kind.UNDELIVERABLE:
                rows.file(connection, [_undeliverable(job, message, error, now)])

    def _troubled(self, connection: Connection, channel: str, error: CertificateRejected, now: datetime) -> None:
        """Tell through the other channels that this one's receiver is not trusted: once for each certificate."""
        decision = error.decision
        told = f"{error.code} {decision.presented.leaf.fingerprint if decision else ''}".strip()
        row = connection.execute("SELECT trouble FROM channel WHERE name = %s FOR UPDATE", (channel,)).fetchone()
        if row is None or row[0] == told:
            return
        connection.execute(
            "UPDATE channel SET trouble = %s, trouble_since = coalesce(trouble_since, %s) WHERE name = %s",
            (told, now, channel),
        )
        if decision is not None:
            domain = decision.entry.domain if decision.entry else ""
            rows.file(connection, [rejected_event(decision, domain=domain, at=now, not_through=channel)])
            return
        unreadable = Event(
            kind=Kind.CANNOT_CHECK,
            severity=Severity.CRITICAL,
            what=error.what,
            why=error.why,
            next_command=error.next_command,
            cause=Cause(key=error.code),
            not_through=channel,
            at=now,
        )
        rows.file(connection, [unreadable])

    def _settled(self, connection: Connection, channel: str, now: datetime) -> None:
        row = connection.execute(
            "SELECT trouble_since FROM channel WHERE name = %s AND trouble <> '' FOR UPDATE", (channel,)
        ).fetchone()
        if row is None:
            return
        connection.execute("UPDATE channel SET trouble = '', trouble_since = NULL WHERE name = %s", (channel,))
        since = cast("datetime | None", row[0])
        lasted = f", since {since:%Y-%m-%d %H:%M} UTC" if since else ""
        settled = Event(
            kind=Kind.RECOVERED,
            severity=Severity.INFO,
            what=f"The receiver of the channel {channel} is trusted again.",
            why=f"It was not{lasted}.",
            cause=Cause(key=f"channel {channel}"),
            at=now,
        )
        rows.file(connection, [settled])


def _undeliverable(job: Job, message: Message, error: TrothError, now: datetime) -> Event:
    return Event(
        kind=Kind.UNDELIVERABLE,
        severity=Severity.CRITICAL,
        what=f"Message {job.message} ({message.kind}) was given up for the channel {job.channel} after {job.attempts} attempts.",
        why=str(error),
        next_command=error.next_command or "troth mail test",
        cause=Cause(key=job.channel, text=f"the channel {job.channel}"),
        not_through=job.channel,
        at=now,
    )
