"""The board: events on record, and silences. What is silenced is listed all the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from troth.errors import NotFound
from troth.model.endpoint import Endpoint
from troth.model.text import printable
from troth.notify import rows, silences
from troth.notify.events import Event, Filed, Kind, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from troth.database.pool import Connection, Database
    from troth.notify.channel import Audit
    from troth.notify.silences import Silence

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which events are meant; what is left out does not matter.

    Args:
        host: The host.
        port: The port.
        domain: The domain.
        kind: The kind.
        since: Nothing older than this.
        message: In this message.
        before: Nothing newer than the event of this number, and not that one: for pages.
        limit: At most so many.
    """

    host: str | None = None
    port: int | None = None
    domain: str | None = None
    kind: Kind | None = None
    since: datetime | None = None
    message: int | None = None
    before: int | None = None
    limit: int = DEFAULT_LIMIT


def whereabouts(text: str) -> tuple[str, int | None]:
    """Read a host, with the port if one is named.

    Raises:
        BadEndpoint: It has no meaning.
    """
    # With two default ports, a port that was named is the same in both readings.
    one, other = (Endpoint.parse(text, default_port=each) for each in (1, 2))
    return one.host, one.port if one.port == other.port else None


class Board:
    """Events and silences in the database.

    Args:
        database: Where.
        clock: Gives the time, aware.
        audit: Writes changes into the journal, in their transactions.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime], audit: Audit | None = None):
        self._database, self._clock, self._audit = database, clock, audit

    def add(self, events: Iterable[Event]) -> None:
        """Put events on record."""
        with self._database.transaction() as connection:
            rows.file(connection, events)

    def events(self, query: Query | None = None) -> list[Filed]:
        """Read events, the newest first; silenced ones, too."""
        asked = query or Query()
        conditions = {
            "host = %s": asked.host,
            "port = %s": asked.port,
            "domain = %s": asked.domain,
            "kind = %s": asked.kind.value if asked.kind else None,
            "at >= %s": asked.since,
            "message = %s": asked.message,
            "id < %s": asked.before,
        }
        named = {text: value for text, value in conditions.items() if value is not None}
        where = " WHERE " + " AND ".join(named) if named else ""
        text = f"SELECT {rows.EVENT_COLUMNS} FROM event{where} ORDER BY id DESC LIMIT %s"  # noqa: S608  # our own texts
        limit = min(max(asked.limit, 1), MAX_LIMIT)
        with self._database.transaction() as connection:
            return [rows.filed(row) for row in connection.execute(text.encode(), (*named.values(), limit))]

    def silences(self, *, over: bool = False) -> list[Silence]:
        """Read the silences that hold, or all."""
        with self._database.transaction() as connection:
            found = read_silences(connection)
        now = self._clock()
        return [each for each in found if over or now < each.end]

    def silence(self, wanted: Silence) -> Silence:
        """Set a silence; that is an event itself.

        Raises:
            BadInput: It hides everything, is without a reason, or does not end.
        """
        silence = silences.checked(wanted)
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO silence (pattern, domain, kind, why, who, since, until)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
                (
                    silence.pattern,
                    silence.domain,
                    silence.kind.value if silence.kind else None,
                    printable(silence.why, 500),
                    printable(silence.who, 100),
                    silence.since,
                    silence.until,
                ),
            ).fetchone()
            made = replace(silence, id=cast("int", row[0]) if row else 0)
            if self._audit is not None:
                detail: dict[str, object] = {"hides": described(made), "until": f"{made.until:%Y-%m-%dT%H:%M:%SZ}"}
                self._audit(connection, "silence", str(made.id), {**detail, "why": printable(made.why, 500)})
            rows.file(connection, [self._told(made, f"{made.who} set a silence until {made.until:%Y-%m-%d %H:%M} UTC")])
        return made

    def end_silence(self, number: int, *, who: str) -> Silence:
        """Take a silence back; that is an event itself.

        Raises:
            NotFound: There is none of this number that still holds.
        """
        now = self._clock()
        with self._database.transaction() as connection:
            text = (
                "UPDATE silence SET removed_at = %s, removed_by = %s"  # noqa: S608  # our own text
                f" WHERE id = %s AND removed_at IS NULL AND until > %s RETURNING {rows.SILENCE_COLUMNS}"
            )
            row = connection.execute(text.encode(), (now, printable(who, 100), number, now)).fetchone()
            if row is None:
                raise NotFound(f"There is no silence {number} that still holds.", next_command="troth silence list")
            ended = rows.silence_of(row)
            if self._audit is not None:
                self._audit(connection, "silence-end", str(ended.id), {"hides": described(ended)})
            rows.file(connection, [self._told(ended, f"{printable(who, 100)} ended a silence")])
        return ended

    def _told(self, silence: Silence, what: str) -> Event:
        return Event(
            kind=Kind.SILENCED,
            severity=Severity.INFO,
            what=f"{what}: {described(silence)}.",
            why=printable(silence.why, 500),
            next_command="troth silence list",
            at=self._clock(),
        )


def read_silences(connection: Connection) -> list[Silence]:
    """Read all silences, the oldest first."""
    text = f"SELECT {rows.SILENCE_COLUMNS} FROM silence ORDER BY id"  # noqa: S608  # our own text
    return [rows.silence_of(row) for row in connection.execute(text.encode())]


def described(silence: Silence) -> str:
    """Say what a silence hides."""
    parts = [silence.kind.value if silence.kind else "all events"]
    if silence.pattern:
        parts.append(f"at {silence.pattern}")
    if silence.domain:
        parts.append(f"in {silence.domain}")
    return " ".join(parts)
